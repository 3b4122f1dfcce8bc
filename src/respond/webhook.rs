//! Delivers queued notifications to the configured webhook, signed, at least once.

use std::time::Duration;

use aws_lc_rs::hmac;
use reqwest::Client;
use tokio_util::sync::CancellationToken;

use crate::clock::Timestamp;
use crate::config::Webhook;
use crate::store::Notification;

use super::Respond;

/// How often the outbox is looked into.
const LOOK: Duration = Duration::from_secs(1);

/// Notifications taken at once.
const AT_ONCE: u32 = 16;

/// A receiver that takes longer has not received.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Nobody else takes a notification while this one is being delivered.
const HOLD: Duration = Duration::from_secs(300);

impl Respond {
    /// Posts notifications as they come, until `stop`. Without a webhook they stay in the log and in the store.
    pub async fn deliver(&self, webhook: Option<&Webhook>, stop: CancellationToken) {
        let Some(webhook) = webhook else {
            stop.cancelled().await;
            return;
        };
        let client = Client::builder()
            .user_agent(concat!("lazaret/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            // The signature is for the configured receiver only.
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let client = match client {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, "cannot set up the webhook's client; notifications stay in the store");
                stop.cancelled().await;
                return;
            }
        };
        loop {
            if let Err(error) = self.deliver_due(&client, webhook).await {
                tracing::error!(%error, "cannot read or write the outbox");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// One look into the outbox.
    async fn deliver_due(&self, client: &Client, webhook: &Webhook) -> Result<(), crate::store::StoreError> {
        for notification in self.store.take_notifications(self.clock.now(), AT_ONCE, HOLD).await? {
            let posted = post(client, webhook, &notification, self.clock.now()).await;
            let now = self.clock.now();
            match posted {
                Ok(()) => self.store.delivered(&notification.key, now).await?,
                Err(error) => {
                    let again = self.store.undelivered(&notification.key, &error, now).await?;
                    let key = &notification.key;
                    if again {
                        tracing::warn!(key, error, attempt = notification.attempt, "notification not delivered");
                    } else {
                        tracing::error!(key, error, "notification given up; it stays in the store");
                    }
                }
            }
        }
        Ok(())
    }
}

async fn post(client: &Client, webhook: &Webhook, notification: &Notification, now: Timestamp) -> Result<(), String> {
    let body = notification.payload.as_str().to_owned();
    let time = now.as_millis().div_euclid(1000).to_string();
    let mut request = client
        .post(webhook.url.clone())
        .header("content-type", "application/json")
        .header("x-lazaret-event", &notification.kind)
        .header("x-lazaret-id", &notification.key)
        .header("x-lazaret-timestamp", &time);
    if let Some(source) = &webhook.secret {
        let secret = source.read().map_err(|error| error.to_string())?;
        request = request.header("x-lazaret-signature", signature(secret.expose().as_bytes(), &time, &body));
    }
    // The error's address may hold a token of the receiver's: it is left out.
    let answer = request.body(body).send().await.map_err(|error| error.without_url().to_string())?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("the receiver answered {status}")),
    }
}

/// `sha256=` and the HMAC-SHA-256 of `timestamp.body` in hex. The time is under the signature, so that an old
/// notification cannot be sent again as a new one.
pub fn signature(secret: &[u8], timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut context = hmac::Context::with_key(&key);
    context.update(timestamp.as_bytes());
    context.update(b".");
    context.update(body.as_bytes());
    format!("sha256={}", hex::encode(context.sign().as_ref()))
}
