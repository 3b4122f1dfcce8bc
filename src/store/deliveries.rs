//! Each notification's way to each receiver: taken by one, tried again later and later, put aside in the end.

use std::time::Duration;

use serde::Serialize;

use super::columns::{Columns, each, stored_as_word};
use super::connection::{Attempt, statement};
use super::outbox::notification_of;
use super::{AuditEntry, Notification, Store, StoreError, audit, sql};
use crate::clock::Timestamp;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// It is on its way, or waits for its next attempt.
    Pending,
    /// The receiver has taken it.
    Delivered,
    /// It was given up; `lazaret notifications retry` sends it again.
    Dead,
}

stored_as_word!(DeliveryState {
    Pending = "pending",
    Delivered = "delivered",
    Dead = "dead",
});

/// One notification's way to one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The receiver's name.
    pub receiver: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next, while it is pending.
    pub next_attempt_at: Timestamp,
    /// When it was delivered or given up.
    pub finished_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// Why an attempt failed, and when the next one makes sense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// In words.
    pub why: String,
    /// The receiver asked for this much patience.
    pub after: Option<Duration>,
    /// The receiver said that it is gone for good.
    pub for_good: bool,
}

/// After this many attempts a delivery is put aside: about three days, so that a receiver may be down over a weekend.
const MOST_ATTEMPTS: i64 = 80;

/// The pause after the first failed attempt; it doubles each time ..
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// .. up to this. One that is to wait longer was put off by a clock that was ahead, and is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

