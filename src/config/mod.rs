//! The configuration file, as typed ([`file::ConfigFile`]) and as resolved ([`Config`]): no text here means a type.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lazaret_attest::pcr::Selection;
use url::Url;

use crate::ids::HostName;

mod cloud;
mod error;
mod fence;
pub mod file;
pub(crate) mod notify;
mod place;
mod resolve;
mod resolve_hosts;
mod resolve_notify;
mod resolve_response;
mod response;
pub mod secret;
mod values;

pub use cloud::{Endpoints, Interface, Login, OpenStack};
pub use error::ConfigError;
pub use fence::{FenceMethod, FenceTimes, ServerTrust};
pub use notify::{EventPattern, Severity, Webhook};
pub(crate) use resolve_notify::JOURNAL;
pub use response::{LocalDisk, OnArrival, Recovery, Response, ResponseMode, Return, Silence};
pub use secret::{BarbicanRef, Secret, SecretError, SecretSource};

/// Everything that the configuration says, ready for use.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from.
    pub path: PathBuf,
    /// The database.
    pub store: Store,
    /// The verifier's own TLS identity.
    pub identity: Identity,
    /// The cloud; `None` when only attestation is wanted, which `enforce` does not allow.
    pub openstack: Option<OpenStack>,
    /// How agents are reached.
    pub agents: Agents,
    /// How TPMs are recognised.
    pub enrolment: Enrolment,
    /// When hosts are attested.
    pub schedule: Schedule,
    /// What they are held against.
    pub appraisal: Appraisal,
    /// What happens to a condemned host.
    pub response: Response,
    /// How long fencing looks before it believes.
    pub fence: FenceTimes,
    /// What differs for single hosts.
    pub hosts: BTreeMap<HostName, HostSettings>,
    /// Who is told.
    pub notify: Vec<Webhook>,
    /// What the daemon says about itself.
    pub log: Log,
}

/// `[store]`: the database.
#[derive(Debug, Clone)]
pub struct Store {
    /// The SQLite file; its directory also holds the write-ahead log.
    pub path: PathBuf,
    /// How long evidence that no case refers to is kept.
    pub evidence_retention: Duration,
}

/// `[identity]`: the verifier's own TLS key pair.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Where it is kept; made at first use.
    pub directory: PathBuf,
}

/// `[agents]`: how agents are reached.
#[derive(Debug, Clone)]
pub struct Agents {
    /// `https://{host}:7990`, with the host's name put in for `{host}`.
    pub url_template: String,
    /// To open the connection.
    pub connect_timeout: Duration,
    /// To answer a challenge; a TPM takes its time.
    pub answer_timeout: Duration,
    /// The operator's own PKI; without it the agent's key is pinned at enrolment.
    pub ca_file: Option<PathBuf>,
}

/// `[enrolment]`: how TPMs are recognised.
#[derive(Debug, Clone)]
pub struct Enrolment {
    /// A directory of TPM makers' roots and intermediates, DER or PEM.
    pub roots: PathBuf,
}

/// `[schedule]`: when hosts are attested.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// When a round is due, in UTC, with seconds.
    pub cron: cron::Schedule,
    /// Up to this much is added to each host's time.
    pub jitter: Duration,
    /// Rounds at once.
    pub concurrency: usize,
    /// After this a round is given up as `Indeterminate`.
    pub round_deadline: Duration,
    /// The pause before the second challenge that confirms a condemnation.
    pub confirm_after: Duration,
}

/// `[appraisal]`: what hosts are held against.
#[derive(Debug, Clone)]
pub struct Appraisal {
    /// The policy's path, with the host's name put in for `{host}`.
    pub policy_template: String,
    /// Who must have signed it; `None`: nobody.
    pub signers: Option<PathBuf>,
    /// The PCRs that are asked for.
    pub pcrs: Selection,
}

/// `[[host]]`: what differs for one host.
#[derive(Debug, Clone, Default)]
pub struct HostSettings {
    /// The agent's address.
    pub agent: Option<Url>,
    /// Its model, for the policy's `[model.".."]`.
    pub model: Option<String>,
    /// SHA-256 of the endorsement certificates that its TPM may have, as an inventory knows them; empty: any.
    pub endorsement_certificates: Vec<[u8; 32]>,
    /// The appraisal policy.
    pub policy: Option<PathBuf>,
    /// How it is powered off: tried in this order.
    pub fence: Vec<FenceMethod>,
}

/// `[log]`: what the daemon says about itself.
#[derive(Debug, Clone)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// What is let through, as `tracing` filters are written: `info,lazaret::respond=debug`.
    pub filter: String,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

impl Config {
    /// Reads and resolves the file. Nothing is created, connected to, or read besides it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|answer| ConfigError::Read {
            path: path.to_owned(),
            answer,
        })?;
        Self::parse(&text, path)
    }

    /// Resolves a configuration's text; `path` is named in errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        resolve::resolve(text, path)
    }

    /// Where this host's agent answers.
    pub fn agent_url(&self, host: &HostName) -> Result<Url, ConfigError> {
        if let Some(url) = self.hosts.get(host).and_then(|settings| settings.agent.clone()) {
            return Ok(url);
        }
        resolve::filled_url(&self.agents.url_template, host)
    }

    /// Where this host's appraisal policy is.
    pub fn policy_path(&self, host: &HostName) -> PathBuf {
        match self.hosts.get(host).and_then(|settings| settings.policy.clone()) {
            Some(path) => path,
            None => PathBuf::from(self.appraisal.policy_template.replace("{host}", host.as_str())),
        }
    }

    /// How this host is powered off, in the order to try; empty when nothing is configured.
    pub fn fence_methods(&self, host: &HostName) -> &[FenceMethod] {
        self.hosts.get(host).map_or(&[], |settings| &settings.fence)
    }

    /// Every secret that is referred to, with the key that names it.
    pub fn secrets(&self) -> Vec<(String, &SecretSource)> {
        resolve::secrets(self)
    }
}

#[cfg(test)]
mod tests;
