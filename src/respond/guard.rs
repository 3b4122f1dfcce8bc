//! The limits that stand between a condemned host and a quarantine; pure.
//!
//! A bad policy condemns many hosts at once, and must not take the cloud down. What is not known holds: a limit
//! that cannot be counted is not a limit that is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use lazaret_attest::finding::{Code, Finding};
use lazaret_attest::verdict::Verdict;
use serde::{Deserialize, Serialize};

use super::inventory::Room;
use crate::ids::{CaseId, GroupId, HostName};

/// How much may happen at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Cases within the window that act without being asked about.
    pub max_cases: u32,
    /// The window.
    pub window: Duration,
    /// Hosts of a zone that must stay enabled; never less than one.
    pub keep_hosts: u32,
    /// As `max_cases`, of one zone.
    pub max_cases_zone: u32,
    /// As `max_cases`, of one host aggregate.
    pub max_cases_aggregate: u32,
    /// Virtual processors that have to stay free elsewhere; 0: not asked.
    pub keep_free_vcpus: u64,
    /// Memory that has to stay free elsewhere, MB; 0: not asked.
    pub keep_free_memory_mb: u64,
    /// So many hosts with one cause are rather one missing golden value, this one counted; never less than two.
    pub brake_hosts: u32,
}

/// What is the case when a case is about to act. `None` is "not known".
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// Other cases opened within the window, those that a person refused left out.
    pub cases: Option<u32>,
    /// Those of them whose host is in this host's zone.
    pub in_zone: Option<u32>,
    /// How many of them are in each of this host's aggregates.
    pub in_aggregates: Option<BTreeMap<String, u32>>,
    /// The room for its instances elsewhere.
    pub room: Option<Room>,
    /// The condemned host's zone.
    pub zone: Option<Zone>,
    /// What condemns this host.
    pub causes: BTreeSet<Cause>,
    /// What condemned other hosts within the window.
    pub elsewhere: Option<BTreeMap<HostName, BTreeSet<Cause>>>,
}

/// The zone of the condemned host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// Its other hosts that are enabled and up.
    pub others_enabled: u32,
}

/// What two hosts have in common when one mistake condemns both: code, subject and what was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// The finding's code.
    pub code: String,
    /// The PCR, log entry or path.
    pub subject: String,
    /// The digest or value found.
    pub found: Option<String>,
}

impl Cause {
    /// The causes among findings: those that condemn.
    pub fn of(findings: &[Finding]) -> BTreeSet<Self> {
        findings
            .iter()
            .filter(|finding| finding.gravity == Verdict::Contraindicated)
            .map(|finding| Self {
                code: finding.code.as_str().to_owned(),
                subject: place(&finding.subject),
                found: finding.found.clone(),
            })
            .collect()
    }

    /// Whether one missing golden value, or one wrong rule of a policy, can condemn a host for this. A code that this
    /// version does not know can be anything.
    fn could_be_missing_value(&self) -> bool {
        self.code
            .parse::<Code>()
            .map_or(true, Code::could_be_missing_value)
    }
}

/// The subject without the place in the log, which differs from host to host: `PCR 4, event 17` is `PCR 4`.
fn place(subject: &str) -> String {
    let number = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    match (subject.split_once(", event "), subject.strip_prefix("IMA entry ")) {
        (Some((pcr, _)), _) if pcr.starts_with("PCR ") => pcr.to_owned(),
        (_, Some(rest)) if number(rest) => "IMA entry".to_owned(),
        _ => subject.to_owned(),
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.code, self.subject)?;
        match &self.found {
            Some(found) => write!(f, " ({found})"),
            None => Ok(()),
        }
    }
}

/// Whether the other hosts are asked before a host is powered off for these: one mistake may condemn all of them. A
/// replay or a signature that contradicts itself is no missing value, and waits for nobody.
pub fn waits_for_others(causes: &BTreeSet<Cause>) -> bool {
    causes.iter().all(Cause::could_be_missing_value)
}

/// Another host, as the choice of whom to ask sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub host: HostName,
    /// Whether it was last judged by the same policy.
    pub same_policy: bool,
    /// Whether it answered in its last round.
    pub answers: bool,
}

/// The hosts to ask: those that are judged by the same policy and answer come first.
pub fn probe(mut peers: Vec<Peer>, at_most: u32) -> Vec<HostName> {
    peers.sort_by_key(|peer| (!peer.answers, !peer.same_policy, peer.host.clone()));
    let at_most = usize::try_from(at_most).unwrap_or(usize::MAX);
    peers.into_iter().take(at_most).map(|peer| peer.host).collect()
}

