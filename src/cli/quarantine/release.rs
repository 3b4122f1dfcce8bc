//! `lazaret quarantine release`: how a person gives a host back. The daemon does it; this opens the case, waits and
//! says how it goes.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, Subcommand};
use lazaret_attest::verdict::Verdict;

use crate::{
    cli::{
        context,
        exit::{Exit, Trouble},
        out,
        who::{person, who},
    },
    clock::{Clock as _, SystemClock},
    config::{Config, ResponseMode},
    ids::{CaseId, CaseKind, HostName},
    report::credentials,
    respond::{
        journal::json,
        release::{Attested, Item, NOBODY, ReleasePlan, SECOND_PERSON},
        saga,
    },
    store::{AuditEntry, Case, CaseState, ItemState, NewCase, ReleaseItem, StepState, Store},
};

/// Arguments of `lazaret quarantine release`.
#[derive(Debug, Args)]
pub(super) struct Release {
    /// The host.
    host: HostName,
    /// Show what would be done and what is missing, and do nothing.
    #[arg(long)]
    plan: bool,
    /// Do not wait for the end.
    #[arg(long)]
    no_wait: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say that something that the host knew is replaced.
    Tick {
        /// What, by its name in `--plan`.
        item: String,
    },
    /// Say that something need not be done, and why.
    Waive {
        /// What, by its name in `--plan`.
        item: String,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT", value_parser = crate::cli::who::reason)]
        because: String,
    },
    /// Agree to a release that another person asked for.
    Approve,
}

/// How often the database is asked how it goes.
const LOOK: Duration = Duration::from_millis(500);

/// When nothing has happened for this long, no daemon seems to be running.
const QUIET: Duration = Duration::from_secs(20);

/// An instance in one of these states is on the host still.
const LEFT: [&str; 3] = ["held", "failed", "waiting"];

impl Release {
    pub(super) async fn run(self, config: &Config, store: &Store) -> Result<Exit, Trouble> {
        let host = context::host(store, &self.host).await?;
        let Some(quarantine) = &host.quarantined_by else {
            return Err(Trouble::say(
                Exit::Data,
                format_args!("host {} is not in quarantine", self.host),
            ));
        };
        let quarantine = store
            .case(quarantine)
            .await?
            .ok_or_else(|| super::no_case(quarantine))?;
        let unclosed = store.unclosed_case(&self.host).await?;
        let release = unclosed.as_ref().filter(|case| case.kind == CaseKind::Release);
        let plan = match release.and_then(ReleasePlan::of) {
            Some(plan) => plan,
            None => planned(config, store, &quarantine).await?,
        };
        match self.command {
            Some(Command::Tick { item }) => {
                settle(store, &plan, release, &item, ItemState::Ticked, None).await
            }
            Some(Command::Waive { item, because }) => {
                settle(store, &plan, release, &item, ItemState::Waived, Some(because)).await
            }
            Some(Command::Approve) => approve(store, &plan, release).await,
            None if self.plan => show(store, &plan, release).await,
            None => {
                if let Some(other) = unclosed.as_ref().filter(|case| case.kind != CaseKind::Release) {
                    return Err(Trouble::say(
                        Exit::Data,
                        format_args!(
                            "case {} of host {} is not closed; see it through, or `lazaret quarantine dismiss {}`",
                            other.id, self.host, other.id
                        ),
                    ));
                }
                if config.response.mode == ResponseMode::Observe {
                    return Err(Trouble::say(
                        Exit::Data,
                        "response.mode is \"observe\": nothing is touched, also to give a host back; set it to \
                         \"enforce\"",
                    ));
                }
                let id = match release {
                    Some(case) => go_on(store, case).await?,
                    None => open(config, store, &quarantine, &plan).await?,
                };
                if self.no_wait {
                    out::print(&format!("{id}: the daemon goes on with it\n"));
                    return Ok(Exit::Ok);
                }
                wait(store, &id).await
            }
        }
    }
}

async fn planned(config: &Config, store: &Store, quarantine: &Case) -> Result<ReleasePlan, Trouble> {
    let left = store
        .instances(&quarantine.id)
        .await?
        .iter()
        .filter(|known| LEFT.contains(&known.state.as_str()))
        .count();
    let items = credentials()
        .into_iter()
        .map(|known| Item::new(&known.item, format!("{}: {}", known.what, known.from)))
        .collect();
    let (who, now) = (who(), SystemClock.now());
    Ok(ReleasePlan::make(
        quarantine,
        &who,
        config.response.second_person,
        items,
        left,
        now,
    ))
}

