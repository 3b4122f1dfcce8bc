//! The attestation result, and what is remembered from one to the next.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::claims::Claims;
use crate::finding::Finding;
use crate::ima::KeyId;
use crate::pcr::PcrValue;
use crate::verdict::Verdict;

/// What one answer to one challenge came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestationResult {
    /// The worst gravity of all findings; `Affirming` when there is none.
    pub verdict: Verdict,
    /// Everything that was found, in the order of the ladder.
    pub findings: Vec<Finding>,
    /// What was proven, without opinion.
    pub claims: Claims,
    /// What to store for the next round. `Some` only when the quote was genuine and answered this challenge.
    pub history: Option<History>,
    /// The slice of the IMA list that was asked for cannot be judged: challenge again with `ima_first` 0.
    pub full_list_needed: bool,
}

/// What a host's last genuine quote proved; the next one is held against it.
///
/// It belongs to one attestation key. Drop it when a host is enrolled with another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// TPM resets since it was manufactured or cleared: one more for each boot.
    pub reset_count: u32,
    /// TPM restarts and resumes since the last reset.
    pub restart_count: u32,
    /// The TPM's clock in milliseconds.
    pub clock_ms: u64,
    /// The TPM's firmware version, as its maker writes it.
    pub firmware_version: u64,
    /// Digest of the policy that this was judged by.
    #[serde(with = "hex_32")]
    pub policy_digest: [u8; 32],
    /// Entries that this boot's IMA list was ever seen to have, covered by a quote or not. The kernel extends PCR 10 with
    /// an entry when it lists it, so a later quote of the same boot covers them all.
    #[serde(default)]
    pub ima_listed: u64,
    /// When the first of those entries that no quote covers yet was seen, Unix seconds.
    #[serde(default)]
    pub ima_listed_at: i64,
    /// How far the IMA list was read and found clean.
    pub ima: Option<ImaCheckpoint>,
}

/// A point in the IMA list up to which every entry was appraised without a finding.
///
/// It is void when the boot (`reset_count`, `restart_count`), the policy or the attestation key is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImaCheckpoint {
    /// Entries from the start of the list.
    pub entries: u64,
    /// PCR 10 after that many entries, in each bank that was quoted.
    pub pcr10: Vec<PcrValue>,
    /// The boot it belongs to.
    pub reset_count: u32,
    /// A restart (hibernation) resets PCR 10 without a new `reset_count`.
    pub restart_count: u32,
    /// SHA-256 of the attestation key's public area.
    #[serde(with = "hex_32")]
    pub key: [u8; 32],
    /// For each component of the policy, its alternatives that explain all that was seen so far: a bit each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<u64>,
    /// SHA-256 of the last entry's template data: it finds the place to go on from in a list whose head the kernel trimmed.
    #[serde(default, with = "hex_32")]
    pub last_entry: [u8; 32],
    /// Keys of the policy's keyrings that signed a file so far, and those that were measured into a keyring.
    #[serde(default)]
    pub keys: SeenKeys,
}

/// Keys of the policy's keyrings that a list showed so far in this boot. There are no more than the keyrings hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenKeys {
    /// A file was golden by its signature.
    pub used: BTreeSet<KeyId>,
    /// The kernel measured it when it was added to a keyring.
    pub learned: BTreeSet<KeyId>,
}

/// 32 bytes as 64 hexadecimal digits.
pub(crate) mod hex_32 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(D::Error::custom)?;
        Ok(bytes)
    }
}
