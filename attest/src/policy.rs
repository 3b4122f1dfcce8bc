//! The appraisal policy: which claims are required, what they are compared with, and how grave each miss is.

/// An appraisal policy with its golden values.
#[derive(Debug, Clone)]
pub struct Policy {
    name: String,
    version: u64,
    digest: [u8; 32],
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
    /// Reads a policy and the digest lists that it names.
    ///
    /// # Errors
    /// The first thing in it that is not understood, with its line.
    pub fn parse(
        toml: &str,
        lists: &mut dyn FnMut(&str) -> Result<String, String>,
    ) -> Result<Self, PolicyError> {
        let _ = (toml, lists);
        todo!()
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
}
