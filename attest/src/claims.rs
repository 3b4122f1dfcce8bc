//! Typed facts from verified evidence, without opinion.

use serde::{Deserialize, Serialize};

use crate::pcr::PcrValue;

/// What one answer proved. A part that was not proven is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// From the quote: signed by the enrolled attestation key, in answer to this challenge.
    pub quote: Option<QuoteClaims>,
    /// From the boot log: it replays to the quoted PCRs.
    pub boot_log: Option<BootLogClaims>,
    /// From the IMA list: a prefix of it replays to the quoted PCR 10.
    pub ima: Option<ImaClaims>,
}

/// What the TPM itself says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuoteClaims {
    /// The PCR values that the signed digest covers.
    pub pcrs: Vec<PcrValue>,
    /// TPM resets: one more for each boot.
    pub reset_count: u32,
    /// Restarts and resumes since the last reset.
    pub restart_count: u32,
    /// The TPM's clock in milliseconds.
    pub clock_ms: u64,
    /// False for a while after the TPM lost power without warning: the clock may then repeat itself.
    pub clock_safe: bool,
    /// Firmware version as the TPM's maker writes it.
    pub firmware_version: u64,
}

/// What the firmware and boot loaders measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootLogClaims {
    /// Events in the log.
    pub events: u64,
    /// UEFI Secure Boot, as measured into PCR 7 before its separator.
    pub secure_boot: SecureBoot,
    /// Kernel command lines measured by grub or by the kernel's EFI stub.
    pub command_lines: u64,
}

/// State of UEFI Secure Boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecureBoot {
    /// Exactly one measurement says on.
    On,
    /// Exactly one measurement says off.
    Off,
    /// No measurement, several, one whose data its digest does not cover, or PCR 7 was not quoted.
    Unproven,
}

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
