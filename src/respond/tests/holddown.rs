//! Quarantined hosts that do not stay as they were left.

use super::*;
use crate::respond::holddown::{Past, ROOM, Word};

/// One look is one try at the fence: a machine that is busy with other tests may take more than the usual half a second.
async fn patient(guests: u8) -> Bench {
    Bench {
        off_deadline: Duration::from_secs(60),
        ..Bench::new(guests, Recovery::Nova).await
    }
}

/// A host whose quarantine is closed, with what was done and told so far put aside.
async fn quarantined(bench: &mut Bench, daemon: &Arc<Respond>) -> Case {
    bench.condemn(daemon, &name(1), "aa").await;
    let case = bench.settle(Arc::clone(daemon)).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    bench.world.with(|state| state.effects.clear());
    bench.kinds().await;
    case
}

/// One look; returns what it did to the world, and how often people were told of drift.
async fn look(bench: &Bench, daemon: &Respond, case: &Case) -> (Vec<String>, usize) {
    bench.world.with(|state| state.effects.clear());
    let before = drifts(bench).await;
    let stop = CancellationToken::new();
    daemon
        .look_again(&bench.world.cloud(), &case.id, None, &stop)
        .await
        .unwrap();
    (bench.effects(), drifts(bench).await - before)
}

/// How often people were told of drift so far. What was taken for delivery comes again after a while.
async fn drifts(bench: &Bench) -> usize {
    bench.clock.advance(Duration::from_secs(30));
    let kinds = bench.kinds().await;
    kinds.iter().filter(|kind| *kind == "drift").count()
}

async fn words(bench: &Bench, case: &Case) -> String {
    let journal = bench.store.journal_of(&case.id).await.unwrap();
    let of = journal.iter().filter(|entry| entry.step == ROOM);
    of.map(|entry| journal::Entry::read(&entry.detail).says + "\n")
        .collect()
}

#[tokio::test]
async fn a_host_that_stays_as_it_was_left_is_looked_at_and_not_touched() {
    let mut bench = patient(2).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    let before = bench.world.server.seen().len();
    assert_eq!(look(&bench, &daemon, &case).await, (vec![], 0));
    let requests = bench.world.server.seen().len() - before;
    assert!(requests <= 20, "{requests} requests for one look");
    assert_eq!(words(&bench, &case).await, "");
}

#[tokio::test]
async fn case_20_a_host_that_powers_itself_on_is_fenced_again_and_told_each_time() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    for _ in 0..2 {
        bench.world.with(|state| state.off = false);
        assert_eq!(
            look(&bench, &daemon, &case).await,
            (vec!["off cmp-1".to_owned()], 1)
        );
        assert!(bench.world.with(|state| state.off));
        assert_eq!(look(&bench, &daemon, &case).await, (vec![], 0));
    }
    let said = words(&bench, &case).await;
    assert!(
        said.contains("NOT OFF") && said.contains("put back: cmp-1 seen off"),
        "{said}"
    );
}

#[tokio::test]
async fn case_21_another_tool_that_keeps_powering_it_on_is_fought_slowly_and_told() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    let mut offs = 0;
    for _ in 0..30 {
        bench.world.with(|state| state.off = false);
        offs += look(&bench, &daemon, &case).await.0.len();
    }
    // Five at once, then one in ten minutes.
    assert!((6..=8).contains(&offs), "{offs}");
    let said = words(&bench, &case).await;
    assert!(said.contains("every 10 minutes only"), "{said}");
}

#[tokio::test]
async fn case_22_a_service_that_another_tool_enabled_is_disabled_again() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    bench.world.with(|state| {
        let service = state.services.get_mut("cmp-1").unwrap();
        (service.0, service.1) = (true, None);
    });
    assert_eq!(
        look(&bench, &daemon, &case).await,
        (vec!["disable cmp-1".to_owned()], 1)
    );
    let reason = bench.world.with(|state| state.services["cmp-1"].1.clone());
    assert!(reason.unwrap().contains(case.id.as_str()));
    assert_eq!(look(&bench, &daemon, &case).await, (vec![], 0));
}

