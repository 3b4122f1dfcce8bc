//! Faults: those that pass, and those that leave a case stuck.

use super::*;

#[tokio::test]
async fn faults_that_pass_change_nothing_about_the_effects() {
    let busy = How::Status(503, r#"{"message": "busy"}"#);
    for (what, how) in [
        ("PUT /v2.1/os-services", busy),
        ("PUT /v2.1/os-services", How::Lost),
        ("GET /v2.1/os-services", busy),
        ("POST /v2.1/os-aggregates", How::Lost),
        ("POST /v2.1/os-aggregates/7/action", How::Lost),
        ("POST /redfish/v1/Systems/1/Actions/Go", How::Lost),
        ("POST /v2.1/servers", How::Lost),
        ("GET /v2.1/os-migrations", busy),
        (
            "GET /v2.1/servers/detail",
            How::Status(200, "<html>a proxy</html>"),
        ),
    ] {
        let mut bench = Bench::new(3, Recovery::Nova).await;
        let daemon = bench.daemon("a");
        bench.condemn(&daemon, &name(1), "aa").await;
        bench.world.with(|state| state.faults = vec![(what, 1, how)]);
        let case = bench.settle(daemon).await;
        assert!(
            matches!(case.state, CaseState::Closed { .. }),
            "{what} {how:?}: {:?}",
            case.state
        );
        // A PUT that says how it shall be may be sent again; nothing else may.
        let mut effects = bench.effects();
        effects.dedup_by(|next, last| next == last && next == "disable cmp-1");
        assert_eq!(effects, BY_NOVA, "{what} {how:?}");
    }
}

#[tokio::test]
async fn a_missing_right_leaves_the_case_stuck_with_the_right_named_and_no_later_step() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    bench
        .world
        .with(|state| state.faults = vec![("PUT /v2.1/os-services", 99, How::Status(403, "{}"))]);
    let case = bench.settle(daemon).await;
    let CaseState::Stuck { reason } = &case.state else {
        panic!("{:?}", case.state)
    };
    assert!(reason.contains("os-services:update"), "{reason}");
    assert_eq!(bench.effects(), Vec::<String>::new());
    assert_eq!(bench.kinds().await, ["case-opened", "case-stuck"]);
}

#[tokio::test]
async fn a_bmc_that_says_off_while_the_heartbeat_goes_on_fences_nothing_and_alarms() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.world.with(|state| state.bmc_lies = true);
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(daemon).await;
    let CaseState::Stuck { reason } = &case.state else {
        panic!("{:?}", case.state)
    };
    assert!(reason.contains("not proven off"), "{reason}");
    assert_eq!(
        bench.effects(),
        ["disable cmp-1", "make lazaret-quarantine", "join cmp-1"]
    );
    assert!(bench.kinds().await.contains(&"tampering-suspected".to_owned()));
}

/// A method whose word was wrong would end the search again at each attempt.
#[tokio::test]
async fn case_14_the_next_method_is_asked_before_one_that_said_off_of_a_living_host() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench
        .world
        .with(|state| (state.bmc_lies, state.second_bmc) = (true, true));
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    let effects = bench.effects();
    let off: Vec<&String> = effects
        .iter()
        .filter(|effect| effect.starts_with("off"))
        .collect();
    assert_eq!(off, ["off cmp-1"], "{effects:?}");
    assert!(bench.kinds().await.contains(&"tampering-suspected".to_owned()));
    let journal = bench.store.journal_of(&case.id).await.unwrap();
    assert_eq!(journal::doubted_methods(&journal).len(), 1);
}

#[tokio::test]
async fn a_quarantine_aggregate_with_a_zone_is_named_as_the_cause() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.world.with(|state| {
        state
            .aggregates
            .insert("lazaret-quarantine".into(), (7, Some("az9".into()), vec![]));
    });
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(daemon).await;
    assert!(
        matches!(&case.state, CaseState::Stuck { reason } if reason.contains("no availability zone")),
        "{case:?}"
    );
    assert_eq!(bench.effects(), ["disable cmp-1"]);
}

/// Root on any host says what its nova-compute is called.
#[tokio::test]
async fn a_host_with_an_odd_name_stops_nothing_that_is_done_about_another() {
    let mut bench = Bench::new(3, Recovery::Nova).await;
    bench.world.with(|state| {
        state.services.insert("cmp 4".into(), (true, None, false));
        let hosts = vec!["cmp:5".to_owned()];
        state.aggregates.insert("racks".into(), (8, None, hosts));
    });
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    assert_eq!(bench.effects(), BY_NOVA);
}

