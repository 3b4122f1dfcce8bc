//! Counters, reboots, and what is remembered between rounds.

use lazaret_attest::evidence::Evidence;
use lazaret_attest::finding::Code;
use lazaret_attest::key::AttestationKey;
use lazaret_attest::result::{AttestationResult, History};
use lazaret_attest::verdict::Verdict;
use lazaret_attest::verify::{Input, Part, verify};

use crate::host::{Change, Host, NOW, expect, policy};

#[test]
fn case_31_a_counter_that_falls_is_a_rollback_and_stays_one() {
    let changes: [(&str, Change, Code); 3] = [
        ("reset", |host| host.tpm.reset_count -= 1, Code::ResetCountFell),
        (
            "restart",
            |host| host.tpm.restart_count -= 1,
            Code::RestartCountFell,
        ),
        ("clock", |host| host.tpm.clock -= 5_000, Code::ClockFell),
    ];
    for (name, change, code) in changes {
        let mut host = Host::new();
        (host.tpm.reset_count, host.tpm.restart_count) = (5, 2);
        let policy = host.policy();
        let history = host.round(&policy).history.unwrap();
        change(&mut host);
        let first = host.round_from(&policy, Some(&history), 0);
        expect(&first, Verdict::Contraindicated, &[code]);
        // The confirming challenge sees it as well: the lower counter was not learnt.
        let second = host.round_from(&policy, first.history.as_ref(), 0);
        expect(&second, Verdict::Contraindicated, &[code]);
        assert_eq!(second.history, Some(history), "{name}");
    }
}

#[test]
fn case_32_a_reboot_demands_the_whole_list_and_the_boot_is_appraised_again() {
    let mut host = Host::new();
    let policy = host.policy();
    let history = host.round(&policy).history.unwrap();
    let at = history.ima.as_ref().unwrap().entries;

    let boot = host.boot.clone();
    host.reboot(boot);
    let slice = host.round_from(&policy, Some(&history), at);
    expect(&slice, Verdict::Indeterminate, &[Code::ImaFullListNeeded]);
    assert!(slice.full_list_needed);
    let whole = host.round_from(&policy, slice.history.as_ref(), 0);
    expect(&whole, Verdict::Affirming, &[]);
    assert!(!whole.full_list_needed);

    let mut boot = host.boot.clone();
    boot.events.retain(|event| event.pcr != 14);
    host.reboot(boot);
    expect(
        &host.round_from(&policy, whole.history.as_ref(), 0),
        Verdict::Contraindicated,
        &[Code::PcrNotGolden],
    );
}

#[test]
fn a_checkpoint_is_void_after_a_restart_and_for_another_policy_or_key() {
    let mut host = Host::new();
    let golden = host.policy();
    let history = host.round(&golden).history.unwrap();
    let at = history.ima.as_ref().unwrap().entries;
    expect(
        &host.round_from(&golden, Some(&history), at),
        Verdict::Affirming,
        &[],
    );

    let mut restarted = host.clone();
    restarted.tpm.restart_count += 1;
    let other = policy(
        "name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]",
        &host.ima.digest_list(),
    );
    let mut other_key = host.clone();
    other_key.tpm.key = lazaret_forge::softtpm::AttestationKey::p256("another");
    for (name, result) in [
        ("restart", restarted.round_from(&golden, Some(&history), at)),
        ("policy", host.round_from(&other, Some(&history), at)),
        ("key", other_key.round_from(&golden, Some(&history), at)),
        ("none", host.round_from(&golden, None, at)),
    ] {
        assert_eq!(
            (result.verdict, result.full_list_needed),
            (Verdict::Indeterminate, true),
            "{name}"
        );
    }
}

#[test]
fn case_33_a_clock_that_is_not_safe_after_our_own_fence_is_no_finding() {
    let mut host = Host::new();
    let policy = host.policy();
    host.tpm.safe = false;
    expect(&host.round(&policy), Verdict::Affirming, &[]);
}

