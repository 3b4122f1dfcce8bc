//! Fifty cases at once with five hundred instances: how long they take, what they ask of nova, and in how much memory.
//!
//! The time is the simulation's: what the daemon waits for, not what this machine needs to compute it. `make load`
//! prints the report; memory is looked at only there, for it is the whole process's.

use std::collections::BTreeMap;

use super::daemon::PER_SECOND;
use super::mutants::Mutant;
use super::ops::{List, Op};
use super::world::Sim;
use crate::respond::tests::cloud::Shape;
use crate::store::CaseState;

#[test]
fn fifty_cases_with_five_hundred_instances_ask_little_of_nova() {
    // All of it takes a minute; a part of it in every run of the tests.
    let (cases, instances): (u8, usize) = if alone() { (50, 500) } else { (20, 200) };
    let mut ops: Vec<Op> = (0..cases).map(|host| Op::Root(host, host)).collect();
    ops.extend((0..cases).map(|host| Op::Round(0, host)));
    let list = List {
        shape: Shape {
            hosts: cases + 10,
            guests: (0..instances)
                .map(|n| u8::try_from(n % usize::from(cases)).unwrap())
                .collect(),
            group: Vec::new(),
            local: Vec::new(),
            masakari: false,
            second_bmc: false,
        },
        by_masakari: false,
        observe: false,
        ops,
    };
    let before = memory("VmRSS");
    let begin = std::time::Instant::now();
    // On disk, as it is where it runs.
    let directory = tempfile::tempdir().unwrap();
    let mut sim = Sim::within(directory, &list, Mutant::None, |config| {
        config.max_cases = u32::from(cases);
        config.max_cases_zone = u32::from(cases);
        config.max_cases_aggregate = u32::from(cases);
        config.evacuation_deadline = std::time::Duration::from_secs(1800);
    });
    for op in list.ops.clone() {
        sim.quiet(|sim| sim.apply(op)).unwrap();
    }
    while sim.cases().iter().any(|case| case.state == CaseState::Open)
        || sim.cases().len() < usize::from(cases)
    {
        sim.quiet(|sim| sim.tick(10, 1)).unwrap();
        assert!(
            sim.cloud.now < 3_600_000,
            "not done within an hour: {:?}",
            sim.cases()
        );
    }
    let after = memory("VmHWM");
    for case in sim.cases() {
        assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    }
    assert!(
        sim.cloud
            .guests
            .iter()
            .all(|guest| guest.host >= cases && guest.moves.len() == 1)
    );
    let mut seconds: BTreeMap<u64, usize> = BTreeMap::new();
    for (at, _) in sim.times.iter().filter(|(_, nova)| *nova) {
        *seconds.entry(at / 1000).or_default() += 1;
    }
    let (requests, peak) = (
        sim.times.len(),
        seconds.values().max().copied().unwrap_or_default(),
    );
    let nova: usize = seconds.values().sum();
    println!(
        "{cases} cases, {instances} instances: all elsewhere after {} s; {requests} requests, {nova} of them to nova, at \
         most {peak} in a second; memory {} MB more at most; computed in {:.1} s",
        sim.cloud.now / 1000,
        after.saturating_sub(before) / 1024,
        begin.elapsed().as_secs_f64(),
    );
    assert!(
        peak <= usize::try_from(PER_SECOND).unwrap(),
        "{peak} requests to nova in a second"
    );
    assert!(
        requests <= 12 * instances + 200 * usize::from(cases),
        "{requests} requests"
    );
    assert!(sim.cloud.now <= 900_000, "{} s", sim.cloud.now / 1000);
    if alone() {
        assert!(
            after.saturating_sub(before) <= 64 * 1024,
            "{before} KB before, {after} KB at most"
        );
    }
}

/// Whether nothing else runs in this process.
fn alone() -> bool {
    std::env::var_os("LAZARET_LOAD").is_some()
}

/// What the kernel says of this process's memory, in KB.
fn memory(what: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(what));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or_default()
}
