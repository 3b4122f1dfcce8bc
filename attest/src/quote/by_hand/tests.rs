use super::super::tests::{challenge, draft, values};
use super::*;
use crate::key::vectors::{Draft, Signer};

fn nonce() -> [u8; 32] {
    challenge().qualifying_data()
}

fn spki(signer: &Signer) -> Vec<u8> {
    signer.material().to_spki()
}

/// The TPM2B_PUBLIC, the TPMT_PUBLIC and the bare numbers of one key.
fn forms(signer: &Signer) -> [Vec<u8>; 3] {
    let public = signer.draft().bytes();
    [public.clone(), public[2..].to_vec(), spki(signer)]
}

#[test]
fn a_genuine_quote_is_genuine_by_each_form_of_its_key() {
    let raw = draft().bytes();
    let signature = Signer::p256().sign(&raw);
    for (form, bytes) in forms(Signer::p256()).iter().enumerate() {
        for pcrs in [None, Some(values())] {
            let looked = look(bytes, &raw, &signature, &nonce(), pcrs.as_deref()).unwrap();
            assert_eq!(looked.ended, Ok(()), "form {form}");
            assert_eq!(looked.attributes_checked, form < 2);
            assert_eq!(looked.key_name.is_some(), form < 2);
            assert_eq!(looked.pcrs_compared, pcrs.is_some());
            let quote = looked.quote.unwrap();
            assert_eq!(quote.extra_data, nonce());
            assert_eq!(quote.selection, challenge().selection.to_string());
        }
    }
}

#[test]
fn the_first_check_that_fails_is_the_reason() {
    let key = Signer::p256().draft().bytes();
    let seen = |raw: &[u8], signature: &[u8], nonce: &[u8], pcrs: Option<&[PcrValue]>| {
        let looked = look(&key, raw, signature, nonce, pcrs).unwrap();
        looked.ended.unwrap_err().0
    };
    let sign = |raw: &[u8]| Signer::p256().sign(raw);
    let raw = draft().bytes();
    let mut changed = raw.clone();
    changed[60] ^= 1;
    assert_eq!(seen(&changed, &sign(&raw), &nonce(), None), Check::Signature);
    assert_eq!(
        seen(&raw, &Signer::rsa().sign(&raw), &nonce(), None),
        Check::Signature
    );
    let mut mark = draft();
    mark.magic = 1;
    assert_eq!(
        seen(&mark.bytes(), &sign(&mark.bytes()), &nonce(), None),
        Check::Mark
    );
    let mut kind = draft();
    kind.kind = 0x8017;
    assert_eq!(
        seen(&kind.bytes(), &sign(&kind.bytes()), &nonce(), None),
        Check::Kind
    );
    assert_eq!(seen(&raw, &sign(&raw), &nonce()[..31], None), Check::Nonce);
    assert_eq!(seen(&raw, &sign(&raw), &[], None), Check::Nonce);
    let mut values = values();
    values[0].digest[0] ^= 1;
    assert_eq!(seen(&raw, &sign(&raw), &nonce(), Some(&values)), Check::PcrDigest);
    assert_eq!(
        seen(&raw, &sign(&raw), &nonce(), Some(&values[1..])),
        Check::Selection
    );
    // A hash that is not accepted: it has the form of a signature.
    let mut sha1 = sign(&raw);
    sha1[3] = 0x04;
    assert_eq!(seen(&raw, &sha1, &nonce(), None), Check::Signature);
    let unrestricted = Draft {
        attributes: 0x0004_0072,
        ..Signer::p256().draft()
    };
    let looked = look(&unrestricted.bytes(), &raw, &sign(&raw), &nonce(), None).unwrap();
    let (check, reason) = looked.ended.unwrap_err();
    assert_eq!(check, Check::Key);
    assert!(reason.contains("restricted"), "{reason}");
}

