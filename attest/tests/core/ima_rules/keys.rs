//! The keys: those of the policy, and those that a kernel learned.

use super::*;

#[test]
fn case_66_a_key_learned_after_its_use_is_told_over_rounds_as_well() {
    let signer = FileSigner::p256().unwrap();
    let (pem, der) = certificate(&signer, 1, 10);
    let file = || {
        signed_file(
            Template::ImaSig,
            "/usr/bin/x",
            b"x",
            signer.file(Bank::Sha256, b"x"),
        )
    };
    let key = |keyring: &str| Entry::buffer(Bank::Sha256, keyring, &der);
    let run = |entries: Vec<Entry>| {
        let mut host = Host::new();
        host.now = NOW + DAY;
        let policy = rules(&host, SIGNED, &pem);
        for entry in entries {
            host.ima.push(entry);
        }
        host.round(&policy)
    };
    expect(
        &run(vec![key(".ima"), file(), key(".machine")]),
        Verdict::Affirming,
        &[],
    );
    let late = run(vec![file(), key(".ima")]);
    expect(&late, Verdict::Warning, &[Code::ImaKeyAfterUse]);
    let events = late.claims.ima.unwrap().events;
    assert_eq!(
        (events[0].subject.as_str(), events[0].name.as_str()),
        ("key", ".ima")
    );
    assert!(events[0].keys.iter().any(|id| id.0 == signer.key_id));

    let mut host = Host::new();
    host.now = NOW + DAY;
    let policy = rules(&host, SIGNED, &pem);
    host.ima.push(file());
    let history = host.round(&policy).history.unwrap();
    host.ima.push(key(".ima"));
    let first = history.ima.as_ref().unwrap().entries;
    let next = host.round_from(&policy, Some(&history), first);
    expect(&next, Verdict::Warning, &[Code::ImaKeyAfterUse]);
}

#[test]
fn certificates_that_call_a_known_key_by_ever_new_ids_leave_nothing_behind() {
    let signer = FileSigner::p256().unwrap();
    let (pem, _) = certificate(&signer, 1, 10);
    let mut host = Host::new();
    host.now = NOW + DAY;
    let policy = rules(&host, SIGNED, &pem);
    for number in 0..20 {
        let mut other = certificate_params(1, 10);
        other.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![number; 20]);
        let der = other
            .self_signed(&rcgen::KeyPair::try_from(signer.pkcs8()).unwrap())
            .unwrap();
        host.ima.push(Entry::buffer(Bank::Sha256, ".machine", der.der()));
    }
    let result = host.round(&policy);
    expect(&result, Verdict::Affirming, &[]);
    let keys = result.history.unwrap().ima.unwrap().keys;
    let learned: Vec<[u8; 4]> = keys.learned.iter().map(|id| id.0).collect();
    assert_eq!(learned, [signer.key_id]);
}

#[test]
fn a_key_that_is_in_no_keyring_of_the_policy_is_told_and_can_be_listed() {
    let signer = FileSigner::p256().unwrap();
    let (_, der) = certificate(&signer, 1, 10);
    for listed in [false, true] {
        let mut host = Host::new();
        if listed {
            host.ima.push(Entry::buffer(Bank::Sha256, ".ima", &der));
        }
        let policy = rules(&host, "", "");
        host.ima.push(Entry::buffer(Bank::Sha256, ".ima", &der));
        let result = host.round(&policy);
        if listed {
            expect(&result, Verdict::Affirming, &[]);
        } else {
            expect(&result, Verdict::Warning, &[Code::ImaKeyNotGolden]);
        }
    }
}

#[test]
fn a_keyring_holds_certificates_and_keys_that_may_sign_and_says_which_line_is_none() {
    let signer = FileSigner::p256().unwrap();
    let (pem, _) = certificate(&signer, 1, 10);
    let good = Keyring::parse("k", &format!("words before\n{pem}\n{pem}")).unwrap();
    assert_eq!(good.keys().len(), 2);
    assert!(good.keys()[0].subject().contains("file signing"));
    assert_eq!(
        good.keys()[0].ids().iter().map(|id| id.0).collect::<Vec<_>>(),
        [signer.key_id]
    );

    let lines = pem.lines().count();
    let broken = pem.replacen("MI", "!!", 1);
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let cases = [
        (String::new(), 1, "no PEM block"),
        (format!("{pem}{private}"), lines + 1, "CERTIFICATE and PUBLIC KEY"),
        (format!("{pem}{broken}"), lines + 1, "base64"),
        (pem.replace("-----END CERTIFICATE-----", ""), 1, "no end"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
            1,
            "cannot be read",
        ),
    ];
    for (text, line, reason) in cases {
        let error = Keyring::parse("k", &text).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.reason.contains(reason), "{error}");
    }
    let mut params = rcgen::CertificateParams::default();
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let authority = params
        .self_signed(&rcgen::KeyPair::try_from(signer.pkcs8()).unwrap())
        .unwrap();
    let error = Keyring::parse("k", &authority.pem()).unwrap_err();
    assert!(error.reason.contains("digital signatures"), "{error}");
}
