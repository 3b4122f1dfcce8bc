//! Make-credential: proof that a key lives in the TPM that owns an endorsement key.
//!
//! A fresh secret is wrapped so that only the endorsement key's TPM can unwrap it, and so that this TPM does so only if
//! a key with the attestation key's Name is loaded in it (TPM 2.0 library, part 1, section 24 "Credential Protection").
//! Whoever answers with the secret therefore has both keys in one TPM: [`ActivatedKey`].
//!
//! The core has no randomness of its own: secret, seed and ephemeral key come from the caller. One exception is in the
//! library: RSA-OAEP takes its padding's random bytes from aws-lc's generator, which offers no way to pass them in.

mod kdf;
mod seal;

use std::fmt;

use aws_lc_rs::constant_time;
use thiserror::Error;

use crate::endorsement::EndorsedKey;
use crate::key::AttestationKey;

pub use seal::make_credential;

/// Bytes of the secret: as strong as the strongest digest that an AES-256 endorsement key protects.
const SECRET_LEN: usize = 32;

/// Why a credential could not be made, or its answer does not prove.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CredentialError {
    /// The caller's source of randomness failed.
    #[error("{0}")]
    Randomness(#[from] NoRandomness),
    /// A primitive refused its input, such as a public key that is none.
    #[error("{operation} failed; the endorsement key is unusable")]
    Crypto {
        /// What was attempted.
        operation: &'static str,
    },
    /// The secret is longer than a credential holds.
    #[error("a secret of {found} bytes does not fit a credential; {limit} is the most")]
    SecretSize {
        /// The secret's length.
        found: usize,
        /// The digest size of the endorsement key's name algorithm.
        limit: usize,
    },
    /// The answer is not the secret.
    #[error(
        "the TPM answered with another secret: the attestation key does not live beside this endorsement key"
    )]
    WrongSecret,
}

/// The caller's source of randomness failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no randomness could be had")]
pub struct NoRandomness;

/// Fills its argument with fresh random bytes, all of it.
pub type Random<'r> = dyn FnMut(&mut [u8]) -> Result<(), NoRandomness> + 'r;

/// What the agent is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// TPM2B_ID_OBJECT.
    pub credential: Vec<u8>,
    /// TPM2B_ENCRYPTED_SECRET.
    pub secret: Vec<u8>,
}

/// An activation that waits for the TPM's answer. It is spent by the first one.
pub struct Activation {
    endorsed: EndorsedKey,
    key: AttestationKey,
    secret: [u8; SECRET_LEN],
}

/// The secret is never shown.
impl fmt::Debug for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activation")
            .field("key", &self.key.name())
            .finish_non_exhaustive()
    }
}

impl Activation {
    /// Wraps a fresh secret so that only the TPM of `endorsed` can open it, and only if `key` is loaded there.
    /// `random` fills its argument with fresh random bytes, all of it.
    pub fn begin(
        endorsed: EndorsedKey,
        key: AttestationKey,
        random: &mut Random<'_>,
    ) -> Result<(Activation, Offer), CredentialError> {
        let mut secret = [0; SECRET_LEN];
        random(&mut secret)?;
        let offer = make_credential(endorsed.key(), key.name(), &secret, random)?;
        Ok((
            Activation {
                endorsed,
                key,
                secret,
            },
            offer,
        ))
    }

    /// Compares the agent's answer with the secret, in constant time.
    pub fn finish(self, answer: &[u8]) -> Result<ActivatedKey, CredentialError> {
        match constant_time::verify_slices_are_equal(&self.secret, answer) {
            Ok(()) => Ok(ActivatedKey {
                key: self.key,
                endorsed: self.endorsed,
            }),
            Err(_) => Err(CredentialError::WrongSecret),
        }
    }
}

/// An attestation key proven to live in the TPM of an endorsed key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivatedKey {
    key: AttestationKey,
    endorsed: EndorsedKey,
}

impl ActivatedKey {
    /// The attestation key.
    pub fn key(&self) -> &AttestationKey {
        &self.key
    }

    /// The endorsement key beside which it lives.
    pub fn endorsed(&self) -> &EndorsedKey {
        &self.endorsed
    }
}

#[cfg(test)]
mod tests;
