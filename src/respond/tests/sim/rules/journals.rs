//! What the journals of cases must say.

use std::collections::BTreeSet;

use super::{Broken, Lull};
use crate::clock::Timestamp;
use crate::respond::holddown::ROOM;
use crate::respond::journal::Entry;
use crate::respond::tests::cloud::name;
use crate::respond::tests::sim::world::Sim;
use crate::store::{Case, JournalEntry, LeaseKind, Notification, Phase};

/// An effect, and the case that announced it.
pub(super) struct Announced {
    pub(super) case: Case,
    pub(super) journal: Vec<JournalEntry>,
    /// The step that announced it, or the hold-down's room.
    pub(super) step: String,
}

impl Announced {
    /// When a step was first begun.
    pub(super) fn began(&self, step: &str) -> Option<Timestamp> {
        let begins = |entry: &&JournalEntry| entry.step == step && entry.phase == Phase::Before;
        self.journal.iter().find(begins).map(|entry| entry.at)
    }
}

/// The cases that may act on a host: the unclosed one, and the one that keeps it out.
fn cases_of(sim: &Sim, host: Option<u8>) -> Vec<Case> {
    let mut found = Vec::new();
    for host in (0..sim.list.shape.hosts).filter(|known| host.is_none_or(|host| host == *known)) {
        let unclosed = sim.ask(sim.store.unclosed_case(&name(host))).unwrap();
        let known = sim.ask(sim.store.host(&name(host))).unwrap();
        let by = known.and_then(|known| known.quarantined_by);
        let by = by.and_then(|by| sim.ask(sim.store.case(&by)).unwrap());
        let other = |by: &Case| unclosed.as_ref().is_none_or(|case| case.id != by.id);
        found.extend(by.filter(other));
        found.extend(unclosed);
    }
    found
}

/// Each effect was announced in the journal of its case before, by whoever holds the case's lease now; and in one epoch
/// only one process acts.
pub(super) fn announced(sim: &mut Sim, host: Option<u8>, words: &str) -> Result<Announced, Broken> {
    let of_it = |detail: &crate::store::Json| {
        Entry::read(detail)
            .seen
            .is_some_and(|seen| seen["effect"].as_str() == Some(words))
    };
    let mut lost = None;
    for case in cases_of(sim, host) {
        let journal = sim.ask(sim.store.journal_of(&case.id)).unwrap();
        let last = journal.iter().rev().find(|entry| of_it(&entry.detail));
        let Some(intent) = last.filter(|entry| entry.phase == Phase::Intent) else {
            continue;
        };
        let (seen, step) = (intent.epoch, intent.step.clone());
        let epoch = sim
            .ask(sim.store.epoch(&LeaseKind::Case(case.id.clone())))
            .unwrap();
        if seen != epoch {
            lost = Some(format!("{words} in epoch {seen} while the lease is in {epoch}"));
            continue;
        }
        let running = sim.running;
        let actor = *sim.book.actors.entry((case.id.clone(), epoch)).or_insert(running);
        if actor != running {
            let words = format!(
                "{words} by process {running} in epoch {epoch} of {}, which is {actor}'s",
                case.id
            );
            return Err(Broken::new("one_lease", words));
        }
        return Ok(Announced { case, journal, step });
    }
    Err(match lost {
        Some(words) => Broken::new("one_lease", words),
        None => Broken::new("journal_ahead", format!("{words}, which no journal announces")),
    })
}

/// Nothing is begun while the case waits for a person, nor while its host is left alone. What had begun may finish.
pub(super) fn kept(sim: &Sim, case: &Case, journal: &[JournalEntry]) -> Result<(), Broken> {
    let approvals = sim.book.approvals.get(&case.id).copied().unwrap_or_default();
    let none = Vec::new();
    let lulls = sim.book.lulls.get(&case.id).unwrap_or(&none);
    let within = |lull: &Lull, seq: i64| seq > lull.from && lull.to.is_none_or(|to| seq <= to);
    let mut waits = sim.book.born_held.contains(&case.id);
    let (mut let_go, mut running) = (0, false);
    // What the hold-down put back in each pause: one thing may have been under way.
    let mut kinds: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); lulls.len()];
    for entry in journal {
        let seen = || {
            format!(
                "case {}, entry {}: {:?} of {}",
                case.id, entry.seq, entry.phase, entry.step
            )
        };
        if entry.step.is_empty() {
            let detail: serde_json::Value = entry.detail.read().unwrap_or_default();
            match detail["state"].as_str() {
                Some("held" | "stuck") => waits = true,
                Some("open") => {
                    let_go += 1;
                    waits &= let_go > approvals;
                }
                _ => {}
            }
        }
        match entry.phase {
            Phase::Before if waits => return Err(Broken::new("held_does_nothing", seen())),
            Phase::Before if lulls.iter().any(|lull| within(lull, entry.seq)) => {
                return Err(Broken::new("nothing_begins_in_a_pause", seen()));
            }
            Phase::Before => running = true,
            Phase::After | Phase::Error => running = false,
            Phase::Intent if entry.step == ROOM => {
                for (lull, kinds) in lulls.iter().zip(&mut kinds) {
                    if within(lull, entry.seq) {
                        kinds.insert(kind_of(&entry.detail));
                    }
                    if kinds.len() > 1 {
                        let words = format!("{}: {kinds:?}", seen());
                        return Err(Broken::new("nothing_begins_in_a_pause", words));
                    }
                }
            }
            Phase::Intent if waits && !running => return Err(Broken::new("held_does_nothing", seen())),
            Phase::Intent | Phase::Effect | Phase::Note => {}
        }
    }
    Ok(())
}

/// Which of the steps an effect of the hold-down belongs to.
fn kind_of(detail: &crate::store::Json) -> &'static str {
    let seen = Entry::read(detail).seen.unwrap_or_default();
    match seen["effect"].as_str().unwrap_or_default().split(' ').next() {
        Some("disable") => "disable",
        Some("add" | "make") => "isolate",
        Some("power") => "fence",
        Some("force") => "force down",
        Some("remove") => "strays",
        _ => "evacuate",
    }
}

/// People were told of each drift that is said to have been found, and of each that was put back before it was.
pub(super) fn drift_is_told(
    case: &Case,
    journal: &[JournalEntry],
    told: &[Notification],
) -> Result<(), Broken> {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for entry in journal.iter().filter(|entry| entry.step == ROOM) {
        let seen = Entry::read(&entry.detail).seen.unwrap_or_default();
        let (Some(drift), Some(word)) = (seen["drift"].as_str(), seen["is"].as_str()) else {
            continue;
        };
        let broken = |why: &str| {
            let words = format!("case {}: {drift} {word} at {}, {why}", case.id, entry.at);
            Err(Broken::new("drift_is_told", words))
        };
        match word {
            "found" | "left" => {
                let key = format!("case {} drift {drift} {word} at {}", case.id, entry.at);
                if !told.iter().any(|event| event.key == key) {
                    return broken("and nobody was told");
                }
                known.insert(drift.to_owned());
            }
            "failed" => drop(known.insert(drift.to_owned())),
            // A write of another tool moves nova's row: looked into, and told only where it was more.
            "put-back" if drift != "stirs" && !known.remove(drift) => {
                return broken("which nobody was told of before");
            }
            "gone" => drop(known.remove(drift)),
            _ => {}
        }
    }
    Ok(())
}
