//! Findings: stable code, subject, expected, found, gravity.

mod code;
mod list;

use serde::{Deserialize, Serialize};

pub use code::{Bounds, Code, UnknownCode};
pub(crate) use list::FindingList;
pub use list::MAX_LISTED_PER_CODE;

use crate::verdict::Verdict;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of thing.
    pub code: Code,
    /// Where: a PCR, a log entry, a path.
    pub subject: String,
    /// What would have been right, where that can be said.
    pub expected: Option<String>,
    /// What was there.
    pub found: Option<String>,
    /// How grave the policy takes it.
    pub gravity: Verdict,
}

impl Finding {
    /// A finding of the code's own gravity.
    pub fn new(code: Code, subject: impl Into<String>) -> Self {
        Self {
            code,
            subject: subject.into(),
            expected: None,
            found: None,
            gravity: code.gravity(),
        }
    }

    /// About another place.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// With what would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// With what was there.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.subject)?;
        if let Some(expected) = &self.expected {
            write!(f, ", expected {expected}")?;
        }
        if let Some(found) = &self.found {
            write!(f, ", found {found}")?;
        }
        Ok(())
    }
}
