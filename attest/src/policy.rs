//! The appraisal policy: which claims are required, what they are compared with, and how grave each miss is.
//!
//! One TOML file that a person can write and diff, and digest lists in the format of `sha256sum` beside it:
//!
//! ```toml
//! name = "compute, rack 4"
//! version = 3
//! secure_boot = "required"           # or "any"
//!
//! [pcrs.sha256]                      # alternatives in one list
//! 7 = ["65caf8dd...", "b1c0..."]
//!
//! [boot_log.sha256]                  # what may be measured into each PCR, in any order
//! 4 = ["3d6772b4...", "df3f6190..."]
//!
//! [ima]
//! lists = ["compute.sha256"]
//! exclude = ["/var/log/journal/", "/etc/adjtime"]
//!
//! [gravity]
//! ima-violation = "contraindicated"
//! ```

mod boot_rules;
mod file;
mod list;

use std::collections::{BTreeMap, BTreeSet};

use crate::finding::{Code, Finding};
use crate::pcr::HashAlg;
use crate::verdict::Verdict;

pub use boot_rules::BootRules;
pub(crate) use list::line;
pub use list::{ImaReference, Judgement};

/// Digests by bank and PCR.
pub(crate) type ByPcr = BTreeMap<(HashAlg, u8), BTreeSet<Vec<u8>>>;

/// An appraisal policy with its golden values.
#[derive(Debug, Clone)]
pub struct Policy {
    name: String,
    version: u64,
    digest: [u8; 32],
    secure_boot_required: bool,
    pcrs: ByPcr,
    boot_log: ByPcr,
    ima: Option<ImaReference>,
    gravity: BTreeMap<Code, Verdict>,
}

/// A policy that cannot be used: where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}line {line}: {reason}", .file.as_ref().map(|f| format!("{f}, ")).unwrap_or_default())]
pub struct PolicyError {
    /// The digest list's name, or `None` for the policy itself.
    pub file: Option<String>,
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl Policy {
    /// Reads a policy and the digest lists that it names. `lists` turns a list's name, as written, into its text.
    ///
    /// # Errors
    /// The first thing in it that is not understood, with its line.
    pub fn parse(
        toml: &str,
        lists: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<Self, PolicyError> {
        file::parse(toml, lists)
    }

    /// A policy that compares nothing, for the capture of the first golden values.
    pub(crate) fn bare() -> Self {
        Self {
            name: String::new(),
            version: 0,
            digest: [0; 32],
            secure_boot_required: false,
            pcrs: ByPcr::new(),
            boot_log: ByPcr::new(),
            ima: None,
            gravity: BTreeMap::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version, as the operator counts.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// SHA-256 over all its text, lists included.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Whether Secure Boot must be proven to be on.
    pub fn secure_boot_required(&self) -> bool {
        self.secure_boot_required
    }

    /// Golden PCR values, alternatives together.
    pub(crate) fn pcrs(&self) -> &ByPcr {
        &self.pcrs
    }

    /// Golden boot-log digests: what may be measured into a PCR.
    pub(crate) fn boot_log(&self) -> &ByPcr {
        &self.boot_log
    }

    /// Golden file digests; none if the policy does not ask for IMA.
    pub fn ima(&self) -> Option<&ImaReference> {
        self.ima.as_ref()
    }

    /// Gives a finding the gravity that the policy takes it with.
    #[must_use]
    pub fn weigh(&self, mut finding: Finding) -> Finding {
        if let Some(gravity) = self.gravity.get(&finding.code) {
            finding.gravity = *gravity;
        }
        finding
    }
}
