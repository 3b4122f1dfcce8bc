//! Reference values, called golden values on the command line: written down from a host that the operator trusts.

use crate::challenge::Challenge;
use crate::evidence::Evidence;
use crate::finding::Finding;

/// What to capture from.
#[derive(Debug, Clone, Copy)]
pub struct Capture<'a> {
    /// What the trusted host answered.
    pub evidence: &'a Evidence,
    /// What it was asked; `ima_first` must be 0.
    pub challenge: &'a Challenge,
    /// TPM2B_PUBLIC of its attestation key.
    pub ak_public: &'a [u8],
    /// Name to give the policy.
    pub policy_name: &'a str,
    /// File name of the digest list, as the policy shall write it.
    pub list_name: &'a str,
}

/// A policy and its digest list, as text to put into two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The policy, TOML.
    pub policy_toml: String,
    /// File name that the policy uses for the list.
    pub list_name: String,
    /// The list, in the format of `sha256sum`.
    pub list: String,
    /// IMA entries that were behind the quote and are therefore not in the list: capture again until it is 0,
    /// or the next round will call them unknown.
    pub uncovered: u64,
}

/// Writes golden values from evidence, which is verified first.
///
/// # Errors
/// The findings that keep the evidence from being proven.
pub fn capture(from: &Capture<'_>) -> Result<Captured, Vec<Finding>> {
    let _ = from;
    todo!()
}
