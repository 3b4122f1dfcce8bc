//! The appraisal policy: which claims are required, what they are compared with, and how grave each miss is.
//!
//! One TOML file that a person can write and diff, and digest lists in the format of `sha256sum` beside it;
//! docs/policies.md has every key:
//!
//! ```toml
//! name = "compute, rack 4"
//! version = 3
//! extends = "debian.toml"            # a policy beside this one, which this one adds to
//! secure_boot = "required"           # or "any"
//!
//! [pcrs.sha256]                      # valid always; alternatives in one list
//! 7 = ["65caf8dd...", "b1c0..."]
//!
//! [boot_log.sha256]                  # what may be measured into each PCR, in any order
//! 4 = ["3d6772b4...", "df3f6190..."]
//!
//! [[component]]                      # what changes together
//! name = "kernel"
//! [[component.alternative]]
//! name = "6.1.0-28"
//! until = 2026-12-31                 # that day included, in UTC
//! boot_log.sha256.4 = ["..."]
//! lists = ["kernel-28.sha256"]
//!
//! [model."dell-r750"]                # added for hosts of this model
//! pcrs.sha256.0 = ["04a4a49e..."]
//!
//! [boot]                             # what must hold of any boot: boot_rules.rs
//! dma_protection = "required"
//!
//! [ima]
//! lists = ["compute.sha256", { file = "base.sha256", sha256 = "..." }]
//! exclude = ["/var/log/journal/", "/etc/adjtime", "/var/log/**/*.gz"]
//! keyrings = ["vendor.pem"]          # a key of these makes a file golden ..
//! signed = ["/usr/**"]               # .. that lies here
//! protected = ["/usr/**", "/etc/**"] # where a violation is a graver finding
//! policies = ["<sha256>"]            # IMA policies that may be loaded
//! lag_limit_s = 600                  # how long the list may stay ahead of the quote
//!
//! [gravity]
//! ima-violation = "contraindicated"
//! ```

mod agree;
pub mod boot_rules;
mod component;
mod file;
mod joined;
mod list;
mod pattern;
mod review;
pub mod signed;
mod typed;
mod values;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::finding::{Code, Finding};
use crate::ima::Keyring;
use crate::pcr::HashAlg;
use crate::verdict::Verdict;

pub use boot_rules::BootRules;
pub(crate) use component::Standing;
pub use component::{Alternative, Component};
pub(crate) use list::line;
pub use list::{DigestList, DigestLists, ListError, Lookup, MAX_LIST, PathHash};
pub use pattern::Pattern;
pub use review::{AlternativeReview, ComponentReview, Review, Standing as ReviewStanding};
pub use window::{When, Window};

use component::ListUse;

/// Digests by bank and PCR.
pub(crate) type ByPcr = BTreeMap<(HashAlg, u8), BTreeSet<Vec<u8>>>;

/// An appraisal policy with its golden values, as it is for hosts of one model.
#[derive(Debug, Clone)]
pub struct Policy {
    name: String,
    version: u64,
    base: bool,
    model: Option<String>,
    models: BTreeSet<String>,
    content: [u8; 32],
    digest: [u8; 32],
    secure_boot_required: bool,
    /// Every PCR that is compared, with the values that are valid always.
    pcrs: ByPcr,
    /// Every PCR whose events are compared, with the digests that are valid always.
    boot_log: ByPcr,
    components: Vec<Component>,
    boot: BootRules,
    ima: Option<ImaReference>,
    gravity: BTreeMap<Code, Verdict>,
}

/// A policy that cannot be used: where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}line {line}: {reason}", .file.as_ref().map(|f| format!("{f}, ")).unwrap_or_default())]
pub struct PolicyError {
    /// The file that the policy names, or `None` for the policy itself.
    pub file: Option<String>,
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

/// How a policy is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading<'a> {
    /// The host's model, as the operator names it.
    pub model: Option<&'a str>,
    /// The policy is signed: it must name the content of its files, since the signature covers its own text only.
    pub signed: bool,
    /// A base for other policies is wanted too, to look at: it is no policy for a host.
    pub base: bool,
    /// Over what its digest is made.
    pub form: DigestForm,
}

