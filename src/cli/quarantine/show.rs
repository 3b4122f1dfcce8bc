//! `lazaret quarantine show`: where a case stands.

use serde::Serialize;

use super::{no_case, state};
use crate::{
    cli::{
        exit::{Exit, Trouble},
        out,
    },
    clock::Timestamp,
    ids::{CaseId, Sha256Digest},
    respond::journal::Entry,
    store::{Case, CaseInstance, JournalEntry, Step, Store},
};

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    case: Case,
    steps: Vec<Step>,
    instances: Vec<CaseInstance>,
    evidence: Vec<(String, Sha256Digest)>,
    journal: Vec<JournalEntry>,
}

pub(super) async fn show(store: &Store, id: &CaseId, json: bool) -> Result<Exit, Trouble> {
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
    if let Some(group) = &case.held_group {
        text.push_str(&format!(
            "  group   {group} (`lazaret quarantine show {group}`)\n"
        ));
    }
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
