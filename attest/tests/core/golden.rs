//! Capture of golden values, and policies as operators write them.

use lazaret_attest::finding::Code;
use lazaret_attest::policy::Policy;
use lazaret_attest::reference::{Capture, capture};
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::event::EventType;
use lazaret_forge::bootlog::typical_server;
use lazaret_forge::ima::{Entry, Template};

use crate::host::{Change, Host, expect, policy, read};

#[test]
fn a_capture_is_the_same_each_time_and_its_host_affirms() {
    let mut host = Host::new();
    let captured = host.captured();
    assert_eq!(captured, host.captured());
    let policy = read(&captured);
    expect(&host.round(&policy), Verdict::Affirming, &[]);
    assert!(
        captured.policy_toml.contains("secure_boot = \"required\""),
        "{}",
        captured.policy_toml
    );
    assert!(
        captured
            .policy_toml
            .contains("# EV_EFI_VARIABLE_DRIVER_CONFIG SecureBoot"),
        "{}",
        captured.policy_toml
    );
    assert!(
        captured.policy_toml.contains("kernel_cmdline: "),
        "{}",
        captured.policy_toml
    );
    let mut lines: Vec<&str> = captured.list.lines().collect();
    assert_eq!(lines.len(), host.ima.entries.len() - 1);
    lines.sort_by_key(|line| line.split_once("  ").unwrap().1);
    assert_eq!(
        captured.list.lines().collect::<Vec<_>>(),
        lines,
        "ordered by path"
    );
    assert!(
        captured
            .list
            .lines()
            .all(|line| host.ima.digest_list().contains(line))
    );
}

#[test]
fn a_capture_says_beside_each_value_what_it_is() {
    let mut host = Host::new();
    let long = format!("a word of {}", "x".repeat(100));
    let mut boot = host.boot.clone();
    let exact = format!("exactly {}", "y".repeat(88));
    boot.measure(5, EventType::EFI_ACTION, long.as_bytes());
    boot.measure(5, EventType::EFI_ACTION, exact.as_bytes());
    boot.measure(5, EventType::EFI_ACTION, b"\x01\x02 binary");
    boot.measure(5, EventType::EFI_ACTION, b"a\0");
    boot.measure(5, EventType::EFI_ACTION, b"a\0b\0");
    // UTF-16, as firmware and the EFI stub log it.
    boot.measure(5, EventType::EFI_ACTION, b"w\0i\0d\0e\0\0\0");
    host.reboot(boot);
    let text = host.captured().policy_toml;
    let of_pcrs: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| {
            let (value, meaning) = line.split_once("\"]  # ")?;
            Some((value.split_once(' ')?.0, meaning))
        })
        .collect();
    assert_eq!(
        of_pcrs,
        [
            ("0", "firmware code"),
            ("1", "firmware settings, boot order"),
            ("2", "option ROM code"),
            ("3", "option ROM settings"),
            ("4", "boot loader and boot attempts"),
            ("5", "partition table, boot loader settings"),
            ("6", "maker's own"),
            ("7", "Secure Boot state and keys"),
            ("8", "grub: commands, kernel command line"),
            (
                "9",
                "files that grub read; the EFI stub's command line and initrd"
            ),
            ("14", "shim: machine owner's keys"),
        ]
    );
    let of_5 = text.split_once("\n5 = [\n").unwrap().1.split_once(']').unwrap().0;
    let what: Vec<&str> = of_5
        .lines()
        .map(|line| line.split_once(",  # ").unwrap().1)
        .collect();
    assert_eq!(
        what,
        [
            "EV_SEPARATOR",
            "EV_EFI_GPT_EVENT",
            "EV_EFI_ACTION Exit Boot Services Invocation",
            "EV_EFI_ACTION Exit Boot Services Returned with Success",
            &format!("EV_EFI_ACTION {}...", &long[..96]),
            &format!("EV_EFI_ACTION {exact}"),
            "EV_EFI_ACTION",
            "EV_EFI_ACTION a",
            "EV_EFI_ACTION",
            "EV_EFI_ACTION wide",
        ]
    );
    assert!(text.contains("# EV_S_CRTM_VERSION 2.19.1\n"), "{text}");
    assert!(
        !text.contains("violations") && !text.contains("left out"),
        "{text}"
    );
    assert!(!text.contains("[pcrs.sha1]"), "{text}");
}

#[test]
fn a_capture_counts_what_it_cannot_hold() {
    let mut host = Host::new();
    host.ima.violation("/var/log/x");
    host.ima.violation("/var/log/x");
    let mut elsewhere = Entry::new(host.ima.template, Bank::Sha256, "/elsewhere", vec![1; 32]);
    elsewhere.pcr = 11;
    host.ima.entries.insert(4, elsewhere);
    let text = host.captured().policy_toml;
    assert!(text.contains("\n# 12 digests of files"), "{text}");
    assert!(text.contains("\n# 2 violations (files"), "{text}");
    assert!(text.contains("\n# 1 entries were left out"), "{text}");
}

