//! A second opinion on boot logs: `tpm2_eventlog` of tpm2-tools, on logs of real machines and on forged ones.
//!
//! Where the two differ stands in `eventlog.txt`, with the reason. A difference that is not there fails, and so does an
//! agreement on a case that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use lazaret_attest::boot_log::Inspection;
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::data::{Out, spec_id_event};
use lazaret_forge::bootlog::event::EventType;
use lazaret_forge::bootlog::modern::sp800_155_event;
use lazaret_forge::bootlog::{BootLog, LogForm, typical_server};

/// Events and PCR values, as `bank:index=hex`.
type Seen = (usize, BTreeSet<String>);

fn ours(log: &[u8]) -> Option<Seen> {
    let found = Inspection::of(log).ok()?;
    let pcrs = found.pcrs.iter().flat_map(|(bank, values)| {
        values
            .iter()
            .map(move |(index, value)| format!("{bank}:{index}={value}"))
    });
    Some((found.events, pcrs.collect()))
}

/// What the tool says; inner none where it refuses, or ends by a signal.
fn theirs(log: &[u8], directory: &Path) -> Option<Option<Seen>> {
    let file = directory.join("log");
    fs::write(&file, log).unwrap();
    let output = Command::new("tpm2_eventlog")
        .arg(&file)
        .env("TPM2TOOLS_TCTI", "none")
        .stderr(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("tpm2_eventlog: {error}"),
    };
    if !output.status.success() {
        return Some(None);
    }
    let yaml = String::from_utf8_lossy(&output.stdout);
    let (events, pcrs) = yaml.split_once("\npcrs:").unwrap_or((&yaml, ""));
    let mut bank = "";
    let mut values = BTreeSet::new();
    for (key, value) in pcrs.lines().filter_map(|line| line.split_once(':')) {
        match value.trim().strip_prefix("0x") {
            Some(value) => drop(values.insert(format!("{bank}:{}={value}", key.trim()))),
            None => bank = key.trim(),
        }
    }
    Some(Some((events.matches("\n  PCRIndex:").count(), values)))
}

fn cases() -> Vec<(String, Vec<u8>)> {
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    let server = typical_server().boot();
    let mut add = |name: &str, log: Vec<u8>| cases.push((name.to_owned(), log));
    let with = |change: &dyn Fn(&mut BootLog)| {
        let mut boot = server.clone();
        change(&mut boot);
        boot.bytes()
    };
    let honest = server.bytes();
    add("honest", honest.clone());
    add("honest-sha1", with(&|boot| boot.form = LogForm::Sha1Only));
    add(
        "honest-sha256-alone",
        with(&|boot| boot.banks = vec![Bank::Sha256]),
    );
    add("honest-four-banks", with(&|boot| boot.banks = Bank::ALL.to_vec()));
    add("locality-3", with(&|boot| boot.startup_locality = Some(3)));
    add(
        "locality-3-sha1",
        with(&|boot| {
            boot.startup_locality = Some(3);
            boot.form = LogForm::Sha1Only;
        }),
    );
    add(
        "reference-manifest",
        with(&|boot| boot.events.insert(0, sp800_155_event())),
    );
    add(
        "unknown-type",
        with(&|boot| {
            boot.measure(4, EventType(0x1234_5678), b"what is this");
        }),
    );
    add("empty", Vec::new());
    for (name, fill) in [("zeros", 0), ("ones", 0xff)] {
        add(
            &format!("padded-with-{name}"),
            [honest.clone(), vec![fill; 64]].concat(),
        );
    }
    let mut sm3 = Out::new();
    let mut header = spec_id_event(&[Bank::Sha256]);
    header.splice(24..28, 2_u32.to_le_bytes());
    header.splice(28..28, [0x12, 0, 32, 0]);
    sm3.sha1_record(0, EventType::NO_ACTION, &[0; 20], &header);
    sm3.u32(0).u32(4).u32(2).u16(0x12).raw(&[9; 32]);
    sm3.u16(0x0B)
        .raw(&Bank::Sha256.hash(&[&[0; 4]]))
        .len32(&[0; 4])
        .raw(&[0; 4]);
    add("bank-sm3", sm3.into_bytes());
    for length in (0..honest.len()).step_by(517) {
        add(&format!("cut-at-{length}"), honest[..length].to_vec());
    }
    // Fields of the header and of the first event behind it.
    let first = 8 + 20 + 4 + 16 + 8 + 4 + 2 * 4 + 1;
    for (field, at) in [
        ("header-pcr", 0),
        ("header-type", 4),
        ("header-digest", 8),
        ("header-size", 28),
        ("header-signature", 32),
        ("header-version", 54),
        ("header-banks", 56),
        ("header-bank", 60),
        ("header-bank-size", 62),
        ("header-vendor", 68),
        ("event-pcr", first),
        ("event-type", first + 4),
        ("event-digests", first + 8),
        ("event-bank", first + 12),
        ("event-digest", first + 14),
        ("event-second-bank", first + 34),
        ("event-size", first + 68),
        ("event-size-high", first + 71),
        ("event-data", first + 72),
    ] {
        let mut log = honest.clone();
        log[at] ^= 1;
        add(&format!("changed-{field}"), log);
        let mut log = honest.clone();
        log[at] = 0xff;
        add(&format!("ones-in-{field}"), log);
    }
    cases
}

