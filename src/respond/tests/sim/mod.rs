//! A deterministic simulation: the product's own driver, steps, clients and store, against a model of the cloud within
//! the process, on time that only the simulation moves. Lists of operations are made up, each rule is looked at after
//! every request and every second, and a list that breaks one is made smaller and printed as Rust.
//!
//! `make sim SECONDS=600` runs longer, and `SEED=7` begins elsewhere.

mod caught;
mod cuts;
mod daemon;
mod finish;
mod happens;
mod load;
mod mutants;
mod ops;
mod people;
mod regressions;
mod rounds;
mod rules;
mod wire;
mod world;

use std::ops::AddAssign;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use mutants::Mutant;
use ops::List;
use rules::Broken;
use world::Sim;

/// Lists in each of the tests below, unless `LAZARET_SIM_SECONDS` says how long to go on.
const LISTS: u64 = 60;

/// How often a list that breaks a rule is run again to make it smaller.
const SHRINKS: u32 = 300;

/// What happened in a run, or in many.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    lists: usize,
    ops: usize,
    requests: usize,
    acts: usize,
    faults: usize,
    late: usize,
    crashes: usize,
    starts: usize,
    stalls: usize,
    cases: usize,
    closed: usize,
    held: usize,
    stuck: usize,
    approvals: usize,
    fences: usize,
    evacuations: usize,
    meddlings: usize,
    repairs: usize,
    releases: usize,
    released: usize,
    refused: usize,
    pauses: usize,
    resumes: usize,
    groups: usize,
    silences: usize,
    jumps: usize,
    /// Lists in which a case came to its end although a daemon was killed.
    closed_after_a_crash: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        let pairs = [
            (&mut self.lists, more.lists),
            (&mut self.ops, more.ops),
            (&mut self.requests, more.requests),
            (&mut self.acts, more.acts),
            (&mut self.faults, more.faults),
            (&mut self.late, more.late),
            (&mut self.crashes, more.crashes),
            (&mut self.starts, more.starts),
            (&mut self.stalls, more.stalls),
            (&mut self.cases, more.cases),
            (&mut self.closed, more.closed),
            (&mut self.held, more.held),
            (&mut self.stuck, more.stuck),
            (&mut self.approvals, more.approvals),
            (&mut self.fences, more.fences),
            (&mut self.evacuations, more.evacuations),
            (&mut self.meddlings, more.meddlings),
            (&mut self.repairs, more.repairs),
            (&mut self.releases, more.releases),
            (&mut self.released, more.released),
            (&mut self.refused, more.refused),
            (&mut self.pauses, more.pauses),
            (&mut self.resumes, more.resumes),
            (&mut self.groups, more.groups),
            (&mut self.silences, more.silences),
            (&mut self.jumps, more.jumps),
            (&mut self.closed_after_a_crash, more.closed_after_a_crash),
        ];
        for (sum, more) in pairs {
            *sum += more;
        }
    }
}

/// Runs a list once.
fn run(list: &List, mutant: Mutant) -> (Result<(), Broken>, Counts) {
    let mut sim = Sim::new(list, mutant);
    let ended = catch_unwind(AssertUnwindSafe(|| sim.run()));
    let ended = ended.unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        Err(Broken::new("no_panic", words.unwrap_or_default()))
    });
    let mut counts = sim.counts;
    counts.lists = 1;
    counts.closed_after_a_crash = usize::from(counts.closed > 0 && counts.crashes > 0);
    (ended, counts)
}

/// The list as it can be put into regressions.rs.
fn printed(list: &List) -> String {
    format!("{list:?}")
        .replace("guests: [", "guests: vec![")
        .replace("group: [", "group: vec![")
        .replace("local: [", "local: vec![")
        .replace("ops: [", "ops: vec![")
}