#[test]
fn a_capture_holds_what_was_quoted_and_no_other_part() {
    let mut host = Host::new();
    host.selection = "sha256:0,7";
    let boot_only = host.captured();
    assert!(!boot_only.policy_toml.contains("[ima]") && boot_only.list.is_empty());
    host.selection = "sha256:10";
    let ima_only = host.captured();
    assert!(!ima_only.policy_toml.contains("[pcrs") && ima_only.list.lines().count() == 12);
    host.selection = "sha1:0,7";
    let weak = host.captured();
    assert!(
        weak.policy_toml.contains("[pcrs.sha1]\n0 = [") && weak.policy_toml.contains("[boot_log.sha1]"),
        "{}",
        weak.policy_toml
    );
    host.selection = "sha256:0,7,10";
    host.covered = Some(0);
    let behind = host.captured();
    assert!(!behind.policy_toml.contains("[ima]"), "{}", behind.policy_toml);
    assert_eq!((behind.uncovered, behind.list.as_str()), (13, ""));
}

#[test]
fn a_file_that_no_list_can_hold_is_told_with_what_is_wrong_with_it() {
    let told = |entry: Entry| {
        let mut host = Host::new();
        host.ima.push(entry);
        let challenge = host.challenge(0);
        let evidence = host.answer(&challenge);
        let key = host.key();
        let from = Capture {
            evidence: &evidence,
            challenge: &challenge,
            key: &key,
            policy_name: "x",
            list_name: "x.sha256",
        };
        let findings = capture(&from).unwrap_err();
        let all: Vec<_> = findings
            .into_iter()
            .map(|finding| (finding.code, finding.subject, finding.expected, finding.found))
            .collect();
        all
    };
    let some = |text: &str| Some(text.to_owned());
    let weak = Entry::new(Template::ImaNg, Bank::Sha1, "/usr/bin/weak", vec![1; 20]);
    assert_eq!(
        told(weak),
        [(
            Code::ImaAlgorithmUnsuitable,
            "/usr/bin/weak".to_owned(),
            some("sha256, sha384 or sha512"),
            some("sha1")
        )]
    );
    let tree = Entry {
        verity: true,
        ..Entry::new(Template::ImaNgv2, Bank::Sha256, "/usr/bin/tree", vec![1; 32])
    };
    assert_eq!(
        told(tree),
        [(
            Code::ImaDigestKind,
            "/usr/bin/tree".to_owned(),
            some("a digest of the file's content"),
            None
        )]
    );
    let nameless = Entry::new(Template::ImaNg, Bank::Sha256, "", vec![1; 32]);
    let expected = some("a path in UTF-8, as a list can hold it");
    assert_eq!(
        told(nameless),
        [(Code::ImaFileUnknown, String::new(), expected, None)]
    );
}

#[test]
fn a_capture_tells_what_was_behind_the_quote() {
    let mut host = Host::new();
    host.covered = Some(host.ima.entries.len() - 2);
    let captured = host.captured();
    assert_eq!(captured.uncovered, 2);
    assert_eq!(captured.list.lines().count(), host.ima.entries.len() - 3);
}

#[test]
fn nothing_is_captured_from_what_is_not_proven() {
    let changes: [(Code, Change); 8] = [
        (Code::ImaAlgorithmUnsuitable, |host| {
            let weak = Entry::new(host.ima.template, Bank::Sha1, "/usr/bin/weak", vec![1; 20]);
            host.ima.push(weak);
        }),
        (Code::BootLogMissing, |host| host.boot_log = Some(Vec::new())),
        (Code::ImaListTrimmed, |host| {
            host.ima_log = Some(host.ima.binary_from(1))
        }),
        (Code::ImaReplayMismatch, |host| {
            let mut list = host.ima.clone();
            list.entries.remove(1);
            host.ima_log = Some(list.binary())
        }),
        (Code::ImaDigestKind, |host| {
            let tree = Entry {
                verity: true,
                ..Entry::new(Template::ImaNgv2, Bank::Sha256, "/usr/bin/tree", vec![1; 32])
            };
            host.ima.push(tree);
        }),
        (Code::ImaBootAggregateDiffers, |host| {
            host.ima.entries[0].file_digest[0] ^= 1
        }),
        (Code::BootLogReplayMismatch, |host| {
            host.boot_log = Some(typical_server_of(" other").boot().bytes());
        }),
        (Code::BootPcrsUnextended, |host| {
            let banks = host.boot.banks.clone();
            host.reboot(lazaret_forge::bootlog::BootLog::new(&banks));
        }),
    ];
    for (code, change) in changes {
        let mut host = Host::new();
        change(&mut host);
        let challenge = host.challenge(0);
        let evidence = host.answer(&challenge);
        let key = host.key();
        let from = Capture {
            evidence: &evidence,
            challenge: &challenge,
            key: &key,
            policy_name: "x",
            list_name: "x.sha256",
        };
        let findings = capture(&from).unwrap_err();
        assert!(
            findings.iter().any(|finding| finding.code == code),
            "{code}: {findings:?}"
        );
    }
}

