//! Notifications on their way: queued in the transaction that they tell about, delivered at least once.

use std::time::Duration;

use serde::Serialize;

use super::columns::{Columns, each};
use super::connection::{Attempt, Write, statement};
use super::{Json, Store, StoreError, sql};
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
}

/// A notification taken for delivery.
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
    /// Which attempt this is, from 1.
    pub attempt: i64,
}

/// After this many attempts a notification is put aside.
const MOST_ATTEMPTS: i64 = 12;

/// The pause after the first failed attempt; it doubles each time ..
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// .. up to this. One that is to wait longer was put off by a clock that was ahead, and is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

impl Store {
    /// Queues a notification that belongs to no other write.
    pub async fn enqueue(&self, notification: &NewNotification, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self
            .write(Attempt::new("queueing the notification", &notification.key))
            .await?;
        queue(&mut write, notification, now).await?;
        write.commit().await
    }

    /// Takes notifications that are due, oldest first; nobody else gets them for `hold`.
    pub async fn take_notifications(
        &self,
        now: Timestamp,
        limit: u32,
        hold: Duration,
    ) -> Result<Vec<Notification>, StoreError> {
        let mut write = self.write(Attempt::new("taking", "notifications")).await?;
        let rows = write
            .rows(
                statement(sql::OUTBOX_DUE)
                    .bind(now.as_millis())
                    .bind(now.plus(LONGEST_PAUSE).as_millis())
                    .bind(i64::from(limit)),
            )
            .await?;
        let mut taken = Vec::with_capacity(rows.len());
        for mut notification in each(&rows, &write.attempt, notification_of)? {
            let take = statement(sql::OUTBOX_TAKE)
                .bind(now.plus(hold).as_millis())
                .bind(notification.key.clone())
                .bind(now.as_millis())
                .bind(now.plus(LONGEST_PAUSE).as_millis());
            if write.run(take).await? > 0 {
                notification.attempt += 1;
                taken.push(notification);
            }
        }
        write.commit().await?;
        Ok(taken)
    }

    /// The notification has arrived.
    pub async fn delivered(&self, key: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self
            .write(Attempt::new("marking as delivered the notification", key))
            .await?;
        write
            .run(
                statement(sql::OUTBOX_DELIVERED)
                    .bind(now.as_millis())
                    .bind(key.to_owned()),
            )
            .await?;
        write.commit().await
    }

    /// The attempt failed: tried again later and later, and after twelve attempts put aside as dead.
    /// Returns whether it will be tried again.
    pub async fn undelivered(&self, key: &str, error: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut write = self
            .write(Attempt::new("putting off the notification", key))
            .await?;
        let row = write
            .row(statement(sql::OUTBOX_ATTEMPTS).bind(key.to_owned()))
            .await?;
        let Some(row) = row else { return Ok(false) };
        let attempts = Columns {
            row: &row,
            attempt: &write.attempt,
        }
        .int("attempts")?;
        let again = attempts < MOST_ATTEMPTS;
        let update = if again {
            statement(sql::OUTBOX_AGAIN).bind(now.plus(pause_after(attempts)).as_millis())
        } else {
            statement(sql::OUTBOX_GIVE_UP).bind(now.as_millis())
        };
        write
            .run(update.bind(error.to_owned()).bind(key.to_owned()))
            .await?;
        write.commit().await?;
        Ok(again)
    }

    /// Notifications that were given up, each with its last error.
    pub async fn dead_notifications(&self) -> Result<Vec<(Notification, String)>, StoreError> {
        self.list(
            Attempt::new("listing", "undelivered notifications"),
            statement(sql::OUTBOX_DEAD),
            |row| {
                Ok((
                    notification_of(row)?,
                    row.raw::<Option<String>>("last_error")?.unwrap_or_default(),
                ))
            },
        )
        .await
    }
}

/// Queues within a running transaction; an event that was queued once is left as it is.
pub(super) async fn queue(
    write: &mut Write,
    notification: &NewNotification,
    now: Timestamp,
) -> Result<(), StoreError> {
    if write
        .row(statement(sql::OUTBOX_HAS).bind(notification.key.clone()))
        .await?
        .is_some()
    {
        return Ok(());
    }
    let insert = statement(sql::OUTBOX_INSERT)
        .bind(notification.key.clone())
        .bind(notification.kind.clone())
        .bind(notification.payload.as_str().to_owned())
        .bind(now.as_millis())
        .bind(now.as_millis());
    write.run(insert).await.map(|_| ())
}

fn pause_after(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1).clamp(0, 16)).unwrap_or(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

fn notification_of(row: &Columns<'_>) -> Result<Notification, StoreError> {
    Ok(Notification {
        key: row.text("event")?,
        kind: row.text("kind")?,
        payload: row.json("payload")?,
        created_at: row.at("created_at")?,
        attempt: row.int("attempts")?,
    })
}
