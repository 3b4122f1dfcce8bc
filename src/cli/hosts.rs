//! `lazaret hosts`: who is enrolled, what was last known of each, and the end of one that is no more.

mod remove;

use std::{path::Path, time::Duration};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    context,
    exit::{Exit, Trouble},
    out,
};
use crate::{
    clock::{Clock as _, SystemClock, Timestamp},
    config::Config,
    ids::{CaseId, HostName},
    store::{Host, Store},
    verifier::schedule,
};
use lazaret_attest::verdict::Verdict;

/// Arguments of `lazaret hosts`.
#[derive(Debug, Args)]
pub struct Hosts {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Forget a host that is decommissioned: no more rounds, and no news of its silence.
    ///
    /// What it did stays: rounds, cases, evidence, the history of its keys. A host in quarantine that is enrolled again
    /// is in quarantine still.
    Remove(remove::Remove),
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    host: &'a HostName,
    agent: &'a url::Url,
    verdict: Option<Verdict>,
    at: Option<Timestamp>,
    stale: bool,
    paused_until: Option<Timestamp>,
    unscheduled_by: Option<&'a CaseId>,
    silent_since: Option<Timestamp>,
    next_due: Option<Timestamp>,
    quarantined_by: Option<&'a CaseId>,
    /// What nova shows of it, where that is a quarantine and no case of it is known.
    orphaned: Option<&'a str>,
    enrolled_at: Timestamp,
    enrolled_by: &'a str,
}

impl Hosts {
    /// Prints the table.
    pub async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let config = context::config(config)?;
        let store = context::store(&config).await?;
        if let Some(Command::Remove(remove)) = self.command {
            return remove.run(&store).await;
        }
        let hosts = store.hosts().await?;
        let now = SystemClock.now();
        let ages = Ages::read(&config, &store, &hosts, now).await?;
        let pauses = store.pauses(now).await?;
        let orphans = store.orphans().await?;
        let rows: Vec<_> = hosts
            .iter()
            .map(|host: &Host| {
                let at = host.last.as_ref().map(|last| last.at);
                Row {
                    host: host.name(),
                    agent: &host.enrolled.agent_url,
                    verdict: host.last.as_ref().map(|last| last.verdict),
                    at,
                    stale: at.is_some_and(|at| ages.is_stale(at)),
                    paused_until: pauses
                        .iter()
                        .filter(|pause| pause.covered(host.name(), now))
                        .map(|pause| pause.until)
                        .max(),
                    unscheduled_by: host.unscheduled_by.as_ref(),
                    silent_since: host.silent_since,
                    next_due: host.next_due,
                    quarantined_by: host.quarantined_by.as_ref(),
                    orphaned: orphans
                        .iter()
                        .find(|orphan| orphan.host == *host.name())
                        .map(|orphan| orphan.words.as_str()),
                    enrolled_at: host.enrolled_at,
                    enrolled_by: &host.enrolled_by,
                }
            })
            .collect();
        if self.json {
            out::json(&rows);
            return Ok(Exit::Ok);
        }
        if rows.is_empty() {
            out::print("No host is enrolled. `lazaret enroll HOST --agent URL` enrols one.\n");
            return Ok(Exit::Ok);
        }
        let dash = || "-".to_owned();
        let table = out::table(
            ["HOST", "VERDICT", "AT", "NEXT", "QUARANTINED BY", "AGENT"],
            rows.iter().map(|row| {
                let mut verdict = row.verdict.map_or_else(dash, |verdict| verdict.to_string());
                for (so, word) in [
                    (row.stale, "stale"),
                    (row.paused_until.is_some(), "paused"),
                    (row.unscheduled_by.is_some(), "no new instances"),
                ] {
                    if so {
                        verdict.push_str(&format!(" ({word})"));
                    }
                }
                [
                    row.host.to_string(),
                    verdict,
                    row.at.map_or_else(dash, |at| at.to_string()),
                    row.next_due.map_or_else(dash, |due| due.to_string()),
                    match (row.quarantined_by, row.orphaned) {
                        (Some(case), _) => case.to_string(),
                        (None, Some(_)) => "a case that is lost".to_owned(),
                        (None, None) => dash(),
                    },
                    row.agent.to_string(),
                ]
            }),
        );
        out::print(&table);
        Ok(Exit::Ok)
    }
}

/// How old results are, without the jumps of a clock that was set.
pub(super) struct Ages {
    now: Timestamp,
    interval: Option<Duration>,
    jitter: Duration,
    /// When the clock was set, and what it would have shown.
    jumps: Vec<(Timestamp, Timestamp)>,
}

impl Ages {
    /// For the results of these hosts.
    pub(super) async fn read(
        config: &Config,
        store: &Store,
        hosts: &[Host],
        now: Timestamp,
    ) -> Result<Self, Trouble> {
        let last = hosts.iter().filter_map(|host| host.last.as_ref());
        let oldest = last.map(|last| last.at).min();
        Ok(Self {
            now,
            interval: schedule::interval(&config.schedule.cron, now),
            jitter: config.schedule.jitter,
            jumps: store.clock_jumps(oldest.unwrap_or(now)).await?,
        })
    }

    /// How old a result is.
    pub(super) fn age(&self, at: Timestamp) -> Duration {
        schedule::age(at, self.now, &self.jumps)
    }

    /// Whether it is older than its schedule allows.
    pub(super) fn is_stale(&self, at: Timestamp) -> bool {
        self.interval
            .is_some_and(|interval| schedule::is_stale(self.age(at), interval, self.jitter))
    }
}
