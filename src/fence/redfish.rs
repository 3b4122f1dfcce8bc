//! Redfish: reads and switches the power of one system of one BMC.
//!
//! A session is opened for each operation and always deleted; BMCs that have no sessions get basic
//! authentication. Before anything is switched, the machine's UUID is compared with the inventory's.

mod body;

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Method, RequestBuilder, StatusCode, redirect};
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::config::secret::{Secret, SecretSource};
use crate::permit::{Act, Effect, Permit, Permits};

use super::power::{Error, Power};
use super::trust::{Trust, authorities, pinned};
use body::{Collection, Root, System, printable, words};

/// The largest answer: a system's description is some 20 KB.
const BODY_MAX: usize = 1024 * 1024;

/// The most systems that are looked at to find one by its UUID: a full blade chassis.
const SYSTEMS_MAX: usize = 64;

/// How often a request that a BMC answers with 503 is sent.
const ATTEMPTS_MAX: u32 = 3;

/// The longest `Retry-After` that is waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// One system of one BMC.
#[derive(Debug, Clone)]
pub struct Target {
    /// The BMC, such as `https://10.0.0.7`; the path `/redfish/v1` may be left out. Plain HTTP only when it
    /// says so.
    pub url: Url,
    /// Id of the system below `/redfish/v1/Systems`, or its whole path. May be left out where the BMC has one system, or where
    /// `system_uuid` tells which.
    pub system: Option<String>,
    /// The machine's UUID in the inventory. When given, a BMC that reports another is refused.
    pub system_uuid: Option<Uuid>,
    /// The BMC's user.
    pub username: String,
    /// Where the password is kept; read at each use.
    pub password: SecretSource,
    /// Whom to believe at the other end.
    pub trust: Trust,
    /// The longest that one request may take.
    pub timeout: Duration,
}

/// A client for one system.
#[derive(Debug)]
pub struct Redfish {
    target: Target,
    name: String,
    http: Client,
}

/// How requests are authenticated.
enum Authentication {
    Session {
        token: HeaderValue,
        location: Option<String>,
    },
    Basic(Secret),
}

