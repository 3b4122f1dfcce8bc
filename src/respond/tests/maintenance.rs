//! Masakari's maintenance of a quarantined host. Masakari is a fake here; the lab's tests have the real one.

use lazaret_attest::verdict::Verdict;

use super::giving_back::*;
use super::*;

async fn drifts(bench: &Bench) -> usize {
    bench.clock.advance(Duration::from_secs(30));
    let kinds = bench.kinds().await;
    kinds.iter().filter(|kind| *kind == "drift").count()
}

/// Its monitors would take the host's silence for a failure, and recover what is there.
#[tokio::test]
async fn a_maintenance_that_another_one_ended_begins_again_and_is_told() {
    for recovery in [Recovery::Masakari, Recovery::Nova] {
        let mut bench = Bench::new(1, recovery).await;
        bench.world.with(|state| state.segment = Some(true));
        let fake = Fake::says(&bench, Verdict::Affirming);
        let daemon = with(&bench, "a", &fake);
        let quarantine = quarantined(&mut bench, &daemon).await;
        assert!(bench.world.with(|state| state.on_maintenance));
        let (cloud, stop) = (bench.world.cloud(), CancellationToken::new());
        let look = || daemon.look_again(&cloud, &quarantine.id, None, &stop);
        look().await.unwrap();
        let told = drifts(&bench).await;
        for time in 1..=2 {
            bench.world.with(|state| {
                state.on_maintenance = false;
                state.effects.clear();
            });
            look().await.unwrap();
            assert_eq!(bench.effects(), ["maintenance cmp-1"]);
            assert_eq!(drifts(&bench).await, told + time);
        }
        // A Masakari that cannot be asked keeps nobody from looking at the rest.
        bench.world.with(|state| {
            state.faults = vec![("GET /v1/segments", 99, How::Status(503, "{}"))];
            state.services.get_mut("cmp-1").unwrap().0 = true;
            state.effects.clear();
        });
        let told = drifts(&bench).await;
        look().await.unwrap();
        assert_eq!(bench.effects(), ["disable cmp-1"]);
        assert_eq!(drifts(&bench).await, told + 1);
        bench.world.with(|state| {
            state.faults.clear();
            state.effects.clear();
        });
        settle_all(&bench, &quarantine).await;
        let id = ask(&bench, &quarantine, false).await;
        let release = drive(&bench, &daemon, &id).await;
        assert!(matches!(release.state, CaseState::Closed { .. }), "{release:?}");
        assert!(!bench.world.with(|state| state.on_maintenance));
        look().await.unwrap();
        assert!(
            !bench.world.with(|state| state.on_maintenance),
            "it is given back"
        );
    }
}

/// What this quarantine did not begin is not its business.
#[tokio::test]
async fn a_maintenance_that_was_not_ours_is_neither_kept_nor_ended() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.world.with(|state| {
        state.segment = Some(true);
        state.on_maintenance = true;
    });
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    bench.world.with(|state| state.on_maintenance = false);
    let (cloud, stop) = (bench.world.cloud(), CancellationToken::new());
    daemon
        .look_again(&cloud, &quarantine.id, None, &stop)
        .await
        .unwrap();
    assert_eq!((bench.effects(), drifts(&bench).await), (Vec::new(), 0));
    bench.world.with(|state| state.on_maintenance = true);
    settle_all(&bench, &quarantine).await;
    let id = ask(&bench, &quarantine, false).await;
    drive(&bench, &daemon, &id).await;
    assert!(bench.world.with(|state| state.on_maintenance));
}
