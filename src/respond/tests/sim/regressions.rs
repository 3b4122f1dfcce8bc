//! Lists that once broke a rule, as the simulation printed them.

use super::mutants::Mutant;
use super::ops::{Cut, How, List, Op};
use super::run;
use crate::respond::tests::cloud::{End, Mood, Shape};

/// The list breaks no rule any more.
#[track_caller]
fn holds(list: &List) {
    let (ended, counts) = run(list, Mutant::None);
    assert_eq!(ended, Ok(()), "{counts:?}");
}

fn shape(hosts: u8, guests: Vec<u8>) -> Shape {
    Shape {
        hosts,
        guests,
        group: Vec::new(),
        local: Vec::new(),
        masakari: false,
        second_bmc: false,
    }
}

/// A case that a person held while its fence was under way no longer counted, and a third host was switched off.
#[test]
fn a_case_that_is_held_in_its_fence_counts_against_the_limit() {
    holds(&List {
        shape: shape(4, Vec::new()),
        by_masakari: false,
        observe: false,
        ops: vec![
            Op::Root(0, 0),
            Op::Round(0, 0),
            Op::Tick(6),
            Op::Hold(4),
            Op::Start(1),
            Op::Root(1, 1),
            Op::Root(3, 0),
            Op::Round(1, 5),
            Op::Round(1, 3),
        ],
    });
}

fn list(hosts: u8, guests: Vec<u8>, ops: Vec<Op>) -> List {
    List {
        shape: shape(hosts, guests),
        by_masakari: false,
        observe: false,
        ops,
    }
}

/// The host of a case that was open and had not disabled it yet counted as one that stays.
#[test]
fn what_another_case_is_about_to_disable_does_not_stay() {
    holds(&list(
        2,
        Vec::new(),
        vec![
            Op::Root(0, 0),
            Op::Root(1, 1),
            Op::Fault(1, true, How::Status(429)),
            Op::Round(0, 0),
            Op::Tick(2),
            Op::Round(0, 1),
            Op::Tick(3),
        ],
    ));
}

/// Whoever looks after quarantined hosts did so without a pause as long as there was one, and a release whose quarantine
/// somebody was at was taken and let go without a pause.
#[test]
fn a_host_that_is_kept_out_is_looked_at_once_in_each_interval() {
    let mut ops = vec![Op::Root(0, 0), Op::Round(0, 0), Op::Tick(60), Op::Tick(60)];
    ops.extend([Op::Tick(300), Op::Tick(300)]);
    let (ended, counts) = run(&list(3, Vec::new(), ops), Mutant::None);
    assert_eq!(ended, Ok(()));
    assert!(counts.requests < 400, "{counts:?}");
}

/// The daemon that looked at the host was killed, and its lease lasts.
#[test]
fn a_release_waits_for_whoever_looks_at_its_host() {
    let mut ops = vec![Op::Root(0, 0), Op::Round(0, 0), Op::Tick(60)];
    ops.extend((0..3).map(|item| Op::Settle(0, item, false)));
    ops.extend([
        Op::Crash(0, 2, Cut::BeforeRequest),
        Op::Tick(60),
        Op::Release(0, false),
        Op::Start(0),
    ]);
    ops.extend([Op::Clean(0), Op::Tick(90), Op::Tick(60)]);
    holds(&list(3, Vec::new(), ops));
}

/// What a clock that was ahead wrote of its tries kept the hold-down from another one until that time had come.
#[test]
fn tries_of_a_clock_that_was_ahead_do_not_end_the_hold_down() {
    let shape = Shape {
        group: vec![0, 1, 2],
        ..shape(3, vec![2])
    };
    let list = list(
        3,
        Vec::new(),
        vec![
            Op::Root(3, 2),
            Op::Start(1),
            Op::Round(1, 0),
            Op::Tick(53),
            Op::Bmc(3, true, Mood::Broken),
            Op::Jump(0, 3600),
            Op::MoveTo(4, 0),
            Op::Tick(268),
        ],
    );
    holds(&List { shape, ..list });
}

/// nova did not take the first request to disable host 1. While its case rested a person let the case of another host of
/// its zone go on, and both were disabled: the zone kept none.
#[test]
fn a_case_that_rested_before_it_disabled_its_host_asks_the_limits_again() {
    let masakari_and_group = |by_masakari| List {
        shape: Shape {
            group: vec![0, 1, 2],
            masakari: true,
            ..shape(3, vec![0, 1])
        },
        by_masakari,
        observe: false,
        ops: vec![
            Op::Root(0, 0),
            Op::Round(0, 0),
            Op::Root(1, 0),
            Op::Jump(0, -30),
            Op::Root(2, 0),
            Op::Rounds(0),
            Op::Fault(1, true, How::Status(202)),
            Op::Root(0, 1),
            Op::Fault(2, true, How::Status(429)),
            Op::Round(0, 3),
            Op::Approve(2),
            Op::Tick(56),
        ],
    };
    holds(&masakari_and_group(true));
    holds(&masakari_and_group(false));
}

