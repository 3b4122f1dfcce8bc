//! `lazaret report`: the quarantine report of one case.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{
    context,
    exit::{Exit, Trouble},
    hosts::Ages,
    out, quarantine,
};
use crate::{
    clock::{Clock as _, SystemClock},
    config::Config,
    ids::CaseId,
    report::{Standing, Verdict},
    store::Store,
};

/// Arguments of `lazaret report`.
#[derive(Debug, Args)]
pub struct Report {
    /// The case.
    case: CaseId,

    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,

    /// The file to write; standard output without it.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Overwrite what is there.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Markdown,
    Html,
}

impl Report {
    /// Writes the report.
    pub async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let config = context::config(config)?;
        let store = context::store(&config).await?;
        let mut report = crate::report::Report::gather(&store, &self.case)
            .await?
            .ok_or_else(|| quarantine::no_case(&self.case))?;
        report.now = Some(standing(&config, &store, &report).await?);
        let text = match self.format {
            Format::Json => report.json(),
            Format::Markdown => report.markdown(),
            Format::Html => report.html(),
        };
        match &self.output {
            Some(file) => out::create(file, text.as_bytes(), self.force)?,
            None => out::print(&text),
        }
        Ok(Exit::Ok)
    }
}

/// How the host of a report stands now.
async fn standing(
    config: &Config,
    store: &Store,
    report: &crate::report::Report,
) -> Result<Standing, Trouble> {
    let now = SystemClock.now();
    let host = store.host(&report.host).await?;
    let ages = Ages::read(config, store, host.as_slice(), now).await?;
    let last = host.as_ref().and_then(|host| host.last.as_ref());
    Ok(Standing {
        at: now,
        enrolled: host.is_some(),
        quarantined: host
            .as_ref()
            .is_some_and(|host| host.quarantined_by.as_ref() == Some(&report.case)),
        verdict: last.map(|last| Verdict {
            verdict: last.verdict.as_str().to_owned(),
            round: last.round,
            at: last.at,
        }),
        age_s: last.map(|last| ages.age(last.at).as_secs()),
        stale: last.is_some_and(|last| ages.is_stale(last.at)),
    })
}
