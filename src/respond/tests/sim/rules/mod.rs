//! What must hold, whatever happens: each rule with its name, looked at on the truth of the model and in the store.
//!
//! | rule | what it says |
//! | --- | --- |
//! | `fence_first` | forced down, told to Masakari, evacuated: only after this very process saw the host off |
//! | `never_evacuated_twice`, `never_on_two_hosts`, `groups_one_by_one`, `down_means_disabled` | the model's own |
//! | `within_limits`, `keeps_hosts` | never above a limit, but for what a person approved |
//! | `shared_cause_waits` | no host is switched off whose cause was shared by too many before |
//! | `silence_never_fences` | switched off is only what was rooted in two rounds; for silence a host is disabled, no more |
//! | `observe_touches_nothing`, `only_known_effects` | as they say |
//! | `journal_ahead`, `one_lease` | announced by the case's journal, in the epoch of its lease, by one process |
//! | `held_does_nothing`, `nothing_begins_in_a_pause` | a step that has begun may finish |
//! | `asked_before_boot`, `proven_before_back`, `trust_last` | a host is given back in this order only |
//! | `closed_means_out`, `held_down` | out at the close, and still, or again, at the end |
//! | `drift_is_told`, `told_once` | nothing is put back in silence; cases are told once |
//! | `ends_or_waits`, `one_case_for_a_host`, `no_runaway`, `no_panic` | as they say |

mod acts;
mod ends;
mod given_back;
mod journals;

use std::collections::{BTreeMap, BTreeSet};

use super::world::Sim;
use crate::clock::Timestamp;
use crate::ids::{CaseId, CaseKind, HostName, RoundId};
use crate::respond::holddown::ROOM;
use crate::respond::tests::cloud::{Request, name};
use crate::store::{Case, CaseState, Phase};

use acts::{Act, act};
use journals::Announced;

pub(super) use ends::{at_the_end, held_down};

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) rule: &'static str,
    pub(super) words: String,
}

impl Broken {
    pub(super) fn new(rule: &'static str, words: String) -> Self {
        Self { rule, words }
    }
}

/// A pause, as the journal of one case sees it: which entries are in it.
#[derive(Debug, Clone)]
pub(super) struct Lull {
    pub(super) host: Option<u8>,
    /// In true time.
    pub(super) until: u64,
    /// The last entry before it.
    pub(super) from: i64,
    /// The last entry in it, once it is over.
    pub(super) to: Option<i64>,
}

/// What a release was told of a host, and what it really was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proof {
    pub(super) at: u64,
    pub(super) clean: bool,
}

/// What the rules remember.
#[derive(Default)]
pub(super) struct Book {
    /// Each round, and by what the host was really rooted then.
    pub(super) rounds: BTreeMap<RoundId, Option<u8>>,
    /// When somebody else last meddled with a host.
    pub(super) touched: BTreeMap<u8, u64>,
    /// A clock was put forward or back.
    pub(super) jumped: bool,
    /// Pauses, by case.
    pub(super) lulls: BTreeMap<CaseId, Vec<Lull>>,
    /// The newest that a release was told of each host.
    pub(super) attested: BTreeMap<u8, Proof>,
    /// Since when the policy is in force, if it was changed.
    pub(super) policy_since: Option<u64>,
    /// What people wanted to be asked for before each release, and whether another person has to agree.
    pub(super) releases: BTreeMap<CaseId, (Vec<String>, bool)>,
    /// How often a person let each case go on.
    approvals: BTreeMap<CaseId, usize>,
    /// Which process acted in each epoch of a case.
    actors: BTreeMap<(CaseId, i64), usize>,
    /// Which quarantine keeps each host out.
    kept_by: BTreeMap<HostName, CaseId>,
    /// Cases that were held as they were opened.
    born_held: BTreeSet<CaseId>,
    /// When each case was first seen, and whether it was seen closed.
    cases: BTreeMap<CaseId, (u64, bool)>,
    /// Cases that had power switched off, unapproved: when they were opened, by the daemon's clock and in truth.
    fenced: BTreeMap<CaseId, (Timestamp, u64)>,
    /// A process began after a clock had been set: what was before its beginning it cannot date.
    pub(super) misled: bool,
}

impl Book {
    /// A person let the case go on.
    pub(super) fn approved(&mut self, case: &CaseId) {
        *self.approvals.entry(case.clone()).or_default() += 1;
    }
}

