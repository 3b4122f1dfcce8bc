//! TPMT_SIGNATURE and TPM2B_PUBLIC.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use lazaret_attest::key::{AttestationKey, EndorsementKey, KeyMaterial, PublicArea};
use lazaret_attest::quote::VerifiedQuote;
use lazaret_forge::bank::Bank;

use crate::memory::bounded;
use crate::oracle::Bytes;
use crate::scene::scene;

/// What opens the honest quote is an ECDSA signature that another reader and another interface of the library accept.
pub fn signature(data: &[u8]) {
    let scene = scene();
    let quote = &scene.honest.quote;
    bounded(data, 8, 16 * 1024, || {
        let _ = VerifiedQuote::open(quote, data, &scene.key);
    });
    if VerifiedQuote::open(quote, data, &scene.key).is_ok() {
        let fixed = fixed_form(data).unwrap_or_else(|| panic!("a signature verifies that is none"));
        let KeyMaterial::Ec { x, y, .. } = scene.key.material() else {
            panic!("the scene's key is P-256");
        };
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)
            .verify(quote, &fixed)
            .unwrap_or_else(|_| panic!("a signature verifies here and not there"));
    }
    // Over any other bytes it is nobody's signature.
    let mut other = quote.clone();
    other.push(0);
    assert!(VerifiedQuote::open(&other, data, &scene.key).is_err());
}

/// TPMT_SIGNATURE of ECDSA with SHA-256 (TPM 2.0 Part 2, 11.3.2) as r and s of 32 bytes each.
fn fixed_form(data: &[u8]) -> Option<Vec<u8>> {
    let mut r = Bytes(data);
    if r.take(4)? != [0x00, 0x18, 0x00, 0x0b] {
        return None;
    }
    let mut fixed = Vec::new();
    for _ in 0..2 {
        let number = r.sized_be16()?;
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = number.get(zeros..)?;
        fixed.resize(fixed.len() + 32_usize.checked_sub(number.len())?, 0);
        fixed.extend_from_slice(number);
    }
    r.0.is_empty().then_some(fixed)
}

/// A public area is read whole, its Name is the hash of it, and no key is both an attestation and an endorsement key.
pub fn public_key(data: &[u8]) {
    bounded(data, 16, 32 * 1024, || {
        let _ = PublicArea::parse(data);
        let _ = AttestationKey::from_public(data);
        let _ = EndorsementKey::from_public(data);
    });
    let area = PublicArea::parse(data);
    if area.is_ok() {
        let declared = data.first_chunk::<2>().map(|size| u16::from_be_bytes(*size));
        assert_eq!(
            declared.map(usize::from),
            data.len().checked_sub(2),
            "the TPM2B's size"
        );
    }
    let attestation = AttestationKey::from_public(data);
    let endorsement = EndorsementKey::from_public(data);
    assert!(
        attestation.is_err() || endorsement.is_err(),
        "one key for both purposes"
    );
    let (name, material, must) = match (&attestation, &endorsement) {
        // TPMA_OBJECT: fixedTPM, fixedParent, sensitiveDataOrigin, restricted, and sign or decrypt, not both.
        (Ok(key), _) => (key.name(), key.material(), 0x0005_0032),
        (_, Ok(key)) => (key.name(), key.material(), 0x0003_0032),
        _ => return,
    };
    assert!(area.is_ok(), "a key without a public area");
    let bits = data.get(6..10).and_then(|bits| bits.first_chunk::<4>());
    let attributes = bits.map_or(0, |bits| u32::from_be_bytes(*bits));
    assert_eq!(attributes & 0x0007_0032, must, "{attributes:#010x}");
    let area = data.get(2..).unwrap_or_default();
    let bank = match area.get(2..4) {
        Some([0x00, 0x04]) => Bank::Sha1,
        Some([0x00, 0x0b]) => Bank::Sha256,
        Some([0x00, 0x0c]) => Bank::Sha384,
        _ => Bank::Sha512,
    };
    assert_eq!(
        name.as_bytes().get(2..),
        Some(bank.hash(&[area]).as_slice()),
        "the Name"
    );
    let again = KeyMaterial::from_spki(&material.to_spki());
    assert_eq!(again.as_ref(), Ok(material), "the key in X.509's form");
    // A signature of another key is none of this one. (With other attributes the same point is another key to a TPM;
    // that it is the pinned one is told by its Name.)
    if let Ok(key) = attestation
        && key.material() != scene().key.material()
    {
        let honest = &scene().honest;
        assert!(VerifiedQuote::open(&honest.quote, &honest.signature, &key).is_err());
    }
}
