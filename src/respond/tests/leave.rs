//! Leave to act: a daemon that was stopped sends nothing more, and what is in doubt after a kill is not sent again.

use crate::ids::InstanceId;
use crate::permit::{Effect, Permits as _};
use crate::store::{Phase, StoreError};

use super::*;

/// A daemon is stopped when any one of its requests was answered, just before it goes on; another one takes the case
/// over and ends it; then the first one wakes. It sends nothing more, whatever it was about to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_24_a_daemon_that_was_stopped_anywhere_sends_nothing_once_another_took_over() {
    let mut next = 1;
    let mut finished = None;
    let mut running = tokio::task::JoinSet::new();
    while finished.is_none() {
        while running.len() < 4 {
            running.spawn(stopped_at(next));
            next += 1;
        }
        finished = running.join_next().await.unwrap().unwrap();
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    assert!(
        finished > Some(20),
        "the case was stopped at {finished:?} requests only"
    );
}

/// Stops the first daemon at the n-th request of its steps; says so when the case ended before.
async fn stopped_at(nth: usize) -> Option<usize> {
    let mut bench = Bench::new(2, Recovery::Nova).await;
    let first = bench.daemon("first");
    bench.condemn(&first, &name(1), "aa").await;
    let id = bench.case().await.id;
    let (kind, now) = (LeaseKind::Case(id.clone()), bench.clock.now());
    let minute = Duration::from_secs(60);
    let lease = bench
        .store
        .lease(kind, "first", now, minute)
        .await
        .unwrap()
        .unwrap();
    let (cloud, stop) = (bench.world.cloud(), CancellationToken::new());
    bench.world.stop_at(nth);
    let reached = Arc::clone(&bench.world.cut);
    let mut work = Box::pin(first.carry_on(&cloud, &id, &lease, &stop));
    tokio::select! {
        biased;
        () = reached.notified() => {}
        ended = &mut work => {
            ended.unwrap();
            return Some(nth);
        }
    }
    // From here on nothing of the first is polled: it stands still, as under SIGSTOP, with its answer on the wire.
    bench.clock.advance(Duration::from_secs(61));
    let case = bench.settle(bench.daemon("second")).await;
    assert!(
        matches!(case.state, CaseState::Closed { .. }),
        "stopped at {nth}: {:?}",
        case.state
    );
    let acts = bench.world.acts();
    // The first one wakes.
    let ended = work.await;
    assert_eq!(
        bench.world.acts(),
        acts,
        "stopped at {nth}, it acted after it woke: {:?}",
        bench.world.server.seen().last()
    );
    // It found out from the database, or it saw that the case is over.
    assert!(
        matches!(&ended, Ok(()) | Err(StoreError::LeaseLost { .. })),
        "stopped at {nth}: {ended:?}"
    );
    assert_eq!(
        bench.effects(),
        BY_NOVA.iter().take(7).copied().collect::<Vec<_>>(),
        "stopped at {nth}"
    );
    None
}

/// Every step under a lease that was lost, also one that merely ran out: nothing is sent.
#[tokio::test]
async fn no_step_acts_under_a_lease_that_is_lost_or_has_run_out() {
    for taken in [true, false] {
        for (place, step) in saga::steps(CaseKind::Quarantine, true).into_iter().enumerate() {
            let mut bench = Bench::new(1, Recovery::Nova).await;
            let daemon = bench.daemon("a");
            bench.condemn(&daemon, &name(1), "aa").await;
            let case = bench.case().await;
            let (kind, minute) = (LeaseKind::Case(case.id.clone()), Duration::from_secs(60));
            let take = |owner: &'static str| {
                let (store, kind, now) = (bench.store.clone(), kind.clone(), bench.clock.now());
                async move { store.lease(kind, owner, now, minute).await.unwrap().unwrap() }
            };
            let lease = take("a").await;
            let cloud = bench.world.cloud();
            let proof = std::sync::Mutex::new(None);
            let context = |step| steps::Context::new(&daemon, &cloud, &case, &[], &lease, &proof, step);
            for before in saga::steps(CaseKind::Quarantine, true).into_iter().take(place) {
                steps::ensure(before, &context(before)).await.unwrap();
            }
            bench.clock.advance(minute);
            if taken {
                take("b").await;
            }
            let (acts, effects) = (bench.world.acts(), bench.effects());
            let context = context(step);
            let ended = steps::ensure(step, &context).await;
            assert_eq!(bench.world.acts(), acts, "{step}, taken {taken}: {ended:?}");
            assert_eq!(bench.effects(), effects, "{step}, taken {taken}");
            if matches!(
                step,
                saga::Step::Disable
                    | saga::Step::Isolate
                    | saga::Step::Fence
                    | saga::Step::ForceDown
                    | saga::Step::Evacuate
            ) {
                // Whatever the step makes of it, the driver is told that the lease is lost.
                let told = match ended {
                    Err(steps::Trouble::Store(error)) => Some(error),
                    _ => context.leave.trouble(),
                };
                assert!(
                    matches!(told, Some(StoreError::LeaseLost { .. })),
                    "{step}, taken {taken}: {told:?}"
                );
            }
        }
    }
}