async fn open(
    config: &Config,
    store: &Store,
    quarantine: &Case,
    plan: &ReleasePlan,
) -> Result<CaseId, Trouble> {
    if plan.second_person && plan.asked_by == NOBODY {
        return Err(Trouble::say(
            Exit::NoPermission,
            "another person has to agree, and who asks cannot be told here, in a user namespace: run this on the controller \
             itself",
        ));
    }
    let now = SystemClock.now();
    let id = CaseId::new(CaseKind::Release, now, rand::random());
    let case = NewCase {
        id: id.clone(),
        kind: CaseKind::Release,
        parent: Some(quarantine.id.clone()),
        host: quarantine.host.clone(),
        state: CaseState::Open,
        held_group: None,
        holds: None,
        not_before: now,
        mode: config.response.mode,
        cause: format!("{} asks for it back", plan.asked_by),
        condemned_by: quarantine.condemned_by,
        confirmed_by: quarantine.confirmed_by,
        plan: json(plan),
        steps: saga::steps(CaseKind::Release, true)
            .into_iter()
            .map(|step| step.as_str().to_owned())
            .collect(),
        instances: Vec::new(),
        evidence: Vec::new(),
    };
    let asked = audit("release", quarantine, format!("asked for, as case {id}"));
    store.open_asked(&case, &asked, now).await?;
    out::print(&format!("{id}: opened; Ctrl-C leaves it to the daemon\n"));
    Ok(id)
}

/// A release that waited for a person goes on because one asks again.
async fn go_on(store: &Store, release: &Case) -> Result<CaseId, Trouble> {
    store.approve(&release.id, &who(), SystemClock.now()).await?;
    out::print(&format!(
        "{}: goes on; Ctrl-C leaves it to the daemon\n",
        release.id
    ));
    Ok(release.id.clone())
}

