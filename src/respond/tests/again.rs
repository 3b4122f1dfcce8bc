//! Steps done twice, daemons cut off, leases lost.

use super::*;

/// Every step once more, after all of them are done: nothing changes in the world.
#[tokio::test]
async fn every_step_done_twice_has_the_effect_of_one() {
    for recovery in [Recovery::Nova, Recovery::Masakari] {
        let mut bench = Bench::new(2, recovery).await;
        bench
            .world
            .with(|state| state.segment = (recovery == Recovery::Masakari).then_some(true));
        let daemon = bench.daemon("a");
        bench.condemn(&daemon, &name(1), "aa").await;
        let case = bench.case().await;
        let kind = LeaseKind::Case(case.id.clone());
        let lease = bench
            .store
            .lease(kind, "a", bench.clock.now(), Duration::from_secs(60))
            .await
            .unwrap()
            .unwrap();
        let cloud = bench.world.cloud();
        for step in saga::steps(CaseKind::Quarantine, true) {
            for time in 1..=2 {
                // Without the proof in memory, as after a restart.
                let proof = std::sync::Mutex::new(None);
                let journal = bench.store.journal_of(&case.id).await.unwrap();
                let context = steps::Context::new(&daemon, &cloud, &case, &journal, &lease, &proof, step);
                let before = bench.effects().len();
                let outcome = steps::ensure(step, &context).await.unwrap();
                assert!(
                    matches!(outcome, saga::Outcome::Done(_)),
                    "{step}, time {time}: {outcome:?}"
                );
                if time == 2 {
                    assert_eq!(
                        bench.effects().len(),
                        before,
                        "{step} acted twice: {:?}",
                        bench.effects()
                    );
                }
            }
        }
    }
}

/// The daemon ends at every single request, after its effect and before its answer; another one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_at_any_request_the_next_daemon_goes_on_and_nothing_is_done_twice() {
    for recovery in [Recovery::Nova, Recovery::Masakari] {
        let mut next = 1;
        let mut finished = None;
        let mut running = tokio::task::JoinSet::new();
        while finished.is_none() {
            while running.len() < 4 {
                running.spawn(cut_off_at(recovery, next));
                next += 1;
            }
            finished = running.join_next().await.unwrap().unwrap();
        }
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
        assert!(
            finished > Some(30),
            "the case was cut off at {finished:?} requests only"
        );
    }
}

/// Cuts a case off at its n-th request; says so when the case ended before.
async fn cut_off_at(recovery: Recovery, nth: usize) -> Option<usize> {
    let mut bench = Bench::new(2, recovery).await;
    bench
        .world
        .with(|state| state.segment = (recovery == Recovery::Masakari).then_some(true));
    let first = bench.daemon("first");
    bench.condemn(&first, &name(1), "aa").await;
    bench.world.cut_at(nth);
    let cut = Arc::clone(&bench.world.cut);
    let finished = tokio::select! {
        () = cut.notified() => false,
        _ = bench.settle(Arc::clone(&first)) => true,
    };
    drop(first);
    if !finished {
        // The first one's lease runs out; its tasks are cut off with the request that hangs.
        bench.clock.advance(Duration::from_secs(61));
        let case = bench.settle(bench.daemon("second")).await;
        assert!(
            matches!(case.state, CaseState::Closed { .. }),
            "{recovery:?} cut at {nth}: {:?}",
            case.state
        );
    }
    let mut effects = bench.effects();
    let all = effects.len();
    effects.sort();
    effects.dedup();
    // Masakari overwrites the reason, so the host is disabled twice.
    let twice = usize::from(recovery == Recovery::Masakari);
    assert_eq!(
        all,
        effects.len() + twice,
        "{recovery:?} cut at {nth}: {effects:?}"
    );
    assert!(
        bench.states().await.iter().all(|(state, _)| state == "moved"),
        "{recovery:?} cut at {nth}"
    );
    finished.then_some(nth)
}

/// A daemon that was paused and comes back finds its lease taken, and writes nothing more.
#[tokio::test]
async fn a_daemon_that_lost_its_lease_stops() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.case().await;
    let kind = LeaseKind::Case(case.id.clone());
    let lease = bench
        .store
        .lease(kind.clone(), "a", bench.clock.now(), Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    bench.clock.advance(Duration::from_secs(61));
    bench
        .store
        .lease(kind, "b", bench.clock.now(), Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    let cloud = bench.world.cloud();
    let stop = CancellationToken::new();
    let error = daemon
        .carry_on(&cloud, &case.id, &lease, &stop)
        .await
        .unwrap_err();
    assert!(
        matches!(error, crate::store::StoreError::LeaseLost { .. }),
        "{error}"
    );
    assert_eq!(bench.effects(), Vec::<String>::new());
}
