//! Platform configuration registers: banks, selections, values.

mod selection;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use selection::{Selection, SelectionError};

/// A hash algorithm that a PCR bank, a key's name or a signature uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashAlg {
    /// SHA-1: only as a PCR bank, never in a signature.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlg {
    /// Every algorithm, in the order of strength.
    pub const ALL: [HashAlg; 4] = [HashAlg::Sha1, HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512];

    /// The TCG algorithm identifier (TPM_ALG_ID).
    pub fn id(self) -> u16 {
        match self {
            HashAlg::Sha1 => 0x0004,
            HashAlg::Sha256 => 0x000B,
            HashAlg::Sha384 => 0x000C,
            HashAlg::Sha512 => 0x000D,
        }
    }

    /// The algorithm of a TCG identifier, if it is one of ours.
    pub fn from_id(id: u16) -> Option<HashAlg> {
        HashAlg::ALL.into_iter().find(|alg| alg.id() == id)
    }

    /// The usual short name, such as `sha256`.
    pub fn name(self) -> &'static str {
        match self {
            HashAlg::Sha1 => "sha1",
            HashAlg::Sha256 => "sha256",
            HashAlg::Sha384 => "sha384",
            HashAlg::Sha512 => "sha512",
        }
    }

    /// How many bytes a digest has.
    pub fn digest_len(self) -> usize {
        match self {
            HashAlg::Sha1 => 20,
            HashAlg::Sha256 => 32,
            HashAlg::Sha384 => 48,
            HashAlg::Sha512 => 64,
        }
    }

    /// Hashes one piece of data.
    pub fn digest(self, data: &[u8]) -> Vec<u8> {
        digest::digest(self.algorithm(), data).as_ref().to_vec()
    }

    /// Hashes several pieces as if they were one.
    pub fn digest_parts(self, parts: &[&[u8]]) -> Vec<u8> {
        let mut context = digest::Context::new(self.algorithm());
        for part in parts {
            context.update(part);
        }
        context.finish().as_ref().to_vec()
    }

    /// Extends a PCR in place: the new value is the hash of the old one and `measured`.
    pub fn extend(self, pcr: &mut Vec<u8>, measured: &[u8]) {
        let mut context = digest::Context::new(self.algorithm());
        context.update(pcr);
        context.update(measured);
        pcr.clear();
        pcr.extend_from_slice(context.finish().as_ref());
    }

    pub(crate) fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            HashAlg::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            HashAlg::Sha256 => &digest::SHA256,
            HashAlg::Sha384 => &digest::SHA384,
            HashAlg::Sha512 => &digest::SHA512,
        }
    }
}

/// SHA-256 of several pieces as if they were one.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; 32];
    // A SHA-256 digest has 32 bytes: every one of them is copied.
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    bytes
}

impl fmt::Display for HashAlg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no hash algorithm of ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is no hash algorithm known here; write sha1, sha256, sha384 or sha512")]
pub struct UnknownHash(pub String);

impl FromStr for HashAlg {
    type Err = UnknownHash;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        HashAlg::ALL
            .into_iter()
            .find(|alg| alg.name() == s)
            .ok_or_else(|| UnknownHash(s.to_owned()))
    }
}

/// One register's value, as somebody says it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PcrValue {
    /// The bank.
    pub bank: HashAlg,
    /// The register, 0 to 23.
    pub index: u8,
    /// The value; hex where it is written as text.
    #[serde(with = "hex_bytes")]
    pub digest: Vec<u8>,
}

impl fmt::Display for PcrValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}={}", self.bank, self.index, hex::encode(&self.digest))
    }
}

