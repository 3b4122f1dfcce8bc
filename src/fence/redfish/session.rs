//! Logging in to a BMC, and out again.

use reqwest::header::{HeaderValue, LOCATION};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;

use super::Redfish;
use super::body::Root;
use crate::config::secret::Secret;
use crate::fence::power::Error;

/// How requests are authenticated.
pub(super) enum Authentication {
    Session {
        token: HeaderValue,
        location: Option<String>,
    },
    Basic(Secret),
}

impl Redfish {
    /// Reads the service root and logs in.
    pub(super) async fn open(&self, doing: &'static str) -> Result<(Root, Authentication), Error> {
        let url = self.at(doing, "/redfish/v1/")?;
        let answer = self.send(doing, || self.http.get(url.clone())).await?;
        let root: Root = self.read(doing, answer)?;
        let password = self
            .secrets
            .read(&self.target.password)
            .await
            .map_err(|source| Error::Secret {
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
                    // Hidden in Debug, and so in every log.
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
    pub(super) async fn close(&self, access: Authentication) {
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
            let error = self.hidden(error).await;
            tracing::warn!(method = self.name, %error, "a session stays open until the BMC drops it");
        }
    }
}

impl Authentication {
    pub(super) fn sign(&self, redfish: &Redfish, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Session { token, .. } => request.header("X-Auth-Token", token.clone()),
            Self::Basic(password) => request.basic_auth(&redfish.target.username, Some(password.expose())),
        }
    }
}
