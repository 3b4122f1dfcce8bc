//! What must hold, whatever happens: each rule with its name, looked at on the truth of the model and in the store.

use std::collections::{BTreeMap, BTreeSet};

use super::world::Sim;
use crate::clock::Timestamp;
use crate::ids::{CaseId, GroupId, RoundId};
use crate::respond::journal::Entry;
use crate::respond::tests::cloud::{Request, name};
use crate::store::{Case, CaseState, LeaseKind, Phase};

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

/// What the rules remember.
#[derive(Default)]
pub(super) struct Book {
    /// Each round, and whether the host was really rooted then.
    pub(super) rounds: BTreeMap<RoundId, bool>,
    /// When somebody else last meddled with a host.
    pub(super) touched: BTreeMap<u8, u64>,
    /// A clock was put forward or back.
    pub(super) jumped: bool,
    /// When each case was first seen, and whether it was seen closed.
    cases: BTreeMap<CaseId, (u64, bool)>,
    /// Cases that had power switched off, unapproved: when they were opened, by the daemon's clock.
    fenced: BTreeMap<CaseId, Timestamp>,
}

/// An effect that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Act {
    Disable(u8),
    ForceDown(u8),
    Evacuate(usize),
    Notify(u8),
    Off(u8),
    /// Another one, about this host if about any.
    Other(Option<u8>),
}

/// What a request asks for, and the words that announce it in the journal.
fn act(sim: &Sim, request: &Request) -> Option<(Act, String)> {
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
    let hosts = sim.list.shape.hosts;
    let named =
        |value: &serde_json::Value| (0..hosts).find(|host| value.as_str() == Some(name(*host).as_str()));
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let number = |id: &str, from: usize| {
        let number = usize::from_str_radix(id.split('-').next().unwrap_or_default(), 16).ok()?;
        u8::try_from(number.checked_sub(from)?).ok()
    };
    if let Some(bmc) = request.at.strip_prefix("bmc-") {
        let host = bmc.trim_end_matches('b').parse::<u8>().ok()?.checked_sub(1)?;
        let off = body["ResetType"] == serde_json::json!("ForceOff");
        return Some(match (request.method.as_str(), off) {
            ("POST", true) => (Act::Off(host), format!("power off by redfish {}", request.at)),
            ("POST", false) => (
                Act::Other(Some(host)),
                format!("power on by redfish {}", request.at),
            ),
            ("PATCH", _) => {
                let policy = body["PowerRestorePolicy"].as_str()?;
                let words = format!(
                    "set the power restore policy to {policy} by redfish {}",
                    request.at
                );
                (Act::Other(Some(host)), words)
            }
            _ => return None,
        });
    }
    match (request.method.as_str(), parts.as_slice()) {
        ("PUT", ["v2.1", "os-services", id]) => {
            let host = number(id, 1000)?;
            let called = name(host);
            Some(match (&body["forced_down"], body["status"].as_str()) {
                (serde_json::Value::Bool(true), _) => (Act::ForceDown(host), format!("force down {called}")),
                (serde_json::Value::Bool(false), _) => {
                    (Act::Other(Some(host)), format!("no longer force down {called}"))
                }
                (_, Some("disabled")) => (Act::Disable(host), format!("disable {called}")),
                _ => (Act::Other(Some(host)), format!("enable {called}")),
            })
        }
        ("POST", ["v2.1", "os-aggregates"]) => {
            let called = body["aggregate"]["name"].as_str()?;
            Some((Act::Other(None), format!("make aggregate {called}")))
        }
        ("POST", ["v2.1", "os-aggregates", id, "action"]) => {
            let (called, _) = sim
                .cloud
                .aggregates
                .iter()
                .find(|(_, known)| known.0.to_string() == *id)?;
            let (add, remove) = (
                named(&body["add_host"]["host"]),
                named(&body["remove_host"]["host"]),
            );
            match (add, remove) {
                (Some(host), _) => Some((
                    Act::Other(Some(host)),
                    format!("add {} to aggregate {called}", name(host)),
                )),
                (_, Some(host)) => Some((
                    Act::Other(None),
                    format!("remove {} from aggregate {called}", name(host)),
                )),
                _ => None,
            }
        }
        ("POST", ["v2.1", "servers", id, "action"]) => {
            let guest = usize::from_str_radix(id.split('-').next()?, 16).ok()?;
            Some((Act::Evacuate(guest), format!("evacuate {id}")))
        }
        ("POST", ["v1", "notifications"]) => {
            let host = named(&body["notification"]["hostname"])?;
            Some((Act::Notify(host), format!("notify Masakari of {}", name(host))))
        }
        ("PUT", ["v1", "segments", _, "hosts", id]) => {
            let host = number(id, 4000)?;
            let words = match body["host"]["on_maintenance"] == serde_json::json!(true) {
                true => format!("put {} under Masakari's maintenance", name(host)),
                false => format!("end Masakari's maintenance of {}", name(host)),
            };
            Some((Act::Other(Some(host)), words))
        }
        _ => None,
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
        Act::Disable(host) | Act::ForceDown(host) | Act::Notify(host) | Act::Off(host) => Some(*host),
        Act::Evacuate(guest) => sim.cloud.guests.get(*guest).map(|guest| guest.host),
        Act::Other(host) => *host,
    };
    observe_touches_nothing(sim, &words)?;
    if let Act::ForceDown(host) | Act::Notify(host) = act {
        fence_first(sim, host, &words, request)?;
    }
    if let (Act::Evacuate(guest), Some(host)) = (&act, host) {
        fence_first(sim, host, &words, request)?;
        sim.counts.evacuations += 1;
        let _ = guest;
    }
    let Some(host) = host else { return Ok(()) };
    let Some(case) = case_of(sim, host) else {
        let words = format!("{words}, and {} has no case", name(host));
        return Err(Broken::new("journal_ahead", words));
    };
    journal_ahead_by_one_lease(sim, &case, &words)?;
    match act {
        Act::Off(_) => {
            sim.counts.fences += 1;
            silence_never_fences(sim, &case)?;
            within_limits(sim, &case)
        }
        Act::Disable(host) => keeps_hosts(sim, host, &case),
        _ => Ok(()),
    }
}