/// Follows the case until it is closed, or waits for a person.
async fn wait(store: &Store, id: &CaseId) -> Result<Exit, Trouble> {
    let mut said: BTreeSet<String> = BTreeSet::new();
    let (mut last, mut hinted) = (tokio::time::Instant::now(), false);
    loop {
        let Some(case) = store.case(id).await? else {
            return Err(super::no_case(id));
        };
        for step in store.steps(id).await? {
            let over = matches!(step.state, StepState::Done | StepState::Skipped);
            let line = match (&step.note, step.state) {
                (Some(note), _) if over => format!("  {}: {}\n", step.name, out::plain(note)),
                (_, StepState::Running) => format!("  {} ..\n", step.name),
                _ => continue,
            };
            if said.insert(line.clone()) {
                out::print(&line);
                last = tokio::time::Instant::now();
            }
        }
        let journal = store.journal_of(id).await?;
        let verdict = Attested::newest(&journal).map(|known| known.verdict);
        match case.state {
            CaseState::Open => {}
            CaseState::Closed { reason } => {
                out::print(&format!("{id}: {}\n", out::plain(&reason)));
                let given_back = case
                    .outcome
                    .is_some_and(|outcome| outcome.as_str().contains("\"released\":true"));
                return Ok(match (given_back, verdict) {
                    (true, _) => Exit::Ok,
                    (false, Some(verdict)) if verdict != Verdict::Affirming => Exit::of(verdict),
                    (false, _) => Exit::TryAgain,
                });
            }
            CaseState::Held { reason } | CaseState::Stuck { reason } => {
                out::error(&format!(
                    "lazaret: {id} waits for a person: {}\n",
                    out::plain(&reason)
                ));
                return Ok(match verdict {
                    Some(verdict) if verdict != Verdict::Affirming => Exit::of(verdict),
                    _ => Exit::TryAgain,
                });
            }
        }
        if !hinted && last.elapsed() > QUIET && said.is_empty() {
            out::error("lazaret: nothing happens yet: is the daemon running (`lazaret serve`)?\n");
            hinted = true;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn settle(
    store: &Store,
    plan: &ReleasePlan,
    release: Option<&Case>,
    name: &str,
    state: ItemState,
    because: Option<String>,
) -> Result<Exit, Trouble> {
    if !plan.items.iter().any(|item| item.name == name) {
        let names: Vec<&str> = plan.items.iter().map(|item| item.name.as_str()).collect();
        return Err(Trouble::say(
            Exit::NoInput,
            format_args!(
                "\"{name}\" is no item of this release; they are: {}",
                names.join(", ")
            ),
        ));
    }
    let now = SystemClock.now();
    let item = ReleaseItem {
        item: name.to_owned(),
        state,
        by: who(),
        because: because.clone(),
        at: now,
    };
    let outcome = match because {
        Some(because) => format!("{name} {}: {because}", state.as_str()),
        None => format!("{name} {}", state.as_str()),
    };
    let entry = AuditEntry {
        who: who(),
        what: "release-item".to_owned(),
        subject: format!("host {}, case {}", plan.host, plan.quarantine),
        outcome,
    };
    store.settle_item(&plan.quarantine, &item, &entry, now).await?;
    let settled = store.release_items(&plan.quarantine).await?;
    let missing = plan.missing(&settled);
    let host = &plan.host;
    out::print(&match (missing.as_slice(), release) {
        ([], None) => format!(
            "{name}: {}; all is settled: `lazaret quarantine release {host}`\n",
            state.as_str()
        ),
        ([], Some(_)) => format!(
            "{name}: {}; all is settled: `lazaret quarantine release {host}` goes on\n",
            state.as_str()
        ),
        (missing, _) => format!("{name}: {}; still missing: {}\n", state.as_str(), names(missing)),
    });
    Ok(Exit::Ok)
}

fn names(items: &[&Item]) -> String {
    let names: Vec<&str> = items.iter().map(|item| item.name.as_str()).collect();
    names.join(", ")
}

async fn approve(store: &Store, plan: &ReleasePlan, release: Option<&Case>) -> Result<Exit, Trouble> {
    let Some(release) = release else {
        return Err(Trouble::say(
            Exit::Data,
            format_args!(
                "nobody asks for {} back; `lazaret quarantine release {}`",
                plan.host, plan.host
            ),
        ));
    };
    let Some(who) = person() else {
        return Err(Trouble::say(
            Exit::NoPermission,
            "who agrees cannot be told here, in a user namespace: run this on the controller itself",
        ));
    };
    if who == plan.asked_by {
        return Err(Trouble::say(
            Exit::NoPermission,
            format_args!("{who} asked for it; another person has to agree"),
        ));
    }
    let now = SystemClock.now();
    let item = ReleaseItem {
        item: SECOND_PERSON.to_owned(),
        state: ItemState::Ticked,
        by: who.clone(),
        because: None,
        at: now,
    };
    let entry = AuditEntry {
        who: who.clone(),
        what: "release-approve".to_owned(),
        subject: format!("host {}, case {}", plan.host, release.id),
        outcome: "agreed".to_owned(),
    };
    store.settle_item(&release.id, &item, &entry, now).await?;
    if matches!(release.state, CaseState::Held { .. }) {
        store.approve(&release.id, &who, now).await?;
    }
    out::print(&format!("{}: agreed; the daemon goes on with it\n", release.id));
    Ok(Exit::Ok)
}

async fn show(store: &Store, plan: &ReleasePlan, release: Option<&Case>) -> Result<Exit, Trouble> {
    let settled = store.release_items(&plan.quarantine).await?;
    let mut text = format!(
        "{} in quarantine {}{}\n\nBefore it is given back:\n",
        plan.host,
        plan.quarantine,
        release.map_or_else(String::new, |case| format!(", release {}", case.id))
    );
    for item in &plan.items {
        let state = settled.iter().find(|known| known.item == item.name).map_or_else(
            || "missing".to_owned(),
            |known| {
                format!(
                    "{} by {} at {}",
                    known.state.as_str(),
                    out::plain(&known.by),
                    known.at
                )
            },
        );
        text.push_str(&format!(
            "  {:<18} {state}\n  {:<18} {}\n",
            item.name,
            "",
            out::plain(&item.what)
        ));
    }
    if plan.second_person {
        text.push_str("  another person agrees (release.second_person)\n");
    }
    text.push_str("\nThen:\n");
    for step in &plan.steps {
        text.push_str(&format!("  {:<10} {}\n", step.step, step.does));
    }
    out::print(&text);
    Ok(Exit::Ok)
}

fn audit(what: &str, quarantine: &Case, outcome: String) -> AuditEntry {
    AuditEntry {
        who: who(),
        what: what.to_owned(),
        subject: format!("host {}, case {}", quarantine.host, quarantine.id),
        outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond::release::{DISK_COPIES, INSTANCES_LEFT};

    /// Each is one word on the command line.
    #[test]
    fn item_names_are_words() {
        let names: BTreeSet<String> = credentials().into_iter().map(|known| known.item).collect();
        assert_eq!(names.len(), credentials().len(), "two items share a name");
        let others = [DISK_COPIES, INSTANCES_LEFT, SECOND_PERSON];
        for name in names.iter().map(String::as_str).chain(others) {
            let word = name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            assert!(name.len() > 3 && word, "{name}");
        }
    }
}
