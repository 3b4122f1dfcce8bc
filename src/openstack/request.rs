//! The one request function (`Cloud::send`): deadline, size bound, new login after 401, patience with 429 and 503, versions.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::error::{Answer, Error};
use super::session::{Cloud, Session};
use super::version::Version;

/// nova's microversion for every call: Train's. It has service ids (2.53), the rows of cells that are down
/// (2.69), flavors in servers (2.47), `locked_reason` (2.73) and users in migrations (2.80); it is below 2.95,
/// from which on evacuated instances stay off, and below 2.88, which takes the capacity out of hypervisors.
const COMPUTE: Version = Version::new(2, 80);

/// Masakari's microversion where nothing newer is asked for.
const INSTANCE_HA: Version = Version::new(1, 0);

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

/// A service's words are cut after this many characters.
const MESSAGE_MAX: usize = 600;

/// A service of the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// keystone.
    Identity,
    /// nova.
    Compute,
    /// Masakari.
    InstanceHa,
    /// barbican.
    KeyManager,
}

impl Service {
    /// Its type in keystone's catalogue.
    pub fn catalogue_type(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Compute => "compute",
            Self::InstanceHa => "instance-ha",
            Self::KeyManager => "key-manager",
        }
    }

    fn default_version(self) -> Option<Version> {
        match self {
            Self::Compute => Some(COMPUTE),
            Self::InstanceHa => Some(INSTANCE_HA),
            Self::Identity | Self::KeyManager => None,
        }
    }

    /// The root that paths are appended to: with the API's version for nova and Masakari, without for barbican.
    pub(super) fn root(self, mut url: Url) -> Url {
        let path = url.path().trim_end_matches('/').to_owned();
        let path = match self {
            Self::Compute if path.is_empty() => "/v2.1".to_owned(),
            Self::InstanceHa if path.is_empty() => "/v1".to_owned(),
            Self::KeyManager => path.strip_suffix("/v1").unwrap_or(&path).to_owned(),
            Self::Identity | Self::Compute | Self::InstanceHa => path,
        };
        url.set_path(&path);
        url
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "keystone",
            Self::Compute => "nova",
            Self::InstanceHa => "Masakari",
            Self::KeyManager => "barbican",
        })
    }
}

/// One call, before it is sent.
#[derive(Clone)]
pub(super) struct Call {
    service: Service,
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    version: Option<Version>,
    doing: String,
    right: &'static str,
    accept: &'static str,
    harmless_twice: bool,
    slow: bool,
}

impl Call {
    fn new(service: Service, method: Method, path: &str, doing: &str) -> Self {
        let harmless_twice = method != Method::POST;
        Self {
            service,
            method,
            path: path.to_owned(),
            query: Vec::new(),
            body: None,
            version: service.default_version(),
            doing: doing.to_owned(),
            right: "the call",
            accept: "application/json",
            harmless_twice,
            slow: false,
        }
    }

    pub(super) fn get(service: Service, path: &str, doing: &str) -> Self {
        Self::new(service, Method::GET, path, doing)
    }

    pub(super) fn put(service: Service, path: &str, doing: &str) -> Self {
        Self::new(service, Method::PUT, path, doing)
    }

    pub(super) fn post(service: Service, path: &str, doing: &str) -> Self {
        Self::new(service, Method::POST, path, doing)
    }

    pub(super) fn query(mut self, key: &'static str, value: &str) -> Self {
        self.query.push((key, value.to_owned()));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// The policy rules that the call needs, for the words of a 403.
    pub(super) fn right(mut self, right: &'static str) -> Self {
        self.right = right;
        self
    }

    pub(super) fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    /// This POST may be sent again when it is unknown whether it arrived.
    pub(super) fn harmless_twice(mut self) -> Self {
        self.harmless_twice = true;
        self
    }

    /// The service is known to answer late.
    pub(super) fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    fn writes(&self) -> bool {
        self.method != Method::GET && self.service != Service::Identity
    }
}

/// What is known of a call from outside when its deadline strikes: whether a request is on the wire.
#[derive(Default)]
pub(super) struct Exchange {
    on_wire: AtomicBool,
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
        let body = self.send(call).await?;
        serde_json::from_slice(&body).map_err(|error| Error::Unreadable {
            call: doing,
            service,
            reason: error.to_string(),
        })
    }