/// The flags go back only after the host was seen off; the aggregate holds meanwhile.
#[tokio::test]
async fn case_23_a_host_that_clears_its_own_flags_is_off_before_they_are_put_back() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    bench.world.with(|state| {
        state.off = false;
        state.services.insert("cmp-1".into(), (true, None, false));
    });
    let (effects, told) = look(&bench, &daemon, &case).await;
    assert_eq!(effects, ["disable cmp-1", "off cmp-1", "force-down cmp-1"]);
    assert_eq!(told, 3);
    assert!(
        bench
            .world
            .with(|state| state.aggregates["lazaret-quarantine"].2.contains(&"cmp-1".into()))
    );
}

/// Nothing is forced down while the host cannot be switched off; that is told, and tried again.
#[tokio::test]
async fn flags_are_not_put_back_while_the_host_is_not_seen_off() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    bench.world.with(|state| {
        state.off = false;
        state.services.get_mut("cmp-1").unwrap().2 = false;
        state.faults = vec![("POST /redfish", 99, How::Status(500, "{}"))];
    });
    let asked = || bench.world.server.count("POST /redfish");
    let before = asked();
    assert_eq!(look(&bench, &daemon, &case).await.0, Vec::<String>::new());
    assert_eq!(
        asked() - before,
        1,
        "what needs the host off is not tried once it was not seen off"
    );
    let (effects, told) = look(&bench, &daemon, &case).await;
    assert_eq!((effects, told), (vec![], 0), "that it fails still is no news");
    bench.world.with(|state| state.faults.clear());
    assert_eq!(
        look(&bench, &daemon, &case).await.0,
        ["off cmp-1", "force-down cmp-1"]
    );
}

#[tokio::test]
async fn a_host_that_was_taken_out_of_the_aggregate_joins_again_and_a_stray_is_taken_out() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    bench.world.with(|state| {
        state.aggregates.get_mut("lazaret-quarantine").unwrap().2 = vec!["cmp-3".into()];
    });
    let (effects, told) = look(&bench, &daemon, &case).await;
    assert_eq!(effects, ["join cmp-1", "leave cmp-3"]);
    assert_eq!(told, 2);
    assert_eq!(look(&bench, &daemon, &case).await, (vec![], 0));
}

/// A resize was reverted, say: the instance is on the host again, in nova's mind.
#[tokio::test]
async fn case_40_an_instance_that_came_back_is_evacuated_after_the_host_was_seen_off() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    bench.world.with(|state| {
        let mut guest = state.guests[&1].clone();
        (guest.host, guest.moves) = ("cmp-1".into(), vec![]);
        state.guests.insert(9, guest);
    });
    assert_eq!(
        look(&bench, &daemon, &case).await,
        (vec!["evacuate 9".to_owned()], 1)
    );
    assert_eq!(bench.world.with(|state| state.guests[&9].host.clone()), "cmp-2");
    assert_eq!(look(&bench, &daemon, &case).await, (vec![], 0));
}

/// It was evacuated once already: what is recorded of it does not stand any more.
#[tokio::test]
async fn an_instance_that_was_evacuated_before_is_evacuated_again_when_it_comes_back() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    bench.world.with(|state| {
        let guest = state.guests.get_mut(&1).unwrap();
        (guest.host, guest.moves) = ("cmp-1".into(), vec![]);
    });
    assert_eq!(
        look(&bench, &daemon, &case).await,
        (vec!["evacuate 1".to_owned()], 1)
    );
    assert_eq!(look(&bench, &daemon, &case).await, (vec![], 0));
}

/// nova completes its record only when nova-compute starts on the host, which never happens while it is kept out.
#[tokio::test]
async fn an_instance_that_comes_back_while_its_evacuation_is_still_done_is_evacuated_again() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    bench.world.with(|state| {
        let guest = state.guests.get_mut(&1).unwrap();
        assert_eq!(guest.moves.last().unwrap().0, "done");
        guest.host = "cmp-1".into();
    });
    assert_eq!(
        look(&bench, &daemon, &case).await,
        (vec!["evacuate 1".to_owned()], 1)
    );
    assert_eq!(bench.world.with(|state| state.guests[&1].host.clone()), "cmp-2");
    assert_eq!(look(&bench, &daemon, &case).await, (vec![], 0));
}

