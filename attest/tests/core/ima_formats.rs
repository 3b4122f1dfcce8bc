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

/// A host whose last entry's data was changed before it was measured: what the forge would not write.
fn measured_otherwise(host: &mut Host, entry: Entry, from: &[u8], to: &[u8]) {
    host.ima.push(entry);
    let mut list = host.ima.binary();
    let record = host.ima.entries.pop().unwrap().binary();
    let begin = list.len() - record.len();
    let at = begin
        + record
            .windows(from.len())
            .position(|window| window == from)
            .unwrap();
    list[at..at + from.len()].copy_from_slice(to);
    // PCR index, SHA-1, template's name behind its length, data behind its length.
    let name = usize::from(record[24]);
    let data = &list[begin + 28 + name + 4..];
    let mut pcrs = host.pcrs();
    let digests = [Bank::Sha1, Bank::Sha256].map(|bank| (bank, bank.hash(&[data])));
    pcrs.extend(10, &digests.into_iter().collect());
    for bank in [Bank::Sha1, Bank::Sha256] {
        host.force
            .push((bank, 10, pcrs.value(bank, 10).unwrap().to_vec()));
    }
    host.ima_log = Some(list);
}

#[test]
fn a_digest_without_the_mark_of_its_algorithm_is_compared_with_nothing() {
    let unsuitable = |to: &[u8]| {
        let mut host = Host::new();
        let policy = rules(&host, "");
        let known = host.ima.entries[2].clone();
        let entry = Entry {
            template: Template::ImaNg,
            ..known
        };
        measured_otherwise(&mut host, entry, b"sha256:\0", to);
        host.round(&policy)
    };
    expect(&unsuitable(b"sha256:\0"), Verdict::Affirming, &[]);
    for other in [b"sha256;\0", b"sha256a\0", b"SHA256:\0", b"sha257:\0"] {
        expect(
            &unsuitable(other),
            Verdict::Indeterminate,
            &[Code::ImaAlgorithmUnsuitable],
        );
    }
}

#[test]
fn a_boot_aggregate_that_is_a_digest_of_another_kind_is_none() {
    let mut host = Host::new();
    let first = &mut host.ima.entries[0];
    (first.template, first.verity) = (Template::ImaNgv2, true);
    let policy = rules(&host, "");
    let result = host.round(&policy);
    expect(&result, Verdict::Indeterminate, &[Code::ImaBootAggregateMissing]);
    host.ima.entries[0].verity = false;
    expect(&host.round(&policy), Verdict::Affirming, &[]);
}

#[test]
fn the_head_of_a_text_list_is_a_number_and_lower_case_digits() {
    use lazaret_attest::ima::{Form, ImaList};
    let host = Host::new();
    let line = String::from_utf8(host.ima.entries[1].text()).unwrap();
    let form = |text: &str| ImaList::new(text.as_bytes()).form();
    let read = |text: &str| {
        let mut cursor = ImaList::new(text.as_bytes()).cursor();
        let found = cursor.next_entry().map(|entry| entry.is_some());
        (found, cursor.offset())
    };
    assert_eq!((form(&line), read(&line)), (Form::Text, (Ok(true), line.len())));
    let with = |at: usize, text: &str| {
        let mut changed = line.clone();
        changed.replace_range(at..at + text.len(), text);
        changed
    };
    let digest = line.find("sha256:").unwrap() + 7;
    for wrong in [
        with(0, "+1"),
        with(0, "1x"),
        with(3, "z"),
        with(4, "z"),
        with(3, "zz"),
        with(3, "A"),
        with(digest, "z"),
        with(digest + 1, "z"),
        with(digest, "zz"),
        format!("10 {}z ima-ng x", "0".repeat(39)),
    ] {
        assert!(read(&wrong).0.is_err(), "{wrong}");
    }
    assert_eq!(form("no list at all"), Form::Text);
    assert_eq!(ImaList::new(&[1, 2, 3]).form(), Form::Binary);
}

#[test]
fn a_trimmed_list_is_appraised_from_where_an_earlier_round_ended() {
    for (text, selection) in [
        (false, "sha256:0,1,2,3,4,5,6,7,8,9,10"),
        (true, crate::host::SELECTION),
    ] {
        let mut host = Host::new();
        host.text = text;
        host.selection = selection;
        let policy = rules(&host, "");
        let history = host.round(&policy).history.unwrap();
        let covered = usize::try_from(history.ima.as_ref().unwrap().entries).unwrap();
        host.ima.measure("/usr/bin/evil", b"evil");
        let challenge = host.challenge(0);
        for first in [1, 3, covered - 1, covered] {
            let mut evidence = host.clone().answer(&challenge);
            evidence.ima_log = match text {
                true => host.ima.text_from(first),
                false => host.ima.binary_from(first),
            };
            let result = host.judge(&evidence, &challenge, &policy, Some(&history));
            expect(&result, Verdict::Contraindicated, &[Code::ImaFileUnknown]);
            assert_eq!(result.findings.len(), 1, "{:?}", result.findings);
            assert_eq!(result.findings[0].subject, "/usr/bin/evil");
        }
    }
}

#[test]
fn a_slice_is_never_explained_by_padded_digests() {
    let mut host = Host::new();
    let policy = rules(&host, "");
    let history = host.round(&policy).history.unwrap();
    let covered = history.ima.as_ref().unwrap().entries;
    let known = host.ima.entries[2].clone();
    host.ima.entries.push(Entry {
        template: Template::ImaNg,
        ..known
    });
    let next = |host: &mut Host| host.round_from(&policy, Some(&history), covered);
    expect(&next(&mut host.clone()), Verdict::Affirming, &[]);
    host.mixed = false;
    // The first entries as a kernel since 5.8 extends them, the last as one before it.
    let last = host.ima.entries.pop().unwrap();
    let mut pcrs = host.pcrs();
    pcrs.extend(10, &last.extends_padded(&[Bank::Sha1, Bank::Sha256]));
    host.ima.entries.push(last);
    for bank in [Bank::Sha1, Bank::Sha256] {
        host.force
            .push((bank, 10, pcrs.value(bank, 10).unwrap().to_vec()));
    }
    let result = next(&mut host);
    expect(&result, Verdict::Indeterminate, &[Code::ImaFullListNeeded]);
    assert!(result.full_list_needed);
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
