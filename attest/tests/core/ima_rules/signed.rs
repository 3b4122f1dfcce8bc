//! Files that are golden because a key of the policy signed them.

use super::*;

#[test]
fn a_file_signed_by_a_key_of_the_keyring_is_golden_without_a_digest_in_any_list() {
    for signer in [FileSigner::p256().unwrap(), FileSigner::rsa2048().unwrap()] {
        let (pem, _) = certificate(&signer, 1, 10);
        for text in [false, true] {
            let mut host = Host::new();
            host.text = text;
            host.now = NOW + DAY;
            let policy = rules(&host, SIGNED, &pem);
            let signature = signer.file(Bank::Sha256, b"new");
            host.ima
                .push(signed_file(Template::ImaSig, "/usr/bin/new", b"new", signature));
            let typed = signer.typed(signer::KIND_FILE, Bank::Sha256, &Bank::Sha256.hash(&[b"v3"]));
            host.ima
                .push(signed_file(Template::ImaSigv2, "/usr/bin/v3", b"v3", typed));
            let result = host.round(&policy);
            expect(&result, Verdict::Affirming, &[]);
            assert_eq!(result.claims.ima.unwrap().signed_files, 2);
        }
    }
}

#[test]
fn case_65_a_signature_outside_its_paths_keyring_or_time_is_refused() {
    let signer = FileSigner::p256().unwrap();
    let other = FileSigner::p256().unwrap();
    let (pem, _) = certificate(&signer, 2, 2);
    let run = |path: &str, content: &[u8], signature: Vec<u8>, now: i64| {
        let mut host = Host::new();
        host.now = now;
        let policy = rules(&host, SIGNED, &pem);
        host.ima
            .push(signed_file(Template::ImaSig, path, content, signature));
        host.round(&policy)
    };
    let good = || signer.file(Bank::Sha256, b"x");
    let in_time = NOW + DAY + DAY / 2;
    expect(&run("/usr/bin/x", b"x", good(), in_time), Verdict::Affirming, &[]);
    refused(&run("/usr/bin/x", b"x", good(), NOW), "not valid yet");
    refused(&run("/usr/bin/x", b"x", good(), NOW + 4 * DAY), "expired");
    refused(&run("/usr/bin/x", b"y", good(), in_time), "did not sign");
    refused(
        &run("/usr/bin/x", b"x", other.file(Bank::Sha256, b"x"), in_time),
        "no key",
    );
    refused(&run("/usr/bin/x", b"x", Vec::new(), in_time), "no signature");
    refused(&run("/usr/bin/x", b"x", vec![3, 2, 4], in_time), "cannot be read");
    // Another's signature under the name of a known key.
    let mut posing = other.clone();
    posing.key_id = signer.key_id;
    refused(
        &run("/usr/bin/x", b"x", posing.file(Bank::Sha256, b"x"), in_time),
        "did not sign",
    );
    // EVM's portable signature is over other things.
    let evm = signer.attribute(signer::KIND_EVM, 2, Bank::Sha256, b"x");
    refused(&run("/usr/bin/x", b"x", evm, in_time), "metadata");
    // SHA-1 proves nothing, whoever signed.
    let weak = signer.attribute(signer::KIND_FILE, 2, Bank::Sha1, b"x");
    refused(&run("/usr/bin/x", b"x", weak, in_time), "algorithm");
    // Elsewhere signatures are not asked for.
    let elsewhere = run("/opt/x", b"x", good(), in_time);
    expect(&elsewhere, Verdict::Contraindicated, &[Code::ImaFileUnknown]);
}

#[test]
fn case_64_a_verity_digest_posing_as_a_file_digest_is_refused() {
    let signer = FileSigner::p256().unwrap();
    let (pem, _) = certificate(&signer, 1, 10);
    let digest = Bank::Sha256.hash(&[b"x"]);
    let run = |verity: bool, path: &str, signature: Vec<u8>| {
        let mut host = Host::new();
        host.now = NOW + DAY;
        host.ima.measure("/opt/known", b"x");
        let policy = rules(&host, SIGNED, &pem);
        host.ima.push(Entry {
            verity,
            attachment: signature,
            ..Entry::new(Template::ImaSigv2, Bank::Sha256, path, digest.clone())
        });
        host.round(&policy)
    };
    // The bytes of a golden digest, labelled as another kind: not compared.
    expect(
        &run(true, "/opt/known", Vec::new()),
        Verdict::Indeterminate,
        &[Code::ImaDigestKind],
    );
    expect(
        &run(true, "/opt/foreign", Vec::new()),
        Verdict::Contraindicated,
        &[Code::ImaFileUnknown],
    );
    // A signature of one kind beside a digest of the other.
    let of_tree = || signer.typed(signer::KIND_VERITY, Bank::Sha256, &digest);
    let of_file = || signer.file(Bank::Sha256, b"x");
    expect(&run(true, "/usr/bin/x", of_tree()), Verdict::Affirming, &[]);
    refused(&run(false, "/usr/bin/x", of_tree()), "another kind");
    refused(&run(true, "/usr/bin/x", of_file()), "another kind");
    refused(
        &run(
            true,
            "/usr/bin/x",
            signer.typed(signer::KIND_FILE, Bank::Sha256, &digest),
        ),
        "another kind",
    );
    // Version 2 says nothing of the kind, whatever its first byte is.
    refused(
        &run(
            true,
            "/usr/bin/x",
            signer.attribute(signer::KIND_VERITY, 2, Bank::Sha256, b"x"),
        ),
        "another kind",
    );
    refused(
        &run(
            false,
            "/usr/bin/x",
            signer.attribute(signer::KIND_FILE, 3, Bank::Sha256, b"x"),
        ),
        "did not sign",
    );
}
