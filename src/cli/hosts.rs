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

/// After this many intervals without a result, a verdict is shown as stale.
const STALE_AFTER: u32 = 3;

#[derive(Debug, Serialize)]
struct Row<'a> {
    host: &'a HostName,
    agent: &'a url::Url,
    verdict: Option<Verdict>,
    at: Option<Timestamp>,
    stale: bool,
    silent_since: Option<Timestamp>,
    next_due: Option<Timestamp>,
    quarantined_by: Option<&'a CaseId>,
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
        let rows: Vec<_> = hosts
            .iter()
            .map(|host: &Host| {
                let at = host.last.as_ref().map(|last| last.at);
                let age = at.map(|at| now.since(at));
                Row {
                    host: host.name(),
                    agent: &host.enrolled.agent_url,
                    verdict: host.last.as_ref().map(|last| last.verdict),
                    at,
                    stale: matches!((age, interval), (Some(age), Some(interval))
                        if age > interval.saturating_mul(STALE_AFTER) + config.schedule.jitter),
                    silent_since: host.silent_since,
                    next_due: host.next_due,
                    quarantined_by: host.quarantined_by.as_ref(),
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
                let verdict = match (row.verdict, row.stale) {
                    (Some(verdict), true) => format!("{verdict} (stale)"),
                    (Some(verdict), false) => verdict.to_string(),
                    (None, _) => dash(),
                };
                [
                    row.host.to_string(),
                    verdict,
                    row.at.map_or_else(dash, |at| at.to_string()),
                    row.next_due.map_or_else(dash, |due| due.to_string()),
                    row.quarantined_by.map_or_else(dash, ToString::to_string),
                    row.agent.to_string(),
                ]
            }),
        );
        out::print(&table);
        Ok(Exit::Ok)
    }
}
