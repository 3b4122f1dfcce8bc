//! Where evidence comes from: a host's agent, over HTTPS with both sides' keys pinned.

use std::{error::Error as _, time::Duration};

use lazaret_attest::{
    challenge::Challenge,
    evidence::Evidence,
    pcr::{HashAlg, PcrValue},
};
use lazaret_wire::{
    ACTIVATE_PATH, ATTEST_PATH, Activate, Activated, Attest, Bank, IDENTITY_PATH, Identity, MEDIA_TYPE,
    Message, Problem, WireError,
    tls::{Peer, PinMismatch, TlsError, TlsIdentity, client_config},
};
use thiserror::Error;
use url::Url;

use crate::ids::HostName;

/// Why no evidence came.
#[derive(Debug, Error)]
pub enum SourceError {
    /// No connection, or it broke.
    #[error(
        "the agent of {host} at {url} cannot be reached: {cause}; look at `lazaret-agent check` on that host and at the network between"
    )]
    Unreachable {
        /// The host.
        host: HostName,
        /// The agent's address.
        url: Url,
        /// What the network said.
        cause: String,
    },
    /// Connected, but the answer took too long.
    #[error("the agent of {host} at {url} did not answer within {seconds} s")]
    Late {
        /// The host.
        host: HostName,
        /// The agent's address.
        url: Url,
        /// The limit.
        seconds: u64,
    },
    /// The other end's TLS key is not the pinned one.
    #[error(
        "{url} is not the agent of {host} that was enrolled: {mismatch}; if the agent's key was really made anew, enrol the host again with --accept-new-key"
    )]
    OtherKey {
        /// The host.
        host: HostName,
        /// The agent's address.
        url: Url,
        /// Expected and seen.
        mismatch: String,
    },
    /// The agent refuses this verifier's certificate.
    #[error(
        "the agent of {host} at {url} refuses this verifier ({cause}); put the pin that `lazaret identity` prints into the agent's verifier_pins"
    )]
    NotWelcome {
        /// The host.
        host: HostName,
        /// The agent's address.
        url: Url,
        /// The TLS alert.
        cause: String,
    },
    /// The agent says why it does not answer.
    #[error("the agent of {host} at {url} answered {status} {code}: {message}")]
    Refused {
        /// The host.
        host: HostName,
        /// The agent's address.
        url: Url,
        /// HTTP status.
        status: u16,
        /// The agent's code.
        code: String,
        /// The agent's sentence.
        message: String,
    },
    /// The answer is not what the protocol allows.
    #[error("the agent of {host} at {url} sent what cannot be read as {what}: {cause}")]
    Garbled {
        /// The host.
        host: HostName,
        /// The agent's address.
        url: Url,
        /// What was expected.
        what: &'static str,
        /// Where it went wrong.
        cause: String,
    },
    /// This end's own TLS set-up failed.
    #[error("preparing the connection to the agent of {host}")]
    Tls {
        /// The host.
        host: HostName,
        /// Why.
        source: TlsError,
    },
    /// This end's own HTTP client could not be made.
    #[error("preparing the connection to the agent of {host}")]
    Client {
        /// The host.
        host: HostName,
        /// Why.
        source: reqwest::Error,
    },
}

/// How long to wait for an agent.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the connection, the TLS handshake included.
    pub connect: Duration,
    /// For the whole answer.
    pub answer: Duration,
}

/// A connection to one host's agent.
#[derive(Debug)]
pub struct AgentSource {
    host: HostName,
    url: Url,
    client: reqwest::Client,
    patience: Patience,
}

