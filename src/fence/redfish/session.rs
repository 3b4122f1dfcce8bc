//! Logging in to a BMC, and out again.

use reqwest::header::{HeaderValue, LOCATION};
use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;
use tokio::runtime::Handle;
use url::Url;

use super::Redfish;
use super::body::Root;
use crate::config::secret::Secret;
use crate::fence::power::Error;

const TOKEN: &str = "X-Auth-Token";
const DELETING: &str = "delete the session";
const STAYS: &str = "a session stays open until the BMC drops it";

/// How requests are authenticated.
pub(super) enum Authentication {
    Session(Session),
    Basic(Secret),
}

/// A session that is open: BMCs have few. Whoever drops it has it deleted, such as a caller that waits no longer.
pub(super) struct Session {
    redfish: Box<Redfish>,
    token: HeaderValue,
    /// Where it is deleted; `None` once it was, or where the BMC does not say.
    url: Option<Url>,
}

impl Drop for Session {
    fn drop(&mut self) {
        let (Some(url), Ok(runtime)) = (self.url.take(), Handle::try_current()) else {
            return;
        };
        let (redfish, token) = (self.redfish.clone(), self.token.clone());
        runtime.spawn(async move { redfish.delete(&url, &token).await });
    }
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
        let this = self.clone();
        // In a task of its own: the session of a login whose caller waits no longer is deleted as soon as it is known.
        let login = tokio::spawn(async move { this.login(doing, url, password).await });
        let access = login
            .await
            .map_err(|error| self.unreadable(doing, &error.to_string()))??;
        Ok((root, access))
    }

    async fn login(&self, doing: &'static str, url: Url, password: Secret) -> Result<Authentication, Error> {
        let body = json!({"UserName": self.target.username, "Password": password.expose()});
        let answer = self
            .send(doing, || self.http.post(url.clone()).json(&body))
            .await?;
        match answer.status {
            status if status.is_success() => match answer.headers.get("x-auth-token") {
                Some(token) => {
                    let mut token = token.clone();
                    // Hidden in Debug, and so in every log.
                    token.set_sensitive(true);
                    let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
                    let url = location.and_then(|location| match self.at(DELETING, location) {
                        Ok(url) => Some(url),
                        Err(error) => {
                            tracing::warn!(method = self.name, %error, "{STAYS}");
                            None
                        }
                    });
                    Ok(Authentication::Session(Session {
                        redfish: Box::new(self.clone()),
                        token,
                        url,
                    }))
                }
                None => Ok(Authentication::Basic(password)),
            },
            // Wrong credentials stay wrong with basic authentication, and count towards a lock-out.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.refused(doing, &answer)),
            // No sessions on this BMC, or all of them taken.
            _ => Ok(Authentication::Basic(password)),
        }
    }

    /// Deletes the session.
    pub(super) async fn close(&self, access: Authentication) {
        let Authentication::Session(mut session) = access else {
            return;
        };
        let Some(url) = session.url.clone() else { return };
        self.delete(&url, &session.token).await;
        session.url = None;
    }

    /// A failure is only logged, it changes nothing about the host.
    async fn delete(&self, url: &Url, token: &HeaderValue) {
        let doing = DELETING;
        let outcome = async {
            let answer = self
                .send(doing, || {
                    let request = self.http.delete(url.clone());
                    request.header(TOKEN, token.clone())
                })
                .await?;
            if answer.status.is_success() {
                Ok(())
            } else {
                Err(self.refused(doing, &answer))
            }
        };
        if let Err(error) = outcome.await {
            let error = self.hidden(error).await;
            tracing::warn!(method = self.name, %error, "{STAYS}");
        }
    }
}

impl Authentication {
    pub(super) fn sign(&self, redfish: &Redfish, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Session(session) => request.header(TOKEN, session.token.clone()),
            Self::Basic(password) => request.basic_auth(&redfish.target.username, Some(password.expose())),
        }
    }
}
