//! Which cases count against whoever is asking, and where.

use std::collections::BTreeMap;

use super::*;
use crate::config::ResponseMode;
use crate::ids::{CaseId, RoundId};
use crate::openstack::{Aggregate, ComputeService, ComputeServices};
use crate::respond::inventory::{Known, Masakari};
use crate::store::Json;

const NOW: Timestamp = Timestamp::from_millis(1_795_243_380_000);

fn host(n: u8) -> HostName {
    format!("cmp-{n}").parse().unwrap()
}

fn case(n: u8, state: CaseState) -> Case {
    Case {
        id: CaseId::new(CaseKind::Quarantine, NOW, [n; 3]),
        kind: CaseKind::Quarantine,
        number: 0,
        parent: None,
        held_group: None,
        holds: None,
        approved_holds: None,
        host: host(n),
        state,
        mode: ResponseMode::Enforce,
        cause: "x".into(),
        opened_at: NOW,
        closed_at: None,
        condemned_by: RoundId::new([n; 16]),
        confirmed_by: RoundId::new([n; 16]),
        approved_by: None,
        not_before: NOW,
        plan: Json::empty(),
        outcome: None,
    }
}

fn closed(outcome: serde_json::Value) -> Case {
    Case {
        outcome: Some(Json::from(outcome)),
        ..case(2, CaseState::Closed { reason: "x".into() })
    }
}

fn held() -> CaseState {
    CaseState::Held { reason: "x".into() }
}

#[test]
fn quarantines_that_act_or_have_acted_count() {
    let none: [&str; 0] = [];
    let release = Case {
        kind: CaseKind::Release,
        ..case(2, CaseState::Open)
    };
    for (other, fence_begun, counted) in [
        (case(2, CaseState::Open), false, true),
        (case(2, CaseState::Stuck { reason: "x".into() }), false, true),
        (case(2, held()), false, false),
        (case(2, held()), true, true),
        (closed(serde_json::json!({})), false, true),
        (closed(serde_json::json!({"steps_begun": none})), false, true),
        (
            closed(serde_json::json!({"dismissed_by": "ann", "steps_begun": none})),
            false,
            false,
        ),
        (
            closed(serde_json::json!({"dismissed_by": "ann", "steps_begun": ["disable"]})),
            false,
            true,
        ),
        (release, false, false),
    ] {
        assert_eq!(
            counts(Asking::New(NOW), &other, fence_begun),
            counted,
            "{other:?}"
        );
    }
    // Of two at once the older one goes on.
    let (older, younger) = (case(1, CaseState::Open), case(2, CaseState::Open));
    assert!(counts(Asking::Known(&younger), &older, false));
    assert!(!counts(Asking::Known(&older), &younger, false));
    assert!(!counts(Asking::Known(&older), &older, false));
}

fn service(n: u8, zone: &str) -> ComputeService {
    ComputeService {
        id: uuid::Uuid::from_bytes([n; 16]).to_string().parse().unwrap(),
        host: host(n),
        zone: Some(zone.to_owned()),
        enabled: true,
        disabled_reason: None,
        forced_down: false,
        up: true,
        heartbeat: None,
    }
}

fn aggregate(name: &str, hosts: &[u8]) -> Aggregate {
    Aggregate {
        id: 7,
        name: name.into(),
        availability_zone: None,
        hosts: hosts.iter().map(|n| host(*n)).collect(),
    }
}

/// What nova shows when cmp-1 is condemned.
fn inventory(known: Vec<ComputeService>, aggregates: Vec<Aggregate>) -> Inventory {
    Inventory {
        host: host(1),
        services: ComputeServices {
            known,
            not_known: vec![],
            left_out: vec![],
        },
        aggregates,
        instances: vec![],
        migrations: vec![],
        masakari: Masakari::Absent,
        capacity: Known::NotKnown(String::new()),
        groups: Known::NotKnown(String::new()),
        keys: BTreeMap::new(),
        leaves_off: Known::Known(true),
    }
}

#[test]
fn a_host_of_the_zone_that_another_case_is_about_to_disable_does_not_stay() {
    let disabled = ComputeService {
        enabled: false,
        ..service(2, "a")
    };
    let silent = ComputeService {
        up: false,
        ..service(2, "a")
    };
    let down = ComputeService {
        forced_down: true,
        ..service(2, "a")
    };
    for (other, state, going) in [
        (service(2, "a"), CaseState::Open, 1),
        (service(2, "a"), held(), 0),
        (service(2, "b"), CaseState::Open, 0),
        (disabled, CaseState::Open, 0),
        (silent, CaseState::Open, 0),
        (down, CaseState::Open, 0),
        (service(3, "a"), CaseState::Open, 0),
    ] {
        let here = inventory(vec![service(1, "a"), other], vec![]);
        let (mine, case) = (case(1, CaseState::Open), case(2, state));
        assert_eq!(
            about_to_go(&[&mine, &case], &here, "a"),
            going,
            "{here:?} {case:?}"
        );
        assert_eq!(
            zone_of(&case, &here).is_some(),
            here.services.known[1].host == host(2)
        );
    }
}

#[test]
fn cases_count_in_the_aggregates_that_they_share_but_for_the_quarantines() {
    let aggregates = vec![
        aggregate("ssd", &[1, 2]),
        aggregate("gpu", &[1, 3]),
        aggregate("other", &[2]),
        aggregate("lazaret-quarantine", &[1, 2]),
    ];
    let here = inventory(vec![], aggregates);
    let other = case(2, CaseState::Open);
    assert_eq!(
        in_aggregates(&crate::respond::tests::response(), &[&other], &here),
        BTreeMap::from([("ssd".to_owned(), 1), ("gpu".to_owned(), 0)])
    );
}

/// Who goes before or at the same time; a case that a person let go on asks no limit again, however young it is.
#[test]
fn those_who_go_are_the_older_ones_and_those_that_a_person_let_go_on() {
    let approved = |case: Case| Case {
        approved_by: Some("ann".into()),
        ..case
    };
    let release = Case {
        kind: CaseKind::Release,
        ..approved(case(3, CaseState::Open))
    };
    let mine = case(2, CaseState::Open);
    for (other, goes) in [
        (case(1, CaseState::Open), true),
        (case(3, CaseState::Open), false),
        (approved(case(3, CaseState::Open)), true),
        (case(1, held()), false),
        (release, false),
    ] {
        let cases = [other];
        assert_eq!(!goers(Asking::Known(&mine), &cases).is_empty(), goes, "{cases:?}");
    }
}
