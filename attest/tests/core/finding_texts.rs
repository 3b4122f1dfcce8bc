//! What a finding says: where it was, what was expected there, and what was found instead. People act on these words.

use lazaret_attest::finding::{Code, Finding};
use lazaret_attest::policy::Policy;
use lazaret_attest::result::{AttestationResult, History};
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::event::{EventType, Measured};
use lazaret_forge::ima::{Entry, Template};

use crate::host::{Host, policy};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn one(result: &AttestationResult, code: Code) -> &Finding {
    let of_code: Vec<&Finding> = result
        .findings
        .iter()
        .filter(|finding| finding.code == code)
        .collect();
    assert_eq!(of_code.len(), 1, "{:#?}", result.findings);
    of_code[0]
}

#[track_caller]
fn says(result: &AttestationResult, code: Code, subject: &str, expected: Option<&str>, found: Option<&str>) {
    let finding = one(result, code);
    assert_eq!(
        (
            finding.subject.as_str(),
            finding.expected.as_deref(),
            finding.found.as_deref()
        ),
        (subject, expected, found)
    );
}

/// A policy that compares one PCR with so many values, and with two more of a component that is valid now.
fn golden_of_pcr_0(values: usize, of_component: bool) -> Policy {
    let digest = |at: usize| format!("\"{}\"", format!("{at:02x}").repeat(32));
    let values: Vec<String> = (1..=values).map(digest).collect();
    let mut toml = format!(
        "name = \"x\"\nversion = 1\n[pcrs.sha256]\n0 = [{}]\n",
        values.join(", ")
    );
    if of_component {
        for (name, until, value) in [("now", "2030-01-01", 0xa1), ("then", "2020-01-01", 0xa2)] {
            let head = match name {
                "now" => "[[component]]\nname = \"fw\"\n",
                _ => "",
            };
            toml.push_str(&format!(
                "{head}[[component.alternative]]\nname = \"{name}\"\nuntil = {until}\npcrs.sha256.0 = [{}]\n",
                digest(value)
            ));
        }
    }
    policy(&toml, "")
}

#[test]
fn a_pcr_is_told_with_three_of_its_golden_values_and_how_many_more_there_are() {
    let mut host = Host::new();
    let value = hex(host.pcrs().value(Bank::Sha256, 0).unwrap());
    let (a, b, c) = ("01".repeat(32), "02".repeat(32), "03".repeat(32));
    for (values, of_component, expected) in [
        (1, false, a.clone()),
        (3, false, format!("{a} or {b} or {c}")),
        (4, false, format!("{a} or {b} or {c} or 1 others")),
        (6, false, format!("{a} or {b} or {c} or 3 others")),
        (1, true, format!("{a} or {}", "a1".repeat(32))),
    ] {
        let result = host.round(&golden_of_pcr_0(values, of_component));
        says(
            &result,
            Code::PcrNotGolden,
            "PCR sha256:0",
            Some(&expected),
            Some(&value),
        );
    }
}

#[test]
fn a_boot_event_is_told_with_its_place_and_the_number_of_golden_digests() {
    let mut host = Host::new();
    let at = host.boot.events.iter().position(|event| event.pcr == 3).unwrap();
    let (one_of, other) = ("01".repeat(32), "02".repeat(32));
    let golden = policy(
        &format!(
            "name = \"x\"\nversion = 1\n[boot_log.sha256]\n3 = [\"{one_of}\", \"{other}\"]\n\
             [[component]]\nname = \"fw\"\n[[component.alternative]]\nname = \"1\"\nboot_log.sha256.3 = [\"{}\"]\n",
            "03".repeat(32)
        ),
        "",
    );
    let result = host.round(&golden);
    says(
        &result,
        Code::BootEventNotGolden,
        &format!("PCR sha256:3, event {}: EV_SEPARATOR", at + 1),
        Some("one of 3 golden digests"),
        Some(&hex(&Bank::Sha256.hash(&[&[0; 4]]))),
    );
    let mut boot = host.boot.clone();
    boot.events.retain(|event| event.pcr != 3);
    host.reboot(boot);
    says(
        &host.round(&golden),
        Code::BootLogPcrWithoutEvents,
        "PCR sha256:3",
        Some("some of 3 golden digests"),
        Some("no event"),
    );
}

#[test]
fn data_that_is_not_what_was_measured_is_told_with_its_event() {
    let mut host = Host::new();
    let mut boot = host.boot.clone();
    let at = boot
        .events
        .iter()
        .rposition(|event| event.kind == EventType::EFI_ACTION)
        .unwrap();
    boot.events[at].measured = Measured::Content(boot.events[at].data.clone());
    boot.events[at].data = b"something else".to_vec();
    host.reboot(boot);
    let any = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    says(
        &host.round(&any),
        Code::BootEventDataDiffers,
        &format!("PCR 5, event {}: EV_EFI_ACTION", at + 1),
        None,
        None,
    );
}

