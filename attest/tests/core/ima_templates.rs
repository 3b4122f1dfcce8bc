//! Every template in every form that the kernel writes, against entries forged without the core's tables.

use lazaret_attest::ima::{DigestKind, Form, ImaError, ImaList};
use lazaret_attest::pcr::HashAlg;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::bank::Bank;
use lazaret_forge::ima::{Entry, Format, Inode, List, Template};

use crate::host::{Host, expect, policy};

const TEMPLATES: [(Template, Bank); 12] = [
    (Template::Ima, Bank::Sha1),
    (Template::ImaNg, Bank::Sha256),
    (Template::ImaSig, Bank::Sha256),
    (Template::ImaBuf, Bank::Sha256),
    (Template::ImaModsig, Bank::Sha512),
    (Template::ImaNgv2, Bank::Sha256),
    (Template::ImaSigv2, Bank::Sha384),
    (Template::EvmSig, Bank::Sha256),
    (
        Template::Custom(Format("d-ng|n-ng|sig|buf|imode|iuid")),
        Bank::Sha256,
    ),
    (Template::Custom(Format("n-ng|d-ng")), Bank::Sha256),
    (
        Template::Custom(Format("xattrnames|igid|n-ng|d-ngv2|modsig|d-modsig")),
        Bank::Sha256,
    ),
    (Template::Custom(Format("d|n")), Bank::Sha1),
];

/// Entries with everything that a template can hold, and with nothing of it.
fn entries(template: Template, hash: Bank) -> Vec<Entry> {
    let plain = Entry::new(template, hash, "/usr/bin/plain", hash.hash(&[b"plain"]));
    let mut full = Entry {
        attachment: (0..=255).collect(),
        modsig: Some((hash.hash(&[b"without"]), vec![0x30; 70])),
        inode: Some(Inode {
            xattrs: vec![
                (
                    "security.selinux".to_owned(),
                    b"system_u:object_r:bin_t:s0\0".to_vec(),
                ),
                ("security.ima".to_owned(), vec![4, 4, 7]),
            ],
            owner: (0, 4_000_000_000, 0o100_755),
        }),
        verity: true,
        ..Entry::new(template, hash, "/opt/with space/new\nline", hash.hash(&[b"full"]))
    };
    let bare_inode = Entry {
        inode: Some(Inode {
            xattrs: Vec::new(),
            owner: (1000, 0, 0),
        }),
        ..Entry::new(template, hash, "/bare", hash.hash(&[b"bare"]))
    };
    if template == Template::Ima {
        full.path = "/opt/with_underscore".to_owned();
    }
    vec![
        plain,
        full,
        bare_inode,
        Entry::violation(template, hash, "/var/log/open"),
    ]
}

/// Reads a list and extends PCR 10 by what the core says each entry extends.
fn replay(bytes: &[u8], bank: HashAlg) -> Result<(u64, Vec<u8>), ImaError> {
    let mut cursor = ImaList::new(bytes).cursor();
    let mut pcr = vec![0; bank.digest_len()];
    let mut count = 0;
    while let Some(entry) = cursor.next_entry()? {
        bank.extend(&mut pcr, &entry.measured(bank).unwrap());
        count += 1;
    }
    Ok((count, pcr))
}

fn forged(template: Template, hash: Bank) -> List {
    let mut list = List::empty(template, hash);
    for entry in entries(template, hash) {
        list.push(entry);
    }
    // Buffers always come in ima-buf, whatever the template of files.
    list.push(Entry::buffer(hash, "kernel_version", b"6.1.0"));
    list
}

