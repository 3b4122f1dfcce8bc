//! TPM public keys: what they say of themselves, and which may attest or endorse.

use std::fmt;

use thiserror::Error;

use crate::pcr::HashAlg;
use crate::reader::ReadError;

/// A signing scheme with its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5.
    Rsassa(HashAlg),
    /// ECDSA.
    Ecdsa(HashAlg),
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scheme::Rsassa(hash) => write!(f, "RSASSA with {hash}"),
            Scheme::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
        }
    }
}

/// Why a public area is not the key that it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The bytes do not parse.
    #[error("the public key cannot be read: {0}")]
    Read(#[from] ReadError),
}

/// A key's Name: the hash algorithm and the hash of its whole public area. Two keys with one Name are one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// The bytes as a TPM writes them: algorithm, then digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// A key whose public area obeys the rules of an attestation key: fixed to its TPM, born there, restricted to sign only
/// what the TPM itself made, unable to decrypt, strong, with one scheme and hash.
///
/// The rules say what the key is *if* it lives in a TPM; that it does is proven by [`crate::credential`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationKey {
    public: Vec<u8>,
}

impl AttestationKey {
    /// Reads a TPM2B_PUBLIC and holds it to the rules.
    pub fn from_public(tpm2b_public: &[u8]) -> Result<AttestationKey, KeyError> {
        let _ = tpm2b_public;
        todo!()
    }

    /// The TPM2B_PUBLIC as it was read.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The Name.
    pub fn name(&self) -> &Name {
        todo!()
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        todo!()
    }

    /// The qualified name of this key as a child of `parent`, itself a primary key of the endorsement hierarchy: what a
    /// quote by this key must carry as its qualifiedSigner.
    pub fn qualified_name_under(&self, parent: &EndorsementKey) -> Name {
        let _ = parent;
        todo!()
    }
}

/// A key whose public area obeys the rules of an endorsement key: a restricted decryption key fixed to its TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndorsementKey {
    public: Vec<u8>,
}

impl EndorsementKey {
    /// Reads a TPM2B_PUBLIC and holds it to the rules.
    pub fn from_public(tpm2b_public: &[u8]) -> Result<EndorsementKey, KeyError> {
        let _ = tpm2b_public;
        todo!()
    }

    /// The TPM2B_PUBLIC as it was read.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The Name.
    pub fn name(&self) -> &Name {
        todo!()
    }
}
