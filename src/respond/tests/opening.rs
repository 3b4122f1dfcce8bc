//! A round that condemns, and the case that it opens: what counts before it, what it waits for, and who is told.

use super::cautious_brake::new_kernel;
use super::*;

const C: Verdict = Verdict::Contraindicated;

/// A round that condemns, by a cause of its own.
async fn condemning(bench: &mut Bench, n: usize, found: &str) -> Recording {
    bench.recording(&name(n), C, &[finding(found)]).await
}

async fn record(bench: &Bench, daemon: &Respond, recording: Recording) -> Decision {
    let lease = bench.host_lease(&recording.round.host).await;
    let decision = daemon.on_round(&lease, recording).await.unwrap();
    bench.store.release(lease).await.unwrap();
    decision
}

/// Neither is it taken because a later round names it.
#[tokio::test]
async fn what_was_seen_in_a_pause_is_confirmed_by_no_round_that_names_it() {
    for paused in [true, false] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        let daemon = bench.daemon("a");
        if paused {
            let length = Duration::from_secs(60);
            bench.pause(Some(&name(1)), Duration::ZERO, length).await;
        }
        let first = condemning(&mut bench, 1, "aa").await;
        let named = first.round.id;
        let decision = record(&bench, &daemon, first).await;
        assert_eq!(decision == Decision::Record, paused);
        bench.clock.advance(Duration::from_secs(120));
        let mut second = condemning(&mut bench, 1, "aa").await;
        second.round.confirms = Some(named);
        let expected = if paused {
            Decision::Confirm
        } else {
            Decision::OpenCase
        };
        assert_eq!(record(&bench, &daemon, second).await, expected);
    }
}

/// A clock that was ahead for a while leaves rounds that are newer than all that come after; the one that is confirmed is
/// found all the same.
#[tokio::test]
async fn case_26_rounds_from_a_clock_that_was_ahead_do_not_crowd_out_what_is_confirmed() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    for _ in 0..16 {
        let mut ahead = bench.recording(&name(1), Verdict::Affirming, &[]).await;
        ahead.round.finished_at = ahead.round.finished_at.plus(Duration::from_secs(86_400));
        record(&bench, &daemon, ahead).await;
    }
    let first = condemning(&mut bench, 1, "aa").await;
    let named = first.round.id;
    assert_eq!(record(&bench, &daemon, first).await, Decision::Confirm);
    let alone = condemning(&mut bench, 1, "aa").await;
    assert_eq!(record(&bench, &daemon, alone).await, Decision::Confirm);
    let mut second = condemning(&mut bench, 1, "aa").await;
    second.round.confirms = Some(named);
    assert_eq!(record(&bench, &daemon, second).await, Decision::OpenCase);
}

/// Two hosts are condemned at the same moment, and one case is the limit.
#[tokio::test]
async fn of_two_cases_that_one_daemon_opens_at_once_the_second_counts_the_first() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.config.max_cases = 1;
    let daemon = bench.daemon("a");
    for n in [1, 2] {
        let first = condemning(&mut bench, n, &format!("a{n}")).await;
        assert_eq!(record(&bench, &daemon, first).await, Decision::Confirm);
    }
    let one = condemning(&mut bench, 1, "a1").await;
    let two = condemning(&mut bench, 2, "a2").await;
    let leases = [bench.host_lease(&name(1)).await, bench.host_lease(&name(2)).await];
    // One begins while another is being opened, and waits for that.
    let opening = daemon.opening.lock().await;
    let mut both =
        Box::pin(async { tokio::join!(daemon.on_round(&leases[0], one), daemon.on_round(&leases[1], two)) });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut both).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    assert_eq!(bench.store.cases(&CaseFilter::default()).await.unwrap(), []);
    drop(opening);
    let (first, second) = both.await;
    assert_eq!([first.unwrap(), second.unwrap()], [Decision::OpenCase; 2]);
    let cases = bench.store.cases(&CaseFilter::default()).await.unwrap();
    let held = cases
        .iter()
        .filter(|case| matches!(case.state, CaseState::Held { .. }))
        .count();
    assert_eq!((cases.len(), held), (2, 1), "{cases:?}");
}

