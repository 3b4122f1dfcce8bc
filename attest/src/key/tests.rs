#![expect(
    clippy::arithmetic_side_effects,
    reason = "numbers that the test itself wrote"
)]

use proptest::prelude::*;

use super::vectors::{self, AES_128_CFB, Draft, NULL, Signer};
use super::*;

fn attestation(draft: &Draft) -> Result<AttestationKey, KeyError> {
    AttestationKey::from_public(&draft.bytes())
}

fn clear(attribute: &'static str) -> KeyError {
    KeyError::AttributeClear {
        purpose: Purpose::Attestation,
        attribute,
    }
}

#[test]
fn genuine_attestation_keys_of_each_kind_are_accepted() {
    for signer in Signer::all() {
        let key = signer.key();
        assert_eq!(*key.material(), signer.material());
        assert_eq!(key.public(), signer.draft().bytes());
        assert_eq!(
            KeyMaterial::from_spki(&key.material().to_spki()).as_ref(),
            Ok(key.material())
        );
    }
}

#[test]
fn case_01_an_unrestricted_key_is_refused() {
    let draft = Signer::p256().draft().without(Attributes::RESTRICTED);
    assert_eq!(attestation(&draft), Err(clear("restricted")));
}

#[test]
fn case_02_a_key_that_may_leave_its_tpm_or_came_from_outside_is_refused() {
    for (attribute, name) in [
        (Attributes::FIXED_TPM, "fixedTPM"),
        (Attributes::FIXED_PARENT, "fixedParent"),
        (Attributes::SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin"),
    ] {
        for signer in Signer::all() {
            assert_eq!(attestation(&signer.draft().without(attribute)), Err(clear(name)));
        }
    }
    let draft = Signer::p256().draft().without(Attributes::SIGN);
    assert_eq!(attestation(&draft), Err(clear("a signing key")));
}

#[test]
fn case_03_a_key_that_can_also_decrypt_is_refused() {
    let draft = Signer::rsa().draft().with(Attributes::DECRYPT);
    let expected = KeyError::AttributeSet {
        purpose: Purpose::Attestation,
        attribute: "a decryption key",
    };
    assert_eq!(attestation(&draft), Err(expected));
    let mut storage = Signer::rsa().draft();
    storage.symmetric = AES_128_CFB.to_vec();
    assert!(matches!(attestation(&storage), Err(KeyError::Scheme { .. })));
}

#[test]
fn case_04_short_rsa_keys_and_bad_exponents_are_refused() {
    let short = Draft::rsa(&[0xc3; 128], 0);
    assert_eq!(
        attestation(&short),
        Err(MaterialError::ShortModulus { found: 1024 }.into())
    );
    let KeyMaterial::Rsa { modulus, .. } = Signer::rsa().material() else {
        unreachable!()
    };
    for exponent in [1, 3, 65536, 65538] {
        let found = attestation(&Draft::rsa(&modulus, exponent));
        assert_eq!(found, Err(MaterialError::Exponent { found: exponent }.into()));
    }
    assert!(attestation(&Draft::rsa(&modulus, 65537)).is_ok());
    let mut even = modulus.clone();
    even[255] &= 0xfe;
    assert_eq!(
        attestation(&Draft::rsa(&even, 0)),
        Err(MaterialError::OddModulus.into())
    );
    let mut small = modulus;
    small[0] = 0;
    assert_eq!(
        attestation(&Draft::rsa(&small, 0)),
        Err(MaterialError::OddModulus.into())
    );
}

/// 65537^126 + M * t, where M is the product of the primes of the fingerprint: a power of 65537 modulo each of them. A power
/// alone would end with the byte 1, which is one itself.
fn roca_modulus() -> Vec<u8> {
    let times = |number: &mut Vec<u8>, factor: u32| {
        let mut carry = 0;
        for byte in number.iter_mut().rev() {
            carry += u32::from(*byte) * factor;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
    };
    let (mut power, mut product) = (vec![0; 256], vec![0; 256]);
    (power[255], product[255]) = (1, 1);
    for _ in 0..126 {
        times(&mut power, 65537);
    }
    for prime in [
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
    ] {
        times(&mut product, prime);
    }
    // By even factors, so that the sum stays odd: twice at the bottom, and up to the top of 2048 bits.
    times(&mut product, 2);
    let bottom = product.clone();
    while product[0] & 0x80 == 0 {
        times(&mut product, 2);
    }
    for summand in [bottom, product] {
        let mut carry = 0;
        for (to, from) in power.iter_mut().zip(&summand).rev() {
            carry += u32::from(*to) + u32::from(*from);
            *to = carry.to_le_bytes()[0];
            carry >>= 8;
        }
    }
    assert_ne!(power[255], 1);
    power
}

#[test]
fn case_04_a_roca_modulus_is_refused_and_a_neighbour_is_not() {
    let modulus = roca_modulus();
    assert_eq!(
        attestation(&Draft::rsa(&modulus, 0)),
        Err(MaterialError::Roca.into())
    );
    let ek = EndorsementKey::from_public(&Draft::rsa(&modulus, 0).endorsement().bytes());
    assert_eq!(ek, Err(MaterialError::Roca.into()));
    let mut neighbour = modulus;
    neighbour[255] ^= 2;
    assert!(attestation(&Draft::rsa(&neighbour, 0)).is_ok());
}

#[test]
fn case_04_weak_curves_and_points_off_the_curve_are_refused() {
    let KeyMaterial::Ec { x, mut y, .. } = Signer::p256().material() else {
        unreachable!()
    };
    // TPM_ECC_NIST_P192, P224, BN_P256.
    for curve in [0x0001, 0x0002, 0x0010] {
        assert_eq!(
            attestation(&Draft::ec(curve, &x, &y)),
            Err(KeyError::Unknown {
                offset: 18,
                what: "curve",
                found: curve
            })
        );
    }
    y[31] ^= 1;
    assert_eq!(
        attestation(&Draft::ec(3, &x, &y)),
        Err(MaterialError::OffCurve.into())
    );
    assert_eq!(
        attestation(&Draft::ec(3, &[0; 32], &[0; 32])),
        Err(MaterialError::OffCurve.into())
    );
    let long = [&[1], x.as_slice()].concat();
    assert_eq!(
        attestation(&Draft::ec(3, &long, &y)),
        Err(KeyError::Length {
            offset: 22,
            declared: 32,
            found: 33
        })
    );
}

#[test]
fn case_05_the_name_is_computed_and_another_one_is_refused() {
    let key = Signer::p256().key();
    let by_hand = [&[0x00, 0x0b][..], &HashAlg::Sha256.digest(&key.public()[2..])].concat();
    assert_eq!(key.name().as_bytes(), by_hand);
    assert!(key.clone().named(&Name::from_bytes(&by_hand)).is_ok());
    let other = Signer::rsa().key();
    assert!(matches!(key.named(other.name()), Err(KeyError::Name { .. })));
}

#[test]
fn case_05_a_name_by_sha1_that_another_public_area_may_share_is_refused() {
    for mut draft in [Signer::p256().draft(), Signer::rsa().draft()] {
        draft.name_alg = 0x0004;
        let error = attestation(&draft).unwrap_err();
        assert!(error.to_string().contains("a Name by sha1"), "{error}");
    }
}

#[test]
fn case_26_a_key_that_signs_with_sha1_or_without_a_scheme_of_its_own_is_refused() {
    for scheme in [[0x00, 0x14, 0x00, 0x04], [0x00, 0x18, 0x00, 0x0b]] {
        let mut draft = Signer::rsa().draft();
        draft.scheme = scheme.to_vec();
        assert!(
            matches!(attestation(&draft), Err(KeyError::Scheme { .. })),
            "{scheme:x?}"
        );
    }
    for (signer, hash) in [(Signer::p256(), 4), (Signer::p384(), 4)] {
        let mut draft = signer.draft();
        draft.scheme = vec![0x00, 0x18, 0x00, hash];
        assert!(matches!(attestation(&draft), Err(KeyError::Scheme { .. })));
    }
    let mut none = Signer::p256().draft();
    none.scheme = NULL.to_vec();
    assert!(matches!(attestation(&none), Err(KeyError::Scheme { .. })));
    let mut pss = Signer::rsa().draft();
    pss.scheme = vec![0x00, 0x16, 0x00, 0x0b];
    assert_eq!(
        attestation(&pss),
        Err(KeyError::Unknown {
            offset: 14,
            what: "signing scheme",
            found: 0x16
        })
    );
    let text = attestation(&pss).unwrap_err().to_string();
    assert!(text.contains("RSAPSS"), "{text}");
}

#[test]
fn a_modulus_of_another_length_than_declared_is_told_with_both() {
    let mut draft = Signer::rsa().draft();
    draft.rest[..2].copy_from_slice(&3072_u16.to_be_bytes());
    let found = attestation(&draft).unwrap_err();
    assert!(
        matches!(
            found,
            KeyError::Length {
                declared: 384,
                found: 256,
                ..
            }
        ),
        "{found}"
    );
}

#[test]
fn keys_are_equal_by_their_public_area() {
    assert_eq!(Signer::p256().key(), Signer::p256().key());
    assert_ne!(Signer::p256().key(), Signer::p384().key());
}

#[test]
fn endorsement_keys_must_be_restricted_decryption_keys() {
    let ek = Signer::rsa().draft().endorsement();
    assert!(EndorsementKey::from_public(&ek.bytes()).is_ok());
    assert!(EndorsementKey::from_public(&Signer::p384().draft().endorsement().bytes()).is_ok());
    for attribute in [Attributes::RESTRICTED, Attributes::DECRYPT, Attributes::FIXED_TPM] {
        let draft = ek.clone().without(attribute);
        assert!(matches!(
            EndorsementKey::from_public(&draft.bytes()),
            Err(KeyError::AttributeClear {
                purpose: Purpose::Endorsement,
                ..
            })
        ));
    }
    assert!(EndorsementKey::from_public(&ek.clone().with(Attributes::SIGN).bytes()).is_err());
    let mut bare = ek;
    bare.symmetric = NULL.to_vec();
    assert!(EndorsementKey::from_public(&bare.bytes()).is_err());
    assert!(EndorsementKey::from_public(&Signer::rsa().draft().bytes()).is_err());
    assert!(attestation(&Signer::rsa().draft().endorsement()).is_err());
}

#[test]
fn case_16_case_17_every_prefix_and_every_tail_of_a_public_key_is_a_clean_error() {
    for signer in Signer::all() {
        let bytes = signer.draft().bytes();
        for end in 0..bytes.len() {
            assert!(matches!(
                AttestationKey::from_public(&bytes[..end]),
                Err(KeyError::Read(_))
            ));
            // The same, with the outer length made right.
            if end >= 2 {
                let inner = AttestationKey::from_public(&vectors::sized(&bytes[2..end]));
                assert!(matches!(inner, Err(KeyError::Read(_))), "prefix of {end}");
            }
        }
        let tail = [bytes.as_slice(), &[0]].concat();
        assert!(matches!(
            AttestationKey::from_public(&tail),
            Err(KeyError::Read(ReadError::Trailing { .. }))
        ));
        let inner = vectors::sized(&tail[2..]);
        assert!(matches!(
            AttestationKey::from_public(&inner),
            Err(KeyError::Read(ReadError::Trailing { .. }))
        ));
    }
}

#[test]
fn keys_and_names_of_the_corpus_agree_with_their_tpms() {
    let Some(corpus) = vectors::corpus() else { return };
    let read = |path: &str| std::fs::read(corpus.join("vm").join(path)).unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(corpus.join("vm")).unwrap() {
        let dir = entry.unwrap().file_name().into_string().unwrap();
        if dir == "ca" {
            continue;
        }
        let key = AttestationKey::from_public(&read(&format!("{dir}/ak.pub"))).unwrap();
        assert_eq!(key.name().as_bytes(), read(&format!("{dir}/ak.name")), "{dir}");
        assert_eq!(
            KeyMaterial::from_pem(&read(&format!("{dir}/ak.pem"))).as_ref(),
            Ok(key.material())
        );
        EndorsementKey::from_public(&read(&format!("{dir}/ek.pub"))).unwrap();
        seen += 1;
    }
    let key = AttestationKey::from_public(&read("swtpm-quotes/ake.pub")).unwrap();
    assert_eq!(key.name().as_bytes(), read("swtpm-quotes/ake.name"));
    assert_eq!(
        KeyMaterial::from_pem(&read("swtpm-quotes/ake.pem")).as_ref(),
        Ok(key.material())
    );
    assert!(seen >= 7, "only {seen} folders");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = AttestationKey::from_public(&bytes);
        let _ = AttestationKey::from_public(&vectors::sized(&bytes));
        let _ = KeyMaterial::from_spki(&bytes);
        let _ = KeyMaterial::from_pem(&bytes);
    }

    #[test]
    fn a_key_with_a_changed_byte_is_refused_or_another_key(at in 0_usize..90, flip in 1_u8..) {
        let mut bytes = Signer::p256().draft().bytes();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        if let Ok(key) = AttestationKey::from_public(&bytes) {
            let unchanged = Signer::p256().key();
            prop_assert_ne!(key.name(), unchanged.name());
        }
    }
}
