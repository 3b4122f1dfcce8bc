//! Makers' authorities, EK certificates of real TPMs and of software ones.

use super::super::*;
use super::{NOW, public};
use crate::key::vectors::corpus;

fn read_dir(path: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let certificates = files.filter(|path| path.extension().is_some_and(|ext| ext == "pem"));
    certificates
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect()
}

fn roots_of(files: &[(String, Vec<u8>)]) -> Roots {
    Roots::from_pem_or_der(
        files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
    )
    .unwrap()
}

#[test]
fn the_certificates_of_real_makers_are_read_and_a_real_ek_chains_to_its_root() {
    let Some(corpus) = corpus() else { return };
    let files = read_dir(&corpus.join("vendor-ca"));
    assert_eq!(files.len(), 51);
    let roots = roots_of(&files);
    let st = std::fs::read(corpus.join("ek/st_sha256_with_rsa_der.crt")).unwrap();
    let ek = public(&Certificate::from_der(&st, None).unwrap().key);
    let endorsed = EndorsedKey::open(&st, &ek, &roots, NOW).unwrap();
    let names: Vec<&str> = endorsed
        .chain()
        .iter()
        .map(|link| link.subject.as_str())
        .collect();
    assert!(
        names[1].ends_with("CN=STM TPM EK Intermediate CA 05"),
        "{names:?}"
    );
    assert!(
        names
            .last()
            .unwrap()
            .contains("GlobalSign Trusted Platform Module Root CA"),
        "{names:?}"
    );
    // One year after its end.
    let later = EndorsedKey::open(&st, &ek, &roots, NOW + 3 * 31_557_600);
    assert!(matches!(later, Err(EndorsementError::NotValidNow { .. })));
    // Without ST's intermediate the error names it.
    let fewer: Vec<_> = files
        .into_iter()
        .filter(|(name, _)| !name.contains("STM_RSA_05I"))
        .collect();
    let error = EndorsedKey::open(&st, &ek, &roots_of(&fewer), NOW).unwrap_err();
    let EndorsementError::MissingIssuer { issuer, key_id, .. } = error else {
        panic!("{error}")
    };
    assert!(issuer.contains("STM TPM EK Intermediate CA 05"));
    assert_eq!(key_id, "1adb994ab58be57a0cc9b900e7851e1a43c08660");
}

#[test]
fn authorities_signed_by_sha1_stand_as_anchors_only() {
    let Some(corpus) = corpus() else { return };
    let roots = roots_of(&read_dir(&corpus.join("vendor-ca")));
    let anchors: Vec<&str> = roots
        .iter()
        .filter(|listed| listed.anchor)
        .map(|listed| listed.certificate.subject.as_str())
        .collect();
    for name in ["IFX TPM EK Root CA", "NTC TPM EK Root CA 01"] {
        assert!(anchors.iter().any(|anchor| anchor.contains(name)), "{name}");
    }
    for name in [
        "IFX TPM EK Intermediate CA 05",
        "STM TPM EK Intermediate CA 05",
        "STM TPM ECC Root CA 01",
        "Aliyun TPM EKMF CA",
    ] {
        assert!(
            !anchors.iter().any(|anchor| anchor.contains(name)),
            "{name} is an intermediate"
        );
    }
    // An EK certificate signed so is refused, whatever is listed.
    let mut posing = roots
        .iter()
        .find(|listed| listed.certificate.signed.algorithm.is_sha1())
        .unwrap()
        .clone();
    posing.certificate.sha256[0] ^= 1;
    let now = posing.certificate.not_before;
    let error = chain::build(&posing.certificate, &roots, now).ended.unwrap_err();
    assert!(
        matches!(&error, EndorsementError::SignatureAlgorithm { algorithm, .. } if algorithm == "RSA with sha1"),
        "{error}"
    );
}

#[test]
fn the_re_encoded_nuvoton_certificate_is_read_as_the_original_is() {
    let Some(corpus) = corpus() else { return };
    let re_encoded = std::fs::read(corpus.join("ek/nuvoton_ecdsa_sha256_der.crt")).unwrap();
    let original = std::fs::read(corpus.join("vendor-ca/NUVO_2110.pem")).unwrap();
    let read = Roots::from_pem_or_der([("re-encoded", re_encoded.as_slice())]).unwrap();
    let original = Roots::from_pem_or_der([("original", original.as_slice())]).unwrap();
    let (a, b) = (read.iter().next().unwrap(), original.iter().next().unwrap());
    assert_eq!(a.certificate.key, b.certificate.key);
    assert!(b.anchor);
}

#[test]
fn every_genuine_ek_of_the_corpus_chains_and_the_foreign_maker_of_the_same_name_does_not() {
    let Some(corpus) = corpus() else { return };
    let vm = corpus.join("vm");
    let ca = |vendor: &str| {
        let files: Vec<_> = read_dir(&vm.join("ca"))
            .into_iter()
            .filter(|(name, _)| name.contains(vendor))
            .collect();
        assert_eq!(files.len(), 2);
        roots_of(&files)
    };
    let (ours, foreign) = (ca("vendor-a"), ca("vendor-b"));
    let mut seen = 0;
    for entry in std::fs::read_dir(&vm).unwrap() {
        let dir = entry.unwrap().path();
        let Ok(certificate) = std::fs::read(dir.join("ekcert.der")) else {
            continue;
        };
        let ek = std::fs::read(dir.join("ek.pub")).unwrap();
        let endorsed = EndorsedKey::open(&certificate, &ek, &ours, NOW + 86_400).unwrap();
        assert_eq!(endorsed.chain().len(), 3, "{dir:?}");
        let error = EndorsedKey::open(&certificate, &ek, &foreign, NOW + 86_400).unwrap_err();
        assert!(
            matches!(error, EndorsementError::MissingIssuer { issuer, .. } if issuer == "CN=swtpm-localca")
        );
        seen += 1;
    }
    assert!(seen >= 7, "only {seen} certificates");
}