impl AgentSource {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// Only this end's own trouble with TLS.
    pub fn new(
        host: HostName,
        url: Url,
        identity: &TlsIdentity,
        peer: Peer,
        patience: Patience,
    ) -> Result<Self, SourceError> {
        let tls = client_config(identity, peer).map_err(|source| SourceError::Tls {
            host: host.clone(),
            source,
        })?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(patience.connect)
            .timeout(patience.answer)
            // An agent that redirects would send the daemon's certificate elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            // Agents are on the operator's own network; a proxy of the environment is for something else.
            .no_proxy()
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|source| SourceError::Client {
                host: host.clone(),
                source,
            })?;
        Ok(Self {
            host,
            url,
            client,
            patience,
        })
    }

    /// The agent's address.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The agent's keys. Nothing in it is proven.
    ///
    /// # Errors
    /// No answer, or none that the protocol allows.
    pub async fn identity(&self) -> Result<Identity, SourceError> {
        self.ask(self.client.get(self.at(IDENTITY_PATH))).await
    }

    /// Has the TPM open a credential.
    ///
    /// # Errors
    /// No answer, or none that the protocol allows.
    pub async fn activate(&self, credential: &Activate) -> Result<Activated, SourceError> {
        self.post(ACTIVATE_PATH, credential).await
    }

    /// Evidence for this challenge.
    ///
    /// # Errors
    /// No answer, or none that the protocol allows.
    pub async fn attest(&self, challenge: &Challenge) -> Result<Evidence, SourceError> {
        let question = Attest {
            nonce: challenge.nonce,
            host: challenge.host.clone(),
            selection: challenge
                .selection
                .banks()
                .map(|(bank, pcrs)| Bank { alg: bank.id(), pcrs })
                .collect(),
            ima_first: challenge.ima_first,
        };
        let answer: lazaret_wire::Evidence = self.post(ATTEST_PATH, &question).await?;
        let pcrs = answer
            .pcrs
            .into_iter()
            .map(|value| {
                let bank = HashAlg::from_id(value.alg)
                    .ok_or_else(|| self.garbled("evidence", format!("PCR bank 0x{:04x}", value.alg)))?;
                Ok(PcrValue {
                    bank,
                    index: value.index,
                    digest: value.digest,
                })
            })
            .collect::<Result<_, SourceError>>()?;
        Ok(Evidence {
            quote: answer.quote,
            signature: answer.signature,
            pcrs,
            boot_log: answer.boot_log,
            ima_log: answer.ima_log,
            ima_first: answer.ima_first,
        })
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url
    }

    async fn post<Q: Message, A: Message>(&self, path: &str, question: &Q) -> Result<A, SourceError> {
        let body =
            lazaret_wire::encode(question).map_err(|error| self.garbled("a question", error.to_string()))?;
        self.ask(
            self.client
                .post(self.at(path))
                .header("content-type", MEDIA_TYPE)
                .body(body),
        )
        .await
    }

    async fn ask<A: Message>(&self, request: reqwest::RequestBuilder) -> Result<A, SourceError> {
        let mut response = request.send().await.map_err(|error| self.broken(&error))?;
        let status = response.status();
        let limit = if status.is_success() {
            A::LIMIT
        } else {
            Problem::LIMIT
        };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if body.len().saturating_add(chunk.len()) > limit {
                return Err(self.garbled(A::NAME, format!("more than the {limit} bytes that it may have")));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return lazaret_wire::decode(&body)
                .map_err(|error: WireError| self.garbled(A::NAME, error.to_string()));
        }
        let problem: Problem = lazaret_wire::decode(&body)
            .map_err(|error| self.garbled("a problem", format!("HTTP {status}; {error}")))?;
        Err(SourceError::Refused {
            host: self.host.clone(),
            url: self.url.clone(),
            status: status.as_u16(),
            code: problem.code,
            message: problem.message,
        })
    }

    fn garbled(&self, what: &'static str, cause: String) -> SourceError {
        SourceError::Garbled {
            host: self.host.clone(),
            url: self.url.clone(),
            what,
            cause,
        }
    }

    /// Says what a failed exchange was: late, a wrong key on either side, or no connection.
    fn broken(&self, error: &reqwest::Error) -> SourceError {
        let (host, url) = (self.host.clone(), self.url.clone());
        if error.is_timeout() && !error.is_connect() {
            return SourceError::Late {
                host,
                url,
                seconds: self.patience.answer.as_secs(),
            };
        }
        match tls_cause(error) {
            Some(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)))
                if other.0.downcast_ref::<PinMismatch>().is_some() =>
            {
                SourceError::OtherKey {
                    host,
                    url,
                    mismatch: other.0.to_string(),
                }
            }
            Some(rustls::Error::AlertReceived(alert)) => SourceError::NotWelcome {
                host,
                url,
                cause: format!("TLS alert {alert:?}"),
            },
            _ => SourceError::Unreachable {
                host,
                url,
                cause: last_cause(error),
            },
        }
    }
}

/// The TLS error inside, if there is one. It travels inside `io::Error`s, whose `source` skips what they hold.
fn tls_cause(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        next = match cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}

/// The innermost cause: "connection refused" rather than "error sending request".
fn last_cause(error: &reqwest::Error) -> String {
    let mut last = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        last = cause.to_string();
        next = cause.source();
    }
    last
}
