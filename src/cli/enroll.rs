//! `lazaret enroll`: pin one host's TPM and agent, or all of them.

use std::path::Path;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use lazaret_attest::endorsement::Roots;
use lazaret_wire::tls::{Peer, authorities};
use serde::Serialize;
use url::Url;

use super::{
    context,
    exit::{Exit, Trouble},
    out,
    who::who,
    wiring,
};
use crate::{
    ids::{HostName, Sha256Digest},
    store::NewHost,
    verifier::{
        enroll::{self, Proven},
        roots,
        round::Rounds,
        schedule,
        sources::AgentSource,
    },
};

/// Arguments of `lazaret enroll`.
#[derive(Debug, Args)]
pub struct Enroll {
    /// The host's name in nova.
    #[arg(required_unless_present = "all")]
    host: Option<HostName>,

    /// Where its agent answers; by default `agents.url_template` or the host's own `agent`.
    #[arg(long, value_name = "URL", conflicts_with = "all", value_parser = https)]
    agent: Option<Url>,

    /// Every compute service that nova knows.
    #[arg(long, conflicts_with = "host")]
    all: bool,

    /// A known host may show other keys than the pinned ones. Find out why first.
    #[arg(long)]
    accept_new_key: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    host: HostName,
    enrolled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    endorsement_key: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chain: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attestation_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Enroll {
    /// Enrols and says what was pinned.
    pub async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let config = context::config(config)?;
        let roots = roots::read(&config.enrolment.roots)?.roots;
        let rounds = context::rounds(&config).await?;
        match &self.host {
            Some(host) => {
                let url = match &self.agent {
                    Some(url) => url.clone(),
                    None => config.agent_url(host)?,
                };
                let proven = self.one(&rounds, &roots, host, &url).await?;
                let row = row(&proven);
                if self.json {
                    out::json(&row);
                } else {
                    out::print(&text(&row));
                }
                Ok(Exit::Ok)
            }
            None => self.every(&rounds, &roots).await,
        }
    }

    async fn one(
        &self,
        rounds: &Rounds,
        roots: &Roots,
        host: &HostName,
        url: &Url,
    ) -> Result<Proven, Trouble> {
        let (peer, seen) = match &rounds.config.agents.ca_file {
            None => enroll::first_contact(),
            Some(file) => {
                let roots = authorities(file).map_err(|cause| Trouble::new(Exit::Config, cause))?;
                let (_, seen) = enroll::first_contact();
                (
                    Peer::Ca {
                        roots,
                        seen: std::sync::Arc::clone(&seen),
                    },
                    seen,
                )
            }
        };
        let source = AgentSource::new(
            host.clone(),
            url.clone(),
            &rounds.identity,
            peer,
            rounds.patience(),
        )?;
        let now = rounds.clock.now();
        let inventory = rounds
            .config
            .hosts
            .get(host)
            .map_or(&[][..], |settings| &settings.endorsement_certificates);
        let pcrs = &rounds.config.appraisal.pcrs;
        let proven = enroll::prove(&source, &seen, host, roots, pcrs, inventory, now).await?;
        let endorsed = proven.key.endorsed().key();
        let pinned = NewHost {
            name: host.clone(),
            agent_url: url.clone(),
            policy: None,
            ak_public: proven.key.key().public().to_vec(),
            ak_name: proven.key.key().name().as_bytes().to_vec(),
            ek_public_digest: Sha256Digest::of(endorsed.public()),
            ek_certificate: Some(proven.ek_certificate.clone()),
            ek_kind: proven.ek_kind.name().to_owned(),
            agent_key: Sha256Digest(*proven.agent_key.as_bytes()),
        };
        rounds
            .store
            .enrol(&pinned, &who(), self.accept_new_key, now)
            .await?;
        let config = &rounds.config.schedule;
        if let Some(due) = schedule::next_due(&config.cron, config.jitter, host, now) {
            rounds.store.set_next_due(host, due).await?;
        }
        Ok(proven)
    }

