use proptest::prelude::*;

use super::*;
use crate::key::vectors::{ECDSA_SHA256, ECDSA_SHA384, RSASSA_SHA256, Signer, sized};

const MESSAGE: &[u8] = b"what the TPM says";

fn refused(signature: &[u8], signer: &Signer) -> SignatureError {
    open(MESSAGE, signature, &signer.key())
        .err()
        .expect("it must be refused")
}

#[test]
fn signatures_of_each_kind_verify() {
    for signer in Signer::all() {
        let signed = open(MESSAGE, &signer.sign(MESSAGE), &signer.key()).ok().unwrap();
        assert_eq!(signed.bytes, MESSAGE);
        assert_eq!(signed.hash, signer.key().scheme().hash());
    }
}

#[test]
fn case_26_sha1_and_unknown_hashes_are_refused() {
    for signer in Signer::all() {
        for hash in [0x0004_u16, 0x0012, 0x0027, 0x0010] {
            let mut signature = signer.sign(MESSAGE);
            signature[2..4].copy_from_slice(&hash.to_be_bytes());
            assert_eq!(refused(&signature, signer), SignatureError::RefusedHash(hash));
        }
    }
}

#[test]
fn case_26_another_good_hash_than_the_keys_is_refused_before_verification() {
    let mut signature = Signer::p256().sign(MESSAGE);
    signature[..4].copy_from_slice(&ECDSA_SHA384);
    assert!(matches!(
        refused(&signature, Signer::p256()),
        SignatureError::OtherScheme { .. }
    ));
}

#[test]
fn case_27_another_scheme_than_the_keys_is_refused() {
    let mut as_ecdsa = Signer::rsa().sign(MESSAGE);
    as_ecdsa[..4].copy_from_slice(&ECDSA_SHA256);
    assert!(matches!(
        refused(&as_ecdsa, Signer::rsa()),
        SignatureError::OtherScheme { .. }
    ));
    assert!(matches!(
        refused(&Signer::rsa().sign(MESSAGE), Signer::p256()),
        SignatureError::OtherScheme { .. }
    ));
    assert!(matches!(
        refused(&Signer::p256().sign(MESSAGE), Signer::rsa()),
        SignatureError::OtherScheme { .. }
    ));
    for scheme in [0x0005_u16, 0x0010, 0x0016, 0x001a, 0xffff] {
        let mut signature = Signer::rsa().sign(MESSAGE);
        signature[..2].copy_from_slice(&scheme.to_be_bytes());
        assert_eq!(
            refused(&signature, Signer::rsa()),
            SignatureError::UnknownScheme(scheme)
        );
    }
}

#[test]
fn case_28_r_or_s_zero_or_not_below_the_order_is_refused() {
    for signer in [Signer::p256(), Signer::p384()] {
        let KeyMaterial::Ec { curve, .. } = signer.material() else {
            unreachable!()
        };
        let scheme = signer.sign(MESSAGE)[..4].to_vec();
        let good = vec![1; curve.field_len()];
        let bad = [
            vec![],
            vec![0; curve.field_len()],
            curve.order().to_vec(),
            vec![0xff; curve.field_len()],
        ];
        for component in bad {
            let r = [scheme.as_slice(), &sized(&component), &sized(&good)].concat();
            assert_eq!(refused(&r, signer), SignatureError::Component("r"));
            let s = [scheme.as_slice(), &sized(&good), &sized(&component)].concat();
            assert_eq!(refused(&s, signer), SignatureError::Component("s"));
        }
        let in_range = [scheme.as_slice(), &sized(&good), &sized(&good)].concat();
        assert_eq!(refused(&in_range, signer), SignatureError::Invalid);
    }
}

#[test]
fn an_rsa_signature_of_another_size_than_the_modulus_is_refused() {
    let signature = [&RSASSA_SHA256[..], &sized(&[1; 255])].concat();
    assert_eq!(
        refused(&signature, Signer::rsa()),
        SignatureError::Size {
            expected: 256,
            found: 255
        }
    );
}

#[test]
fn case_16_case_17_prefixes_and_tails_are_clean_errors() {
    for signer in Signer::all() {
        let signature = signer.sign(MESSAGE);
        for end in 0..signature.len() {
            assert!(
                matches!(refused(&signature[..end], signer), SignatureError::Read(_)),
                "prefix of {end}"
            );
        }
        let tail = [signature.as_slice(), &[0]].concat();
        assert!(matches!(
            refused(&tail, signer),
            SignatureError::Read(ReadError::Trailing { .. })
        ));
    }
}

#[test]
fn every_changed_byte_of_a_signature_is_refused() {
    for signer in Signer::all() {
        let signature = signer.sign(MESSAGE);
        for at in 0..signature.len() {
            for bit in [0x01, 0x80] {
                let mut changed = signature.clone();
                changed[at] ^= bit;
                refused(&changed, signer);
            }
        }
    }
}

#[test]
fn another_key_of_the_same_kind_is_refused() {
    let other = Signer::Ec(
        aws_lc_rs::signature::EcdsaKeyPair::generate(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING)
            .unwrap(),
    );
    assert_eq!(
        refused(&other.sign(MESSAGE), Signer::p256()),
        SignatureError::Invalid
    );
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_never_verify(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for signer in Signer::all() {
            prop_assert!(open(MESSAGE, &bytes, &signer.key()).is_err());
            let scheme = signer.sign(MESSAGE)[..4].to_vec();
            prop_assert!(open(MESSAGE, &[scheme, bytes.clone()].concat(), &signer.key()).is_err());
        }
    }
}
