//! Who did what: each entry carries the hash of the one before, so that a changed one is seen.

use serde::Serialize;

use super::{Store, StoreError};
use crate::clock::Timestamp;
use crate::ids::Sha256Digest;

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// By whom: the system's user, or `daemon`.
    pub who: String,
    /// What: `enrol`, `approve`, `disable`.
    pub what: String,
    /// To what: `host cmp-1`.
    pub subject: String,
    /// With what outcome: `done`, `refused: ...`.
    pub outcome: String,
}

/// An entry as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRecord {
    /// From 1, without gaps.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// What was done.
    #[serde(flatten)]
    pub entry: AuditEntry,
    /// The hash of this entry and of all before it.
    pub hash: Sha256Digest,
}

/// What reading the whole trail again came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "chain", rename_all = "lowercase")]
pub enum Chain {
    /// Every entry fits the one before. An end that was cut off shows only against a head noted elsewhere.
    Intact {
        /// How many entries there are.
        entries: i64,
        /// The hash of the last one.
        head: Sha256Digest,
    },
    /// An entry was changed, removed or put in.
    Broken {
        /// The first entry that does not fit.
        seq: i64,
        /// How.
        reason: String,
    },
}

impl Store {
    /// Appends to the audit trail.
    pub async fn audit(&self, entry: &AuditEntry, now: Timestamp) -> Result<(), StoreError> {
        let _ = (entry, now);
        todo!()
    }

    /// The latest entries, newest first.
    pub async fn latest_audit(&self, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        let _ = limit;
        todo!()
    }

    /// Reads the whole trail again.
    pub async fn verify_chain(&self) -> Result<Chain, StoreError> {
        todo!()
    }
}
