//! `lazaret doctor`: everything that the daemon depends on, with a remedy for each FAIL.

mod cloud;
mod host;
mod own;
mod secrets;

use std::{path::Path, sync::Arc};

use clap::Args;
use serde::Serialize;

use super::{
    context,
    exit::{Exit, Trouble},
    out, wiring,
};
use crate::config::{Config, ResponseMode};

/// Arguments of `lazaret doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How one check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Outcome {
    Pass,
    Warn,
    Fail,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    check: String,
    outcome: Outcome,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Check {
    fn pass(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            outcome: Outcome::Pass,
            detail: detail.into(),
            remedy: None,
        }
    }

    fn warn(check: impl Into<String>, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (check, detail, remedy) = (check.into(), detail.into(), Some(remedy.into()));
        Self {
            check,
            outcome: Outcome::Warn,
            detail,
            remedy,
        }
    }

    fn fail(check: impl Into<String>, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (check, detail, remedy) = (check.into(), detail.into(), Some(remedy.into()));
        Self {
            check,
            outcome: Outcome::Fail,
            detail,
            remedy,
        }
    }

    /// FAIL when the daemon would act, WARN when it only watches.
    fn needed_to_act(config: &Config, check: &str, detail: String, remedy: &str) -> Self {
        match config.response.mode {
            ResponseMode::Enforce => Self::fail(check, detail, remedy),
            ResponseMode::Observe => Self::warn(check, detail, format!("{remedy} (needed for enforce)")),
        }
    }
}

impl Doctor {
    /// Runs every check that can be run, and fails when one fails.
    pub async fn run(self, path: &Path) -> Result<Exit, Trouble> {
        let mut report = Report {
            json: self.json,
            checks: Vec::new(),
        };
        let config = match context::config(path) {
            Ok(config) => config,
            Err(trouble) => {
                report.say(Check::fail(
                    "configuration",
                    format!("{:#}", trouble.cause),
                    "correct the file; systemd/lazaret.toml explains every key",
                ));
                report.end();
                return Ok(Exit::Config);
            }
        };
        report.say(Check::pass(
            "configuration",
            format!("{} is understood", path.display()),
        ));
        // A cloud that cannot be set up is told below.
        let cloud = config
            .openstack
            .as_ref()
            .and_then(|cloud| wiring::cloud(cloud).ok());
        let reader = wiring::secrets(cloud.map(Arc::new).as_ref());
        secrets::checks(&config, &reader, &mut report).await;
        own::checks(&config, &mut report);
        let hosts = own::database(&config, &mut report).await;
        cloud::checks(&config, &hosts, &mut report).await;
        host::checks(&config, &hosts, &reader, &mut report).await;
        Ok(report.end())
    }
}

/// Checks as they are made; people see each at once.
struct Report {
    json: bool,
    checks: Vec<Check>,
}

impl Report {
    fn say(&mut self, check: Check) {
        if !self.json {
            let outcome = match check.outcome {
                Outcome::Pass => "PASS",
                Outcome::Warn => "WARN",
                Outcome::Fail => "FAIL",
            };
            let mut line = format!("{outcome}  {:<22} {}\n", check.check, out::plain(&check.detail));
            if let Some(remedy) = &check.remedy {
                line.push_str(&format!("      {:<22} -> {}\n", "", out::plain(remedy)));
            }
            out::print(&line);
        }
        self.checks.push(check);
    }

    fn end(self) -> Exit {
        let count = |outcome| {
            self.checks
                .iter()
                .filter(|check| check.outcome == outcome)
                .count()
        };
        let failed = count(Outcome::Fail);
        if self.json {
            out::json(&self.checks);
        } else {
            out::print(&format!(
                "\n{} passed, {} to look at, {failed} failed\n",
                count(Outcome::Pass),
                count(Outcome::Warn)
            ));
        }
        if failed == 0 { Exit::Ok } else { Exit::Failed }
    }
}
