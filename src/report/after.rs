//! What came after a quarantine: what others undid of it, how the host was asked back, and how it stands now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{CaseId, CaseKind, RoundId};
use crate::respond::holddown::ROOM;
use crate::respond::journal::Entry;
use crate::respond::release::{Attested, ReleasePlan};
use crate::store::{Case, CaseFilter, CaseState, ItemState, JournalEntry, ReleaseItem, Store, StoreError};

/// Something that others undid while the host was kept out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undone {
    /// When it was found.
    pub at: Timestamp,
    /// What was found, in words.
    pub what: String,
    /// Who did it, as far as an API says so.
    pub who: Option<String>,
    /// `found`, `put-back`, `failed`, `left` or `gone`.
    pub state: String,
    /// When it was put back, or went by itself.
    pub ended_at: Option<Timestamp>,
}

/// How the host was asked back once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The release's own case.
    pub case: CaseId,
    /// `open`, `held`, `stuck` or `closed`.
    pub state: String,
    /// Why it stands there, or how it ended.
    pub reason: Option<String>,
    /// Who asked for it.
    pub asked_by: String,
    /// When.
    pub asked_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Whether another person had to agree.
    pub second_person: bool,
    /// Who did.
    pub agreed: Option<Settled>,
    /// What people had to do first.
    pub items: Vec<Settled>,
    /// The verdict that it rests on.
    pub verdict: Option<Verdict>,
}

/// Something that people had to do, and who did or waived it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settled {
    /// Its name.
    pub item: String,
    /// `ticked`, `waived` or `missing`.
    pub state: String,
    /// By whom.
    pub by: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
    /// Why it was waived.
    pub because: Option<String>,
}

/// A verdict that a release rests on, or is refused by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The verdict.
    pub verdict: String,
    /// The round that gave it.
    pub round: RoundId,
    /// When it began.
    pub at: Timestamp,
}

/// How the host stands as the report is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// When the report was written.
    pub at: Timestamp,
    /// Whether the host is enrolled.
    pub enrolled: bool,
    /// Whether this case keeps it out.
    pub quarantined: bool,
    /// Its last verdict, from whatever round.
    pub verdict: Option<Verdict>,
    /// How old that is, in seconds, without the jumps of a clock that was set.
    pub age_s: Option<u64>,
    /// Whether that is older than the schedule allows: nothing is known of the host then.
    pub stale: bool,
}

impl Standing {
    /// In one line.
    pub(super) fn words(&self) -> String {
        if !self.enrolled {
            return "It is not enrolled any more.".to_owned();
        }
        let kept = match self.quarantined {
            true => "This case keeps it out.",
            false => "This case does not keep it out any more.",
        };
        let Some(last) = &self.verdict else {
            return format!("{kept} It was never attested.");
        };
        let stale = match self.stale {
            true => "STALE: older than its schedule allows",
            false => "as fresh as its schedule",
        };
        let age = self.age_s.unwrap_or_default();
        format!(
            "{kept} Its last verdict is {}, of round {} at {}, {age} s ago ({stale}).",
            last.verdict, last.round, last.at
        )
    }
}

/// What was undone, from the case's journal.
pub(super) fn undone(journal: &[JournalEntry]) -> Vec<Undone> {
    let mut all: Vec<Undone> = Vec::new();
    // The place of what has not ended yet.
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    for entry in journal.iter().filter(|entry| entry.step == ROOM) {
        let read = Entry::read(&entry.detail);
        let word = |key: &str| read.seen.as_ref()?.get(key)?.as_str().map(str::to_owned);
        let (Some(drift), Some(state)) = (word("drift"), word("is")) else {
            continue;
        };
        let place = *open.entry(drift.clone()).or_insert_with(|| {
            all.push(Undone {
                at: entry.at,
                what: word("what").unwrap_or_else(|| read.says.clone()),
                who: word("who"),
                state: String::new(),
                ended_at: None,
            });
            all.len().saturating_sub(1)
        });
        let ended = matches!(state.as_str(), "put-back" | "gone");
        if let Some(known) = all.get_mut(place) {
            known.state = state;
            known.ended_at = ended.then_some(entry.at);
        }
        if ended {
            open.remove(&drift);
        }
    }
    all
}

/// How the host of a quarantine was asked back, oldest first.
pub(super) async fn releases(store: &Store, quarantine: &Case) -> Result<Vec<Release>, StoreError> {
    let filter = CaseFilter {
        host: Some(quarantine.host.clone()),
        ..CaseFilter::default()
    };
    let cases = store.cases(&filter).await?;
    let of = |case: &Case| case.kind == CaseKind::Release && case.parent.as_ref() == Some(&quarantine.id);
    let settled = store.release_items(&quarantine.id).await?;
    let mut releases = Vec::new();
    for case in cases.iter().rev().filter(|case| of(case)) {
        let journal = store.journal_of(&case.id).await?;
        let agreed = store.release_items(&case.id).await?;
        releases.push(release(case, &journal, &settled, &agreed));
    }
    Ok(releases)
}

/// One release, from its records.
pub(super) fn release(
    case: &Case,
    journal: &[JournalEntry],
    settled: &[ReleaseItem],
    agreed: &[ReleaseItem],
) -> Release {
    let plan = ReleasePlan::of(case);
    let (reason, verdict) = (case.state.reason().map(str::to_owned), Attested::newest(journal));
    let items = plan.iter().flat_map(|plan| &plan.items);
    Release {
        case: case.id.clone(),
        state: case.state.as_str().to_owned(),
        reason: reason.filter(|_| case.state != CaseState::Open),
        asked_by: plan
            .as_ref()
            .map_or_else(String::new, |plan| plan.asked_by.clone()),
        asked_at: case.opened_at,
        closed_at: case.closed_at,
        second_person: plan.as_ref().is_some_and(|plan| plan.second_person),
        agreed: plan.as_ref().and_then(|plan| plan.second(agreed)).map(known),
        items: items
            .map(|item| {
                let by = settled.iter().find(|known| known.item == item.name);
                by.map_or_else(|| missing(&item.name), known)
            })
            .collect(),
        verdict: verdict.map(|known| Verdict {
            verdict: known.verdict.as_str().to_owned(),
            round: known.round,
            at: known.at,
        }),
    }
}

fn known(item: &ReleaseItem) -> Settled {
    Settled {
        item: item.item.clone(),
        state: match item.state {
            ItemState::Ticked => "ticked",
            ItemState::Waived => "waived",
        }
        .to_owned(),
        by: Some(item.by.clone()),
        at: Some(item.at),
        because: item.because.clone(),
    }
}

fn missing(item: &str) -> Settled {
    Settled {
        item: item.to_owned(),
        state: "missing".to_owned(),
        by: None,
        at: None,
        because: None,
    }
}

#[cfg(test)]
mod tests;
