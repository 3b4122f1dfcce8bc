//! Tells people: each notification to the daemon's log, and signed to each webhook that wants it, at least once.
//!
//! Each receiver has its own queue in the store and its own task, so that one that is down or slow delays no other.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, StatusCode};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Timestamp;
use crate::config::{JOURNAL, Severity, Webhook};
use crate::secrets::Secrets;
use crate::store::{Failure, Notification, StoreError};
use crate::transport::reason;

use super::Respond;
use super::notify::Event;

/// How often the store is looked into.
const LOOK: Duration = Duration::from_secs(1);

/// Notifications handed out at once.
const AT_ONCE: u32 = 100;

/// A receiver that takes longer has not received.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Nobody else takes a notification while this one is being delivered.
const HOLD: Duration = Duration::from_secs(300);

/// How long it is kept who was told what, and how often the older is deleted.
const KEPT: Duration = Duration::from_secs(90 * 86_400);
const SWEEP: Duration = Duration::from_secs(3600);
const SWEEP_ROWS: u32 = 1000;

/// A webhook, ready for use.
#[derive(Debug, Clone)]
pub struct Receiver {
    webhook: Webhook,
    client: Client,
    secrets: Secrets,
    /// What takes longer has not arrived.
    timeout: Duration,
}

/// Why an attempt failed.
enum Missed {
    /// Nothing came back: the receiver is down, too slow, or not whom it should be.
    Unreachable(String),
    /// It answered something else than yes, or nothing could be sent to it at all.
    Refused(Failure),
}

impl Receiver {
    /// Sets the client up; nothing is sent yet. `authorities` are trusted instead of the system's, as PEM.
    pub fn new(webhook: Webhook, authorities: Option<&[u8]>, secrets: Secrets) -> Result<Self, String> {
        let mut client = Client::builder()
            .user_agent(concat!("lazaret/", env!("CARGO_PKG_VERSION")))
            // The signature is for the configured receiver only.
            .redirect(reqwest::redirect::Policy::none())
            // Answers are not read to their end, so connections are not used again.
            .pool_max_idle_per_host(0);
        if let Some(pem) = authorities {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(reason)?;
            client = client.tls_certs_only(certificates);
        }
        Ok(Self {
            client: client.build().map_err(reason)?,
            webhook,
            secrets,
            timeout: TIMEOUT,
        })
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.webhook.name
    }

    /// Whether it is told of this. What cannot be read any more is told to everybody.
    fn wants(&self, notification: &Notification) -> bool {
        let severity = match notification.payload.read::<Event>() {
            Ok(event) => event.severity,
            Err(_) => Severity::Critical,
        };
        self.webhook.wants(&notification.kind, severity)
    }

    async fn post(&self, notification: &Notification, now: Timestamp) -> Result<(), Missed> {
        let body = notification.payload.as_str().to_owned();
        let time = now.unix_seconds().to_string();
        let mut request = self
            .client
            .post(self.webhook.url.clone())
            .timeout(self.timeout)
            .header("content-type", "application/json")
            .header("x-lazaret-event", &notification.kind)
            .header("x-lazaret-id", &notification.key)
            .header("x-lazaret-timestamp", &time);
        if let Some(source) = &self.webhook.secret {
            let secret = self.secrets.read(source).await.map_err(|error| {
                // Never unsigned where a signature is configured.
                Missed::Refused(Failure {
                    why: error.to_string(),
                    ..Failure::default()
                })
            })?;
            let signed = signature(secret.expose().as_bytes(), &time, &body);
            request = request.header("x-lazaret-signature", signed);
        }
        // The error's address may hold a token of the receiver's: it is left out. The answer's body is never read.
        let answer = request
            .body(body)
            .send()
            .await
            .map_err(|error| Missed::Unreachable(reason(error)))?;
        refusal(answer.status(), answer.headers()).map_or(Ok(()), |failure| Err(Missed::Refused(failure)))
    }
}

