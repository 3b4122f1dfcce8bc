//! No digest covers the name of an entry's template. Whoever hands out the list may write another over it, and the list
//! still replays: what was measured must not look better for it.

use lazaret_attest::finding::Code;
use lazaret_attest::policy::Policy;
use lazaret_attest::result::AttestationResult;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::ima::{Entry, Inode, Template};

use crate::host::{Host, policy};

/// A policy over the host's honest files, with a place that is excluded.
fn rules(host: &Host) -> Policy {
    policy(
        "name = \"x\"\nversion = 1\n[ima]\nlists = [\"l\"]\nexclude = [\"/tmp/\"]\n",
        &host.ima.digest_list(),
    )
}

/// The answer of a host that ran what `entry` measured, and wrote another template's name over it in the list.
fn renamed(entry: Entry, from: &str, to: &str) -> AttestationResult {
    let mut host = Host::new();
    let policy = rules(&host);
    let honest: Vec<u8> = host.ima.entries.iter().flat_map(Entry::binary).collect();
    let name = |name: &str| [&u32::try_from(name.len()).unwrap().to_le_bytes(), name.as_bytes()].concat();
    let record = entry.binary();
    let (old, new) = (name(from), name(to));
    let at = record
        .windows(old.len())
        .position(|window| window == old)
        .unwrap();
    let mut behind = &record[at + old.len()..];
    if to == "ima" {
        // The old template has no length before its data.
        behind = &behind[4..];
    }
    host.ima.entries.push(entry);
    host.ima_log = Some([&honest, &record[..at], &new, behind].concat());
    host.round(&policy)
}

#[track_caller]
fn not_better(result: &AttestationResult, code: Code) {
    assert!(
        matches!(result.verdict, Verdict::Contraindicated | Verdict::Indeterminate),
        "{result:#?}"
    );
    assert!(
        result.findings.iter().any(|finding| finding.code == code),
        "{:?}",
        result.findings
    );
}

fn unlisted(template: Template, name: &str) -> Entry {
    Entry::new(template, Bank::Sha256, name, Bank::Sha256.hash(&[b"payload"]))
}

#[test]
fn an_unlisted_file_under_the_name_of_measured_data_is_still_an_unlisted_file() {
    // A file on a mount that is attached nowhere has no `/` before its name; the kernel measures it under the bare name.
    for name in [
        "/usr/bin/evil",
        "evil",
        "ima_log_trim",
        ".ima",
        "kexec-cmdline",
        "kernel_version",
    ] {
        for signature in [
            Vec::new(),
            vec![3, 2, 4, 1, 2, 3, 4, 0, 1, 9],
            vec![0x30, 0x82, 1, 1],
        ] {
            let entry = Entry {
                attachment: signature,
                ..unlisted(Template::ImaSig, name)
            };
            not_better(&renamed(entry, "ima-sig", "ima-buf"), Code::ImaFileUnknown);
        }
    }
}

#[test]
fn a_custom_format_cannot_take_the_path_or_the_digest_from_bytes_that_root_chose() {
    let elsewhere = Entry {
        inode: Some(Inode {
            xattrs: vec![("security.apparmor".to_owned(), b"/tmp/x".to_vec())],
            owner: (0, 0, 0o100_755),
        }),
        ..unlisted(Template::EvmSig, "/usr/bin/evil")
    };
    let format = "d-ng|sig|buf|evmsig|xattrlengths|n-ng|iuid|igid|imode";
    not_better(&renamed(elsewhere, "evm-sig", format), Code::ImaTemplateUnknown);

    let host = Host::new();
    let known = &host.ima.entries[5];
    let golden = [b"sha256:\0", known.file_digest.as_slice()].concat();
    let other = Entry::buffer(Bank::Sha256, &known.path, &golden);
    for format in ["sig|n-ng|d-ng", "d-ng|n-ng|d-ng"] {
        not_better(
            &renamed(other.clone(), "ima-buf", format),
            Code::ImaTemplateUnknown,
        );
    }
}

#[test]
fn an_entry_read_by_the_oldest_template_cannot_move_into_an_excluded_place() {
    // The old template hashes 20 bytes and 256 more: as much as this entry has. Root tries until the file's digest has the
    // five bytes of the place where the old name begins.
    let mut digest = [0x61; 32];
    digest[8..13].copy_from_slice(b"/tmp/");
    let path = format!("/opt/{}", "x".repeat(222));
    let entry = Entry::new(Template::ImaNg, Bank::Sha256, &path, digest.to_vec());
    assert_eq!(entry.hashed_data().len(), 276);

    let mut host = Host::new();
    let policy = rules(&host);
    let honest: Vec<u8> = host.ima.entries.iter().flat_map(Entry::binary).collect();
    let data = entry.hashed_data();
    let mut record = 10_u32.to_le_bytes().to_vec();
    record.extend(entry.digest(Bank::Sha1));
    record.extend(3_u32.to_le_bytes());
    record.extend(b"ima");
    record.extend(&data[..20]);
    record.extend(256_u32.to_le_bytes());
    record.extend(&data[20..]);
    host.ima.entries.push(entry);
    host.ima_log = Some([honest, record].concat());
    not_better(&host.round(&policy), Code::ImaTemplateUnknown);
}