/// What was left there for a person is no drift, and neither is a resize that has ended.
#[tokio::test]
async fn case_40_what_was_left_there_is_no_drift_and_what_may_return_is_told_once() {
    let mut bench = patient(2).await;
    bench
        .world
        .with(|state| state.guests.get_mut(&2).unwrap().volume = false);
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    assert_eq!(bench.world.with(|state| state.guests[&2].host.clone()), "cmp-1");
    assert_eq!(look(&bench, &daemon, &case).await, (vec![], 0));
    for (status, told) in [
        ("confirmed", 0),
        ("finished", 1),
        ("finished", 0),
        ("reverted", 0),
    ] {
        bench.world.with(|state| state.resized = Some(status));
        assert_eq!(look(&bench, &daemon, &case).await, (vec![], told), "{status}");
    }
    assert!(words(&bench, &case).await.contains("no longer seen"));
}

#[tokio::test]
async fn asked_to_stop_nothing_more_is_put_back() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    bench.world.with(|state| state.off = false);
    let (cloud, stop) = (bench.world.cloud(), CancellationToken::new());
    stop.cancel();
    daemon.look_again(&cloud, &case.id, None, &stop).await.unwrap();
    assert_eq!(bench.effects(), Vec::<String>::new());
    // The next daemon does, and tells it no second time.
    let before = drifts(&bench).await;
    assert_eq!(look(&bench, &daemon, &case).await.0, ["off cmp-1"]);
    assert_eq!(drifts(&bench).await, before);
}

#[tokio::test]
async fn in_mode_observe_drift_is_told_once_and_nothing_is_touched() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    bench.config.mode = ResponseMode::Observe;
    let watching = bench.daemon("b");
    bench.world.with(|state| {
        state.off = false;
        state.services.insert("cmp-1".into(), (true, None, false));
    });
    assert_eq!(look(&bench, &watching, &case).await, (vec![], 3));
    assert_eq!(look(&bench, &watching, &case).await, (vec![], 0));
    assert!(words(&bench, &case).await.contains("observe"));
}

/// A person wants it left alone, such as for a repair with the power on.
#[tokio::test]
async fn a_paused_host_is_looked_at_and_told_and_not_touched() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    bench
        .pause(Some(&name(1)), Duration::ZERO, Duration::from_secs(3600))
        .await;
    // That nova's row moved may be anything, and nothing may be done to know more.
    let (cloud, stop) = (bench.world.cloud(), CancellationToken::new());
    let long_ago = Some(Timestamp::from_millis(0));
    daemon
        .look_again(&cloud, &case.id, long_ago, &stop)
        .await
        .unwrap();
    assert_eq!((bench.effects(), drifts(&bench).await), (vec![], 0));
    bench.world.with(|state| state.off = false);
    assert_eq!(look(&bench, &daemon, &case).await, (vec![], 1));
    assert_eq!(look(&bench, &daemon, &case).await, (vec![], 0));
    assert!(words(&bench, &case).await.contains("paused until"));
    bench.clock.advance(Duration::from_secs(3600));
    assert_eq!(look(&bench, &daemon, &case).await.0, ["off cmp-1"]);
}

/// A write through nova's API moves the row as a heartbeat does.
#[tokio::test]
async fn a_row_that_moved_is_looked_into_before_it_is_told() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    let stop = CancellationToken::new();
    let long_ago = Some(Timestamp::from_millis(0));
    let beat = daemon
        .look_again(&bench.world.cloud(), &case.id, long_ago, &stop)
        .await
        .unwrap();
    assert!(beat > long_ago);
    assert_eq!(bench.effects(), Vec::<String>::new());
    assert_eq!(drifts(&bench).await, 0);
    // One that lives, whatever its BMC says, is told.
    bench
        .world
        .with(|state| (state.off, state.bmc_lies) = (false, true));
    daemon
        .look_again(&bench.world.cloud(), &case.id, beat, &stop)
        .await
        .unwrap();
    let kinds = bench.kinds().await;
    assert!(kinds.contains(&"drift".to_owned()), "{kinds:?}");
    assert!(kinds.contains(&"tampering-suspected".to_owned()), "{kinds:?}");
}