/// The case of a host: the unclosed one, or the one that it is held down by.
fn case_of(sim: &Sim, host: u8) -> Option<Case> {
    let unclosed = sim.ask(sim.store.unclosed_case(&name(host))).unwrap();
    if unclosed.is_some() {
        return unclosed;
    }
    let by = sim.ask(sim.store.host(&name(host))).unwrap()?.quarantined_by?;
    sim.ask(sim.store.case(&by)).unwrap()
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
fn fence_first(sim: &Sim, host: u8, words: &str, request: &Request) -> Result<(), Broken> {
    let it = &sim.cloud.hosts[usize::from(host)];
    let unseen = it.came_back.is_some() && !it.back_is_told;
    if it.on && !unseen {
        return Err(Broken::new(
            "fence_first",
            format!("{words} while {} runs", name(host)),
        ));
    }
    let _ = request;
    if !it.on {
        let seen = it.seen.get(&sim.running).copied().unwrap_or_default();
        if seen.off < 2 || seen.heartbeat < 2 || seen.agent < 2 {
            let words = format!("{words}, though it saw {} off only so: {seen:?}", name(host));
            return Err(Broken::new("fence_first", words));
        }
    }
    Ok(())
}

/// Each effect was announced in the journal of its case before, and by whoever holds the case's lease now.
fn journal_ahead_by_one_lease(sim: &Sim, case: &Case, words: &str) -> Result<(), Broken> {
    let journal = sim.ask(sim.store.journal_of(&case.id)).unwrap();
    let of_it = |detail: &crate::store::Json| {
        Entry::read(detail)
            .seen
            .is_some_and(|seen| seen["effect"].as_str() == Some(words))
    };
    let last = journal.iter().rev().find(|entry| of_it(&entry.detail));
    let Some(intent) = last.filter(|entry| entry.phase == Phase::Intent) else {
        return Err(Broken::new(
            "journal_ahead",
            format!("{words}, which the journal does not announce"),
        ));
    };
    let epoch = sim
        .ask(sim.store.epoch(&LeaseKind::Case(case.id.clone())))
        .unwrap();
    if intent.epoch == epoch {
        return Ok(());
    }
    let words = format!("{words} in epoch {} while the lease is in {epoch}", intent.epoch);
    Err(Broken::new("one_lease", words))
}

/// Power is switched off only after two rounds of a host that is really rooted.
fn silence_never_fences(sim: &Sim, case: &Case) -> Result<(), Broken> {
    let rooted = |round: &RoundId| sim.book.rounds.get(round) == Some(&true);
    if rooted(&case.condemned_by) && rooted(&case.confirmed_by) && case.condemned_by != case.confirmed_by {
        return Ok(());
    }
    Err(Broken::new(
        "silence_never_fences",
        format!("{} is switched off", case.host),
    ))
}

/// Of the cases that nobody approved, no more were fenced than the limit allows in its window.
fn within_limits(sim: &mut Sim, case: &Case) -> Result<(), Broken> {
    if case.approved_by.is_some() {
        return Ok(());
    }
    sim.book.fenced.insert(case.id.clone(), case.opened_at);
    let window = sim.config.window;
    let since = case.opened_at.minus(window);
    let count = sim
        .book
        .fenced
        .values()
        .filter(|at| **at > since && **at <= case.opened_at)
        .count();
    if count > usize::try_from(sim.config.max_cases).unwrap() {
        let words = format!("{count} hosts switched off within {window:?} of cases, unasked");
        return Err(Broken::new("within_limits", words));
    }
    Ok(())
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
        let known = sim.book.cases.entry(case.id.clone()).or_insert((now, false));
        let (opened, was_closed) = *known;
        known.1 = closed;
        if closed && !was_closed {
            sim.counts.closed += 1;
            closed_means_out(sim, &case, opened)?;
        }
        if !closed && !unclosed.insert(case.host.clone()) {
            let words = format!("{} has two", case.host);
            return Err(Broken::new("one_case_for_a_host", words));
        }
    }
    sim.counts.cases = sim.book.cases.len();
    Ok(())
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

/// What is looked at when everything had its time.
pub(super) fn at_the_end(sim: &mut Sim) -> Result<(), Broken> {
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
    told_once(sim, &waiting)
}

/// Each case is told to be open and closed once, and that it waits for a person at least once: by itself, or with the
/// group that it is held in.
fn told_once(sim: &Sim, waiting: &[(CaseId, String, Option<GroupId>)]) -> Result<(), Broken> {
    let told = sim.ask(sim.store.notifications(100_000)).unwrap();
    let mut once = BTreeSet::new();
    let mut stopped = BTreeSet::new();
    for (event, _) in told {
        let payload: serde_json::Value = event.payload.read().unwrap_or_default();
        if let Some(group) = payload["group"].as_str() {
            stopped.insert(group.to_owned());
        }
        let Some(case) = payload["case"].as_str().map(str::to_owned) else {
            continue;
        };
        match event.kind.as_str() {
            "case-opened" | "case-closed" if !once.insert((case.clone(), event.kind.clone())) => {
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
