//! Keys that may sign files: bare ones, by every id that they are called by, over every strong hash.

use base64::Engine;
use lazaret_attest::finding::Code;
use lazaret_attest::ima::Keyring;
use lazaret_attest::policy::Policy;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::ima::{Entry, FileSigner, Template, signer};

use crate::host::{Host, expect};

/// The honest files of a host, and what is signed below /usr.
fn rules(host: &Host, keyring: &str) -> Policy {
    let toml =
        "name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]\nkeyrings = [\"k.pem\"]\nsigned = [\"/usr/**\"]\n";
    let list = host.ima.digest_list();
    Policy::parse(toml, &mut |name| {
        Ok(match name {
            "k.pem" => keyring.to_owned(),
            _ => list.clone(),
        })
    })
    .unwrap()
}

fn bare(signer: &FileSigner) -> String {
    rcgen::KeyPair::try_from(signer.pkcs8()).unwrap().public_key_pem()
}

fn signed(hash: Bank, signature: Vec<u8>) -> Entry {
    Entry {
        attachment: signature,
        ..Entry::new(Template::ImaSigv2, hash, "/usr/bin/x", hash.hash(&[b"x"]))
    }
}

#[test]
fn a_bare_key_vouches_for_digests_of_every_strong_hash_and_of_no_weak_one() {
    let signer = FileSigner::rsa2048().unwrap();
    let keyring = bare(&signer);
    let run = |hash: Bank, signature: Vec<u8>| {
        let mut host = Host::new();
        let policy = rules(&host, &keyring);
        host.ima.push(signed(hash, signature));
        host.round(&policy)
    };
    for hash in [Bank::Sha256, Bank::Sha384, Bank::Sha512] {
        expect(&run(hash, signer.file(hash, b"x")), Verdict::Affirming, &[]);
        let typed = signer.typed(signer::KIND_FILE, hash, &hash.hash(&[b"x"]));
        expect(&run(hash, typed), Verdict::Affirming, &[]);
        expect(
            &run(hash, signer.file(hash, b"y")),
            Verdict::Contraindicated,
            &[Code::ImaSignatureRefused],
        );
    }
    let weak = run(Bank::Sha1, signer.file(Bank::Sha1, b"x"));
    expect(&weak, Verdict::Contraindicated, &[Code::ImaSignatureRefused]);
    let found = weak.findings[0].found.clone().unwrap();
    assert!(found.contains("another algorithm (sha1)"), "{found}");
}

#[test]
fn a_key_counts_from_its_certificates_first_second_to_its_last() {
    let signer = FileSigner::p256().unwrap();
    let key = rcgen::KeyPair::try_from(signer.pkcs8()).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    params.not_before = rcgen::date_time_ymd(2026, 6, 2);
    params.not_after = rcgen::date_time_ymd(2026, 6, 4);
    let keyring = params.self_signed(&key).unwrap().pem();
    let (first, last) = (crate::host::NOW + 86_400, crate::host::NOW + 3 * 86_400);
    for (now, good) in [(first - 1, false), (first, true), (last, true), (last + 1, false)] {
        let mut host = Host::new();
        host.now = now;
        let policy = rules(&host, &keyring);
        host.ima
            .push(signed(Bank::Sha256, signer.file(Bank::Sha256, b"x")));
        let verdict = host.round(&policy).verdict;
        assert_eq!(verdict == Verdict::Affirming, good, "{now}");
    }
}

#[test]
fn the_text_of_a_key_has_its_padding_and_no_more() {
    let text = bare(&FileSigner::p256().unwrap());
    assert!(text.contains("==\n"), "{text}");
    assert!(Keyring::parse("k", &text).is_ok());
    for (from, to) in [("==", ""), ("==", "="), ("==", "======"), ("==", "==AA")] {
        let error = Keyring::parse("k", &text.replace(from, to)).unwrap_err();
        assert!(error.reason.contains("no base64"), "{to}: {error}");
    }
}

#[test]
fn a_bare_key_is_called_by_its_place_and_must_be_one_key() {
    let (one, two) = (FileSigner::p256().unwrap(), FileSigner::rsa2048().unwrap());
    let keyring = Keyring::parse("vendor.pem", &format!("{}{}", bare(&one), bare(&two))).unwrap();
    assert_eq!(keyring.name(), "vendor.pem");
    let subjects: Vec<&str> = keyring.keys().iter().map(|key| key.subject()).collect();
    assert_eq!(subjects, ["public key 1", "public key 2"]);
    let ids: Vec<_> = keyring.keys().iter().map(|key| key.ids()[0].0).collect();
    assert_eq!(ids, [one.key_id, two.key_id]);
    let base64 = base64::engine::general_purpose::STANDARD;
    let der = base64.decode(
        bare(&one)
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect::<String>(),
    );
    let doubled = base64.encode([der.clone().unwrap(), der.unwrap()].concat());
    let text = format!("-----BEGIN PUBLIC KEY-----\n{doubled}\n-----END PUBLIC KEY-----\n");
    let error = Keyring::parse("k", &text).unwrap_err();
    assert!(error.reason.contains("bytes follow the public key"), "{error}");
}

#[test]
fn a_signature_may_call_its_key_as_the_certificate_does() {
    let mut signer = FileSigner::p256().unwrap();
    let key = rcgen::KeyPair::try_from(signer.pkcs8()).unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    // Only then does rcgen write the identifier.
    params.is_ca = rcgen::IsCa::ExplicitNoCa;
    params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(b"vendor's own key id!".to_vec());
    let keyring = params.self_signed(&key).unwrap().pem();
    for id in [signer.key_id, *b" id!"] {
        let mut host = Host::new();
        let policy = rules(&host, &keyring);
        signer.key_id = id;
        host.ima
            .push(signed(Bank::Sha256, signer.file(Bank::Sha256, b"x")));
        expect(&host.round(&policy), Verdict::Affirming, &[]);
    }
}
