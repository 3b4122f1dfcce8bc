//! Notifications on their way: queued in the transaction that they tell about, delivered at least once.

use std::time::Duration;

use serde::Serialize;

use super::{Json, Store, StoreError};
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

impl Store {
    /// Queues a notification that belongs to no other write.
    pub async fn enqueue(&self, notification: &NewNotification, now: Timestamp) -> Result<(), StoreError> {
        let _ = (notification, now);
        todo!()
    }

    /// Takes notifications that are due, oldest first; nobody else gets them for `hold`.
    pub async fn take_notifications(
        &self,
        now: Timestamp,
        limit: u32,
        hold: Duration,
    ) -> Result<Vec<Notification>, StoreError> {
        let _ = (now, limit, hold);
        todo!()
    }

    /// The notification has arrived.
    pub async fn delivered(&self, key: &str, now: Timestamp) -> Result<(), StoreError> {
        let _ = (key, now);
        todo!()
    }

    /// The attempt failed: tried again later and later, and after twelve attempts put aside as dead.
    /// Returns whether it will be tried again.
    pub async fn undelivered(&self, key: &str, error: &str, now: Timestamp) -> Result<bool, StoreError> {
        let _ = (key, error, now);
        todo!()
    }

    /// Notifications that were given up, each with its last error.
    pub async fn dead_notifications(&self) -> Result<Vec<(Notification, String)>, StoreError> {
        todo!()
    }
}
