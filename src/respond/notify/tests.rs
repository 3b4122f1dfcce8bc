//! The document says what is posted.

use super::*;

const DOCUMENT: &str = include_str!("../../../docs/notifications.md");

const ALL: [Kind; 23] = [
    Kind::HostCondemned,
    Kind::HostIndeterminate,
    Kind::HostWarning,
    Kind::HostRecovered,
    Kind::CaseOpened,
    Kind::CaseHeld,
    Kind::CaseWaiting,
    Kind::CaseStuck,
    Kind::CaseClosed,
    Kind::TamperingSuspected,
    Kind::StrayHost,
    Kind::HostFenced,
    Kind::HostEvacuated,
    Kind::CaseReleased,
    Kind::Drift,
    Kind::HostOrphaned,
    Kind::HostSilent,
    Kind::GroupHeld,
    Kind::DaemonCutOff,
    Kind::ClockJumped,
    Kind::DatabasePutBack,
    Kind::Paused,
    Kind::Resumed,
];

#[test]
fn the_documented_example_is_an_event_word_for_word() {
    let example = DOCUMENT
        .split("```json")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let event: Event = serde_json::from_str(example).unwrap();
    let case = "q-20261121-7f3a2c".parse().unwrap();
    let summary = "cmp-1 fails attestation: ima-digest-unknown (/usr/bin/backdoor)".to_owned();
    let ours = Event::case(
        Kind::CaseOpened,
        &case,
        &"cmp-1".parse().unwrap(),
        summary,
        event.at,
    );
    assert_eq!(event, ours);
    let queued: Event = ours.queued().payload.read().unwrap();
    assert_eq!(queued, ours);
}

#[test]
fn a_webhook_can_ask_for_every_event_by_name() {
    assert_eq!(ALL.map(Kind::as_str), crate::config::notify::EVENTS);
}

#[test]
fn tampering_is_told_again_when_it_happens_again_and_not_with_each_look() {
    let (case, host) = ("q-20261121-7f3a2c".parse().unwrap(), "cmp-1".parse().unwrap());
    let told = |words: &str, at| {
        let at = Timestamp::from_millis(at);
        Event::case(Kind::TamperingSuspected, &case, &host, words.into(), at).queued()
    };
    let (first, again, other) = (
        told("redfish 10.0.0.7: refused after 12 s", 1),
        told("redfish 10.0.0.7: refused after 14 s", 2),
        told("fence_ipmilan: refused after 12 s", 3),
    );
    assert_ne!(first.key, again.key, "an event of its own once the hour is over");
    assert_eq!(first.quiet, again.quiet, "the same until then");
    assert_ne!(first.quiet, other.quiet, "another thing is told at once");
    let stuck = |at| {
        Event::case(
            Kind::CaseStuck,
            &case,
            &host,
            String::new(),
            Timestamp::from_millis(at),
        )
    };
    assert_eq!(stuck(1).queued().quiet, None, "each one waits for a person");
}

#[test]
fn every_event_is_documented_with_its_severity() {
    for kind in ALL {
        let severity = serde_json::to_value(kind.severity()).unwrap();
        let row = format!("| `{}` | {} |", kind.as_str(), severity.as_str().unwrap());
        assert!(DOCUMENT.contains(&row), "{row} is missing");
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
    }
    assert_eq!(
        DOCUMENT.matches("\n| `").count(),
        ALL.len() + 4,
        "rows of headers and of events"
    );
}

#[test]
fn what_happens_once_is_told_once_and_what_may_happen_again_each_time() {
    let (case, host) = ("q-20261121-7f3a2c".parse().unwrap(), "cmp-1".parse().unwrap());
    let key = |kind, at| {
        Event::case(kind, &case, &host, String::new(), Timestamp::from_millis(at))
            .queued()
            .key
    };
    assert_eq!(key(Kind::CaseOpened, 1), key(Kind::CaseOpened, 2));
    assert_ne!(key(Kind::CaseStuck, 1), key(Kind::CaseStuck, 2));
    assert_ne!(key(Kind::CaseOpened, 1), key(Kind::CaseClosed, 1));
}

#[test]
fn a_group_is_told_again_only_when_it_has_grown_tenfold() {
    let told = |hosts| {
        let at = Timestamp::from_millis(i64::try_from(hosts).unwrap());
        Event::group_held("g-20261121-1a2b3c", hosts, String::new(), String::new(), at).id
    };
    assert_eq!((told(0), told(3)), (told(1), told(9)));
    assert_ne!(told(9), told(10));
    assert_eq!(told(10), told(99));
    assert_ne!(told(99), told(100));
}

#[test]
fn what_is_about_no_single_host_names_none() {
    let at = Timestamp::from_millis(1);
    let cut_off = Event::cloud(Kind::DaemonCutOff, "200 of 210 hosts are silent".into(), at);
    let posted = serde_json::to_value(&cut_off).unwrap();
    assert_eq!(
        (&posted["host"], &posted["case"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert_eq!(posted.get("group"), None);
    let group = Event::group_held("g-1", 3, String::new(), String::new(), at);
    assert_eq!(serde_json::to_value(&group).unwrap()["group"], "g-1");
    let (host, read) = ("cmp-1".parse().unwrap(), |event: &Event| {
        event.queued().payload.read::<Event>().unwrap()
    });
    for event in [
        cut_off,
        group,
        Event::host(Kind::HostSilent, &host, "silent".into(), at),
    ] {
        assert_eq!(read(&event), event);
    }
}
