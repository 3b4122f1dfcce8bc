//! Silence: told, then no new instances, and never more; undone when the host is as it should be again.

use super::cautious_brake::driving;
use super::*;
use crate::config::Silence;

pub(super) async fn quiet_bench() -> Bench {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.config.silence = Some(Silence {
        unschedule_after: Duration::ZERO,
        rounds: 3,
        share: 0.5,
    });
    bench
}

impl Bench {
    /// Drives until no case is open.
    pub(super) async fn drive_out(&self, daemon: &Arc<Respond>) {
        let (stop, mut driver) = driving(daemon);
        self.until("no case is open", async || {
            let cases = self.store.cases(&CaseFilter::default()).await.unwrap();
            cases.iter().all(|case| case.state != CaseState::Open)
        })
        .await;
        stop.cancel();
        driver.join_next().await.unwrap().unwrap();
    }

    async fn kinds_of_cases(&self) -> Vec<(CaseKind, &'static str)> {
        let mut cases = self.store.cases(&CaseFilter::default()).await.unwrap();
        cases.reverse();
        cases
            .iter()
            .map(|case| (case.kind, case.state.as_str()))
            .collect()
    }

    fn service(&self) -> (bool, Option<String>, bool) {
        self.world.with(|state| state.services["cmp-1"].clone())
    }
}

#[tokio::test]
async fn case_73_a_silent_host_gets_no_new_instances_and_gets_them_again_when_it_answers() {
    let mut bench = quiet_bench().await;
    let daemon = bench.daemon("a");
    for n in [2, 3] {
        bench.round(&daemon, &name(n), Verdict::Affirming, "").await;
    }
    for _ in 0..2 {
        bench.round(&daemon, &name(1), Verdict::Indeterminate, "").await;
    }
    assert_eq!(bench.kinds_of_cases().await, []);
    for _ in 0..3 {
        bench.round(&daemon, &name(1), Verdict::Indeterminate, "").await;
        bench.drive_out(&daemon).await;
    }
    assert_eq!(
        bench.kinds_of_cases().await,
        [(CaseKind::Unschedule, "closed")],
        "once"
    );
    let case = bench.case().await;
    let (enabled, reason, down) = bench.service();
    assert!(!enabled && !down);
    assert!(reason.unwrap().starts_with(&format!("lazaret case {}", case.id)));
    assert_eq!(bench.effects(), ["disable cmp-1"], "and nothing else, for ever");
    let host = bench.store.host(&name(1)).await.unwrap().unwrap();
    assert_eq!(
        (host.silent_rounds, host.quarantined_by, host.unscheduled_by),
        (5, None, Some(case.id))
    );
    assert_eq!(bench.kinds().await, ["host-indeterminate", "host-silent"]);

    bench.round(&daemon, &name(1), Verdict::Affirming, "").await;
    bench.drive_out(&daemon).await;
    assert_eq!(bench.effects(), ["disable cmp-1", "enable cmp-1"]);
    let host = bench.store.host(&name(1)).await.unwrap().unwrap();
    assert_eq!((host.silent_rounds, host.unscheduled_by), (0, None));
    assert_eq!(
        bench.kinds_of_cases().await,
        [(CaseKind::Unschedule, "closed"), (CaseKind::Reschedule, "closed")]
    );
}

#[tokio::test]
async fn what_somebody_else_disabled_or_a_person_wants_to_enable_stays_disabled() {
    for person in [false, true] {
        let mut bench = quiet_bench().await;
        if person {
            bench.config.unschedule_return = Return::Person;
        }
        let daemon = bench.daemon("a");
        for n in [2, 3] {
            bench.round(&daemon, &name(n), Verdict::Affirming, "").await;
        }
        for _ in 0..3 {
            bench.round(&daemon, &name(1), Verdict::Indeterminate, "").await;
        }
        bench.drive_out(&daemon).await;
        if !person {
            bench.world.with(|state| {
                state
                    .services
                    .insert("cmp-1".into(), (false, Some("disks are replaced".into()), false));
            });
        }
        bench.round(&daemon, &name(1), Verdict::Affirming, "").await;
        bench.drive_out(&daemon).await;
        assert_eq!(bench.effects(), ["disable cmp-1"]);
        assert!(!bench.service().0);
        assert_eq!(
            bench.store.host(&name(1)).await.unwrap().unwrap().unscheduled_by,
            None
        );
    }
}