/// A daemon stands still, or waits for its turn, between reading the power and asking for leave, or between leave and the
/// wire: what wants the host off is not sent, and it is looked again.
#[tokio::test]
async fn what_wants_the_host_off_is_not_sent_for_an_old_reading_of_its_power() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.case().await;
    let (kind, minute) = (LeaseKind::Case(case.id.clone()), Duration::from_secs(60));
    let lease = bench.store.lease(kind, "a", bench.clock.now(), minute).await;
    let (lease, cloud) = (lease.unwrap().unwrap(), bench.world.cloud());
    let proof = std::sync::Mutex::new(None);
    let context = steps::Context::new(&daemon, &cloud, &case, &[], &lease, &proof, saga::Step::Evacuate);
    let host = name(1);
    let wanting = [
        Effect::Evacuate(InstanceId(uuid::Uuid::from_bytes([7; 16]))),
        Effect::Notify(host.clone()),
        Effect::ForceDown(host.clone()),
    ];
    let stop = async |seconds| {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(seconds)).await;
        tokio::time::resume();
    };
    for effect in &wanting {
        let unseen = context.leave.ask(effect).await.unwrap_err();
        assert!(unseen.passes && context.leave.trouble().is_none(), "{unseen}");
        let seen = crate::fence::Fenced::for_tests(host.clone());
        *proof.lock().unwrap() = Some(steps::fence::Seen::new(Arc::new(seen)));
        stop(20).await;
        let kept = context.leave.ask(effect).await.unwrap();
        stop(11).await;
        assert!(kept.spend().unwrap_err().passes, "{effect}: kept over a stop");
        let journal = bench.store.journal_of(&case.id).await.unwrap().len();
        let old = context.leave.ask(effect).await.unwrap_err();
        assert!(old.passes && old.why.contains("30 s"), "{effect}: {old}");
        assert_eq!(bench.store.journal_of(&case.id).await.unwrap().len(), journal);
        // What keeps instances off the host needs no proof.
        let disable = context.leave.ask(&Effect::Disable(host.clone())).await;
        disable.unwrap().spend().unwrap();
        *proof.lock().unwrap() = None;
    }
}

/// A daemon is killed while its request to evacuate hangs on its way. The next one does not ask again while that
/// request may still arrive, and goes on with the others; when it arrives, that was it.
#[tokio::test]
async fn case_12_a_request_to_evacuate_that_hangs_over_a_kill_is_not_sent_a_second_time_while_in_doubt() {
    for arrives in [false, true] {
        let mut bench = Bench::new(2, Recovery::Nova).await;
        let first = bench.daemon("first");
        bench.condemn(&first, &name(1), "aa").await;
        bench
            .world
            .with(|state| state.faults = vec![("POST /v2.1/servers", 1, How::Hung)]);
        // Dropping what drives it is the kill.
        tokio::select! {
            case = bench.settle(first) => panic!("{:?}", case.state),
            () = until(|| bench.world.asked(1) == 1) => {}
        }
        bench.clock.advance(Duration::from_secs(61));

        let looks = || bench.world.server.count("GET /v2.1/os-migrations");
        let second = bench.daemon("second");
        let before = looks();
        tokio::select! {
            case = bench.settle(second) => panic!("{:?}", case.state),
            () = until(|| bench.world.with(|state| state.guests[&2].host == "cmp-2")) => {}
        }
        assert!(looks() > before + 2, "it looked, and again");
        assert_eq!(bench.world.asked(1), 1, "it may still arrive");
        let told = bench.store.journal_of(&bench.case().await.id).await.unwrap();
        assert!(
            told.iter().any(|entry| entry.phase == Phase::Note
                && entry.detail.as_str().contains("its answer is not known")),
            "a person can see why nothing happens"
        );
        bench
            .clock
            .advance(Duration::from_secs(if arrives { 1 } else { 61 }));
        if arrives {
            bench.world.arrives(1);
            bench.clock.advance(Duration::from_secs(60));
        }

        let case = bench.settle(bench.daemon("third")).await;
        assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
        assert_eq!(bench.world.asked(1), if arrives { 1 } else { 2 });
        assert_eq!(bench.world.asked(2), 1);
        let mut evacuated = bench.effects().split_off(5);
        evacuated.sort();
        assert_eq!(evacuated, ["evacuate 1", "evacuate 2"]);
    }
}

