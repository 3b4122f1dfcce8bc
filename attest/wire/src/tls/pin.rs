//! A pin: the SHA-256 of a public key, written `sha256:<64 hex digits>`.

use std::{fmt, str::FromStr};

use aws_lc_rs::digest;
use rustls::{CertificateError, pki_types::CertificateDer, server::ParsedCertificate};
use serde::{Deserialize, Serialize};

/// SHA-256 of a DER SubjectPublicKeyInfo. It outlives the certificate and says nothing about names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Pin(pub [u8; 32]);

/// Text that is no pin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a pin; a pin is sha256: and 64 hex digits, as `lazaret-agent pin` prints it")]
pub struct PinError(String);

/// Another key than the pinned one.
#[derive(Clone, PartialEq, Eq)]
pub struct PinMismatch {
    /// The pins that would have been accepted.
    pub expected: Vec<Pin>,
    /// The key that was shown.
    pub seen: Pin,
}

/// The pin of a certificate. The key is taken out by the same parser that verifies the handshake's signature, so that
/// the two cannot disagree about which key that is.
pub fn spki_sha256(certificate: &CertificateDer<'_>) -> Result<Pin, rustls::Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    let hash = digest::digest(&digest::SHA256, &parsed.subject_public_key_info());
    let bytes = hash
        .as_ref()
        .try_into()
        .map_err(|_| CertificateError::BadEncoding)?;
    Ok(Pin(bytes))
}

impl Pin {
    /// The bare hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Pin {
    fn from(hash: [u8; 32]) -> Self {
        Self(hash)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let mut hash = [0; 32];
        text.strip_prefix("sha256:")
            .and_then(|digits| hex::decode_to_slice(digits, &mut hash).ok())
            .ok_or_else(|| PinError(text.chars().take(100).collect()))?;
        Ok(Self(hash))
    }
}

impl From<Pin> for String {
    fn from(pin: Pin) -> Self {
        pin.to_string()
    }
}

impl TryFrom<String> for Pin {
    type Error = PinError;

    fn try_from(text: String) -> Result<Self, PinError> {
        text.parse()
    }
}

impl fmt::Display for PinMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expected.as_slice() {
            [] => write!(f, "the peer shows key {}, and no key is pinned", self.seen),
            [one] => write!(f, "the peer shows key {}, but {one} is pinned", self.seen),
            [first, rest @ ..] => {
                write!(
                    f,
                    "the peer shows key {}, but {first} and {} more are pinned",
                    self.seen,
                    rest.len()
                )
            }
        }
    }
}

// rustls prints what a verifier returns by its Debug form, which people then read.
impl fmt::Debug for PinMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for PinMismatch {}

impl From<PinMismatch> for rustls::Error {
    fn from(mismatch: PinMismatch) -> Self {
        CertificateError::Other(rustls::OtherError(std::sync::Arc::new(mismatch))).into()
    }
}
