//! The list as a whole: its proof, its first entry, what was trimmed, how far it runs ahead.

use super::*;

#[test]
fn a_list_proven_by_sha1_alone_is_told() {
    let mut host = Host::new();
    let policy = rules(&host, "", "");
    host.padded = true;
    expect(&host.round(&policy), Verdict::Warning, &[Code::ImaSha1Only]);
    host.padded = false;
    expect(&host.round(&policy), Verdict::Affirming, &[]);
    host.selection = "sha1:10+sha256:0,1,2,3,4,5,6,7,8,9";
    let result = host.round(&policy);
    expect(&result, Verdict::Warning, &[Code::ImaSha1Only]);
    assert!(result.claims.ima.unwrap().by_sha1_alone);
}

/// Kernels since 5.8 pad SHA-1 only in a bank whose algorithm they lack: the other bank still proves the list.
#[test]
fn a_bank_that_the_kernel_pads_beside_one_that_it_does_not_costs_nothing() {
    let mut host = Host::new();
    let policy = rules(&host, "", "");
    let padded = host.ima.entries.iter().fold(vec![0; 48], |pcr, entry| {
        let mut digest = Bank::Sha1.hash(&[&entry.hashed_data()]);
        digest.resize(48, 0);
        Bank::Sha384.hash(&[&pcr, &digest])
    });
    host.force = vec![(Bank::Sha384, 10, padded)];
    host.selection = "sha256:0,1,2,3,4,5,6,7,8,9,10,14+sha384:10";
    let result = host.round(&policy);
    expect(&result, Verdict::Affirming, &[]);
    assert!(!result.claims.ima.unwrap().by_sha1_alone);
}

#[test]
fn case_58_boot_aggregate_is_compared_by_the_old_formula_as_well() {
    let mut host = Host::new();
    let policy = rules(&host, "", "");
    let pcrs = host.boot.pcrs();
    let old: Vec<&[u8]> = (0..8)
        .map(|index| pcrs.value(Bank::Sha256, index).unwrap())
        .collect();
    host.ima.entries[0].file_digest = Bank::Sha256.hash(&old);
    let result = host.round(&policy);
    expect(&result, Verdict::Affirming, &[]);
    assert_eq!(result.claims.ima.unwrap().boot_aggregate, BootAggregate::Matches);
    // PCR 8 and 9 are not quoted: a digest that is not the old formula's may be the new one's.
    host.selection = "sha256:0,1,2,3,4,5,6,7,10";
    expect(&host.round(&policy), Verdict::Affirming, &[]);
    host.ima.entries[0].file_digest[0] ^= 1;
    expect(
        &host.round(&policy),
        Verdict::Warning,
        &[Code::ImaBootAggregateUnproven],
    );
    host.selection = "sha256:0,1,2,3,4,5,6,7,8,9,10";
    expect(
        &host.round(&policy),
        Verdict::Contraindicated,
        &[Code::ImaBootAggregateDiffers],
    );
}

/// A kernel that trims its list: what we covered may be gone, nothing else.
#[test]
fn case_56_a_trimmed_list_passes_only_where_a_checkpoint_covers_its_head() {
    for text in [false, true] {
        let mut host = Host::new();
        host.text = text;
        let policy = rules(&host, "", "");
        let history = host.round(&policy).history.unwrap();
        let covered = usize::try_from(history.ima.as_ref().unwrap().entries).unwrap();
        host.ima.measure("/usr/bin/later", b"later");
        host.ima.measure("/usr/bin/last", b"last");
        let policy_knows = { rules(&host, "", "") };
        let history = lazaret_attest::result::History {
            policy_digest: policy_knows.digest_at(host.now),
            ..history
        };
        let list = |first: usize| {
            if text {
                host.ima.text_from(first)
            } else {
                host.ima.binary_from(first)
            }
        };
        for first in [covered, covered - 1, 3, 1] {
            let challenge = host.challenge(0);
            for told in [0, u64::try_from(first).unwrap()] {
                let mut evidence = host.clone().answer(&challenge);
                evidence.ima_log = list(first);
                evidence.ima_first = told;
                let with = host.judge(&evidence, &challenge, &policy_knows, Some(&history));
                expect(&with, Verdict::Affirming, &[]);
                let ima = with.claims.ima.unwrap();
                assert_eq!((ima.first, ima.covered), (covered as u64, covered as u64 + 2));
                let without = host.judge(&evidence, &challenge, &policy_knows, None);
                expect(&without, Verdict::Indeterminate, &[Code::ImaListTrimmed]);
            }
        }
        // Trimmed behind our checkpoint: what lies between was never appraised.
        let challenge = host.challenge(0);
        let mut evidence = host.clone().answer(&challenge);
        evidence.ima_log = list(covered + 1);
        let behind = host.judge(&evidence, &challenge, &policy_knows, Some(&history));
        expect(&behind, Verdict::Indeterminate, &[Code::ImaListTrimmed]);
        assert_eq!(
            behind.history.unwrap().ima,
            history.ima,
            "the checkpoint is not lost"
        );
        // A list with its head whose entries were changed is not trimmed but wrong, checkpoint or not.
        let mut forged = host.clone();
        forged.ima.entries.remove(2);
        evidence.ima_log = if text {
            forged.ima.text()
        } else {
            forged.ima.binary()
        };
        let wrong = host.judge(&evidence, &challenge, &policy_knows, Some(&history));
        expect(&wrong, Verdict::Contraindicated, &[Code::ImaReplayMismatch]);
    }
}

/// The kernel's own time between listing and extending is short; a policy may give it some, and no longer.
#[test]
fn case_54_a_lag_lasts_as_long_as_the_policy_allows() {
    let mut host = Host::new();
    let policy = rules(&host, "lag_limit_s = 600", "");
    host.covered = Some(host.ima.entries.len());
    host.ima.measure("/usr/bin/evil", b"evil");
    let mut history = host.round(&policy).history.unwrap();
    for (seconds, lags) in [
        (10, false),
        (599, false),
        (600, true),
        (100_000, true),
        (-5, true),
    ] {
        host.now = NOW + seconds;
        let result = host.round_from(&policy, Some(&history), 0);
        if lags {
            expect(&result, Verdict::Indeterminate, &[Code::ImaLag]);
        } else {
            expect(&result, Verdict::Affirming, &[]);
            history = result.history.unwrap();
        }
    }
    // It catches up, and a new tail has its own time.
    host.now = NOW + 700;
    host.covered = None;
    let caught = host.round_from(&policy, Some(&history), 0);
    assert!(caught.findings.iter().all(|finding| finding.code != Code::ImaLag));
    let history = caught.history.unwrap();
    host.covered = Some(host.ima.entries.len());
    host.ima.measure("/usr/bin/more", b"more");
    let history = host.round_from(&policy, Some(&history), 0).history.unwrap();
    assert_eq!(history.ima_listed_at, NOW + 700);
}
