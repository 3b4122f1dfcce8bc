//! The TCG event log.

use lazaret_attest::boot_log::BootLog;
use lazaret_attest::finding::Code;
use lazaret_attest::pcr::HashAlg;
use lazaret_attest::result::AttestationResult;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;

use crate::memory::bounded;
use crate::oracle::{self, Event};
use crate::scene::{BANKS, Scene, scene};

/// A log is read as the standard says and replays as it says; it affirms only if each PCR's digests are the honest ones;
/// and what it claims does not hang on what its events call themselves.
pub fn boot_log(data: &[u8]) {
    let scene = scene();
    bounded(data, 24, 64 * 1024, || {
        let _ = BootLog::parse(data);
    });
    let parsed = BootLog::parse(data);
    assert_eq!(parsed, BootLog::parse(data));
    let Ok(log) = parsed else {
        let result = with_log(scene, data);
        assert_ne!(result.verdict, Verdict::Affirming, "what is no log affirms");
        return;
    };
    let Some(events) = oracle::boot_log(data) else {
        panic!("a log is read whose events do not end");
    };
    assert_eq!(log.events().len(), events.len());
    for bank in BANKS {
        same_values(&log, &events, bank);
    }

    let result = with_log(scene, data);
    if result.verdict == Verdict::Affirming {
        let honest = oracle::boot_log(&scene.honest.boot_log).unwrap_or_default();
        for pcr in 0..24 {
            assert_eq!(extends(&events, pcr), extends(&honest, pcr), "PCR {pcr}");
        }
    }
    whole_ladder(scene, data, &events);
}

fn with_log(scene: &Scene, data: &[u8]) -> AttestationResult {
    let mut evidence = scene.honest.clone();
    evidence.boot_log = data.to_vec();
    scene.judge(&evidence)
}

fn same_values(log: &BootLog<'_>, events: &[Event], bank: Bank) {
    let Some(alg) = HashAlg::from_id(bank.id()) else {
        return;
    };
    let values = log.values(alg);
    let expected = oracle::replay(events, bank);
    assert_eq!(values.is_ok(), expected.is_some(), "{bank}: {values:?}");
    let (Ok(values), Some(expected)) = (values, expected) else {
        return;
    };
    for (index, value) in &values {
        assert_eq!(Some(value), expected.get(&u32::from(*index)), "{bank}:{index}");
    }
    for (index, value) in &expected {
        let ours = u8::try_from(*index).ok().and_then(|index| values.get(&index));
        assert_eq!(Some(value), ours, "{bank}:{index}");
    }
}

/// What is extended into a PCR, in order, in the two banks of the scene.
fn extends(events: &[Event], pcr: u32) -> Vec<Vec<&[u8]>> {
    let of = |event: &&Event| event.pcr == pcr && event.kind != 3;
    events
        .iter()
        .filter(of)
        .map(|event| {
            let digest = |bank: &Bank| {
                let found = event.digests.iter().find(|(alg, _)| *alg == bank.id());
                found.map(|(_, digest)| digest.as_slice()).unwrap_or_default()
            };
            BANKS.iter().map(digest).collect()
        })
        .collect()
}

/// A TPM that holds what this log leads to: everything behind the replay then reads the log, and may believe no type.
fn whole_ladder(scene: &Scene, data: &[u8], events: &[Event]) {
    let mut pcrs = scene.pcrs();
    for bank in BANKS {
        let Some(values) = oracle::replay(events, bank) else {
            return;
        };
        for index in (0..10).chain([14]) {
            let reset = vec![0; bank.digest_len()];
            let value = values.get(&u32::from(index)).unwrap_or(&reset);
            pcrs.force(bank, index, value.clone());
        }
    }
    let evidence = scene.evidence(&pcrs, data.to_vec(), scene.honest.ima_log.clone());
    let result = scene.judge(&evidence);
    let refused = [
        Code::BootLogReplayMismatch,
        Code::BootLogGarbled,
        Code::PcrValuesDiffer,
    ];
    for finding in &result.findings {
        assert!(!refused.contains(&finding.code), "{finding}");
    }
    let mut retyped = evidence.clone();
    for event in events.iter().filter(|event| event.kind != 3) {
        if let Some(kind) = retyped.boot_log.get_mut(event.kind_at..event.kind_at + 4) {
            // A type that no table knows.
            kind.copy_from_slice(&0x7fff_fff7_u32.to_le_bytes());
        }
    }
    let other = scene.judge(&retyped);
    assert_eq!(other.claims, result.claims, "a claim hangs on an event's type");
}