    async fn every(&self, rounds: &Rounds, roots: &Roots) -> Result<Exit, Trouble> {
        let Some(openstack) = &rounds.config.openstack else {
            return Err(Trouble::say(
                Exit::Config,
                "enroll --all asks nova for its compute services, and there is no [openstack] in the configuration",
            ));
        };
        let cloud = wiring::cloud(openstack)?;
        let services = cloud.compute_services().await.map_err(|cause| {
            Trouble::new(
                Exit::Unavailable,
                anyhow::Error::new(cause).context("asking nova for its compute services"),
            )
        })?;
        let mut hosts: Vec<_> = services.known.into_iter().map(|service| service.host).collect();
        hosts.extend(services.not_known);
        hosts.sort();
        let bar = ProgressBar::new(hosts.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        let mut rows = Vec::new();
        for host in hosts {
            bar.set_message(host.to_string());
            let result = match rounds.config.agent_url(&host) {
                Ok(url) => self.one(rounds, roots, &host, &url).await,
                Err(cause) => Err(cause.into()),
            };
            rows.push(match result {
                Ok(proven) => row(&proven),
                Err(trouble) => Row {
                    host,
                    enrolled: false,
                    endorsement_key: None,
                    chain: Vec::new(),
                    attestation_key: None,
                    agent_key: None,
                    error: Some(format!("{:#}", trouble.cause)),
                },
            });
            bar.inc(1);
        }
        bar.finish_and_clear();
        if self.json {
            out::json(&rows);
        } else {
            let table = rows.iter().map(|row| {
                let result = if row.enrolled { "enrolled" } else { "FAILED" };
                let why = match &row.error {
                    Some(error) => out::plain(error),
                    None => row.endorsement_key.clone().unwrap_or_default(),
                };
                [row.host.to_string(), result.to_owned(), why]
            });
            out::print(&out::table(
                ["HOST", "RESULT", "ENDORSEMENT KEY OR REASON"],
                table,
            ));
        }
        let failed = rows.iter().any(|row| !row.enrolled);
        Ok(if failed { Exit::Failed } else { Exit::Ok })
    }
}

fn row(proven: &Proven) -> Row {
    let chain = proven.key.endorsed().chain();
    Row {
        host: proven.host.clone(),
        enrolled: true,
        endorsement_key: Some(format!(
            "{}, endorsed by {}",
            proven.ek_kind,
            chain
                .last()
                .map(|root| out::plain(&root.subject))
                .unwrap_or_default()
        )),
        chain: chain.iter().map(|link| out::plain(&link.subject)).collect(),
        attestation_key: Some(proven.key.key().name().to_string()),
        agent_key: Some(proven.agent_key.to_string()),
        error: None,
    }
}

fn text(row: &Row) -> String {
    format!(
        "{}: enrolled\n  endorsement key  {}\n  chain            {}\n  attestation key  {}\n  agent's TLS key  {}\n",
        row.host,
        row.endorsement_key.as_deref().unwrap_or_default(),
        row.chain.join("  <-  "),
        row.attestation_key.as_deref().unwrap_or_default(),
        row.agent_key.as_deref().unwrap_or_default()
    )
}

/// An agent is known by its TLS key, so there is none without TLS.
fn https(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{error}; write it like https://cmp-1:7990"))?;
    if url.scheme() == "https" {
        Ok(url)
    } else {
        Err("an agent is reached over https only; write it like https://cmp-1:7990".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_agent_without_tls_is_refused() {
        assert!(super::https("https://cmp-1:7990").is_ok());
        for wrong in ["http://cmp-1:7990", "cmp-1", "file:///etc/passwd"] {
            let error = super::https(wrong).unwrap_err();
            assert!(error.contains("https://cmp-1:7990"), "{wrong}: {error}");
        }
    }
}
