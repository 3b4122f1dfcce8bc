//! What firmware and boot loaders measured.
//!
//! Every fact here was decided by replayed digests, by the PCR and the order they stand in, and by bytes that a digest
//! covers; never by an event's type. `attest/README.md` has the table.

mod read;

use serde::{Deserialize, Serialize};

use crate::pcr::HashAlg;

pub(crate) use read::{Detail, read, sbat_level, separator_state};

/// What the firmware and boot loaders measured. Lists are bounded: what is left out is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BootLogClaims {
    /// Measurements of the quoted PCRs. Other events, anyone may add or leave out.
    pub events: u64,
    /// UEFI Secure Boot, as measured into PCR 7 before its separator.
    pub secure_boot: SecureBoot,
    /// The Secure Boot mode "deployed", where the firmware measures it.
    pub deployed_mode: Option<bool>,
    /// The Secure Boot mode "audit", where the firmware measures it.
    pub audit_mode: Option<bool>,
    /// Whether a debugger may stop the firmware.
    pub debug_mode: Fact,
    /// Whether memory was protected from devices during boot.
    pub dma_protection: Fact,
    /// Words of the firmware in PCR 0, before its separator: its version among them.
    pub firmware: Listed<String>,
    /// Other measurements of PCR 0 before its separator: firmware volumes, tables, microcode.
    pub firmware_blobs: u64,
    /// The platform key.
    pub pk: Option<KeyStore>,
    /// The key exchange keys.
    pub kek: Option<KeyStore>,
    /// The signature database.
    pub db: Option<KeyStore>,
    /// The revocation database.
    pub dbx: Option<KeyStore>,
    /// What let images start, in the order of the boot.
    pub authorities: Listed<Authority>,
    /// shim's revocation level, a text of components and generations.
    pub sbat_level: Option<String>,
    /// Images in PCR 4, in the order of the boot: boot loaders, and the kernel where one was started as an image.
    pub boot_loaders: Listed<Measured>,
    /// Measurements in PCR 2: drivers and option ROMs.
    pub drivers: Listed<Measured>,
    /// Kernel command lines in PCR 8 and 12.
    pub kernel_command_lines: Listed<String>,
    /// Texts that grub measured into PCR 8.
    pub grub_texts: u64,
    /// Measurements in PCR 9: files that grub read, the EFI stub's load options and initrd. Which is which is not told.
    pub files: Listed<Measured>,
    /// Measurements in PCR 14: shim's lists of the machine owner's keys. Which is which is not told.
    pub machine_owner_keys: Listed<Measured>,
    /// Sections of a unified kernel image.
    pub sections: Listed<Section>,
    /// The phases of the boot that systemd announced in PCR 11.
    pub phases: Vec<String>,
    /// Descriptions of boot entries.
    pub boot_entries: Listed<String>,
    /// Partition tables that were measured.
    pub disks: Listed<Disk>,
    /// What else the firmware said of the boot, PCR 1 to 6.
    pub actions: Listed<String>,
    /// How the firmware handed over.
    pub exit_boot_services: Handover,
    /// How the firmware closed PCR 0 to 7.
    pub separators: Vec<Separator>,
}

/// State of UEFI Secure Boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecureBoot {
    /// Exactly one measurement says on.
    On,
    /// Exactly one measurement says off.
    Off,
    /// No measurement, several, one whose data its digest does not cover, or PCR 7 was not quoted.
    #[default]
    Unproven,
}

/// Something that the firmware measures only in one of two cases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact {
    /// It is on.
    On,
    /// It is off.
    Off,
    /// Neither is proven.
    #[default]
    Unproven,
}

/// Items in the order of the boot; how many there are beyond those that are listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed<T> {
    /// The first of them.
    pub listed: Vec<T>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self {
            listed: Vec::new(),
            more: 0,
        }
    }
}

impl<T> Listed<T> {
    /// How many there are, listed or not.
    pub fn count(&self) -> u64 {
        self.more
            .saturating_add(u64::try_from(self.listed.len()).unwrap_or(u64::MAX))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(more: &u64) -> bool {
    *more == 0
}

/// A measured digest, whatever it is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Which measurement of its PCR it is, counted from 0. The order within a PCR is proven, the order between PCRs is not.
    pub position: u64,
    /// The bank of the digest.
    pub bank: HashAlg,
    /// The digest, hex. Of an image it is the Authenticode digest.
    pub digest: String,
}

/// A Secure Boot variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStore {
    /// SHA-256 of the variable's value, hex.
    pub sha256: String,
    /// X.509 certificates in it.
    pub certificates: u32,
    /// SHA-256 digests of images in it.
    pub hashes: u32,
    /// Entries of other kinds.
    pub others: u32,
    /// The digests of images; only where evidence is looked at by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_digests: Vec<String>,
}

/// What let an image start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// The variable it stands in: db, MokListRT, Shim.
    pub variable: String,
    /// SHA-256 of the certificate, or of the entry, hex.
    pub sha256: String,
}

/// A section of a unified kernel image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its content.
    #[serde(flatten)]
    pub content: Measured,
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The disk's GUID.
    pub guid: String,
    /// Partitions in use.
    pub partitions: u64,
}

/// How the firmware handed over to the operating system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handover {
    /// ExitBootServices returned with success.
    Succeeded,
    /// It failed, and no later attempt succeeded.
    Failed,
    /// It was asked for.
    Invoked,
    /// The log says nothing of it.
    NotSeen,
    /// PCR 5 was not quoted.
    #[default]
    Unproven,
}

/// How the firmware closed one PCR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Separator {
    /// The PCR.
    pub pcr: u8,
    /// How.
    pub state: SeparatorState,
}

/// How the firmware closed a PCR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeparatorState {
    /// With one separator, as it should.
    Once,
    /// Not at all.
    Missing,
    /// More than once.
    Several,
    /// With one that tells of an error, or that is one in some banks only.
    Error,
}

impl std::fmt::Display for SeparatorState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Once => "one separator",
            Self::Missing => "no separator",
            Self::Several => "several separators",
            Self::Error => "a separator that tells of an error",
        })
    }
}

impl std::fmt::Display for SecureBoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Unproven => "unproven",
        })
    }
}

impl std::fmt::Display for Fact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Unproven => "unproven",
        })
    }
}

impl std::fmt::Display for Handover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Invoked => "invoked, without an outcome",
            Self::NotSeen => "not logged",
            Self::Unproven => "unproven",
        })
    }
}