#[test]
fn counters_are_told_with_what_they_were() {
    let mut host = Host::new();
    let any = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    let history = host.round(&any).history.unwrap();
    let now = |change: &dyn Fn(&mut History)| {
        let mut before = history.clone();
        change(&mut before);
        host.clone().round_from(&any, Some(&before), 0)
    };
    let (reset, restart, clock) = (history.reset_count, history.restart_count, history.clock_ms);
    let version = history.firmware_version;
    says(
        &now(&|before| before.reset_count += 1),
        Code::ResetCountFell,
        "TPM reset count",
        Some(&format!("{} or more", reset + 1)),
        Some(&reset.to_string()),
    );
    says(
        &now(&|before| before.restart_count += 1),
        Code::RestartCountFell,
        "TPM restart count",
        Some(&format!("{} or more", restart + 1)),
        Some(&restart.to_string()),
    );
    let later = clock + 1_000_000;
    let fell = now(&|before| before.clock_ms = later);
    let finding = one(&fell, Code::ClockFell);
    assert_eq!(
        (finding.subject.as_str(), finding.expected.as_deref()),
        ("TPM clock (ms)", Some(format!("{later} or more").as_str()))
    );
    says(
        &now(&|before| before.firmware_version = version + 1),
        Code::FirmwareVersionChanged,
        "TPM firmware",
        Some(&format!("{:#018x}", version + 1)),
        Some(&format!("{version:#018x}")),
    );
}

#[test]
fn a_clock_is_compared_within_one_run_of_a_tpm_only() {
    let mut host = Host::new();
    let any = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    let history = host.round(&any).history.unwrap();
    let fell = |change: &dyn Fn(&mut History)| {
        let mut before = History {
            clock_ms: history.clock_ms + 1_000_000,
            ..history.clone()
        };
        change(&mut before);
        let result = host.clone().round_from(&any, Some(&before), 0);
        result
            .findings
            .iter()
            .map(|finding| finding.code)
            .collect::<Vec<_>>()
    };
    assert_eq!(fell(&|_| ()), [Code::ClockFell]);
    // It was reset, or restarted, since then: an orderly shutdown keeps the clock, another may set it back.
    host.tpm.reset();
    let after = host.clone().round_from(&any, Some(&history), 0);
    let clock = after.history.unwrap();
    let before = History {
        clock_ms: clock.clock_ms + 1_000_000,
        ..history.clone()
    };
    let result = host.round_from(&any, Some(&before), 0);
    assert!(
        result
            .findings
            .iter()
            .all(|finding| finding.code != Code::ClockFell),
        "{:?}",
        result.findings
    );
}

#[test]
fn a_file_is_told_with_its_golden_digests_of_that_algorithm() {
    let host = Host::new();
    let list = format!(
        "{}{}  /usr/bin/x\n{}  /usr/bin/x\n{}  /usr/bin/x\n",
        host.ima.digest_list(),
        "01".repeat(32),
        "02".repeat(32),
        "03".repeat(48),
    );
    let golden = policy(
        "name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]\npolicies = [\"00000000000000000000000000000000\
         00000000000000000000000000000000\"]\n",
        &list,
    );
    let run = |entry: Entry| {
        let mut host = host.clone();
        host.ima.push(entry);
        host.round(&golden)
    };
    let file = |hash: Bank, path: &str| Entry::new(Template::ImaNgv2, hash, path, hash.hash(&[b"x"]));
    let digest = |hash: Bank| format!("{hash}:{}", hex(&hash.hash(&[b"x"])));
    let of_256 = digest(Bank::Sha256);
    says(
        &run(file(Bank::Sha256, "/usr/bin/x")),
        Code::ImaFileNotGolden,
        "/usr/bin/x",
        Some(&format!(
            "sha256:{} or sha256:{}",
            "01".repeat(32),
            "02".repeat(32)
        )),
        Some(&of_256),
    );
    says(
        &run(file(Bank::Sha384, "/usr/bin/x")),
        Code::ImaFileNotGolden,
        "/usr/bin/x",
        Some(&format!("sha384:{}", "03".repeat(48))),
        Some(&digest(Bank::Sha384)),
    );
    says(
        &run(file(Bank::Sha512, "/usr/bin/x")),
        Code::ImaAlgorithmUnsuitable,
        "/usr/bin/x",
        None,
        Some(&digest(Bank::Sha512)),
    );
    let unknown = file(Bank::Sha256, "/usr/bin/unknown");
    says(
        &run(unknown),
        Code::ImaFileUnknown,
        "/usr/bin/unknown",
        None,
        Some(&of_256),
    );
    let tree = Entry {
        verity: true,
        ..file(Bank::Sha256, "/usr/bin/x")
    };
    let kind = Some("a digest of the file's content");
    let found = format!("verity:{of_256}");
    says(&run(tree), Code::ImaDigestKind, "/usr/bin/x", kind, Some(&found));
    says(
        &run(file(Bank::Sha256, "/etc/ima/ima-policy")),
        Code::ImaPolicyLoaded,
        "/etc/ima/ima-policy",
        None,
        Some(&of_256),
    );
    let number = host.ima.entries.len();
    let line = Entry::buffer(Bank::Sha256, "kexec-cmdline", b"root=/dev/sda");
    says(
        &run(line),
        Code::ImaKexec,
        &format!("IMA entry {number}"),
        None,
        Some("kexec-cmdline: root=/dev/sda"),
    );
    says(
        &run(Entry::violation(Template::ImaNg, Bank::Sha256, "/var/x")),
        Code::ImaViolation,
        &format!("IMA entry {number}"),
        None,
        Some("labelled /var/x"),
    );
}