/// A case that somebody works on, and one that a person released, are left alone.
#[tokio::test]
async fn only_a_case_that_nobody_works_on_and_that_still_holds_the_host_is_looked_at() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    let case = quarantined(&mut bench, &daemon).await;
    bench.world.with(|state| state.off = false);
    let (kind, minute) = (LeaseKind::Case(case.id.clone()), Duration::from_secs(120));
    let lease = bench
        .store
        .lease(kind, "b", bench.clock.now(), minute)
        .await
        .unwrap();
    assert_eq!(look(&bench, &daemon, &case).await, (vec![], 0));
    bench.store.release(lease.unwrap()).await.unwrap();
    bench.store.end_quarantine(&case.host).await.unwrap();
    assert_eq!(look(&bench, &daemon, &case).await, (vec![], 0));
    assert!(!bench.world.with(|state| state.off));
}

/// The driver is at it: what its steps have done so far may be about to change.
#[tokio::test]
async fn a_case_that_is_open_is_the_drivers() {
    let mut bench = patient(1).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.case().await;
    let (kind, minute) = (LeaseKind::Case(case.id.clone()), Duration::from_secs(60));
    let now = bench.clock.now();
    let lease = bench.store.lease(kind, "b", now, minute).await.unwrap().unwrap();
    let says = journal::Entry::says("x").json();
    bench
        .store
        .begin_step(&lease, "disable", &says, now)
        .await
        .unwrap();
    let done = crate::store::StepState::Done;
    let ended = bench.store.end_step(&lease, "disable", done, None, &says, now);
    ended.await.unwrap();
    bench.store.release(lease).await.unwrap();
    assert_eq!(
        bench.store.host(&name(1)).await.unwrap().unwrap().quarantined_by,
        Some(case.id.clone())
    );
    assert_eq!(look(&bench, &daemon, &case).await, (vec![], 0));
}

/// Cut off at any request, the next look ends as if nothing had been.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn putting_back_may_be_cut_off_at_any_request() {
    let mut cuts = 0;
    for nth in 1.. {
        let mut bench = patient(1).await;
        let first = bench.daemon("first");
        let case = quarantined(&mut bench, &first).await;
        bench.world.with(|state| {
            state.off = false;
            state.services.insert("cmp-1".into(), (true, None, false));
            state.aggregates.get_mut("lazaret-quarantine").unwrap().2.clear();
        });
        bench.world.cut_at(nth);
        let cut = Arc::clone(&bench.world.cut);
        let stop = CancellationToken::new();
        let cloud = bench.world.cloud();
        let ended = tokio::select! {
            () = cut.notified() => false,
            ended = first.look_again(&cloud, &case.id, None, &stop) => ended.is_ok(),
        };
        if !ended {
            cuts += 1;
            bench.clock.advance(Duration::from_secs(61));
            let second = bench.daemon("second");
            second
                .look_again(&bench.world.cloud(), &case.id, None, &stop)
                .await
                .unwrap();
        }
        let effects = bench.effects();
        let (journal, said) = (
            bench.store.journal_of(&case.id).await.unwrap(),
            words(&bench, &case).await,
        );
        bench.world.with(|state| {
            let service = &state.services["cmp-1"];
            assert!(
                state.off && !service.0 && service.2,
                "cut at {nth}: {effects:?}\n{said}"
            );
            assert!(state.aggregates["lazaret-quarantine"].2.contains(&"cmp-1".into()));
        });
        let past = Past::read(&journal);
        assert_eq!(
            past.gone(&Default::default()).count(),
            0,
            "cut at {nth}: all is settled"
        );
        assert!(
            past.last("powered-on") == Some(Word::PutBack) || past.last("powered-on") == Some(Word::Gone)
        );
        if ended {
            break;
        }
    }
    assert!(cuts > 20, "cut off at {cuts} requests only");
}