/// Over what a policy's digest is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DigestForm {
    /// The texts of policy and lists: bundles of the first format.
    Texts,
    /// The policy's text, and the names and SHA-256 of its files.
    #[default]
    Files,
}

/// Where the files come from that a policy names. Names are as seen from the policy's folder.
pub trait Files {
    /// A file's bytes.
    ///
    /// # Errors
    /// Why they cannot be had.
    fn bytes(&mut self, name: &str) -> Result<Vec<u8>, String>;

    /// A digest list, shared where it can be.
    ///
    /// # Errors
    /// Why it cannot be had, with the line where something in it is wrong.
    fn list(&mut self, name: &str) -> Result<Arc<DigestList>, FileError>;
}

/// Why a digest list cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The line that is wrong; none if the file cannot be read.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl From<ListError> for FileError {
    fn from(error: ListError) -> Self {
        Self {
            line: Some(error.line),
            reason: error.reason,
        }
    }
}

/// Files by a function from name to text, each list a copy of its own.
struct Plain<'a>(&'a mut dyn FnMut(&str) -> Result<String, String>);

impl Files for Plain<'_> {
    fn bytes(&mut self, name: &str) -> Result<Vec<u8>, String> {
        (self.0)(name).map(String::into_bytes)
    }

    fn list(&mut self, name: &str) -> Result<Arc<DigestList>, FileError> {
        let text = self
            .bytes(name)
            .map_err(|reason| FileError { line: None, reason })?;
        Ok(Arc::new(DigestList::parse(text)?))
    }
}

