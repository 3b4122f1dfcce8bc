//! Quarantine reports for people: what condemned a host, what was done, what became of each instance, what to rotate.

mod after;
mod gather;
mod html;
mod markdown;
mod rotation;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{CaseId, HostName, InstanceId, RoundId, Sha256Digest};

pub use after::{Release, Settled, Standing, Undone, Verdict};
pub use rotation::{Credential, credentials};

/// What the whole recovery can and cannot promise.
pub const INTEGRITY: &str = "Recovered, integrity unknown. The instances were rebuilt from storage that the condemned \
     host could write to until it was powered off. What it wrote there is not known.";

/// Everything that is known about one case, ready to be written. Only [`Report::now`] is of the time at which it is written:
/// for the rest, the same case gives the same report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The version of this shape.
    pub format: u32,
    /// The case.
    pub case: CaseId,
    /// The host.
    pub host: HostName,
    /// `open`, `held`, `stuck` or `closed`.
    pub state: String,
    /// Why it stands there, or how it ended.
    pub reason: Option<String>,
    /// `observe` or `enforce`.
    pub mode: String,
    /// What condemned the host, in one line.
    pub cause: String,
    /// When the case was opened.
    pub opened_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Who let it go on, when a person was waited for.
    pub approved_by: Option<String>,
    /// What the recovery can and cannot promise.
    pub integrity: String,
    /// What condemned the host.
    pub findings: Vec<Condemning>,
    /// What happened, with the seconds since the first evidence.
    pub timeline: Vec<Moment>,
    /// Who rebuilt the instances, and why so.
    pub recovery: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Each instance.
    pub instances: Vec<Fate>,
    /// The evidence, by its digest.
    pub evidence: Vec<Kept>,
    /// How the evidence is appraised again, offline.
    pub replay: String,
    /// What the host knew, and has to be replaced.
    pub rotate: Vec<Credential>,
    /// What others undid while the host was kept out.
    #[serde(default)]
    pub undone: Vec<Undone>,
    /// How the host was asked back, oldest first.
    #[serde(default)]
    pub releases: Vec<Release>,
    /// How the host stands as this is written.
    #[serde(default)]
    pub now: Option<Standing>,
}

/// One finding that condemned the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condemning {
    /// Its stable code.
    pub code: String,
    /// The PCR, log entry or path.
    pub subject: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// What was there.
    pub found: Option<String>,
    /// How grave it is.
    pub gravity: String,
    /// What it means, in words.
    pub meaning: String,
    /// What to do about it, in words.
    pub remedy: String,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// Seconds since the first evidence.
    pub seconds: f64,
    /// The step, or `evidence`, or `case`.
    pub step: String,
    /// `done`, `note` or `trouble`.
    pub kind: String,
    /// What happened, in words.
    pub what: String,
}

/// What became of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fate {
    /// The instance.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// The project that owns it.
    pub project: String,
    /// Where it was.
    pub was_on: HostName,
    /// Where it is.
    pub is_on: Option<HostName>,
    /// `evacuate` or `hold`, as planned.
    pub planned: String,
    /// `waiting`, `moving`, `moved`, `gone`, `held` or `failed`.
    pub state: String,
    /// What became of its disk, in words.
    pub disk: String,
    /// Why, or what to do.
    pub detail: Option<String>,
    /// nova's migration record.
    pub migration: Option<String>,
    /// What Masakari says of it, where it was asked; nova's record decides.
    pub masakari: Option<String>,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// `condemned` or `confirmed`.
    pub what: String,
    /// The round that brought it.
    pub round: RoundId,
    /// When its verdict was there.
    pub at: Timestamp,
    /// Its SHA-256.
    pub sha256: Sha256Digest,
}

impl Report {
    /// As JSON, indented.
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_else(|error| format!("\"{error}\""));
        text.push('\n');
        text
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        markdown::write(self)
    }

    /// As one self-contained HTML page.
    pub fn html(&self) -> String {
        html::write(self)
    }

    /// Instances in a state.
    fn count(&self, state: &str) -> usize {
        self.instances
            .iter()
            .filter(|instance| instance.state == state)
            .count()
    }

    /// Seconds from the first evidence to the end of a step.
    fn seconds_to(&self, step: &str) -> Option<f64> {
        let done = |moment: &&Moment| moment.step == step && moment.kind == "done";
        self.timeline.iter().find(done).map(|moment| moment.seconds)
    }
}
