//! `lazaret report`: the quarantine report of one case.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{
    context,
    exit::{Exit, Trouble},
    out, quarantine,
};
use crate::ids::CaseId;

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
        let report = crate::report::Report::gather(&store, &self.case)
            .await?
            .ok_or_else(|| quarantine::no_case(&self.case))?;
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