/// A host that was only silent, and is condemned when it answers, is quarantined like any other.
#[tokio::test]
async fn a_case_of_silence_makes_way_for_a_quarantine() {
    let mut bench = quiet_bench().await;
    let daemon = bench.daemon("a");
    for n in [2, 3] {
        bench.round(&daemon, &name(n), Verdict::Affirming, "").await;
    }
    for _ in 0..3 {
        bench.round(&daemon, &name(1), Verdict::Indeterminate, "").await;
    }
    assert_eq!(bench.kinds_of_cases().await, [(CaseKind::Unschedule, "open")]);
    assert_eq!(bench.condemn(&daemon, &name(1), "aa").await, Decision::OpenCase);
    assert_eq!(
        bench.kinds_of_cases().await,
        [(CaseKind::Unschedule, "closed"), (CaseKind::Quarantine, "open")]
    );
    bench.drive_out(&daemon).await;
    assert!(bench.effects().contains(&"off cmp-1".to_owned()));
}

#[tokio::test]
async fn case_29_a_daemon_that_hears_nobody_says_so_once_and_touches_nothing() {
    let mut bench = quiet_bench().await;
    let daemon = bench.daemon("a");
    for n in 1..=3 {
        bench.round(&daemon, &name(n), Verdict::Affirming, "").await;
    }
    for _ in 0..9 {
        for n in 1..=3 {
            bench.round(&daemon, &name(n), Verdict::Indeterminate, "").await;
        }
    }
    assert_eq!(bench.kinds_of_cases().await, []);
    assert_eq!(bench.effects(), Vec::<String>::new());
    assert_eq!(
        bench.kinds().await,
        ["daemon-cut-off", "host-indeterminate", "host-indeterminate"],
        "of the first two nobody could know"
    );
}

/// Mode `observe` tells, once, and touches nothing.
#[tokio::test]
async fn case_73_in_mode_observe_a_silent_host_is_told_once() {
    let mut bench = quiet_bench().await;
    bench.config.mode = ResponseMode::Observe;
    let daemon = bench.daemon("a");
    for n in [2, 3] {
        bench.round(&daemon, &name(n), Verdict::Affirming, "").await;
    }
    for _ in 0..6 {
        bench.round(&daemon, &name(1), Verdict::Indeterminate, "").await;
    }
    assert_eq!(bench.kinds().await, ["host-indeterminate", "host-silent"]);
    assert_eq!(bench.kinds_of_cases().await, []);
}

/// Who is not heard for another reason, or was never heard, is neither silent nor heard.
#[tokio::test]
async fn case_29_only_hosts_that_were_heard_and_are_in_service_say_that_the_daemon_is_cut_off() {
    let cut_off = async |bench: &Bench| {
        let kinds = bench.kinds().await;
        kinds.iter().filter(|kind| *kind == "daemon-cut-off").count()
    };
    let silent = Verdict::Indeterminate;
    // Two of three, whose own last round was silent already.
    let mut bench = quiet_bench().await;
    let daemon = bench.daemon("a");
    bench.round(&daemon, &name(3), Verdict::Affirming, "").await;
    for n in [1, 2, 1, 2] {
        bench.round(&daemon, &name(n), silent, "").await;
    }
    assert_eq!(cut_off(&bench).await, 0, "none is counted twice");

    // One is closed to new instances for its silence; two more are not most of three.
    let mut bench = quiet_bench().await;
    let daemon = bench.daemon("a");
    for n in [2, 3] {
        bench.round(&daemon, &name(n), Verdict::Affirming, "").await;
    }
    for _ in 0..3 {
        bench.round(&daemon, &name(1), silent, "").await;
    }
    bench.drive_out(&daemon).await;
    for n in [2, 3] {
        bench.round(&daemon, &name(n), silent, "").await;
    }
    assert_eq!(cut_off(&bench).await, 0, "an unscheduled host is left out");

    // One is in quarantine, and off.
    let mut bench = quiet_bench().await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    bench.settle(Arc::clone(&daemon)).await;
    for n in 1..=3 {
        bench.round(&daemon, &name(n), silent, "").await;
    }
    assert_eq!(cut_off(&bench).await, 0, "a quarantined host is left out");

    // Hosts that were never heard make no majority of those that are silent a minority.
    let mut bench = quiet_bench().await;
    for n in 4..=9 {
        bench.enrol(n).await;
    }
    let daemon = bench.daemon("a");
    for n in 1..=3 {
        bench.round(&daemon, &name(n), silent, "").await;
    }
    assert_eq!(cut_off(&bench).await, 1);
}

