//! What an entry is about: a file, or what else the kernel measures into the same list.

use super::boot_aggregate::BOOT_AGGREGATE;
use super::entry::{Fields, ImaEntry};
use super::keyring::MeasuredKey;
use crate::pcr::HashAlg;

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// The boot PCRs, as the kernel found them: a list's first entry, and one more for each kexec.
    BootAggregate,
    /// A file.
    File,
    /// A file that was open for writing, or was written while it was used. Its label is not authentic.
    Violation,
    /// Another kernel: the command line that it was loaded with, or its loading or start.
    Kexec,
    /// A key that was added to one of the kernel's keyrings.
    Key(MeasuredKey<'a>),
    /// Rules of what is measured and appraised, loaded after the kernel's start.
    ImaPolicy,
    /// A note of the kernel that it dropped the head of its list.
    Trimmed,
    /// Other data that the kernel holds critical, by the event's name (device mapper, SELinux, kernel version).
    CriticalData,
    /// Said to be data, but with a digest that is not the data's. No kernel writes that; `ima-sig` does read so where
    /// somebody wrote `ima-buf` over the entry of a file.
    Misnamed,
    /// Not understood: an unknown template, one without a digest or a name or with its fields in an order that the
    /// kernel's own templates do not have, a name with a zero in it, data whose digest is of an unknown algorithm.
    Unknown,
}

/// Where policies lie that are loaded by systemd, dracut and Red Hat's scripts. The kernel measures a policy file like any
/// other file, and the list does not say what it was read for.
const POLICY_FILES: [&[u8]; 4] = [
    b"/etc/ima/ima-policy",
    b"/etc/ima/ima_policy",
    b"/etc/sysconfig/ima-policy",
    b"/etc/keys/ima/ima-policy",
];

impl<'a> ImaEntry<'a> {
    /// What it is about.
    pub fn subject(&self) -> Subject<'a> {
        let Some(fields) = self.fields else {
            return if self.violation {
                Subject::Violation
            } else {
                Subject::Unknown
            };
        };
        if self.violation {
            return Subject::Violation;
        }
        // No digest covers the template's name, so only what all readings of the bytes agree on is believed. Names are C
        // strings for the kernel: a zero means that the bytes were something else.
        if !self.template.is_orderly() || fields.path.contains(&0) {
            return Subject::Unknown;
        }
        if fields.path == BOOT_AGGREGATE {
            return Subject::BootAggregate;
        }
        let Some(buffer) = self.data_of(&fields) else {
            return if POLICY_FILES.contains(&fields.path) {
                Subject::ImaPolicy
            } else {
                Subject::File
            };
        };
        let algorithm = std::str::from_utf8(fields.algorithm)
            .ok()
            .and_then(|name| name.parse::<HashAlg>().ok());
        match algorithm {
            None => return Subject::Unknown,
            Some(algorithm) if algorithm.digest(buffer) != fields.digest => return Subject::Misnamed,
            Some(_) => {}
        }
        match fields.path {
            // ima_kexec_cmdline; the critical data that kernels since 6.15 measure around a kexec.
            b"kexec-cmdline" | b"kexec_load" | b"kexec_execute" => Subject::Kexec,
            // Critical data of the label ima_policy: the rules as written, and as they are then.
            b"ima_policy_loaded" | b"ima_policy_written" => Subject::ImaPolicy,
            // Critical data of the patches that let user space trim the list.
            b"ima_log_trim" if is_text(buffer) => Subject::Trimmed,
            name => MeasuredKey::parse(name, buffer).map_or(Subject::CriticalData, Subject::Key),
        }
    }
}

impl<'a> ImaEntry<'a> {
    /// The data that was measured, if the entry is of data. The names that the kernel gives it are no paths.
    fn data_of(&self, fields: &Fields<'a>) -> Option<&'a [u8]> {
        fields
            .buffer
            .filter(|_| self.template.is_of_data() && !fields.path.starts_with(b"/"))
    }
}

/// As the kernel writes its notes; no file's signature is one.
fn is_text(data: &[u8]) -> bool {
    data.iter()
        .all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\n' | 0))
}

impl Subject<'_> {
    /// In a word, for reports.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::BootAggregate => "boot-aggregate",
            Self::File => "file",
            Self::Violation => "violation",
            Self::Kexec => "kexec",
            Self::Key(_) => "key",
            Self::ImaPolicy => "ima-policy",
            Self::Trimmed => "list-trimmed",
            Self::CriticalData => "critical-data",
            Self::Misnamed => "misnamed",
            Self::Unknown => "unknown",
        }
    }
}
