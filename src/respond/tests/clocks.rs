//! Two daemons on one database whose clocks are hours apart.

use super::*;
use crate::ids::CaseId;

const HOURS: Duration = Duration::from_secs(5 * 3600);

/// A daemon with a clock of its own, which is five hours ahead or back, and which began long ago or just now.
fn apart(bench: &Bench, owner: &str, ahead: bool, long_ago: bool) -> (Arc<Respond>, Arc<ManualClock>) {
    let now = bench.clock.now();
    let now = if ahead { now.plus(HOURS) } else { now.minus(HOURS) };
    let clock = Arc::new(ManualClock::new(now));
    let mut daemon = Arc::into_inner(bench.daemon(owner)).unwrap();
    daemon.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    if long_ago {
        let begun = tokio::time::Instant::now() - Duration::from_secs(3600);
        daemon.leases = lease_watch::LeaseWatch::new(begun);
    }
    (Arc::new(daemon), clock)
}

async fn opened(bench: &mut Bench) -> CaseId {
    let daemon = bench.daemon("opens");
    bench.condemn(&daemon, &name(1), "aa").await;
    bench.case().await.id
}

/// However far its clock is: it takes nothing from a daemon that renews, and everything from one that does not, after
/// one lease.
#[tokio::test]
async fn case_26_27_a_case_is_taken_from_a_dead_daemon_after_one_lease_and_never_from_one_that_lives() {
    for ahead in [true, false] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        bench.config.lease_duration = Duration::from_millis(600);
        let case = opened(&mut bench).await;
        let alive = bench.daemon("alive");
        let (other, _) = apart(&bench, "other", ahead, true);
        let lease = alive.take(&case).await.unwrap().unwrap();
        let living = async {
            tokio::time::sleep(Duration::from_millis(2000)).await;
            Ok(())
        };
        let watching = async {
            loop {
                assert_eq!(other.due().await.unwrap(), [], "{ahead}");
                assert_eq!(other.take(&case).await.unwrap(), None, "{ahead}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            kept = alive.holding(lease.clone(), living) => kept.unwrap(),
            () = watching => {}
        }
        // It dies with the lease in its hands.
        let lease = alive.take(&case).await.unwrap().unwrap();
        assert_eq!(other.due().await.unwrap(), []);
        let dead_since = tokio::time::Instant::now();
        let taken = loop {
            if let Some(taken) = other.take(&case).await.unwrap() {
                break taken;
            }
            assert!(dead_since.elapsed() < Duration::from_secs(30), "never taken over");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(taken.epoch, lease.epoch + 1);
        assert!(dead_since.elapsed() >= Duration::from_millis(590), "{ahead}");
    }
}

/// Both drive: the case changes hands once at most, each thing is done once and told once.
#[tokio::test]
async fn case_26_27_two_daemons_whose_clocks_are_hours_apart_do_and_tell_everything_once() {
    for (ahead, long_ago) in [(true, true), (false, true), (true, false)] {
        let mut bench = Bench::new(3, Recovery::Nova).await;
        let case = opened(&mut bench).await;
        let first = bench.daemon("first");
        let (second, clock) = apart(&bench, "second", ahead, long_ago);
        let stop = CancellationToken::new();
        let mut driving = tokio::task::JoinSet::new();
        for daemon in [&first, &second] {
            driving.spawn(Arc::clone(daemon).drive(stop.clone(), Duration::from_secs(5)));
        }
        let looking = async {
            while bench.case().await.state == CaseState::Open {
                tokio::time::sleep(Duration::from_millis(5)).await;
                bench.clock.advance(Duration::from_millis(5));
                clock.advance(Duration::from_millis(5));
                // Whoever opens a case wakes its driver; here both look all the time.
                first.opened.notify_one();
                second.opened.notify_one();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), looking)
            .await
            .expect("the case ends");
        stop.cancel();
        while driving.join_next().await.is_some() {}
        assert!(matches!(bench.case().await.state, CaseState::Closed { .. }));
        assert_eq!(bench.effects(), BY_NOVA, "{ahead} {long_ago}");
        assert_eq!(
            bench.kinds().await,
            ["case-closed", "case-opened", "host-evacuated", "host-fenced"]
        );
        let epoch = bench.store.epoch(&LeaseKind::Case(case)).await.unwrap();
        assert!(epoch <= 3, "it changed hands {epoch} times");
    }
}
