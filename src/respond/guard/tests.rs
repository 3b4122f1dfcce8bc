//! Each limit, what is not known, and what an approval covers.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits {
    max_cases: 2,
    window: Duration::from_secs(3600),
    keep_hosts: 1,
    max_cases_zone: 9,
    max_cases_aggregate: 9,
    keep_free_vcpus: 0,
    keep_free_memory_mb: 0,
    brake_hosts: 3,
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
        in_zone: Some(0),
        in_aggregates: Some(BTreeMap::from([("ssd".to_owned(), 0)])),
        room: Some(Room {
            free_vcpus: 100,
            free_memory_mb: 1000,
            need_vcpus: 10,
            need_memory_mb: 100,
        }),
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
fn the_place_in_a_log_makes_no_other_cause() {
    let of = |subject: &str| {
        let finding = Finding::new(Code::BootEventNotGolden, subject).found("aa");
        Cause::of(&[finding])
    };
    assert_eq!(
        of("PCR sha256:4, event 17: vmlinuz"),
        of("PCR sha256:4, event 18: vmlinuz")
    );
    assert_eq!(of("IMA entry 17"), of("IMA entry 4711"));
    assert_ne!(of("PCR sha256:4, event 17"), of("PCR sha256:5, event 17"));
    assert_ne!(of("/usr/bin/a, event 1"), of("/usr/bin/a, event 2"));
}

#[test]
fn what_is_not_known_holds() {
    let floor = Limits {
        keep_free_vcpus: 1,
        ..LIMITS
    };
    assert_eq!(holds(&LIMITS, &Circumstances::default()).len(), 6);
    assert_eq!(holds(&floor, &Circumstances::default()).len(), 7);
    for forget in 0..7 {
        let mut now = circumstances(0, 3, 0);
        match forget {
            0 => now.cases = None,
            1 => now.zone = None,
            2 => now.elsewhere = None,
            3 => now.in_zone = None,
            4 => now.in_aggregates = None,
            5 => now.room = None,
            _ => now.causes.clear(),
        }
        let found = holds(&floor, &now);
        assert!(
            matches!(found.as_slice(), [Hold::NotKnown { .. }]),
            "{forget}: {found:?}"
        );
    }
}

#[test]
fn zones_aggregates_and_the_floor_have_limits_of_their_own() {
    let limits = Limits {
        max_cases_zone: 1,
        max_cases_aggregate: 2,
        keep_free_vcpus: 90,
        keep_free_memory_mb: 900,
        ..LIMITS
    };
    let mut now = circumstances(1, 3, 0);
    assert_eq!(holds(&limits, &now), [], "at each edge");
    now.in_zone = Some(1);
    now.in_aggregates = Some(BTreeMap::from([("ssd".to_owned(), 2), ("gpu".to_owned(), 1)]));
    now.room = now.room.map(|room| Room {
        need_vcpus: 11,
        ..room
    });
    let words: Vec<String> = holds(&limits, &now).iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), 3, "{words:?}");
    for (word, part) in words
        .iter()
        .zip(["zone nova", "aggregate ssd", "11 vCPUs of 100"])
    {
        assert!(word.contains(part), "{word}");
    }
}

#[test]
fn an_approval_covers_what_was_shown_and_nothing_else() {
    let shown = holds(&LIMITS, &circumstances(7, 0, 4));
    assert_eq!(shown.len(), 3);
    let later = |cases, others, alike| holds(&LIMITS, &circumstances(cases, others, alike));
    assert_eq!(not_approved(&shown, later(9, 0, 9)), [], "the same limits");
    assert_eq!(not_approved(&[], later(9, 0, 9)).len(), 3);
    // A group of five hosts was let go on: its five cases may act, a sixth may not.
    let group = [Hold::SharedCause {
        cause: cause("aa"),
        hosts: (0..5).map(host).collect(),
    }];
    assert_eq!(not_approved(&group, later(5, 3, 9)), []);
    assert!(matches!(
        not_approved(&group, later(6, 3, 9)).as_slice(),
        [Hold::TooManyCases { cases: 6, .. }]
    ));
    assert!(
        matches!(
            not_approved(&group, later(0, 0, 9)).as_slice(),
            [Hold::ZoneTooSmall { .. }]
        ),
        "the last host of a zone is asked about all the same"
    );
    let mut other = circumstances(0, 3, 0);
    other.causes = BTreeSet::from([cause("bb")]);
    other.elsewhere = Some((0..2).map(|n| (host(n), BTreeSet::from([cause("bb")]))).collect());
    assert_eq!(
        not_approved(&group, holds(&LIMITS, &other)).len(),
        1,
        "another cause"
    );
}

#[test]
fn only_what_a_missing_value_can_make_waits_for_other_hosts() {
    let of = |codes: &[Code]| {
        codes
            .iter()
            .map(|code| Cause {
                code: code.as_str().into(),
                ..cause("aa")
            })
            .collect::<BTreeSet<_>>()
    };
    for code in [Code::PcrNotGolden, Code::ImaFileUnknown, Code::BootEventNotGolden] {
        assert!(waits_for_others(&of(&[code])), "{code}");
        assert!(!waits_for_others(&of(&[code, Code::ImaReplayMismatch])), "{code}");
    }
    for code in [
        Code::BootLogReplayMismatch,
        Code::ResetCountFell,
        Code::QuoteSignatureInvalid,
    ] {
        assert!(!waits_for_others(&of(&[code])), "{code}");
    }
}

