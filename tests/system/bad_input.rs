//! Bad input: a clear error that says what to do, the documented exit code, and nothing recorded is changed.

use lazaret_wire::tls::TlsIdentity;

use super::{
    fakes::{Answer, FakeAgent},
    lab::Lab,
};

#[test]
fn commands_that_name_what_is_not_there() {
    let lab = Lab::take();
    let said = lab.lazaret(&["verify-host", "cmp-9"]).expect(66);
    assert!(
        said.err.contains("cmp-9 is not enrolled") && said.err.contains("lazaret enroll"),
        "{}",
        said.err
    );
    for words in [
        &["quarantine", "show", "q-20260101-000000"][..],
        &["report", "q-20260101-000000"],
        &["quarantine", "approve", "q-20260101-000000"],
    ] {
        let said = lab.lazaret(words).expect(66);
        assert!(said.err.contains("lazaret quarantine list"), "{}", said.err);
    }
    lab.lazaret(&["verify-host", "--replay", "/nonexistent/bundle"])
        .expect(66);
    lab.lazaret(&["verify-host"]).expect(64);
    lab.lazaret(&["verify-host", "../../etc/passwd"]).expect(64);
    lab.lazaret(&["no-such-command"]).expect(64);
}

#[test]
fn a_configuration_with_a_typo_is_refused_with_its_line() {
    let lab = Lab::take();
    let text = std::fs::read_to_string(lab.config_file()).unwrap();
    std::fs::write(
        lab.config_file(),
        text.replace("[store]\n", "[store]\npaht = \"x\"\n"),
    )
    .unwrap();
    for words in [&["hosts"][..], &["serve"], &["verify-host", "cmp-1"]] {
        let said = lab.lazaret(words).expect(78);
        assert!(
            said.err.contains("paht") && said.err.contains("lazaret.toml:"),
            "{}",
            said.err
        );
    }
    std::fs::remove_file(lab.config_file()).unwrap();
    lab.lazaret(&["hosts"]).expect(78);
}

#[test]
fn a_policy_with_a_typo_gives_no_verdict_and_changes_no_record() {
    let lab = Lab::take();
    lab.trust(&["cmp-1"]);
    lab.lazaret(&["verify-host", "cmp-1"]).expect(0);
    let before = lab.hosts();
    let policy = lab.path("golden/cmp-1.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, format!("{text}\n[gravtiy]\nx = \"warning\"\n")).unwrap();
    let said = lab.lazaret(&["verify-host", "cmp-1"]).expect(65);
    assert!(
        said.err.contains("gravtiy") && said.err.contains("line"),
        "{}",
        said.err
    );
    // A digest list cut in the middle of a line.
    std::fs::write(&policy, text).unwrap();
    let list = lab.path("golden/cmp-1.sha256");
    let digests = std::fs::read(&list).unwrap();
    std::fs::write(&list, &digests[..digests.len() - digests.len() / 3 - 7]).unwrap();
    let code = lab.lazaret(&["verify-host", "cmp-1"]).code;
    assert!(
        code == 65 || code == 20,
        "a cut list is an error, or lacks files: {code}"
    );
    std::fs::remove_file(&list).unwrap();
    lab.lazaret(&["verify-host", "cmp-1"]).expect(65);
    std::fs::remove_file(&policy).unwrap();
    let said = lab.lazaret(&["verify-host", "cmp-1"]).expect(66);
    assert!(said.err.contains("golden capture"), "{}", said.err);
    if code == 65 {
        assert_eq!(lab.hosts(), before);
    }
}

#[test]
fn golden_values_are_not_overwritten_by_accident() {
    let lab = Lab::take();
    lab.trust(&["cmp-1"]);
    let policy = lab.path("golden/cmp-1.toml");
    let said = lab
        .lazaret(&["golden", "capture", "cmp-1", "--policy", policy.to_str().unwrap()])
        .expect(73);
    assert!(said.err.contains("--force"), "{}", said.err);
}

