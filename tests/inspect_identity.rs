//! `lazaret inspect quote` and `lazaret inspect ek-cert` as a person runs them: exit codes, reasons, JSON.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use lazaret_forge::{
    bank::Bank,
    bootlog::typical_server,
    softtpm::{Attest, SoftTpm, selected},
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use serde_json::Value;

fn lazaret(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lazaret"))
        .arg("inspect")
        .args(arguments)
        .output()
        .expect("lazaret runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ends by itself")
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    text(&output.stdout) + &text(&output.stderr)
}

const NONCE: [u8; 20] = [0x5a; 20];
const REGISTERS: [u8; 3] = [0, 7, 14];

/// A quote in files, and the values of its PCRs as they are typed.
struct Files {
    dir: tempfile::TempDir,
    pcrs: Vec<String>,
}

impl Files {
    fn of(tpm: &SoftTpm, change: impl FnOnce(&mut Attest)) -> Files {
        let pcrs = typical_server().boot().pcrs();
        let selection = [(Bank::Sha256, &REGISTERS[..])];
        let mut attest = tpm.attest(&NONCE, &selection, &pcrs);
        change(&mut attest);
        let quote = tpm.sign(&attest).unwrap();
        let files = Files {
            dir: tempfile::tempdir().unwrap(),
            pcrs: selected(&selection, &pcrs)
                .map(|(_, index, value)| format!("sha256:{index}={}", hex::encode(value)))
                .collect(),
        };
        files.put("ak", &tpm.key.public());
        files.put("message", &quote.attest);
        files.put("signature", &quote.signature);
        files
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn inspect(&self, more: &[&str]) -> Output {
        self.inspect_for(&hex::encode(NONCE), more)
    }

    fn inspect_for(&self, nonce: &str, more: &[&str]) -> Output {
        let file = |name| self.path(name).display().to_string();
        let (ak, message, signature) = (file("ak"), file("message"), file("signature"));
        let mut arguments = vec![
            "quote",
            "--ak",
            &ak,
            "--message",
            &message,
            "--signature",
            &signature,
        ];
        arguments.extend(["--nonce", nonce]);
        arguments.extend(more);
        lazaret(&arguments)
    }

    fn with_pcrs(&self, pcrs: &[String]) -> Output {
        let mut more = vec!["--json", "--pcr"];
        more.extend(pcrs.iter().map(String::as_str));
        self.inspect(&more)
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

#[test]
fn a_genuine_quote_ends_with_0_whatever_form_its_key_has() {
    for tpm in [SoftTpm::p256("inspect"), SoftTpm::rsa2048().unwrap()] {
        let files = Files::of(&tpm, |_| {});
        let plain = files.inspect(&[]);
        assert_eq!(code(&plain), 0, "{}", said(&plain));
        assert!(said(&plain).contains("not compared"), "{}", said(&plain));
        let compared = files.with_pcrs(&files.pcrs);
        assert_eq!(code(&compared), 0, "{}", said(&compared));
        let seen = json(&compared);
        assert_eq!((&seen["genuine"], &seen["pcrs"]), (&true.into(), &"match".into()));
        assert_eq!(seen["quote"]["extra_data"], hex::encode(NONCE));
        assert_eq!(seen["quote"]["selection"], "sha256:0,7,14");
        assert_eq!(seen["quote"]["reset_count"], 1);
        files.put("ak", &tpm.key.public_area());
        assert_eq!(code(&files.inspect(&[])), 0);
    }
}

#[test]
fn a_quote_that_is_not_genuine_ends_with_20_and_the_check_that_failed() {
    let tpm = SoftTpm::p256("inspect");
    let expect = |output: Output, check: &str| {
        assert_eq!(code(&output), 20, "{}", said(&output));
        let seen = json(&output);
        assert_eq!(
            (&seen["genuine"], &seen["failed"]),
            (&false.into(), &check.into()),
            "{seen}"
        );
        assert!(seen["reason"].is_string());
    };
    let forged = |change: fn(&mut Attest)| Files::of(&tpm, change).inspect(&["--json"]);
    expect(forged(|attest| attest.magic = 1), "magic");
    expect(forged(|attest| attest.kind = 0x8017), "kind");
    expect(forged(|attest| attest.extra_data.truncate(19)), "nonce");
    expect(forged(|attest| attest.selection[0].0 = 0x99), "pcr-selection");
    expect(forged(|attest| attest.pcr_digest.truncate(20)), "pcr-digest");
    let files = Files::of(&tpm, |_| {});
    expect(files.inspect_for("00", &["--json"]), "nonce");
    expect(files.inspect_for("", &["--json"]), "nonce");
    expect(files.with_pcrs(&files.pcrs[1..]), "pcr-selection");
    let surplus = [files.pcrs.clone(), vec![format!("sha256:1={}", "00".repeat(32))]].concat();
    expect(files.with_pcrs(&surplus), "pcr-selection");
    let mut wrong = files.pcrs.clone();
    wrong[1] = format!("sha256:7={}", "00".repeat(32));
    expect(files.with_pcrs(&wrong), "pcr-digest");
    let mut message = fs::read(files.path("message")).unwrap();
    message[50] ^= 1;
    files.put("message", &message);
    expect(files.inspect(&["--json"]), "signature");
    let mut unrestricted = SoftTpm::p256("inspect");
    unrestricted.key.attributes &= !0x0001_0000;
    expect(Files::of(&unrestricted, |_| {}).inspect(&["--json"]), "key");
}

#[test]
fn what_is_malformed_ends_with_65_and_the_byte_and_what_is_not_there_with_66() {
    let files = Files::of(&SoftTpm::p256("inspect"), |_| {});
    for name in ["ak", "message", "signature"] {
        let whole = fs::read(files.path(name)).unwrap();
        let wrong: [&[u8]; 4] = [
            &[],
            &whole[..whole.len() - 1],
            &[whole.as_slice(), &[0]].concat(),
            b"text",
        ];
        for bytes in wrong {
            files.put(name, bytes);
            let output = files.inspect(&[]);
            assert_eq!(code(&output), 65, "{name}: {}", said(&output));
            assert!(said(&output).contains("at byte "), "{}", said(&output));
        }
        fs::remove_file(files.path(name)).unwrap();
        assert_eq!(code(&files.inspect(&[])), 66);
        files.put(name, &whole);
    }
    for wrong in [
        "sha256:0",
        "sha256:24=00",
        "md5:1=00",
        "sha256:0=zz",
        "sha256:0=00",
    ] {
        assert_eq!(code(&files.inspect(&["--pcr", wrong])), 64, "{wrong}");
    }
    assert_eq!(code(&files.inspect_for("xyz", &[])), 64);
}

/// A maker's root and intermediate and a certificate by the latter, each in its file.
struct Maker {
    dir: tempfile::TempDir,
}

impl Maker {
    fn new() -> Maker {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("roots")).unwrap();
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
            params.use_authority_key_identifier_extension = true;
            params
        };
        let (root_key, ca_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let (root, ca) = (authority("maker root"), authority("maker CA"));
        let mut ek = CertificateParams::default();
        ek.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        ek.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])];
        ek.use_authority_key_identifier_extension = true;
        ek.not_after = date_time_ymd(2030, 1, 1);
        let by_root = Issuer::from_params(&root, &root_key);
        let by_ca = Issuer::from_params(&ca, &ca_key);
        let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        put(
            "roots/root.pem",
            root.self_signed(&root_key).unwrap().pem().as_bytes(),
        );
        put("roots/ca.der", ca.signed_by(&ca_key, &by_root).unwrap().der());
        put("roots/README", b"two certificates");
        let certificate = ek.signed_by(&KeyPair::generate().unwrap(), &by_ca).unwrap();
        // As it is read from an NV index of 2 KiB.
        put("ek.der", &[certificate.der().as_ref(), &[0xff; 700]].concat());
        put("ek.pem", certificate.pem().as_bytes());
        Maker { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn inspect(&self, file: &str, more: &[&str]) -> Output {
        let text = |path: &Path| path.display().to_string();
        let (file, roots) = (text(&self.path(file)), text(&self.path("roots")));
        lazaret(&[&["ek-cert", &file, "--roots", &roots], more].concat())
    }
}

#[test]
fn a_chain_is_shown_and_ends_with_0() {
    let maker = Maker::new();
    for file in ["ek.der", "ek.pem"] {
        let output = maker.inspect(file, &["--json", "--at", "2027-01-01"]);
        assert_eq!(code(&output), 0, "{}", said(&output));
        let seen = json(&output);
        assert_eq!(
            (&seen["chained"], &seen["kind"]),
            (&true.into(), &"endorsement-key".into())
        );
        let chain = seen["chain"].as_array().unwrap();
        assert_eq!(chain.len(), 3);
        assert!(chain[1]["subject"].as_str().unwrap().contains("CN=maker CA"));
        assert_eq!(chain[1]["file"], "ca.der");
        assert_eq!(chain[2]["anchor"], true);
        assert_eq!(chain[0]["revocation"]["state"], "not-looked-at");
        assert_eq!(seen["roots"]["passed_over"][0], "README");
    }
    let text = said(&maker.inspect("ek.der", &[]));
    assert!(
        text.contains("chained to a root") && text.contains("not looked at"),
        "{text}"
    );
}

#[test]
fn what_is_missing_or_out_of_its_time_ends_with_20_and_says_so() {
    let maker = Maker::new();
    let late = maker.inspect("ek.der", &["--json", "--at", "2031-01-01T00:00:00Z"]);
    assert_eq!(code(&late), 20);
    assert!(
        json(&late)["reason"].as_str().unwrap().contains("2030-01-01"),
        "{}",
        said(&late)
    );
    for (gone, issuer) in [
        ("roots/root.pem", "CN=maker root"),
        ("roots/ca.der", "CN=maker CA"),
    ] {
        let maker = Maker::new();
        fs::remove_file(maker.path(gone)).unwrap();
        let output = maker.inspect("ek.der", &["--json"]);
        assert_eq!(code(&output), 20, "{}", said(&output));
        let seen = json(&output);
        assert!(
            seen["missing"]["issuer"].as_str().unwrap().contains(issuer),
            "{seen}"
        );
        assert_eq!(seen["missing"]["authority_key_id"].as_str().unwrap().len(), 40);
        let text = maker.inspect("ek.der", &[]);
        assert!(said(&text).contains("NOT CHAINED"), "{}", said(&text));
    }
}

#[test]
fn certificates_that_are_none_end_with_65_and_files_that_are_not_there_with_66() {
    let maker = Maker::new();
    let whole = fs::read(maker.path("ek.der")).unwrap();
    let wrong: [&[u8]; 4] = [
        &[],
        b"text",
        &whole[..100],
        b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
    ];
    for bytes in wrong {
        fs::write(maker.path("wrong"), bytes).unwrap();
        let output = maker.inspect("wrong", &[]);
        assert_eq!(code(&output), 65, "{}", said(&output));
        assert!(said(&output).contains("at byte "), "{}", said(&output));
    }
    assert_eq!(code(&maker.inspect("none", &[])), 66);
    assert_eq!(code(&maker.inspect("ek.der", &["--at", "yesterday"])), 64);
    fs::write(maker.path("roots/odd.pem"), b"odd").unwrap();
    let output = maker.inspect("ek.der", &[]);
    assert_eq!(code(&output), 65);
    assert!(said(&output).contains("odd.pem"), "{}", said(&output));
    fs::remove_dir_all(maker.path("roots")).unwrap();
    assert_eq!(code(&maker.inspect("ek.der", &[])), 66);
}
