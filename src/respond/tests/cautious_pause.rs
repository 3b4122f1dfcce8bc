//! Pauses: rounds are recorded and nothing follows; a case that runs stops after its step.

use super::cautious_brake::{driving, new_kernel};
use super::*;
use crate::ids::PauseId;
use crate::store::{NewNotification, Pause};

impl Bench {
    pub(super) async fn pause(&self, host: Option<&HostName>, from: Duration, length: Duration) -> Pause {
        let now = self.clock.now();
        let pause = Pause {
            id: PauseId::new(now, rand::random()),
            host: host.cloned(),
            from: now.plus(from),
            until: now.plus(from).plus(length),
            because: "firmware update".into(),
            by: "ann".into(),
            made_at: now,
            ended_at: None,
            ended_by: None,
        };
        self.store.pause(&pause, &told("paused"), now).await.unwrap();
        pause
    }
}

fn told(what: &str) -> NewNotification {
    NewNotification {
        key: format!("{what} {}", hex::encode(rand::random::<[u8; 4]>())),
        kind: what.into(),
        payload: Json::empty(),
        quiet: None,
    }
}

#[tokio::test]
async fn case_30_a_case_that_is_paused_finishes_its_step_and_goes_on_when_it_is_resumed() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.config.brake_wait = Duration::from_secs(60);
    let daemon = bench.daemon("a");
    bench.fails(&daemon, &name(1), &new_kernel("aa")).await;
    let (stop, mut driver) = driving(&daemon);
    // It is in the middle of the step before the fence: it waits for other hosts.
    bench
        .until("other hosts are asked", async || {
            bench
                .store
                .host(&name(2))
                .await
                .unwrap()
                .unwrap()
                .next_due
                .is_some()
        })
        .await;
    bench
        .pause(Some(&name(1)), Duration::ZERO, Duration::from_secs(3600))
        .await;
    for n in [2, 3] {
        bench.round(&daemon, &name(n), Verdict::Affirming, "").await;
    }
    let id = bench.case().await.id;
    let step = async |name: &str| {
        let steps = bench.store.steps(&id).await.unwrap();
        steps.into_iter().find(|step| step.name == name).unwrap()
    };
    bench
        .until("the step is finished", async || {
            step("brake").await.state == crate::store::StepState::Done
        })
        .await;
    // It rests, and looks again whether it may go on.
    let rests = async || bench.case().await.not_before > bench.clock.now();
    bench.until("it rests", rests).await;
    assert_eq!(step("fence").await.attempts, 0);
    assert!(
        !bench.effects().contains(&"off cmp-1".to_owned()),
        "{:?}",
        bench.effects()
    );

    // Whoever would begin a step all the same is refused.
    stop.cancel();
    driver.join_next().await.unwrap().unwrap();
    let kind = LeaseKind::Case(id.clone());
    let now = bench.clock.now();
    let lease = bench
        .store
        .lease(kind, "b", now, Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    let refused = bench.store.begin_step(&lease, "fence", &Json::empty(), now).await;
    assert!(refused.unwrap_err().to_string().contains("firmware update"));
    bench.store.release(lease).await.unwrap();

    let now = bench.clock.now();
    let ended = bench
        .store
        .resume(Some(&name(1)), "ann", &told("resumed"), now)
        .await
        .unwrap();
    assert_eq!(ended, 1);
    bench.clock.advance(Duration::from_secs(11));
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
    assert!(bench.effects().contains(&"off cmp-1".to_owned()));
    let trail: Vec<String> = bench
        .store
        .latest_audit(9)
        .await
        .unwrap()
        .into_iter()
        .map(|r| r.entry.what)
        .collect();
    assert_eq!(trail, ["resume", "pause"]);
}

#[tokio::test]
async fn rounds_of_a_paused_host_are_recorded_and_condemn_nobody_afterwards() {
    for cloud in [false, true] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        let daemon = bench.daemon("a");
        let host = name(1);
        let scope = (!cloud).then_some(&host);
        // A maintenance window is a pause that begins later.
        bench
            .pause(scope, Duration::from_secs(60), Duration::from_secs(600))
            .await;
        assert_eq!(
            bench.round(&daemon, &host, Verdict::Warning, "").await,
            Decision::Notify(News::Warning)
        );
        bench.clock.advance(Duration::from_secs(60));
        for verdict in [
            Verdict::Contraindicated,
            Verdict::Contraindicated,
            Verdict::Indeterminate,
        ] {
            assert_eq!(bench.round(&daemon, &host, verdict, "aa").await, Decision::Record);
        }
        let other = bench.round(&daemon, &name(2), Verdict::Warning, "").await;
        assert_eq!(other == Decision::Record, cloud, "the other host");
        assert_eq!(
            bench
                .store
                .host(&host)
                .await
                .unwrap()
                .unwrap()
                .last
                .unwrap()
                .verdict,
            Verdict::Indeterminate
        );
        bench.clock.advance(Duration::from_secs(600));
        assert_eq!(
            bench.round(&daemon, &host, Verdict::Contraindicated, "aa").await,
            Decision::Confirm,
            "what was seen in the pause does not count"
        );
        assert_eq!(
            bench.round(&daemon, &host, Verdict::Contraindicated, "aa").await,
            Decision::OpenCase
        );
    }
}
