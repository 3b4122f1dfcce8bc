//! Every prefix of everything that is read: a clean error, or exactly the shorter list that it is, and never Affirming.

#[path = "core/host.rs"]
#[expect(dead_code, reason = "the core's tests use more of it")]
#[expect(unused_macros, unused_imports, reason = "the core's tests use more of it")]
mod host;

use std::collections::BTreeSet;

use lazaret_attest::boot_log::{BootLog, BootLogError};
use lazaret_attest::endorsement::{EndorsedKey, Roots};
use lazaret_attest::evidence::Evidence;
use lazaret_attest::ima::ImaList;
use lazaret_attest::key::{AttestationKey, EndorsementKey};
use lazaret_attest::policy::Policy;
use lazaret_attest::quote::VerifiedQuote;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bootlog::{LogForm, typical_server};
use lazaret_forge::endorsement::Endorsement;
use lazaret_forge::ima::Template;
use lazaret_forge::softtpm::{Attest, AttestationKey as ForgedKey, SoftTpm};

use host::Host;

/// Every prefix of `bytes` but the whole.
fn prefixes(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..bytes.len()).filter_map(|length| bytes.get(..length))
}

fn keys() -> [ForgedKey; 2] {
    [ForgedKey::p256("truncation"), ForgedKey::rsa2048().unwrap()]
}

#[test]
fn case_17_no_prefix_of_a_public_key_is_one() {
    for key in keys() {
        let public = key.public();
        assert!(AttestationKey::from_public(&public).is_ok());
        assert!(prefixes(&public).all(|prefix| AttestationKey::from_public(prefix).is_err()));
    }
    let ek = Endorsement::p256().unwrap().ek_public;
    assert!(EndorsementKey::from_public(&ek).is_ok());
    assert!(prefixes(&ek).all(|prefix| EndorsementKey::from_public(prefix).is_err()));
}

#[test]
fn case_17_no_prefix_of_a_signature_verifies() {
    for key in keys() {
        let ak = AttestationKey::from_public(&key.public()).unwrap();
        let quote = honest_attest(&key);
        let signature = key.sign(&quote).unwrap();
        assert!(VerifiedQuote::open(&quote, &signature, &ak).is_ok());
        for prefix in prefixes(&signature) {
            assert!(
                VerifiedQuote::open(&quote, prefix, &ak).is_err(),
                "{}",
                prefix.len()
            );
        }
    }
}

/// Each prefix is signed by the key, so that it is the structure's own reader which refuses it.
#[test]
fn case_16_case_17_no_prefix_of_a_quote_is_one_though_it_is_signed() {
    for key in keys() {
        let ak = AttestationKey::from_public(&key.public()).unwrap();
        let quote = honest_attest(&key);
        for prefix in prefixes(&quote) {
            let signature = key.sign(prefix).unwrap();
            assert!(
                VerifiedQuote::open(prefix, &signature, &ak).is_err(),
                "{}",
                prefix.len()
            );
        }
        let longer = [&quote[..], &[0]].concat();
        assert!(VerifiedQuote::open(&longer, &key.sign(&longer).unwrap(), &ak).is_err());
    }
}

fn honest_attest(key: &ForgedKey) -> Vec<u8> {
    let host = Host::new();
    let tpm = SoftTpm::new(key.clone());
    let banks = [lazaret_forge::bank::Bank::Sha1, lazaret_forge::bank::Bank::Sha256];
    let selection = banks.map(|bank| (bank, &[0_u8, 7, 10][..]));
    let attest: Attest = tpm.attest(&[5; 32], &selection, &host.pcrs());
    attest.bytes()
}

/// A boot log has no count or end mark: a prefix that ends with an event is a log of fewer events. Any other is an error.
#[test]
fn a_prefix_of_a_boot_log_is_an_error_or_the_log_of_its_whole_events() {
    for form in [LogForm::CryptoAgile, LogForm::Sha1Only] {
        let mut server = typical_server();
        server.log_form = form;
        server.startup_locality = 3;
        let boot = server.boot();
        let bytes = boot.bytes();
        let whole = BootLog::parse(&bytes).unwrap();
        let mut events = BTreeSet::new();
        for prefix in prefixes(&bytes) {
            match BootLog::parse(prefix) {
                Ok(log) => {
                    assert_eq!(Some(log.events()), whole.events().get(..log.events().len()));
                    assert!(events.insert(log.events().len()), "one length for each count");
                }
                Err(BootLogError::Empty) => assert!(prefix.is_empty()),
                Err(error) => assert!(matches!(error, BootLogError::Read { .. }), "{error}"),
            }
        }
        assert_eq!(events, (1..whole.events().len()).collect());
    }
}

