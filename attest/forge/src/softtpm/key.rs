//! An attestation key in software: its public area, its name and its signatures in the formats of a TPM.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};

use crate::bank::Bank;
use crate::softtpm::attest::sized;

/// TPM_ALG_ID values (TCG Algorithm Registry).
const ALG_RSA: u16 = 0x0001;
const ALG_SHA256: u16 = 0x000B;
const ALG_NULL: u16 = 0x0010;
const ALG_RSASSA: u16 = 0x0014;
const ALG_ECDSA: u16 = 0x0018;
const ALG_ECC: u16 = 0x0023;
const CURVE_P256: u16 = 0x0003;
const HANDLE_ENDORSEMENT: u32 = 0x4000_000B;

/// A signing key.
#[derive(Clone)]
pub struct AttestationKey {
    /// TPMA_OBJECT; honest: fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign.
    pub attributes: u32,
    secret: Arc<Secret>,
}

enum Secret {
    P256(EcdsaKeyPair),
    Rsa2048(Box<RsaKeyPair>),
}

/// The cryptographic library refused.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// No key was made.
    #[error("making a software RSA-2048 key failed")]
    Generate,
    /// No signature was made.
    #[error("signing with a software key failed")]
    Sign,
}

impl AttestationKey {
    /// The attributes of an AK made by the TPM for itself.
    pub const HONEST: u32 = 0x0005_0072;

    /// The P-256 key that follows from `seed`.
    pub fn p256(seed: &str) -> AttestationKey {
        // RFC 5915 ECPrivateKey with the curve and no public key, which the library computes. A hash is below the
        // group order but for one chance in 2^32; then the next one serves.
        let mut scalar = Bank::Sha256.hash(&[b"lazaret-forge attestation key", seed.as_bytes()]);
        loop {
            let der = [
                &[0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20],
                scalar.as_slice(),
                &[
                    0xA0, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07,
                ],
            ]
            .concat();
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, &der) {
                return AttestationKey::of(Secret::P256(pair));
            }
            scalar = Bank::Sha256.hash(&[&scalar]);
        }
    }

    /// A new RSA-2048 key.
    pub fn rsa2048() -> Result<AttestationKey, KeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generate)?;
        Ok(AttestationKey::of(Secret::Rsa2048(Box::new(pair))))
    }

    fn of(secret: Secret) -> AttestationKey {
        AttestationKey {
            attributes: AttestationKey::HONEST,
            secret: Arc::new(secret),
        }
    }

    /// TPM2B_PUBLIC.
    pub fn public(&self) -> Vec<u8> {
        sized(&self.public_area())
    }

    /// TPMT_PUBLIC.
    pub fn public_area(&self) -> Vec<u8> {
        let kind = match *self.secret {
            Secret::P256(_) => ALG_ECC,
            Secret::Rsa2048(_) => ALG_RSA,
        };
        let mut out = be16(&[kind, ALG_SHA256]);
        out.extend(self.attributes.to_be_bytes());
        out.extend(sized(&[])); // no policy
        match &*self.secret {
            Secret::P256(pair) => {
                out.extend(be16(&[ALG_NULL, ALG_ECDSA, ALG_SHA256, CURVE_P256, ALG_NULL]));
                let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = point.split_at(point.len() / 2);
                out.extend([sized(x), sized(y)].concat());
            }
            Secret::Rsa2048(pair) => {
                out.extend(be16(&[ALG_NULL, ALG_RSASSA, ALG_SHA256, 2048]));
                out.extend(0_u32.to_be_bytes()); // the default exponent, 65537
                // RFC 8017 RSAPublicKey: 9 bytes up to the modulus of 2048 bits, then the exponent.
                out.extend(sized(
                    pair.public_key().as_ref().get(9..9 + 256).unwrap_or_default(),
                ));
            }
        }
        out
    }

    /// The name: hash algorithm and digest of the public area.
    pub fn name(&self) -> Vec<u8> {
        [be16(&[ALG_SHA256]), Bank::Sha256.hash(&[&self.public_area()])].concat()
    }

    /// The qualified name of a primary key in the endorsement hierarchy.
    pub fn qualified_name(&self) -> Vec<u8> {
        let digest = Bank::Sha256.hash(&[&HANDLE_ENDORSEMENT.to_be_bytes(), &self.name()]);
        [be16(&[ALG_SHA256]), digest].concat()
    }

    /// TPMT_SIGNATURE over `message`.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        match &*self.secret {
            Secret::P256(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| KeyError::Sign)?;
                let (r, s) = signature.as_ref().split_at(signature.as_ref().len() / 2);
                Ok([be16(&[ALG_ECDSA, ALG_SHA256]), sized(r), sized(s)].concat())
            }
            Secret::Rsa2048(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .map_err(|_| KeyError::Sign)?;
                Ok([be16(&[ALG_RSASSA, ALG_SHA256]), sized(&signature)].concat())
            }
        }
    }
}

impl fmt::Debug for AttestationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttestationKey({})", hex::encode(self.name()))
    }
}

fn be16(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}
