//! Pauses: times in which a host, or the whole cloud, is left alone. Asking for one and ending one is audited.

use serde::Serialize;

use super::columns::Columns;
use super::connection::{Attempt, Write, statement};
use super::outbox::queue;
use super::{AuditEntry, NewNotification, Store, StoreError, audit, sql};
use crate::clock::Timestamp;
use crate::ids::{HostName, PauseId};

/// A time in which a host, or the whole cloud, is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// Its id.
    pub id: PauseId,
    /// The host; `None`: the whole cloud.
    pub host: Option<HostName>,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub because: String,
    /// By whom.
    pub by: String,
    /// When it was asked for.
    pub made_at: Timestamp,
    /// When a person ended it early.
    pub ended_at: Option<Timestamp>,
    /// Who ended it early.
    pub ended_by: Option<String>,
}

impl Pause {
    /// Whether it is over or was ended by then.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ended_at.is_some() || self.until <= now
    }

    /// Whether it was in force then, for this host.
    pub fn covered(&self, host: &HostName, at: Timestamp) -> bool {
        let mine = self.host.as_ref().is_none_or(|paused| paused == host);
        let until = self.ended_at.map_or(self.until, |ended| ended.min(self.until));
        mine && self.from <= at && at < until
    }
}

impl Store {
    /// Writes down a pause.
    pub async fn pause(
        &self,
        pause: &Pause,
        told: &NewNotification,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self
            .write(Attempt::new("pausing", subject(pause.host.as_ref())))
            .await?;
        let insert = statement(sql::PAUSE_INSERT)
            .bind(pause.id.to_string())
            .bind(pause.host.as_ref().map(HostName::to_string))
            .bind(pause.from.as_millis())
            .bind(pause.until.as_millis())
            .bind(pause.because.clone())
            .bind(pause.by.clone())
            .bind(pause.made_at.as_millis());
        write.run(insert).await?;
        let entry = AuditEntry {
            who: pause.by.clone(),
            what: "pause".to_owned(),
            subject: subject(pause.host.as_ref()),
            outcome: format!("from {} until {}: {}", pause.from, pause.until, pause.because),
        };
        audit::append(&mut write, &entry, now).await?;
        queue(&mut write, told, now).await?;
        write.commit().await
    }

    /// Ends the pauses of a host, or (`None`) those of the whole cloud; how many there were.
    pub async fn resume(
        &self,
        host: Option<&HostName>,
        by: &str,
        told: &NewNotification,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut write = self.write(Attempt::new("resuming", subject(host))).await?;
        let end = |sql| statement(sql).bind(now.as_millis()).bind(by.to_owned());
        let end = match host {
            Some(host) => end(sql::PAUSES_END_HOST).bind(host.to_string()),
            None => end(sql::PAUSES_END_CLOUD),
        };
        let ended = write.run(end.bind(now.as_millis())).await?;
        if ended == 0 {
            write.give_up().await?;
            return Ok(0);
        }
        let entry = AuditEntry {
            who: by.to_owned(),
            what: "resume".to_owned(),
            subject: subject(host),
            outcome: format!("{ended} pauses ended"),
        };
        audit::append(&mut write, &entry, now).await?;
        queue(&mut write, told, now).await?;
        write.commit().await?;
        Ok(ended)
    }

    /// The pauses that are not over, or were not at `since`; the earliest first.
    pub async fn pauses(&self, since: Timestamp) -> Result<Vec<Pause>, StoreError> {
        let query = statement(sql::PAUSES_SINCE).bind(since.as_millis());
        self.list(Attempt::new("listing", "pauses"), query, pause_of)
            .await
    }

    /// What keeps a host paused now.
    pub async fn paused(&self, host: &HostName, now: Timestamp) -> Result<Option<Pause>, StoreError> {
        let query = statement(sql::PAUSE_NOW)
            .bind(now.as_millis())
            .bind(now.as_millis())
            .bind(host.to_string());
        self.one(Attempt::new("reading the pauses of host", host), query, pause_of)
            .await
    }

    /// The wall clock was set: it shows `seen_at`, and would have shown `expected_at`.
    pub async fn clock_jumped(
        &self,
        id: &str,
        seen_at: Timestamp,
        expected_at: Timestamp,
        told: &NewNotification,
    ) -> Result<(), StoreError> {
        let mut write = self
            .write(Attempt::new("noting", "that the clock was set"))
            .await?;
        let insert = statement(sql::JUMP_INSERT)
            .bind(id.to_owned())
            .bind(seen_at.as_millis())
            .bind(expected_at.as_millis());
        write.run(insert).await?;
        queue(&mut write, told, seen_at).await?;
        write.commit().await
    }

    /// When the clock was seen to be set, since then: what it showed, and what it would have shown.
    pub async fn clock_jumps(&self, since: Timestamp) -> Result<Vec<(Timestamp, Timestamp)>, StoreError> {
        let query = statement(sql::JUMPS_SINCE).bind(since.as_millis());
        self.list(Attempt::new("listing", "settings of the clock"), query, |row| {
            Ok((row.at("seen_at")?, row.at("expected_at")?))
        })
        .await
    }
}

/// What keeps a host paused, as the running transaction sees it.
pub(super) async fn paused_in(
    write: &mut Write,
    host: &str,
    now: Timestamp,
) -> Result<Option<Pause>, StoreError> {
    let query = statement(sql::PAUSE_NOW)
        .bind(now.as_millis())
        .bind(now.as_millis())
        .bind(host.to_owned());
    let row = write.row(query).await?;
    row.map(|row| {
        pause_of(&Columns {
            row: &row,
            attempt: &write.attempt,
        })
    })
    .transpose()
}

fn subject(host: Option<&HostName>) -> String {
    host.map_or_else(|| "the cloud".to_owned(), |host| format!("host {host}"))
}

fn pause_of(row: &Columns<'_>) -> Result<Pause, StoreError> {
    Ok(Pause {
        id: row.read("id")?,
        host: row.maybe_read("host")?,
        from: row.at("begins_at")?,
        until: row.at("ends_at")?,
        because: row.text("because")?,
        by: row.text("done_by")?,
        made_at: row.at("made_at")?,
        ended_at: row.maybe_at("ended_at")?,
        ended_by: row.raw("ended_by")?,
    })
}
