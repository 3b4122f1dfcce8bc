//! `lazaret quarantine`: the cases, one file for each of its commands.

pub(super) mod group;
mod list;
mod show;

mod adopt;
mod approve;
mod dismiss;
mod evidence;
mod plan;
mod release;
mod responder;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{Args, Subcommand};

use super::{
    context,
    exit::{Exit, Trouble},
};
use crate::{
    ids::{CaseId, GroupId, HostName, IdError},
    store::CaseState,
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
    /// One case: where it stands, its steps, instances and journal. Or a group of cases that are held together.
    Show {
        /// The case, or the group.
        case: Subject,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the plan that would be made for a host, without doing anything: each instance with its way out and its
    /// data's fate, the room elsewhere, and what would hold it.
    Plan {
        /// The host.
        host: HostName,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Let a held or stuck case go on.
    Approve {
        /// The case; or a group: every case in it that is held.
        case: Subject,
    },
    /// Close a held or stuck case without doing anything more.
    Dismiss {
        /// The case; or a group: every case in it that is held.
        case: Subject,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT", value_parser = super::who::reason)]
        because: String,
    },
    /// Give a host back: what it knew is replaced, it boots, is judged Affirming, and only then taken back.
    Release(release::Release),
    /// Take on a host that nova shows as quarantined and whose case the database has lost: it is held down from then on,
    /// and can be released.
    Adopt {
        /// The host.
        host: HostName,
        /// Why, for the record.
        #[arg(long, value_name = "TEXT", value_parser = super::who::reason)]
        because: String,
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

impl Quarantine {
    /// Lists, shows, approves, or writes evidence.
    pub async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let config = context::config(config)?;
        let store = context::store(&config).await?;
        match self.command {
            Command::List { open, json } => list::list(&store, open, json).await,
            Command::Plan { host, json } => plan::plan(&config, store, &host, json).await,
            Command::Show { case, json } => match case {
                Subject::Case(case) => show::show(&store, &case, json).await,
                Subject::Group(group) => group::show(&store, &group, json).await,
            },
            Command::Approve { case } => match case {
                Subject::Case(case) => approve::approve(&store, &case, config.response.mode).await,
                Subject::Group(group) => group::approve(&store, &group, config.response.mode).await,
            },
            Command::Dismiss { case, because } => match case {
                Subject::Case(case) => dismiss::dismiss(&store, &case, &because).await,
                Subject::Group(group) => group::dismiss(&store, &group, &because).await,
            },
            Command::Adopt { host, because } => adopt::adopt(&config, store, &host, &because).await,
            Command::Release(release) => release.run(&config, &store).await,
            Command::Evidence { case, output, force } => {
                evidence::evidence(&store, &case, &output, force).await
            }
        }
    }
}

/// A case, or a group of cases.
#[derive(Debug, Clone)]
enum Subject {
    Case(CaseId),
    Group(GroupId),
}

impl FromStr for Subject {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.starts_with("g-") {
            return text.parse().map(Self::Group);
        }
        text.parse().map(Self::Case)
    }
}

/// There is no such case.
pub(super) fn no_case(case: &CaseId) -> Trouble {
    Trouble::say(
        Exit::NoInput,
        format_args!("there is no case {case}; `lazaret quarantine list` lists them"),
    )
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