/// A BMC's answer.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Redfish {
    /// Sets the client up; nothing is sent yet.
    pub fn new(target: Target) -> Result<Self, Error> {
        let name = format!(
            "redfish {}{}",
            target.url.host_str().unwrap_or_default(),
            target
                .url
                .port()
                .map(|port| format!(":{port}"))
                .unwrap_or_default()
        );
        let setup = |what: String| Error::Setup {
            method: name.clone(),
            what,
        };
        let https = match target.url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(setup(format!("the URL's scheme is {other}; use https"))),
        };
        if !target.url.username().is_empty() || target.url.password().is_some() {
            return Err(setup(
                "the URL holds a user or password; use username and password_file".to_owned(),
            ));
        }
        let mut http = Client::builder()
            .user_agent(concat!("lazaret/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .https_only(https)
            // Some BMCs close a connection without saying so.
            .pool_max_idle_per_host(0)
            .timeout(target.timeout);
        match &target.trust {
            Trust::System => {}
            Trust::Ca(pem) => {
                let tls = authorities(pem).map_err(|error| setup(format!("ca_file: {error}")))?;
                http = http.tls_backend_preconfigured(tls);
            }
            Trust::Pin(pin) => {
                let tls = pinned(*pin).map_err(|error| setup(error.to_string()))?;
                http = http.tls_backend_preconfigured(tls);
            }
        }
        let http = http.build().map_err(|error| setup(reason(error)))?;
        Ok(Self { target, name, http })
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The power state now, after the machine's UUID was compared with the inventory's.
    pub async fn power_state(&self) -> Result<Power, Error> {
        let doing = "read the power state";
        let (root, access) = self.open(doing).await?;
        let outcome = self
            .system(doing, &root, &access)
            .await
            .map(|system| system.power());
        self.close(access).await;
        outcome
    }

    /// Asks for `ForceOff`, after the machine's UUID was compared with the inventory's.
    pub async fn ask_off(&self, permits: &dyn Permits) -> Result<(), Error> {
        let effect = Effect::PowerOff(self.name.clone());
        self.reset(
            "switch the power off",
            "ForceOff",
            Power::Off,
            Act { effect, permits },
        )
        .await
    }

    /// Asks for the power to be switched on.
    pub async fn ask_on(&self, permits: &dyn Permits) -> Result<(), Error> {
        let effect = Effect::PowerOn(self.name.clone());
        self.reset("switch the power on", "On", Power::On, Act { effect, permits })
            .await
    }

    async fn reset(
        &self,
        doing: &'static str,
        kind: &'static str,
        wanted: Power,
        act: Act<'_>,
    ) -> Result<(), Error> {
        let (root, access) = self.open(doing).await?;
        let outcome = self.reset_with(doing, kind, wanted, &act, &root, &access).await;
        self.close(access).await;
        outcome
    }

    async fn reset_with(
        &self,
        doing: &'static str,
        kind: &'static str,
        wanted: Power,
        act: &Act<'_>,
        root: &Root,
        access: &Authentication,
    ) -> Result<(), Error> {
        let system = self.system(doing, root, access).await?;
        let reset = system
            .actions
            .reset
            .ok_or_else(|| self.unreadable(doing, "the system has no Reset action"))?;
        // A BMC that lists nothing is asked all the same; one that lists other values would refuse.
        if let Some(allowed) = &reset.allowed
            && !allowed.iter().any(|value| value == kind)
        {
            return Err(Error::NotOffered {
                method: self.name.clone(),
                wanted: kind,
                offered: printable(&allowed.join(", ")),
            });
        }
        let url = self.at(doing, &reset.target)?;
        let answer = self
            .send_with(doing, Some(act), || {
                access
                    .sign(self, self.http.request(Method::POST, url.clone()))
                    .json(&json!({"ResetType": kind}))
            })
            .await?;
        act.answered(&format!("the BMC answered {}", answer.status)).await;
        if answer.status.is_success() {
            // 200, 202 with a task, 204: taken. Whether it is off is seen by reading.
            return Ok(());
        }
        if matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::CONFLICT) {
            // Many BMCs refuse to switch off what is off: reading decides.
            let now = self.system(doing, root, access).await?.power();
            if now == wanted {
                return Ok(());
            }
        }
        Err(self.refused(doing, &answer))
    }

    /// Reads the service root and logs in.
    async fn open(&self, doing: &'static str) -> Result<(Root, Authentication), Error> {
        let url = self.at(doing, "/redfish/v1/")?;
        let answer = self.send(doing, || self.http.get(url.clone())).await?;
        let root: Root = self.read(doing, answer)?;
        let password = self.target.password.read().map_err(|source| Error::Secret {
            method: self.name.clone(),
            source,
        })?;
        let Some(sessions) = &root.links.sessions else {
            return Ok((root, Authentication::Basic(password)));
        };
        let url = self.at(doing, &sessions.path)?;
        let body = json!({"UserName": self.target.username, "Password": password.expose()});
        let answer = self
            .send(doing, || self.http.post(url.clone()).json(&body))
            .await?;
        let access = match answer.status {
            status if status.is_success() => match answer.headers.get("x-auth-token") {
                Some(token) => {
                    let mut token = token.clone();
                    token.set_sensitive(true);
                    let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
                    Authentication::Session {
                        token,
                        location: location.map(str::to_owned),
                    }
                }
                None => Authentication::Basic(password),
            },
            // Wrong credentials stay wrong with basic authentication, and count towards a lock-out.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.refused(doing, &answer)),
            // No sessions on this BMC, or all of them taken.
            _ => Authentication::Basic(password),
        };
        Ok((root, access))
    }

    /// Deletes the session: BMCs have few. A failure is only logged, it changes nothing about the host.
    async fn close(&self, access: Authentication) {
        let Authentication::Session {
            location: Some(location),
            ..
        } = &access
        else {
            return;
        };
        let doing = "delete the session";
        let outcome = async {
            let url = self.at(doing, location)?;
            let answer = self
                .send(doing, || access.sign(self, self.http.delete(url.clone())))
                .await?;
            if answer.status.is_success() {
                Ok(())
            } else {
                Err(self.refused(doing, &answer))
            }
        };
        if let Err(error) = outcome.await {
            tracing::warn!(method = self.name, %error, "a session stays open until the BMC drops it");
        }
    }

    /// The system, and no other machine's.
    async fn system(
        &self,
        doing: &'static str,
        root: &Root,
        access: &Authentication,
    ) -> Result<System, Error> {
        let system = match (&self.target.system, self.target.system_uuid) {
            (Some(path), _) if path.starts_with('/') => self.fetch(doing, path, access).await?,
            (Some(id), _) => {
                self.fetch(
                    doing,
                    &format!("{}/{id}", root.systems.path.trim_end_matches('/')),
                    access,
                )
                .await?
            }
            (None, uuid) => self.only_system(doing, root, access, uuid).await?,
        };
        let Some(expected) = self.target.system_uuid else {
            return Ok(system);
        };
        let found = system.uuid.clone().unwrap_or_else(|| "none".to_owned());
        if Uuid::parse_str(found.trim()) == Ok(expected) {
            return Ok(system);
        }
        Err(Error::OtherMachine {
            method: self.name.clone(),
            expected: expected.to_string(),
            found: found.chars().take(64).collect(),
        })
    }

    /// The BMC's only system, or the one with this UUID. Among several, none is guessed.
    async fn only_system(
        &self,
        doing: &'static str,
        root: &Root,
        access: &Authentication,
        uuid: Option<Uuid>,
    ) -> Result<System, Error> {
        let members: Collection = self.fetch(doing, &root.systems.path, access).await?;
        let members = members.members;
        if let [only] = members.as_slice() {
            return self.fetch(doing, &only.path, access).await;
        }
        if let Some(uuid) = uuid {
            for member in members.iter().take(SYSTEMS_MAX) {
                let system: System = self.fetch(doing, &member.path, access).await?;
                if system.uuid.as_deref().map(str::trim).map(Uuid::parse_str) == Some(Ok(uuid)) {
                    return Ok(system);
                }
            }
        }
        Err(Error::WhichSystem {
            method: self.name.clone(),
            found: members.len(),
        })
    }

    async fn fetch<T: serde::de::DeserializeOwned>(
        &self,
        doing: &'static str,
        path: &str,
        access: &Authentication,
    ) -> Result<T, Error> {
        let url = self.at(doing, path)?;
        let answer = self
            .send(doing, || access.sign(self, self.http.get(url.clone())))
            .await?;
        self.read(doing, answer)
    }

    fn read<T: serde::de::DeserializeOwned>(&self, doing: &'static str, answer: Answer) -> Result<T, Error> {
        if !answer.status.is_success() {
            return Err(self.refused(doing, &answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| self.unreadable(doing, &error.to_string()))
    }

    /// An address on the same BMC: what it links to elsewhere is refused, our password would go there.
    fn at(&self, doing: &'static str, link: &str) -> Result<Url, Error> {
        let url = self
            .target
            .url
            .join(link)
            .map_err(|error| self.unreadable(doing, &error.to_string()))?;
        if url.origin() != self.target.url.origin() {
            return Err(self.unreadable(doing, "the BMC links to another address"));
        }
        Ok(url)
    }

    /// Sends what changes nothing about the host.
    async fn send(&self, doing: &'static str, request: impl Fn() -> RequestBuilder) -> Result<Answer, Error> {
        self.send_with(doing, None, request).await
    }

    /// Sends a request; one that acts needs leave, anew each time that it is sent.
    async fn send_with(
        &self,
        doing: &'static str,
        act: Option<&Act<'_>>,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answer, Error> {
        let lost = |error: reqwest::Error| Error::Unreachable {
            method: self.name.clone(),
            doing,
            reason: reason(error),
        };
        let mut attempts = 0;
        loop {
            attempts += 1;
            if let Some(act) = act {
                let permit = act.permit().await;
                permit
                    .and_then(Permit::spend)
                    .map_err(|denied| Error::NotPermitted {
                        method: self.name.clone(),
                        doing,
                        denied,
                    })?;
            }
            let mut response = request().send().await.map_err(lost)?;
            let (status, headers) = (response.status(), response.headers().clone());
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(lost)? {
                if body.len() + chunk.len() > BODY_MAX {
                    return Err(self.unreadable(doing, "it is larger than any honest one"));
                }
                body.extend_from_slice(&chunk);
            }
            if status == StatusCode::SERVICE_UNAVAILABLE && attempts < ATTEMPTS_MAX {
                let asked = headers
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.trim().parse().ok());
                let pause = Duration::from_secs(asked.unwrap_or(1));
                if pause <= RETRY_AFTER_MAX {
                    tokio::time::sleep(pause).await;
                    continue;
                }
            }
            return Ok(Answer {
                status,
                headers,
                body,
            });
        }
    }

    fn unreadable(&self, doing: &'static str, reason: &str) -> Error {
        Error::Unreadable {
            method: self.name.clone(),
            doing,
            // It may quote the BMC.
            reason: printable(reason),
        }
    }

    fn refused(&self, doing: &'static str, answer: &Answer) -> Error {
        let (method, status) = (self.name.clone(), answer.status.as_u16());
        if matches!(status, 401 | 403) {
            return Error::Credentials {
                method,
                doing,
                status,
            };
        }
        Error::Refused {
            method,
            doing,
            status,
            message: words(&answer.body),
        }
    }
}

impl Authentication {
    fn sign(&self, redfish: &Redfish, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Session { token, .. } => request.header("X-Auth-Token", token.clone()),
            Self::Basic(password) => request.basic_auth(&redfish.target.username, Some(password.expose())),
        }
    }
}

/// A transport error with its causes, without the URL.
fn reason(error: reqwest::Error) -> String {
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

#[cfg(test)]
mod tests;
