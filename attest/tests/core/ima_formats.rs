//! Formats of an operator's own (`ima_template_fmt=`): believed where they are in the order of the kernel's templates.

use lazaret_attest::finding::Code;
use lazaret_attest::policy::Policy;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::ima::{Entry, Format, Template};

use crate::host::{Host, expect, policy};

fn rules(host: &Host, more: &str) -> Policy {
    policy(
        &format!("name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]\n{more}"),
        &host.ima.digest_list(),
    )
}

#[test]
fn a_format_is_believed_with_one_digest_then_one_name_and_nothing_twice() {
    for (format, believed) in [
        ("d-ng|n-ng", true),
        ("d-ng|n-ng|sig", true),
        ("d-ngv2|n-ng|sig|buf|imode|iuid|igid", true),
        ("d-ng|n|sig", true),
        ("d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues", true),
        ("d-ng", false),
        ("n-ng|d-ng", false),
        ("d-ng|sig|n-ng", false),
        ("d-ng|n-ng|n-ng", false),
        ("d-ng|n-ng|n", false),
        ("d-ng|n-ng|d-ngv2", false),
        ("d-ng|n-ng|sig|sig", false),
        ("sig|d-ng|n-ng", false),
        ("d-ng|n-ng|unheard", false),
    ] {
        for text in [false, true] {
            if text && format.contains("unheard") {
                continue;
            }
            let mut host = Host::new();
            host.text = text;
            let policy = rules(&host, "");
            let template = Template::Custom(Format(format));
            let known = host.ima.entries[2].clone();
            host.ima.entries.push(Entry {
                template,
                ..known.clone()
            });
            let result = host.round(&policy);
            if believed {
                expect(&result, Verdict::Affirming, &[]);
            } else {
                expect(&result, Verdict::Indeterminate, &[Code::ImaTemplateUnknown]);
            }
            let evil = Bank::Sha256.hash(&[b"evil"]);
            host.ima
                .push(Entry::new(template, Bank::Sha256, "/usr/bin/evil", evil));
            let code = match believed {
                true => Code::ImaFileUnknown,
                false => Code::ImaTemplateUnknown,
            };
            let result = host.round(&policy);
            assert!(
                result.findings.iter().any(|finding| finding.code == code),
                "{format}: {:?}",
                result.findings
            );
        }
    }
}

#[test]
fn data_is_what_a_format_of_data_holds_and_nothing_more() {
    let run = |format: &'static str, name: &str| {
        let mut host = Host::new();
        let policy = rules(&host, "");
        let entry = Entry {
            template: Template::Custom(Format(format)),
            ..Entry::buffer(Bank::Sha256, name, b"6.1.0")
        };
        host.ima.push(entry);
        host.round(&policy)
    };
    let data = Code::ImaDataNotGolden;
    expect(&run("d-ng|n-ng|buf", "kernel_version"), Verdict::Warning, &[data]);
    let file = Code::ImaFileUnknown;
    for (format, name) in [
        ("d-ng|n-ng|buf|imode", "kernel_version"),
        ("d-ng|n-ng|imode|buf", "kernel_version"),
        ("d-ng|n-ng|buf", "/usr/bin/x"),
    ] {
        expect(&run(format, name), Verdict::Contraindicated, &[file]);
    }
}

#[test]
fn a_note_of_the_kernel_that_it_trimmed_its_list_is_text() {
    let run = |data: &[u8]| {
        let mut host = Host::new();
        let policy = rules(&host, "");
        host.ima.push(Entry::buffer(Bank::Sha256, "ima_log_trim", data));
        host.round(&policy)
    };
    for note in [&b"num=3 total=10"[..], b"3\n", b"3\0"] {
        let result = run(note);
        expect(&result, Verdict::Affirming, &[]);
        assert_eq!(result.claims.ima.unwrap().events[0].subject, "list-trimmed");
    }
    for other in [&b"\x03\x02\x04"[..], b"num=3 \xff", b"\x1b[2J"] {
        expect(&run(other), Verdict::Warning, &[Code::ImaDataNotGolden]);
    }
}

#[test]
fn an_ima_policy_is_allowed_by_its_content_in_sha256_or_as_a_golden_file() {
    let content = Bank::Sha256.hash(&[b"measure func=BPRM_CHECK\n"]);
    let listed = format!("policies = [\"{}\"]\n", hex::encode(&content));
    let file =
        |template, hash, digest: &[u8]| Entry::new(template, hash, "/etc/ima/ima-policy", digest.to_vec());
    let run = |entry: Entry, more: &str, golden: bool| {
        let mut host = Host::new();
        if golden {
            host.ima.push(entry.clone());
        }
        let policy = rules(&host, more);
        host.ima.push(entry);
        host.round(&policy)
    };
    let plain = file(Template::ImaNg, Bank::Sha256, &content);
    let told = [Code::ImaPolicyLoaded];
    expect(&run(plain.clone(), &listed, false), Verdict::Affirming, &[]);
    expect(&run(plain.clone(), "", true), Verdict::Affirming, &[]);
    assert_eq!(run(plain.clone(), "", false).findings[0].code, told[0]);
    // Another kind of digest, or another algorithm's, is not what was allowed, though the bytes are.
    let tree = Entry {
        verity: true,
        ..file(Template::ImaNgv2, Bank::Sha256, &content)
    };
    assert_eq!(run(tree, &listed, false).findings[0].code, told[0]);
    let other = Entry {
        hash: Bank::Sha384,
        ..plain.clone()
    };
    assert_eq!(run(other, &listed, false).findings[0].code, told[0]);
    // Where policies are listed, a golden file is not enough.
    let another = file(Template::ImaNg, Bank::Sha256, &[9; 32]);
    expect(&run(another, &listed, true), Verdict::Indeterminate, &told);
}
