//! `lazaret quarantine`: the cases.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    context,
    exit::{Exit, Trouble},
    out, release,
};
use crate::{
    clock::{Clock as _, SystemClock, Timestamp},
    config::ResponseMode,
    ids::{CaseId, HostName, Sha256Digest},
    respond::journal::Entry,
    store::{Case, CaseFilter, CaseInstance, CaseState, JournalEntry, Step, Store},
};

/// Arguments of `lazaret quarantine`.
#[derive(Debug, Args)]
pub struct Quarantine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All cases, newest first.
    List {
        /// Leave closed ones out.
        #[arg(long)]
        open: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// One case: where it stands, its steps, instances and journal.
    Show {
        /// The case.
        case: CaseId,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let a held or stuck case go on.
    Approve {
        /// The case.
        case: CaseId,
    },
    /// Close a held or stuck case without doing anything more.
    Dismiss {
        /// The case.
        case: CaseId,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT")]
        because: String,
    },
    /// Let a host back under the watch: it is attested now, in full, and has to be Affirming.
    Release {
        /// The host.
        host: HostName,
    },
    /// Write the evidence that condemned the host, as bundles for `verify-host --replay`.
    Evidence {
        /// The case.
        case: CaseId,
        /// The directory to write into.
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// Overwrite what is there.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    case: Case,
    steps: Vec<Step>,
    instances: Vec<CaseInstance>,
    evidence: Vec<(String, Sha256Digest)>,
    journal: Vec<JournalEntry>,
}

impl Quarantine {
    /// Lists, shows, approves, or writes evidence.
    pub async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let config = context::config(config)?;
        let store = context::store(&config).await?;
        match self.command {
            Command::List { open, json } => list(&store, open, json).await,
            Command::Show { case, json } => show(&store, &case, json).await,
            Command::Approve { case } => approve(&store, &case, config.response.mode).await,
            Command::Dismiss { case, because } => release::dismiss(&store, &case, &because).await,
            Command::Release { host } => release::release(&context::rounds(&config).await?, &host).await,
            Command::Evidence { case, output, force } => evidence(&store, &case, &output, force).await,
        }
    }
}

/// There is no such case.
pub(super) fn no_case(case: &CaseId) -> Trouble {
    Trouble::say(
        Exit::NoInput,
        format_args!("there is no case {case}; `lazaret quarantine list` lists them"),
    )
}

async fn list(store: &Store, open: bool, json: bool) -> Result<Exit, Trouble> {
    let cases = store
        .cases(&CaseFilter {
            host: None,
            unclosed_only: open,
        })
        .await?;
    if json {
        out::json(&cases);
        return Ok(Exit::Ok);
    }
    if cases.is_empty() {
        out::print("No case.\n");
        return Ok(Exit::Ok);
    }
    let rows = cases.iter().map(|case| {
        let (state, _) = state(&case.state);
        [
            case.id.to_string(),
            case.host.to_string(),
            state.to_owned(),
            case.opened_at.to_string(),
            out::plain(&case.cause),
        ]
    });
    out::print(&out::table(["CASE", "HOST", "STATE", "OPENED", "CAUSE"], rows));
    Ok(Exit::Ok)
}

async fn show(store: &Store, id: &CaseId, json: bool) -> Result<Exit, Trouble> {
    let case = store.case(id).await?.ok_or_else(|| no_case(id))?;
    let shown = Shown {
        steps: store.steps(id).await?,
        instances: store.instances(id).await?,
        evidence: store.case_evidence(id).await?,
        journal: store.journal_of(id).await?,
        case,
    };
    if json {
        out::json(&shown);
    } else {
        out::print(&text(&shown));
    }
    Ok(Exit::Ok)
}

async fn approve(store: &Store, id: &CaseId, mode: ResponseMode) -> Result<Exit, Trouble> {
    let case = store.case(id).await?.ok_or_else(|| no_case(id))?;
    if !store.approve(id, &context::who(), SystemClock.now()).await? {
        let (state, _) = state(&case.state);
        return Err(Trouble::say(
            Exit::Data,
            format_args!("case {id} is {state}; only a held or stuck case waits for a person"),
        ));
    }
    out::print(&match mode {
        ResponseMode::Enforce => format!("{id}: approved; the daemon goes on with it\n"),
        ResponseMode::Observe => {
            format!("{id}: approved; it rests as long as response.mode is \"observe\"\n")
        }
    });
    Ok(Exit::Ok)
}

async fn evidence(store: &Store, id: &CaseId, output: &Path, force: bool) -> Result<Exit, Trouble> {
    let case = store.case(id).await?.ok_or_else(|| no_case(id))?;
    std::fs::create_dir_all(output).map_err(|error| {
        let cause = anyhow::Error::new(error).context(format!("making the directory {}", output.display()));
        Trouble::new(Exit::CannotCreate, cause)
    })?;
    for (what, digest) in store.case_evidence(id).await? {
        let bytes = store.evidence(digest).await?.ok_or_else(|| {
            Trouble::say(
                Exit::Io,
                format_args!("the evidence {digest} of case {id} is not in the database"),
            )
        })?;
        let file = output.join(format!("{}-{what}.bundle", case.host));
        out::create(&file, &bytes, force)?;
        out::print(&format!("{digest}  {}\n", file.display()));
    }
    Ok(Exit::Ok)
}

/// The state in a word, and why.
fn state(state: &CaseState) -> (&'static str, Option<&str>) {
    match state {
        CaseState::Open => ("running", None),
        CaseState::Held { reason } => ("held", Some(reason)),
        CaseState::Stuck { reason } => ("stuck", Some(reason)),
        CaseState::Closed { reason } => ("closed", Some(reason)),
    }
}

fn text(shown: &Shown) -> String {
    let case = &shown.case;
    let (word, reason) = state(&case.state);
    let mut text = format!("{}: host {}, {word}\n", case.id, case.host);
    if let Some(reason) = reason {
        text.push_str(&format!("  {}\n", out::plain(reason)));
    }
    text.push_str(&format!(
        "  cause   {}\n  opened  {}\n",
        out::plain(&case.cause),
        case.opened_at
    ));
    if let Some(by) = &case.approved_by {
        text.push_str(&format!("  approved by {}\n", out::plain(by)));
    }
    let since = |at: Option<Timestamp>| {
        at.map_or_else(
            || "-".to_owned(),
            |at| format!("{:.1} s", at.since(case.opened_at).as_secs_f64()),
        )
    };
    text.push('\n');
    text.push_str(&out::table(
        ["STEP", "STATE", "BEGAN", "ENDED", "NOTE"],
        shown.steps.iter().map(|step| {
            [
                step.name.clone(),
                format!("{:?}", step.state).to_lowercase(),
                since(step.started_at),
                since(step.finished_at),
                step.note.as_deref().map(out::plain).unwrap_or_default(),
            ]
        }),
    ));
    if !shown.instances.is_empty() {
        text.push('\n');
        text.push_str(&out::table(
            ["INSTANCE", "NAME", "PROJECT", "PLAN", "STATE", "NOW ON"],
            shown.instances.iter().map(|instance| {
                [
                    instance.id.to_string(),
                    out::plain(&instance.name),
                    out::plain(&instance.project),
                    instance.fate.clone(),
                    instance.state.clone(),
                    instance
                        .destination
                        .as_ref()
                        .map_or_else(|| "-".to_owned(), ToString::to_string),
                ]
            }),
        ));
    }
    text.push_str("\nJournal\n");
    for entry in &shown.journal {
        let says = Entry::read(&entry.detail).says;
        text.push_str(&format!(
            "  {:>8.1} s  {:<11} {:<7} {}\n",
            entry.at.since(case.opened_at).as_secs_f64(),
            entry.step,
            format!("{:?}", entry.phase).to_lowercase(),
            out::plain(&says)
        ));
    }
    text
}