#[test]
fn hosts_of_the_same_policy_that_answer_are_asked_first() {
    let peer = |n: usize, same_policy, answers| Peer {
        host: host(n),
        same_policy,
        answers,
    };
    let peers = vec![
        peer(1, true, false),
        peer(2, false, true),
        peer(3, true, true),
        peer(4, false, true),
    ];
    assert_eq!(probe(peers.clone(), 2), [host(3), host(2)]);
    assert_eq!(probe(peers, 9).len(), 4);
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
    assert!(remedy(&"q-20261121-7f3a2c".parse().unwrap()).contains("quarantine approve q-20261121-7f3a2c"));
}

/// Whoever let a case go over one limit has not seen the same limit of another zone, aggregate or resource.
#[test]
fn an_approval_is_of_one_zone_one_aggregate_and_one_resource() {
    let zone = |zone: &str| Hold::TooManyInZone {
        zone: zone.into(),
        cases: 3,
        max_cases: 2,
        window_s: 9,
    };
    let aggregate = |aggregate: &str| Hold::TooManyInAggregate {
        aggregate: aggregate.into(),
        cases: 3,
        max_cases: 2,
        window_s: 9,
    };
    let room = |what: &str| Hold::NoRoom {
        what: what.into(),
        free: 1,
        need: 2,
        keep: 3,
    };
    let stays = |zone: &str, would_stay| Hold::ZoneTooSmall {
        zone: zone.into(),
        would_stay,
        keep_hosts: 3,
    };
    for (seen, hold, covered) in [
        (zone("a"), zone("a"), true),
        (zone("a"), zone("b"), false),
        (aggregate("ssd"), aggregate("ssd"), true),
        (aggregate("ssd"), aggregate("gpu"), false),
        (room("vCPUs"), room("vCPUs"), true),
        (room("vCPUs"), room("MB of memory"), false),
        (not_known("this"), not_known("this"), true),
        (not_known("this"), not_known("that"), false),
        (stays("a", 2), stays("a", 2), true),
        (stays("a", 2), stays("a", 1), false),
        (stays("a", 2), stays("b", 2), false),
    ] {
        let left = not_approved(std::slice::from_ref(&seen), vec![hold.clone()]);
        assert_eq!(left.is_empty(), covered, "{seen} covers {hold}");
    }
}

#[test]
fn a_floor_that_is_not_asked_for_holds_nothing_and_one_host_is_no_group() {
    let limits = Limits {
        keep_free_memory_mb: 100,
        brake_hosts: 0,
        ..LIMITS
    };
    let mut now = circumstances(0, 3, 0);
    now.room = now.room.map(|room| Room {
        free_vcpus: 0,
        ..room
    });
    assert_eq!(holds(&limits, &now), [], "vCPUs are not asked for");
    now.elsewhere = Some(BTreeMap::from([(host(1), BTreeSet::from([cause("aa")]))]));
    assert!(matches!(
        holds(&limits, &now).as_slice(),
        [Hold::SharedCause { .. }]
    ));
}

#[test]
fn a_cause_is_what_condemns_with_what_was_found() {
    let found = |found: &str| {
        let condemns = Finding {
            gravity: Verdict::Contraindicated,
            ..Finding::new(Code::PcrNotGolden, "PCR sha256:4")
        };
        let warns = Finding {
            gravity: Verdict::Warning,
            ..Finding::new(Code::ImaFileUnknown, "/usr/bin/x")
        };
        Cause::of(&[condemns.found(found), warns])
    };
    assert_eq!(found("aa").len(), 1, "a warning condemns nobody");
    assert_ne!(found("aa"), found("bb"));
    // A code of a newer version can be a missing value: others are asked.
    let newer = Cause {
        code: "not-yet-known".into(),
        ..cause("aa")
    };
    assert!(waits_for_others(&BTreeSet::from([newer])));
}

proptest! {
    #[test]
    fn nothing_passes_over_a_limit(
        max_cases in 0u32..5, keep_hosts in 0u32..5,
        cases in proptest::option::of(0u32..8),
        others in proptest::option::of(0u32..8),
        alike in proptest::option::of(0usize..5),
        in_zone in proptest::option::of(0u32..4),
        in_aggregate in proptest::option::of(0u32..4),
        free in proptest::option::of(0u64..200),
        keep in 0u64..100,
        brake_hosts in 0u32..5,
    ) {
        let limits = Limits {
            max_cases, keep_hosts, max_cases_zone: 2, max_cases_aggregate: 3, keep_free_vcpus: keep, brake_hosts, ..LIMITS
        };
        let mut now = circumstances(0, 0, 0);
        now.cases = cases;
        now.in_zone = in_zone;
        now.in_aggregates = in_aggregate.map(|n| BTreeMap::from([("ssd".to_owned(), n)]));
        now.room = free.map(|free_vcpus| Room { free_vcpus, free_memory_mb: 0, need_vcpus: 50, need_memory_mb: 7 });
        now.zone = others.map(|others_enabled| Zone { name: "z".into(), others_enabled });
        now.elsewhere = alike.map(|n| (0..n).map(|n| (host(n), BTreeSet::from([cause("aa")]))).collect());
        let within = cases.is_some_and(|n| n < max_cases)
            && others.is_some_and(|n| n >= keep_hosts && n >= 1)
            && alike.is_some_and(|n| n + 1 < usize::try_from(brake_hosts).unwrap().max(2))
            && in_zone.is_some_and(|n| n < 2)
            && in_aggregate.is_some_and(|n| n < 3)
            && (keep == 0 || free.is_some_and(|free| free >= 50 + keep));
        prop_assert_eq!(holds(&limits, &now).is_empty(), within);
    }
}