fn typical_server_of(more: &str) -> lazaret_forge::bootlog::Description {
    let mut server = typical_server();
    server.command_line.push_str(more);
    server
}

#[test]
fn alternatives_let_an_update_through_and_nothing_else() {
    let old = Host::new().captured();
    let mut server = typical_server_of(" mitigations=auto");
    server.ima.files = 12;
    let mut updated = Host::booting(&server);
    let both = merge(&old.policy_toml, &updated.captured().policy_toml);
    let golden = Policy::parse(&both, &mut |_| Ok(old.list.clone())).unwrap();
    expect(&Host::new().round(&golden), Verdict::Affirming, &[]);
    expect(&updated.round(&golden), Verdict::Affirming, &[]);
    let mut server = typical_server_of(" init=/bin/sh");
    server.ima.files = 12;
    expect(
        &Host::booting(&server).round(&golden),
        Verdict::Contraindicated,
        &[Code::PcrNotGolden, Code::BootEventNotGolden],
    );
}

/// Adds the values of one captured policy to another's.
fn merge(one: &str, other: &str) -> String {
    let mut base: toml::Table = one.parse().unwrap();
    let more: toml::Table = other.parse().unwrap();
    for section in ["pcrs", "boot_log"] {
        let more = more[section]["sha256"].as_table().unwrap();
        let base = base[section]["sha256"].as_table_mut().unwrap();
        for (register, values) in more {
            base[register]
                .as_array_mut()
                .unwrap()
                .extend(values.as_array().unwrap().iter().cloned());
        }
    }
    base.to_string()
}

#[test]
fn golden_values_for_what_was_not_quoted_are_missing_evidence() {
    let mut host = Host::new();
    let golden = host.policy();
    host.selection = "sha256:0,1,2,3,4,5,6,7,8,9,10";
    expect(
        &host.round(&golden),
        Verdict::Indeterminate,
        &[Code::PcrNotQuoted],
    );
    host.selection = "sha256:0,1,2,3,4,5,6,7,8,9,14";
    expect(
        &host.round(&golden),
        Verdict::Indeterminate,
        &[Code::PcrNotQuoted],
    );
    let required = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    host.selection = "sha256:0,1,10";
    expect(
        &host.round(&required),
        Verdict::Indeterminate,
        &[Code::SecureBootUnproven],
    );
}

#[test]
fn a_policy_may_change_the_gravity_of_a_fact_but_never_of_a_proof() {
    let mut host = Host::new();
    let captured = host.captured();
    let with = |line: &str| {
        let toml = format!("{}\n[gravity]\n{line}\n", captured.policy_toml);
        Policy::parse(&toml, &mut |_| Ok(captured.list.clone()))
    };
    host.ima.violation("/var/log/x");
    expect(
        &host.round(&with("ima-violation = \"contraindicated\"").unwrap()),
        Verdict::Contraindicated,
        &[Code::ImaViolation],
    );
    host.ima.measure("/usr/bin/evil", b"evil");
    expect(
        &host.round(&with("ima-file-unknown = \"warning\"").unwrap()),
        Verdict::Warning,
        &[Code::ImaFileUnknown],
    );
    assert!(with("boot-log-missing = \"contraindicated\"").is_ok());
    for refused in [
        "ima-replay-mismatch = \"warning\"",
        "boot-log-missing = \"warning\"",
        "reset-count-fell = \"indeterminate\"",
        "quote-garbled = \"contraindicated\"",
        "ima-file-unknown = \"affirming\"",
        "ima-file-unknow = \"warning\"",
        "ima-file-unknown = \"grave\"",
    ] {
        let error = with(refused).unwrap_err();
        let line = captured.policy_toml.lines().count() + 3;
        assert_eq!(error.line, line, "{refused}: {error}");
    }
}