/// Why a case waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Hold {
    /// Too many cases within the window.
    TooManyCases {
        /// Other cases there are.
        cases: u32,
        /// How many there may be with this one.
        max_cases: u32,
        /// The window.
        window_s: u64,
    },
    /// Too many cases of its zone within the window.
    TooManyInZone {
        /// The zone.
        zone: String,
        /// Other cases there are.
        cases: u32,
        /// How many there may be with this one.
        max_cases: u32,
        /// The window.
        window_s: u64,
    },
    /// Too many cases of one of its host aggregates within the window.
    TooManyInAggregate {
        /// The aggregate.
        aggregate: String,
        /// Other cases there are.
        cases: u32,
        /// How many there may be with this one.
        max_cases: u32,
        /// The window.
        window_s: u64,
    },
    /// Too little would stay free on the other hosts.
    NoRoom {
        /// Of what: `vCPUs`, `MB of memory`.
        what: String,
        /// Free on the other hosts.
        free: u64,
        /// What the host's instances need of it.
        need: u64,
        /// What has to stay.
        keep: u64,
    },
    /// Too few hosts of the zone would stay enabled.
    ZoneTooSmall {
        /// The zone.
        zone: String,
        /// Hosts that would stay.
        would_stay: u32,
        /// Hosts that have to stay.
        keep_hosts: u32,
    },
    /// The same finding on many hosts: rather one missing golden value than many break-ins.
    SharedCause {
        /// What they have in common.
        cause: Cause,
        /// The other hosts.
        hosts: Vec<HostName>,
    },
    /// Something that a limit needs is not known.
    NotKnown {
        /// What.
        what: String,
    },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyCases {
                cases,
                max_cases,
                window_s,
            } => write!(
                f,
                "{cases} other cases were opened within {window_s} s, and {max_cases} may act without being asked about"
            ),
            Self::TooManyInZone {
                zone,
                cases,
                max_cases,
                window_s,
            } => write!(
                f,
                "{cases} other cases of zone {zone} were opened within {window_s} s, and {max_cases} may act without being asked about"
            ),
            Self::TooManyInAggregate {
                aggregate,
                cases,
                max_cases,
                window_s,
            } => write!(
                f,
                "{cases} other cases of aggregate {aggregate} were opened within {window_s} s, and {max_cases} may act without being asked about"
            ),
            Self::NoRoom {
                what,
                free,
                need,
                keep,
            } => write!(
                f,
                "its instances need {need} {what} of {free} that are free elsewhere, and {keep} have to stay free"
            ),
            Self::ZoneTooSmall {
                zone,
                would_stay,
                keep_hosts,
            } => write!(
                f,
                "zone {zone} would keep {would_stay} enabled hosts, and {keep_hosts} have to stay"
            ),
            Self::SharedCause { cause, hosts } => {
                write!(
                    f,
                    "the same finding, {cause}, condemns {} other hosts:",
                    hosts.len()
                )?;
                for host in hosts.iter().take(5) {
                    write!(f, " {host}")?;
                }
                if hosts.len() > 5 {
                    f.write_str(" ...")?;
                }
                f.write_str("; rather a missing golden value than as many break-ins")
            }
            Self::NotKnown { what } => write!(f, "{what} is not known, so the limits cannot be kept"),
        }
    }
}

/// What a person does about a case that is held.
pub fn remedy(case: &CaseId) -> String {
    format!(
        "look at it with `lazaret quarantine show {case}`, and let it go on with `lazaret quarantine approve {case}`"
    )
}

/// What a person does about a group that is held.
pub fn group_remedy(group: &GroupId) -> String {
    format!(
        "see `lazaret quarantine show {group}`: it says how to add the value to the golden values; `lazaret quarantine dismiss {group} --because ..` then ends its cases. If they are break-ins, `lazaret quarantine approve {group}`"
    )
}

/// Every reason to hold; none means that the case may act.
pub fn holds(limits: &Limits, now: &Circumstances) -> Vec<Hold> {
    let mut holds = Vec::new();
    holds.extend(crowded(limits, now));
    holds.extend(no_room(limits, now));
    match now.cases {
        None => holds.push(not_known("how many cases were opened")),
        Some(cases) if cases >= limits.max_cases => holds.push(Hold::TooManyCases {
            cases,
            max_cases: limits.max_cases,
            window_s: limits.window.as_secs(),
        }),
        Some(_) => {}
    }
    let keep_hosts = limits.keep_hosts.max(1);
    match &now.zone {
        None => holds.push(not_known("which hosts of its zone are enabled")),
        Some(zone) if zone.others_enabled < keep_hosts => holds.push(Hold::ZoneTooSmall {
            zone: zone.name.clone(),
            would_stay: zone.others_enabled,
            keep_hosts,
        }),
        Some(_) => {}
    }
    match &now.elsewhere {
        None => holds.push(not_known("what condemns other hosts")),
        Some(elsewhere) => {
            holds.extend(shared_cause(limits, &now.causes, elsewhere));
        }
    }
    if now.causes.is_empty() {
        holds.push(not_known("what condemns this host"));
    }
    holds
}

