//! What a person may do to a case without its lease: hold it, and let it go on. Both go into the audit trail.

use serde_json::json;

use super::cases::{note, stop};
use super::columns::Columns;
use super::connection::{Attempt, Write, statement};
use super::{AuditEntry, CaseState, Json, Lease, Store, StoreError, audit, sql};
use crate::clock::Timestamp;
use crate::ids::{CaseId, GroupId};

impl Store {
    /// A person holds an open case: the step that runs is finished, and none is begun after it.
    /// Returns false when the case was not open.
    pub async fn hold(
        &self,
        case: &CaseId,
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut write = self.write(Attempt::new("holding case", case)).await?;
        let epoch = epoch_of(&mut write, case).await?;
        let state = CaseState::Held {
            reason: format!("held by {by}: {reason}"),
        };
        match stop(&mut write, case, &state, epoch, now).await {
            Err(StoreError::Refused { .. }) => return Ok(false),
            stopped => stopped?,
        }
        let entry = AuditEntry {
            who: by.to_owned(),
            what: "hold".to_owned(),
            subject: format!("case {case}"),
            outcome: reason.to_owned(),
        };
        audit::append(&mut write, &entry, now).await?;
        write.commit().await?;
        Ok(true)
    }

    /// A person lets a held or stuck case go on, and its failed steps may be tried again as often as at first.
    /// Written into the journal and the audit trail as well. Returns false when it was neither held nor stuck.
    pub async fn approve(&self, case: &CaseId, by: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut write = self.write(Attempt::new("approving case", case)).await?;
        let approved = approve_in(&mut write, case, None, by, now).await?;
        if approved {
            write.commit().await?;
        }
        Ok(approved)
    }

    /// Writes down which limits hold a case, before it is held for them, and with which group.
    pub async fn note_holds(
        &self,
        lease: &Lease,
        holds: &Json,
        group: Option<&GroupId>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut write, case) = self.write_case(lease, "holding case", now).await?;
        let update = statement(sql::CASE_HOLDS)
            .bind(holds.as_str().to_owned())
            .bind(group.map(GroupId::to_string))
            .bind(case.to_string());
        write.run(update).await?;
        write.commit().await
    }
}

/// A person lets a case go on, within a running transaction: over the limits that hold it, and those of `also`.
pub(super) async fn approve_in(
    write: &mut Write,
    case: &CaseId,
    also: Option<&Json>,
    by: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let epoch = epoch_of(write, case).await?;
    let row = write.row(statement(sql::CASE).bind(case.to_string())).await?;
    let Some(row) = row else { return Ok(false) };
    let columns = Columns {
        row: &row,
        attempt: &write.attempt,
    };
    let mut approved: Vec<serde_json::Value> = Vec::new();
    let known = [
        columns.maybe_json("approved_holds")?,
        columns.maybe_json("holds")?,
    ];
    for holds in known.iter().flatten().chain(also) {
        let more: Vec<serde_json::Value> = holds.read().map_err(|error| {
            write
                .attempt
                .damaged(format!("the holds of case {case}: {error}"))
        })?;
        for hold in more {
            if !approved.contains(&hold) {
                approved.push(hold);
            }
        }
    }
    let update = statement(sql::CASE_APPROVE)
        .bind(by.to_owned())
        .bind(now.as_millis())
        .bind(serde_json::Value::Array(approved).to_string())
        .bind(case.to_string());
    if write.run(update).await? == 0 {
        return Ok(false);
    }
    write
        .run(statement(sql::STEPS_TRY_AGAIN).bind(case.to_string()))
        .await?;
    let detail = json!({ "state": "open", "approved_by": by });
    note(write, case, epoch, &detail, now).await?;
    let entry = AuditEntry {
        who: by.to_owned(),
        what: "approve".to_owned(),
        subject: format!("case {case}"),
        outcome: "goes on".to_owned(),
    };
    audit::append(write, &entry, now).await?;
    Ok(true)
}

/// The epoch that the case's lease is in, for a person who writes without one. Fails for an unknown case.
pub(super) async fn epoch_of(write: &mut Write, case: &CaseId) -> Result<i64, StoreError> {
    if write
        .row(statement(sql::CASE).bind(case.to_string()))
        .await?
        .is_none()
    {
        return Err(write.attempt.unknown(format!("case {case}")));
    }
    let row = write
        .row(statement(sql::LEASE).bind("case").bind(case.to_string()))
        .await?;
    row.map_or(Ok(0), |row| {
        Columns {
            row: &row,
            attempt: &write.attempt,
        }
        .int("epoch")
    })
}