impl Store {
    /// Takes a receiver's deliveries that are due, oldest first; nobody else gets them for `hold`.
    pub async fn take_deliveries(
        &self,
        receiver: &str,
        now: Timestamp,
        limit: u32,
        hold: Duration,
    ) -> Result<Vec<Notification>, StoreError> {
        let mut write = self
            .write(Attempt::new("taking notifications for", receiver))
            .await?;
        let due = statement(sql::DELIVERIES_DUE)
            .bind(receiver.to_owned())
            .bind(now.as_millis())
            .bind(now.plus(LONGEST_PAUSE).as_millis())
            .bind(i64::from(limit));
        let rows = write.rows(due).await?;
        let mut taken = Vec::with_capacity(rows.len());
        for mut notification in each(&rows, &write.attempt, notification_of)? {
            let take = statement(sql::DELIVERY_TAKE)
                .bind(now.plus(hold).as_millis())
                .bind(notification.key.clone())
                .bind(receiver.to_owned())
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

    /// The receiver has it.
    pub async fn delivered(&self, key: &str, receiver: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self
            .write(Attempt::new("marking as delivered the notification", key))
            .await?;
        let done = statement(sql::DELIVERY_DONE)
            .bind(now.as_millis())
            .bind(key.to_owned())
            .bind(receiver.to_owned());
        write.run(done).await?;
        write.commit().await
    }

    /// The attempt failed: it is tried again later and later, and put aside as dead in the end, or at once where the
    /// receiver is gone for good. Returns whether it will be tried again.
    pub async fn undelivered(
        &self,
        key: &str,
        receiver: &str,
        failure: &Failure,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut write = self
            .write(Attempt::new("putting off the notification", key))
            .await?;
        let row = write
            .row(
                statement(sql::DELIVERY_ATTEMPTS)
                    .bind(key.to_owned())
                    .bind(receiver.to_owned()),
            )
            .await?;
        let Some(row) = row else { return Ok(false) };
        let attempts = Columns {
            row: &row,
            attempt: &write.attempt,
        }
        .int("attempts")?;
        let again = attempts < MOST_ATTEMPTS && !failure.for_good;
        let update = if again {
            let asked = failure.after.unwrap_or_default().min(LONGEST_PAUSE);
            let next = now.plus(pause_after(attempts).max(asked));
            statement(sql::DELIVERY_AGAIN).bind(next.as_millis())
        } else {
            statement(sql::DELIVERY_GIVE_UP).bind(now.as_millis())
        };
        let update = update
            .bind(failure.why.clone())
            .bind(key.to_owned())
            .bind(receiver.to_owned());
        write.run(update).await?;
        write.commit().await?;
        Ok(again)
    }

    /// The receiver answers again: what waits for it is due now.
    pub async fn hasten(&self, receiver: &str, now: Timestamp) -> Result<u64, StoreError> {
        let mut write = self
            .write(Attempt::new("hastening notifications for", receiver))
            .await?;
        let update = statement(sql::DELIVERIES_HASTEN)
            .bind(now.as_millis())
            .bind(receiver.to_owned())
            .bind(now.as_millis());
        let hastened = write.run(update).await?;
        write.commit().await?;
        Ok(hastened)
    }

    /// What waits for a receiver that is no longer known is given up: nobody would ever try it.
    pub async fn abandon_strangers(&self, known: &[String], now: Timestamp) -> Result<u64, StoreError> {
        let mut write = self
            .write(Attempt::new("giving up", "deliveries to unknown receivers"))
            .await?;
        let rows = write.rows(statement(sql::DELIVERIES_WAITING_RECEIVERS)).await?;
        let mut given_up = 0;
        for receiver in each(&rows, &write.attempt, |row| row.text("receiver"))? {
            if !known.contains(&receiver) {
                let update = statement(sql::DELIVERIES_ABANDON)
                    .bind(now.as_millis())
                    .bind("no webhook of this name is configured any more")
                    .bind(receiver);
                given_up += write.run(update).await?;
            }
        }
        write.commit().await?;
        Ok(given_up)
    }

    /// The dead letters: notifications that were given up, oldest first, each with the receiver that has not got it.
    pub async fn dead_letters(&self) -> Result<Vec<(Notification, Delivery)>, StoreError> {
        self.list(
            Attempt::new("listing", "notifications that were given up"),
            statement(sql::DELIVERIES_DEAD),
            |row| Ok((notification_of(row)?, delivery_of(row)?)),
        )
        .await
    }

    /// A person has dead letters sent again: the ones of an event, or of a receiver, or all. Goes into the audit trail.
    /// Returns how many there were.
    pub async fn retry(
        &self,
        event: Option<&str>,
        receiver: Option<&str>,
        by: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let subject = event.unwrap_or("all of them");
        let mut write = self
            .write(Attempt::new("sending again the notification", subject))
            .await?;
        let rows = write.rows(statement(sql::DELIVERIES_DEAD)).await?;
        let dead = each(&rows, &write.attempt, |row| {
            Ok((row.text("event")?, row.text("receiver")?))
        })?;
        let mut revived = 0;
        for (key, name) in dead {
            if event.is_none_or(|event| event == key) && receiver.is_none_or(|receiver| receiver == name) {
                let revive = statement(sql::DELIVERY_REVIVE)
                    .bind(now.as_millis())
                    .bind(key)
                    .bind(name);
                revived += write.run(revive).await?;
            }
        }
        if revived == 0 {
            write.give_up().await?;
            return Ok(0);
        }
        let entry = AuditEntry {
            who: by.to_owned(),
            what: "retry".to_owned(),
            subject: format!("notification {subject}").chars().take(500).collect(),
            outcome: format!("{revived} deliveries are tried again"),
        };
        audit::append(&mut write, &entry, now).await?;
        write.commit().await?;
        Ok(revived)
    }
}

fn pause_after(attempts: i64) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1).clamp(0, 16)).unwrap_or(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

pub(super) fn delivery_of(row: &Columns<'_>) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        receiver: row.text("receiver")?,
        state: row.read("state")?,
        attempts: row.int("attempts")?,
        next_attempt_at: row.at("next_attempt_at")?,
        finished_at: row.maybe_at("finished_at")?,
        error: row.raw("last_error")?,
    })
}