/// What an answer means. Only 410 says that it is for good: a wrong 404 or 401 while a receiver is being set up must
/// not cost anybody a page.
fn refusal(status: StatusCode, headers: &HeaderMap) -> Option<Failure> {
    let advice = match status {
        status if status.is_success() => return None,
        status if status.is_redirection() => {
            "; redirects are not followed: configure the address it leads to"
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; see its token or signing secret",
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => "; see its address",
        StatusCode::GONE => ": it wants no more, and this one is not tried again",
        _ => "",
    };
    let after = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    Some(Failure {
        why: format!("the receiver answered {status}{advice}"),
        after,
        for_good: status == StatusCode::GONE,
    })
}

impl Respond {
    /// Tells people as things happen, until `stop`: always in the log, and each receiver what it wants.
    pub async fn deliver(self: Arc<Self>, receivers: Vec<Receiver>, stop: CancellationToken) {
        let mut known: Vec<String> = receivers
            .iter()
            .map(|receiver| receiver.name().to_owned())
            .collect();
        known.push(JOURNAL.to_owned());
        match self.store.abandon_strangers(&known, self.clock.now()).await {
            Ok(0) => {}
            Ok(count) => tracing::error!(
                count,
                "notifications waited for webhooks that are no longer configured; `lazaret notifications --dead`"
            ),
            Err(error) => tracing::error!(%error, "cannot write the store"),
        }
        let mut tasks = JoinSet::new();
        for receiver in receivers.clone() {
            let (respond, stop) = (Arc::clone(&self), stop.clone());
            tasks.spawn(async move { respond.attend(&receiver, &stop).await });
        }
        let mut swept: Option<Instant> = None;
        loop {
            let over = stop.is_cancelled();
            if let Err(error) = self.hand_out(&receivers).await {
                tracing::error!(%error, "cannot read or write the notifications");
            }
            if over {
                break;
            }
            if swept.is_none_or(|at| at.elapsed() >= SWEEP) {
                swept = Some(Instant::now());
                let before = self.clock.now().minus(KEPT);
                if let Err(error) = self.store.purge_notifications(before, SWEEP_ROWS).await {
                    tracing::error!(%error, "cannot delete old notifications");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        tasks.join_all().await;
    }

    /// Hands out what is new, and says it in the log.
    async fn hand_out(&self, receivers: &[Receiver]) -> Result<(), StoreError> {
        let choose = |notification: &Notification| {
            let wanted = receivers.iter().filter(|receiver| receiver.wants(notification));
            let mut names: Vec<String> = wanted.map(|receiver| receiver.name().to_owned()).collect();
            names.push(JOURNAL.to_owned());
            names
        };
        while self.store.hand_out(self.clock.now(), AT_ONCE, choose).await? > 0 {}
        loop {
            let now = self.clock.now();
            let taken = self.store.take_deliveries(JOURNAL, now, AT_ONCE, HOLD).await?;
            if taken.is_empty() {
                return Ok(());
            }
            for notification in taken {
                match notification.payload.read::<Event>() {
                    Ok(event) => event.say(),
                    Err(_) => tracing::warn!(
                        event = notification.kind,
                        id = notification.key,
                        payload = notification.payload.as_str(),
                        "a notification of another version"
                    ),
                }
                self.store.delivered(&notification.key, JOURNAL, now).await?;
            }
        }
    }

    /// Delivers to one receiver as its notifications come, until `stop`.
    async fn attend(&self, receiver: &Receiver, stop: &CancellationToken) {
        let mut was_down = false;
        while !stop.is_cancelled() {
            if let Err(error) = self.deliver_due(receiver, &mut was_down, stop).await {
                tracing::error!(%error, receiver = receiver.name(), "cannot read or write the notifications");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Delivers what is due to one receiver, one after the other, until nothing is or it does not answer.
    async fn deliver_due(
        &self,
        receiver: &Receiver,
        was_down: &mut bool,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let name = receiver.name();
        while !stop.is_cancelled() {
            let taken = self
                .store
                .take_deliveries(name, self.clock.now(), 1, HOLD)
                .await?;
            let Some(notification) = taken.first() else {
                return Ok(());
            };
            let posted = Box::pin(receiver.post(notification, self.clock.now())).await;
            let (key, now) = (&notification.key, self.clock.now());
            let (failure, down) = match posted {
                Ok(()) => {
                    self.store.delivered(key, name, now).await?;
                    if std::mem::take(was_down) {
                        self.store.hasten(name, now).await?;
                    }
                    continue;
                }
                Err(Missed::Refused(failure)) => (failure, false),
                Err(Missed::Unreachable(why)) => {
                    let failure = Failure {
                        why,
                        ..Failure::default()
                    };
                    (failure, true)
                }
            };
            let again = self.store.undelivered(key, name, &failure, now).await?;
            let (error, attempt) = (&failure.why, notification.attempt);
            if again {
                tracing::warn!(
                    receiver = name,
                    id = key,
                    error,
                    attempt,
                    "notification not delivered"
                );
            } else {
                tracing::error!(
                    receiver = name,
                    id = key,
                    error,
                    attempt,
                    "notification given up; `lazaret notifications --dead` lists it"
                );
            }
            if down {
                *was_down = true;
                return Ok(());
            }
        }
        Ok(())
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
mod tests;
