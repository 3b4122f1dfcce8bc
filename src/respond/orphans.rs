//! Hosts that nova shows as ours and of which no case is known: a database that failed over lost it; pure.
//!
//! Nothing is done to such a host: what condemned it, and what was done for it, is not known. People are told, and one of
//! them adopts it, or clears it by hand. What nova does not know is never taken for the absence of a mark.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ids::{CaseId, CaseKind, HostName};
use crate::openstack::{Aggregate, ComputeService, ComputeServices};
use crate::store::Case;

use super::holddown::PowerNow;
use super::saga::Step;

/// The words for a host that takes instances as any other, but for the aggregate.
pub const STRAY: &str = "perhaps a spare host: take it out of the aggregate";

/// What nova shows of a host that only Lazaret does to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The case that its disabled service names, with the whole reason.
    pub named: Option<(CaseId, String)>,
    /// It is in the quarantine aggregate.
    pub isolated: bool,
    /// Its compute service is enabled. `None`: nova has none of it any more.
    pub enabled: Option<bool>,
    /// nova takes it for down because it was told so.
    pub forced_down: bool,
}

impl Mark {
    /// A host that takes instances as any other, but for the aggregate: as Masakari's spare host is when it is dragged
    /// in. While any host is quarantined, the hold-down takes such a one out.
    pub fn is_perhaps_a_stray(&self) -> bool {
        self.named.is_none() && self.enabled == Some(true) && !self.forced_down
    }

    /// Whether it comes from a quarantine, and not from a case that silence had opened.
    pub fn is_a_quarantines(&self) -> bool {
        let silence = |id: &CaseId| [CaseKind::Unschedule, CaseKind::Reschedule].contains(&kind_of(id));
        self.isolated || !self.named.as_ref().is_some_and(|(id, _)| silence(id))
    }
}

/// For people. Told again when it changes, so nothing is in it that changes by itself.
impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.enabled, &self.named) {
            (None, _) => f.write_str("nova has no compute service of it")?,
            (Some(true), _) => f.write_str("its compute service is enabled")?,
            (Some(false), Some((_, reason))) => write!(f, "its compute service is disabled, \"{reason}\"")?,
            (Some(false), None) => f.write_str("its compute service is disabled with another reason")?,
        }
        if self.forced_down {
            f.write_str(", it is forced down")?;
        }
        if self.isolated {
            f.write_str(", it is in the quarantine aggregate")?;
        }
        if self.is_perhaps_a_stray() {
            write!(f, "; {STRAY}")?;
        }
        Ok(())
    }
}

/// The kind of a case, by its name's letter.
pub fn kind_of(id: &CaseId) -> CaseKind {
    CaseKind::ALL
        .into_iter()
        .find(|kind| id.as_str().starts_with(kind.letter()))
        .unwrap_or(CaseKind::Quarantine)
}

/// The case that a disabled service's reason names, as `plan::disabled_reason` writes it.
pub fn named(reason: &str) -> Option<CaseId> {
    let (id, _) = reason.strip_prefix("lazaret case ")?.split_once(':')?;
    id.parse().ok()
}

/// Every host that carries a mark. A host that nova does not know about now is in none.
pub fn marks(services: &ComputeServices, quarantine: Option<&Aggregate>) -> BTreeMap<HostName, Mark> {
    let isolated = |host: &HostName| quarantine.is_some_and(|aggregate| aggregate.has(host));
    let mut marks = BTreeMap::new();
    for service in &services.known {
        let mark = Mark {
            named: reason_of(service),
            isolated: isolated(&service.host),
            enabled: Some(service.enabled),
            forced_down: service.forced_down,
        };
        if mark.named.is_some() || mark.isolated {
            marks.insert(service.host.clone(), mark);
        }
    }
    for host in quarantine.into_iter().flat_map(|aggregate| &aggregate.hosts) {
        if !marks.contains_key(host) && !services.not_known.contains(host) {
            let mark = Mark {
                named: None,
                isolated: true,
                enabled: None,
                forced_down: false,
            };
            marks.insert(host.clone(), mark);
        }
    }
    marks
}

fn reason_of(service: &ComputeService) -> Option<(CaseId, String)> {
    let reason = service.disabled_reason.as_ref().filter(|_| !service.enabled)?;
    Some((named(reason)?, reason.clone()))
}

/// Those of them that are nobody's: without a case. `held_down`: some host is quarantined, so that strays are taken out.
pub fn orphans(
    marks: BTreeMap<HostName, Mark>,
    with_case: &BTreeSet<HostName>,
    held_down: bool,
) -> BTreeMap<HostName, Mark> {
    marks
        .into_iter()
        .filter(|(host, _)| !with_case.contains(host))
        .filter(|(_, mark)| !held_down || !mark.is_perhaps_a_stray())
        .collect()
}

/// How the cause of an adopted case begins.
pub const ADOPTED: &str = "adopted by ";

/// Whether a quarantine was adopted: what its lost case had changed and noted is not known.
pub fn is_adopted(quarantine: &Case) -> bool {
    quarantine.cause.starts_with(ADOPTED)
}

/// What is seen of a host that a person adopts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Its service is disabled with the reason that the case will have.
    pub disabled: bool,
    /// It is in the quarantine aggregate.
    pub isolated: bool,
    /// Its power, by one reading.
    pub power: PowerNow,
    /// nova takes it for down.
    pub forced_down: bool,
    /// How many instances nova has on it.
    pub instances: usize,
}

