//! The core's memory: what it holds for a host between rounds, and the most it holds while a long list is judged.

#[path = "../tests/core/host.rs"]
#[expect(dead_code, reason = "the core's tests use more of it")]
#[expect(unused_macros, unused_imports, reason = "the core's tests use more of it")]
mod host;

use std::hint::black_box;
use std::mem::size_of;

use allocation_counter::measure;
use lazaret_attest::key::AttestationKey;
use lazaret_attest::result::{AttestationResult, History};
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bootlog::typical_server;
use lazaret_forge::softtpm::SoftTpm;

use host::Host;

/// Bytes of a value: its own, and those that it holds.
fn held<T>(make: impl FnOnce() -> T) -> usize {
    let mut kept = None;
    let used = measure(|| kept = Some(make()));
    black_box(&kept);
    size_of::<T>() + usize::try_from(used.bytes_current).unwrap_or(0)
}

fn row(what: &str, bytes: usize, target: &str, met: bool) {
    println!(
        "| {what} | {bytes} B | {target} | {} |",
        if met { "yes" } else { "NO" }
    );
}

fn main() {
    let mut server = typical_server();
    server.ima.files = 100_000;
    let mut host = Host::booting(&server);
    host.tpm = SoftTpm::rsa2048().expect("a key");
    let policy = host.policy();
    println!("| what | memory | target | met |\n| --- | --- | --- | --- |");
    for text in [false, true] {
        host.text = text;
        let challenge = host.challenge(0);
        let evidence = host.answer(&challenge);
        let key = host.key();
        let input = lazaret_attest::verify::Input {
            evidence: &evidence,
            challenge: &challenge,
            key: &key,
            policy: &policy,
            history: None,
            now: host::NOW,
        };
        let mut result = None;
        let used = measure(|| result = Some(lazaret_attest::verify::verify(&input, &mut |_| {})));
        let result: AttestationResult = result.expect("a result");
        assert_eq!(result.verdict, Verdict::Affirming, "{:?}", result.findings);
        let list = evidence.ima_log.len();
        let peak = list + usize::try_from(used.bytes_max).unwrap_or(usize::MAX);
        let form = if text { "text" } else { "binary" };
        let what = format!("peak, list of 100,000 entries, {form} ({list} B), the list included");
        row(&what, peak, "3 times the list", peak < 3 * list);
        if text {
            continue;
        }
        let history: History = result.history.clone().expect("a genuine quote");
        let public = host.tpm.key.public();
        let state = held(|| history.clone());
        let parsed = held(|| AttestationKey::from_public(&public).expect("an attestation key"));
        let whole = held(|| result.clone());
        row(
            "what is remembered of a host (History)",
            state,
            "16 KiB",
            state < 16 * 1024,
        );
        row("its parsed attestation key, RSA-2048", parsed, "", true);
        row("its last result, claims included", whole, "", true);
        let sum = state + parsed + whole;
        row(
            "a host's state in the core, all three",
            sum,
            "16 KiB",
            sum < 16 * 1024,
        );
    }
}