/// Cases of one zone or one aggregate.
fn crowded(limits: &Limits, now: &Circumstances) -> Vec<Hold> {
    let mut holds = Vec::new();
    let window_s = limits.window.as_secs();
    match (&now.zone, now.in_zone) {
        (_, None) => holds.push(not_known("how many cases of its zone were opened")),
        (Some(zone), Some(cases)) if cases >= limits.max_cases_zone => holds.push(Hold::TooManyInZone {
            zone: zone.name.clone(),
            cases,
            max_cases: limits.max_cases_zone,
            window_s,
        }),
        // A zone that is not known holds by itself.
        (_, Some(_)) => {}
    }
    match &now.in_aggregates {
        None => holds.push(not_known("how many cases of its host aggregates were opened")),
        Some(aggregates) => holds.extend(
            aggregates
                .iter()
                .filter(|(_, cases)| **cases >= limits.max_cases_aggregate)
                .map(|(aggregate, cases)| Hold::TooManyInAggregate {
                    aggregate: aggregate.clone(),
                    cases: *cases,
                    max_cases: limits.max_cases_aggregate,
                    window_s,
                }),
        ),
    }
    holds
}

/// The floor of what stays free elsewhere, where one is asked for.
fn no_room(limits: &Limits, now: &Circumstances) -> Vec<Hold> {
    if limits.keep_free_vcpus == 0 && limits.keep_free_memory_mb == 0 {
        return Vec::new();
    }
    let Some(room) = now.room else {
        return vec![not_known("what is free on the other hosts")];
    };
    let floor = |what: &str, free: u64, need: u64, keep: u64| {
        (keep > 0 && free < need.saturating_add(keep)).then(|| Hold::NoRoom {
            what: what.to_owned(),
            free,
            need,
            keep,
        })
    };
    [
        floor("vCPUs", room.free_vcpus, room.need_vcpus, limits.keep_free_vcpus),
        floor(
            "MB of memory",
            room.free_memory_mb,
            room.need_memory_mb,
            limits.keep_free_memory_mb,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The holds that no approval covers. An approval is of what was shown: it covers the same limit, not another one,
/// nor a zone that has become smaller since. Who lets a group of hosts go on lets so many cases act at once.
pub fn not_approved(approved: &[Hold], holds: Vec<Hold>) -> Vec<Hold> {
    holds
        .into_iter()
        .filter(|hold| !approved.iter().any(|seen| covers(seen, hold)))
        .collect()
}

fn covers(seen: &Hold, hold: &Hold) -> bool {
    match (seen, hold) {
        (Hold::TooManyCases { .. }, Hold::TooManyCases { .. }) => true,
        (Hold::TooManyInZone { zone: seen, .. }, Hold::TooManyInZone { zone, .. }) => seen == zone,
        (Hold::TooManyInAggregate { aggregate: seen, .. }, Hold::TooManyInAggregate { aggregate, .. }) => {
            seen == aggregate
        }
        (Hold::NoRoom { what: seen, .. }, Hold::NoRoom { what, .. }) => seen == what,
        (
            Hold::ZoneTooSmall {
                zone: seen,
                would_stay: before,
                ..
            },
            Hold::ZoneTooSmall { zone, would_stay, .. },
        ) => seen == zone && would_stay >= before,
        (Hold::SharedCause { cause: seen, .. }, Hold::SharedCause { cause, .. }) => seen == cause,
        (
            Hold::SharedCause { hosts, .. },
            Hold::TooManyCases { cases, .. }
            | Hold::TooManyInZone { cases, .. }
            | Hold::TooManyInAggregate { cases, .. },
        ) => usize::try_from(*cases).is_ok_and(|cases| cases <= hosts.len()),
        (Hold::NotKnown { what: seen }, Hold::NotKnown { what }) => seen == what,
        _ => false,
    }
}

/// The cause that this host shares with so many others that it is rather one mistake than as many break-ins.
pub fn shared_cause(
    limits: &Limits,
    causes: &BTreeSet<Cause>,
    elsewhere: &BTreeMap<HostName, BTreeSet<Cause>>,
) -> Option<Hold> {
    let others = limits.brake_hosts.max(2).saturating_sub(1);
    causes.iter().find_map(|cause| shared(cause, elsewhere, others))
}

fn shared(cause: &Cause, elsewhere: &BTreeMap<HostName, BTreeSet<Cause>>, others: u32) -> Option<Hold> {
    let hosts: Vec<HostName> = elsewhere
        .iter()
        .filter(|(_, causes)| causes.contains(cause))
        .map(|(host, _)| host.clone())
        .collect();
    let enough = usize::try_from(others).is_ok_and(|others| hosts.len() >= others);
    enough.then(|| Hold::SharedCause {
        cause: cause.clone(),
        hosts,
    })
}

fn not_known(what: &str) -> Hold {
    Hold::NotKnown {
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests;