/// Fake: an agent with the enrolled agent's own TLS key that answers garbage, and one that never ends.
#[test]
fn garbage_and_oversized_answers_are_indeterminate() {
    let mut lab = Lab::take();
    lab.trust(&["cmp-1"]);
    let config: toml::Table = std::fs::read_to_string(lab.config_file())
        .unwrap()
        .parse()
        .unwrap();
    let directory = config["identity"]["directory"].as_str().unwrap().to_owned();
    let verifier = TlsIdentity::load_or_make(directory.as_ref(), "lazaret").unwrap();
    lab.set("agents", "answer_timeout_s", 20);
    for (answer, word) in [
        (Answer::Bytes(b"not CBOR at all".to_vec()), "agent-garbled"),
        (Answer::Bytes(Vec::new()), "agent-garbled"),
        (Answer::Endless, "agent-garbled"),
    ] {
        let stolen = lab.path("stolen-key");
        let fake = FakeAgent::serve(&stolen, &verifier, answer);
        // Enrolment would refuse it, so the pin is set as if this were the enrolled agent.
        repoint(
            &lab,
            &fake.url(),
            &TlsIdentity::load_or_make(&stolen, "agent").unwrap().pin().0,
        );
        let said = lab.lazaret(&["verify-host", "cmp-1"]).expect(30);
        assert!(said.out.contains(word), "{}", said.out);
    }
    // Another key than the pinned one at that address.
    let fake = FakeAgent::serve(&lab.path("other-key"), &verifier, Answer::Bytes(Vec::new()));
    let pin = TlsIdentity::load_or_make(&lab.path("stolen-key"), "agent")
        .unwrap()
        .pin()
        .0;
    repoint(&lab, &fake.url(), &pin);
    let said = lab.lazaret(&["verify-host", "cmp-1"]).expect(30);
    assert!(said.out.contains("agent-other-key"), "{}", said.out);
}

/// Writes another agent address and pin into the database, as nothing in the product would.
fn repoint(lab: &Lab, url: &str, pin: &[u8; 32]) {
    let sql = format!(
        "UPDATE hosts SET agent_url = '{url}', agent_key = '{}' WHERE name = 'cmp-1'",
        hex::encode(pin)
    );
    let done = std::process::Command::new("python3")
        .args(["-c", "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nassert c.execute(sys.argv[2]).rowcount == 1\nc.commit()"])
        .arg(lab.path("lazaret.db"))
        .arg(sql)
        .status()
        .expect("python3");
    assert!(done.success());
}

#[test]
fn a_cloud_that_refuses_our_password_is_said_so() {
    let mut lab = Lab::take();
    let wrong = lab.path("wrong");
    std::fs::write(&wrong, "not-the-password\n").unwrap();
    lab.set("openstack", "password_file", wrong.display().to_string());
    let said = lab.lazaret(&["enroll", "--all"]);
    assert!(matches!(said.code, 69 | 77), "{said:?}");
    assert!(
        said.err.contains("401") || said.err.contains("refuse"),
        "{}",
        said.err
    );
    assert!(!said.err.contains("not-the-password"));
    let said = lab.lazaret(&["doctor"]).expect(1);
    assert!(said.out.contains("FAIL  keystone"), "{}", said.out);
}

#[test]
fn doctor_passes_on_a_sound_lab_and_names_what_is_broken() {
    let lab = Lab::take();
    lab.trust(&["cmp-1", "cmp-2", "cmp-3"]);
    let said = lab.lazaret(&["doctor"]).expect(0);
    for word in [
        "PASS  keystone",
        "PASS  nova",
        "PASS  masakari cmp-1",
        "PASS  agent cmp-3",
        "PASS  fence cmp-2",
        "PASS  TPM makers' roots",
    ] {
        assert!(said.out.contains(word), "{word} in\n{}", said.out);
    }
    lab.lab(&["host", "kill-agent", "cmp-2"]);
    std::fs::remove_file(lab.path("golden/cmp-1.toml")).unwrap();
    let checks = lab.lazaret(&["doctor", "--json"]).expect(1).json();
    let failed: Vec<_> = checks
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["outcome"] == "FAIL")
        .map(|check| check["check"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(failed, ["golden values cmp-1", "agent cmp-2"], "{checks}");
}

#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    let lab = Lab::take();
    lab.trust(&["cmp-1"]);
    lab.lazaret(&["verify-host", "cmp-1"]).expect(0);
    let before = lab.hosts();
    // No file may grow beyond 8 KiB (in blocks of 512 bytes); the signal is ignored, so that the write itself fails.
    let bundle = lab.path("big.bundle");
    let said = super::lab::said(
        std::process::Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_lazaret"))
            .arg("--config")
            .arg(lab.config_file())
            .args(["verify-host", "cmp-1", "--save"])
            .arg(&bundle)
            .output()
            .expect("sh"),
    )
    .expect(74);
    println!("{}", said.err.trim());
    assert!(
        said.err.contains("have room") || said.err.contains("disk is full"),
        "{}",
        said.err
    );
    assert!(!bundle.exists(), "half a bundle is left");
    let after = lab.hosts();
    assert_eq!(after, before, "nothing recorded has changed");
    lab.lazaret(&["verify-host", "cmp-1"]).expect(0);
}
