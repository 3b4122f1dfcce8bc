use proptest::prelude::*;

use super::*;
use crate::store::Phase;

const NOW: Timestamp = Timestamp::from_millis(1_795_243_380_000);
const MINUTE: Duration = Duration::from_secs(60);

fn plan() -> Plan {
    let text = r#"{"version": 1, "case": "q-20261121-7f3a2c", "host": "cmp-1", "made_at": "2026-11-21T06:43:10Z",
        "steps": [], "service": {"id": "eb16b4e6-9661-4c7f-a847-b00f79322cbd", "zone": "nova", "enabled": true,
        "disabled_reason": null, "forced_down": false}, "disabled_reason": "lazaret case q-20261121-7f3a2c: x",
        "quarantine_aggregate": "q", "quarantined_before": [], "aggregates": [], "fence": [],
        "recovery": {"by": "nova", "pause_masakari": false, "because": ""}, "local_disk": "hold", "instances": [],
        "warnings": [], "holds": []}"#;
    serde_json::from_str(text).unwrap()
}

fn as_left() -> Seen {
    Seen {
        enabled: false,
        reason: Some(plan().disabled_reason),
        forced_down: true,
        in_aggregate: true,
        strays: Vec::new(),
        power: PowerNow::Off,
        let_go: None,
        agent_answers: false,
        stirs: false,
        back: Vec::new(),
        may_return: Vec::new(),
        unmaintained: false,
    }
}

const ALL: Expect = Expect {
    disabled: true,
    isolated: true,
    off: true,
    forced_down: true,
    empty: true,
    maintained: true,
};

fn seen() -> impl Strategy<Value = Seen> {
    let power = prop_oneof![
        Just(PowerNow::Off),
        Just(PowerNow::Not("On".to_owned())),
        Just(PowerNow::NotKnown("silent".to_owned())),
    ];
    let flags = proptest::array::uniform10(any::<bool>());
    (power, flags).prop_map(
        |(
            power,
            [
                enabled,
                reason,
                forced_down,
                aggregate,
                stray,
                answers,
                stirs,
                back,
                let_go,
                unmaintained,
            ],
        )| Seen {
            enabled,
            reason: reason.then(|| plan().disabled_reason),
            forced_down,
            in_aggregate: aggregate,
            strays: if stray {
                vec!["cmp-9".parse().unwrap()]
            } else {
                vec![]
            },
            power,
            let_go: let_go.then(|| "redfish bmc is set to AlwaysOn".to_owned()),
            agent_answers: answers,
            stirs,
            back: if back {
                vec![(
                    "b3f1e7a4-5c62-4c1e-9d1d-0a8d6c1f2e3b".parse().unwrap(),
                    "web".to_owned(),
                )]
            } else {
                vec![]
            },
            may_return: vec![],
            unmaintained,
        },
    )
}

#[test]
fn a_host_that_is_as_it_was_left_has_no_drift() {
    assert_eq!(drifts(&ALL, &as_left(), &plan()), []);
    let masakari = Seen {
        reason: Some("Masakari detected host failed.".to_owned()),
        ..as_left()
    };
    assert_eq!(
        drifts(&ALL, &masakari, &plan()),
        [Drift::OtherReason("Masakari detected host failed.".to_owned())]
    );
}

#[test]
fn what_was_put_back_and_comes_again_is_told_again_and_what_stands_is_told_once() {
    let mut past = Past::default();
    let put_back = |tell| Turn::PutBack { tell };
    let turn = |past: &Past| turn(&Drift::Enabled, past, 5, NOW, None);
    assert_eq!(turn(&past), put_back(true));
    past.note("enabled", Word::Found, NOW);
    assert_eq!(turn(&past), put_back(false));
    past.note("enabled", Word::Failed, NOW);
    assert_eq!(turn(&past), put_back(false));
    past.note("enabled", Word::PutBack, NOW);
    assert_eq!(turn(&past), put_back(true));
    past.note("enabled", Word::Found, NOW);
    assert_eq!(past.gone(&BTreeSet::new()).collect::<Vec<_>>(), ["enabled"]);
    past.note("enabled", Word::Gone, NOW);
    assert_eq!(past.gone(&BTreeSet::new()).count(), 0);
    for (word, stands) in [
        (Word::Found, true),
        (Word::Failed, true),
        (Word::Left, true),
        (Word::PutBack, false),
    ] {
        past.note("enabled", word, NOW);
        assert_eq!(
            past.gone(&BTreeSet::new()).count(),
            usize::from(stands),
            "{word:?}"
        );
    }
}

