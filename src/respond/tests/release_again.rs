//! Releases that are interrupted: by a failing host, by the hold-down, by a kill, or done twice.

use std::sync::Mutex;

use lazaret_attest::verdict::Verdict;

use super::giving_back::*;
use super::*;
use crate::store::StepState;

/// A release that waits is held to what it has not taken back; one whose host fails again is refused, and the host is out
/// as before.
#[tokio::test]
async fn a_host_that_fails_again_in_between_goes_back_under_hold_down() {
    let (mut bench, _fake, daemon, quarantine) = out(1, Recovery::Nova, Verdict::Warning).await;
    settle_all(&bench, &quarantine).await;
    let id = ask(&bench, &quarantine, false).await;
    drive(&bench, &daemon, &id).await;
    let (cloud, stop) = (bench.world.cloud(), CancellationToken::new());
    let look = || daemon.look_again(&cloud, &quarantine.id, None, &stop);
    // On, but nothing else is allowed.
    bench
        .world
        .with(|state| state.services.get_mut("cmp-1").unwrap().0 = true);
    look().await.unwrap();
    assert_eq!(bench.effects(), ["on cmp-1", "disable cmp-1"]);
    bench.clock.advance(Duration::from_secs(1));
    bench
        .round(&daemon, &name(1), Verdict::Contraindicated, "bb")
        .await;
    look().await.unwrap();
    let case = bench.store.case(&id).await.unwrap().unwrap();
    assert!(
        matches!(&case.state, CaseState::Closed { reason } if reason.contains("refused")),
        "{case:?}"
    );
    assert_eq!(bench.effects(), ["on cmp-1", "disable cmp-1", "off cmp-1"]);
    assert_eq!(held_by(&bench).await, Some(quarantine.id));
}

/// While a release is carried out nobody looks at the host, and the other way round.
#[tokio::test]
async fn a_release_and_the_hold_down_exclude_each_other() {
    let (bench, _fake, daemon, quarantine) = out(1, Recovery::Nova, Verdict::Affirming).await;
    settle_all(&bench, &quarantine).await;
    let looking = bench
        .store
        .lease(
            LeaseKind::Case(quarantine.id.clone()),
            "b",
            bench.clock.now(),
            Duration::from_secs(60),
        )
        .await
        .unwrap();
    let id = ask(&bench, &quarantine, false).await;
    let (stop, ended) = (CancellationToken::new(), Duration::from_secs(5));
    let driving = tokio::spawn(Arc::clone(&daemon).drive(stop.clone(), ended));
    let begun = || async {
        let steps = bench.store.steps(&id).await.unwrap();
        steps.iter().any(|step| step.state != StepState::Pending)
    };
    let quiet = tokio::time::timeout(Duration::from_millis(300), async {
        while !begun().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(
        quiet.await.is_err(),
        "the release began while somebody looked at the host"
    );
    stop.cancel();
    driving.await.unwrap();
    bench.store.release(looking.unwrap()).await.unwrap();
    drive(&bench, &daemon, &id).await;
    assert_eq!(bench.effects(), GIVEN_BACK);
}

/// Between two steps of a release its host is nobody else's, whatever it looks like.
#[tokio::test]
async fn a_release_that_is_open_is_not_held_down() {
    let (bench, _fake, daemon, quarantine) = out(1, Recovery::Nova, Verdict::Affirming).await;
    let id = ask(&bench, &quarantine, false).await;
    bench.world.with(|state| state.off = false);
    let (cloud, stop) = (bench.world.cloud(), CancellationToken::new());
    let look = || daemon.look_again(&cloud, &quarantine.id, None, &stop);
    look().await.unwrap();
    assert_eq!(bench.effects(), Vec::<String>::new());
    // It waits for a person, before its boot: the host is out as before.
    drive(&bench, &daemon, &id).await;
    look().await.unwrap();
    assert_eq!(bench.effects(), ["off cmp-1"]);
}

#[tokio::test]
async fn every_step_of_a_release_done_twice_has_the_effect_of_one() {
    let (bench, _fake, daemon, quarantine) = out(1, Recovery::Masakari, Verdict::Affirming).await;
    settle_all(&bench, &quarantine).await;
    let id = ask(&bench, &quarantine, false).await;
    let case = bench.store.case(&id).await.unwrap().unwrap();
    let (kind, minutes) = (LeaseKind::Case(id.clone()), Duration::from_secs(600));
    let lease = bench
        .store
        .lease(kind, "a", bench.clock.now(), minutes)
        .await
        .unwrap()
        .unwrap();
    let cloud = bench.world.cloud();
    for step in saga::steps(CaseKind::Release, true) {
        let mut acted = Vec::new();
        for time in 1..=2 {
            let says = journal::Entry::says("x").json();
            bench
                .store
                .begin_step(&lease, step.as_str(), &says, bench.clock.now())
                .await
                .unwrap();
            let proof = Mutex::new(None);
            let journal = bench.store.journal_of(&id).await.unwrap();
            let context = steps::Context::new(&daemon, &cloud, &case, &journal, &lease, &proof, step);
            let outcome = steps::ensure(step, &context).await.unwrap();
            assert!(
                matches!(outcome, saga::Outcome::Done(_) | saga::Outcome::Skipped(_)),
                "{step}, time {time}: {outcome:?}"
            );
            bench
                .store
                .end_step(
                    &lease,
                    step.as_str(),
                    StepState::Done,
                    None,
                    &says,
                    bench.clock.now(),
                )
                .await
                .unwrap();
            acted.push(bench.effects().len());
        }
        assert_eq!(acted[0], acted[1], "{step} acted twice: {:?}", bench.effects());
    }
}

/// The daemon ends at every single request of a release; another one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_may_be_cut_off_at_any_request() {
    let mut cuts = 0;
    for nth in 1.. {
        let mut bench = Bench::new(1, Recovery::Masakari).await;
        let fake = Fake::says(&bench, Verdict::Affirming);
        let first = with(&bench, "first", &fake);
        let quarantine = quarantined(&mut bench, &first).await;
        settle_all(&bench, &quarantine).await;
        let id = ask(&bench, &quarantine, false).await;
        bench.world.cut_at(nth);
        let cut = Arc::clone(&bench.world.cut);
        let ended = tokio::select! {
            () = cut.notified() => false,
            _ = drive(&bench, &first, &id) => true,
        };
        drop(first);
        if !ended {
            cuts += 1;
            bench.clock.advance(Duration::from_secs(61));
            let second = with(&bench, "second", &fake);
            let case = drive(&bench, &second, &id).await;
            assert!(
                matches!(case.state, CaseState::Closed { .. }),
                "cut at {nth}: {case:?}"
            );
        }
        let mut effects = bench.effects();
        effects.retain(|effect| effect != "no maintenance cmp-1");
        assert_eq!(effects, GIVEN_BACK, "cut at {nth}");
        assert_eq!(held_by(&bench).await, None);
        if ended {
            break;
        }
    }
    assert!(cuts > 20, "cut off at {cuts} requests only");
}
