//! The core's speed, as ratios in one run: each figure beside that of the least work that could do the same, on the same
//! input. `make bench` runs it; docs/performance.md has a table of it.
//!
//! Times are CPU time of this thread, the least of several runs, each side in turn: another load on the machine changes
//! both. criterion and divan measure each side by itself and print no ratios.

#[path = "../tests/core/host.rs"]
#[expect(dead_code, reason = "the core's tests use more of it")]
#[expect(unused_macros, unused_imports, reason = "the core's tests use more of it")]
mod host;

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use lazaret_attest::challenge::Challenge;
use lazaret_attest::evidence::Evidence;
use lazaret_attest::key::{AttestationKey, KeyMaterial};
use lazaret_attest::policy::Policy;
use lazaret_attest::quote::VerifiedQuote;
use lazaret_attest::result::History;
use lazaret_attest::verdict::Verdict;
use lazaret_attest::verify::{Input, verify};
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::event::EventType;
use lazaret_forge::bootlog::typical_server;
use lazaret_forge::softtpm::SoftTpm;
use rustix::time::{ClockId, clock_gettime};

use host::Host;

const SHA256: &str = "sha256:0,1,2,3,4,5,6,7,8,9,10,14";
const BOTH: &str = host::SELECTION;
const BOOT_ONLY: &str = "sha1:0,1,2,3,4,5,6,7,8,9,14+sha256:0,1,2,3,4,5,6,7,8,9,14";

fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

/// The least time of one call, of both sides in turn.
fn least(rounds: usize, calls: u32, mut ours: impl FnMut(), mut bare: impl FnMut()) -> (Duration, Duration) {
    let mut least = (Duration::MAX, Duration::MAX);
    for _ in 0..rounds {
        let began = cpu();
        (0..calls).for_each(|_| ours());
        let between = cpu();
        (0..calls).for_each(|_| bare());
        let ended = cpu();
        least.0 = least.0.min((between - began) / calls);
        least.1 = least.1.min((ended - between) / calls);
    }
    least
}

fn micros(time: Duration) -> String {
    format!("{:.1} us", time.as_secs_f64() * 1e6)
}

fn row(what: &str, (ours, bare): (Duration, Duration), of: &str, target: &str, met: bool) {
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    let met = if met { "yes" } else { "NO" };
    println!(
        "| {what} | {} | {} ({of}) | {ratio:.2} | {target} | {met} |",
        micros(ours),
        micros(bare)
    );
}

fn ratio_row(what: &str, times: (Duration, Duration), of: &str, target: f64) {
    let met = times.0.as_secs_f64() <= target * times.1.as_secs_f64();
    row(what, times, of, &format!("ratio {target}"), met);
}

/// A host with such a key whose boot log has `events` events and whose list has `files` files.
fn make(rsa: bool, events: usize, files: usize, selection: &'static str) -> Host {
    let mut server = typical_server();
    server.ima.files = files;
    let mut host = Host::booting(&server);
    if rsa {
        host.tpm = SoftTpm::rsa2048().expect("a key");
    }
    let mut n = 0_u32;
    while host.boot.events.len() + 1 < events {
        n += 1;
        host.boot
            .measure(9, EventType(0x0D), format!("/boot/file-{n}\0").as_bytes());
    }
    host.ima = server.ima.boot(&host.boot.pcrs());
    host.selection = selection;
    host
}

fn key_bytes(material: &KeyMaterial) -> Vec<u8> {
    match material {
        KeyMaterial::Ec { x, y, .. } => [&[4], x.as_slice(), y.as_slice()].concat(),
        KeyMaterial::Rsa { .. } => material.to_spki(),
    }
}

fn quote_check(rsa: bool) {
    let mut host = make(rsa, 2, 1, BOTH);
    let key = host.key();
    let challenge = host.challenge(0);
    let evidence = host.answer(&challenge);
    let checked = || {
        let quote = VerifiedQuote::open(black_box(&evidence.quote), &evidence.signature, &key)
            .and_then(|quote| quote.answers(&challenge))
            .and_then(|quote| quote.with_pcrs(&evidence.pcrs));
        assert!(black_box(quote).is_ok());
    };
    let (algorithm, signature): (&'static dyn VerificationAlgorithm, Vec<u8>) = if rsa {
        (&RSA_PKCS1_2048_8192_SHA256, evidence.signature[6..].to_vec())
    } else {
        let (r, s) = (&evidence.signature[6..38], &evidence.signature[40..72]);
        (&ECDSA_P256_SHA256_FIXED, [r, s].concat())
    };
    let parsed = ParsedPublicKey::new(algorithm, key_bytes(key.material())).expect("the same key");
    let bare = || {
        assert!(parsed.verify_sig(black_box(&evidence.quote), &signature).is_ok());
    };
    let name = if rsa { "RSA-2048" } else { "ECDSA P-256" };
    let times = least(40, 100, checked, bare);
    ratio_row(&format!("quote check, {name}"), times, "signature alone", 1.3);
}