#[test]
fn case_30_a_new_firmware_version_is_told_once() {
    let mut host = Host::new();
    let policy = host.policy();
    let history = host.round(&policy).history.unwrap();
    host.tpm.firmware_version += 1;
    let told = host.round_from(&policy, Some(&history), 0);
    expect(&told, Verdict::Warning, &[Code::FirmwareVersionChanged]);
    expect(
        &host.round_from(&policy, told.history.as_ref(), 0),
        Verdict::Affirming,
        &[],
    );
}

#[test]
fn what_is_not_signed_for_this_challenge_is_indeterminate_and_leaves_no_history() {
    let mut host = Host::new();
    let policy = host.policy();
    let challenge = host.challenge(0);
    let honest = host.answer(&challenge);
    let mut rows = Vec::new();
    let mut row = |code, change: &dyn Fn(&mut lazaret_attest::evidence::Evidence)| {
        let mut evidence = honest.clone();
        change(&mut evidence);
        rows.push((code, evidence));
    };
    row(Code::QuoteSignatureInvalid, &|evidence| evidence.quote[20] ^= 1);
    row(Code::QuoteGarbled, &|evidence| evidence.signature.truncate(3));
    row(Code::PcrValuesDiffer, &|evidence| evidence.pcrs[3].digest[0] ^= 1);
    row(Code::PcrValuesDiffer, &|evidence| drop(evidence.pcrs.pop()));
    let mut other = host.challenge(0);
    other.nonce = [8; 32];
    let replayed = host.answer(&other);
    rows.push((Code::QuoteNotForThisChallenge, replayed));
    let mut other = host.challenge(0);
    other.host = "cmp-2".to_owned();
    rows.push((Code::QuoteNotForThisChallenge, host.answer(&other)));
    let mut other = host.challenge(0);
    other.selection = "sha256:0,10".parse().unwrap();
    rows.push((Code::QuoteSelectionDiffers, host.answer(&other)));
    for (code, evidence) in rows {
        let result = host.judge(&evidence, &challenge, &policy, None);
        expect(&result, Verdict::Indeterminate, &[code]);
        assert_eq!(result.history, None, "{code}");
        assert_eq!(result.claims.quote, None, "{code}");
    }
    let error = AttestationKey::from_public(b"no key").unwrap_err();
    let result = lazaret_attest::verify::key_unusable(&error, &policy);
    expect(&result, Verdict::Indeterminate, &[Code::KeyUnusable]);
    assert_eq!(result.history, None);
}

#[test]
fn results_and_histories_go_through_json() {
    let mut host = Host::new();
    let policy = host.policy();
    host.ima.measure("/usr/bin/evil", b"evil");
    let result = host.round(&policy);
    let text = serde_json::to_string(&result).unwrap();
    assert!(
        text.contains("\"ima-file-unknown\"") && text.contains("\"contraindicated\""),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<AttestationResult>(&text).unwrap(), result);
    let history = serde_json::to_string(&result.history).unwrap();
    assert_eq!(
        serde_json::from_str::<Option<History>>(&history).unwrap(),
        result.history
    );
}

#[test]
fn the_observer_hears_of_each_part_in_order_and_of_none_behind_a_quote_that_failed() {
    let mut host = Host::new();
    let policy = host.policy();
    let challenge = host.challenge(0);
    let mut evidence = host.answer(&challenge);
    let key = host.key();
    let parts = |evidence: &Evidence| {
        let mut parts = Vec::new();
        let input = Input {
            evidence,
            challenge: &challenge,
            key: &key,
            policy: &policy,
            history: None,
            now: NOW,
        };
        verify(&input, &mut |part| parts.push(part));
        parts
    };
    let all = [Part::Quote, Part::BootLog, Part::Ima, Part::Appraisal];
    assert_eq!(parts(&evidence), all);
    evidence.boot_log.clear();
    assert_eq!(parts(&evidence), all);
    evidence.signature.clear();
    assert_eq!(parts(&evidence), [Part::Quote]);
}
