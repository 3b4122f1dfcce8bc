//! The brake: what one missing golden value does to many hosts powers none of them off.

use super::*;
use crate::ids::GroupId;
use crate::respond::guard::{Cause, Hold};

/// A finding that one missing golden value can make.
pub(super) fn new_kernel(found: &str) -> Vec<Finding> {
    vec![
        Finding {
            gravity: Verdict::Contraindicated,
            ..Finding::new(Code::BootEventNotGolden, "PCR sha256:4, event 17: vmlinuz")
        }
        .found(found),
    ]
}

impl Bench {
    pub(super) async fn fails(
        &mut self,
        daemon: &Respond,
        host: &HostName,
        findings: &[Finding],
    ) -> Decision {
        self.round_with(daemon, host, Verdict::Contraindicated, findings.to_vec())
            .await;
        self.round_with(daemon, host, Verdict::Contraindicated, findings.to_vec())
            .await
    }

    async fn group(&self) -> GroupId {
        let groups = self.store.held_groups().await.unwrap();
        assert_eq!(groups.len(), 1, "{groups:?}");
        groups[0].id.clone()
    }

    pub(super) async fn state_of(&self, host: &HostName) -> CaseState {
        self.store.unclosed_case(host).await.unwrap().unwrap().state
    }

    /// Waits until this is so, while the driver works.
    pub(super) async fn until(&self, what: &str, so: impl AsyncFn() -> bool) {
        for _ in 0..2000 {
            if so().await {
                return;
            }
            self.clock.advance(Duration::from_millis(5));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never: {what}; effects {:?}", self.effects());
    }
}

pub(super) fn driving(daemon: &Arc<Respond>) -> (CancellationToken, tokio::task::JoinSet<()>) {
    let stop = CancellationToken::new();
    let mut driving = tokio::task::JoinSet::new();
    driving.spawn(Arc::clone(daemon).drive(stop.clone(), Duration::from_secs(5)));
    (stop, driving)
}

/// The first host of a bad kernel update is disabled at once; before it is powered off, others are asked.
#[tokio::test]
async fn case_28_a_kernel_update_that_fails_200_hosts_fences_none_and_makes_one_group() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.config.brake_wait = Duration::from_secs(20);
    for n in 4..=200u8 {
        bench.enrol(n).await;
    }
    let daemon = bench.daemon("a");
    let later = bench.clock.now().plus(Duration::from_secs(3600));
    for n in 1..=200 {
        bench.store.set_next_due(&name(n), later).await.unwrap();
    }
    let kernel = new_kernel("aa11");
    assert_eq!(bench.fails(&daemon, &name(1), &kernel).await, Decision::OpenCase);
    let (stop, mut driver) = driving(&daemon);

    // It asks others, and waits for them.
    let due = async || {
        let hosts = bench.store.hosts().await.unwrap();
        let now = bench.clock.now();
        hosts
            .iter()
            .filter(|host| host.next_due.is_some_and(|due| due <= now))
            .map(|host| host.name().clone())
            .collect::<Vec<_>>()
    };
    bench
        .until("other hosts are due", async || !due().await.is_empty())
        .await;
    let asked = due().await;
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(
        bench.effects(),
        ["disable cmp-1", "make lazaret-quarantine", "join cmp-1"]
    );
    for host in &asked {
        bench
            .round_with(&daemon, host, Verdict::Contraindicated, kernel.clone())
            .await;
    }
    bench
        .until("the first case is held", async || {
            matches!(bench.state_of(&name(1)).await, CaseState::Held { .. })
        })
        .await;

    // The others are condemned one after another. Nothing is asked of nova for them.
    let requests = bench.world.server.seen().len();
    for n in 2..=200 {
        bench.fails(&daemon, &name(n), &kernel).await;
    }
    assert_eq!(bench.world.server.seen().len(), requests);
    stop.cancel();
    driver.join_next().await.unwrap().unwrap();

    let group = bench.group().await;
    let cases = bench.store.cases(&CaseFilter::default()).await.unwrap();
    assert_eq!(cases.len(), 200);
    for case in &cases {
        let CaseState::Held { reason } = &case.state else {
            panic!("{case:?}")
        };
        assert!(reason.contains("aa11"), "the digest is named: {reason}");
        assert_eq!(case.held_group.as_ref(), Some(&group), "{case:?}");
    }
    assert_eq!(
        bench.effects(),
        ["disable cmp-1", "make lazaret-quarantine", "join cmp-1"]
    );
    let kinds = bench.kinds().await;
    assert_eq!(
        kinds,
        ["case-opened", "group-held", "group-held", "group-held"],
        "of the group at 1, 10 and 100 hosts; of cases only the first, which was open"
    );
}

/// A person lets a group go on: all its cases, over the limits that it was held for, and no other.
#[tokio::test]
async fn case_28_an_approved_group_goes_on_and_a_new_host_is_held_again() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.config.brake_hosts = 2;
    let daemon = bench.daemon("a");
    let kernel = new_kernel("aa11");
    bench
        .round_with(&daemon, &name(2), Verdict::Contraindicated, kernel.clone())
        .await;
    bench.fails(&daemon, &name(1), &kernel).await;
    let group = bench.group().await;
    assert!(matches!(bench.state_of(&name(1)).await, CaseState::Held { .. }));
    let shown = Hold::SharedCause {
        cause: Cause::of(&kernel).into_iter().next().unwrap(),
        hosts: vec![name(1)],
    };
    let now = bench.clock.now();
    let gone = bench
        .store
        .approve_group(&group, &json(&[shown]), "ann", now)
        .await
        .unwrap();
    assert_eq!(gone.len(), 1);
    let case = bench.settle(Arc::clone(&daemon)).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
    assert!(bench.effects().contains(&"off cmp-1".to_owned()));

    bench.fails(&daemon, &name(2), &kernel).await;
    assert!(matches!(bench.state_of(&name(2)).await, CaseState::Held { .. }));
    let groups = bench.store.held_groups().await.unwrap();
    assert_eq!(groups.len(), 2, "the approval was of the first group only");
}

