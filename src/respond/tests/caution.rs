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

/// A host that has a case, or is out by one, gets no second one and is no news.
#[tokio::test]
async fn a_host_that_is_in_quarantine_is_not_quarantined_again() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    assert_eq!(bench.condemn(&daemon, &name(1), "aa").await, Decision::OpenCase);
    let affirming = bench.round(&daemon, &name(1), Verdict::Affirming, "").await;
    assert_eq!(affirming, Decision::Nothing, "its case is open");
    let case = bench.settle(Arc::clone(&daemon)).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    for _ in 0..3 {
        let again = bench
            .round(&daemon, &name(1), Verdict::Contraindicated, "aa")
            .await;
        assert_eq!(again, Decision::Nothing, "it is out");
    }
    assert_eq!(bench.store.cases(&CaseFilter::default()).await.unwrap().len(), 1);
}

/// What is older than the window, or no condemnation, or the host's own, is nothing that others share.
#[tokio::test]
async fn only_fresh_condemnations_of_other_hosts_count() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.config.max_cases = 1;
    let daemon = bench.daemon("a");
    let since = bench.clock.now();
    bench.condemn(&daemon, &name(2), "aa").await;
    bench.round(&daemon, &name(3), Verdict::Warning, "").await;
    let elsewhere = async |n, since| {
        let causes = daemon.elsewhere(&name(n), since).await.unwrap();
        causes.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(elsewhere(1, since).await, [name(2)]);
    assert_eq!(elsewhere(2, since).await, [], "its own");
    bench.clock.advance(Duration::from_secs(7200));
    assert_eq!(elsewhere(1, bench.clock.now()).await, [], "long ago");
    bench.condemn(&daemon, &name(1), "bb").await;
    let case = bench.store.unclosed_case(&name(1)).await.unwrap().unwrap();
    assert_eq!(case.state, CaseState::Open, "the other case is out of the window");
}

/// A group is of one cause: of the same code with another digest there is another group, and who fails alone is in none.
#[tokio::test]
async fn case_28_two_digests_make_two_groups_and_take_no_other_case_along() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    (bench.config.brake_hosts, bench.config.max_cases) = (2, 9);
    for n in [4, 5] {
        bench.enrol(n).await;
    }
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(3), "alone").await;
    for (first, second, found) in [(4, 1, "aa11"), (5, 2, "bb22")] {
        let kernel = super::cautious_brake::new_kernel(found);
        bench
            .round_with(&daemon, &name(first), Verdict::Contraindicated, kernel.clone())
            .await;
        bench.fails(&daemon, &name(second), &kernel).await;
    }
    assert_eq!(bench.store.held_groups().await.unwrap().len(), 2);
    let case = bench.store.unclosed_case(&name(3)).await.unwrap().unwrap();
    assert_eq!((case.state, case.held_group), (CaseState::Open, None));
}
