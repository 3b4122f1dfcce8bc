//! What is told though it is no file of a list: violations, policy loads, kexec, critical data, memory.

use super::*;

#[test]
fn case_61_a_violation_on_a_protected_path_is_graver_than_elsewhere() {
    for (path, code, verdict) in [
        (
            "/usr/bin/kmod",
            Code::ImaViolationProtected,
            Verdict::Indeterminate,
        ),
        ("/var/log/x", Code::ImaViolation, Verdict::Warning),
        ("/usrlocal/x", Code::ImaViolation, Verdict::Warning),
    ] {
        for text in [false, true] {
            let mut host = Host::new();
            host.text = text;
            let policy = rules(&host, "protected = [\"/usr/**\", \"/etc/**\"]", "");
            host.ima.violation(path);
            expect(&host.round(&policy), verdict, &[code]);
        }
    }
}

#[test]
fn case_69_an_ima_policy_that_was_loaded_is_told_unless_it_is_allowed() {
    let rules_text = b"measure func=BPRM_CHECK\n";
    let allowed: String = Bank::Sha256
        .hash(&[rules_text])
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let file = |content: &[u8]| {
        let digest = Bank::Sha256.hash(&[content]);
        Entry::new(Template::ImaSig, Bank::Sha256, "/etc/ima/ima-policy", digest)
    };
    let run = |entry: Entry, allow: bool| {
        let mut host = Host::new();
        let more = if allow {
            format!("policies = [\"{allowed}\"]")
        } else {
            String::new()
        };
        let policy = rules(&host, &more, "");
        host.ima.push(entry);
        host.round(&policy)
    };
    for event in ["ima_policy_loaded", "ima_policy_written"] {
        expect(
            &run(Entry::buffer(Bank::Sha256, event, rules_text), true),
            Verdict::Affirming,
            &[],
        );
        expect(
            &run(Entry::buffer(Bank::Sha256, event, b"dont_measure\n"), true),
            Verdict::Indeterminate,
            &[Code::ImaPolicyLoaded],
        );
        expect(
            &run(Entry::buffer(Bank::Sha256, event, rules_text), false),
            Verdict::Indeterminate,
            &[Code::ImaPolicyLoaded],
        );
    }
    expect(&run(file(rules_text), true), Verdict::Affirming, &[]);
    expect(
        &run(file(b"dont_measure\n"), true),
        Verdict::Indeterminate,
        &[Code::ImaPolicyLoaded],
    );
    let told = run(file(rules_text), false);
    expect(&told, Verdict::Indeterminate, &[Code::ImaPolicyLoaded]);
    assert_eq!(told.claims.ima.unwrap().events[0].subject, "ima-policy");
}

#[test]
fn case_57_a_kernel_that_was_loaded_for_kexec_is_told() {
    for event in ["kexec-cmdline", "kexec_load", "kexec_execute"] {
        let mut host = Host::new();
        let policy = rules(&host, "", "");
        host.ima
            .push(Entry::buffer(Bank::Sha256, event, b"root=/dev/evil"));
        let result = host.round(&policy);
        expect(&result, Verdict::Indeterminate, &[Code::ImaKexec]);
        assert!(
            result.findings[0]
                .found
                .as_ref()
                .unwrap()
                .contains("root=/dev/evil")
        );
    }
}

#[test]
fn critical_data_is_compared_by_its_name_and_a_digest_that_is_not_its_own_is_none() {
    let run = |data: &[u8], digest: Option<Vec<u8>>| {
        let mut host = Host::new();
        host.ima
            .push(Entry::buffer(Bank::Sha256, "kernel_version", b"6.1.0"));
        let policy = rules(&host, "", "");
        host.ima.entries.pop();
        let mut entry = Entry::buffer(Bank::Sha256, "kernel_version", data);
        if let Some(digest) = digest {
            entry.file_digest = digest;
        }
        host.ima.entries.push(entry);
        host.round(&policy)
    };
    expect(&run(b"6.1.0", None), Verdict::Affirming, &[]);
    expect(&run(b"6.1.1", None), Verdict::Warning, &[Code::ImaDataNotGolden]);
    let golden = Bank::Sha256.hash(&[b"6.1.0"]);
    expect(
        &run(b"6.1.1", Some(golden)),
        Verdict::Warning,
        &[Code::ImaDataNotGolden],
    );
}

#[test]
fn case_71_what_ran_from_memory_is_told_as_a_blind_spot() {
    for path in ["memfd:payload", "/memfd:payload", "/dev/shm/x", "/run/x"] {
        let mut host = Host::new();
        let policy = rules(&host, "", "");
        host.ima.measure(path, b"payload");
        expect(
            &host.round(&policy),
            Verdict::Contraindicated,
            &[Code::ImaBlindSpot, Code::ImaFileUnknown],
        );
    }
    let mut host = Host::new();
    let policy = rules(&host, "", "");
    host.ima.measure("/opt/x", b"payload");
    let result = host.round(&policy);
    assert!(
        result
            .findings
            .iter()
            .all(|finding| finding.code != Code::ImaBlindSpot)
    );
}