/// Logs of real machines, where they are present beside the project.
fn real() -> Vec<(String, Vec<u8>)> {
    let Some(corpus) = crate::corpus::corpus() else {
        return Vec::new();
    };
    let mut logs = Vec::new();
    let fixtures = fs::read_dir(corpus.join("tpm2-tools/test/integration/fixtures")).unwrap();
    for file in fixtures.map(|file| file.unwrap().path()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if (name.starts_with("event") || name.starts_with("specid")) && name.ends_with(".bin") {
            logs.push((format!("real-{name}"), fs::read(file).unwrap()));
        }
    }
    for folder in fs::read_dir(corpus.join("vm"))
        .unwrap()
        .map(|folder| folder.unwrap().path())
    {
        if let Ok(log) = fs::read(folder.join("bios.bin")) {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            logs.push((format!("real-{name}"), log));
        }
    }
    assert!(logs.len() >= 15, "only {} logs of real machines", logs.len());
    logs
}

#[test]
fn tpm2_eventlog_agrees_but_for_the_differences_that_are_known() {
    let known: BTreeMap<&str, &str> = include_str!("eventlog.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(": ").expect("a case and what is known of it"))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let real = real();
    let without_real = real.is_empty();
    let (mut seen, mut wrong) = (0, Vec::new());
    for (name, log) in cases().into_iter().chain(real) {
        let Some(theirs) = theirs(&log, directory.path()) else {
            assert!(
                std::env::var_os("LAZARET_LAB").is_none(),
                "the lab has tpm2-tools, and tpm2_eventlog is not there"
            );
            println!("SKIPPED: tpm2_eventlog is not installed; `make install` brings it");
            return;
        };
        let found = match (ours(&log), theirs) {
            (None, None) => None,
            (Some(_), None) => Some("only we read it"),
            (None, Some(_)) => Some("only the tool reads it"),
            (Some(ours), Some(theirs)) if ours.1 != theirs.1 => Some("other PCRs"),
            (Some(ours), Some(theirs)) if ours.0 != theirs.0 => Some("other count of events"),
            (Some(_), Some(_)) => None,
        };
        match (found, known.get(name.as_str())) {
            (None, None) => {}
            (None, Some(_)) => wrong.push(format!("{name}: they agree now")),
            (Some(found), None) => wrong.push(format!("{name}: {found}")),
            (Some(found), Some(listed)) if listed.starts_with(found) => seen += 1,
            (Some(found), Some(listed)) => wrong.push(format!("{name}: {found}, listed is: {listed}")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let met = known
        .keys()
        .filter(|name| !(without_real && name.starts_with("real-")))
        .count();
    assert_eq!(seen, met, "a case is listed that is not made");
}
