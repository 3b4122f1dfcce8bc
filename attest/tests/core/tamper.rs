//! Every byte of honest evidence changed, every prefix, and random bytes.

use lazaret_attest::boot_log::BootLog;
use lazaret_attest::evidence::Evidence;
use lazaret_attest::ima::ImaList;
use lazaret_attest::policy::Policy;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bootlog::event::EventType;
use lazaret_forge::bootlog::typical_server;
use proptest::prelude::*;

use crate::host::{Host, read};

const NONE: [usize; 0] = [];

fn small(text: bool) -> Host {
    let mut server = typical_server();
    server.ima.files = 3;
    let mut host = Host::booting(&server);
    host.text = text;
    host.boot.events.truncate(24);
    host.ima = server.ima.boot(&host.boot.pcrs());
    host
}

/// Flips one bit of each byte in turn; returns the offsets where the verdict stays Affirming.
fn survivors(text: bool, part: fn(&mut Evidence) -> &mut Vec<u8>) -> Vec<usize> {
    let mut host = small(text);
    let golden = read(&host.captured());
    let challenge = host.challenge(0);
    let honest = host.answer(&challenge);
    assert_eq!(
        host.judge(&honest, &challenge, &golden, None).verdict,
        Verdict::Affirming
    );
    let length = part(&mut honest.clone()).len();
    (0..length)
        .filter(|at| {
            let mut evidence = honest.clone();
            part(&mut evidence)[*at] ^= 0x04;
            host.judge(&evidence, &challenge, &golden, None).verdict == Verdict::Affirming
        })
        .collect()
}

#[test]
fn no_changed_byte_of_the_quote_affirms() {
    assert_eq!(survivors(false, |evidence| &mut evidence.quote), NONE);
}

#[test]
fn no_changed_byte_of_the_signature_affirms() {
    assert_eq!(survivors(false, |evidence| &mut evidence.signature), NONE);
}

#[test]
fn no_changed_byte_of_a_pcr_value_affirms() {
    for at in 0..24 {
        let mut host = small(false);
        let golden = host.policy();
        let challenge = host.challenge(0);
        let honest = host.answer(&challenge);
        for byte in 0..honest.pcrs[at].digest.len() {
            let mut evidence = honest.clone();
            evidence.pcrs[at].digest[byte] ^= 0x04;
            assert_ne!(
                host.judge(&evidence, &challenge, &golden, None).verdict,
                Verdict::Affirming,
                "{at}, {byte}"
            );
        }
    }
}

/// What the TPM's digests do not cover in a boot log, by name: it may be changed and decides nothing.
/// - the header's PCR index and type-independent digest, its platform class, versions, errata and pointer size;
/// - each event's type, as long as it stays or becomes none that binds its data, or EV_NO_ACTION;
/// - the data of events whose digest covers something else.
#[test]
fn every_changed_byte_of_the_boot_log_is_refused_or_named() {
    let host = small(false);
    let mut named = Vec::new();
    named.extend(0..4); // header: PCR index
    named.extend(8..28); // header: digest
    named.extend(48..56); // header: platform class, versions, errata, pointer size
    let mut at = 8 + 20 + 4 + 16 + 8 + 4 + 2 * 4 + 1;
    for event in &host.boot.events {
        let data = at + 12 + 22 + 34 + 4;
        named.extend(at + 4..at + 8);
        let bound = [
            EventType::SEPARATOR,
            EventType::S_CRTM_VERSION,
            EventType::EFI_ACTION,
            EventType::EFI_VARIABLE_DRIVER_CONFIG,
        ];
        if !bound.contains(&event.kind) {
            named.extend(data..data + event.data.len());
        }
        at = data + event.data.len();
    }
    assert_eq!(at, host.boot.bytes().len());
    let survived = survivors(false, |evidence| &mut evidence.boot_log);
    let unnamed: Vec<usize> = survived
        .iter()
        .copied()
        .filter(|at| !named.contains(at))
        .collect();
    assert_eq!(unnamed, NONE);
    assert!(!survived.is_empty(), "the list of names is not vacuous");
}

/// In an IMA list only the printed template digest (SHA-1, not what the SHA-256 bank extends) is not covered. Turning
/// it into zeros would make the entry a violation, which extends ones and does not replay.
#[test]
fn every_changed_byte_of_the_ima_list_is_refused_or_named() {
    let host = small(false);
    let mut named = Vec::new();
    let mut at = 0;
    for entry in &host.ima.entries {
        named.extend(at + 4..at + 24);
        at += entry.binary().len();
    }
    assert_eq!(survivors(false, |evidence| &mut evidence.ima_log), named);

    let host = small(true);
    let mut named = Vec::new();
    let mut at = 0;
    for entry in &host.ima.entries {
        named.extend(at + 3..at + 43);
        at += entry.text().len();
    }
    // A digit may become none, which is refused; and upper case hexadecimal reads the same.
    let unnamed: Vec<usize> = survivors(true, |evidence| &mut evidence.ima_log)
        .into_iter()
        .filter(|at| !named.contains(at))
        .collect();
    assert_eq!(unnamed, NONE);
}

#[test]
fn no_prefix_of_any_part_affirms() {
    for text in [false, true] {
        let mut host = small(text);
        let golden = read(&host.captured());
        let challenge = host.challenge(0);
        let honest = host.answer(&challenge);
        let parts: [fn(&mut Evidence) -> &mut Vec<u8>; 4] = [
            |evidence| &mut evidence.quote,
            |evidence| &mut evidence.signature,
            |evidence| &mut evidence.boot_log,
            |evidence| &mut evidence.ima_log,
        ];
        for part in parts {
            for length in 0..part(&mut honest.clone()).len() {
                let mut evidence = honest.clone();
                part(&mut evidence).truncate(length);
                let verdict = host.judge(&evidence, &challenge, &golden, None).verdict;
                assert_ne!(verdict, Verdict::Affirming, "{length}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn random_bytes_never_panic_a_parser(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = BootLog::parse(&bytes);
        let mut cursor = ImaList::new(&bytes).cursor();
        while let Ok(Some(_)) = cursor.next_entry() {}
    }

    #[test]
    fn random_changes_of_logs_never_panic_and_random_text_is_no_policy_that_does(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        text in "\\PC{0,80}",
    ) {
        let host = small(true);
        for bytes in [host.boot.bytes(), host.ima.binary(), host.ima.text()] {
            let mut bytes = bytes;
            for (at, value) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            let _ = BootLog::parse(&bytes);
            let mut cursor = ImaList::new(&bytes).cursor();
            while let Ok(Some(_)) = cursor.next_entry() {}
        }
        let _ = Policy::parse(&text, &mut |_| Ok(text.clone()));
        let toml = "name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]\n";
        let _ = Policy::parse(toml, &mut |_| Ok(text.clone()));
    }
}
