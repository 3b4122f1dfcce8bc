//! When nothing is touched: mode observe, silence, one cause on many hosts.

use super::*;

#[tokio::test]
async fn observe_and_silence_touch_nothing() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.config.mode = ResponseMode::Observe;
    let observing = bench.daemon("a");
    assert_eq!(
        bench.condemn(&observing, &name(1), "aa").await,
        Decision::Notify(News::Condemned)
    );
    bench.config.mode = ResponseMode::Enforce;
    let daemon = bench.daemon("b");
    for _ in 0..3 {
        bench.round(&daemon, &name(2), Verdict::Indeterminate, "").await;
    }
    assert_eq!(bench.store.cases(&CaseFilter::default()).await.unwrap(), []);
    assert_eq!(bench.effects(), Vec::<String>::new());
    assert_eq!(
        bench.world.server.count("PUT") + bench.world.server.count("POST /v2.1"),
        0
    );
    assert_eq!(bench.kinds().await, ["host-condemned", "host-indeterminate"]);
}

#[tokio::test]
async fn one_new_digest_on_many_hosts_is_held_until_a_person_approves() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    for n in [2, 3] {
        bench
            .round(&daemon, &name(n), Verdict::Contraindicated, "new-kernel")
            .await;
    }
    assert_eq!(
        bench.condemn(&daemon, &name(1), "new-kernel").await,
        Decision::OpenCase
    );
    let case = bench.settle(Arc::clone(&daemon)).await;
    let CaseState::Held { reason } = &case.state else {
        panic!("{:?}", case.state)
    };
    assert!(
        reason.contains("2 other hosts") && reason.contains("new-kernel"),
        "{reason}"
    );
    assert_eq!(bench.effects(), Vec::<String>::new());
    assert!(bench.kinds().await.contains(&"group-held".to_owned()));
    bench
        .store
        .approve(&case.id, "ann", bench.clock.now())
        .await
        .unwrap();
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
}
