//! A second opinion on quotes: `tpm2_checkquote` of tpm2-tools, on quotes that are honest and on quotes that are not.
//!
//! Where the two differ stands in `checkquote.txt`, with the reason. A difference that is not there fails, and so does an
//! agreement on a case that is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use lazaret_attest::pcr::{HashAlg, PcrValue};
use lazaret_attest::quote::by_hand::look;
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::typical_server;
use lazaret_forge::pcrs::Pcrs;
use lazaret_forge::softtpm::{Attest, SoftTpm, selected};

const NONCE: [u8; 20] = [0x5a; 20];
const REGISTERS: [u8; 4] = [0, 2, 7, 14];

/// What both are asked.
struct Case {
    name: String,
    key: Vec<u8>,
    message: Vec<u8>,
    signature: Vec<u8>,
    pcrs: Option<Vec<PcrValue>>,
}

fn we_accept(case: &Case) -> bool {
    let looked = look(
        &case.key,
        &case.message,
        &case.signature,
        &NONCE,
        case.pcrs.as_deref(),
    );
    looked.is_ok_and(|looked| looked.ended.is_ok())
}

/// None where the tool is not installed.
fn the_tool_accepts(case: &Case, directory: &Path) -> Option<bool> {
    let file = |name: &str| directory.join(name);
    fs::write(file("public"), &case.key).unwrap();
    fs::write(file("message"), &case.message).unwrap();
    fs::write(file("signature"), &case.signature).unwrap();
    let mut command = Command::new("tpm2_checkquote");
    command
        .env("TPM2TOOLS_TCTI", "none")
        .env("TSS2_LOG", "all+none")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (option, name) in [("-u", "public"), ("-m", "message"), ("-s", "signature")] {
        command.arg(option).arg(file(name));
    }
    command.arg("-q").arg(hex::encode(NONCE));
    if let Some(pcrs) = &case.pcrs {
        fs::write(file("pcrs"), dump(pcrs)).unwrap();
        command.arg("-f").arg(file("pcrs"));
    }
    match command.status() {
        Ok(status) => Some(status.success()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("tpm2_checkquote: {error}"),
    }
}

/// The tool's own dump of PCR values: TPML_PCR_SELECTION and one TPML_DIGEST as little-endian C structures.
fn dump(pcrs: &[PcrValue]) -> Vec<u8> {
    let bits = pcrs.iter().fold(0_u32, |bits, pcr| bits | 1 << pcr.index);
    let mut selection = 1_u32.to_le_bytes().to_vec();
    selection.extend(0x000b_u16.to_le_bytes());
    selection.push(3);
    selection.extend_from_slice(&bits.to_le_bytes()[..3]);
    selection.resize(132, 0);
    let mut digests = u32::try_from(pcrs.len()).unwrap().to_le_bytes().to_vec();
    for pcr in pcrs {
        digests.extend(u16::try_from(pcr.digest.len()).unwrap().to_le_bytes());
        let mut padded = pcr.digest.clone();
        padded.resize(64, 0);
        digests.extend(padded);
    }
    digests.resize(4 + 8 * 66, 0);
    [selection, 1_u32.to_le_bytes().to_vec(), digests].concat()
}

/// What is done to a quote before the key signs it: as if the TPM itself had said so.
type Forgery = (&'static str, fn(&mut Attest));

const FORGERIES: [Forgery; 16] = [
    ("honest", |_| {}),
    ("signed-bad-magic", |a| a.magic = 0xff54_4348),
    ("signed-certify", |a| a.kind = 0x8017),
    ("signed-nv", |a| a.kind = 0x8014),
    ("signed-time", |a| a.kind = 0x8019),
    ("signed-creation", |a| a.kind = 0x801a),
    ("signed-trailing", |a| a.trailing.push(0)),
    ("signed-empty-nonce", |a| a.extra_data.clear()),
    ("signed-nonce-prefix", |a| a.extra_data.truncate(19)),
    ("signed-nonce-longer", |a| a.extra_data.push(0)),
    ("signed-safe-flag-2", |a| a.safe = 2),
    ("signed-clock-unsafe", |a| a.safe = 0),
    ("signed-bank-twice", |a| a.selection.push(a.selection[0].clone())),
    ("signed-bitmap-of-4", |a| a.selection[0].1.push(0)),
    ("signed-unknown-bank", |a| a.selection[0].0 = 0x0099),
    ("signed-short-pcr-digest", |a| a.pcr_digest.truncate(20)),
];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (kind, tpm) in [
        ("ecdsa", SoftTpm::p256("checkquote")),
        ("rsa", SoftTpm::rsa2048().unwrap()),
    ] {
        let pcrs: Pcrs = typical_server().boot().pcrs();
        let selection = [(Bank::Sha256, &REGISTERS[..])];
        let key = tpm.key.public();
        let honest = tpm.attest(&NONCE, &selection, &pcrs);
        let quote = tpm.sign(&honest).unwrap();
        let mut add = |name: String, key: &[u8], message: &[u8], signature: &[u8], pcrs| {
            cases.push(Case {
                name: format!("{kind}-{name}"),
                key: key.to_vec(),
                message: message.to_vec(),
                signature: signature.to_vec(),
                pcrs,
            });
        };
        for (name, forge) in FORGERIES {
            let mut forged = honest.clone();
            forge(&mut forged);
            let quote = tpm.sign(&forged).unwrap();
            add(name.to_owned(), &key, &quote.attest, &quote.signature, None);
        }
        for at in (0..quote.attest.len()).step_by(9) {
            let mut changed = quote.attest.clone();
            changed[at] ^= 1;
            add(
                format!("message-byte-{at}"),
                &key,
                &changed,
                &quote.signature,
                None,
            );
        }
        for at in (0..quote.signature.len()).step_by(13) {
            let mut changed = quote.signature.clone();
            changed[at] ^= 1;
            add(
                format!("signature-byte-{at}"),
                &key,
                &quote.attest,
                &changed,
                None,
            );
        }
        let longer = |bytes: &[u8]| [bytes, &[0]].concat();
        add(
            "signature-trailing".into(),
            &key,
            &quote.attest,
            &longer(&quote.signature),
            None,
        );
        add(
            "signature-cut".into(),
            &key,
            &quote.attest,
            &quote.signature[..40],
            None,
        );
        add(
            "message-cut".into(),
            &key,
            &quote.attest[..60],
            &quote.signature,
            None,
        );
        add("message-empty".into(), &key, &[], &quote.signature, None);
        add(
            "key-trailing".into(),
            &longer(&key),
            &quote.attest,
            &quote.signature,
            None,
        );
        let mut unrestricted = tpm.key.clone();
        unrestricted.attributes &= !0x0001_0000;
        add(
            "key-unrestricted".into(),
            &unrestricted.public(),
            &quote.attest,
            &quote.signature,
            None,
        );
        let other = SoftTpm::p256("another").key.public();
        add("other-key".into(), &other, &quote.attest, &quote.signature, None);
        let values: Vec<PcrValue> = selected(&selection, &pcrs)
            .map(|(_, index, digest)| PcrValue {
                bank: HashAlg::Sha256,
                index,
                digest: digest.to_vec(),
            })
            .collect();
        add(
            "pcrs-right".into(),
            &key,
            &quote.attest,
            &quote.signature,
            Some(values.clone()),
        );
        let mut wrong = values.clone();
        wrong[2].digest[0] ^= 1;
        add(
            "pcrs-changed".into(),
            &key,
            &quote.attest,
            &quote.signature,
            Some(wrong),
        );
        add(
            "pcrs-missing".into(),
            &key,
            &quote.attest,
            &quote.signature,
            Some(values[1..].to_vec()),
        );
        let mut relabelled = values;
        relabelled[0].index = 1;
        add(
            "pcrs-relabelled".into(),
            &key,
            &quote.attest,
            &quote.signature,
            Some(relabelled),
        );
    }
    cases
}

#[test]
fn tpm2_checkquote_agrees_but_for_the_differences_that_are_known() {
    let known: BTreeMap<&str, &str> = include_str!("checkquote.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once(": ").expect("a case and what is known of it"))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for case in cases() {
        let ours = we_accept(&case);
        assert_eq!(
            ours,
            ["honest", "clock-unsafe", "pcrs-right"]
                .iter()
                .any(|end| case.name.ends_with(end)),
            "{}",
            case.name
        );
        let Some(theirs) = the_tool_accepts(&case, directory.path()) else {
            assert!(
                std::env::var_os("LAZARET_LAB").is_none(),
                "the lab has tpm2-tools, and tpm2_checkquote is not there"
            );
            println!("SKIPPED: tpm2_checkquote is not installed; `make install` brings it");
            return;
        };
        let found = match (ours, theirs) {
            (true, true) | (false, false) => None,
            (true, false) => Some("only we accept it"),
            (false, true) => Some("only the tool accepts it"),
        };
        match (found, known.get(case.name.as_str())) {
            (None, None) => {}
            (None, Some(_)) => wrong.push(format!("{}: they agree now", case.name)),
            (Some(found), None) => wrong.push(format!("{}: {found}", case.name)),
            (Some(found), Some(listed)) if listed.starts_with(found) => seen += 1,
            (Some(found), Some(listed)) => wrong.push(format!("{}: {found}, listed is: {listed}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(seen, known.len(), "a case is listed that is not made");
}
