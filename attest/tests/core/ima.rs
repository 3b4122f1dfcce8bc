//! IMA cases, each with a binary and a text list.

use lazaret_attest::claims::BootAggregate;
use lazaret_attest::finding::{Code, MAX_LISTED_PER_CODE};
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::ima::{Entry, Format, List, Template};

use crate::host::{Host, cases, expect, policy};

fn handed_out(host: &Host, change: impl FnOnce(&mut Vec<Entry>)) -> Option<Vec<u8>> {
    let mut list = host.ima.clone();
    change(&mut list.entries);
    Some(if host.text { list.text() } else { list.binary() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

cases! {
    case_51_an_entry_edited: |host| host.ima_log = handed_out(&host, |entries| entries[3].file_digest[0] ^= 1)
        => Contraindicated [ImaReplayMismatch];
    case_51_a_path_edited: |host| host.ima_log = handed_out(&host, |entries| entries[3].path.push('x'))
        => Contraindicated [ImaReplayMismatch];
    case_51_an_entry_dropped: |host| host.ima_log = handed_out(&host, |entries| { entries.remove(3); })
        => Contraindicated [ImaReplayMismatch];
    case_51_entries_reordered: |host| host.ima_log = handed_out(&host, |entries| entries.swap(3, 4))
        => Contraindicated [ImaReplayMismatch];
    case_51_an_entry_inserted: |host| host.ima_log = handed_out(&host, |entries| entries.insert(3, entries[4].clone()))
        => Contraindicated [ImaReplayMismatch];
    case_52_the_list_cut_behind_the_quote: |host| host.ima_log = handed_out(&host, |entries| { entries.pop(); })
        => Contraindicated [ImaReplayMismatch];
    case_53_pcr_10_equal_to_no_prefix: |host| host.force.push((Bank::Sha256, 10, vec![5; 32]))
        => Contraindicated [ImaReplayMismatch];
    case_53_one_bank_equal_and_the_other_not: |host| host.force.push((Bank::Sha1, 10, vec![5; 20]))
        => Contraindicated [ImaReplayMismatch];
    case_57_a_second_boot_aggregate: |host| {
        let first = Entry { file_digest: vec![1; 32], ..host.ima.entries[0].clone() };
        host.ima.push(first);
    } => Indeterminate [ImaKexec];
    case_58_a_boot_aggregate_of_another_boot: |host| host.ima.entries[0].file_digest[0] ^= 1
        => Contraindicated [ImaBootAggregateDiffers];
    case_59_an_entry_for_another_pcr: |host| {
        let mut entry = Entry::new(host.ima.template, Bank::Sha256, "/usr/bin/evil", vec![1; 32]);
        entry.pcr = 11;
        host.ima.entries.insert(4, entry);
    } => Warning [ImaEntryOtherPcr];
    case_60_a_violation_names_no_path_for_sure: |host| { host.ima.violation("/usr/bin/kmod"); }
        => Warning [ImaViolation];
    case_63_the_right_path_under_another_algorithm: |host| {
        let path = host.ima.entries[2].path.clone();
        let digest = vec![1; 64];
        host.ima.push(Entry::new(host.ima.template, Bank::Sha512, &path, digest));
    } => Indeterminate [ImaAlgorithmUnsuitable];
    case_63_the_right_digest_under_the_name_of_another_algorithm: |host| {
        let golden = host.ima.entries[2].clone();
        host.ima.push(Entry { hash: Bank::Sha384, ..golden });
    } => Indeterminate [ImaAlgorithmUnsuitable];
    a_foreign_file_is_unknown_whatever_algorithm_it_was_measured_with: |host| {
        host.ima.push(Entry::new(host.ima.template, Bank::Sha1, "/usr/bin/evil", vec![1; 20]));
    } => Contraindicated [ImaFileUnknown];
    a_foreign_file: |host| { host.ima.measure("/usr/bin/evil", b"evil"); } => Contraindicated [ImaFileUnknown];
    a_known_file_changed: |host| { host.ima.measure("/usr/bin/kmod", b"evil"); } => Contraindicated [ImaFileNotGolden];
    case_67_a_path_that_climbs: |host| { host.ima.measure("/usr/bin/../evil", b"evil"); } => Contraindicated [ImaFileUnknown];
    case_67_a_path_of_4_kib: |host| { host.ima.measure(&"/x".repeat(2047), b"long"); } => Contraindicated [ImaFileUnknown];
    case_70_an_empty_list: |host| host.ima_log = Some(Vec::new()) => Indeterminate [ImaListMissing];
    case_70_nothing_was_ever_measured: |host| host.ima = List::empty(Template::ImaSig, Bank::Sha256)
        => Indeterminate [ImaNothingMeasured];
    case_70_entries_that_pcr_10_does_not_cover: |host| host.covered = Some(0) => Indeterminate [ImaNothingMeasured];
    case_70_a_kernel_without_an_ima_policy: |host| host.ima.entries.truncate(1) => Indeterminate [ImaNothingMeasured];
    a_list_that_does_not_begin_with_boot_aggregate: |host| { host.ima.entries.remove(0); }
        => Indeterminate [ImaBootAggregateMissing];
    a_list_ahead_of_the_quote_is_judged_to_where_the_quote_is: |host| {
        host.covered = Some(host.ima.entries.len());
        host.ima.measure("/usr/bin/evil", b"evil");
    } => Affirming [];
}

/// An unknown template extends like any other. A text list does not hold its data, so it cannot be replayed there.
#[test]
fn case_62_an_unknown_template_extends_and_is_told() {
    for (text, code) in [(false, Code::ImaTemplateUnknown), (true, Code::ImaListGarbled)] {
        let mut host = Host::new();
        host.text = text;
        let policy = host.policy();
        let template = Template::Custom(Format("d-ng|n-ng|what"));
        host.ima
            .push(Entry::new(template, Bank::Sha256, "/usr/bin/kmod", vec![1; 32]));
        expect(&host.round(&policy), Verdict::Indeterminate, &[code]);
    }
}

#[test]
fn case_67_paths_with_spaces_newlines_and_other_bytes_go_through_list_and_policy() {
    for text in [false, true] {
        let mut host = Host::new();
        host.text = text;
        for path in [
            "/opt/with space",
            "/opt/new\nline",
            "/opt/back\\slash",
            "/opt/ünïcode",
            "/opt/tab\there",
        ] {
            host.ima.measure(path, path.as_bytes());
        }
        let policy = host.policy();
        expect(&host.round(&policy), Verdict::Affirming, &[]);
        assert_eq!(policy.ima().unwrap().len(), host.ima.entries.len() - 1);
    }
}

#[test]
fn case_67_bytes_that_are_no_utf_8_are_shown_escaped_and_never_golden() {
    let mut host = Host::new();
    let policy = host.policy();
    host.ima.measure("/opt/AB\u{1b}[31m", b"x");
    let list = host.ima.binary();
    // The forge writes UTF-8 only: change the bytes, and the PCR with them.
    let at = list.windows(2).rposition(|pair| pair == b"AB").unwrap();
    let mut changed = list.clone();
    changed[at] = 0xff;
    let data_at = list.windows(7).rposition(|window| window == b"ima-sig").unwrap() + 7 + 4;
    host.ima.entries.pop();
    let mut pcrs = host.pcrs();
    let digests = [Bank::Sha1, Bank::Sha256].map(|bank| (bank, bank.hash(&[&changed[data_at..]])));
    pcrs.extend(10, &digests.into_iter().collect());
    for bank in [Bank::Sha1, Bank::Sha256] {
        host.force
            .push((bank, 10, pcrs.value(bank, 10).unwrap().to_vec()));
    }
    host.ima_log = Some(changed);
    let result = host.round(&policy);
    expect(&result, Verdict::Contraindicated, &[Code::ImaFileUnknown]);
    assert_eq!(result.findings[0].subject, "/opt/\\xffB\\u{1b}[31m");
}

#[test]
fn case_68_an_exclusion_is_anchored_and_ends_at_a_directory() {
    let exclude = r#"["/opt/x/", "/etc/adjtime"]"#;
    let table = [
        ("/opt/x/y", Verdict::Affirming),
        ("/opt/x/y/z", Verdict::Affirming),
        ("/etc/adjtime", Verdict::Affirming),
        ("/opt/xevil", Verdict::Contraindicated),
        ("/opt/x", Verdict::Contraindicated),
        ("/opt/x/", Verdict::Contraindicated),
        ("/srv/opt/x/y", Verdict::Contraindicated),
        ("/opt/x/../evil", Verdict::Contraindicated),
        ("/opt/x/./../evil", Verdict::Contraindicated),
        ("/opt/x//y", Verdict::Contraindicated),
        ("/etc/adjtime2", Verdict::Contraindicated),
        ("/etc/adjtime/x", Verdict::Contraindicated),
        ("opt/x/y", Verdict::Contraindicated),
    ];
    for (path, verdict) in table {
        let mut host = Host::new();
        let toml = format!("name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]\nexclude = {exclude}");
        let policy = policy(&toml, &host.ima.digest_list());
        host.ima.measure(path, b"anything");
        let result = host.round(&policy);
        assert_eq!(result.verdict, verdict, "{path}");
    }
}

#[test]
fn every_template_replays_in_both_forms_and_both_banks() {
    for (template, hash) in [
        (Template::Ima, Bank::Sha1),
        (Template::ImaNg, Bank::Sha256),
        (Template::ImaSig, Bank::Sha256),
    ] {
        for text in [false, true] {
            let mut host = Host::new();
            host.text = text;
            host.ima = List::new(template, hash, &host.boot.pcrs());
            host.ima.measure("/usr/bin/one", b"1");
            let mut signed = Entry::new(template, hash, "/usr/bin/two", hash.hash(&[b"2"]));
            if template == Template::ImaSig {
                signed.attachment = vec![3, 2, 4, 1];
            }
            host.ima.push(signed);
            host.ima.violation("/var/log/three");
            let pcr_0 = hex(host.pcrs().value(Bank::Sha256, 0).unwrap());
            let one_pcr = policy(
                &format!("name = \"x\"\nversion = 1\n[pcrs.sha256]\n0 = [\"{pcr_0}\"]"),
                "",
            );
            let result = host.round(&one_pcr);
            expect(&result, Verdict::Affirming, &[]);
            let ima = result.claims.ima.unwrap();
            assert_eq!((ima.covered, ima.violations), (4, 1), "{template:?}");
            assert_eq!(ima.boot_aggregate, BootAggregate::Matches, "{template:?}");
        }
    }
}

#[test]
fn case_55_a_slice_that_lies_overlaps_or_skips_asks_for_the_whole_list() {
    let mut host = Host::new();
    let policy = host.policy();
    let first = host.round(&policy);
    let history = first.history.unwrap();
    let at = history.ima.as_ref().unwrap().entries;
    assert_eq!(usize::try_from(at).unwrap(), host.ima.entries.len());

    let challenge = host.challenge(at);
    let mut lies = host.answer(&challenge);
    lies.ima_first = at - 1;
    let lists = [
        ("overlaps", host.ima.binary_from(usize::try_from(at - 2).unwrap())),
        ("skips", host.ima.binary_from(usize::try_from(at).unwrap() + 1)),
    ];
    let mut all = vec![("lies", lies)];
    host.ima.measure("/usr/bin/one", b"1");
    host.ima.measure("/usr/bin/two", b"2");
    for (name, list) in lists {
        let mut evidence = host.answer(&challenge);
        evidence.ima_log = list;
        all.push((name, evidence));
    }
    for (name, evidence) in all {
        let result = host.judge(&evidence, &challenge, &policy, Some(&history));
        assert_eq!(result.verdict, Verdict::Indeterminate, "{name}");
        assert!(result.full_list_needed, "{name}");
        assert_eq!(result.history.unwrap().ima, None, "{name}");
    }
}

#[test]
fn a_round_goes_on_from_the_checkpoint_and_the_checkpoint_waits_for_findings() {
    let mut host = Host::new();
    let mut golden = host.clone();
    golden.ima.measure("/usr/bin/later", b"later");
    let policy = golden.policy();

    let history = host.round(&policy).history.unwrap();
    let clean = history.ima.clone().unwrap();
    host.ima.measure("/usr/bin/later", b"later");
    let result = host.round_from(&policy, Some(&history), clean.entries);
    expect(&result, Verdict::Affirming, &[]);
    let ima = result.claims.ima.unwrap();
    assert_eq!(
        (ima.first, ima.covered, ima.uncovered),
        (clean.entries, clean.entries + 1, 0)
    );
    assert_eq!(ima.boot_aggregate, BootAggregate::SeenBefore);
    let history = result.history.unwrap();
    let clean = history.ima.clone().unwrap();

    host.ima.measure("/usr/bin/evil", b"evil");
    for round in 0..2 {
        let result = host.round_from(&policy, Some(&history), clean.entries);
        expect(&result, Verdict::Contraindicated, &[Code::ImaFileUnknown]);
        assert_eq!(result.history.unwrap().ima, Some(clean.clone()), "round {round}");
    }
}

#[test]
fn findings_of_one_code_are_listed_up_to_a_bound_and_counted_behind_it() {
    let mut host = Host::new();
    let policy = host.policy();
    for n in 0..1000 {
        host.ima.measure(&format!("/srv/{n}"), b"foreign");
    }
    let result = host.round(&policy);
    assert_eq!(
        result.findings.len(),
        usize::try_from(MAX_LISTED_PER_CODE).unwrap() + 1
    );
    assert_eq!(
        result.findings.last().unwrap().subject,
        "and 950 more, not listed"
    );
    assert_eq!(result.verdict, Verdict::Contraindicated);
}

/// A TPM driver that was unbound leaves the kernel listing files that it extends nowhere: the tail would stay unproven,
/// and unjudged, for ever.
#[test]
fn case_54_a_lag_that_never_catches_up_is_told() {
    for text in [false, true] {
        let mut host = Host::new();
        host.text = text;
        let policy = host.policy();
        let extended = host.ima.entries.len();
        host.covered = Some(extended);
        host.ima.measure("/usr/bin/evil", b"evil");
        let first = host.round(&policy);
        expect(&first, Verdict::Affirming, &[]);

        let mut history = first.history.unwrap();
        for first in [extended as u64, 0] {
            let stuck = host.round_from(&policy, Some(&history), first);
            expect(&stuck, Verdict::Indeterminate, &[Code::ImaLag]);
            history = stuck.history.unwrap();
        }
        // The agent may leave the tail out afterwards: what was seen once is not forgotten, not by a list that
        // does not replay either.
        let mut cut = host.clone();
        cut.ima.entries.pop();
        expect(
            &cut.round_from(&policy, Some(&history), 0),
            Verdict::Indeterminate,
            &[Code::ImaLag],
        );
        let mut garbled = host.clone();
        garbled.ima_log = Some(b"10 nonsense\n".to_vec());
        let unproven = garbled.round_from(&policy, Some(&history), 0);
        assert_eq!(unproven.history.unwrap().ima_listed, history.ima_listed);

        // It catches up: judged as any other.
        host.covered = None;
        let caught = host.round_from(&policy, Some(&history), 0);
        expect(&caught, Verdict::Contraindicated, &[Code::ImaFileUnknown]);
        assert!(caught.findings.iter().all(|finding| finding.code != Code::ImaLag));

        // Another boot begins anew.
        let boot = host.boot.clone();
        host.reboot(boot);
        host.ima.entries.truncate(3);
        expect(
            &host.round_from(&policy, Some(&history), 0),
            Verdict::Affirming,
            &[],
        );
    }
}

/// Entries for another PCR are never proven by PCR 10, so they are no lag behind it.
#[test]
fn entries_for_another_pcr_at_the_end_are_no_lag() {
    let mut host = Host::new();
    let policy = host.policy();
    let mut entry = Entry::new(host.ima.template, Bank::Sha256, "/usr/bin/other", vec![1; 32]);
    entry.pcr = 11;
    host.ima.push(entry);
    let history = host.round(&policy).history.unwrap();
    expect(
        &host.round_from(&policy, Some(&history), 0),
        Verdict::Affirming,
        &[],
    );
}

/// A hibernated machine goes on with its old list; its firmware has measured into PCRs that began anew.
#[test]
fn a_hibernated_machine_is_not_condemned_for_its_old_list() {
    let mut host = Host::new();
    let policy = host.policy();
    host.tpm.restart_count += 1;
    host.ima_log = Some(host.ima.binary());
    host.ima.entries.truncate(1);
    host.ima
        .measure("/usr/bin/kmod-resumed", b"after the image was restored");
    expect(
        &host.round(&policy),
        Verdict::Indeterminate,
        &[Code::ImaReplayUnclear],
    );
}
