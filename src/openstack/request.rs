//! The one request function (`Cloud::send`): deadline, size bound, new login after 401, patience with 429 and 503, versions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use crate::permit::{Act, Denied, Permit};
use crate::transport::{self, Lost};

use super::answer::{refusal, retry_after};
use super::call::{Call, Service};
use super::error::Error;
use super::session::{Cloud, Session};

/// The largest answer: 1000 instances, nova's page, are some 4 MB.
const BODY_MAX: usize = 16 * 1024 * 1024;

/// Pages of one listing: 200 000 instances, more than any nova has.
const PAGES_MAX: usize = 200;

/// How often a call is sent that is answered with 429 or 503.
const ATTEMPTS_MAX: u32 = 4;

/// The longest `Retry-After` that is waited for within a call; a longer one is the caller's business.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(20);

/// The shortest deadline of a call that Masakari answers late (it sleeps up to 5 s first).
const SLOW_CALL_MIN: Duration = Duration::from_secs(30);

/// What is known of a call from outside when its deadline strikes: whether a request is on the wire.
#[derive(Default)]
pub(super) struct Exchange {
    on_wire: AtomicBool,
    /// When its deadline strikes; `None`: it has none of its own.
    end: Option<Instant>,
    /// Whether its next sending has had its turn.
    has_turn: AtomicBool,
}

/// A service's answer to a call that succeeded.
pub(super) struct Reply {
    pub(super) body: Vec<u8>,
    pub(super) subject_token: Option<HeaderValue>,
}

impl Cloud {
    /// Makes a call and reads its JSON answer.
    pub(super) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, Error> {
        let (doing, service) = (call.doing.clone(), call.service);
        read(doing, service, &self.send(call).await?)
    }

    /// Makes a call that changes something: leave is asked for each time directly before it is sent, and what came
    /// of it is told after, where that is known.
    pub(super) async fn act(&self, call: Call, act: Act<'_>) -> Result<Vec<u8>, Error> {
        let outcome = self.within_deadline(call, Some(&act)).await;
        match &outcome {
            Ok(_) => act.answered("it was accepted").await,
            Err(Error::NotPermitted { .. }) => {}
            Err(error) if error.maybe_done() => {}
            Err(error) => {
                let words = format!("it was not accepted: {error}");
                act.answered(&words).await;
            }
        }
        outcome
    }

    /// The same, and reads the JSON answer.
    pub(super) async fn act_json<T: DeserializeOwned>(&self, call: Call, act: Act<'_>) -> Result<T, Error> {
        let (doing, service) = (call.doing.clone(), call.service);
        read(doing, service, &self.act(call, act).await?)
    }

    /// Makes a call that changes nothing.
    pub(super) async fn send(&self, call: Call) -> Result<Vec<u8>, Error> {
        self.within_deadline(call, None).await
    }