/// Something that changes the world was sent just now.
pub(super) fn sent(sim: &mut Sim, request: &Request) -> Result<(), Broken> {
    let Some((act, words)) = act(sim, request) else {
        let words = format!(
            "{} {} {}: {}",
            request.method, request.at, request.path, request.body
        );
        return Err(Broken::new("only_known_effects", words));
    };
    let host = match &act {
        Act::Disable(host)
        | Act::ForceDown(host)
        | Act::Notify(host)
        | Act::Off(host)
        | Act::On(host)
        | Act::Restores(host)
        | Act::Other(host) => Some(*host),
        Act::Evacuate(guest) => sim.cloud.guests.get(*guest).map(|guest| guest.host),
        Act::Anybodys => None,
    };
    observe_touches_nothing(sim, &words)?;
    if let Act::ForceDown(host) | Act::Notify(host) = act {
        fence_first(sim, host, &words)?;
    }
    if let (Act::Evacuate(_), Some(host)) = (&act, host) {
        fence_first(sim, host, &words)?;
        sim.counts.evacuations += 1;
    }
    let announced = journals::announced(sim, host, &words)?;
    let (case, room) = (&announced.case, announced.step == ROOM);
    if room {
        sim.counts.repairs += 1;
    }
    journals::kept(sim, case, &announced.journal)?;
    match case.kind {
        CaseKind::Unschedule | CaseKind::Reschedule if act.is_harsh() => {
            return Err(Broken::new(
                "silence_never_fences",
                format!("{words} by case {}", case.id),
            ));
        }
        CaseKind::Release => return given_back::allowed(sim, case, &act, &words),
        _ => {}
    }
    match act {
        Act::Off(_) => {
            sim.counts.fences += 1;
            silence_never_fences(sim, case)?;
            if room {
                return Ok(());
            }
            shared_cause_waits(sim, &announced)?;
            within_limits(sim, case)
        }
        Act::Disable(host) if !room => keeps_hosts(sim, host, case),
        _ => Ok(()),
    }
}

/// In mode `observe` nothing is touched.
fn observe_touches_nothing(sim: &Sim, words: &str) -> Result<(), Broken> {
    match sim.list.observe {
        false => Ok(()),
        true => Err(Broken::new("observe_touches_nothing", words.to_owned())),
    }
}

/// A host is forced down, evacuated, and told of to Masakari only while it is off, and after this very process saw it
/// off by all three signals. A host that somebody powered on since is off until nova could tell.
fn fence_first(sim: &Sim, host: u8, words: &str) -> Result<(), Broken> {
    let it = &sim.cloud.hosts[usize::from(host)];
    let unseen = it.came_back.is_some() && !it.back_is_told;
    if it.on && !unseen {
        return Err(Broken::new(
            "fence_first",
            format!("{words} while {} runs", name(host)),
        ));
    }
    if !it.on {
        let seen = it.seen.get(&sim.running).copied().unwrap_or_default();
        if seen.off < 2 || seen.heartbeat < 2 || seen.agent < 2 {
            let words = format!("{words}, though it saw {} off only so: {seen:?}", name(host));
            return Err(Broken::new("fence_first", words));
        }
    }
    Ok(())
}

/// Power is switched off only after two rounds of a host that is really rooted.
fn silence_never_fences(sim: &Sim, case: &Case) -> Result<(), Broken> {
    let rooted = |round: &RoundId| matches!(sim.book.rounds.get(round), Some(Some(_)));
    if rooted(&case.condemned_by) && rooted(&case.confirmed_by) && case.condemned_by != case.confirmed_by {
        return Ok(());
    }
    Err(Broken::new(
        "silence_never_fences",
        format!("{} is switched off", case.host),
    ))
}

/// When a host is switched off that nobody approved, too few hosts had the same cause before its fence began.
fn shared_cause_waits(sim: &Sim, announced: &Announced) -> Result<(), Broken> {
    let case = &announced.case;
    let cause = |case: &Case| sim.book.rounds.get(&case.confirmed_by).copied().flatten();
    let (Some(mine), Some(began)) = (cause(case), announced.began("fence")) else {
        return Ok(());
    };
    if sim.book.jumped || case.approved_by.is_some() {
        return Ok(());
    }
    let since = began.minus(sim.config.window);
    let alike: BTreeSet<HostName> = sim
        .cases()
        .into_iter()
        .filter(|other| other.kind == CaseKind::Quarantine && cause(other) == Some(mine))
        .filter(|other| other.id == case.id || (other.opened_at > since && other.opened_at < began))
        .map(|other| other.host)
        .collect();
    if alike.len() < usize::try_from(sim.config.brake_hosts).unwrap() {
        return Ok(());
    }
    let words = format!("{} is switched off, and {alike:?} have its cause", case.host);
    Err(Broken::new("shared_cause_waits", words))
}

/// How late a case is seen by the harness, at most.
const SEEN_LATE_MS: u64 = 600_000;

/// Of the cases that nobody approved, no more were fenced than the limit allows in its window.
fn within_limits(sim: &mut Sim, case: &Case) -> Result<(), Broken> {
    if case.approved_by.is_some() {
        return Ok(());
    }
    let truth = sim.book.cases.get(&case.id).map_or(sim.cloud.now, |(at, _)| *at);
    sim.book.fenced.insert(case.id.clone(), (case.opened_at, truth));
    let window = sim.config.window;
    let since = case.opened_at.minus(window);
    let within = |counts: &dyn Fn(&(Timestamp, u64)) -> bool| {
        let count = sim.book.fenced.values().filter(|opened| counts(opened)).count();
        if count > usize::try_from(sim.config.max_cases).unwrap() {
            let words = format!("{count} hosts switched off within {window:?} of cases, unasked");
            return Err(Broken::new("within_limits", words));
        }
        Ok(())
    };
    within(&|(at, _)| *at > since && *at <= case.opened_at)?;
    if sim.book.misled {
        return Ok(());
    }
    // Whatever the clocks say. A case is seen a while after it is opened.
    let window = u64::try_from(window.as_millis())
        .unwrap()
        .saturating_sub(SEEN_LATE_MS);
    within(&|(_, at)| at + window > truth && *at <= truth)
}

