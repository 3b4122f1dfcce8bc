//! What is looked at when everything had its time.

use std::collections::BTreeSet;

use super::{Broken, dismissed, journals};
use crate::ids::{CaseId, GroupId};
use crate::respond::tests::cloud::name;
use crate::respond::tests::sim::mutants::Mutant;
use crate::respond::tests::sim::world::Sim;
use crate::store::{CaseState, Notification};

/// A host whose case is closed stays off, disabled, forced down, in quarantine and empty, whoever meddled; until somebody
/// has asked for it back.
pub(in crate::respond::tests::sim) fn held_down(sim: &Sim) -> Result<(), Broken> {
    let members = sim.cloud.aggregates.get(&sim.config.quarantine_aggregate);
    for host in 0..sim.list.shape.hosts {
        let known = sim.ask(sim.store.host(&name(host))).unwrap();
        let Some(by) = known.and_then(|known| known.quarantined_by) else {
            continue;
        };
        let case = sim.ask(sim.store.case(&by)).unwrap().unwrap();
        let over = matches!(case.state, CaseState::Closed { .. }) && !dismissed(&case);
        if !over || sim.list.observe || sim.ask(sim.store.unclosed_case(&name(host))).unwrap().is_some() {
            continue;
        }
        let it = &sim.cloud.hosts[usize::from(host)];
        let quarantined = members.is_some_and(|(_, members)| members.contains(&host));
        if it.on || it.enabled || !it.forced_down || !quarantined {
            let words = format!(
                "{} is kept out by case {by}: power {}, enabled {}, forced down {}, in quarantine {quarantined}",
                name(host),
                it.on,
                it.enabled,
                it.forced_down
            );
            return Err(Broken::new("held_down", words));
        }
        let listed = sim.ask(sim.store.instances(&by)).unwrap();
        for (n, guest) in sim.cloud.guests.iter().enumerate() {
            let left = listed.iter().any(|known| {
                known.name == format!("web-{n}") && ["held", "failed"].contains(&known.state.as_str())
            });
            if guest.host == host && !left {
                let words = format!(
                    "{} is kept out by case {by}, and guest {n} is on it: {guest:?}",
                    name(host)
                );
                return Err(Broken::new("held_down", words));
            }
        }
    }
    Ok(())
}

/// What is looked at when everything had its time.
pub(in crate::respond::tests::sim) fn at_the_end(sim: &mut Sim) -> Result<(), Broken> {
    let mut waiting = Vec::new();
    for case in sim.cases() {
        match &case.state {
            CaseState::Closed { .. } => {}
            CaseState::Open if !sim.enforces() => {}
            CaseState::Held { reason } | CaseState::Stuck { reason } if !reason.trim().is_empty() => {
                waiting.push((case.id.clone(), reason.clone(), case.held_group.clone()));
                match &case.state {
                    CaseState::Held { .. } => sim.counts.held += 1,
                    _ => sim.counts.stuck += 1,
                }
            }
            state => {
                let steps = sim.ask(sim.store.steps(&case.id)).unwrap();
                let at = steps
                    .iter()
                    .find(|step| step.finished_at.is_none() || step.note.is_some());
                let words = format!("the case of {} is {state:?} after a day: {at:?}", case.host);
                return Err(Broken::new("ends_or_waits", words));
            }
        }
    }
    let told = sim.ask(sim.store.notifications(100_000)).unwrap();
    let quiet = |event: &Notification| sim.mutant == Mutant::KeepsQuiet && event.kind == "drift";
    let told = told.into_iter().map(|(event, _)| event);
    let told: Vec<Notification> = told.filter(|event| !quiet(event)).collect();
    sim.counts.groups += sim.ask(sim.store.held_groups()).unwrap().len();
    for case in sim.cases() {
        let journal = sim.ask(sim.store.journal_of(&case.id)).unwrap();
        journals::kept(sim, &case, &journal)?;
        journals::drift_is_told(&case, &journal, &told)?;
    }
    told_once(&told, &waiting)
}

/// Each case is told to be open and closed once, and that it waits for a person at least once: by itself, or with the
/// group that it is held in.
fn told_once(told: &[Notification], waiting: &[(CaseId, String, Option<GroupId>)]) -> Result<(), Broken> {
    let mut once = BTreeSet::new();
    let mut stopped = BTreeSet::new();
    for event in told {
        let payload: serde_json::Value = event.payload.read().unwrap_or_default();
        if let Some(group) = payload["group"].as_str() {
            stopped.insert(group.to_owned());
        }
        let Some(case) = payload["case"].as_str().map(str::to_owned) else {
            continue;
        };
        match event.kind.as_str() {
            "case-opened" | "case-closed" | "case-released"
                if !once.insert((case.clone(), event.kind.clone())) =>
            {
                let words = format!("{} of case {case}, and again as {}", event.kind, event.key);
                return Err(Broken::new("told_once", words));
            }
            "case-held" | "case-stuck" => drop(stopped.insert(case)),
            _ => {}
        }
    }
    for (case, reason, group) in waiting {
        let with_group = group
            .as_ref()
            .is_some_and(|group| stopped.contains(&group.to_string()));
        if !with_group && !stopped.contains(case.as_str()) && !reason.starts_with("held by ") {
            let words = format!("case {case} waits for a person, and nobody was told: {reason}");
            return Err(Broken::new("told_once", words));
        }
    }
    Ok(())
}