#[test]
fn mistakes_in_a_policy_are_told_with_file_and_line() {
    let hex = "ab".repeat(32);
    let table = [
        (
            "name = \"x\"\nversion = 1\nsecureboot = \"any\"\n".to_owned(),
            None,
            3,
            "secureboot",
        ),
        ("name = \"x\"\nversion = \"one\"\n".to_owned(), None, 2, "u64"),
        ("name = \"\"\nversion = 1\n".to_owned(), None, 1, "name is empty"),
        (
            "name = \"x\"\nversion = 1\n".to_owned(),
            None,
            1,
            "every host would pass",
        ),
        (
            "name = \"x\"\nversion = 1\n[pcrs.sha256]\n0 = [\"abcd\"]\n".to_owned(),
            None,
            4,
            "64 hexadecimal digits",
        ),
        (
            "name = \"x\"\nversion = 1\n[pcrs.sha256]\n0 = []\n".to_owned(),
            None,
            4,
            "no value",
        ),
        (
            format!("name = \"x\"\nversion = 1\n[pcrs.sha256]\n0 = [\"{hex}\"]\n24 = [\"{hex}\"]\n"),
            None,
            5,
            "no PCR",
        ),
        (
            format!("name = \"x\"\nversion = 1\n[pcrs.sha256]\n07 = [\"{hex}\"]\n"),
            None,
            4,
            "no PCR",
        ),
        (
            format!("name = \"x\"\nversion = 1\n[pcrs.md5]\n0 = [\"{hex}\"]\n"),
            None,
            3,
            "md5",
        ),
        (
            format!("name = \"x\"\nversion = 1\n[pcrs.sha256]\n10 = [\"{hex}\"]\n"),
            None,
            4,
            "under [ima]",
        ),
        (
            format!("name = \"x\"\nversion = 1\n[boot_log.sha256]\n11 = [\"{hex}\"]\n"),
            None,
            4,
            "0 to 9 and 14",
        ),
        (
            "name = \"x\"\nversion = 1\n[ima]\nlists = []\n".to_owned(),
            None,
            4,
            "no file",
        ),
        (
            "name = \"x\"\nversion = 1\n[ima]\nlists = [\"gone\"]\n".to_owned(),
            None,
            4,
            "cannot be read: not there",
        ),
        (
            "name = \"x\"\nversion = 1\n[ima]\nlists = [\"bad\"]\n".to_owned(),
            Some("bad"),
            2,
            "sha256sum",
        ),
        (
            "name = \"x\"\nversion = 1\n[ima]\nlists = [\"sha1\"]\n".to_owned(),
            Some("sha1"),
            1,
            "SHA-1",
        ),
        (
            "name = \"x\"\nversion = 1\n[ima]\nlists = [\"good\"]\nexclude = [\n \"/a/\",\n \"opt\"]\n"
                .to_owned(),
            None,
            7,
            "begins with /",
        ),
        (
            "name = \"x\"\nversion = 1\n[ima]\nlists = [\"good\"]\nexclude = [\"/\"]\n".to_owned(),
            None,
            5,
            "no file at all",
        ),
        (
            "name = \"x\"\nversion = 1\n[ima]\nlists = [\"good\"]\nexclude = [\"/opt/a**\"]\n".to_owned(),
            None,
            5,
            "whole components",
        ),
        (
            "name = \"x\"\nversion = 1\n[ima]\nlists = [\"good\"]\nexclude = [\"/**/x\"]\n".to_owned(),
            None,
            5,
            "no file at all",
        ),
        (
            "name = \"x\"\nversion = 1\n[ima]\nlists = [\"good\"]\nexclude = [\"/opt/../etc/\"]\n".to_owned(),
            None,
            5,
            "..",
        ),
    ];
    for (toml, file, line, says) in table {
        let error = Policy::parse(&toml, &mut |name| match name {
            "good" => Ok(format!("{hex}  /a\n")),
            "bad" => Ok(format!("{hex}  /a\n{hex} /b\n")),
            "sha1" => Ok(format!("{}  /a\n", "ab".repeat(20))),
            _ => Err("not there".to_owned()),
        });
        let error = error.expect_err(&toml);
        assert_eq!((error.file.as_deref(), error.line), (file, line), "{toml}{error}");
        assert!(error.to_string().contains(says), "{toml}{error}");
    }
}

#[test]
fn case_36_pcr_16_and_23_are_refused() {
    for index in [16, 23] {
        let toml = format!(
            "name = \"x\"\nversion = 1\n[pcrs.sha256]\n{index} = [\"{}\"]\n",
            "ab".repeat(32)
        );
        let error = Policy::parse(&toml, &mut |_| Err(String::new())).unwrap_err();
        assert!(error.to_string().contains("reset by any program"), "{error}");
    }
}

#[test]
fn the_digest_covers_policy_and_lists() {
    let toml = "name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]\n";
    let list = format!("{}  /a\n", "ab".repeat(32));
    let base = policy(toml, &list).digest();
    assert_eq!(base, policy(toml, &list).digest());
    assert_ne!(base, policy(&format!("{toml}# note\n"), &list).digest());
    assert_ne!(base, policy(toml, &format!("{list}# note\n")).digest());
}
