//! `lazaret verify-host`: each verdict with its exit code, evidence kept and appraised again, speed.

use super::lab::Lab;

#[test]
fn exit_0_a_host_that_runs_what_was_captured_is_affirming() {
    let lab = Lab::take();
    lab.trust(&["cmp-1"]);
    let said = lab.lazaret(&["verify-host", "cmp-1"]).expect(0);
    assert!(said.out.starts_with("cmp-1: AFFIRMING"), "{}", said.out);
    assert!(said.out.contains("took"), "{}", said.out);
    let json = lab.lazaret(&["verify-host", "cmp-1", "--json"]).expect(0).json();
    assert_eq!(json["verdict"], "affirming");
    assert_eq!(json["findings"].as_array().unwrap().len(), 0);
    // The second round asked only for what is new.
    assert!(json["claims"]["ima"]["first"].as_u64().unwrap() > 1, "{json}");
    assert_eq!(lab.hosts()[0]["verdict"], "affirming");
}

#[test]
fn exit_0_again_after_a_reboot() {
    let lab = Lab::take();
    lab.trust(&["cmp-3"]);
    let before = lab.lazaret(&["verify-host", "cmp-3", "--json"]).expect(0).json();
    lab.lab(&["reboot", "cmp-3"]);
    let after = lab.lazaret(&["verify-host", "cmp-3", "--json"]).expect(0).json();
    let boots = |json: &serde_json::Value| json["claims"]["quote"]["reset_count"].as_u64().unwrap();
    assert!(boots(&after) > boots(&before));
    assert_eq!(after["claims"]["ima"]["first"], 0, "the whole list was asked for");
}

#[test]
fn exit_10_a_finding_that_the_policy_takes_lightly_is_a_warning() {
    let lab = Lab::take();
    lab.trust(&["cmp-2"]);
    let policy = lab.path("golden/cmp-2.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(
        &policy,
        format!("{text}\n[gravity]\nima-file-unknown = \"warning\"\n"),
    )
    .unwrap();
    lab.measure("cmp-2", "/opt/vendor/tool");
    let said = lab.lazaret(&["verify-host", "cmp-2"]).expect(10);
    assert!(
        said.out.contains("ima-file-unknown") && said.out.contains("/opt/vendor/tool"),
        "{}",
        said.out
    );
}

#[test]
fn exit_20_a_foreign_program_is_contraindicated_and_the_evidence_stands_alone() {
    let lab = Lab::take();
    lab.trust(&["cmp-1"]);
    lab.lazaret(&["verify-host", "cmp-1"]).expect(0);
    lab.measure("cmp-1", "/usr/local/bin/backdoor");
    let bundle = lab.path("cmp-1.bundle");
    let bundle = bundle.to_str().unwrap();
    let said = lab
        .lazaret(&["verify-host", "cmp-1", "--save", bundle])
        .expect(20);
    for word in [
        "CONTRAINDICATED",
        "ima-file-unknown",
        "/usr/local/bin/backdoor",
        "found",
        "means",
        "do ",
    ] {
        assert!(said.out.contains(word), "{word} in {}", said.out);
    }
    // By itself the command only records: nothing is opened, nothing is touched.
    assert!(lab.cases().is_empty());
    assert_eq!(lab.power("cmp-1"), "on");
    lab.lab(&["reboot", "cmp-1"]);
    lab.lazaret(&["verify-host", "cmp-1"]).expect(0);

    // Offline: the same verdict from the file alone.
    lab.lab(&["host", "kill-agent", "cmp-1"]);
    let again = lab
        .lazaret(&["verify-host", "--replay", bundle, "--json"])
        .expect(20)
        .json();
    assert_eq!(again["findings"][0]["code"], "ima-file-unknown");
    assert_eq!(again["host"], "cmp-1");

    // One character of the evidence changed: it does not say the same any more, and never Affirming.
    let text = std::fs::read_to_string(bundle).unwrap();
    let at = text.find("\"ima_log\": \"").unwrap() + 200;
    let mut forged = text.into_bytes();
    forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
    let other = lab.path("forged.bundle");
    std::fs::write(&other, &forged).unwrap();
    let said = lab.lazaret(&["verify-host", "--replay", other.to_str().unwrap(), "--json"]);
    assert!(said.code == 20 || said.code == 30, "{said:?}");
    assert_ne!(said.json()["findings"], again["findings"]);

    // Cut: a clear error.
    std::fs::write(&other, &forged[..forged.len() / 2]).unwrap();
    let said = lab
        .lazaret(&["verify-host", "--replay", other.to_str().unwrap()])
        .expect(65);
    assert!(
        said.err.contains("forged.bundle") && said.err.contains("line"),
        "{}",
        said.err
    );
}

#[test]
fn exit_30_a_silent_host_is_indeterminate_and_that_is_recorded() {
    let lab = Lab::take();
    lab.trust(&["cmp-2"]);
    lab.lab(&["host", "kill-agent", "cmp-2"]);
    let said = lab.lazaret(&["verify-host", "cmp-2"]).expect(30);
    assert!(said.out.contains("agent-unreachable"), "{}", said.out);
    assert_eq!(lab.hosts()[0]["verdict"], "indeterminate");
    lab.lab(&["host", "start-agent", "cmp-2"]);
    lab.lazaret(&["verify-host", "cmp-2"]).expect(0);
}

#[test]
fn a_changed_boot_is_contraindicated() {
    let lab = Lab::take();
    lab.trust(&["cmp-3", "cmp-1"]);
    // The golden values of one machine do not fit another one's boot.
    let other = lab.path("golden/cmp-1.toml");
    let own = lab.path("golden/cmp-3.toml");
    let text = std::fs::read_to_string(&own).unwrap();
    let register = text
        .lines()
        .find(|line| line.starts_with("4 = "))
        .expect("PCR 4 in the policy")
        .to_owned();
    let digest = register.split('"').nth(1).unwrap().to_owned();
    let wrong = format!(
        "{}{}",
        if digest.starts_with('0') { '1' } else { '0' },
        &digest[1..]
    );
    std::fs::write(&own, text.replace(&digest, &wrong)).unwrap();
    let said = lab.lazaret(&["verify-host", "cmp-3"]).expect(20);
    assert!(
        said.out.contains("pcr-not-golden") && said.out.contains(&digest) && said.out.contains(&wrong),
        "{}",
        said.out
    );
    assert!(other.exists());
}

#[test]
fn verification_is_fast_enough_to_be_asked_at_three_in_the_morning() {
    let lab = Lab::take();
    lab.trust(&["cmp-1"]);
    let json = lab
        .lazaret(&[
            "verify-host",
            "cmp-1",
            "--json",
            "--save",
            lab.path("b").to_str().unwrap(),
        ])
        .expect(0)
        .json();
    let timings = &json["timings"];
    println!(
        "verify-host, {} IMA entries: {timings}",
        json["claims"]["ima"]["covered"]
    );
    for part in [
        "collect_ms",
        "quote_ms",
        "boot_log_ms",
        "ima_ms",
        "appraisal_ms",
        "total_ms",
    ] {
        assert!(timings[part].as_f64().is_some(), "{part} is missing: {timings}");
    }
}