/// The steps of its quarantine that are seen to be done, each with how. The hold-down keeps what they left; what is not
/// among them is done only when a person lets the case go on.
///
/// One reading of the power is no proof: whatever needs one sees the host off anew.
pub fn done(sight: &Sight) -> Vec<(Step, &'static str)> {
    let mut done = vec![(Step::Announce, "people were told when it was adopted")];
    if sight.disabled {
        done.push((Step::Disable, "its compute service was found disabled"));
    }
    if sight.isolated {
        done.push((Step::Isolate, "it was found in the quarantine aggregate"));
    }
    if sight.power == PowerNow::Off && sight.forced_down {
        done.push((Step::Brake, "its power was found off"));
        done.push((Step::Fence, "its power was found off, by one reading"));
        done.push((Step::ForceDown, "nova was found to take it for down"));
        if sight.instances == 0 && sight.disabled && sight.isolated {
            done.push((Step::Evacuate, "nova was found to have no instance on it"));
            done.push((Step::Confirm, "nova was found to have no instance on it"));
            done.push((Step::Close, "nothing was left to be done"));
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::respond::saga::{Move, next, steps};
    use crate::store::StepState;

    fn host(n: usize) -> HostName {
        format!("cmp-{n}").parse().unwrap()
    }

    fn service(n: usize, enabled: bool, reason: Option<&str>, forced_down: bool) -> ComputeService {
        ComputeService {
            id: "eb16b4e6-9661-4c7f-a847-b00f79322cbd".parse().unwrap(),
            host: host(n),
            zone: None,
            enabled,
            disabled_reason: reason.map(str::to_owned),
            forced_down,
            up: true,
            heartbeat: None,
        }
    }

    fn aggregate(hosts: &[usize]) -> Aggregate {
        Aggregate {
            id: 7,
            name: "lazaret-quarantine".into(),
            availability_zone: None,
            hosts: hosts.iter().map(|n| host(*n)).collect(),
        }
    }

    #[test]
    fn only_what_lazaret_writes_is_its_mark() {
        let id = "q-20261121-7f3a2c".parse().unwrap();
        let reason = crate::respond::plan::disabled_reason(&id, "ima-digest-unknown (/usr/bin/x)");
        assert_eq!(named(&reason), Some(id));
        for other in [
            "",
            "lazaret",
            "lazaret case x: y",
            "maintenance",
            "see lazaret case q-20261121-7f3a2c: y",
        ] {
            assert_eq!(named(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_host_of_a_cell_that_is_down_is_neither_marked_nor_cleared() {
        let services = ComputeServices {
            known: vec![service(1, true, None, false)],
            not_known: vec![host(2)],
            left_out: vec![],
        };
        assert_eq!(marks(&services, Some(&aggregate(&[2]))), BTreeMap::new());
        // One without any service is nobody's, for certain.
        let found = marks(&services, Some(&aggregate(&[3])));
        assert_eq!(found.keys().collect::<Vec<_>>(), [&host(3)]);
    }

    #[test]
    fn a_reason_that_an_enabled_service_has_left_is_no_mark() {
        let services = ComputeServices {
            known: vec![service(1, true, Some("lazaret case q-20261121-7f3a2c: x"), false)],
            not_known: vec![],
            left_out: vec![],
        };
        assert_eq!(marks(&services, None), BTreeMap::new());
    }

    #[test]
    fn a_spare_host_is_the_hold_downs_while_there_is_one() {
        let services = ComputeServices {
            known: vec![
                service(1, true, None, false),
                service(2, false, Some("Masakari detected host cmp-2 failed."), true),
            ],
            not_known: vec![],
            left_out: vec![],
        };
        let found = |held_down| {
            let marks = marks(&services, Some(&aggregate(&[1, 2])));
            orphans(marks, &BTreeSet::new(), held_down)
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert_eq!(found(true), [host(2)]);
        assert_eq!(found(false), [host(1), host(2)]);
    }

    #[test]
    fn whoever_has_a_case_is_no_orphan() {
        let reason = "lazaret case q-20261121-7f3a2c: x";
        let services = ComputeServices {
            known: vec![
                service(1, false, Some(reason), true),
                service(2, false, Some(reason), true),
            ],
            not_known: vec![],
            left_out: vec![],
        };
        for with_case in [vec![], vec![1], vec![1, 2]] {
            let known: BTreeSet<HostName> = with_case.iter().map(|n| host(*n)).collect();
            let found = orphans(marks(&services, Some(&aggregate(&[1]))), &known, true);
            let expected: Vec<HostName> = [1, 2]
                .into_iter()
                .filter(|n| !with_case.contains(n))
                .map(host)
                .collect();
            assert_eq!(found.into_keys().collect::<Vec<_>>(), expected);
        }
    }

    proptest! {
        /// Whatever is seen: the saga can go on from it, and takes nothing for done that needs a host off which is on.
        #[test]
        fn an_adopted_case_can_go_on(
            disabled: bool, isolated: bool, off: bool, forced_down: bool, instances in 0_usize..3
        ) {
            let power = if off { PowerNow::Off } else { PowerNow::Not("On".into()) };
            let done = done(&Sight { disabled, isolated, power, forced_down, instances });
            let recorded: Vec<_> = steps(CaseKind::Quarantine, true)
                .into_iter()
                .map(|step| {
                    let is_done = done.iter().any(|(known, _)| *known == step);
                    (step, if is_done { StepState::Done } else { StepState::Pending })
                })
                .collect();
            prop_assert!(!matches!(next(&recorded), Move::Broken(_)));
            let over = next(&recorded) == Move::Over;
            prop_assert_eq!(over, disabled && isolated && off && forced_down && instances == 0);
            prop_assert!(off || !recorded.contains(&(Step::Fence, StepState::Done)));
        }
    }
}
