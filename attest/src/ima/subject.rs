//! What an entry is about: a file, or what else the kernel measures into the same list.

use super::boot_aggregate::BOOT_AGGREGATE;
use super::entry::ImaEntry;
use super::keyring::MeasuredKey;

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
    /// Not understood: an unknown template, or one without a digest or a name.
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
        if fields.path == BOOT_AGGREGATE {
            return Subject::BootAggregate;
        }
        let Some(buffer) = fields.buffer else {
            return if POLICY_FILES.contains(&fields.path) {
                Subject::ImaPolicy
            } else {
                Subject::File
            };
        };
        match fields.path {
            // ima_kexec_cmdline; the critical data that kernels since 6.15 measure around a kexec.
            b"kexec-cmdline" | b"kexec_load" | b"kexec_execute" => Subject::Kexec,
            // Critical data of the label ima_policy: the rules as written, and as they are then.
            b"ima_policy_loaded" | b"ima_policy_written" => Subject::ImaPolicy,
            // Critical data of the patches that let user space trim the list.
            b"ima_log_trim" => Subject::Trimmed,
            name => MeasuredKey::parse(name, buffer).map_or(Subject::CriticalData, Subject::Key),
        }
    }
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
            Self::Unknown => "unknown",
        }
    }
}