/// The same for an IMA list in both forms; only a text list may also end within the last line's path, where the newline
/// is missing, which is an error.
#[test]
fn a_prefix_of_an_ima_list_is_an_error_or_the_list_of_its_whole_entries() {
    for template in Template::ALL {
        let mut server = typical_server();
        server.ima.files = 6;
        server.ima.template = template;
        let list = server.ima.boot(&server.boot().pcrs());
        for (bytes, entry) in [
            (
                list.binary(),
                list.entries.iter().map(|e| e.binary().len()).collect::<Vec<_>>(),
            ),
            (list.text(), list.entries.iter().map(|e| e.text().len()).collect()),
        ] {
            let mut ends = BTreeSet::from([0]);
            ends.extend(entry.iter().scan(0, |sum, length| {
                *sum += length;
                Some(*sum)
            }));
            for prefix in prefixes(&bytes) {
                let mut cursor = ImaList::new(prefix).cursor();
                let mut read = 0;
                let ended = loop {
                    match cursor.next_entry() {
                        Ok(Some(_)) => read += 1,
                        Ok(None) => break true,
                        Err(_) => break false,
                    }
                };
                let told = format!("{}, {} bytes", template.name(), prefix.len());
                assert_eq!(ended, ends.contains(&prefix.len()), "{told}");
                // A line ends where another begins behind it: with half a line behind it, it is not known to end.
                let whole = ends.range(..=prefix.len()).count() - 1;
                assert!(read == whole || (!ended && read + 1 == whole), "{told}");
            }
        }
    }
}

#[test]
fn no_prefix_of_any_part_of_the_evidence_affirms() {
    for (text, rsa) in [(false, true), (true, false)] {
        let mut server = typical_server();
        server.ima.files = 8;
        let mut host = Host::booting(&server);
        if rsa {
            host.tpm = SoftTpm::rsa2048().unwrap();
        }
        host.text = text;
        let golden = host.policy();
        let challenge = host.challenge(0);
        let honest = host.answer(&challenge);
        assert_eq!(
            host.judge(&honest, &challenge, &golden, None).verdict,
            Verdict::Affirming
        );
        let parts: [fn(&mut Evidence) -> &mut Vec<u8>; 4] = [
            |evidence| &mut evidence.quote,
            |evidence| &mut evidence.signature,
            |evidence| &mut evidence.boot_log,
            |evidence| &mut evidence.ima_log,
        ];
        for part in parts {
            let mut evidence = honest.clone();
            while part(&mut evidence).pop().is_some() {
                let verdict = host.judge(&evidence, &challenge, &golden, None).verdict;
                assert_ne!(verdict, Verdict::Affirming, "{} bytes", part(&mut evidence).len());
            }
        }
    }
}

#[test]
fn no_prefix_of_an_ek_certificate_or_of_its_roots_is_accepted() {
    let forged = Endorsement::p256().unwrap();
    let files = [
        ("root", forged.root.as_slice()),
        ("maker", forged.intermediate.as_slice()),
    ];
    let roots = Roots::from_pem_or_der(files).unwrap();
    assert!(EndorsedKey::open(&forged.certificate, &forged.ek_public, &roots, host::NOW).is_ok());
    for prefix in prefixes(&forged.certificate) {
        assert!(EndorsedKey::open(prefix, &forged.ek_public, &roots, host::NOW).is_err());
    }
    for prefix in prefixes(&forged.ek_public) {
        assert!(EndorsedKey::open(&forged.certificate, prefix, &roots, host::NOW).is_err());
    }
    for prefix in prefixes(&forged.root) {
        assert!(
            Roots::from_pem_or_der([("root", prefix)]).is_err(),
            "{}",
            prefix.len()
        );
    }
}

/// A policy's text has no end mark either: a prefix may be a shorter policy, but it never panics, and none without the
/// golden values of the list lets the whole list's host pass as if it were the policy itself.
#[test]
fn a_prefix_of_a_policy_is_an_error_with_its_line_or_another_policy() {
    let captured = Host::new().captured();
    let whole = host::read(&captured).digest();
    let lines = captured.policy_toml.lines().count();
    for length in 0..captured.policy_toml.len() {
        let Some(prefix) = captured.policy_toml.get(..length) else {
            continue;
        };
        match Policy::parse(prefix, &mut |_| Ok(captured.list.clone())) {
            Ok(policy) => assert_ne!(policy.digest(), whole, "{length}"),
            Err(error) => assert!((1..=lines + 1).contains(&error.line), "{length}: {error}"),
        }
    }
    for length in 0..captured.list.len() {
        let prefix = captured.list.get(..length).unwrap().to_owned();
        let complete = prefix.is_empty() || prefix.ends_with('\n');
        match Policy::parse(&captured.policy_toml, &mut |_| Ok(prefix.clone())) {
            Ok(policy) => assert_ne!(policy.digest(), whole, "{length}"),
            Err(error) => assert!(!complete && error.file.is_some(), "{length}: {error}"),
        }
    }
}
