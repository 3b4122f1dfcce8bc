//! `lazaret hosts`: who is enrolled, and what was last known of each.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::{
    context,
    exit::{Exit, Trouble},
    out,
};
use crate::{
    clock::{Clock as _, SystemClock, Timestamp},
    ids::{CaseId, HostName},
    store::Host,
    verifier::schedule,
};
use lazaret_attest::verdict::Verdict;

/// Arguments of `lazaret hosts`.
#[derive(Debug, Args)]
pub struct Hosts {
    /// Print JSON.
    #[arg(long)]
    json: bool,
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
        let hosts = store.hosts().await?;
        let now = SystemClock.now();
        let interval = schedule::interval(&config.schedule.cron, now);
        let oldest = hosts
            .iter()
            .filter_map(|host| host.last.as_ref())
            .map(|last| last.at)
            .min();
        let jumps = store.clock_jumps(oldest.unwrap_or(now)).await?;
        let pauses = store.pauses(now).await?;
        let orphans = store.orphans().await?;
        let rows: Vec<_> = hosts
            .iter()
            .map(|host: &Host| {
                let at = host.last.as_ref().map(|last| last.at);
                let age = at.map(|at| schedule::age(at, now, &jumps));
                Row {
                    host: host.name(),
                    agent: &host.enrolled.agent_url,
                    verdict: host.last.as_ref().map(|last| last.verdict),
                    at,
                    stale: matches!((age, interval), (Some(age), Some(interval))
                        if schedule::is_stale(age, interval, config.schedule.jitter)),
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
