//! What the kernel measured since it started.

use serde::{Deserialize, Serialize};

use crate::ima::KeyId;

/// What the kernel measured since it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImaClaims {
    /// Index of the first entry that was looked at; earlier ones were appraised in earlier rounds.
    pub first: u64,
    /// Entries, counted from the start of the list, that the quoted PCR 10 covers.
    pub covered: u64,
    /// Entries behind those: measured after the quote, not attested yet, not appraised.
    pub uncovered: u64,
    /// Covered entries in this slice that are violations (a file was open for writing while it was measured).
    pub violations: u64,
    /// The list's first entry against the quoted boot PCRs.
    pub boot_aggregate: BootAggregate,
    /// Whether nothing better than SHA-1 ties the list to the quote.
    #[serde(default)]
    pub by_sha1_alone: bool,
    /// Covered files in this slice that a key of the policy's keyrings signed and no list holds.
    #[serde(default)]
    pub signed_files: u64,
    /// What else was measured in this slice, in order; at most [`MAX_EVENTS`].
    #[serde(default)]
    pub events: Vec<ImaEvent>,
}

/// Events that are kept with a claim: a host has some tens of them, and a report is read by people.
pub const MAX_EVENTS: usize = 64;

/// Something other than a file that the kernel measured: a kexec, a key, a policy, critical data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImaEvent {
    /// The entry, counted from the list's start.
    pub entry: u64,
    /// What it is about, as [`crate::ima::Subject::as_str`] says it.
    pub subject: String,
    /// The event's name: a keyring, a path, a label. Safe to print.
    pub name: String,
    /// The digest, behind its algorithm.
    pub digest: String,
    /// For a key: the ids that signatures call it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyId>,
}

/// How the IMA list's `boot_aggregate` relates to the quoted boot PCRs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootAggregate {
    /// It is the digest of them.
    Matches,
    /// It is not.
    Differs,
    /// The PCRs or the bank that it is made from were not quoted.
    NotComparable,
    /// The slice does not start at the list's beginning; an earlier round looked at it.
    SeenBefore,
    /// The list begins with something else.
    Missing,
}
