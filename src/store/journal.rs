//! The journal of a case: what was about to be done, and what came of it. Only ever appended to.

use std::time::Duration;

use serde::Serialize;

use super::columns::stored_as_word;
use super::connection::{Attempt, Write, statement};
use super::leases::renewed_for;
use super::outbox::queue;
use super::{Json, Lease, NewNotification, Store, StoreError, sql};
use crate::clock::Timestamp;
use crate::ids::CaseId;

/// Which side of an action an entry stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A step is about to be done.
    Before,
    /// One effect on the world is about to be done: a request is about to be sent.
    Intent,
    /// What came of that effect. Missing when it is not known.
    Effect,
    /// The step is done, and seen.
    After,
    /// Something worth telling.
    Note,
    /// The step failed.
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

stored_as_word!(Phase {
    Before = "before",
    Intent = "intent",
    Effect = "effect",
    After = "after",
    Note = "note",
    Error = "error",
});

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
        let (mut write, case) = self.write_case(lease, "writing the journal of case", now).await?;
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

    /// Appends a note to the journal of the leased case and tells people, both or neither.
    pub async fn note_and_tell(
        &self,
        lease: &Lease,
        step: &str,
        detail: &Json,
        notifications: &[NewNotification],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut write, case) = self.write_case(lease, "writing the journal of case", now).await?;
        let entry = JournalEntry {
            seq: 0,
            at: now,
            step: step.to_owned(),
            phase: Phase::Note,
            epoch: lease.epoch,
            detail: detail.clone(),
        };
        append(&mut write, &case, &entry).await?;
        for notification in notifications {
            queue(&mut write, notification, now).await?;
        }
        write.commit().await
    }

    /// Leave to do one effect: the lease is in force and has not run out at `now`, and what is about to be done is in
    /// the journal, both in one transaction, which renews the lease as well. Returns for how long, from before this was
    /// asked, nobody else can take the lease: others watch it by clocks of their own, and count from a renewal.
    pub async fn permit(
        &self,
        lease: &Lease,
        step: &str,
        intent: &Json,
        now: Timestamp,
    ) -> Result<Duration, StoreError> {
        let (mut write, case) = self
            .write_case(lease, "asking for leave to act for case", now)
            .await?;
        let lasts = renewed_for(&mut write, lease, now).await?;
        let entry = JournalEntry {
            seq: 0,
            at: now,
            step: step.to_owned(),
            phase: Phase::Intent,
            epoch: lease.epoch,
            detail: intent.clone(),
        };
        append(&mut write, &case, &entry).await?;
        write.commit().await?;
        Ok(lasts)
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
