//! Redfish: reads and switches the power of one system of one BMC.
//!
//! A session is opened for each operation and always deleted, also where the operation is given up half-way; BMCs that have
//! no sessions get basic authentication. Before anything is switched, the machine's UUID is compared with the inventory's.

mod body;
mod exchange;
mod power;
mod restore;
mod session;
mod system;

use std::time::Duration;

use reqwest::{Client, redirect};
use url::Url;
use uuid::Uuid;

use crate::config::secret::SecretSource;
use crate::secrets::Secrets;
use crate::transport::reason;

use super::power::Error;
use super::trust::{Trust, authorities, pinned};

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

/// A client for one system. Clones share everything.
#[derive(Debug, Clone)]
pub struct Redfish {
    target: Target,
    name: String,
    http: Client,
    secrets: Secrets,
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
        Ok(Self {
            target,
            name,
            http,
            secrets: Secrets::default(),
        })
    }

    /// The same, with its password read this way: from barbican, say.
    pub fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// Fetches the password ahead where it is elsewhere.
    pub async fn fetch_ahead(&self) {
        self.secrets.ahead(&self.target.password).await;
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests;
