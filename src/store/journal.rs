//! The journal of a case: what was about to be done, and what came of it. Only ever appended to.

use serde::Serialize;

use super::columns::stored_as_word;
use super::connection::{Attempt, Write, statement};
use super::{Json, Lease, Store, StoreError, sql};
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

stored_as_word!(Phase { Before = "before", After = "after", Note = "note", Error = "error" });

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
        let (mut write, case) = self.write_case(lease, "writing the journal of case").await?;
        let entry = JournalEntry {
            seq: 0,
            at: now,
            step: step.to_owned(),
            phase,
            epoch: lease.epoch,
            detail: detail.clone(),
        };
        append(&mut write, &case, &entry).await?;
        write.commit().await
    }

    /// The journal of a case, in order.
    pub async fn journal_of(&self, case: &CaseId) -> Result<Vec<JournalEntry>, StoreError> {
        let query = statement(sql::JOURNAL).bind(case.to_string());
        self.list(Attempt::new("reading the journal of case", case), query, |row| {
            Ok(JournalEntry {
                seq: row.int("seq")?,
                at: row.at("at")?,
                step: row.text("step")?,
                phase: row.read("phase")?,
                epoch: row.int("epoch")?,
                detail: row.json("detail")?,
            })
        })
        .await
    }
}

/// Appends within a running transaction; the number is given here, whatever the entry says.
pub(super) async fn append(write: &mut Write, case: &CaseId, entry: &JournalEntry) -> Result<(), StoreError> {
    let last = write
        .last(statement(sql::JOURNAL_LAST).bind(case.to_string()))
        .await?;
    let insert = statement(sql::JOURNAL_INSERT)
        .bind(case.to_string())
        .bind(last + 1)
        .bind(entry.at.as_millis())
        .bind(entry.step.clone())
        .bind(entry.phase.as_str())
        .bind(entry.epoch)
        .bind(entry.detail.as_str().to_owned());
    write.run(insert).await.map(|_| ())
}