/// Two cases each saw the moves of their own host only, and had members of one group on their way at once.
#[test]
fn members_of_one_group_on_two_hosts_are_evacuated_one_after_the_other() {
    for slow in [false, true] {
        let mut ops = vec![Op::Root(0, 0), Op::Root(1, 1)];
        ops.extend(slow.then_some(Op::Ends(0, End::Slow)));
        ops.extend([Op::Round(0, 0), Op::Round(0, 1), Op::Tick(60)]);
        let list = list(5, vec![0, 1], ops);
        let shape = Shape {
            group: vec![0, 1],
            ..list.shape.clone()
        };
        let (ended, counts) = run(&List { shape, ..list }, Mutant::None);
        assert_eq!(ended, Ok(()), "{counts:?}");
        // The other one waits, not for ever: one that is too slow for its case leaves both to a person.
        let wanted = if slow { (1, 0, 2) } else { (2, 2, 0) };
        assert_eq!(
            (counts.evacuations, counts.closed, counts.stuck),
            wanted,
            "{counts:?}"
        );
    }
}

/// A daemon that stood still heard the agent silent once only, and forced the host down.
#[test]
fn a_daemon_that_stood_still_hears_the_agent_silent_again() {
    let list = list(
        5,
        vec![1, 1, 2, 1],
        vec![
            Op::Root(0, 0),
            Op::Round(0, 0),
            Op::Tick(9),
            Op::Stall(0, 3),
            Op::Tick(65),
        ],
    );
    let shape = Shape {
        group: vec![0, 1, 2],
        ..list.shape.clone()
    };
    holds(&List { shape, ..list });
}

/// The daemon was killed before it wrote that the release is closed. The other one waited for the lease of the quarantine,
/// and forgot every minute for how long it had, since nothing was kept out by it any more.
#[test]
fn a_release_whose_daemon_was_killed_before_it_was_closed_is_closed() {
    let list = list(
        5,
        vec![2, 2, 1, 1, 1],
        vec![
            Op::Root(0, 0),
            Op::Round(0, 0),
            Op::Tick(90),
            Op::Clean(0),
            Op::Settle(0, 0, false),
            Op::Start(1),
            Op::Crash(0, 55, Cut::BeforeWrite),
            Op::Settle(0, 1, true),
            Op::Release(0, true),
            Op::Agree(0, true),
            Op::Tick(200),
        ],
    );
    let shape = Shape {
        local: vec![0],
        second_bmc: true,
        ..list.shape.clone()
    };
    holds(&List { shape, ..list });
}

/// Two cases of one instant: the one whose limits could not be asked as it was opened came first by its id, after the other
/// one had already been let through. A third host was switched off.
#[test]
fn of_two_cases_of_one_instant_the_one_that_was_written_first_comes_first() {
    let list = list(
        4,
        Vec::new(),
        vec![
            Op::Root(0, 0),
            Op::Round(0, 0),
            Op::Silence(1),
            Op::Round(0, 1),
            Op::Tick(60),
            Op::Start(1),
            Op::Fault(13, false, How::Status(429)),
            Op::Wake(1),
            Op::Fault(10, false, How::Unsent),
            Op::Root(2, 1),
            Op::Root(3, 2),
            Op::ApproveGroup(1),
            Op::Round(1, 2),
            Op::Round(1, 2),
            Op::Fault(15, false, How::Status(401)),
            Op::Round(1, 3),
            Op::Tick(58),
            Op::PauseGuest(4),
            Op::Jump(0, -3600),
            Op::Leave(4),
        ],
    );
    let shape = Shape {
        masakari: true,
        ..list.shape.clone()
    };
    holds(&List {
        shape,
        by_masakari: true,
        ..list
    });
}

/// The clock went ahead by more than the window that cases are counted in: all that was before was too old to count.
#[test]
fn a_clock_that_goes_ahead_takes_no_limit_away() {
    let rooted = [Op::Root(0, 0), Op::Root(1, 1), Op::Root(2, 2)];
    let mut ops = rooted.to_vec();
    ops.extend([Op::Round(0, 0), Op::Round(0, 1), Op::Tick(60)]);
    ops.extend([Op::Jump(0, 3700), Op::Round(0, 2), Op::Tick(60)]);
    let (ended, counts) = run(&list(6, Vec::new(), ops), Mutant::None);
    assert_eq!(ended, Ok(()), "{counts:?}");
    assert_eq!((counts.fences, counts.held), (2, 1), "{counts:?}");
}

/// The harness kept what a stopped daemon had sent until another one had taken its cases.
#[test]
fn what_a_daemon_sent_before_it_stood_still_is_its_own() {
    let mut ops: Vec<Op> = (0..4).map(|host| Op::Root(host, 0)).collect();
    ops.extend([Op::Rounds(0), Op::ApproveGroup(0), Op::Stall(0, 39), Op::Tick(64)]);
    ops.push(Op::Start(1));
    let list = list(5, vec![1, 2, 1, 2, 0, 1], ops);
    let shape = Shape {
        masakari: true,
        ..list.shape.clone()
    };
    holds(&List { shape, ..list });
}

/// Dismissed before anything was done to it, a host is in no quarantine, and nothing of it has to be proven.
#[test]
fn a_host_that_nothing_was_done_to_is_let_go_by_its_dismissal() {
    let mut ops: Vec<Op> = (0..4).map(|host| Op::Root(host, 0)).collect();
    ops.extend([Op::Rounds(0), Op::ApproveGroup(0), Op::Tick(90), Op::Dismiss(2)]);
    let list = list(4, vec![0], ops);
    let shape = Shape {
        group: vec![0, 1, 2],
        ..list.shape.clone()
    };
    holds(&List { shape, ..list });
}
