//! `lazaret inspect boot-log`, as a person and a script meet it.

use std::path::Path;
use std::process::{Command, Output};

use lazaret_forge::bootlog::typical_server;
use serde_json::Value;

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lazaret"))
        .args(["inspect", "boot-log"])
        .args(args)
        .output()
        .expect("the program runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn with(bytes: &[u8], then: impl FnOnce(&Path)) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("binary_bios_measurements");
    std::fs::write(&file, bytes).unwrap();
    then(&file);
}

#[test]
fn json_has_events_pcrs_claims_and_findings_and_nothing_else() {
    let boot = typical_server().boot();
    with(&boot.bytes(), |file| {
        let output = run(&["--json", file.to_str().unwrap()]);
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let keys: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["events", "pcrs", "claims", "findings"]);
        // The header is an event, too.
        assert_eq!(found["events"].as_u64(), Some(boot.events.len() as u64 + 1));
        assert_eq!(found["findings"], Value::Array(Vec::new()));
        assert!(
            found["claims"]["condition"]
                .as_str()
                .unwrap()
                .contains("if a quote signs")
        );
        assert_eq!(found["claims"]["secure_boot"], "on");
        let pcrs = boot.pcrs();
        for (bank, index, value) in pcrs.iter() {
            let extended = boot.events.iter().any(|event| event.pcr == index);
            let shown = found["pcrs"][bank.name()][index.to_string()].as_str();
            assert_eq!(
                shown,
                extended.then_some(hex::encode(value)).as_deref(),
                "{bank}:{index}"
            );
        }
    });
}

#[test]
fn text_says_what_the_claims_are_worth_and_obeys_no_control_characters() {
    let mut boot = typical_server().boot();
    boot.measure(0, lazaret_forge::bootlog::event::EventType(8), b"x");
    boot.measure(
        5,
        lazaret_forge::bootlog::event::EventType(0x8000_0007),
        b"\x1b[2Jgone",
    );
    with(&boot.bytes(), |file| {
        let output = run(&[file.to_str().unwrap()]);
        assert_eq!(code(&output), 0);
        let shown = text(&output.stdout);
        for part in [
            "sha256:7 ",
            "  0    PCR -  not extended     EV_NO_ACTION",
            "EV_EFI_VARIABLE_DRIVER_CONFIG SecureBoot",
            "if a quote signs these PCR values",
            "Secure Boot          on",
            "kernel command line",
            "Findings:\n  none",
        ] {
            assert!(shown.contains(part), "no {part:?} in\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'));
    });
}

#[test]
fn what_is_no_boot_log_ends_with_65_and_says_where_and_what_was_expected() {
    let log = typical_server().boot().bytes();
    for (bytes, told) in [
        (
            &b""[..],
            "at byte 0: expected the first event of a boot log, but the log is empty",
        ),
        (b"not a log", "at byte 8: expected a SHA-1 digest"),
        (&log[..log.len() - 1], "expected the event data"),
        (&log[..80], "expected"),
    ] {
        with(bytes, |file| {
            for json in [&[][..], &["--json"]] {
                let output = run(&[json, &[file.to_str().unwrap()]].concat());
                assert_eq!(code(&output), 65);
                assert!(text(&output.stderr).contains(told), "{}", text(&output.stderr));
                assert!(output.stdout.is_empty());
            }
        });
    }
    let missing = run(&["/no/such/log"]);
    assert_eq!(code(&missing), 66);
    assert!(text(&missing.stderr).contains("/no/such/log"));
    assert_eq!(code(&run(&[])), 64);
}

#[test]
fn a_full_disk_is_trouble_and_a_reader_that_went_away_is_not() {
    let boot = typical_server().boot();
    with(&boot.bytes(), |file| {
        let to = |stdout: std::process::Stdio| {
            Command::new(env!("CARGO_BIN_EXE_lazaret"))
                .args(["inspect", "boot-log", file.to_str().unwrap()])
                .stdout(stdout)
                .stderr(std::process::Stdio::piped())
                .spawn()
                .expect("the program runs")
        };
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = to(full.into()).wait_with_output().unwrap();
        assert_eq!(code(&output), 74);
        assert!(
            text(&output.stderr).contains("writing to standard output"),
            "{}",
            text(&output.stderr)
        );
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = to(writer.into()).wait_with_output().unwrap();
        assert_eq!((code(&output), text(&output.stderr)), (0, String::new()));
    });
}
