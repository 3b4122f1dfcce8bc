//! TPMT_SIGNATURE: what a TPM's signing key says over raw bytes.

use thiserror::Error;

use crate::key::Scheme;
use crate::pcr::HashAlg;
use crate::reader::ReadError;

/// Why bytes are not signed by a key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The TPMT_SIGNATURE does not parse.
    #[error("the signature cannot be read: {0}")]
    Read(#[from] ReadError),
    /// Neither RSASSA nor ECDSA.
    #[error("the signature's scheme {0:#06x} is neither RSASSA nor ECDSA")]
    UnknownScheme(u16),
    /// SHA-1, or a hash that is not known here.
    #[error("the signature's hash algorithm {0:#06x} is not accepted; SHA-256, SHA-384 and SHA-512 are")]
    RefusedHash(u16),
    /// Another scheme or hash than the key's own.
    #[error("the signature is {found}, but the key signs only {key}")]
    OtherScheme {
        /// The key's scheme.
        key: Scheme,
        /// The signature's.
        found: Scheme,
    },
    /// An RSA signature that is not as long as the modulus.
    #[error("the RSA signature has {found} bytes, the key's modulus {expected}")]
    Size {
        /// The modulus' length.
        expected: usize,
        /// The signature's.
        found: usize,
    },
    /// An ECDSA component that is zero or not below the order of the curve.
    #[error("the ECDSA signature's {0} is zero or not below the order of the curve")]
    Component(&'static str),
    /// All is well formed, but the key did not sign these bytes.
    #[error("the signature does not verify with the key over the bytes received")]
    Invalid,
}

/// The hash of a signature and what it covers.
pub(crate) struct SignedBytes<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) hash: HashAlg,
}