/// Neither a clock that is put ahead nor a pause makes silence of what was none.
#[tokio::test]
async fn case_73_silence_is_not_measured_by_the_wall_clock_nor_counted_against_a_paused_host() {
    let mut bench = quiet_bench().await;
    bench.config.silence = bench.config.silence.map(|limits| Silence {
        unschedule_after: Duration::from_secs(3600),
        ..limits
    });
    let daemon = bench.daemon("a");
    for _ in 0..6 {
        bench.clock.advance(Duration::from_secs(7200));
        bench.round(&daemon, &name(1), Verdict::Indeterminate, "").await;
    }
    assert_eq!(bench.kinds_of_cases().await, []);

    let mut bench = quiet_bench().await;
    let daemon = bench.daemon("a");
    let host = name(1);
    bench
        .pause(Some(&host), Duration::ZERO, Duration::from_secs(600))
        .await;
    for _ in 0..6 {
        bench.round(&daemon, &host, Verdict::Indeterminate, "").await;
    }
    assert_eq!(bench.kinds_of_cases().await, []);
}

/// A host gets new instances again when nothing is wrong with it, and where anything may be touched at all.
#[tokio::test]
async fn case_73_a_warning_or_mode_observe_gives_no_instances_back() {
    let mut bench = quiet_bench().await;
    let daemon = bench.daemon("a");
    for n in [2, 3] {
        bench.round(&daemon, &name(n), Verdict::Affirming, "").await;
    }
    for _ in 0..3 {
        bench.round(&daemon, &name(1), Verdict::Indeterminate, "").await;
    }
    bench.drive_out(&daemon).await;
    let unscheduled = [(CaseKind::Unschedule, "closed")];
    bench.round(&daemon, &name(1), Verdict::Warning, "").await;
    assert_eq!(bench.kinds_of_cases().await, unscheduled, "a warning");
    bench.config.mode = ResponseMode::Observe;
    let observing = bench.daemon("b");
    bench.round(&observing, &name(1), Verdict::Affirming, "").await;
    assert_eq!(bench.kinds_of_cases().await, unscheduled, "mode observe");
}

/// What was told once is told again when it happens again.
#[tokio::test]
async fn case_73_a_silence_that_ended_and_comes_again_is_told_again() {
    let mut bench = quiet_bench().await;
    bench.config.mode = ResponseMode::Observe;
    let daemon = bench.daemon("a");
    for n in [2, 3] {
        bench.round(&daemon, &name(n), Verdict::Affirming, "").await;
    }
    for _ in 0..2 {
        for _ in 0..4 {
            bench.round(&daemon, &name(1), Verdict::Indeterminate, "").await;
        }
        bench.round(&daemon, &name(1), Verdict::Affirming, "").await;
        bench.clock.advance(Duration::from_secs(86_400));
    }
    let kinds = bench.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "host-silent").count(), 2);
    for _ in 0..2 {
        for n in 1..=3 {
            bench.round(&daemon, &name(n), Verdict::Indeterminate, "").await;
        }
        for n in 1..=3 {
            bench.round(&daemon, &name(n), Verdict::Affirming, "").await;
        }
        bench.clock.advance(Duration::from_secs(86_400));
    }
    let kinds = bench.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "daemon-cut-off").count(), 2);
}