/// Runs lists made up from a seed; the first that breaks a rule is made smaller, and told.
fn simulate(seed: u64) -> Counts {
    let mut bytes = [0; 32];
    let from: u64 = std::env::var("LAZARET_SIM_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    bytes[8..16].copy_from_slice(&from.to_be_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let seconds = std::env::var("LAZARET_SIM_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let strategy = ops::lists();
    let mut counts = Counts::default();
    let begin = Instant::now();
    for n in 0.. {
        if until.map_or(n >= LISTS, |until| Instant::now() >= until) {
            break;
        }
        let list = strategy.new_tree(&mut runner).unwrap().current();
        let (ended, more) = run(&list, Mutant::None);
        counts += more;
        if std::env::var_os("LAZARET_SIM_VERBOSE").is_some() {
            eprintln!("list {n} after {:?}: {more:?}", begin.elapsed());
        }
        if let Err(broken) = ended {
            eprintln!(
                "list {n} breaks {}: {}; it is being made smaller",
                broken.rule, broken.words
            );
            let (list, broken) = smaller(list, broken);
            panic!(
                "list {n} breaks {}: {}\n{}",
                broken.rule,
                broken.words,
                printed(&list)
            );
        }
    }
    println!("{counts:?} in {:.1} s", begin.elapsed().as_secs_f64());
    counts
}

/// The list without what is not needed to break the same rule: first large parts of it are left out, then small ones.
/// (proptest makes single operations simpler before it leaves them out, which takes far longer.)
fn smaller(list: List, mut found: Broken) -> (List, Broken) {
    let mut list = list;
    let mut left = SHRINKS;
    let mut part = list.ops.len().div_ceil(2);
    while part > 0 {
        let mut from = 0;
        while from < list.ops.len() && left > 0 {
            left -= 1;
            let mut fewer = list.clone();
            fewer.ops.drain(from..(from + part).min(list.ops.len()));
            match run(&fewer, Mutant::None).0 {
                Err(broken) if broken.rule == found.rule => (list, found) = (fewer, broken),
                _ => from += part,
            }
        }
        part /= 2;
    }
    (list, found)
}

/// The lists go deep enough to mean something.
fn goes_deep(counts: Counts) {
    if counts.lists < 50 {
        return;
    }
    let share = |part: usize, percent: usize| part * 100 >= counts.lists * percent;
    assert!(share(counts.closed, 25), "too few cases end: {counts:?}");
    assert!(
        share(counts.closed_after_a_crash, 5),
        "too few end after a crash: {counts:?}"
    );
    assert!(share(counts.fences, 40), "too few hosts are fenced: {counts:?}");
    assert!(share(counts.evacuations, 40), "too few evacuations: {counts:?}");
    assert!(
        share(counts.crashes, 25) && share(counts.stalls, 10),
        "too few ends: {counts:?}"
    );
    assert!(share(counts.late, 5), "too few requests arrive late: {counts:?}");
    assert!(
        share(counts.repairs, 10) && share(counts.released, 3),
        "too little is put back or given back: {counts:?}"
    );
    assert!(
        share(counts.pauses, 10) && share(counts.groups, 5) && share(counts.silences, 2),
        "too few pauses, groups and silences: {counts:?}"
    );
}

#[test]
fn whatever_happens_the_rules_hold() {
    goes_deep(simulate(1));
}

#[test]
fn whatever_happens_the_rules_hold_in_other_lists_too() {
    goes_deep(simulate(2));
}

#[test]
fn the_same_list_gives_the_same_course() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..8 {
        let list = ops::lists().new_tree(&mut runner).unwrap().current();
        let course = || {
            let mut sim = Sim::new(&list, Mutant::None);
            let ended = sim.run();
            (ended, std::mem::take(&mut sim.trace))
        };
        let (first, second) = (course(), course());
        let other = first
            .1
            .iter()
            .zip(&second.1)
            .position(|(first, second)| first != second);
        let near = other.map(|n| {
            (
                n,
                &first.1[n.saturating_sub(3)..=n],
                &second.1[n.saturating_sub(3)..=n],
            )
        });
        assert!(
            first == second,
            "{near:?} {:?} {:?}\n{}",
            first.0,
            second.0,
            printed(&list)
        );
    }
}