impl Policy {
    /// Reads a policy and the files that it names. `files` turns a file's name, as written, into its text.
    ///
    /// # Errors
    /// The first thing in it that is not understood, with its line.
    pub fn parse(
        toml: &str,
        files: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<Self, PolicyError> {
        Self::read(toml, &Reading::default(), &mut Plain(files))
    }

    /// Reads a policy for hosts of one model, and the files that it names.
    ///
    /// # Errors
    /// The first thing in it that is not understood, with its line.
    pub fn read(toml: &str, reading: &Reading<'_>, files: &mut dyn Files) -> Result<Self, PolicyError> {
        file::read(toml, reading, files)
    }

    /// A policy that compares nothing, for the capture of the first golden values.
    pub(crate) fn bare() -> Self {
        Self {
            name: String::new(),
            version: 0,
            base: false,
            model: None,
            models: BTreeSet::new(),
            content: [0; 32],
            digest: [0; 32],
            secure_boot_required: false,
            pcrs: ByPcr::new(),
            boot_log: ByPcr::new(),
            components: Vec::new(),
            boot: BootRules::default(),
            ima: None,
            gravity: BTreeMap::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version, as the operator counts. Of a signed policy an older one is refused.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether it is a base for others and no policy for a host.
    pub fn is_base(&self) -> bool {
        self.base
    }

    /// The model that it was read for.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The models that it has values of.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(String::as_str)
    }

    /// Digest of its text and of the files that it names for all hosts: the same whatever the model. What a model names
    /// besides is in it where the text pins it, as every signed policy's does.
    pub fn content_digest(&self) -> [u8; 32] {
        self.content
    }

    /// Digest of all its text, every file that was read included, and the model.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Digest of the policy as it is at a moment (Unix seconds): another when an alternative's time begins or ends.
    pub fn digest_at(&self, now: i64) -> [u8; 32] {
        let standing: Vec<u8> = self
            .components
            .iter()
            .flat_map(|component| &component.alternatives)
            .filter(|alternative| alternative.window != Window::default())
            .map(|alternative| match alternative.window.at(now) {
                When::TooEarly => b'-',
                When::Within => b'=',
                When::TooLate => b'+',
            })
            .collect();
        if standing.is_empty() {
            return self.digest;
        }
        file::sha256(&[self.digest.as_slice(), b"at ", &standing].concat())
    }

    /// Whether Secure Boot must be proven to be on.
    pub fn secure_boot_required(&self) -> bool {
        self.secure_boot_required
    }

    /// What changes together, with its alternatives.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// PCRs that are compared, with the golden values that are valid always.
    pub(crate) fn pcrs(&self) -> &ByPcr {
        &self.pcrs
    }

    /// PCRs whose events are compared, with the golden digests that are valid always.
    pub(crate) fn boot_log(&self) -> &ByPcr {
        &self.boot_log
    }

    /// PCRs whose values are compared.
    pub fn compared_pcrs(&self) -> impl Iterator<Item = (HashAlg, u8)> {
        self.pcrs.keys().copied()
    }

    /// PCRs whose events are compared.
    pub fn compared_events(&self) -> impl Iterator<Item = (HashAlg, u8)> {
        self.boot_log.keys().copied()
    }

    /// What must hold of any boot.
    pub fn boot(&self) -> &BootRules {
        &self.boot
    }

    /// What is asked of measured files; none if the policy does not ask for IMA.
    pub fn ima(&self) -> Option<&ImaReference> {
        self.ima.as_ref()
    }

    /// Codes that the policy takes otherwise than their own gravity.
    pub fn gravities(&self) -> impl Iterator<Item = (Code, Verdict)> {
        self.gravity.iter().map(|(code, verdict)| (*code, *verdict))
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

/// What is asked of measured files.
#[derive(Debug, Clone)]
pub struct ImaReference {
    /// Those that are valid always stand first.
    lists: Vec<ListUse>,
    exclude: Vec<Pattern>,
    keyrings: Vec<Keyring>,
    signed: Vec<Pattern>,
    protected: Vec<Pattern>,
    policies: BTreeSet<[u8; 32]>,
    lag_limit_s: Option<u64>,
}

/// How a measured file stands to the lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// One of the path's digests.
    Golden,
    /// The path is excluded.
    Excluded,
    /// The path is not in the list.
    Unknown,
    /// The path is in the list with other digests, these.
    NotGolden(Vec<String>),
    /// The path is in the list, but not with digests of this algorithm.
    Unsuitable,
}

impl ImaReference {
    /// How many digests it holds, those of all components included.
    pub fn len(&self) -> usize {
        self.lists
            .iter()
            .map(|held| held.list.len())
            .fold(0, usize::saturating_add)
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lists, each once.
    pub fn lists(&self) -> impl Iterator<Item = &Arc<DigestList>> {
        self.lists.iter().map(|held| &held.list)
    }

    /// Has the processor fetch what [`Standing::file`](component::Standing::file) will read of these paths.
    pub(crate) fn fetch(&self, hashes: &[PathHash]) {
        self.lists.iter().for_each(|held| held.list.fetch(hashes));
    }

    /// Whether a list that is valid always has this file.
    pub(crate) fn always(&self, path: &[u8], algorithm: HashAlg, digest: &[u8]) -> bool {
        let hash = PathHash::of(path);
        self.lists
            .iter()
            .filter(|held| held.of.is_empty())
            .any(|held| held.list.find(hash, path, Some(algorithm), digest) == Lookup::Golden)
    }

    /// Paths that are left out of the comparison.
    pub fn exclude(&self) -> &[Pattern] {
        &self.exclude
    }

    /// Keys whose signature makes a file golden that lies at a [`signed`](Self::signed) path.
    pub fn keyrings(&self) -> &[Keyring] {
        &self.keyrings
    }

    /// Whether a file at this path is golden if a key of the keyrings signed it.
    pub fn signed(&self, path: &[u8]) -> bool {
        self.signed.iter().any(|pattern| pattern.covers(path))
    }

    /// Whether a violation at this path is graver than elsewhere.
    pub fn protected(&self, path: &[u8]) -> bool {
        self.protected.iter().any(|pattern| pattern.covers(path))
    }

    /// SHA-256 of the IMA policies that may be loaded.
    pub fn policies(&self) -> &BTreeSet<[u8; 32]> {
        &self.policies
    }

    /// How long, in seconds, the list may stay ahead of the quote; none: an entry that was seen must be covered next time.
    pub fn lag_limit_s(&self) -> Option<u64> {
        self.lag_limit_s
    }

    /// A path's digests of one algorithm, for findings.
    fn digests_of(&self, path: &[u8], algorithm: Option<HashAlg>) -> Vec<String> {
        let all: BTreeSet<String> = self
            .lists
            .iter()
            .flat_map(|held| held.list.digests_of(path))
            .filter(|(alg, _)| Some(*alg) == algorithm)
            .map(|(alg, digits)| format!("{alg}:{digits}"))
            .collect();
        all.into_iter().collect()
    }
}
