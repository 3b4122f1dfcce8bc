//! Giving a host back: the case that does so, and what people did before it.

use serde::Serialize;

use super::cases::{open_case, unclosed_in};
use super::columns::stored_as_word;
use super::connection::{Attempt, Statement, statement};
use super::{AuditEntry, Lease, NewCase, Store, StoreError, audit, sql};
use crate::clock::Timestamp;
use crate::ids::{CaseId, HostName};

/// How an item was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemState {
    /// It was done.
    Ticked,
    /// A person decided that it is not needed.
    Waived,
}

stored_as_word!(ItemState {
    Ticked = "ticked",
    Waived = "waived",
});

/// Something that a person did, or waived, before a host is given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleaseItem {
    /// What: `message-bus`, `disk-copies`, `second-person`.
    pub item: String,
    /// How.
    pub state: ItemState,
    /// By whom.
    pub by: String,
    /// Why it is waived.
    pub because: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Opens a case that a person asked for, with an entry in the audit trail. One unclosed case for each host.
    pub async fn open_asked(
        &self,
        case: &NewCase,
        asked: &AuditEntry,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write(Attempt::new("opening case", &case.id)).await?;
        if let Some(other) = unclosed_in(&mut write, &case.host).await? {
            return Err(write
                .attempt
                .refused(format!("case {other} of {} is not closed", case.host)));
        }
        open_case(&mut write, case, now).await?;
        audit::append(&mut write, asked, now).await?;
        write.commit().await
    }

    /// Records that a person did or waived something, with an entry in the audit trail. Said again, the last counts.
    pub async fn settle_item(
        &self,
        case: &CaseId,
        item: &ReleaseItem,
        entry: &AuditEntry,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write(Attempt::new("settling an item of case", case)).await?;
        let all = |query: Statement| {
            query
                .bind(item.state.as_str())
                .bind(item.by.clone())
                .bind(item.because.clone())
                .bind(item.at.as_millis())
                .bind(case.to_string())
                .bind(item.item.clone())
        };
        if write.run(all(statement(sql::ITEM_UPDATE))).await? == 0 {
            write.run(all(statement(sql::ITEM_INSERT))).await?;
        }
        audit::append(&mut write, entry, now).await?;
        write.commit().await
    }

    /// What people did or waived for a case.
    pub async fn release_items(&self, case: &CaseId) -> Result<Vec<ReleaseItem>, StoreError> {
        let query = statement(sql::ITEMS).bind(case.to_string());
        self.list(Attempt::new("listing the items of case", case), query, |row| {
            Ok(ReleaseItem {
                item: row.text("item")?,
                state: row.read("state")?,
                by: row.text("done_by")?,
                because: row.raw("because")?,
                at: row.at("at")?,
            })
        })
        .await
    }

    /// Ends the quarantine of a host, under the lease of its release. One that is over already stays so.
    pub async fn give_back(
        &self,
        lease: &Lease,
        host: &HostName,
        quarantine: &CaseId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut write, _) = self
            .write_case(lease, "giving back the host of case", now)
            .await?;
        let update = statement(sql::HOST_GIVEN_BACK)
            .bind(host.to_string())
            .bind(quarantine.to_string());
        write.run(update).await?;
        write.commit().await
    }
}
