//! TPMT_SIGNATURE: what a TPM's signing key says over raw bytes.

use std::borrow::Cow;

use thiserror::Error;

use crate::key::{AttestationKey, Curve, KeyMaterial, Scheme};
use crate::key::{der, der_integer, pad_left};
use crate::pcr::HashAlg;
use crate::reader::{ReadError, Reader};

/// RSA-4096.
const MAX_RSA: usize = 512;
/// P-521's field; TPMs pad no further.
const MAX_COMPONENT: usize = 66;

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
    /// A scheme of the other kind of key.
    #[error("the signature is {found}, but the key is {key}")]
    OtherKind {
        /// The signature's.
        found: Scheme,
        /// The key's kind.
        key: &'static str,
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

/// Bytes that an attestation key signed, with the hash it signed by. Made only by [`open`].
pub(crate) struct SignedBytes<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) hash: HashAlg,
}

/// Reads a TPMT_SIGNATURE and verifies it over the raw bytes.
pub(crate) fn open<'a>(
    raw: &'a [u8],
    signature: &[u8],
    key: &AttestationKey,
) -> Result<SignedBytes<'a>, SignatureError> {
    let (found, x509_form) = read(signature, key.material(), |found| {
        if found == key.scheme() {
            return Ok(());
        }
        Err(SignatureError::OtherScheme {
            key: key.scheme(),
            found,
        })
    })?;
    let bytes = key.open(raw, &x509_form).ok_or(SignatureError::Invalid)?;
    let hash = found.hash();
    Ok(SignedBytes { bytes, hash })
}

/// The same with a key of which only the numbers are known: by whatever accepted scheme of its kind the signature names.
/// For evidence that is looked at by hand; nothing is decided by it.
pub(crate) fn open_bare<'a>(
    raw: &'a [u8],
    signature: &[u8],
    material: &KeyMaterial,
) -> Result<SignedBytes<'a>, SignatureError> {
    let (found, x509_form) = read(signature, material, |found| match (found, material) {
        (Scheme::Rsassa(_), KeyMaterial::Rsa { .. }) | (Scheme::Ecdsa(_), KeyMaterial::Ec { .. }) => Ok(()),
        (Scheme::Rsassa(_), KeyMaterial::Ec { .. }) => Err(SignatureError::OtherKind { found, key: "EC" }),
        (Scheme::Ecdsa(_), KeyMaterial::Rsa { .. }) => Err(SignatureError::OtherKind { found, key: "RSA" }),
    })?;
    let hash = found.hash();
    let key = material.parsed(hash).map_err(|_| SignatureError::Invalid)?;
    match key.verify_sig(raw, &x509_form) {
        Ok(()) => Ok(SignedBytes { bytes: raw, hash }),
        Err(_) => Err(SignatureError::Invalid),
    }
}

/// The scheme, and the signature in the form of X.509. `accept` sees the scheme before anything else is read.
fn read<'s>(
    signature: &'s [u8],
    material: &KeyMaterial,
    accept: impl FnOnce(Scheme) -> Result<(), SignatureError>,
) -> Result<(Scheme, Cow<'s, [u8]>), SignatureError> {
    let mut r = Reader::new(signature);
    let id = r.u16_be("the signature's scheme")?;
    if Scheme::from_id(id, HashAlg::Sha256).is_none() {
        return Err(SignatureError::UnknownScheme(id));
    }
    let hash_id = r.u16_be("the signature's hash algorithm")?;
    let hash = HashAlg::from_id(hash_id).filter(|hash| *hash != HashAlg::Sha1);
    let hash = hash.ok_or(SignatureError::RefusedHash(hash_id))?;
    let found = Scheme::from_id(id, hash).ok_or(SignatureError::UnknownScheme(id))?;
    accept(found)?;
    let x509_form = match material {
        KeyMaterial::Rsa { modulus, .. } => Cow::Borrowed(read_rsa(&mut r, modulus.len())?),
        KeyMaterial::Ec { curve, .. } => Cow::Owned(read_ecdsa(&mut r, *curve)?),
    };
    r.finish("the signature (TPMT_SIGNATURE)")?;
    Ok((found, x509_form))
}

fn read_rsa<'a>(r: &mut Reader<'a>, expected: usize) -> Result<&'a [u8], SignatureError> {
    let signature = r.sized_u16_be(MAX_RSA, "the RSA signature")?;
    if signature.len() != expected {
        return Err(SignatureError::Size {
            expected,
            found: signature.len(),
        });
    }
    Ok(signature)
}

fn read_ecdsa(r: &mut Reader<'_>, curve: Curve) -> Result<Vec<u8>, SignatureError> {
    let mut component = |name| -> Result<Vec<u8>, SignatureError> {
        let bytes = r.sized_u16_be(MAX_COMPONENT, name)?;
        let number = pad_left(bytes, curve.field_len()).ok_or(SignatureError::Component(name))?;
        // Of one length, so the order of bytes is the order of numbers.
        if number.iter().all(|byte| *byte == 0) || number.as_slice() >= curve.order() {
            return Err(SignatureError::Component(name));
        }
        Ok(der_integer(&number))
    };
    let (first, second) = (component("r")?, component("s")?);
    Ok(der(0x30, &[&first, &second]))
}

#[cfg(test)]
mod tests;
