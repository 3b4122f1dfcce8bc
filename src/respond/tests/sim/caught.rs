//! Each rule is broken once on purpose, and seen to catch it.

use super::ops::{List, Op};
use super::{Mutant, run};
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