    /// Makes a call within its deadline.
    async fn within_deadline(&self, call: Call, act: Option<&Act<'_>>) -> Result<Vec<u8>, Error> {
        let limit = if call.slow {
            self.connection.timeout.max(SLOW_CALL_MIN)
        } else {
            self.connection.timeout
        };
        // What waits for its turn is not late: the deadline begins when it may be sent.
        let (service, writes) = (call.service, call.writes());
        let _place = self.limiter.place(service, writes).await;
        self.limiter.turn(service, writes).await;
        let exchange = Exchange {
            end: Some(Instant::now() + limit),
            has_turn: AtomicBool::new(true),
            ..Exchange::default()
        };
        let sent = Box::pin(self.send_patiently(&call, act, &exchange));
        match tokio::time::timeout(limit, sent).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Deadline {
                maybe_done: call.writes() && exchange.on_wire.load(Ordering::Relaxed),
                call: call.doing,
                service: call.service,
                after: limit,
            }),
        }
    }

    async fn send_patiently(
        &self,
        call: &Call,
        act: Option<&Act<'_>>,
        exchange: &Exchange,
    ) -> Result<Vec<u8>, Error> {
        if let Some(needed) = call.version {
            let offered = self.versions(call.service).await?;
            if !offered.offers(needed) {
                return Err(Error::VersionTooLow {
                    call: call.doing.clone(),
                    service: call.service,
                    needed,
                    offered,
                });
            }
        }
        let mut url = self.endpoint(call.service).await?;
        url.set_path(&format!("{}{}", url.path().trim_end_matches('/'), call.path));
        Ok(self.with_token(call, &url, act, exchange).await?.body)
    }

    /// Sends a call with our token; when that is refused, logs in again, once, and sends the same call again.
    /// A 401 comes before a service does anything, so that is harmless for every call.
    ///
    /// A token has the rights of the moment of its login: once one is missing, the next call logs in anew, so that
    /// it counts when a person gives it.
    pub(super) async fn with_token(
        &self,
        call: &Call,
        url: &Url,
        act: Option<&Act<'_>>,
        exchange: &Exchange,
    ) -> Result<Reply, Error> {
        let mut session = self.token().await?;
        let mut outcome = self
            .exchange_patiently(call, url, Some(&session), act, exchange)
            .await;
        if let Err(Error::Unauthorized(_)) = outcome {
            session = self.renewed(&session).await?;
            outcome = self
                .exchange_patiently(call, url, Some(&session), act, exchange)
                .await;
        }
        if let Err(Error::Forbidden { .. }) = outcome {
            self.forget(&session).await;
        }
        outcome
    }

    /// Sends a call until it is answered for good.
    pub(super) async fn exchange_patiently(
        &self,
        call: &Call,
        url: &Url,
        session: Option<&Session>,
        act: Option<&Act<'_>>,
        exchange: &Exchange,
    ) -> Result<Reply, Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            if !exchange.has_turn.swap(false, Ordering::Relaxed) {
                self.limiter.turn(call.service, call.writes()).await;
            }
            // Last before the wire, and anew for each time: between two, a lease may be lost.
            let permit = permit(call, act).await?;
            exchange.on_wire.store(true, Ordering::Relaxed);
            let outcome = self.exchange(call, url, session, permit).await;
            exchange.on_wire.store(false, Ordering::Relaxed);
            let (status, headers, body) = match outcome {
                Ok(answered) => answered,
                Err(Error::Unreachable { maybe_done, .. })
                    if attempts == 1 && (call.harmless_twice || !maybe_done) =>
                {
                    // A connection that was closed under the request, or a service that restarts.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if status.is_success() {
                return Ok(Reply {
                    body,
                    subject_token: headers.get("x-subject-token").cloned(),
                });
            }
            let may_repeat = match status {
                StatusCode::TOO_MANY_REQUESTS => true,
                StatusCode::SERVICE_UNAVAILABLE => call.harmless_twice,
                _ => false,
            };
            if may_repeat
                && attempts < ATTEMPTS_MAX
                && let Some(pause) = pause(&headers, attempts, exchange.end)
            {
                tracing::warn!(call = call.doing, service = %call.service, %status, ?pause, "asked to wait");
                tokio::time::sleep(pause).await;
                continue;
            }
            return Err(refusal(call, status, &headers, &body, attempts));
        }
    }

    async fn exchange(
        &self,
        call: &Call,
        url: &Url,
        session: Option<&Session>,
        permit: Option<Permit>,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), Error> {
        let mut url = url.clone();
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let mut request = self
            .http
            .request(call.method.clone(), url.clone())
            .header(ACCEPT, call.accept);
        if let Some(session) = session {
            request = request.header("X-Auth-Token", session.token.clone());
        }
        if let Some(version) = call.version {
            request = request.header(
                "OpenStack-API-Version",
                format!("{} {version}", call.service.catalogue_type()),
            );
            if call.service == Service::BareMetal {
                // Ironic only knows a header of its own.
                request = request.header("X-OpenStack-Ironic-API-Version", version.to_string());
            }
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if let Some(permit) = permit {
            permit.spend().map_err(|denied| not_permitted(call, denied))?;
        }
        match transport::exchange(request, BODY_MAX).await {
            Ok(answered) => Ok((answered.status, answered.headers, answered.body)),
            Err(Lost::TooLarge) => Err(Error::TooLarge {
                call: call.doing.clone(),
                service: call.service,
                limit: BODY_MAX,
            }),
            Err(Lost::OnTheWay { reason, unsent }) => Err(Error::Unreachable {
                call: call.doing.clone(),
                service: call.service,
                url: format!("{}{}", url.origin().ascii_serialization(), url.path()),
                maybe_done: call.writes() && !unsent,
                reason,
            }),
        }
    }

    /// Every row of a listing, following its pages. Only the marker of a link is used, never its address.
    pub(super) async fn pages<T: DeserializeOwned>(&self, call: Call, rows: &str) -> Result<Vec<T>, Error> {
        let mut restarts = 0;
        'listing: loop {
            let mut all = Vec::new();
            let mut marker: Option<String> = None;
            for _ in 0..PAGES_MAX {
                let mut page = call.clone();
                if let Some(size) = self.connection.page_size {
                    page = page.query("limit", &size.to_string());
                }
                if let Some(marker) = &marker {
                    page = page.query("marker", marker);
                }
                let mut answer: Value = match self.json(page).await {
                    // The row that the marker names was deleted meanwhile: begin anew.
                    Err(Error::Refused(answer))
                        if marker.is_some() && answer.status == 400 && restarts < 3 =>
                    {
                        restarts += 1;
                        continue 'listing;
                    }
                    other => other?,
                };
                let unreadable = |reason: String| Error::Unreadable {
                    call: call.doing.clone(),
                    service: call.service,
                    reason,
                };
                let Some(list) = answer.get_mut(rows).map(Value::take) else {
                    return Err(unreadable(format!("no \"{rows}\" in it")));
                };
                let page: Vec<T> =
                    serde_json::from_value(list).map_err(|error| unreadable(error.to_string()))?;
                all.extend(page);
                match next_marker(&answer, rows) {
                    Some(next) if marker.as_ref() != Some(&next) => marker = Some(next),
                    Some(_) => return Err(unreadable("its pages go in a circle".to_owned())),
                    None => return Ok(all),
                }
            }
            return Err(Error::TooManyPages {
                call: call.doing,
                service: call.service,
                limit: PAGES_MAX,
            });
        }
    }
}

