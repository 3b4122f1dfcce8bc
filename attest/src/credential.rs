//! Make-credential: proof that a key lives in the TPM that owns an endorsement key.

use thiserror::Error;

use crate::endorsement::EndorsedKey;
use crate::key::AttestationKey;

/// Why a credential could not be made, or its answer does not prove.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CredentialError {
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

/// What the agent is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// TPM2B_ID_OBJECT.
    pub credential: Vec<u8>,
    /// TPM2B_ENCRYPTED_SECRET.
    pub secret: Vec<u8>,
}

/// An activation that waits for the TPM's answer.
pub struct Activation {}

impl Activation {
    /// Wraps a fresh secret so that only the TPM of `endorsed` can open it, and only if `key` is loaded there.
    /// `random` fills its argument with fresh random bytes, all of it.
    pub fn begin(
        endorsed: EndorsedKey,
        key: AttestationKey,
        random: &mut dyn FnMut(&mut [u8]) -> Result<(), NoRandomness>,
    ) -> Result<(Activation, Offer), CredentialError> {
        let _ = (endorsed, key, random);
        todo!()
    }

    /// Compares the agent's answer with the secret, in constant time.
    pub fn finish(self, answer: &[u8]) -> Result<ActivatedKey, CredentialError> {
        let _ = answer;
        todo!()
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
