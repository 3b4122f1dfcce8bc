//! What firmware and boot loaders measured.

use serde::{Deserialize, Serialize};

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