/// One whole round, with the key parsed before, as the daemon keeps it.
fn judged(
    key: &AttestationKey,
    policy: &Policy,
    (evidence, challenge): (&Evidence, &Challenge),
    history: Option<&History>,
) {
    let input = Input {
        evidence: black_box(evidence),
        challenge,
        key,
        policy,
        history,
        now: host::NOW,
    };
    let result = verify(&input, &mut |_| {});
    assert_eq!(result.verdict, Verdict::Affirming, "{:?}", result.findings);
    black_box(result);
}

/// The digest of each entry's data, extended, in each bank.
fn hashed(entries: &[Vec<u8>], banks: &[&'static digest::Algorithm]) {
    for bank in banks {
        let mut pcr = vec![0; bank.output_len()];
        for data in entries {
            let entry = digest::digest(bank, data);
            let mut context = digest::Context::new(bank);
            context.update(&pcr);
            context.update(entry.as_ref());
            pcr.copy_from_slice(context.finish().as_ref());
        }
        black_box(pcr);
    }
}

fn banks(selection: &str) -> Vec<&'static digest::Algorithm> {
    if selection.contains("sha1:") {
        vec![&digest::SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA256]
    } else {
        vec![&digest::SHA256]
    }
}

fn ima() {
    let mut host = make(true, 60, 100_000, BOTH);
    let captured = host.captured();
    let key = host.key();
    let mut list = captured.list.clone();
    for n in 0..50_000_u32 {
        let digest = Bank::Sha256.hash(&[&n.to_le_bytes()]);
        list.push_str(&format!("{}  /usr/share/other/file-{n}\n", hex::encode(digest)));
    }
    let policy = host::policy(&captured.policy_toml, &list);
    let entries: Vec<Vec<u8>> = host.ima.entries.iter().map(|entry| entry.hashed_data()).collect();
    for (selection, names) in [(SHA256, "sha256"), (BOTH, "sha1 and sha256")] {
        for text in [false, true] {
            host.selection = selection;
            host.text = text;
            let challenge = host.challenge(0);
            let evidence = host.answer(&challenge);
            let banks = banks(selection);
            let times = least(
                7,
                1,
                || judged(&key, &policy, (&evidence, &challenge), None),
                || hashed(&entries, &banks),
            );
            let form = if text { "text" } else { "binary" };
            let what = format!("whole round, 100,000 IMA entries against 150,000 digests, {form}, {names}");
            ratio_row(&what, times, "hashing alone", 2.0);
        }
    }
}

fn boot_log() {
    let mut host = make(true, 128, 1, BOTH);
    let policy = captured_boot(&mut host);
    let key = host.key();
    host.selection = BOOT_ONLY;
    let challenge = host.challenge(0);
    let evidence = host.answer(&challenge);
    let digests: Vec<Vec<u8>> = host
        .boot
        .extends()
        .iter()
        .flat_map(|(_, digests)| digests.values().cloned().collect::<Vec<_>>())
        .collect();
    let (sha1, sha256): (Vec<_>, Vec<_>) = digests.into_iter().partition(|digest| digest.len() == 20);
    let extend = |bank: &'static digest::Algorithm, digests: &[Vec<u8>]| {
        let mut pcr = vec![0; bank.output_len()];
        for measured in digests {
            let mut context = digest::Context::new(bank);
            context.update(&pcr);
            context.update(measured);
            pcr.copy_from_slice(context.finish().as_ref());
        }
        black_box(pcr);
    };
    let times = least(
        40,
        20,
        || judged(&key, &policy, (&evidence, &challenge), None),
        || {
            extend(&digest::SHA1_FOR_LEGACY_USE_ONLY, &sha1);
            extend(&digest::SHA256, &sha256);
        },
    );
    let met = times.0 < Duration::from_millis(1);
    row(
        "quote and boot log of 128 events, both banks",
        times,
        "extends alone",
        "1 ms",
        met,
    );
}

/// The captured policy without its files, for a selection without PCR 10.
fn captured_boot(host: &mut Host) -> Policy {
    let toml = host.captured().policy_toml;
    let boot = toml.split_once("[ima]").map_or(toml.as_str(), |(boot, _)| boot);
    host::policy(boot, "")
}

fn unchanged(rsa: bool, events: usize) {
    let mut host = make(rsa, events, 2_000, BOTH);
    let policy = host.policy();
    let history = host.round(&policy).history.expect("a genuine quote");
    let entries = history.ima.as_ref().expect("a checkpoint").entries;
    let challenge = host.challenge(entries);
    let evidence = host.answer(&challenge);
    assert!(evidence.ima_log.is_empty());
    let key = host.key();
    let times = least(
        60,
        20,
        || judged(&key, &policy, (&evidence, &challenge), Some(&history)),
        || assert!(VerifiedQuote::open(black_box(&evidence.quote), &evidence.signature, &key).is_ok()),
    );
    let name = if rsa { "RSA-2048" } else { "ECDSA P-256" };
    let what = format!("round in which nothing changed, {events} boot events, {name}");
    row(
        &what,
        times,
        "signature and parsing",
        "200 us",
        times.0 < Duration::from_micros(200),
    );
}

fn main() {
    println!("| what | time | least work | ratio | target | met |\n| --- | --- | --- | --- | --- | --- |");
    quote_check(true);
    quote_check(false);
    boot_log();
    for events in [60, 128] {
        unchanged(true, events);
        unchanged(false, events);
    }
    ima();
}
