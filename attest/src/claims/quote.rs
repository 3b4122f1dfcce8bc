//! What the TPM itself says.

use serde::{Deserialize, Serialize};

use crate::pcr::PcrValue;

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
