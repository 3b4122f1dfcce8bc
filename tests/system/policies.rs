//! Golden values with a signature, and evidence read by hand, on hosts that run.

use std::fs;
use std::path::Path;
use std::process::Command;

use lazaret::ids::Sha256Digest;

use super::lab::{Lab, said};

/// Runs OpenSSH's own tool.
#[track_caller]
fn ssh_keygen(args: &[&str]) {
    said(
        Command::new("ssh-keygen")
            .args(args)
            .output()
            .expect("ssh-keygen"),
    )
    .expect(0);
}

/// Writes a version of a host's golden values with its list pinned, and signs it.
#[track_caller]
fn sign(lab: &Lab, policy: &Path, version: u64, key: &Path) {
    let list = fs::read(lab.path("golden/cmp-1.sha256")).expect("the list");
    let pinned = format!(
        "lists = [{{ file = \"cmp-1.sha256\", sha256 = \"{}\" }}]",
        Sha256Digest::of(&list)
    );
    let text = fs::read_to_string(policy).expect("the policy");
    let lines = text.lines().map(|line| match line.split(" = ").next() {
        Some("lists") => pinned.clone(),
        Some("version") => format!("version = {version}"),
        _ => line.to_owned(),
    });
    fs::write(policy, lines.collect::<Vec<_>>().join("\n") + "\n").expect("the policy");
    let _ = fs::remove_file(policy.with_extension("toml.sig"));
    let (policy, key) = (policy.display().to_string(), key.display().to_string());
    ssh_keygen(&["-q", "-Y", "sign", "-n", "lazaret-policy", "-f", &key, &policy]);
}

#[test]
fn case_77_a_signed_policy_is_demanded_and_an_older_one_is_refused() {
    let mut lab = Lab::take();
    lab.trust(&["cmp-1"]);
    let key = lab.path("key");
    ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-f", &key.display().to_string()]);
    let public = fs::read_to_string(lab.path("key.pub")).expect("the public key");
    fs::write(
        lab.path("signers"),
        format!("security@example.org namespaces=\"lazaret-policy\" {public}"),
    )
    .expect("the signers");
    let signers = lab.path("signers").display().to_string();
    lab.set("appraisal", "signers", signers);

    let unsigned = lab.lazaret(&["verify-host", "cmp-1"]);
    assert_eq!(unsigned.code, 77, "{}", unsigned.err);
    assert!(unsigned.err.contains("ssh-keygen -Y sign"), "{}", unsigned.err);

    let policy = lab.path("golden/cmp-1.toml");
    sign(&lab, &policy, 1, &key);
    lab.lazaret(&["verify-host", "cmp-1"]).expect(0);
    let first = (
        fs::read(&policy).expect("the policy"),
        fs::read(policy.with_extension("toml.sig")).expect("its signature"),
    );
    sign(&lab, &policy, 2, &key);
    lab.lazaret(&["verify-host", "cmp-1"]).expect(0);

    // An older policy is genuine and its signature is good.
    fs::write(&policy, &first.0).expect("the policy");
    fs::write(policy.with_extension("toml.sig"), &first.1).expect("its signature");
    let back = lab.lazaret(&["verify-host", "cmp-1"]).expect(30);
    assert!(back.out.contains("policy-rolled-back"), "{}", back.out);

    // A policy that was changed after it was signed is none.
    sign(&lab, &policy, 3, &key);
    let changed = fs::read_to_string(&policy).expect("the policy") + "# and one comment\n";
    fs::write(&policy, changed).expect("the policy");
    let changed = lab.lazaret(&["verify-host", "cmp-1"]);
    assert_eq!(changed.code, 77, "{}", changed.err);

    // A list that was changed after the policy was signed is none either.
    sign(&lab, &policy, 4, &key);
    lab.lazaret(&["verify-host", "cmp-1"]).expect(0);
    let list = lab.path("golden/cmp-1.sha256");
    let longer = fs::read_to_string(&list).expect("the list") + &format!("{}  /opt/evil\n", "ab".repeat(32));
    fs::write(&list, longer).expect("the list");
    let longer = lab.lazaret(&["verify-host", "cmp-1"]);
    assert_eq!(longer.code, 65, "{}", longer.err);
    assert!(longer.err.contains("cmp-1.sha256"), "{}", longer.err);
}

#[test]
fn what_is_read_by_hand_is_what_the_tpm_signs() {
    let lab = Lab::take();
    lab.trust(&["cmp-2"]);
    let judged = lab.lazaret(&["verify-host", "cmp-2", "--json"]).expect(0).json();
    let quoted = |bank: &str, index: u64| {
        let pcrs = judged["claims"]["quote"]["pcrs"].as_array().expect("PCRs");
        let one = pcrs
            .iter()
            .find(|pcr| pcr["bank"] == bank && pcr["index"] == index)
            .unwrap_or_else(|| panic!("{bank}:{index} in {judged}"));
        one["digest"].as_str().expect("hex").to_owned()
    };
    let file = |what: &str| lab.host("cmp-2")[what].as_str().expect("a file").to_owned();

    let boot = lab
        .lazaret(&["inspect", "boot-log", &file("boot_log"), "--json"])
        .expect(0)
        .json();
    for index in [0, 4, 7] {
        assert_eq!(boot["pcrs"]["sha256"][index.to_string()], quoted("sha256", index));
    }
    // The header is an event of the log, but was measured into no PCR.
    let measured = judged["claims"]["boot_log"]["events"].as_u64().expect("a count");
    assert_eq!(boot["events"], measured + 1);

    let covered = &judged["claims"]["ima"]["covered"];
    let pcr10 = format!("sha256={}", quoted("sha256", 10));
    let ima = lab
        .lazaret(&["inspect", "ima", &file("ima_log"), "--match", &pcr10, "--json"])
        .expect(0)
        .json();
    assert_eq!(&ima["match"]["entries"], covered, "{ima}");
    let never = format!("sha256={}", "5a".repeat(32));
    lab.lazaret(&["inspect", "ima", &file("ima_log"), "--match", &never])
        .expect(20);
}