/// Of a condemned host that runs on people hear, and once.
#[tokio::test]
async fn a_quarantine_that_cannot_be_planned_for_long_is_told_once() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let unreadable = How::Status(200, "<html>a proxy</html>");
    bench
        .world
        .with(|state| state.faults = vec![("GET /v2.1/servers/detail", 99, unreadable)]);
    bench.condemn(&bench.daemon("a"), &name(1), "aa").await;
    for (waited, told) in [(0, 0), (290, 0), (20, 1), (3600, 1)] {
        bench.clock.advance(Duration::from_secs(waited));
        attempt(&bench).await;
        let kinds = bench.kinds().await;
        let told_of = kinds.iter().filter(|kind| *kind == "case-waiting").count();
        assert_eq!(told_of, told, "after {waited} s more: {kinds:?}");
    }
    let told = bench.store.notifications(99).await.unwrap();
    let (event, _) = told.iter().find(|(told, _)| told.kind == "case-waiting").unwrap();
    let event: notify::Event = event.payload.read().unwrap();
    for word in ["cmp-1", "not touched yet", "5 minutes", "a proxy"] {
        assert!(event.summary.contains(word), "{}", event.summary);
    }
    // The cause is gone, and nobody has to say so.
    bench.world.with(|state| state.faults.clear());
    let case = bench.settle(bench.daemon("b")).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
}

/// One attempt at the case's step, by a daemon that is killed while it rests.
async fn attempt(bench: &Bench) {
    let (daemon, cloud) = (bench.daemon("a"), bench.world.cloud());
    let (case, stop) = (bench.case().await, CancellationToken::new());
    let kind = LeaseKind::Case(case.id.clone());
    let lease = bench
        .store
        .lease(kind, "a", bench.clock.now(), Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    let begun = bench.store.journal_of(&case.id).await.unwrap().len();
    let failed = async {
        // A `before` and an `error`: what is told is told before that.
        while bench.store.journal_of(&case.id).await.unwrap().len() < begun + 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = daemon.carry_on(&cloud, &case.id, &lease, &stop) => panic!("{ended:?}"),
        () = failed => {}
    }
    bench.store.release(lease).await.unwrap();
}

/// The instance that was refused rests, and the others go before it.
#[tokio::test]
async fn what_is_no_refusal_of_an_instance_is_tried_again() {
    let in_use = r#"{"badRequest": {"message": "Compute service of cmp-1 is still in use."}}"#;
    for how in [How::Status(413, "{}"), How::Status(400, in_use)] {
        let mut bench = Bench::new(3, Recovery::Nova).await;
        let daemon = bench.daemon("a");
        bench.condemn(&daemon, &name(1), "aa").await;
        let fault = ("POST /v2.1/servers", 1, how);
        bench.world.with(|state| state.faults = vec![fault]);
        let case = bench.settle(daemon).await;
        assert!(
            matches!(case.state, CaseState::Closed { .. }),
            "{how:?}: {case:?}"
        );
        let mut effects = bench.effects();
        effects.sort();
        let mut wanted = BY_NOVA.to_vec();
        wanted.sort_unstable();
        assert_eq!(effects, wanted, "{how:?}");
        for (state, _) in bench.states().await {
            assert_eq!(state, "moved", "{how:?}");
        }
    }
}

/// nova refuses every evacuation from a host that it takes for up: that is said of no instance.
#[tokio::test]
async fn case_22_23_a_forced_down_that_is_taken_back_is_put_back_and_leaves_no_instance_behind() {
    let mut bench = Bench::new(3, Recovery::Nova).await;
    bench.world.with(|state| state.raised_by_another = 1);
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    let mut effects: Vec<&str> = BY_NOVA.to_vec();
    effects.insert(5, "force-down cmp-1");
    assert_eq!(bench.effects(), effects);
    for (state, destination) in bench.states().await {
        assert_eq!((state.as_str(), destination.is_some()), ("moved", true));
    }
    // Somebody who does not stop: a person, who is told.
    let mut bench = Bench::new(2, Recovery::Nova).await;
    bench.world.with(|state| state.raised_by_another = 99);
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(daemon).await;
    assert!(
        matches!(&case.state, CaseState::Stuck { reason } if reason.contains("no longer forced down")),
        "{case:?}"
    );
    assert!(bench.states().await.iter().all(|(state, _)| state == "waiting"));
    assert!(bench.kinds().await.contains(&"case-stuck".to_owned()));
}