fn next_marker(answer: &Value, rows: &str) -> Option<String> {
    let links = answer.get(format!("{rows}_links"))?.as_array()?;
    let next = links
        .iter()
        .find(|link| link.get("rel").and_then(Value::as_str) == Some("next"))?;
    // The link may be relative or absolute; only its query counts.
    let (_, query) = next.get("href")?.as_str()?.split_once('?')?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "marker")
        .map(|(_, marker)| marker.into_owned())
}

/// Leave to send a call once; a call that changes nothing needs none. One that does, and names no effect, is not sent.
async fn permit(call: &Call, act: Option<&Act<'_>>) -> Result<Option<Permit>, Error> {
    let denied = match act {
        _ if !call.writes() => return Ok(None),
        Some(act) => match act.permit().await {
            Ok(permit) => return Ok(Some(permit)),
            Err(denied) => denied,
        },
        None => Denied {
            why: "nobody asked for it".to_owned(),
            passes: false,
        },
    };
    Err(not_permitted(call, denied))
}

fn not_permitted(call: &Call, denied: Denied) -> Error {
    Error::NotPermitted {
        call: call.doing.clone(),
        denied,
    }
}

fn read<T: DeserializeOwned>(call: String, service: Service, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Unreadable {
        call,
        service,
        reason: error.to_string(),
    })
}

/// How long to wait before the next attempt; `None` when the service asks for more than we wait within a call, or than
/// is left of it: the caller waits then.
fn pause(headers: &HeaderMap, attempts: u32, end: Option<Instant>) -> Option<Duration> {
    let pause = match retry_after(headers) {
        Some(asked) => (asked <= RETRY_AFTER_MAX).then_some(asked)?,
        None => Duration::from_secs(1 << attempts.min(3)),
    };
    let fits = end.is_none_or(|end| Instant::now() + pause < end);
    fits.then_some(pause)
}
