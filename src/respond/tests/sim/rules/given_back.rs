//! How a host is given back.

use std::time::Duration;

use lazaret_attest::verdict::Verdict;

use super::acts::Act;
use super::{Broken, dismissed};
use crate::ids::{CaseId, HostName};
use crate::respond::release::SECOND_PERSON;
use crate::respond::tests::cloud::name;
use crate::respond::tests::sim::world::Sim;
use crate::store::{Case, CaseState, Phase};

/// So long may a request be on its way, with all its repetitions, after the verdict was looked at.
const ON_ITS_WAY_MS: u64 = 120_000;

/// Whether a release may do this now.
pub(super) fn allowed(sim: &Sim, release: &Case, act: &Act, words: &str) -> Result<(), Broken> {
    match act {
        Act::On(_) | Act::Restores(_) => asked_before_boot(sim, release, words),
        _ => proven_before_back(sim, release, words),
    }
}

/// A host is booted only when all that it knew is replaced or waived by name, and, where that was asked for, another
/// person has agreed.
fn asked_before_boot(sim: &Sim, release: &Case, words: &str) -> Result<(), Broken> {
    let (Some((wanted, second)), Some(quarantine)) = (sim.book.releases.get(&release.id), &release.parent)
    else {
        return Err(Broken::new(
            "asked_before_boot",
            format!("{words}, which nobody asked for"),
        ));
    };
    let settled = sim.ask(sim.store.release_items(quarantine)).unwrap();
    let missing = wanted
        .iter()
        .find(|item| !settled.iter().any(|known| known.item == **item));
    if let Some(missing) = missing {
        return Err(Broken::new(
            "asked_before_boot",
            format!("{words}, and {missing} is not settled"),
        ));
    }
    let agreed = sim.ask(sim.store.release_items(&release.id)).unwrap();
    let agreed = agreed
        .iter()
        .any(|known| known.item == SECOND_PERSON && known.by != "anna");
    if *second && !agreed {
        return Err(Broken::new(
            "asked_before_boot",
            format!("{words}, and nobody else agreed"),
        ));
    }
    Ok(())
}

/// Nothing that keeps a host out is taken back but after it was judged, for this release, by the policy in force, a short
/// time ago, and really was as it should be.
fn proven_before_back(sim: &Sim, release: &Case, words: &str) -> Result<(), Broken> {
    let host = (0..sim.list.shape.hosts)
        .find(|host| name(*host) == release.host)
        .unwrap();
    let (now, it) = (sim.cloud.now, &sim.cloud.hosts[usize::from(host)]);
    let broken = |why: String| Err(Broken::new("proven_before_back", format!("{words}, {why}")));
    let Some(proof) = sim.book.attested.get(&host) else {
        return broken("which was never judged".to_owned());
    };
    if !proof.clean {
        return broken(format!("which was not as it should be at {} ms", proof.at));
    }
    let age = u64::try_from(sim.config.verdict_age.as_millis()).unwrap();
    if !sim.book.jumped && proof.at + age + ON_ITS_WAY_MS < now {
        return broken(format!("judged {} ms ago", now - proof.at));
    }
    // Somebody may have switched it off and on again since; what is judged anew is seen then.
    if it.on && proof.at < it.power_since && it.power_since + ON_ITS_WAY_MS < now {
        return broken(format!(
            "judged before it was booted, {} ms ago",
            now - it.power_since
        ));
    }
    if sim
        .book
        .policy_since
        .is_some_and(|since| proof.at < since && since + ON_ITS_WAY_MS < now)
    {
        return broken("judged by a policy that is no longer in force".to_owned());
    }
    let last = sim
        .ask(sim.store.host(&release.host))
        .unwrap()
        .and_then(|host| host.last);
    let condemned = last.is_some_and(|last| {
        let begun = last.at.plus(Duration::from_millis(ON_ITS_WAY_MS));
        last.verdict == Verdict::Contraindicated && begun < sim.wall(0)
    });
    if condemned && !sim.book.jumped {
        return broken("which was condemned since".to_owned());
    }
    Ok(())
}

/// A host counts as any other only after all the rest was taken back.
pub(super) fn trust_last(sim: &mut Sim) -> Result<(), Broken> {
    for known in sim.ask(sim.store.hosts()).unwrap() {
        let before = match known.quarantined_by.clone() {
            Some(by) => sim.book.kept_by.insert(known.name().clone(), by),
            None => sim.book.kept_by.remove(known.name()),
        };
        let Some(before) = before.filter(|before| known.quarantined_by.as_ref() != Some(before)) else {
            continue;
        };
        // It may have been condemned anew since.
        if known.quarantined_by.is_none()
            && sim
                .ask(sim.store.unclosed_case(known.name()))
                .unwrap()
                .is_none_or(|case| case.parent.as_ref() == Some(&before))
        {
            is_back(sim, known.name(), &before)?;
        }
    }
    Ok(())
}

fn is_back(sim: &Sim, host: &HostName, quarantine: &CaseId) -> Result<(), Broken> {
    let number = (0..sim.list.shape.hosts)
        .find(|number| name(*number) == *host)
        .unwrap();
    let it = &sim.cloud.hosts[usize::from(number)];
    let members = sim.cloud.aggregates.get(&sim.config.quarantine_aggregate);
    let quarantined = members.is_some_and(|(_, members)| members.contains(&number));
    let ours = it
        .reason
        .as_deref()
        .is_some_and(|reason| reason.contains(quarantine.as_str()));
    // Of a host that nothing was done to, nothing has to be proven.
    let case = sim.ask(sim.store.case(quarantine)).unwrap();
    let journal = sim.ask(sim.store.journal_of(quarantine)).unwrap();
    let untouched = case.is_some_and(|case| dismissed(&case))
        && !journal.iter().any(|entry| entry.phase == Phase::Intent);
    let proven = untouched || sim.book.attested.get(&number).is_some_and(|proof| proof.clean);
    if proven && !it.forced_down && !quarantined && (it.enabled || !ours) {
        return Ok(());
    }
    let words = format!(
        "{host} is no longer kept out: judged {proven}, enabled {} with reason {:?}, forced down {}, in quarantine \
         {quarantined}",
        it.enabled, it.reason, it.forced_down
    );
    Err(Broken::new("trust_last", words))
}

/// Whether a release came to its end, and not to a refusal.
pub(super) fn is_given_back(release: &Case) -> bool {
    let outcome = release.outcome.as_ref();
    matches!(release.state, CaseState::Closed { .. })
        && outcome.is_some_and(|outcome| outcome.as_str().contains("\"released\":true"))
}
