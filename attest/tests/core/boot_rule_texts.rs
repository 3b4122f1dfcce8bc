//! What the findings of `[boot]` say, and rules that two ways of reading a boot would judge differently.

use lazaret_attest::finding::Code;
use lazaret_attest::result::AttestationResult;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::event::{Event, EventType};
use lazaret_forge::bootlog::{BootLog, Loader, typical_server};

use crate::host::{Host, expect, policy};

fn judged(boot: &BootLog, selection: &'static str, rules: &str) -> AttestationResult {
    let mut host = Host::new();
    host.reboot(boot.clone());
    host.selection = selection;
    let toml = format!("name = \"x\"\nversion = 1\n[boot]\n{rules}\n");
    host.round(&policy(&toml, ""))
}

const ALL: &str = crate::host::SELECTION;

fn sha256(event: &Event) -> String {
    hex::encode(&event.digests(&[Bank::Sha256])[&Bank::Sha256])
}

/// Number in the log (the header is event 0) and digest of each event of a PCR, without its separator.
fn events(boot: &BootLog, pcr: u8) -> Vec<(usize, String)> {
    (1..)
        .zip(&boot.events)
        .filter(|(_, event)| event.pcr == pcr && event.kind != EventType::SEPARATOR)
        .map(|(number, event)| (number, sha256(event)))
        .collect()
}

#[track_caller]
fn says(result: &AttestationResult, wanted: &[(Code, String, &str, &str)]) {
    let found: Vec<_> = result
        .findings
        .iter()
        .map(|finding| {
            (
                finding.code,
                finding.subject.clone(),
                finding.expected.as_deref().unwrap_or_default(),
                finding.found.as_deref().unwrap_or_default(),
            )
        })
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn code_is_told_with_its_event_and_its_digest() {
    let boot = typical_server().boot();
    let other = "ab".repeat(32);
    let of_2 = events(&boot, 2);
    let wanted = |code: Code, expected: &'static str| {
        let one = |(number, digest): &(usize, String)| {
            (code, format!("PCR 2, event {number}"), expected, digest.clone())
        };
        of_2.iter().map(one).collect::<Vec<_>>()
    };
    for (rule, all) in [
        (
            format!("drivers = [\"{other}\"]"),
            wanted(Code::BootDriverNotAllowed, "one of 1 listed digests"),
        ),
        (
            "option_roms = \"none\"".to_owned(),
            wanted(Code::BootOptionRom, "nothing but the separator"),
        ),
    ] {
        let all: Vec<_> = all
            .iter()
            .map(|(code, subject, expected, found)| (*code, subject.clone(), *expected, found.as_str()))
            .collect();
        assert_eq!(all.len(), 2);
        says(&judged(&boot, ALL, &rule), &all);
    }
}

#[test]
fn command_lines_are_told_with_their_event_and_their_text() {
    let mut boot = typical_server().boot();
    boot.events.retain(|event| event.pcr != 8);
    let number = boot.events.len() + 1;
    boot.measure(8, EventType::IPL, b"/vmlinuz root=/dev/sda quiet");
    let subject = format!("PCR 8, event {number}");
    let text = "/vmlinuz root=/dev/sda quiet";
    says(
        &judged(&boot, ALL, "command_lines = [\"/vmlinuz a\", \"/vmlinuz b\"]"),
        &[(
            Code::BootCommandLineNotAllowed,
            subject.clone(),
            "/vmlinuz a or /vmlinuz b",
            text,
        )],
    );
    says(
        &judged(&boot, ALL, "command_line_requires = [\"lockdown=*\", \"quiet\"]"),
        &[(
            Code::BootCommandLineLacksWord,
            subject.clone(),
            "lockdown=*",
            text,
        )],
    );
    says(
        &judged(&boot, ALL, "command_line_forbids = [\"root=*\", \"single\"]"),
        &[(
            Code::BootCommandLineForbiddenWord,
            subject.clone(),
            "no root=*",
            "root=/dev/sda",
        )],
    );
    boot.measure_as(8, EventType::IPL, b"/vmlinuz", b"another");
    says(
        &judged(&boot, ALL, "command_line_forbids = [\"single\"]"),
        &[(
            Code::BootClaimUnproven,
            format!("kernel command line: PCR 8, event {}", number + 1),
            "the text that was measured",
            "other bytes",
        )],
    );
}

