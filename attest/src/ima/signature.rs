//! The signature that a file carries in an extended attribute, and what exactly it is over.
//!
//! The form is the kernel's `struct signature_v2_hdr` (security/integrity/integrity.h): kind, version, hash algorithm,
//! key id, length, signature. Version 2 is over the file's digest. Version 3 is over the hash of `struct ima_file_id`
//! (kind, algorithm, digest), which ties the digest to its kind. EVM's portable signature has the same header, but is
//! over the file's metadata, which no list holds whole: it is told and not verified.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::pcr::HashAlg;
use crate::reader::{ReadError, Reader};

use super::keyring::NotSigned;

/// Longest signature: RSA-8192.
const MAX_SIGNATURE: usize = 1024;

/// What the attribute's first byte says it is (`enum evm_ima_xattr_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignatureKind(pub u8);

impl SignatureKind {
    /// EVM_IMA_XATTR_DIGSIG: over the digest of the file's content.
    pub const FILE: Self = Self(3);
    /// EVM_XATTR_PORTABLE_DIGSIG: over the file's metadata.
    pub const EVM_PORTABLE: Self = Self(5);
    /// IMA_VERITY_DIGSIG: over the fs-verity digest.
    pub const VERITY: Self = Self(6);
}

/// A hash algorithm as the kernel numbers it (`enum hash_algo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelHash(pub u8);

impl KernelHash {
    /// The one that is known here, if it is.
    pub fn known(self) -> Option<HashAlg> {
        match self.0 {
            2 => Some(HashAlg::Sha1),
            4 => Some(HashAlg::Sha256),
            5 => Some(HashAlg::Sha384),
            6 => Some(HashAlg::Sha512),
            _ => None,
        }
    }
}

impl fmt::Display for KernelHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some(alg) => write!(f, "{alg}"),
            None => write!(f, "hash algorithm {}", self.0),
        }
    }
}

/// What a signature calls its key by: the last four bytes of the SHA-1 of the public key, or of the certificate's
/// subject key identifier. It finds a key; it proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut bytes = [0; 4];
        hex::decode_to_slice(String::deserialize(from)?, &mut bytes).map_err(D::Error::custom)?;
        Ok(Self(bytes))
    }
}

impl KeyId {
    pub(super) fn of_identifier(identifier: &[u8]) -> Option<Self> {
        identifier.last_chunk::<4>().copied().map(Self)
    }

    /// Of a public key's bit string (RSAPublicKey, or the point).
    pub(super) fn of_key(key: &[u8]) -> Self {
        let digest = HashAlg::Sha1.digest(key);
        Self(digest.last_chunk::<4>().copied().unwrap_or_default())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A signature as it stands in a list, unproven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSignature<'a> {
    /// What it is over.
    pub kind: SignatureKind,
    /// 2 or 3.
    pub version: u8,
    /// The digest's algorithm.
    pub hash: KernelHash,
    /// The key's id.
    pub key: KeyId,
    /// PKCS#1 v1.5 for RSA, DER for EC.
    pub bytes: &'a [u8],
}

/// A digest that was measured, with what it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedDigest<'a> {
    /// Of the Merkle tree of fs-verity instead of the file's content.
    pub verity: bool,
    /// Its algorithm, as the list names it.
    pub algorithm: &'a [u8],
    /// The digest.
    pub digest: &'a [u8],
}

impl<'a> FileSignature<'a> {
    /// Reads an attribute.
    ///
    /// # Errors
    /// It is no signature of version 2 or 3, or has another length than it says.
    pub fn parse(attribute: &'a [u8]) -> Result<Self, ReadError> {
        let mut reader = Reader::new(attribute);
        let kind = SignatureKind(reader.u8("the signature's kind")?);
        let version = reader.u8("the signature's version")?;
        let hash = KernelHash(reader.u8("the signature's hash algorithm")?);
        let key = KeyId(reader.array("the signature's key id")?);
        let bytes = reader.sized_u16_be(MAX_SIGNATURE, "the signature")?;
        reader.finish("the signature")?;
        Ok(Self {
            kind,
            version,
            hash,
            key,
            bytes,
        })
    }

    /// The hash and the digest that the signature must be over to prove `measured`.
    pub(super) fn covers(&self, measured: &SignedDigest<'_>) -> Result<(HashAlg, Vec<u8>), NotSigned> {
        let algorithm = || NotSigned::Algorithm {
            found: self.hash.to_string(),
        };
        let hash = self
            .hash
            .known()
            .filter(|hash| *hash != HashAlg::Sha1)
            .ok_or_else(algorithm)?;
        if hash.name().as_bytes() != measured.algorithm || measured.digest.len() != hash.digest_len() {
            return Err(algorithm());
        }
        match (self.kind, self.version, measured.verity) {
            (SignatureKind::FILE, 2, false) => Ok((hash, measured.digest.to_vec())),
            (SignatureKind::FILE, 3, false) | (SignatureKind::VERITY, 3, true) => Ok((
                hash,
                hash.digest_parts(&[&[self.kind.0, self.hash.0], measured.digest]),
            )),
            (SignatureKind::EVM_PORTABLE, _, _) => Err(NotSigned::Metadata),
            (SignatureKind::FILE | SignatureKind::VERITY, 2 | 3, _) => Err(NotSigned::Kind),
            (kind, version, _) => Err(NotSigned::Form(format!(
                "a signature of kind {} and version {version} is not known here",
                kind.0
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_digests_of_its_own_algorithm_and_size_alone() {
        // Kind 3, version 2, sha256, a key, a size, and the signature.
        let bytes = [&[3, 2, 4, 1, 2, 3, 4, 0, 8][..], &[9; 8]].concat();
        let signature = FileSignature::parse(&bytes).unwrap();
        let covers = |algorithm: &[u8], digest: &[u8]| {
            let measured = SignedDigest {
                verity: false,
                algorithm,
                digest,
            };
            signature.covers(&measured).is_ok()
        };
        assert!(covers(b"sha256", &[7; 32]));
        // SM3 has the size of SHA-256.
        for (algorithm, size) in [
            (&b"sm3"[..], 32),
            (b"", 32),
            (b"sha512", 64),
            (b"sha256", 31),
            (b"sha256", 64),
        ] {
            assert!(!covers(algorithm, &vec![7; size]), "{algorithm:?} {size}");
        }
    }
}
