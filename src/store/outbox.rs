//! What people are told: queued in the transaction that it tells about, once for each event.

use std::time::Duration;

use serde::Serialize;

use super::columns::{Columns, each};
use super::connection::{Attempt, Write, statement};
use super::{Delivery, Json, Store, StoreError, deliveries, sql};
use crate::clock::Timestamp;

/// A notification to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotification {
    /// Names the event, such as `case q-20261121-7f3a2c opened`: what was queued once is not queued again.
    pub key: String,
    /// What kind of event: `case-opened`.
    pub kind: String,
    /// What is sent.
    pub payload: Json,
    /// What it is about, where the same may happen again and is not told again at once.
    pub quiet: Option<Quiet>,
}

/// Nothing more is told about a topic for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    /// What it is about.
    pub topic: String,
    /// For how long after it was told.
    pub within: Duration,
}

/// A notification as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// Names the event; the receiver can drop what it has seen.
    pub key: String,
    /// What kind of event.
    pub kind: String,
    /// What is sent.
    pub payload: Json,
    /// When it was queued.
    pub created_at: Timestamp,
    /// Which attempt this is, from 1, where it was taken for delivery.
    pub attempt: i64,
}

impl Store {
    /// Queues a notification that belongs to no other write. Returns whether it is new.
    pub async fn enqueue(&self, notification: &NewNotification, now: Timestamp) -> Result<bool, StoreError> {
        let mut write = self
            .write(Attempt::new("queueing the notification", &notification.key))
            .await?;
        let new = queue(&mut write, notification, now).await?;
        write.commit().await?;
        Ok(new)
    }

    /// Hands what is new to the receivers that `choose` names. Returns how many notifications there were.
    pub async fn hand_out(
        &self,
        now: Timestamp,
        limit: u32,
        choose: impl Fn(&Notification) -> Vec<String>,
    ) -> Result<usize, StoreError> {
        let mut write = self.write(Attempt::new("handing out", "notifications")).await?;
        let rows = write
            .rows(statement(sql::OUTBOX_NEW).bind(i64::from(limit)))
            .await?;
        let new = each(&rows, &write.attempt, notification_of)?;
        for notification in &new {
            for receiver in choose(notification) {
                let insert = statement(sql::DELIVERY_INSERT)
                    .bind(notification.key.clone())
                    .bind(receiver)
                    .bind(now.as_millis());
                write.run(insert).await?;
            }
            write
                .run(statement(sql::OUTBOX_HANDED).bind(notification.key.clone()))
                .await?;
        }
        write.commit().await?;
        Ok(new.len())
    }

    /// The latest notifications, newest first, each with its deliveries.
    pub async fn notifications(&self, limit: u32) -> Result<Vec<(Notification, Vec<Delivery>)>, StoreError> {
        let attempt = Attempt::new("listing", "notifications");
        let query = statement(sql::OUTBOX_LATEST).bind(i64::from(limit));
        let mut all = Vec::new();
        for notification in self.list(attempt, query, notification_of).await? {
            let attempt = Attempt::new("listing the deliveries of", &notification.key);
            let query = statement(sql::DELIVERIES_OF).bind(notification.key.clone());
            let ways = self.list(attempt, query, deliveries::delivery_of).await?;
            all.push((notification, ways));
        }
        Ok(all)
    }

    /// Deletes notifications from before then, with their deliveries; how many.
    pub async fn purge_notifications(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut write = self.write(Attempt::new("deleting", "old notifications")).await?;
        let old = statement(sql::OUTBOX_OLD)
            .bind(before.as_millis())
            .bind(i64::from(limit));
        let rows = write.rows(old).await?;
        let mut deleted = 0;
        for key in each(&rows, &write.attempt, |row| row.text("event"))? {
            write
                .run(statement(sql::DELIVERIES_DELETE).bind(key.clone()))
                .await?;
            deleted += write.run(statement(sql::OUTBOX_DELETE).bind(key)).await?;
        }
        write.commit().await?;
        Ok(deleted)
    }
}

/// Queues within a running transaction. An event that was queued once is left as it is, and so is one whose topic is to
/// be quiet. Returns whether it is new.
pub(super) async fn queue(
    write: &mut Write,
    notification: &NewNotification,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let known = statement(sql::OUTBOX_HAS).bind(notification.key.clone());
    if write.row(known).await?.is_some() {
        return Ok(false);
    }
    if let Some(quiet) = &notification.quiet {
        // What was told by a clock that was ahead keeps nothing quiet.
        let told = statement(sql::OUTBOX_TOLD)
            .bind(quiet.topic.clone())
            .bind(now.minus(quiet.within).as_millis())
            .bind(now.as_millis());
        if write.row(told).await?.is_some() {
            return Ok(false);
        }
    }
    let insert = statement(sql::OUTBOX_INSERT)
        .bind(notification.key.clone())
        .bind(notification.kind.clone())
        .bind(notification.payload.as_str().to_owned())
        .bind(notification.quiet.as_ref().map(|quiet| quiet.topic.clone()))
        .bind(now.as_millis());
    write.run(insert).await?;
    Ok(true)
}

pub(super) fn notification_of(row: &Columns<'_>) -> Result<Notification, StoreError> {
    Ok(Notification {
        key: row.text("event")?,
        kind: row.text("kind")?,
        payload: row.json("payload")?,
        created_at: row.at("created_at")?,
        attempt: row.int("attempts")?,
    })
}