/// Without others that answer, the wait has an end.
#[tokio::test]
async fn the_brake_waits_no_longer_than_it_may_and_not_at_all_for_a_contradiction() {
    for (code, waits) in [(Code::PcrNotGolden, true), (Code::BootLogReplayMismatch, false)] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        bench.config.brake_wait = Duration::from_millis(400);
        let daemon = bench.daemon("a");
        let finding = vec![
            Finding {
                gravity: Verdict::Contraindicated,
                ..Finding::new(code, "PCR sha256:4")
            }
            .found("aa"),
        ];
        bench.fails(&daemon, &name(1), &finding).await;
        let case = bench.settle(daemon).await;
        assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
        let steps = bench.store.steps(&case.id).await.unwrap();
        let brake = steps.iter().find(|step| step.name == "brake").unwrap();
        let note = brake.note.clone().unwrap();
        assert_eq!(note.contains("2 of them did not answer"), waits, "{code}: {note}");
        let hosts = bench.store.hosts().await.unwrap();
        let due = hosts.iter().filter(|host| host.next_due.is_some()).count();
        assert_eq!(due, if waits { 2 } else { 0 }, "{code}");
    }
}

/// Two daemons may open cases at the same moment, each without seeing the other's: the limits are asked again before
/// any host is powered off.
#[tokio::test]
async fn cases_that_were_opened_at_once_are_counted_again_before_the_fence() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let first = bench.daemon("a");
    bench.condemn(&first, &name(2), "aa").await;
    // A limit that the other daemon could not see: its configuration is older.
    bench.config.max_cases_zone = 1;
    let daemon = bench.daemon("b");
    bench.condemn(&first, &name(1), "bb").await;
    let mine = bench.store.unclosed_case(&name(1)).await.unwrap().unwrap();
    assert_eq!(mine.state, CaseState::Open);
    let (stop, mut driver) = driving(&daemon);
    bench
        .until("the younger case is held", async || {
            matches!(bench.state_of(&name(1)).await, CaseState::Held { .. })
        })
        .await;
    stop.cancel();
    driver.join_next().await.unwrap().unwrap();
    assert!(
        !bench.effects().contains(&"off cmp-1".to_owned()),
        "{:?}",
        bench.effects()
    );
    let CaseState::Held { reason } = bench.state_of(&name(1)).await else {
        unreachable!()
    };
    assert!(reason.contains("zone nova"), "{reason}");

    // The approval is of this limit.
    let now = bench.clock.now();
    bench.store.approve(&mine.id, "ann", now).await.unwrap();
    let (stop, mut driver) = driving(&daemon);
    bench
        .until("it is powered off", async || {
            bench.effects().contains(&"off cmp-1".to_owned())
        })
        .await;
    stop.cancel();
    driver.join_next().await.unwrap().unwrap();
}

/// A person who holds a case whose host is being powered off makes no room for another one.
#[tokio::test]
async fn a_case_that_is_held_counts_once_its_fence_has_begun() {
    for fenced in [true, false] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        bench.config.max_cases = 1;
        let daemon = bench.daemon("a");
        bench.condemn(&daemon, &name(2), "aa").await;
        let case = bench.store.unclosed_case(&name(2)).await.unwrap().unwrap();
        let now = bench.clock.now();
        let kind = LeaseKind::Case(case.id.clone());
        let lease = bench.store.lease(kind, "a", now, Duration::from_secs(60)).await;
        let lease = lease.unwrap().unwrap();
        if fenced {
            let doing = Json::empty();
            let begun = bench.store.begin_step(&lease, "fence", &doing, now).await;
            begun.unwrap();
        }
        bench.store.release(lease).await.unwrap();
        assert!(bench.store.hold(&case.id, "ann", "wait", now).await.unwrap());
        bench.condemn(&daemon, &name(1), "bb").await;
        let state = bench.state_of(&name(1)).await;
        assert_eq!(
            matches!(state, CaseState::Held { .. }),
            fenced,
            "{fenced}: {state:?}"
        );
    }
}

/// A daemon that has just started does not know yet whether other hosts fail alike.
#[tokio::test]
async fn a_daemon_that_has_just_started_acts_when_it_has_heard_of_the_other_hosts() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.config.startup_grace = Duration::from_secs(120);
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    assert_eq!(bench.case().await.state, CaseState::Open);
    assert_eq!(daemon.due().await.unwrap(), []);
    bench.clock.advance(Duration::from_secs(119));
    assert_eq!(daemon.due().await.unwrap(), []);
    bench.clock.advance(Duration::from_secs(2));
    assert_eq!(daemon.due().await.unwrap(), [bench.case().await.id]);

    // One that has heard of them all does not wait.
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.config.startup_grace = Duration::from_secs(120);
    let daemon = bench.daemon("a");
    for n in [2, 3] {
        bench.round(&daemon, &name(n), Verdict::Affirming, "").await;
    }
    bench.condemn(&daemon, &name(1), "aa").await;
    assert_eq!(daemon.due().await.unwrap(), [bench.case().await.id]);
}