/// Two daemons condemn one host, and the other one's case is written first: this one's is not, and people hear of one.
#[tokio::test]
async fn a_case_that_lost_against_another_daemons_is_told_to_nobody_and_its_round_counts() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let (slow, fast) = (bench.daemon("slow"), bench.daemon("fast"));
    let before = bench.daemon("before");
    let first = condemning(&mut bench, 1, "aa").await;
    assert_eq!(record(&bench, &before, first).await, Decision::Confirm);
    // What was read ahead is another process's; the slow one's own question hangs.
    let lists = || bench.world.server.count("GET /v2.1/os-migrations");
    bench.until("it is read ahead", async || lists() == 1).await;
    bench
        .world
        .with(|state| state.faults = vec![("GET /v2.1/os-migrations", 1, How::Hung)]);
    let late = condemning(&mut bench, 1, "aa").await;
    let soon = condemning(&mut bench, 1, "aa").await;
    let (late_id, lease) = (late.round.id, bench.host_lease(&name(1)).await);
    let (decided, ()) = tokio::join!(slow.on_round(&lease, late), async {
        let lists = || bench.world.server.count("GET /v2.1/os-migrations");
        bench.until("the slow one asks", async || lists() == 2).await;
        let decided = fast.on_round(&lease, soon).await.unwrap();
        assert_eq!(decided, Decision::OpenCase);
    });
    assert_eq!(decided.unwrap(), Decision::Nothing);
    assert_eq!(bench.store.cases(&CaseFilter::default()).await.unwrap().len(), 1);
    assert_eq!(bench.kinds().await, ["case-opened"]);
    let round = bench.store.round(late_id).await.unwrap();
    assert_eq!(round.map(|round| round.verdict), Some(C), "its round is recorded");
}

/// The host that is condemned is not waited for, nor one that is out: they would never be heard again.
#[tokio::test]
async fn a_daemon_that_has_just_started_waits_for_no_host_that_it_need_not_hear() {
    for others in [vec![2, 3], vec![2], vec![]] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        let before = bench.daemon("before");
        if others == [2] {
            bench.condemn(&before, &name(3), "cc").await;
            let case = bench.case().await;
            let (kind, minute) = (LeaseKind::Case(case.id.clone()), Duration::from_secs(60));
            let now = bench.clock.now();
            let lease = bench.store.lease(kind, "b", now, minute).await.unwrap().unwrap();
            let (says, done) = (journal::Entry::says("x").json(), crate::store::StepState::Done);
            let begun = bench.store.begin_step(&lease, "disable", &says, now).await;
            begun.unwrap();
            let ended = bench.store.end_step(&lease, "disable", done, None, &says, now);
            ended.await.unwrap();
        }
        bench.round(&before, &name(1), C, "aa").await;
        bench.clock.advance(Duration::from_secs(60));
        bench.config.startup_grace = Duration::from_secs(120);
        let daemon = bench.daemon("a");
        for n in &others {
            bench.round(&daemon, &name(*n), Verdict::Affirming, "").await;
        }
        assert_eq!(bench.round(&daemon, &name(1), C, "aa").await, Decision::OpenCase);
        let case = bench.store.unclosed_case(&name(1)).await.unwrap().unwrap();
        let waits = case.not_before > bench.clock.now();
        assert_eq!(waits, others.is_empty(), "heard of {others:?}");
    }
}

/// What is on a host is read while it is challenged again, where anything may follow from that.
#[tokio::test]
async fn what_is_on_a_host_is_read_ahead_but_for_mode_observe_and_a_shared_cause() {
    let ahead = async |daemon: &Respond| daemon.ahead.lock().await.contains_key(&name(1));
    for (mode, read) in [(ResponseMode::Enforce, true), (ResponseMode::Observe, false)] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        bench.config.mode = mode;
        let daemon = bench.daemon("a");
        assert_eq!(bench.round(&daemon, &name(1), C, "aa").await, Decision::Confirm);
        assert_eq!(ahead(&daemon).await, read, "{mode:?}");
    }
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    for n in [2, 3, 1] {
        bench.round_with(&daemon, &name(n), C, new_kernel("aa")).await;
    }
    assert!(!ahead(&daemon).await, "of what is held nothing is asked");
}
