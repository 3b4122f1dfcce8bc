//! Each rule is broken once on purpose, and seen to catch it.

use super::mutants::Mutant;
use super::ops::{How, List, Op};
use super::run;
use crate::respond::tests::cloud::{End, Shape};

fn list(hosts: u8, guests: Vec<u8>, ops: Vec<Op>) -> List {
    List {
        shape: Shape {
            hosts,
            guests,
            group: Vec::new(),
            local: Vec::new(),
            masakari: false,
            second_bmc: false,
        },
        by_masakari: false,
        observe: false,
        ops,
    }
}

/// The list holds as it is, and breaks this rule when it is broken so.
#[track_caller]
fn caught(rule: &str, mutant: Mutant, list: &List) {
    let (ended, counts) = run(list, Mutant::None);
    assert_eq!(ended, Ok(()), "unbroken, nothing is caught: {counts:?}");
    let (ended, _) = run(list, mutant);
    assert_eq!(ended.map_err(|broken| broken.rule), Err(rule), "{mutant:?}");
}

fn rooted() -> Vec<Op> {
    vec![Op::Root(0, 0), Op::Round(0, 0), Op::Tick(60)]
}

#[test]
fn rule_01_fence_first_is_caught() {
    caught("fence_first", Mutant::HostsLie, &list(3, vec![0, 0], rooted()));
}

#[test]
fn rule_02_never_evacuated_twice_is_caught() {
    let mut ops = vec![Op::Ends(0, End::Slow)];
    ops.extend(rooted());
    ops.push(Op::Tick(120));
    caught(
        "never_evacuated_twice",
        Mutant::HidesMoves,
        &list(3, vec![0, 0], ops),
    );
}

#[test]
fn rule_03_within_limits_is_caught() {
    let mut ops = Vec::new();
    for host in 0..4 {
        ops.extend([Op::Root(host, host), Op::Round(0, host), Op::Tick(70)]);
    }
    caught("within_limits", Mutant::LaxLimits, &list(6, vec![0], ops));
}

#[test]
fn rule_04_keeps_hosts_is_caught() {
    let mut ops = rooted();
    ops.extend([Op::Root(1, 1), Op::Round(0, 1), Op::Tick(60)]);
    caught("keeps_hosts", Mutant::FeignsHosts, &list(2, vec![0], ops));
}

#[test]
fn rule_05_silence_never_fences_is_caught() {
    let ops = vec![Op::Silence(0), Op::Round(0, 0), Op::Tick(60)];
    caught("silence_never_fences", Mutant::Slander, &list(3, vec![0], ops));
}

#[test]
fn rule_06_observe_touches_nothing_is_caught() {
    let list = List {
        observe: true,
        ..list(3, vec![0], rooted())
    };
    caught("observe_touches_nothing", Mutant::EnforcesAnyway, &list);
}

#[test]
fn rule_07_closed_means_out_is_caught() {
    caught(
        "closed_means_out",
        Mutant::ForgesDown,
        &list(3, Vec::new(), rooted()),
    );
}

#[test]
fn rule_08_ends_or_waits_is_caught() {
    let ops = vec![Op::Root(0, 0), Op::Round(0, 0), Op::Tick(2)];
    caught("ends_or_waits", Mutant::NeverDrives, &list(3, vec![0], ops));
}

#[test]
fn rule_09_held_down_is_caught() {
    let mut ops = rooted();
    ops.extend([Op::Tick(60), Op::Enable(0)]);
    caught("held_down", Mutant::NobodyLooksAgain, &list(3, Vec::new(), ops));
}

#[test]
fn rule_10_journal_ahead_is_caught() {
    let ops = vec![Op::Tick(5)];
    caught("journal_ahead", Mutant::ActsUnasked, &list(3, vec![0], ops));
}

#[test]
fn rule_11_one_lease_is_caught() {
    caught("one_lease", Mutant::OthersTakeOver, &list(3, vec![0], rooted()));
    caught("one_lease", Mutant::TwoAtOnce, &list(3, vec![0], rooted()));
}

#[test]
fn rule_12_told_once_is_caught() {
    caught("told_once", Mutant::SaysTwice, &list(3, vec![0], rooted()));
}

#[test]
fn rule_13_never_on_two_hosts_is_caught() {
    caught("never_on_two_hosts", Mutant::Ghosts, &list(3, vec![0], rooted()));
}