    /// Makes a call within its deadline.
    pub(super) async fn send(&self, call: Call) -> Result<Vec<u8>, Error> {
        let limit = if call.slow {
            self.connection.timeout.max(SLOW_CALL_MIN)
        } else {
            self.connection.timeout
        };
        let exchange = Exchange::default();
        match tokio::time::timeout(limit, self.send_patiently(&call, &exchange)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::Deadline {
                maybe_done: call.writes() && exchange.on_wire.load(Ordering::Relaxed),
                call: call.doing,
                service: call.service,
                after: limit,
            }),
        }
    }

    async fn send_patiently(&self, call: &Call, exchange: &Exchange) -> Result<Vec<u8>, Error> {
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
        Ok(self.with_token(call, &url, exchange).await?.body)
    }

    /// Sends a call with our token; when that is refused, logs in again, once, and sends the same call again.
    /// A 401 comes before a service does anything, so that is harmless for every call.
    pub(super) async fn with_token(
        &self,
        call: &Call,
        url: &Url,
        exchange: &Exchange,
    ) -> Result<Reply, Error> {
        let session = self.token().await?;
        match self.exchange_patiently(call, url, Some(&session), exchange).await {
            Err(Error::Unauthorized(_)) => {
                let session = self.renewed(&session).await?;
                self.exchange_patiently(call, url, Some(&session), exchange).await
            }
            outcome => outcome,
        }
    }

    /// Sends a call until it is answered for good.
    pub(super) async fn exchange_patiently(
        &self,
        call: &Call,
        url: &Url,
        session: Option<&Session>,
        exchange: &Exchange,
    ) -> Result<Reply, Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            exchange.on_wire.store(true, Ordering::Relaxed);
            let outcome = self.exchange(call, url, session).await;
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
                && let Some(pause) = pause(&headers, attempts)
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
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let lost = |error: reqwest::Error| Error::Unreachable {
            call: call.doing.clone(),
            service: call.service,
            url: format!("{}{}", url.origin().ascii_serialization(), url.path()),
            maybe_done: call.writes() && !error.is_connect(),
            reason: reason(error),
        };
        let mut response = request.send().await.map_err(lost)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > BODY_MAX {
                return Err(Error::TooLarge {
                    call: call.doing.clone(),
                    service: call.service,
                    limit: BODY_MAX,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, headers, body))
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

/// How long to wait before the next attempt; `None` when the service asks for more than we wait.
fn pause(headers: &HeaderMap, attempts: u32) -> Option<Duration> {
    let asked = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| {
            let seconds = text.trim().parse::<u64>().ok().map(Duration::from_secs);
            seconds.or_else(|| {
                let until = chrono::DateTime::parse_from_rfc2822(text.trim()).ok()?;
                // Relative to the server's own clock, which wrote both.
                let now = chrono::DateTime::parse_from_rfc2822(headers.get("date")?.to_str().ok()?).ok()?;
                Some((until - now).to_std().unwrap_or(Duration::ZERO))
            })
        });
    match asked {
        Some(asked) => (asked <= RETRY_AFTER_MAX).then_some(asked),
        None => Some(Duration::from_secs(1 << attempts.min(3))),
    }
}

fn refusal(call: &Call, status: StatusCode, headers: &HeaderMap, body: &[u8], attempts: u32) -> Error {
    let request_id = headers
        .get("x-openstack-request-id")
        .or_else(|| headers.get("x-compute-request-id"))
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let answer = Box::new(Answer {
        call: call.doing.clone(),
        service: call.service,
        status: status.as_u16(),
        message: words(body),
        request_id,
    });
    match status.as_u16() {
        401 => Error::Unauthorized(answer),
        403 => Error::Forbidden {
            answer,
            right: call.right,
        },
        404 => Error::NotFound(answer),
        409 => Error::Conflict(answer),
        429 => Error::Unavailable {
            answer,
            attempts,
            maybe_done: false,
        },
        500..=599 => Error::Unavailable {
            answer,
            attempts,
            maybe_done: call.writes(),
        },
        _ => Error::Refused(answer),
    }
}

/// The service's words in an error body, in any of OpenStack's forms; cut and without control characters.
fn words(body: &[u8]) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(value) => message(&value, 3).unwrap_or_else(|| value.to_string()),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let mut plain: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE_MAX)
        .collect();
    plain.truncate(plain.trim_end().len());
    plain
}

/// `{"message": ..}`, `{"description": ..}`, or either within the first object: `{"badRequest": {..}}`.
fn message(value: &Value, depth: u8) -> Option<String> {
    let object = value.as_object()?;
    ["message", "description", "faultstring"]
        .iter()
        .find_map(|key| object.get(*key)?.as_str())
        .map(str::to_owned)
        .or_else(|| {
            let deeper = depth.checked_sub(1)?;
            object.values().find_map(|inner| message(inner, deeper))
        })
}

/// A transport error with its causes, without the URL (the caller names it).
pub(super) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}