#[test]
fn nothing_is_touched_while_hands_are_off_and_that_is_told_once() {
    let mut past = Past::default();
    let paused = |past: &Past| turn(&Drift::NotForcedDown, past, 5, NOW, Some("it is paused"));
    assert!(matches!(paused(&past), Turn::Leave { tell: Some(why) } if why.contains("paused")));
    past.note("not-forced-down", Word::Left, NOW);
    assert_eq!(paused(&past), Turn::Leave { tell: None });
    // The pause is over: people know of it.
    assert_eq!(
        turn(&Drift::NotForcedDown, &past, 5, NOW, None),
        Turn::PutBack { tell: false }
    );
}

/// Another tool undoes it at once, for a day: it is put back in the end each time, and not in a loop.
#[test]
fn a_fight_is_slowed_down_told_and_never_given_up() {
    let (mut past, mut put_back, mut told) = (Past::default(), Vec::new(), 0);
    for minute in 0..24 * 60 {
        let now = NOW.plus(MINUTE * minute);
        match turn(&Drift::PoweredOn("On".to_owned()), &past, 5, now, None) {
            Turn::PutBack { tell } => {
                told += usize::from(tell);
                past.note("powered-on", Word::PutBack, now);
                put_back.push(now);
            }
            Turn::Leave { tell } => {
                if tell.is_some() {
                    told += 1;
                    past.note("powered-on", Word::Left, now);
                }
            }
        }
    }
    assert!(put_back.len() <= 5 + 24 * 7, "{}", put_back.len());
    assert!(told <= 2 * put_back.len(), "{told}");
    let longest = put_back
        .windows(2)
        .map(|pair| pair[1].since(pair[0]))
        .max()
        .unwrap();
    assert!(longest <= SLOWED + MINUTE, "{longest:?}");
}

/// Otherwise a host that runs would be left alone until that time has come.
#[test]
fn tries_of_a_clock_that_was_ahead_do_not_keep_it_from_another_one() {
    let mut past = Past::default();
    for _ in 0..5 {
        past.note("powered-on", Word::Failed, NOW.plus(MINUTE * 1440));
    }
    let drift = Drift::PoweredOn("On".to_owned());
    assert_eq!(turn(&drift, &past, 5, NOW, None), Turn::PutBack { tell: false });
    // And from then on seldom, as before.
    past.note("powered-on", Word::Failed, NOW);
    let soon = turn(&drift, &past, 5, NOW.plus(MINUTE), None);
    assert!(matches!(soon, Turn::Leave { .. }), "{soon:?}");
}

/// What cannot be put back is not hammered at either.
#[test]
fn what_fails_again_and_again_is_tried_less_often() {
    let mut past = Past::default();
    let at = |minute| NOW.plus(MINUTE * minute);
    for minute in 0..5 {
        assert!(matches!(
            turn(&Drift::Enabled, &past, 5, at(minute), None),
            Turn::PutBack { .. }
        ));
        past.note("enabled", Word::Failed, at(minute));
    }
    let slowed = turn(&Drift::Enabled, &past, 5, at(5), None);
    assert!(
        matches!(&slowed, Turn::Leave { tell: Some(why) } if why.contains("tried 5 times")),
        "{slowed:?}"
    );
    assert!(matches!(
        turn(&Drift::Enabled, &past, 5, at(14), None),
        Turn::PutBack { .. }
    ));
}

/// A BMC that cannot be read hides nothing that the agent shows.
#[test]
fn a_host_whose_power_cannot_be_read_is_alive_when_its_agent_answers() {
    let seen = |answers| Seen {
        power: PowerNow::NotKnown("silent".to_owned()),
        agent_answers: answers,
        ..as_left()
    };
    let found = drifts(&ALL, &seen(true), &plan());
    assert_eq!(found, [Drift::Alive]);
    assert_eq!(found[0].repairs(), [Repair::Fence]);
    let found = drifts(&ALL, &seen(false), &plan());
    assert_eq!(found, [Drift::PowerNotKnown("silent".to_owned())]);
    assert!(found[0].repairs().is_empty(), "a person has to look at it");
}