#[test]
fn every_template_of_the_kernel_replays_from_text_and_binary_alike() {
    for (template, hash) in TEMPLATES {
        let list = forged(template, hash);
        for bank in Bank::ALL {
            let alg = HashAlg::from_id(bank.id()).unwrap();
            let mut pcr = vec![0; bank.digest_len()];
            for entry in &list.entries {
                let extended = entry.extends(&[bank]).into_iter().next().unwrap().1;
                pcr = bank.hash(&[&pcr, &extended]);
            }
            let wanted = Ok((u64::try_from(list.entries.len()).unwrap(), pcr));
            assert_eq!(
                replay(&list.binary(), alg),
                wanted,
                "{template:?}, binary, {bank}"
            );
            assert_eq!(replay(&list.text(), alg), wanted, "{template:?}, text, {bank}");
        }
    }
}

/// Newer kernels have a list for each bank, with that bank's template digests in the second column.
#[test]
fn lists_of_other_banks_are_seen_and_replay_alike() {
    for printed in Bank::ALL {
        for (template, hash) in TEMPLATES {
            let list = forged(template, hash);
            let text: Vec<u8> = list
                .entries
                .iter()
                .flat_map(|entry| entry.text_of(printed))
                .collect();
            let binary: Vec<u8> = list
                .entries
                .iter()
                .flat_map(|entry| entry.binary_of(printed))
                .collect();
            assert_eq!(ImaList::new(&text).form(), Form::Text);
            assert_eq!(ImaList::new(&binary).form(), Form::Binary);
            let wanted = replay(&list.binary(), HashAlg::Sha256);
            assert!(wanted.is_ok());
            assert_eq!(
                replay(&text, HashAlg::Sha256),
                wanted,
                "{template:?}, text, {printed}"
            );
            assert_eq!(
                replay(&binary, HashAlg::Sha256),
                wanted,
                "{template:?}, binary, {printed}"
            );
        }
    }
}

