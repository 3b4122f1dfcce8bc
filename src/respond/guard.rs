//! The limits that stand between a condemned host and a quarantine; pure.
//!
//! A bad policy condemns many hosts at once, and must not take the cloud down. What is not known holds: a limit
//! that cannot be counted is not a limit that is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use lazaret_attest::finding::Finding;
use lazaret_attest::verdict::Verdict;
use serde::{Deserialize, Serialize};

use crate::ids::{CaseId, HostName};

/// This many other hosts with the same finding make it one shared cause.
const SHARED_WITH: usize = 2;

/// How much may happen at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Cases within the window that act without being asked about.
    pub max_cases: u32,
    /// The window.
    pub window: Duration,
    /// Hosts of a zone that must stay enabled; never less than one.
    pub keep_hosts: u32,
}

/// What is the case when a case is about to act. `None` is "not known".
#[derive(Debug, Clone, Default)]
pub struct Circumstances {
    /// Other cases opened within the window, those that a person refused left out.
    pub cases: Option<u32>,
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
                subject: finding.subject.clone(),
                found: finding.found.clone(),
            })
            .collect()
    }
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
            Self::ZoneTooSmall {
                zone,
                would_stay,
                keep_hosts,
            } => write!(
                f,
                "zone {zone} would keep {would_stay} enabled hosts, and {keep_hosts} have to stay"
            ),
            Self::SharedCause { cause, hosts } => {
                write!(f, "the same finding, {} on {}", cause.code, cause.subject)?;
                if let Some(found) = &cause.found {
                    write!(f, " ({found})")?;
                }
                write!(f, ", condemns {} other hosts:", hosts.len())?;
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

/// Every reason to hold; none means that the case may act.
pub fn holds(limits: &Limits, now: &Circumstances) -> Vec<Hold> {
    let mut holds = Vec::new();
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
        Some(elsewhere) => holds.extend(now.causes.iter().find_map(|cause| shared(cause, elsewhere))),
    }
    if now.causes.is_empty() {
        holds.push(not_known("what condemns this host"));
    }
    holds
}

fn shared(cause: &Cause, elsewhere: &BTreeMap<HostName, BTreeSet<Cause>>) -> Option<Hold> {
    let hosts: Vec<HostName> = elsewhere
        .iter()
        .filter(|(_, causes)| causes.contains(cause))
        .map(|(host, _)| host.clone())
        .collect();
    (hosts.len() >= SHARED_WITH).then(|| Hold::SharedCause {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits {
        max_cases: 2,
        window: Duration::from_secs(3600),
        keep_hosts: 1,
    };

    fn cause(found: &str) -> Cause {
        Cause {
            code: "pcr-mismatch".into(),
            subject: "sha256:7".into(),
            found: Some(found.into()),
        }
    }

    fn host(n: usize) -> HostName {
        format!("cmp-{n}").parse().unwrap()
    }

    fn circumstances(cases: u32, others: u32, alike: usize) -> Circumstances {
        Circumstances {
            cases: Some(cases),
            zone: Some(Zone {
                name: "nova".into(),
                others_enabled: others,
            }),
            causes: BTreeSet::from([cause("aa")]),
            elsewhere: Some(
                (0..alike)
                    .map(|n| (host(n), BTreeSet::from([cause("aa")])))
                    .collect(),
            ),
        }
    }

    #[test]
    fn each_limit_at_its_edge() {
        for (cases, others, alike, held) in [
            (0, 1, 0, 0),
            (1, 1, 1, 0),
            (2, 1, 0, 1),
            (0, 0, 0, 1),
            (0, 9, 2, 1),
            (7, 0, 200, 3),
        ] {
            let found = holds(&LIMITS, &circumstances(cases, others, alike));
            assert_eq!(
                found.len(),
                held,
                "{cases} cases, {others} others, {alike} alike: {found:?}"
            );
        }
    }

    #[test]
    fn another_digest_is_another_cause() {
        let mut now = circumstances(0, 3, 0);
        now.elsewhere = Some(
            (0..9)
                .map(|n| (host(n), BTreeSet::from([cause(&n.to_string())])))
                .collect(),
        );
        assert_eq!(holds(&LIMITS, &now), []);
    }

    #[test]
    fn what_is_not_known_holds() {
        assert_eq!(holds(&LIMITS, &Circumstances::default()).len(), 4);
        for forget in 0..4 {
            let mut now = circumstances(0, 3, 0);
            match forget {
                0 => now.cases = None,
                1 => now.zone = None,
                2 => now.elsewhere = None,
                _ => now.causes.clear(),
            }
            let found = holds(&LIMITS, &now);
            assert!(
                matches!(found.as_slice(), [Hold::NotKnown { .. }]),
                "{forget}: {found:?}"
            );
        }
    }

    #[test]
    fn the_last_host_of_a_zone_stays_even_when_none_has_to() {
        let limits = Limits {
            keep_hosts: 0,
            ..LIMITS
        };
        let found = holds(&limits, &circumstances(0, 0, 0));
        assert!(
            matches!(found.as_slice(), [Hold::ZoneTooSmall { keep_hosts: 1, .. }]),
            "{found:?}"
        );
    }

    #[test]
    fn a_hold_says_why_and_what_to_do() {
        let found = holds(&LIMITS, &circumstances(0, 3, 200));
        let text = found[0].to_string();
        assert!(
            text.contains("200 other hosts") && text.contains("sha256:7") && text.contains("golden"),
            "{text}"
        );
        assert!(text.len() < 300, "{text}");
        assert!(
            remedy(&"q-20261121-7f3a2c".parse().unwrap()).contains("quarantine approve q-20261121-7f3a2c")
        );
    }

    proptest! {
        #[test]
        fn nothing_passes_over_a_limit(
            max_cases in 0u32..5, keep_hosts in 0u32..5,
            cases in proptest::option::of(0u32..8),
            others in proptest::option::of(0u32..8),
            alike in proptest::option::of(0usize..5),
        ) {
            let limits = Limits { max_cases, keep_hosts, window: Duration::from_secs(60) };
            let mut now = circumstances(0, 0, 0);
            now.cases = cases;
            now.zone = others.map(|others_enabled| Zone { name: "z".into(), others_enabled });
            now.elsewhere = alike.map(|n| (0..n).map(|n| (host(n), BTreeSet::from([cause("aa")]))).collect());
            let within = cases.is_some_and(|n| n < max_cases)
                && others.is_some_and(|n| n >= keep_hosts && n >= 1)
                && alike.is_some_and(|n| n < 2);
            prop_assert_eq!(holds(&limits, &now).is_empty(), within);
        }
    }
}