#[test]
fn files_keys_and_revocations_are_told_with_what_was_listed() {
    let boot = typical_server().boot();
    let other = "ab".repeat(32);
    let of_9 = events(&boot, 9);
    let (last, known) = of_9.split_last().unwrap();
    let files: Vec<&String> = known[1..].iter().map(|(_, digest)| digest).collect();
    let rule = format!("initrds = [\"{}\"]\nfiles = {files:?}", last.1);
    says(
        &judged(&boot, ALL, &rule),
        &[(
            Code::BootFileNotAllowed,
            format!("PCR 9, event {}", known[0].0),
            "a listed initrd, file or command line",
            &known[0].1,
        )],
    );
    says(
        &judged(&boot, ALL, &format!("dbx_contains = [\"{other}\"]")),
        &[(
            Code::BootDbxLacksHash,
            "dbx".to_owned(),
            &other,
            "2 image digests, and not this one",
        )],
    );
    let host = Host::new();
    let any = policy("name = \"x\"\nversion = 1\nsecure_boot = \"required\"", "");
    let claims = host.clone().round(&any).claims.boot_log.unwrap();
    let (db, shim) = (&claims.authorities.listed[0], &claims.authorities.listed[1]);
    says(
        &judged(&boot, ALL, &format!("authorities = [\"{}\"]", shim.sha256)),
        &[(
            Code::BootAuthorityNotAllowed,
            "authority in db".to_owned(),
            "one of 1 listed",
            &db.sha256,
        )],
    );
}

#[test]
fn a_digest_that_is_an_allowed_line_proves_none_of_its_words() {
    let mut server = typical_server();
    server.loader = Loader::Stub;
    server.command_line = "root=/dev/vda1 ro".to_owned();
    let boot = server.boot();
    let line = "command_lines = [\"root=/dev/vda1 ro\"]\n";
    expect(&judged(&boot, ALL, line), Verdict::Affirming, &[]);
    for words in [
        "command_line_requires = [\"ro\"]",
        "command_line_forbids = [\"single\"]",
    ] {
        let result = judged(&boot, ALL, &format!("{line}{words}"));
        expect(&result, Verdict::Indeterminate, &[Code::BootClaimUnproven]);
    }
}

#[test]
fn rules_that_say_nothing_of_command_lines_ask_for_none() {
    let boot = typical_server().boot();
    for rule in [
        "debug_mode = \"forbidden\"",
        "separators = [7]",
        "sbat_at_least = { shim = 4 }",
    ] {
        let result = judged(&boot, "sha256:7", rule);
        assert!(result.findings.is_empty(), "{rule}: {:?}", result.findings);
    }
}

fn with_grub(texts: &[&str]) -> BootLog {
    let mut boot = typical_server().boot();
    boot.events.retain(|event| event.pcr != 8);
    for text in texts {
        let logged = format!("grub_cmd: {text}\0");
        boot.measure_as(8, EventType::IPL, logged.as_bytes(), text.as_bytes());
    }
    boot
}

fn lines(boot: &BootLog) -> Vec<String> {
    let result = judged(boot, ALL, "debug_mode = \"forbidden\"");
    result.claims.boot_log.unwrap().kernel_command_lines.listed
}

#[test]
fn a_line_with_a_path_is_judged_whatever_kernel_was_announced_before_it() {
    let boot = with_grub(&["linux /missing", "/other init=/bin/sh"]);
    expect(
        &judged(&boot, ALL, "command_line_forbids = [\"init=*\"]"),
        Verdict::Contraindicated,
        &[Code::BootCommandLineForbiddenWord],
    );
    assert_eq!(lines(&boot), ["/other init=/bin/sh"]);
}

#[test]
fn a_text_behind_a_command_that_loads_another_kernel_is_no_line() {
    let boot = with_grub(&["linux vmlinuz", "echo sorry", "/vmlinuz quiet"]);
    assert_eq!(lines(&boot), ["/vmlinuz quiet"]);
}

#[test]
fn a_text_may_be_measured_with_what_grub_writes_before_it() {
    let mut boot = with_grub(&["/vmlinuz quiet"]);
    boot.measure(8, EventType::IPL, b"grub_cmd: set root=hd0");
    boot.measure(8, EventType::IPL, b"grub_cmd: insmod ext2\0");
    expect(
        &judged(&boot, ALL, "command_line_forbids = [\"single\"]"),
        Verdict::Affirming,
        &[],
    );
}

#[test]
fn a_line_with_something_hidden_behind_a_zero_is_not_read() {
    let wide = |text: &str| {
        text.encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>()
    };
    let mut boot = with_grub(&[]);
    let hidden = [
        wide("/vmlinuz quiet"),
        vec![0, 0],
        wide("init=/bin/sh"),
        vec![0, 0],
    ]
    .concat();
    boot.measure(8, EventType::IPL, &hidden);
    let result = judged(&boot, ALL, "command_lines = [\"/vmlinuz quiet\"]");
    expect(&result, Verdict::Indeterminate, &[Code::BootClaimUnproven]);
    assert!(lines(&boot).is_empty());
    // Zeros alone end a line.
    let mut boot = with_grub(&[]);
    boot.measure(8, EventType::IPL, &[wide("/vmlinuz quiet"), vec![0; 6]].concat());
    assert_eq!(lines(&boot), ["/vmlinuz quiet"]);
    // One character and its zero are no line of a kernel.
    let mut boot = with_grub(&[]);
    boot.measure_as(8, EventType::IPL, b"a\0", b"a");
    assert!(lines(&boot).is_empty());
}