#[test]
fn fields_are_what_was_forged() {
    let list = forged(Template::EvmSig, Bank::Sha256);
    for bytes in [list.text(), list.binary()] {
        let mut cursor = ImaList::new(&bytes).cursor();
        cursor.next_entry().unwrap();
        let entry = cursor.next_entry().unwrap().unwrap();
        let fields = entry.fields.unwrap();
        let metadata = entry.metadata().unwrap();
        assert_eq!(fields.path, b"/opt/with_space/new\nline");
        assert_eq!(
            (metadata.uid, metadata.gid, metadata.mode),
            (Some(0), Some(4_000_000_000), Some(0o100_755))
        );
        assert_eq!(metadata.xattr_names, b"security.selinux|security.ima");
        assert_eq!(metadata.xattr_lengths, [27, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(metadata.xattr_values, b"system_u:object_r:bin_t:s0\0\x04\x04\x07");
        assert_eq!(metadata.signature.len(), 256);
    }
    let list = forged(Template::ImaModsig, Bank::Sha256);
    for bytes in [list.text(), list.binary()] {
        let mut cursor = ImaList::new(&bytes).cursor();
        assert_eq!(cursor.next_entry().unwrap().unwrap().appended(), None);
        let entry = cursor.next_entry().unwrap().unwrap();
        let appended = entry.appended().unwrap();
        assert_eq!(appended.algorithm, b"sha256");
        assert_eq!(appended.digest, Bank::Sha256.hash(&[b"without"]));
        assert_eq!(appended.signature, [0x30; 70]);
    }
    let list = forged(Template::ImaSigv2, Bank::Sha384);
    for bytes in [list.text(), list.binary()] {
        let mut cursor = ImaList::new(&bytes).cursor();
        assert_eq!(
            cursor.next_entry().unwrap().unwrap().fields.unwrap().kind,
            DigestKind::Content
        );
        let entry = cursor.next_entry().unwrap().unwrap();
        let fields = entry.fields.unwrap();
        assert_eq!(
            (fields.kind, fields.algorithm),
            (DigestKind::Verity, &b"sha384"[..])
        );
    }
}

/// `ima_hash=md5` with the oldest template: 16 bytes, and no length that says so.
#[test]
fn an_md5_digest_in_the_oldest_template_is_read() {
    let digest = [7_u8; 16];
    let name = b"/usr/bin/old";
    let mut hashed = digest.to_vec();
    hashed.extend(name);
    hashed.resize(16 + 256, 0);
    let sha1 = Bank::Sha1.hash(&[&hashed]);
    let length = u32::try_from(name.len()).unwrap().to_le_bytes();
    let binary = [
        &[10, 0, 0, 0],
        &sha1[..],
        &[3, 0, 0, 0],
        b"ima",
        &digest,
        &length,
        name,
    ]
    .concat();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text = format!("10 {} ima {} /usr/bin/old\n", hex(&sha1), hex(&digest));
    for bytes in [binary.as_slice(), text.as_bytes()] {
        let mut cursor = ImaList::new(bytes).cursor();
        let entry = cursor.next_entry().unwrap().unwrap();
        assert_eq!(entry.measured(HashAlg::Sha1).unwrap(), sha1);
        assert_eq!(entry.fields.unwrap().algorithm, b"md5");
        assert_eq!(entry.fields.unwrap().path, name);
    }
}

/// A format can do without a name or a digest; nothing can be said about such an entry.
#[test]
fn an_entry_without_a_name_or_without_a_digest_has_no_fields() {
    for (format, fields) in [("d-ng|n-ng", true), ("d-ng|sig", false), ("n-ng|sig", false)] {
        let list = forged(Template::Custom(Format(format)), Bank::Sha256);
        for bytes in [list.text(), list.binary()] {
            let mut cursor = ImaList::new(&bytes).cursor();
            let entry = cursor.next_entry().unwrap().unwrap();
            assert!(entry.template.is_known(), "{format}");
            assert_eq!(entry.fields.is_some(), fields, "{format}");
        }
    }
}

/// `%2d`: the kernel puts a space before one digit.
#[test]
fn an_entry_for_a_pcr_of_one_digit_is_read() {
    let line = |pcr: &str| format!("{pcr} {} ima-ng sha256:{} /a\n", "1".repeat(40), "2".repeat(64));
    for (pcr, number) in [(" 8", 8), ("8", 8), ("10", 10), ("23", 23)] {
        let text = line("10") + &line(pcr);
        let mut cursor = ImaList::new(text.as_bytes()).cursor();
        assert_eq!(cursor.next_entry().unwrap().unwrap().pcr, 10, "{pcr}");
        assert_eq!(cursor.next_entry().unwrap().unwrap().pcr, number, "{pcr}");
        assert!(cursor.next_entry().unwrap().is_none(), "{pcr}");
    }
}

/// One kernel file prints the template digests of one bank.
#[test]
fn a_text_list_has_template_digests_of_one_size() {
    let line = |digits: usize| format!("10 {} ima-ng sha256:{} /a\n", "1".repeat(digits), "2".repeat(64));
    for (first, second) in [(40, 64), (64, 40), (128, 96)] {
        let text = line(first) + &line(second);
        let mut cursor = ImaList::new(text.as_bytes()).cursor();
        assert!(cursor.next_entry().unwrap().is_some());
        let error = cursor.next_entry().unwrap_err();
        assert_eq!(error.offset(), line(first).len(), "{error}");
        assert!(
            error.to_string().contains("as many as in the first entry"),
            "{error}"
        );
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}

#[test]
fn every_prefix_of_a_list_ends_at_an_entry_or_is_an_error_that_says_where() {
    for (template, hash) in TEMPLATES {
        let list = forged(template, hash);
        for (text, ends) in [
            (
                false,
                list.entries
                    .iter()
                    .map(|entry| entry.binary().len())
                    .collect::<Vec<_>>(),
            ),
            (
                true,
                list.entries.iter().map(|entry| entry.text().len()).collect(),
            ),
        ] {
            let bytes = if text { list.text() } else { list.binary() };
            let ends: Vec<usize> = ends
                .iter()
                .scan(0, |sum, length| {
                    *sum += length;
                    Some(*sum)
                })
                .collect();
            for length in 1..bytes.len() {
                let read = replay(&bytes[..length], HashAlg::Sha256);
                // A newline inside a path may end a text, when all that follows it was cut off.
                if ends.contains(&length) {
                    assert!(read.is_ok(), "{template:?} {length}: {read:?}");
                } else if !(text && bytes[length - 1] == b'\n') {
                    let error = read.expect_err("a list cut inside an entry");
                    assert!(error.offset() <= length, "{template:?} {length}: {error}");
                    assert!(error.to_string().contains("expected"), "{error}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_list_is_told_with_line_offset_and_what_was_expected() {
    let good = String::from_utf8(forged(Template::ImaSig, Bank::Sha256).text()).unwrap();
    let first = good.lines().next().unwrap().len() + 1;
    let digest = "0".repeat(40);
    let cases = [
        ("nonsense\n".to_owned(), 1, 0, "a PCR index, a template digest"),
        (
            good[..first].to_owned() + &format!("10 {digest} ima-ng sha256:zz /x\n"),
            2,
            first + 51,
            "hexadecimal digits",
        ),
        (
            good[..first].to_owned() + &format!("10 {digest} ima-ng sha256:00\n"),
            2,
            first + 60,
            "another field",
        ),
        (format!("10 {digest} ima-sig\n"), 1, 51, "fields"),
        (format!("10 {digest} ima-ng sha256:00 /x"), 1, 63, "a newline"),
        (
            format!("10 {digest} evm-sig sha256:00 /x     01 0 0\n"),
            1,
            69,
            "decimal",
        ),
    ];
    for (text, line, offset, expected) in cases {
        let error = replay(text.as_bytes(), HashAlg::Sha256).unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(&format!("line {line},")), "{shown}");
        assert!(shown.contains(expected), "{shown}");
        assert_eq!(error.offset(), offset, "{shown}");
    }
}

#[test]
fn a_big_endian_list_is_named_as_such() {
    let entry = Entry::new(Template::ImaNg, Bank::Sha256, "/x", vec![1; 32]).binary();
    let mut big = entry.clone();
    big[..4].reverse();
    big[24..28].reverse();
    assert_eq!(ImaList::new(&big).form(), Form::BigEndian);
    let error = replay(&big, HashAlg::Sha256).unwrap_err();
    assert_eq!(error, ImaError::BigEndian);
    assert!(error.to_string().contains("little-endian"));
}

#[test]
fn a_list_that_old_kernels_extend_with_padded_sha1_is_proven_but_told() {
    for (text, selection) in [
        (false, crate::host::SELECTION),
        (true, "sha256:0,1,2,3,4,5,6,7,8,9,10,14"),
    ] {
        let mut host = Host::new();
        host.text = text;
        host.selection = selection;
        host.ima.violation("/var/log/x");
        host.ima.measure("/usr/bin/last", b"last");
        let any = policy(
            &format!(
                "name = \"x\"\nversion = 1\n[pcrs.sha256]\n0 = [\"{}\"]",
                pcr_0(&host)
            ),
            "",
        );
        host.padded = true;
        let result = host.round(&any);
        let claims = result.claims.ima.clone().unwrap();
        assert_eq!(
            claims.covered,
            host.ima.entries.len() as u64,
            "{:?}",
            result.findings
        );

        // One entry extended in the new form, and nothing leads to the quoted value.
        host.mixed = true;
        expect(
            &host.round(&any),
            Verdict::Contraindicated,
            &[lazaret_attest::finding::Code::ImaReplayMismatch],
        );
    }
}

fn pcr_0(host: &Host) -> String {
    let value = host.pcrs().value(Bank::Sha256, 0).unwrap().to_vec();
    value.iter().map(|byte| format!("{byte:02x}")).collect()
}