#[test]
fn rule_14_groups_one_by_one_is_caught() {
    let list = list(4, vec![0, 0], rooted());
    let shape = Shape {
        group: vec![0, 1],
        ..list.shape.clone()
    };
    caught("groups_one_by_one", Mutant::HidesGroups, &List { shape, ..list });
}

#[test]
fn rule_15_down_means_disabled_is_caught() {
    let ops = vec![
        Op::Root(0, 0),
        Op::Round(0, 0),
        Op::Tick(12),
        Op::Enable(0),
        Op::Tick(60),
    ];
    caught("down_means_disabled", Mutant::DownOnly, &list(3, vec![0], ops));
}

/// A host that is quarantined, and asked back for.
fn asked_back(before: Vec<Op>, second: bool) -> List {
    let mut ops = rooted();
    ops.push(Op::Tick(60));
    ops.extend(before);
    ops.extend([Op::Release(0, second), Op::Tick(90), Op::Tick(60)]);
    list(3, vec![0], ops)
}

fn all_settled() -> Vec<Op> {
    (0..3).map(|item| Op::Settle(0, item, item == 1)).collect()
}

#[test]
fn a_host_that_is_asked_back_for_comes_back() {
    let mut before = all_settled();
    before.push(Op::Clean(0));
    let (ended, counts) = run(&asked_back(before, false), Mutant::None);
    assert_eq!(ended, Ok(()));
    assert_eq!((counts.releases, counts.released), (1, 1), "{counts:?}");
}

#[test]
fn rule_16_proven_before_back_is_caught() {
    caught(
        "proven_before_back",
        Mutant::Whitewash,
        &asked_back(all_settled(), false),
    );
}

#[test]
fn rule_17_asked_before_boot_is_caught() {
    caught(
        "asked_before_boot",
        Mutant::AsksNobody,
        &asked_back(Vec::new(), false),
    );
    caught(
        "asked_before_boot",
        Mutant::AsksNobody,
        &asked_back(all_settled(), true),
    );
}

#[test]
fn rule_18_trust_last_is_caught() {
    let mut before = all_settled();
    before.push(Op::Clean(0));
    caught("trust_last", Mutant::TrustsEarly, &asked_back(before, false));
}

#[test]
fn rule_19_nothing_begins_in_a_pause_is_caught() {
    // In the middle of a case: its BMC takes its time.
    let ops = vec![
        Op::Root(0, 0),
        Op::Round(0, 0),
        Op::Tick(2),
        Op::Pause(Some(0), 300),
        Op::Tick(60),
    ];
    caught(
        "nothing_begins_in_a_pause",
        Mutant::ForgetsPauses,
        &list(3, vec![0], ops),
    );
    // And where a host is kept out.
    let mut ops = rooted();
    ops.extend([Op::Tick(60), Op::Pause(None, 300), Op::ForceUp(0), Op::Tick(120)]);
    caught(
        "nothing_begins_in_a_pause",
        Mutant::ForgetsPauses,
        &list(3, vec![0], ops),
    );
}

#[test]
fn rule_20_held_does_nothing_is_caught() {
    let ops = vec![
        Op::Root(0, 0),
        Op::Round(0, 0),
        Op::Tick(4),
        Op::Hold(0),
        Op::Tick(60),
    ];
    caught("held_does_nothing", Mutant::ForgetsHolds, &list(3, vec![0], ops));
}

#[test]
fn rule_21_shared_cause_waits_is_caught() {
    // The first one is kept waiting by nova; meanwhile two others fail alike.
    let ops = vec![
        Op::Root(0, 0),
        Op::Root(1, 0),
        Op::Root(2, 0),
        Op::Fault(1, true, How::Status(429)),
        Op::Round(0, 0),
        Op::Tick(3),
        Op::Round(0, 1),
        Op::Round(0, 2),
        Op::Tick(60),
    ];
    caught("shared_cause_waits", Mutant::NoBrake, &list(5, vec![0], ops));
}

#[test]
fn rule_22_drift_is_told_is_caught() {
    let mut ops = rooted();
    ops.extend([Op::Tick(60), Op::Enable(0), Op::Tick(70)]);
    caught("drift_is_told", Mutant::KeepsQuiet, &list(3, vec![0], ops));
}
