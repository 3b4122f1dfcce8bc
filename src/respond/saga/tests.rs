//! The order of steps, and what it proves.

use proptest::prelude::*;

use super::*;

fn recorded(done: usize) -> Vec<(Step, StepState)> {
    steps(CaseKind::Quarantine, true)
        .into_iter()
        .enumerate()
        .map(|(place, step)| {
            (
                step,
                if place < done {
                    StepState::Done
                } else {
                    StepState::Pending
                },
            )
        })
        .collect()
}

#[test]
fn steps_follow_each_other() {
    let mut seen = Vec::new();
    for done in 0..=9 {
        match next(&recorded(done)) {
            Move::Do(step) => seen.push(step),
            Move::Over => assert_eq!(done, 9),
            Move::Broken(why) => panic!("{why}"),
        }
    }
    assert_eq!(seen, steps(CaseKind::Quarantine, true));
    assert_eq!(steps(CaseKind::Quarantine, false)[0], Step::Plan);
}

#[test]
fn a_step_that_was_cut_off_is_done_again() {
    for state in [StepState::Running, StepState::Failed, StepState::Pending] {
        let mut steps = recorded(5);
        steps[4].1 = state;
        assert_eq!(next(&steps), Move::Do(Step::Fence), "{state:?}");
    }
}

#[test]
fn names_can_be_read_back() {
    for step in Step::ALL {
        assert_eq!(step.as_str().parse(), Ok(step));
    }
    assert!("reboot".parse::<Step>().is_err());
}

#[test]
fn attempts_run_out_but_planning_waits_for_the_cloud() {
    let again = || Outcome::<()>::Again {
        after: None,
        why: "503".into(),
    };
    assert_eq!(
        settle(Step::Disable, again(), 1, 3),
        Settled::Rest(Duration::from_secs(1), "503".into())
    );
    assert_eq!(
        settle(Step::Disable, again(), 2, 3),
        Settled::Rest(Duration::from_secs(2), "503".into())
    );
    assert!(matches!(settle(Step::Disable, again(), 3, 3), Settled::Stuck(why) if why.contains("503")));
    assert_eq!(
        settle(Step::Plan, again(), 99, 3),
        Settled::Rest(LONGEST_PAUSE, "503".into())
    );
}

#[test]
fn a_service_that_wants_to_be_left_alone_is_and_the_back_off_counts_as_well() {
    let asked = |seconds| Outcome::<()>::Again {
        after: Some(Duration::from_secs(seconds)),
        why: "429".into(),
    };
    for (seconds, attempt, rest) in [(25, 1, 25), (25, 6, 32), (0, 2, 2), (300, 1, 300)] {
        assert_eq!(
            settle(Step::Evacuate, asked(seconds), attempt, 9),
            Settled::Rest(Duration::from_secs(rest), "429".into())
        );
    }
}

#[test]
fn a_fence_cannot_be_skipped() {
    let skipped = || Outcome::<()>::Skipped("no method".into());
    assert!(matches!(settle(Step::Fence, skipped(), 1, 3), Settled::Stuck(_)));
    assert!(matches!(
        settle(Step::ForceDown, skipped(), 1, 3),
        Settled::Stuck(_)
    ));
    assert!(matches!(
        settle(Step::Announce, skipped(), 1, 3),
        Settled::Finished(StepState::Skipped, ..)
    ));
}

#[test]
fn a_release_has_no_step_of_a_quarantine_and_the_other_way_round() {
    let quarantine = steps(CaseKind::Quarantine, false);
    for step in steps(CaseKind::Release, true) {
        assert!(step == Step::Close || !quarantine.contains(&step), "{step}");
    }
    for step in Step::ALL {
        let known = CaseKind::ALL
            .into_iter()
            .any(|kind| steps(kind, false).contains(&step));
        assert!(known, "{step} is no step of any case");
    }
}

/// Mostly over, so that the late steps are reached.
fn state() -> impl Strategy<Value = StepState> {
    prop_oneof![
        5 => Just(StepState::Done),
        2 => Just(StepState::Skipped),
        1 => Just(StepState::Pending),
        1 => Just(StepState::Running),
        1 => Just(StepState::Failed),
    ]
}

proptest! {
    /// Whatever is recorded, also with steps left out: nothing that keeps the host out is taken back before the
    /// verdict, and it is trusted last.
    #[test]
    fn nothing_is_cleared_before_the_verdict(
        steps in proptest::sample::subsequence(RELEASE.to_vec(), 1..=RELEASE.len()),
        states in proptest::collection::vec(state(), RELEASE.len()),
    ) {
        let record: Vec<(Step, StepState)> = steps.into_iter().zip(states).collect();
        if let Move::Do(step) = next(&record) {
            let done = |step| record.contains(&(step, StepState::Done));
            if crate::respond::release::takes_back(step) {
                prop_assert!(done(Step::Attest) && done(Step::Boot) && done(Step::Rotate) || step != Step::Raise);
                prop_assert!(done(Step::Attest));
                prop_assert!(step == Step::Raise || done(Step::Raise));
            }
            if step == Step::Trust {
                prop_assert!(done(Step::Admit));
            }
        }
    }

    /// Whatever is recorded, also with steps left out: evacuation only follows a fence that was seen.
    #[test]
    fn nothing_is_evacuated_before_the_fence(
        steps in proptest::sample::subsequence(Step::ALL.to_vec(), 1..=Step::ALL.len()),
        states in proptest::collection::vec(state(), Step::ALL.len()),
    ) {
        let record: Vec<(Step, StepState)> = steps.into_iter().zip(states).collect();
        if let Move::Do(Step::Evacuate | Step::Confirm) = next(&record) {
            prop_assert!(record.contains(&(Step::Fence, StepState::Done)));
            prop_assert!(record.contains(&(Step::ForceDown, StepState::Done)));
        }
        if let Move::Do(Step::ForceDown) = next(&record) {
            prop_assert!(record.contains(&(Step::Fence, StepState::Done)));
        }
    }
}
