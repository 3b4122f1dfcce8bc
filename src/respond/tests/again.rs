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