#[test]
fn the_journal_carries_what_was_said_over_a_restart() {
    let entry = |word: Word, seq| JournalEntry {
        seq,
        at: NOW,
        step: ROOM.to_owned(),
        phase: Phase::Note,
        epoch: 1,
        detail: word.entry("powered-on", "words", None).json(),
    };
    let past = Past::read(&[entry(Word::Found, 1), entry(Word::PutBack, 2)]);
    assert_eq!(past.last("powered-on"), Some(Word::PutBack));
    assert_eq!(past.tries["powered-on"], [NOW]);
    for word in [Word::Found, Word::PutBack, Word::Failed, Word::Left, Word::Gone] {
        assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
    }
}

proptest! {
    /// Whatever is found: who may run is powered off and seen off before it is forced down, and before anything is
    /// evacuated; and disabled before all that.
    #[test]
    fn nothing_is_forced_down_or_evacuated_without_a_fence_and_the_order_is_a_quarantines(seen in seen()) {
        let found = drifts(&ALL, &seen, &plan());
        let repairs: BTreeSet<Repair> = found.iter().flat_map(|drift| drift.repairs()).copied().collect();
        if repairs.contains(&Repair::ForceDown) || repairs.contains(&Repair::Evacuate) {
            prop_assert!(repairs.contains(&Repair::Fence));
        }
        let order: Vec<Repair> = repairs.into_iter().collect();
        let place = |repair| order.iter().position(|known| *known == repair);
        for (first, then) in [
            (Repair::Disable, Repair::Fence),
            (Repair::Maintain, Repair::Fence),
            (Repair::Fence, Repair::KeepOff),
            (Repair::Fence, Repair::ForceDown),
            (Repair::Fence, Repair::Evacuate),
        ] {
            if let (Some(first), Some(then)) = (place(first), place(then)) {
                prop_assert!(first < then);
            }
        }
        // A host that is not seen as it was left is never taken for quiet.
        prop_assert_eq!(found.is_empty(), seen == as_left());
    }

    /// What a step never did is not put back.
    #[test]
    fn only_what_was_done_is_expected(seen in seen(), done in proptest::collection::vec(any::<bool>(), 9)) {
        let steps: Vec<(Step, StepState)> = saga_steps().into_iter().zip(done)
            .map(|(step, done)| (step, if done { StepState::Done } else { StepState::Failed })).collect();
        let expect = Expect::of(&steps, &[]);
        let done = |step| steps.contains(&(step, StepState::Done));
        for drift in drifts(&expect, &seen, &plan()) {
            let by = match drift {
                Drift::Enabled | Drift::OtherReason(_) => Step::Disable,
                Drift::LeftAggregate | Drift::Stray(_) => Step::Isolate,
                Drift::PoweredOn(_) | Drift::Alive | Drift::Stirs | Drift::PowerNotKnown(_)
                | Drift::NotKeptOff(_) => Step::Fence,
                Drift::NotForcedDown => Step::ForceDown,
                Drift::InstanceBack(..) | Drift::MayReturn(_) | Drift::NotMaintained => Step::Confirm,
            };
            prop_assert!(done(by), "{drift:?} without {by}");
        }
    }
}

/// What a release has not begun to take back is held as before; once it was refused, all of it is.
#[test]
fn a_release_is_held_to_what_it_has_not_taken_back_yet() {
    let quarantine: Vec<_> = saga_steps()
        .into_iter()
        .map(|step| (step, StepState::Done))
        .collect();
    let mut release: Vec<_> = crate::respond::saga::steps(crate::ids::CaseKind::Release, true)
        .into_iter()
        .map(|step| (step, StepState::Pending))
        .collect();
    assert_eq!(Expect::of(&quarantine, &release), ALL);
    let mut expected = ALL;
    for place in 0..release.len() {
        release[place].1 = StepState::Running;
        match release[place].0 {
            Step::Boot => expected.off = false,
            Step::Raise => expected.forced_down = false,
            Step::Leave => expected.isolated = false,
            Step::Unpause => expected.maintained = false,
            Step::Admit => (expected.disabled, expected.empty) = (false, false),
            _ => {}
        }
        assert_eq!(
            Expect::of(&quarantine, &release),
            expected,
            "{}",
            release[place].0
        );
    }
    assert_eq!(expected, Expect::default());
}

fn saga_steps() -> Vec<Step> {
    vec![
        Step::Announce,
        Step::Disable,
        Step::Isolate,
        Step::Fence,
        Step::ForceDown,
        Step::Evacuate,
        Step::Confirm,
        Step::Close,
    ]
}