#[test]
fn a_path_is_told_up_to_a_bound_and_with_its_control_characters_escaped() {
    let subject = |path: &str| {
        let mut host = Host::new();
        let policy = host.policy();
        host.ima.measure(path, b"x");
        one(&host.round(&policy), Code::ImaFileUnknown).subject.clone()
    };
    assert_eq!(subject("/opt/a\\b\u{7f}"), "/opt/a\\\\b\\u{7f}");
    let whole = format!("/{}", "x".repeat(511));
    assert_eq!(subject(&whole), whole);
    assert_eq!(subject(&format!("{whole}y")), format!("{whole}..."));
}

#[test]
fn all_boot_registers_at_one_reset_value_are_told() {
    let any = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    for fill in [0, 0xff] {
        let mut host = Host::new();
        for pcr in 0..=7 {
            host.force.push((Bank::Sha256, pcr, vec![fill; 32]));
        }
        let result = host.clone().round(&any);
        says(
            &result,
            Code::BootPcrsUnextended,
            "bank sha256",
            None,
            Some("every quoted boot PCR has its reset value"),
        );
        // One that was extended is a boot.
        host.force.pop();
        let result = host.round(&any);
        assert!(
            result
                .findings
                .iter()
                .all(|finding| finding.code != Code::BootPcrsUnextended)
        );
    }
}

#[test]
fn what_a_trimmed_list_lacks_is_told_with_where_an_earlier_round_ended() {
    let mut host = Host::new();
    let policy = host.policy();
    let history = host.round(&policy).history.unwrap();
    let ended = history.ima.as_ref().unwrap().entries;
    host.ima.measure("/usr/bin/later", b"later");
    host.ima.measure("/usr/bin/last", b"last");
    let challenge = host.challenge(0);
    let mut evidence = host.clone().answer(&challenge);
    evidence.ima_log = host.ima.binary_from(usize::try_from(ended).unwrap() + 1);
    let expected = |history| {
        let result = host.judge(&evidence, &challenge, &policy, history);
        one(&result, Code::ImaListTrimmed).expected.clone().unwrap()
    };
    assert!(expected(Some(&history)).contains(&format!("from entry {ended}, where an earlier round ended")));
    assert_eq!(expected(None), "entries from 0");
}

#[test]
fn a_slice_from_another_entry_than_an_earlier_round_ended_at_is_not_taken() {
    let mut host = Host::new();
    let policy = host.policy();
    let history = host.round(&policy).history.unwrap();
    let ended = history.ima.as_ref().unwrap().entries;
    // Entries from the right place under another number: they would lead to PCR 10.
    let challenge = host.challenge(ended - 1);
    let mut evidence = host.clone().answer(&challenge);
    evidence.ima_log = host.ima.binary_from(usize::try_from(ended).unwrap());
    let result = host.judge(&evidence, &challenge, &policy, Some(&history));
    assert!(result.full_list_needed);
    says(
        &result,
        Code::ImaFullListNeeded,
        "IMA list",
        None,
        Some(&format!(
            "an earlier round ended at entry {ended}, not {}",
            ended - 1
        )),
    );
}

#[test]
fn a_missing_boot_log_is_told_with_the_registers_that_it_should_explain() {
    let mut host = Host::new();
    host.selection = "sha256:0,7,14";
    host.boot_log = Some(Vec::new());
    let any = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    let missing = Some("events for the extended PCRs sha256:0, sha256:7, sha256:14");
    says(
        &host.clone().round(&any),
        Code::BootLogMissing,
        "boot log",
        missing,
        Some("an empty log"),
    );
    host.force.push((Bank::Sha256, 14, vec![0; 32]));
    let missing = Some("events for the extended PCRs sha256:0, sha256:7");
    says(
        &host.round(&any),
        Code::BootLogMissing,
        "boot log",
        missing,
        Some("an empty log"),
    );
}
