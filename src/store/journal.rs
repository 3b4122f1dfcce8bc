//! The journal of a case: what was about to be done, and what came of it. Only ever appended to.

use serde::Serialize;

use super::{Json, Lease, Store, StoreError};
use crate::clock::Timestamp;
use crate::ids::CaseId;

/// Which side of an action an entry stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// About to be done.
    Before,
    /// Done, and seen.
    After,
    /// Something worth telling.
    Note,
    /// Failed.
    Error,
}

/// One entry of a case's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalEntry {
    /// From 1, without gaps, for each case.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// The step; empty for the case itself.
    pub step: String,
    /// Which side of the action.
    pub phase: Phase,
    /// The epoch of the lease that it was written under.
    pub epoch: i64,
    /// What, in the response's own shape.
    pub detail: Json,
}

impl Store {
    /// Appends to the journal of the leased case.
    pub async fn journal(
        &self,
        lease: &Lease,
        step: &str,
        phase: Phase,
        detail: &Json,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (lease, step, phase, detail, now);
        todo!()
    }

    /// The journal of a case, in order.
    pub async fn journal_of(&self, case: &CaseId) -> Result<Vec<JournalEntry>, StoreError> {
        let _ = case;
        todo!()
    }
}
