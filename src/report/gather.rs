//! From the store to a report.

use std::collections::BTreeMap;

use lazaret_attest::verdict::Verdict;

use crate::clock::Timestamp;
use crate::ids::{CaseId, InstanceId};
use crate::respond::PlannedInstance;
use crate::respond::journal::{Entry, plan_of, value};
use crate::respond::plan::{Plan, Recovery};
use crate::respond::steps::MASAKARI_SAYS;
use crate::store::{Case, CaseInstance, CaseState, JournalEntry, Phase, Round, Store, StoreError};

use super::{Condemning, Fate, INTEGRITY, Kept, Moment, Report, after, rotation};

impl Report {
    /// Gathers it from the store, but for how the host stands now; `None` when there is no such case.
    pub async fn gather(store: &Store, id: &CaseId) -> Result<Option<Self>, StoreError> {
        let Some(case) = store.case(id).await? else {
            return Ok(None);
        };
        let mut rounds = Vec::new();
        for (what, id) in [("condemned", case.condemned_by), ("confirmed", case.confirmed_by)] {
            if let Some(round) = store.round(id).await? {
                rounds.push((what, round));
            }
        }
        let journal = store.journal_of(id).await?;
        let instances = store.instances(id).await?;
        let releases = after::releases(store, &case).await?;
        Ok(Some(Self {
            releases,
            ..Self::of(&case, &rounds, &journal, &instances)
        }))
    }

    /// The report of these records.
    fn of(
        case: &Case,
        rounds: &[(&str, Round)],
        journal: &[JournalEntry],
        instances: &[CaseInstance],
    ) -> Self {
        let plan = plan_of(case, journal);
        let (state, reason) = match &case.state {
            CaseState::Open => ("open", None),
            CaseState::Held { reason } => ("held", Some(reason)),
            CaseState::Stuck { reason } => ("stuck", Some(reason)),
            CaseState::Closed { reason } => ("closed", Some(reason)),
        };
        Self {
            format: 1,
            case: case.id.clone(),
            host: case.host.clone(),
            state: state.to_owned(),
            reason: reason.cloned(),
            mode: case.mode.as_str().to_owned(),
            cause: case.cause.clone(),
            opened_at: case.opened_at,
            closed_at: case.closed_at,
            approved_by: case.approved_by.clone(),
            integrity: INTEGRITY.to_owned(),
            findings: findings(rounds),
            timeline: timeline(case, rounds, journal),
            recovery: plan.as_ref().map(recovery),
            warnings: plan.map(|plan| plan.warnings).unwrap_or_default(),
            instances: {
                let says = masakari_says(journal);
                instances.iter().map(|known| fate(known, &says)).collect()
            },
            evidence: rounds
                .iter()
                .filter_map(|(what, round)| {
                    Some(Kept {
                        what: (*what).to_owned(),
                        round: round.id,
                        at: round.finished_at,
                        sha256: round.evidence?,
                    })
                })
                .collect(),
            replay: format!(
                "lazaret quarantine evidence {} -o DIR && lazaret verify-host --replay DIR/{}-confirmed.bundle",
                case.id, case.host
            ),
            rotate: rotation::credentials(),
            undone: after::undone(journal),
            releases: Vec::new(),
            now: None,
        }
    }
}

/// The findings of both rounds, each once, what condemns first.
fn findings(rounds: &[(&str, Round)]) -> Vec<Condemning> {
    let mut all: Vec<lazaret_attest::finding::Finding> = Vec::new();
    for (_, round) in rounds {
        for finding in value::<Vec<lazaret_attest::finding::Finding>>(&round.findings).unwrap_or_default() {
            if !all.contains(&finding) {
                all.push(finding);
            }
        }
    }
    all.sort_by_key(|finding| finding.gravity != Verdict::Contraindicated);
    all.into_iter()
        .map(|finding| Condemning {
            code: finding.code.as_str().to_owned(),
            subject: finding.subject,
            expected: finding.expected,
            found: finding.found,
            gravity: finding.gravity.as_str().to_owned(),
            meaning: finding.code.meaning().to_owned(),
            remedy: finding.code.remedy().to_owned(),
        })
        .collect()
}

