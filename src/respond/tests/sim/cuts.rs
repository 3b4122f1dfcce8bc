//! A daemon that is killed before and after each request, and before and after each transaction, of a whole case: what
//! the next one makes of it is the world that there would be without, and each effect once.

use std::collections::BTreeMap;

use super::mutants::Mutant;
use super::ops::{Cut, List, Op};
use super::world::Sim;
use crate::respond::tests::cloud::{Shape, name};

/// What there is at the end, and what was done for it.
#[derive(Debug, PartialEq, Eq)]
struct End {
    hosts: Vec<String>,
    aggregates: String,
    guests: Vec<String>,
    effects: BTreeMap<String, usize>,
}

fn list(by_masakari: bool, cut: Option<(u8, Cut)>) -> List {
    let mut ops = vec![Op::Root(0, 0)];
    ops.extend(cut.map(|(nth, cut)| Op::Crash(0, nth, cut)));
    // The lease of the one that was killed runs out; a round that was cut off is held again.
    ops.extend([
        Op::Round(0, 0),
        Op::Tick(80),
        Op::Start(0),
        Op::Tick(64),
        Op::Round(0, 0),
        Op::Tick(150),
    ]);
    List {
        shape: Shape {
            hosts: 3,
            guests: vec![0, 0],
            group: Vec::new(),
            local: Vec::new(),
            masakari: by_masakari,
            second_bmc: false,
        },
        by_masakari,
        observe: false,
        ops,
    }
}

/// The end of a run, and whether the daemon was killed in it.
fn end(by_masakari: bool, cut: Option<(u8, Cut)>) -> (End, bool) {
    let mut sim = Sim::new(&list(by_masakari, cut), Mutant::None);
    if let Err(broken) = sim.run() {
        panic!("{cut:?}, by Masakari {by_masakari}: {broken:?}");
    }
    let cases = sim.cases();
    let [case] = cases.as_slice() else {
        panic!("{cut:?}: {} cases", cases.len());
    };
    let hosts = sim.cloud.hosts.iter().map(|host| {
        let reason = host
            .reason
            .as_deref()
            .map(|reason| reason.replace(case.id.as_str(), "of it"));
        let (enabled, down, on) = (host.enabled, host.forced_down, host.on);
        format!("{enabled} {reason:?} {down} {on} {}", host.on_maintenance)
    });
    // Where a guest arrives depends on how full the others are just then.
    let guests = sim.cloud.guests.iter().map(|guest| {
        let elsewhere = guest.host != 0 && guest.runs_on.len() == 1 && guest.runs_on.contains(&guest.host);
        format!(
            "{elsewhere} {} {} {}",
            guest.vm_state,
            guest.task,
            guest.moves.len()
        )
    });
    let mut effects = BTreeMap::new();
    for (_, effect) in &sim.cloud.effects {
        *effects.entry(effect.clone()).or_default() += 1;
    }
    let end = End {
        hosts: hosts.collect(),
        aggregates: format!("{:?}", sim.cloud.aggregates),
        guests: guests.collect(),
        effects,
    };
    (end, sim.counts.crashes > 0)
}

fn cut_off_anywhere(by_masakari: bool, cuts: [Cut; 2]) {
    let (wanted, killed) = end(by_masakari, None);
    assert!(!killed);
    assert_eq!(
        wanted.effects.get(&format!("force down {}", name(0))),
        Some(&1),
        "{wanted:?}"
    );
    for cut in cuts {
        let mut points = 0;
        // All of them take minutes: some here, the others by `make sim`.
        let every = if std::env::var_os("LAZARET_SIM_SECONDS").is_some() {
            1
        } else {
            5
        };
        for nth in (1..=u8::MAX).step_by(every) {
            let (found, killed) = end(by_masakari, Some((nth, cut)));
            if !killed {
                break;
            }
            points += 1;
            assert_eq!(
                found, wanted,
                "killed at {cut:?} {nth}, by Masakari {by_masakari}"
            );
        }
        println!("{cut:?}, by Masakari {by_masakari}: killed at each of {points} points");
        assert!(points * every > 30, "{points} points");
    }
}

#[test]
fn killed_before_or_after_any_request_the_next_daemon_goes_on_and_nothing_is_done_twice() {
    cut_off_anywhere(false, [Cut::BeforeRequest, Cut::AfterRequest]);
}

#[test]
fn killed_before_or_after_any_transaction_the_next_daemon_goes_on_and_nothing_is_done_twice() {
    cut_off_anywhere(false, [Cut::BeforeWrite, Cut::AfterWrite]);
}

#[test]
fn by_masakari_killed_before_or_after_any_request_nothing_is_done_twice() {
    cut_off_anywhere(true, [Cut::BeforeRequest, Cut::AfterRequest]);
}

#[test]
fn by_masakari_killed_before_or_after_any_transaction_nothing_is_done_twice() {
    cut_off_anywhere(true, [Cut::BeforeWrite, Cut::AfterWrite]);
}
