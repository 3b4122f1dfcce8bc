//! The PCR banks (hash algorithms) of a TPM, with their numbers in TCG structures.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// One PCR bank; also the hash algorithm of that bank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bank {
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-384, 48 bytes.
    Sha384,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl Bank {
    /// Every bank that the forge knows, in the order of their TCG numbers.
    pub const ALL: [Bank; 4] = [Bank::Sha1, Bank::Sha256, Bank::Sha384, Bank::Sha512];

    /// The TPM_ALG_ID.
    pub fn id(self) -> u16 {
        match self {
            Bank::Sha1 => 0x0004,
            Bank::Sha256 => 0x000B,
            Bank::Sha384 => 0x000C,
            Bank::Sha512 => 0x000D,
        }
    }

    /// The bank of a TPM_ALG_ID.
    pub fn from_id(id: u16) -> Option<Bank> {
        Bank::ALL.into_iter().find(|bank| bank.id() == id)
    }

    /// Length of a digest in bytes.
    pub fn digest_len(self) -> usize {
        match self {
            Bank::Sha1 => 20,
            Bank::Sha256 => 32,
            Bank::Sha384 => 48,
            Bank::Sha512 => 64,
        }
    }

    /// The name that Linux and tpm2-tools use.
    pub fn name(self) -> &'static str {
        match self {
            Bank::Sha1 => "sha1",
            Bank::Sha256 => "sha256",
            Bank::Sha384 => "sha384",
            Bank::Sha512 => "sha512",
        }
    }

    /// Hashes the concatenation of `parts`.
    pub fn hash(self, parts: &[&[u8]]) -> Vec<u8> {
        fn run<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
            let mut hasher = D::new();
            for part in parts {
                hasher.update(part);
            }
            hasher.finalize().to_vec()
        }
        match self {
            Bank::Sha1 => run::<Sha1>(parts),
            Bank::Sha256 => run::<Sha256>(parts),
            Bank::Sha384 => run::<Sha384>(parts),
            Bank::Sha512 => run::<Sha512>(parts),
        }
    }
}

impl fmt::Display for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no PCR bank.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no PCR bank; use sha1, sha256, sha384 or sha512")]
pub struct UnknownBank(String);

impl FromStr for Bank {
    type Err = UnknownBank;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Bank::ALL
            .into_iter()
            .find(|bank| bank.name() == text)
            .ok_or_else(|| UnknownBank(text.to_owned()))
    }
}
