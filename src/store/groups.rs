//! Held groups: cases of several hosts with one and the same cause, which wait for a person together.

use serde::Serialize;
use serde_json::json;

use super::cases::note;
use super::columns::{Columns, each};
use super::connection::{Attempt, statement};
use super::outbox::queue;
use super::persons::{approve_in, epoch_of};
use super::{AuditEntry, Json, NewNotification, Store, StoreError, audit, sql};
use crate::clock::Timestamp;
use crate::ids::{CaseId, GroupId, Sha256Digest};

/// A held group, as it is recorded. Its cases say themselves that they are held with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldGroup {
    /// Its id.
    pub id: GroupId,
    /// What its hosts have in common.
    pub cause: Json,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When a person last decided.
    pub settled_at: Option<Timestamp>,
    /// Who.
    pub settled_by: Option<String>,
    /// What they decided, in words.
    pub outcome: Option<String>,
}

impl Store {
    /// The group that is open for a cause; opened under the name `id` where there is none.
    pub async fn group_for(&self, cause: &Json, id: &GroupId, now: Timestamp) -> Result<GroupId, StoreError> {
        let open_cause = Sha256Digest::of(cause.as_str().as_bytes()).to_string();
        let mut write = self.write(Attempt::new("opening the held group", id)).await?;
        let known = statement(sql::GROUP_OF_CAUSE).bind(open_cause.clone());
        if let Some(row) = write.row(known).await? {
            let known = Columns {
                row: &row,
                attempt: &write.attempt,
            }
            .read("id")?;
            write.give_up().await?;
            return Ok(known);
        }
        let insert = statement(sql::GROUP_INSERT)
            .bind(id.to_string())
            .bind(cause.as_str().to_owned())
            .bind(open_cause)
            .bind(now.as_millis());
        write.run(insert).await?;
        write.commit().await?;
        Ok(id.clone())
    }

    /// Holds these cases as members of a group: those of them that are open and whose host nobody has begun to power
    /// off. A step that runs is finished. Returns who has joined.
    pub async fn join_group(
        &self,
        group: &GroupId,
        cases: &[CaseId],
        (reason, holds): (&str, &Json),
        notifications: &[NewNotification],
        now: Timestamp,
    ) -> Result<Vec<CaseId>, StoreError> {
        let mut write = self.write(Attempt::new("holding the group", group)).await?;
        let mut joined = Vec::new();
        for case in cases {
            let join = statement(sql::GROUP_JOIN)
                .bind(reason.to_owned())
                .bind(group.to_string())
                .bind(holds.as_str().to_owned())
                .bind(case.to_string());
            if write.run(join).await? == 0 {
                continue;
            }
            let epoch = epoch_of(&mut write, case).await?;
            let detail = json!({ "state": "held", "reason": reason, "group": group });
            note(&mut write, case, epoch, &detail, now).await?;
            joined.push(case.clone());
        }
        for notification in notifications {
            queue(&mut write, notification, now).await?;
        }
        write.commit().await?;
        Ok(joined)
    }

    /// All groups, newest first.
    pub async fn held_groups(&self) -> Result<Vec<HeldGroup>, StoreError> {
        let attempt = Attempt::new("listing", "held groups");
        self.list(attempt, statement(sql::GROUPS), group_of).await
    }

    /// One group.
    pub async fn held_group(&self, id: &GroupId) -> Result<Option<HeldGroup>, StoreError> {
        let query = statement(sql::GROUP).bind(id.to_string());
        self.one(Attempt::new("reading the held group", id), query, group_of)
            .await
    }

    /// A person lets every case go on that is held with a group. `approval` is the list of what they were shown.
    /// Returns which cases go on.
    pub async fn approve_group(
        &self,
        group: &GroupId,
        approval: &Json,
        by: &str,
        now: Timestamp,
    ) -> Result<Vec<CaseId>, StoreError> {
        let mut write = self
            .write(Attempt::new("approving the held group", group))
            .await?;
        let rows = write
            .rows(statement(sql::GROUP_HELD).bind(group.to_string()))
            .await?;
        let cases: Vec<CaseId> = each(&rows, &write.attempt, |row| row.read("id"))?;
        for case in &cases {
            approve_in(&mut write, case, Some(approval), by, now).await?;
        }
        let outcome = format!("{} cases go on", cases.len());
        self.settle(&mut write, group, "approve", &outcome, by, now)
            .await?;
        write.commit().await?;
        Ok(cases)
    }

    /// Writes down that a person has dismissed a group; its cases are closed one by one before.
    pub async fn dismiss_group(
        &self,
        group: &GroupId,
        because: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self
            .write(Attempt::new("dismissing the held group", group))
            .await?;
        let outcome = format!("dismissed: {because}");
        self.settle(&mut write, group, "dismiss", &outcome, by, now)
            .await?;
        write.commit().await
    }

    async fn settle(
        &self,
        write: &mut super::connection::Write,
        group: &GroupId,
        what: &str,
        outcome: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let settle = statement(sql::GROUP_SETTLE)
            .bind(now.as_millis())
            .bind(by.to_owned())
            .bind(outcome.to_owned())
            .bind(group.to_string());
        if write.run(settle).await? == 0 {
            return Err(write.attempt.unknown(format!("group {group}")));
        }
        let entry = AuditEntry {
            who: by.to_owned(),
            what: what.to_owned(),
            subject: format!("group {group}"),
            outcome: outcome.to_owned(),
        };
        audit::append(write, &entry, now).await
    }
}

fn group_of(row: &Columns<'_>) -> Result<HeldGroup, StoreError> {
    Ok(HeldGroup {
        id: row.read("id")?,
        cause: row.json("cause")?,
        opened_at: row.at("opened_at")?,
        settled_at: row.maybe_at("settled_at")?,
        settled_by: row.raw("settled_by")?,
        outcome: row.raw("outcome")?,
    })
}
