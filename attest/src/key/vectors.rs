//! Keys for tests that sign and describe themselves as a TPM would.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "numbers that the test itself wrote"
)]

use std::path::PathBuf;
use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self as aws, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RsaKeyPair,
};

use super::{AttestationKey, Attributes, KeyMaterial};

/// The attributes of a genuine attestation key (fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted,
/// sign).
pub(crate) const AK_ATTRIBUTES: u32 = 0x0005_0072;
/// Those of a genuine endorsement key (fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt).
pub(crate) const EK_ATTRIBUTES: u32 = 0x0003_00b2;

pub(crate) const NULL: [u8; 2] = [0x00, 0x10];
pub(crate) const AES_128_CFB: [u8; 6] = [0x00, 0x06, 0x00, 0x80, 0x00, 0x43];
pub(crate) const RSASSA_SHA256: [u8; 4] = [0x00, 0x14, 0x00, 0x0b];
pub(crate) const ECDSA_SHA256: [u8; 4] = [0x00, 0x18, 0x00, 0x0b];
pub(crate) const ECDSA_SHA384: [u8; 4] = [0x00, 0x18, 0x00, 0x0c];
pub(crate) const ECDSA_SHA512: [u8; 4] = [0x00, 0x18, 0x00, 0x0d];

/// A public area in the making; every field can be wrong.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) kind: u16,
    pub(crate) name_alg: u16,
    pub(crate) attributes: u32,
    pub(crate) symmetric: Vec<u8>,
    pub(crate) scheme: Vec<u8>,
    /// What follows the scheme.
    pub(crate) rest: Vec<u8>,
}

impl Draft {
    pub(crate) fn rsa(modulus: &[u8], exponent: u32) -> Draft {
        let mut rest = u16::try_from(modulus.len() * 8).unwrap().to_be_bytes().to_vec();
        rest.extend(exponent.to_be_bytes());
        rest.extend(sized(modulus));
        let (symmetric, scheme) = (NULL.to_vec(), RSASSA_SHA256.to_vec());
        Draft {
            kind: 0x0001,
            name_alg: 0x000b,
            attributes: AK_ATTRIBUTES,
            symmetric,
            scheme,
            rest,
        }
    }

    pub(crate) fn ec(curve: u16, x: &[u8], y: &[u8]) -> Draft {
        let rest = [&curve.to_be_bytes()[..], &NULL, &sized(x), &sized(y)].concat();
        let scheme = match curve {
            0x0004 => ECDSA_SHA384,
            0x0005 => ECDSA_SHA512,
            _ => ECDSA_SHA256,
        }
        .to_vec();
        Draft {
            kind: 0x0023,
            name_alg: 0x000b,
            attributes: AK_ATTRIBUTES,
            symmetric: NULL.to_vec(),
            scheme,
            rest,
        }
    }

    pub(crate) fn of(material: &KeyMaterial) -> Draft {
        match material {
            // A TPM writes the usual exponent as zero.
            KeyMaterial::Rsa { modulus, .. } => Draft::rsa(modulus, 0),
            KeyMaterial::Ec { curve, x, y } => {
                let id = match curve {
                    super::Curve::P256 => 3,
                    super::Curve::P384 => 4,
                    super::Curve::P521 => 5,
                };
                Draft::ec(id, x, y)
            }
        }
    }

    pub(crate) fn endorsement(mut self) -> Draft {
        self.attributes = EK_ATTRIBUTES;
        self.symmetric = AES_128_CFB.to_vec();
        self.scheme = NULL.to_vec();
        self
    }

    pub(crate) fn without(mut self, attribute: Attributes) -> Draft {
        self.attributes &= !attribute.0;
        self
    }

    pub(crate) fn with(mut self, attribute: Attributes) -> Draft {
        self.attributes |= attribute.0;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let head = [
            &self.kind.to_be_bytes()[..],
            &self.name_alg.to_be_bytes(),
            &self.attributes.to_be_bytes(),
        ];
        sized(
            &[
                &head.concat()[..],
                &sized(&[]),
                &self.symmetric,
                &self.scheme,
                &self.rest,
            ]
            .concat(),
        )
    }
}

/// A TPM2B.
pub(crate) fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// A key pair that signs as a TPM does.
pub(crate) enum Signer {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl Signer {
    pub(crate) fn rsa() -> &'static Signer {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(|| Signer::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub(crate) fn p256() -> &'static Signer {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(|| Signer::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()))
    }

    pub(crate) fn p384() -> &'static Signer {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(|| Signer::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()))
    }

    pub(crate) fn p521() -> &'static Signer {
        static KEY: OnceLock<Signer> = OnceLock::new();
        KEY.get_or_init(|| Signer::Ec(EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap()))
    }

    pub(crate) fn all() -> [&'static Signer; 4] {
        [Signer::rsa(), Signer::p256(), Signer::p384(), Signer::p521()]
    }

    pub(crate) fn material(&self) -> KeyMaterial {
        let spki = match self {
            Signer::Rsa(key) => AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(key.public_key()),
            Signer::Ec(key) => AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(key.public_key()),
        };
        KeyMaterial::from_spki(spki.unwrap().as_ref()).unwrap()
    }

    pub(crate) fn draft(&self) -> Draft {
        Draft::of(&self.material())
    }

    pub(crate) fn key(&self) -> AttestationKey {
        AttestationKey::from_public(&self.draft().bytes()).unwrap()
    }

    /// A TPMT_SIGNATURE.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match self {
            Signer::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&aws::RSA_PKCS1_SHA256, &rng, message, &mut signature)
                    .unwrap();
                [&RSASSA_SHA256[..], &sized(&signature)].concat()
            }
            Signer::Ec(key) => {
                let signature = key.sign(&rng, message).unwrap();
                let (r, s) = signature.as_ref().split_at(signature.as_ref().len() / 2);
                let scheme = match r.len() {
                    48 => ECDSA_SHA384,
                    66 => ECDSA_SHA512,
                    _ => ECDSA_SHA256,
                };
                [&scheme[..], &sized(r), &sized(s)].concat()
            }
        }
    }
}

/// The shared corpus: where `LAZARET_CORPUS` says, or beside the checkout. It is not part of the repository.
pub(crate) fn corpus() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("LAZARET_CORPUS") {
        return Some(PathBuf::from(named));
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let found = root
        .ancestors()
        .map(|dir| dir.join("shared/corpus"))
        .find(|dir| dir.is_dir());
    if found.is_none() {
        println!("skipped: no shared/corpus beside the checkout");
    }
    found
}
