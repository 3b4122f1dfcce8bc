//! One request to a BMC and its answer: bounded, patient, and never sent to another address.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use url::Url;

use super::Redfish;
use super::body::{printable, words};
use crate::fence::power::Error;
use crate::permit::Act;
use crate::transport::{self, Answered, Lost};

/// The largest answer: a system's description is some 20 KB.
const BODY_MAX: usize = 1024 * 1024;

/// How often a request that a BMC answers with 503 is sent.
const ATTEMPTS_MAX: u32 = 3;

/// The longest `Retry-After` that is waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

impl Redfish {
    pub(super) fn read<T: serde::de::DeserializeOwned>(
        &self,
        doing: &'static str,
        answer: Answered,
    ) -> Result<T, Error> {
        if !answer.status.is_success() {
            return Err(self.refused(doing, &answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| self.unreadable(doing, &error.to_string()))
    }

    /// An address on the same BMC: what it links to elsewhere is refused, our password would go there.
    pub(super) fn at(&self, doing: &'static str, link: &str) -> Result<Url, Error> {
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
    pub(super) async fn send(
        &self,
        doing: &'static str,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answered, Error> {
        self.send_with(doing, None, request).await
    }

    /// Sends a request; one that acts needs leave, anew each time that it is sent.
    pub(super) async fn send_with(
        &self,
        doing: &'static str,
        act: Option<&Act<'_>>,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Answered, Error> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            if let Some(act) = act {
                act.begin().await.map_err(|denied| Error::NotPermitted {
                    method: self.name.clone(),
                    doing,
                    denied,
                })?;
            }
            let answer = match transport::exchange(request(), BODY_MAX).await {
                Ok(answer) => answer,
                Err(Lost::TooLarge) => return Err(self.unreadable(doing, "it is larger than any honest one")),
                Err(Lost::OnTheWay { reason, .. }) => {
                    return Err(Error::Unreachable {
                        method: self.name.clone(),
                        doing,
                        reason,
                    });
                }
            };
            if answer.status == StatusCode::SERVICE_UNAVAILABLE && attempts < ATTEMPTS_MAX {
                let asked = answer
                    .headers
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.trim().parse().ok());
                let pause = Duration::from_secs(asked.unwrap_or(1));
                if pause <= RETRY_AFTER_MAX {
                    tokio::time::sleep(pause).await;
                    continue;
                }
            }
            return Ok(answer);
        }
    }

    pub(super) fn unreadable(&self, doing: &'static str, reason: &str) -> Error {
        Error::Unreadable {
            method: self.name.clone(),
            doing,
            // It may quote the BMC.
            reason: printable(reason),
        }
    }

    pub(super) fn refused(&self, doing: &'static str, answer: &Answered) -> Error {
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
