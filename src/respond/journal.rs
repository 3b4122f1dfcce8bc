//! What the journal of a case holds, as types; and how plans and details become the store's documents.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::permit::Effect;
use crate::store::{Case, JournalEntry, Json, Phase, Step as StoredStep, StepState};

use super::plan::{Plan, Planning};
use super::saga::Step;

/// What an `after`, `error` or `note` entry of a step says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// In words, for people.
    pub says: String,
    /// In values, for machines; what they are depends on the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<serde_json::Value>,
}

impl Entry {
    /// Words only.
    pub fn says(words: impl Into<String>) -> Self {
        Self {
            says: words.into(),
            seen: None,
        }
    }

    /// Words, and what was seen.
    pub fn with<T: Serialize>(words: impl Into<String>, seen: &T) -> Self {
        Self {
            says: words.into(),
            seen: serde_json::to_value(seen).ok(),
        }
    }

    /// An effect on the world: what is about to be done, or came of it.
    pub fn of_effect(effect: &Effect, words: &str) -> Self {
        Self::with(
            format!("{effect}: {words}"),
            &serde_json::json!({ "effect": effect.to_string() }),
        )
    }

    /// A method of fencing that said Off while the host was seen alive.
    pub fn doubting(words: String, method: &str) -> Self {
        Self::with(words, &serde_json::json!({ "doubted": method }))
    }

    /// As the store keeps it.
    pub fn json(&self) -> Json {
        json(self)
    }

    /// Back from the journal; an entry of another writer shows as its own text.
    pub fn read(detail: &Json) -> Self {
        value(detail).unwrap_or_else(|| match detail.as_str() {
            "{}" => Self::says(""),
            other => Self::says(other),
        })
    }
}

/// The effects whose outcome is not known, each with the time at which it was last about to be done: an `intent`
/// that no `effect` follows. The daemon was killed in between, or the answer was lost.
pub fn in_doubt(journal: &[JournalEntry]) -> BTreeMap<String, Timestamp> {
    let mut doubts = BTreeMap::new();
    for entry in journal {
        let seen = Entry::read(&entry.detail).seen;
        let Some(effect) = seen.as_ref().and_then(|seen| seen.get("effect")?.as_str()) else {
            continue;
        };
        match entry.phase {
            Phase::Intent => drop(doubts.insert(effect.to_owned(), entry.at)),
            Phase::Effect => drop(doubts.remove(effect)),
            Phase::Before | Phase::After | Phase::Note | Phase::Error => {}
        }
    }
    doubts
}

/// The methods of fencing whose word was wrong in this case, by name.
pub fn doubted_methods(journal: &[JournalEntry]) -> BTreeSet<String> {
    let doubted = |entry: &JournalEntry| {
        let seen = Entry::read(&entry.detail).seen?;
        Some(seen.get("doubted")?.as_str()?.to_owned())
    };
    journal.iter().filter_map(doubted).collect()
}

/// The steps of a case that did something to its host, or may have: those that are over, and those with an `intent`. To plan,
/// to tell people and to ask the limits does nothing to it.
pub fn touched(steps: &[StoredStep], journal: &[JournalEntry]) -> Vec<String> {
    let harmless = |name: &str| {
        [Step::Plan, Step::Announce]
            .iter()
            .any(|step| step.as_str() == name)
    };
    let acts = |name: &str| {
        let mut entries = journal.iter();
        entries.any(|entry| entry.step == name && entry.phase == Phase::Intent)
    };
    steps
        .iter()
        .filter(|step| !harmless(&step.name))
        .filter(|step| matches!(step.state, StepState::Done | StepState::Skipped) || acts(&step.name))
        .map(|step| step.name.clone())
        .collect()
}

/// The plan of a case: the one that it was opened with, or the one that the step `plan` made later.
pub fn plan_of(case: &Case, journal: &[JournalEntry]) -> Option<Plan> {
    let later = journal
        .iter()
        .rev()
        .filter(|entry| entry.step == Step::Plan.as_str() && entry.phase == Phase::After)
        .find_map(|entry| serde_json::from_value(Entry::read(&entry.detail).seen?).ok());
    later.or_else(|| match value(&case.plan)? {
        Planning::Made(plan) => Some(*plan),
        Planning::Later { .. } => None,
    })
}

/// A value as a document. Our own types have no maps with keys that JSON lacks, so this cannot fail; should it,
/// the document says so rather than vanish.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Json {
    Json::of(value).unwrap_or_else(|error| Json::from(serde_json::json!({ "unwritable": error.to_string() })))
}

/// A document as a value; `None` when it is none.
pub fn value<T: DeserializeOwned>(json: &Json) -> Option<T> {
    json.read().ok()
}