/// Why PCR values are not exactly those of a selection.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PcrValuesError {
    /// A selected register has no value.
    #[error("the value of selected PCR {bank}:{index} is missing")]
    Missing {
        /// The bank.
        bank: HashAlg,
        /// The register.
        index: u8,
    },
    /// A value of a register that is not selected.
    #[error("PCR {bank}:{index} has a value but is not in the signed selection")]
    Surplus {
        /// The bank.
        bank: HashAlg,
        /// The register.
        index: u8,
    },
    /// Two values for one register.
    #[error("PCR {bank}:{index} has two values")]
    Duplicate {
        /// The bank.
        bank: HashAlg,
        /// The register.
        index: u8,
    },
    /// A value that is no digest of its bank.
    #[error("the value of PCR {bank}:{index} has {found} bytes")]
    Size {
        /// The bank.
        bank: HashAlg,
        /// The register.
        index: u8,
        /// How many bytes it has.
        found: usize,
    },
}

/// Puts `values` in the order of `selection`: exactly one value of the right size for each selected register, none else.
pub fn in_order<'v>(
    selection: &Selection,
    values: &'v [PcrValue],
) -> Result<Cow<'v, [PcrValue]>, PcrValuesError> {
    if are_in_order(selection, values) {
        return Ok(Cow::Borrowed(values));
    }
    // One bit for each register of each bank.
    let mut seen = 0_u128;
    for value in values {
        let PcrValue {
            bank,
            index,
            ref digest,
        } = *value;
        if !selection.contains(bank, index) {
            return Err(PcrValuesError::Surplus { bank, index });
        }
        if digest.len() != bank.digest_len() {
            return Err(PcrValuesError::Size {
                bank,
                index,
                found: digest.len(),
            });
        }
        let bit = bit(bank, index);
        if seen & bit != 0 {
            return Err(PcrValuesError::Duplicate { bank, index });
        }
        seen |= bit;
    }
    selection
        .iter()
        .map(|(bank, index)| {
            let found = values
                .iter()
                .find(|value| value.bank == bank && value.index == index);
            found.cloned().ok_or(PcrValuesError::Missing { bank, index })
        })
        .collect()
}

/// Whether nothing is to be done: agents send the values in the order of the selection.
fn are_in_order(selection: &Selection, values: &[PcrValue]) -> bool {
    let mut values = values.iter();
    let each = selection.iter().all(|(bank, index)| {
        values.next().is_some_and(|value| {
            value.bank == bank && value.index == index && value.digest.len() == bank.digest_len()
        })
    });
    each && values.next().is_none()
}

/// The register's own bit: 32 for each bank, of which 24 are used.
fn bit(bank: HashAlg, index: u8) -> u128 {
    let bank: u32 = match bank {
        HashAlg::Sha1 => 0,
        HashAlg::Sha256 => 32,
        HashAlg::Sha384 => 64,
        HashAlg::Sha512 => 96,
    };
    1_u128.wrapping_shl(bank | u32::from(index))
}

/// The digest that a quote signs: the hash of all selected values, one after the other, in the selection's order.
pub fn digest_of(
    selection: &Selection,
    values: &[PcrValue],
    hash: HashAlg,
) -> Result<Vec<u8>, PcrValuesError> {
    Ok(digest_in_order(&in_order(selection, values)?, hash))
}

/// The same, of values that are in order.
pub(crate) fn digest_in_order(ordered: &[PcrValue], hash: HashAlg) -> Vec<u8> {
    let mut context = digest::Context::new(hash.algorithm());
    for value in ordered {
        context.update(&value.digest);
    }
    context.finish().as_ref().to_vec()
}