/// The next daemon's clock is ahead, or was set at its start: a time in the journal that looks long past is no reason to
/// ask at once.
#[tokio::test]
async fn case_12_26_a_clock_that_is_ahead_does_not_shorten_the_doubt_about_a_request_that_hangs() {
    let mut bench = Bench::new(2, Recovery::Nova).await;
    let first = bench.daemon("first");
    bench.condemn(&first, &name(1), "aa").await;
    bench
        .world
        .with(|state| state.faults = vec![("POST /v2.1/servers", 1, How::Hung)]);
    tokio::select! {
        case = bench.settle(first) => panic!("{:?}", case.state),
        () = until(|| bench.world.asked(1) == 1) => {}
    }
    bench.clock.advance(Duration::from_secs(3600));
    let looks = || bench.world.server.count("GET /v2.1/os-migrations");
    let second = bench.daemon("second");
    let before = looks();
    tokio::select! {
        case = bench.settle(second) => panic!("{:?}", case.state),
        () = until(|| bench.world.with(|state| state.guests[&2].host == "cmp-2") && looks() > before + 9) => {}
    }
    assert_eq!(bench.world.asked(1), 1, "it may still arrive");
    bench.clock.advance(Duration::from_secs(61));
    bench.world.arrives(1);
    let case = bench.settle(bench.daemon("third")).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
    assert_eq!(bench.world.asked(1), 1);
}

/// What is about to be done is in the journal before it is sent, and what came of it after; once for each effect.
#[tokio::test]
async fn every_effect_has_its_intent_before_it_and_its_answer_after() {
    let mut bench = Bench::new(2, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(daemon).await;
    let written = bench.store.journal_of(&case.id).await.unwrap();
    let of = |phase: Phase| -> Vec<String> {
        let all = written.iter().filter(|entry| entry.phase == phase);
        all.map(|entry| {
            let seen = journal::Entry::read(&entry.detail).seen.unwrap();
            format!("{}: {}", entry.step, seen["effect"].as_str().unwrap())
        })
        .collect()
    };
    let guest = |n: u8| format!("evacuate: evacuate {n:08x}-0000-4000-8000-000000000000");
    let intents = of(Phase::Intent);
    assert_eq!(
        intents
            .iter()
            .filter(|intent| !intent.contains("power off"))
            .cloned()
            .collect::<Vec<_>>(),
        [
            "disable: disable cmp-1".to_owned(),
            "isolate: make aggregate lazaret-quarantine".to_owned(),
            "isolate: add cmp-1 to aggregate lazaret-quarantine".to_owned(),
            "force-down: force down cmp-1".to_owned(),
            guest(1),
            guest(2),
        ]
    );
    assert_eq!(intents.len(), 7, "{intents:?}");
    assert_eq!(of(Phase::Effect), intents);
    assert!(journal::in_doubt(&written).is_empty());
    let cut = written
        .iter()
        .position(|entry| entry.phase == Phase::Effect)
        .unwrap();
    assert_eq!(
        journal::in_doubt(&written[..cut]).into_keys().collect::<Vec<_>>(),
        ["disable cmp-1"]
    );
}

/// A service that asks for more time than a call has gets it: the case rests that long, lets its lease go, and uses no
/// more attempts up meanwhile.
#[tokio::test]
async fn case_03_a_long_retry_after_is_honoured_by_the_case() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    bench.world.with(|state| {
        state.faults = vec![("PUT /v2.1/os-services", 99, How::Later("180"))];
    });
    tokio::select! {
        case = bench.settle(Arc::clone(&daemon)) => panic!("{:?}", case.state),
        () = async {
            resting(&bench).await;
            // Somebody else could take it: nobody sits on it meanwhile.
            let kind = LeaseKind::Case(bench.case().await.id);
            let take = || bench.store.lease(kind.clone(), "b", bench.clock.now(), Duration::from_secs(1));
            while take().await.unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        } => {}
    }
    let case = bench.case().await;
    let left = case.not_before.since(bench.clock.now());
    assert!(
        left > Duration::from_secs(170) && left <= Duration::from_secs(180),
        "{left:?}"
    );
    assert_eq!(bench.world.acts(), 1, "asked once");
    bench.world.with(|state| state.faults.clear());
    bench.clock.advance(Duration::from_secs(180));
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
}

/// A case rests after a fault; then the clock is put back by an hour, and another daemon begins.
#[tokio::test]
async fn case_27_a_case_that_rests_goes_on_at_once_when_the_clock_is_put_back() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let first = bench.daemon("first");
    bench.condemn(&first, &name(1), "aa").await;
    bench
        .world
        .with(|state| state.faults = vec![("GET /v2.1/os-services", 99, How::Status(500, "{}"))]);
    tokio::select! {
        case = bench.settle(first) => panic!("{:?}", case.state),
        () = resting(&bench) => {}
    }
    bench.world.with(|state| state.faults.clear());
    bench
        .clock
        .set(bench.clock.now().minus(Duration::from_secs(3600)));
    let case = bench.settle(bench.daemon("second")).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
    assert_eq!(bench.effects().len(), 6);
}

/// Until a step failed, and the case was postponed.
async fn resting(bench: &Bench) {
    loop {
        let case = bench.case().await;
        let steps = bench.store.steps(&case.id).await.unwrap();
        let failed = |step: &crate::store::Step| step.state == crate::store::StepState::Failed;
        if steps.iter().any(failed) && case.not_before > bench.clock.now() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(super) async fn until(so: impl Fn() -> bool) {
    while !so() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
