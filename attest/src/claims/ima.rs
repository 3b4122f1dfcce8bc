//! What the kernel measured since it started.

use serde::{Deserialize, Serialize};

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
