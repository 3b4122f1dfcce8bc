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
        for notification in self
            .store
            .take_notifications(self.clock.now(), AT_ONCE, HOLD)
            .await?
        {
            let posted = post(client, webhook, &notification, self.clock.now()).await;
            let now = self.clock.now();
            match posted {
                Ok(()) => self.store.delivered(&notification.key, now).await?,
                Err(error) => {
                    let again = self.store.undelivered(&notification.key, &error, now).await?;
                    let key = &notification.key;
                    if again {
                        tracing::warn!(
                            key,
                            error,
                            attempt = notification.attempt,
                            "notification not delivered"
                        );
                    } else {
                        tracing::error!(key, error, "notification given up; it stays in the store");
                    }
                }
            }
        }
        Ok(())
    }
}

async fn post(
    client: &Client,
    webhook: &Webhook,
    notification: &Notification,
    now: Timestamp,
) -> Result<(), String> {
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
        request = request.header(
            "x-lazaret-signature",
            signature(secret.expose().as_bytes(), &time, &body),
        );
    }
    // The error's address may hold a token of the receiver's: it is left out.
    let answer = request
        .body(body)
        .send()
        .await
        .map_err(|error| error.without_url().to_string())?;
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use crate::clock::{Clock as _, ManualClock};
    use crate::config::FenceTimes;
    use crate::config::secret::{Secret, SecretSource};
    use crate::openstack::scripted::{Server, answer};
    use crate::respond::Fencing;
    use crate::respond::notify::{Event, Kind};
    use crate::respond::tests::response;
    use crate::store::Store;

    use super::*;

    #[test]
    fn the_signature_is_hmac_sha256_over_time_and_body() {
        // printf '1795243380.{}' | openssl dgst -sha256 -hmac Jefe
        assert_eq!(
            signature(b"Jefe", "1795243380", "{}"),
            "sha256=03bb9a611f43961aef5f773f02ee47fdbec7e221e9a6ab08a604bf52ae6116ba"
        );
        assert_ne!(
            signature(b"Jefe", "1795243381", "{}"),
            signature(b"Jefe", "1795243380", "{}")
        );
    }

    #[tokio::test]
    async fn a_notification_is_posted_signed_until_the_receiver_takes_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("lazaret.db")).await.unwrap();
        let tried = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&tried);
        let server = Server::start(move |_| {
            answer(
                if seen.fetch_add(1, Ordering::SeqCst) == 0 {
                    503
                } else {
                    204
                },
                "",
            )
        })
        .await;
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_795_243_380_000)));
        let times = FenceTimes {
            off_polls: 1,
            off_poll_interval: Duration::ZERO,
            off_deadline: Duration::ZERO,
            heartbeat_silence: Duration::ZERO,
        };
        let fencing = Fencing::new(BTreeMap::new(), &times);
        let respond = Respond::new(
            store.clone(),
            None,
            response(),
            fencing,
            clock.clone(),
            "a".into(),
        );
        let webhook = Webhook {
            url: server.url.parse().unwrap(),
            secret: Some(SecretSource::Inline(Secret::new("Jefe".into()))),
        };
        let (case, host) = ("q-20261121-7f3a2c".parse().unwrap(), "cmp-1".parse().unwrap());
        let event = Event::case(Kind::CaseOpened, &case, &host, "words".into(), clock.now());
        store.enqueue(&event.queued(), clock.now()).await.unwrap();
        store.enqueue(&event.queued(), clock.now()).await.unwrap();

        let client = Client::new();
        respond.deliver_due(&client, &webhook).await.unwrap();
        assert_eq!(tried.load(Ordering::SeqCst), 1, "queued twice, sent once");
        clock.advance(Duration::from_secs(7200));
        respond.deliver_due(&client, &webhook).await.unwrap();
        clock.advance(Duration::from_secs(7200));
        respond.deliver_due(&client, &webhook).await.unwrap();
        assert_eq!(
            tried.load(Ordering::SeqCst),
            2,
            "tried again once, then it had arrived"
        );

        let request = server.last();
        let time = request.header("x-lazaret-timestamp").unwrap();
        assert_eq!(
            request.header("x-lazaret-signature").unwrap(),
            signature(b"Jefe", time, &request.body)
        );
        assert_eq!(request.header("x-lazaret-id").unwrap(), event.id);
        assert_eq!(serde_json::from_str::<Event>(&request.body).unwrap(), event);
    }
}
