//! The endorsement key certificate and its chain.

use thiserror::Error;

use crate::key::{EndorsementKey, KeyError};

/// Why an endorsement key is not endorsed by a TPM maker.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndorsementError {
    /// The EK's own public area.
    #[error("the endorsement key: {0}")]
    Key(#[from] KeyError),
}

/// The certificates of TPM makers that an operator trusts.
#[derive(Debug, Clone)]
pub struct Roots {}

impl Roots {
    /// Reads certificates, each file in PEM (one or many) or DER. The names are for messages.
    pub fn from_pem_or_der<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Roots, EndorsementError> {
        let _ = files.into_iter().count();
        todo!()
    }

    /// How many certificates there are.
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One certificate of a chain, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainLink {
    /// Whom it names; an EK's is often empty.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its serial number, hex.
    pub serial: String,
    /// First second of its validity (Unix).
    pub not_before: i64,
    /// Last second of its validity (Unix).
    pub not_after: i64,
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
    /// The file it came from; none for the EK's own.
    pub file: Option<String>,
}

/// An endorsement key whose certificate chains to a TPM maker that the operator trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndorsedKey {
    key: EndorsementKey,
    chain: Vec<ChainLink>,
}

impl EndorsedKey {
    /// Holds `certificate` (DER, NV padding allowed) and `ek_public` (TPM2B_PUBLIC) against each other and against the
    /// roots, at `now` (Unix seconds).
    pub fn open(
        certificate: &[u8],
        ek_public: &[u8],
        roots: &Roots,
        now: i64,
    ) -> Result<EndorsedKey, EndorsementError> {
        let _ = (certificate, ek_public, roots, now);
        todo!()
    }

    /// The key.
    pub fn key(&self) -> &EndorsementKey {
        &self.key
    }

    /// The chain, from the EK's certificate to the root.
    pub fn chain(&self) -> &[ChainLink] {
        &self.chain
    }
}