#[test]
fn what_has_not_the_form_of_what_it_should_be_is_malformed_with_its_place() {
    let raw = draft().bytes();
    let (key, signature) = (Signer::p256().draft().bytes(), Signer::p256().sign(&raw));
    let cause = |key: &[u8], raw: &[u8], signature: &[u8]| {
        let error = look(key, raw, signature, &nonce(), None).unwrap_err();
        assert!(error.reason.contains("at byte "), "{error}");
        error.input
    };
    for end in 0..raw.len() {
        // Also if the key had signed just these bytes.
        assert_eq!(cause(&key, &raw[..end], &signature), Input::Message, "{end}");
        assert_eq!(
            cause(&key, &raw[..end], &Signer::p256().sign(&raw[..end])),
            Input::Message
        );
    }
    let longer = [raw.as_slice(), &[0]].concat();
    assert_eq!(cause(&key, &longer, &signature), Input::Message);
    for end in 0..signature.len() {
        assert_eq!(cause(&key, &raw, &signature[..end]), Input::Signature, "{end}");
    }
    assert_eq!(
        cause(&key, &raw, &[signature.as_slice(), &[0]].concat()),
        Input::Signature
    );
    assert_eq!(cause(&key, &raw, b"no signature"), Input::Signature);
    for form in forms(Signer::p256()) {
        for end in 0..form.len() {
            assert_eq!(cause(&form[..end], &raw, &signature), Input::Key, "{end}");
        }
        assert_eq!(
            cause(&[form.as_slice(), &[0]].concat(), &raw, &signature),
            Input::Key
        );
    }
    assert_eq!(
        cause(b"-----BEGIN PUBLIC KEY-----\nAA", &raw, &signature),
        Input::Key
    );
    assert_eq!(cause(&key, b"text", &signature), Input::Message);
    let mut kind = raw.clone();
    kind[4] = 0;
    kind.truncate(90);
    assert_eq!(cause(&key, &kind, &signature), Input::Message);
}

#[test]
fn bytes_that_are_no_quote_are_told_by_their_mark_and_their_kind() {
    let raw = draft().bytes();
    let key = Signer::p256().draft().bytes();
    let reason = |raw: &[u8]| {
        let signature = Signer::p256().sign(raw);
        look(&key, raw, &signature, &nonce(), None).map_err(|error| error.reason)
    };
    let with = |at: usize, bytes: &[u8], end: usize| {
        let mut raw = raw[..end].to_vec();
        raw[at..at + bytes.len()].copy_from_slice(bytes);
        raw
    };
    let cut = raw.len() - 1;
    let told = reason(&with(0, b"text", cut)).unwrap_err();
    assert_eq!(
        told,
        "at byte 0: expected the TPM's own mark 0xff544347, found 0x74657874"
    );
    let told = reason(&with(4, &[0, 1], cut)).unwrap_err();
    assert_eq!(told, "at byte 4: expected a quote's tag 0x8018, found 0x0001");
    // Another attestation whose beginning is whole is one, whatever stands behind; its mark and its kind are told.
    let other = reason(&with(4, &[0x80, 0x17], cut)).unwrap();
    assert!(other.ended.is_err());
    let told = reason(&raw[..cut]).unwrap_err();
    assert!(
        !told.contains("mark") && !told.contains("tag") && told.contains("at byte "),
        "{told}"
    );
}

#[test]
fn bare_numbers_are_held_to_the_same_strength_and_kind() {
    let raw = draft().bytes();
    let signature = Signer::p256().sign(&raw);
    let weak = KeyMaterial::Rsa {
        modulus: vec![0xc3; 128],
        exponent: 65537,
    };
    let looked = look(&weak.to_spki(), &raw, &signature, &nonce(), None).unwrap();
    assert_eq!(looked.ended.unwrap_err().0, Check::Key);
    for signer in Signer::all() {
        let ended = look(&spki(signer), &raw, &signature, &nonce(), None)
            .unwrap()
            .ended;
        let own = std::ptr::eq(signer, Signer::p256());
        assert_eq!(ended.is_ok(), own);
    }
}