/// Bytes as hex text in every serialised form.
mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bank: HashAlg, index: u8, fill: u8) -> PcrValue {
        PcrValue {
            bank,
            index,
            digest: vec![fill; bank.digest_len()],
        }
    }

    #[test]
    fn algorithms_have_the_ids_and_sizes_of_the_tcg_registry() {
        for alg in HashAlg::ALL {
            assert_eq!(HashAlg::from_id(alg.id()), Some(alg));
            assert_eq!(alg.name().parse(), Ok(alg));
            assert_eq!(alg.digest(b"").len(), alg.digest_len());
            assert_eq!(alg.digest_parts(&[b"a", b"bc"]), alg.digest(b"abc"));
        }
        assert_eq!(HashAlg::from_id(0x0012), None, "SM3 is not ours");
        assert!("SHA256".parse::<HashAlg>().is_err());
    }

    #[test]
    fn extend_is_the_hash_of_old_and_new() {
        let mut pcr = vec![0; 32];
        HashAlg::Sha256.extend(&mut pcr, &[1; 32]);
        assert_eq!(pcr, HashAlg::Sha256.digest(&[[0; 32], [1; 32]].concat()));
    }

    #[test]
    fn case_22_surplus_missing_and_doubled_values_are_refused() {
        let selection: Selection = "sha256:0,1".parse().unwrap();
        let (a, b, c) = (
            value(HashAlg::Sha256, 0, 1),
            value(HashAlg::Sha256, 1, 2),
            value(HashAlg::Sha256, 2, 3),
        );
        let digest = |values: &[PcrValue]| digest_of(&selection, values, HashAlg::Sha256);
        assert!(digest(&[a.clone(), b.clone()]).is_ok());
        assert_eq!(
            digest(std::slice::from_ref(&a)),
            Err(PcrValuesError::Missing {
                bank: HashAlg::Sha256,
                index: 1
            })
        );
        assert_eq!(
            digest(&[a.clone(), b.clone(), c]),
            Err(PcrValuesError::Surplus {
                bank: HashAlg::Sha256,
                index: 2
            })
        );
        assert_eq!(
            digest(&[a.clone(), b, a.clone()]),
            Err(PcrValuesError::Duplicate {
                bank: HashAlg::Sha256,
                index: 0
            })
        );
        assert_eq!(
            digest(&[a, value(HashAlg::Sha1, 1, 2)]),
            Err(PcrValuesError::Surplus {
                bank: HashAlg::Sha1,
                index: 1
            })
        );
    }

    #[test]
    fn case_23_a_value_of_the_wrong_size_is_refused() {
        let selection: Selection = "sha256:0".parse().unwrap();
        let short = PcrValue {
            bank: HashAlg::Sha256,
            index: 0,
            digest: vec![0; 20],
        };
        assert_eq!(
            digest_of(&selection, &[short], HashAlg::Sha256),
            Err(PcrValuesError::Size {
                bank: HashAlg::Sha256,
                index: 0,
                found: 20
            })
        );
    }

    #[test]
    fn case_21_a_value_under_another_banks_label_is_refused_though_index_and_size_are_right() {
        let selection: Selection = "sha256:0".parse().unwrap();
        let mut relabelled = value(HashAlg::Sha256, 0, 1);
        relabelled.bank = HashAlg::Sha1;
        let surplus = PcrValuesError::Surplus {
            bank: HashAlg::Sha1,
            index: 0,
        };
        assert_eq!(in_order(&selection, &[relabelled]), Err(surplus));
        let other = value(HashAlg::Sha256, 1, 1);
        assert!(in_order(&selection, &[other]).is_err());
    }

    #[test]
    fn case_21_the_order_of_hashing_is_the_selections_whatever_order_values_come_in() {
        let selection: Selection = "sha256:3,1+sha1:2".parse().unwrap();
        let values = [
            value(HashAlg::Sha1, 2, 9),
            value(HashAlg::Sha256, 3, 3),
            value(HashAlg::Sha256, 1, 1),
        ];
        let expected = HashAlg::Sha256.digest_parts(&[&[1; 32], &[3; 32], &[9; 20]]);
        assert_eq!(digest_of(&selection, &values, HashAlg::Sha256), Ok(expected));
    }

    #[test]
    fn values_are_written_as_hex() {
        let value = PcrValue {
            bank: HashAlg::Sha1,
            index: 10,
            digest: vec![0xab; 20],
        };
        let text = serde_json::to_string(&value).unwrap();
        assert!(
            text.contains("\"sha1\"") && text.contains(&"ab".repeat(20)),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<PcrValue>(&text).unwrap(), value);
    }
}