fn timeline(case: &Case, rounds: &[(&str, Round)], journal: &[JournalEntry]) -> Vec<Moment> {
    let begin = rounds
        .iter()
        .map(|(_, round)| round.finished_at)
        .min()
        .unwrap_or(case.opened_at);
    let moment = |at: Timestamp, step: &str, kind: &str, what: String| Moment {
        at,
        seconds: begin_to(begin, at),
        step: step.to_owned(),
        kind: kind.to_owned(),
        what,
    };
    let mut moments: Vec<Moment> = rounds
        .iter()
        .map(|(what, round)| {
            let words = format!("{} {what}: verdict {}", case.host, round.verdict);
            moment(round.finished_at, "evidence", "done", words)
        })
        .collect();
    moments.push(moment(
        case.opened_at,
        "case",
        "done",
        format!("case {} opened: {}", case.id, case.cause),
    ));
    for entry in journal {
        let kind = match entry.phase {
            // What came of a step is told by the step; the journal has each request.
            Phase::Before | Phase::Intent | Phase::Effect => continue,
            Phase::After => "done",
            Phase::Note => "note",
            Phase::Error => "trouble",
        };
        let (step, what) = match entry.step.as_str() {
            "" => ("case", of_case(entry)),
            step => (step, Entry::read(&entry.detail).says),
        };
        if !what.is_empty() {
            moments.push(moment(entry.at, step, kind, what));
        }
    }
    moments.sort_by_key(|moment| moment.at);
    moments
}

/// What the store notes about the case itself.
fn of_case(entry: &JournalEntry) -> String {
    let noted: serde_json::Value = value(&entry.detail).unwrap_or_default();
    let word = |key: &str| noted.get(key).and_then(serde_json::Value::as_str);
    match (word("state"), word("approved_by"), word("reason")) {
        (_, Some(by), _) => format!("let go on by {by}"),
        (Some(state), None, Some(reason)) => format!("{state}: {reason}"),
        _ => Entry::read(&entry.detail).says,
    }
}

fn begin_to(begin: Timestamp, at: Timestamp) -> f64 {
    at.since(begin).as_secs_f64()
}

fn recovery(plan: &Plan) -> String {
    match &plan.recovery {
        Recovery::Masakari { because, .. } => format!("by Masakari: {because}"),
        Recovery::Nova { because, .. } => format!("by nova, instance by instance: {because}"),
    }
}

/// What Masakari said of each instance, the last time that it was asked.
fn masakari_says(journal: &[JournalEntry]) -> BTreeMap<InstanceId, String> {
    let said = journal.iter().rev().find_map(|entry| {
        let seen = Entry::read(&entry.detail).seen?;
        serde_json::from_value(seen.get(MASAKARI_SAYS)?.clone()).ok()
    });
    said.unwrap_or_default()
}

fn fate(instance: &CaseInstance, masakari: &BTreeMap<InstanceId, String>) -> Fate {
    let planned = PlannedInstance::read(instance);
    Fate {
        id: instance.id,
        name: instance.name.clone(),
        project: instance.project.clone(),
        was_on: instance.source.clone(),
        is_on: match instance.state.as_str() {
            "gone" => None,
            _ => Some(
                instance
                    .destination
                    .clone()
                    .unwrap_or_else(|| instance.source.clone()),
            ),
        },
        planned: instance.fate.clone(),
        state: instance.state.clone(),
        disk: match (planned, instance.state.as_str()) {
            (None, _) => "not known".to_owned(),
            (Some(_), "gone") => "deleted with its instance".to_owned(),
            (Some(planned), "moved" | "failed") => planned.data.meaning().to_owned(),
            (Some(_), _) => "untouched, where it was".to_owned(),
        },
        detail: instance.detail.clone(),
        migration: instance.migration.clone(),
        masakari: masakari.get(&instance.id).cloned(),
    }
}

#[cfg(test)]
pub(super) mod tests;
