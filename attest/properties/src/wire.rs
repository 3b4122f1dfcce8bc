//! Messages from an agent that may be anyone.

use lazaret_attest::evidence;
use lazaret_attest::verdict::Verdict;
use lazaret_wire::{
    Activate, Activated, Attest, Evidence, Identity, Message, PcrValue, Problem, decode, encode,
};

use crate::memory::bounded;
use crate::scene::scene;

/// The first byte tells the message, the rest is its body: one body for each message, and memory in proportion to it.
pub fn wire_messages(data: &[u8]) {
    let Some((kind, body)) = data.split_first() else {
        return;
    };
    match kind % 6 {
        0 => whole::<Identity>(body),
        1 => whole::<Activate>(body),
        2 => whole::<Activated>(body),
        3 => whole::<Attest>(body),
        4 => answered(body),
        _ => whole::<Problem>(body),
    }
}

fn whole<T: Message>(body: &[u8]) {
    bounded(body, 16, 64 * 1024, || {
        let _ = decode::<T>(body);
    });
    if let Ok(message) = decode::<T>(body) {
        let again = encode(&message);
        assert!(again.is_ok_and(|again| again == body), "{} in two forms", T::NAME);
    }
}

/// Evidence that comes over the wire affirms only with the honest quote and values.
fn answered(body: &[u8]) {
    whole::<Evidence>(body);
    let Ok(message) = decode::<Evidence>(body) else {
        return;
    };
    let Ok(evidence) = evidence::Evidence::try_from(message) else {
        return;
    };
    let scene = scene();
    if scene.judge(&evidence).verdict == Verdict::Affirming {
        let sorted = |evidence: &evidence::Evidence| {
            let mut values = evidence.pcrs.clone();
            values.sort();
            values
        };
        assert_eq!(evidence.quote, scene.honest.quote);
        assert_eq!(sorted(&evidence), sorted(&scene.honest));
    }
}

/// The honest host's answer, for the seeds.
pub(crate) fn honest() -> Evidence {
    let honest = &scene().honest;
    Evidence {
        quote: honest.quote.clone(),
        signature: honest.signature.clone(),
        pcrs: honest
            .pcrs
            .iter()
            .map(|value| PcrValue {
                alg: value.bank.id(),
                index: value.index,
                digest: value.digest.clone(),
            })
            .collect(),
        boot_log: honest.boot_log.clone(),
        ima_log: honest.ima_log.clone(),
        ima_first: 0,
    }
}