/// A host is disabled only when enough others can take instances; what others took away since is not ours.
fn keeps_hosts(sim: &Sim, host: u8, case: &Case) -> Result<(), Broken> {
    let opened = sim.book.cases.get(&case.id).map_or(sim.cloud.now, |(at, _)| *at);
    let mine = sim.cloud.hosts[usize::from(host)].takes(sim.cloud.now);
    if case.approved_by.is_some() || !mine || sim.cloud.shrank_at.is_some_and(|at| at + 60_000 >= opened) {
        return Ok(());
    }
    let others = sim
        .cloud
        .hosts
        .iter()
        .enumerate()
        .filter(|(n, it)| *n != usize::from(host) && it.takes(sim.cloud.now));
    let others = others.count();
    if others < usize::try_from(sim.config.keep_hosts).unwrap() {
        let words = format!("{} is disabled, and {others} others are left", name(host));
        return Err(Broken::new("keeps_hosts", words));
    }
    Ok(())
}

/// What is looked at after each op.
pub(super) fn after(sim: &mut Sim) -> Result<(), Broken> {
    let now = sim.cloud.now;
    let mut unclosed = BTreeSet::new();
    for case in sim.cases() {
        let closed = matches!(case.state, CaseState::Closed { .. });
        if !sim.book.cases.contains_key(&case.id) {
            sim.counts.silences += usize::from(case.kind == CaseKind::Unschedule);
            if matches!(case.state, CaseState::Held { .. }) && case.holds.is_some() {
                // Or has it held itself since?
                let journal = sim.ask(sim.store.journal_of(&case.id)).unwrap();
                if journal.iter().all(|entry| entry.phase != Phase::Before) {
                    sim.book.born_held.insert(case.id.clone());
                }
            }
        }
        let known = sim.book.cases.entry(case.id.clone()).or_insert((now, false));
        let (opened, was_closed) = *known;
        known.1 = closed;
        if closed && !was_closed {
            sim.counts.closed += 1;
            match case.kind {
                CaseKind::Quarantine if !dismissed(&case) => closed_means_out(sim, &case, opened)?,
                CaseKind::Release if given_back::is_given_back(&case) => sim.counts.released += 1,
                CaseKind::Release => sim.counts.refused += 1,
                _ => {}
            }
        }
        if !closed && !unclosed.insert(case.host.clone()) {
            let words = format!("{} has two", case.host);
            return Err(Broken::new("one_case_for_a_host", words));
        }
    }
    sim.counts.cases = sim.book.cases.len();
    given_back::trust_last(sim)
}

/// A person ended it before it came to its own end.
fn dismissed(case: &Case) -> bool {
    let outcome = case.outcome.as_ref();
    outcome.is_some_and(|outcome| outcome.as_str().contains("dismissed_by"))
}

/// When a case is closed, its host is off, out of nova's service, in quarantine, and empty but for what is left for a
/// person; unless somebody meddled meanwhile.
fn closed_means_out(sim: &Sim, case: &Case, opened: u64) -> Result<(), Broken> {
    let host = (0..sim.list.shape.hosts)
        .find(|host| name(*host) == case.host)
        .unwrap();
    let meddled = sim
        .book
        .touched
        .get(&host)
        .is_some_and(|at| *at + 300_000 >= opened);
    let it = &sim.cloud.hosts[usize::from(host)];
    let members = sim.cloud.aggregates.get(&sim.config.quarantine_aggregate);
    let quarantined = members.is_some_and(|(_, members)| members.contains(&host));
    let out = !it.on && !it.enabled && it.forced_down && quarantined;
    if !out && !meddled {
        let words = format!(
            "the case of {} is closed: power {}, enabled {}, forced down {}, in quarantine {quarantined}",
            case.host, it.on, it.enabled, it.forced_down
        );
        return Err(Broken::new("closed_means_out", words));
    }
    let recorded = sim.ask(sim.store.instances(&case.id)).unwrap();
    for (n, guest) in sim
        .cloud
        .guests
        .iter()
        .enumerate()
        .filter(|(_, guest)| guest.host == host)
    {
        let left = recorded
            .iter()
            .any(|known| known.name == format!("web-{n}") && known.state == "held");
        if !left && !meddled {
            let words = format!(
                "the case of {} is closed, and guest {n} is on it: {guest:?}",
                case.host
            );
            return Err(Broken::new("closed_means_out", words));
        }
    }
    Ok(())
}
