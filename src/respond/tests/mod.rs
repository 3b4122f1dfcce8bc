//! The whole response against a scripted cloud and the real store: its faults, and its end at any request.

mod leave;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lazaret_attest::finding::{Code, Finding};
use lazaret_attest::verdict::Verdict;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock as _, ManualClock, Timestamp};
use crate::config::secret::{Secret, SecretSource};
use crate::config::{FenceTimes, LocalDisk, Recovery, Response, ResponseMode};
use crate::fence::redfish::{Redfish, Target};
use crate::fence::{AgentPort, Method, Methods, Trust};
use crate::ids::{HostName, RoundId, Sha256Digest};
use crate::store::{
    Case, CaseFilter, CaseState, Json, Lease, LeaseKind, NewHost, Purpose, Recording, Round, Store,
};

use super::decide::News;
use super::journal::json;
use super::*;
use world::{How, World};

const T0: i64 = 1_795_243_380_000;

struct Bench {
    world: World,
    store: Store,
    clock: Arc<ManualClock>,
    config: Response,
    rounds: u8,
    _directory: tempfile::TempDir,
}

fn name(n: usize) -> HostName {
    format!("cmp-{n}").parse().unwrap()
}

fn finding(found: &str) -> Finding {
    Finding {
        gravity: Verdict::Contraindicated,
        ..Finding::new(*Code::ALL.first().unwrap(), "sha256:7")
    }
    .found(found)
}

/// A response that enforces, with times for tests.
pub(in crate::respond) fn response() -> Response {
    Response {
        mode: ResponseMode::Enforce,
        recovery: Recovery::Nova,
        quarantine_aggregate: "lazaret-quarantine".into(),
        local_disk: LocalDisk::Hold,
        step_deadline: Duration::from_secs(20),
        step_attempts: 3,
        masakari_deadline: Duration::from_secs(20),
        evacuation_deadline: Duration::from_secs(20),
        lease_duration: Duration::from_secs(60),
        max_cases: 2,
        window: Duration::from_secs(3600),
        keep_hosts: 1,
    }
}

impl Bench {
    async fn new(guests: u8, recovery: Recovery) -> Self {
        // In memory where there is such a place: hundreds of databases are made here.
        let directory = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let store = Store::open(&directory.path().join("lazaret.db")).await.unwrap();
        let bench = Self {
            world: World::start(guests).await,
            store,
            clock: Arc::new(ManualClock::new(Timestamp::from_millis(T0))),
            config: Response {
                recovery,
                ..response()
            },
            rounds: 0,
            _directory: directory,
        };
        for n in 1..=3 {
            bench.enrol(n).await;
        }
        bench
    }

    async fn enrol(&self, n: u8) {
        let host = NewHost {
            name: name(n.into()),
            agent_url: "https://127.0.0.1:9".parse().unwrap(),
            policy: None,
            ak_public: vec![n],
            ak_name: vec![n],
            ek_public_digest: Sha256Digest([n; 32]),
            ek_certificate: None,
            ek_kind: "ecc-p256".into(),
            agent_key: Sha256Digest([n; 32]),
        };
        self.store
            .enrol(&host, "test", false, self.clock.now())
            .await
            .unwrap();
    }

    /// A daemon: everything in it is new, but for the store and the world.
    fn daemon(&self, owner: &str) -> Arc<Respond> {
        let redfish = Redfish::new(Target {
            url: self.world.server.url.parse().unwrap(),
            system: Some("1".into()),
            system_uuid: None,
            username: "fence".into(),
            password: SecretSource::Inline(Secret::new("hunter2".into())),
            trust: Trust::System,
            timeout: Duration::from_secs(5),
        });
        let fence = HostFence {
            methods: Methods::new(name(1), vec![Method::Redfish(redfish.unwrap())]),
            // Nothing listens on the discard port of loopback: the agent is silent.
            agent: AgentPort {
                host: "127.0.0.1".into(),
                port: 9,
                timeout: Duration::from_secs(1),
            },
        };
        let times = FenceTimes {
            off_polls: 2,
            off_poll_interval: Duration::from_millis(5),
            off_deadline: Duration::from_millis(500),
            heartbeat_silence: Duration::from_millis(10),
        };
        let mut respond = Respond::new(
            self.store.clone(),
            Some(Arc::new(self.world.cloud())),
            self.config.clone(),
            Fencing::new(BTreeMap::from([(name(1), fence)]), &times),
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            owner.into(),
        );
        respond.pace = Duration::from_millis(2);
        Arc::new(respond)
    }

    async fn round(&mut self, daemon: &Respond, host: &HostName, verdict: Verdict, found: &str) -> Decision {
        self.rounds += 1;
        self.clock.advance(Duration::from_secs(1));
        let now = self.clock.now();
        let evidence = self.store.put_evidence(&[self.rounds], now).await.unwrap();
        let findings = if verdict == Verdict::Contraindicated {
            vec![finding(found)]
        } else {
            vec![]
        };
        let recording = Recording {
            round: Round {
                id: RoundId::new([self.rounds; 16]),
                host: host.clone(),
                purpose: Purpose::Scheduled,
                confirms: None,
                started_at: now,
                finished_at: now,
                verdict,
                findings: json(&findings),
                claims: Json::empty(),
                timings: Json::empty(),
                evidence: Some(evidence),
                policy: None,
            },
            history: None,
            answered: verdict != Verdict::Indeterminate,
            next_due: None,
            case: None,
            notifications: vec![],
        };
        let lease = self.host_lease(host).await;
        let decision = daemon.on_round(&lease, recording).await.unwrap();
        self.store.release(lease).await.unwrap();
        decision
    }

    async fn host_lease(&self, host: &HostName) -> Lease {
        let kind = LeaseKind::Host(host.clone());
        let lease = self
            .store
            .lease(kind, "rounds", self.clock.now(), Duration::from_secs(60))
            .await
            .unwrap();
        lease.unwrap()
    }

    async fn condemn(&mut self, daemon: &Respond, host: &HostName, found: &str) -> Decision {
        self.round(daemon, host, Verdict::Contraindicated, found).await;
        self.round(daemon, host, Verdict::Contraindicated, found).await
    }

    async fn case(&self) -> Case {
        self.store
            .cases(&CaseFilter::default())
            .await
            .unwrap()
            .pop()
            .unwrap()
    }

    /// Drives until the case is no longer open.
    async fn settle(&self, daemon: Arc<Respond>) -> Case {
        let stop = CancellationToken::new();
        // Dropped, the set ends the daemon at once, as a kill would.
        let mut driving = tokio::task::JoinSet::new();
        driving.spawn(daemon.drive(stop.clone(), Duration::from_secs(5)));
        let looking = async {
            loop {
                let case = self.case().await;
                if case.state != CaseState::Open {
                    return case;
                }
                // The driver's own task goes on meanwhile, and so does the clock.
                tokio::time::sleep(Duration::from_millis(5)).await;
                self.clock.advance(Duration::from_millis(5));
            }
        };
        let Ok(case) = tokio::time::timeout(Duration::from_secs(120), looking).await else {
            let steps = self.store.steps(&self.case().await.id).await.unwrap();
            panic!(
                "the case does not end: {steps:#?}\n{:?}",
                self.world.server.seen().last()
            );
        };
        stop.cancel();
        driving.join_next().await.unwrap().unwrap();
        case
    }

    fn effects(&self) -> Vec<String> {
        self.world.with(|state| {
            assert_eq!(state.violations, Vec::<String>::new(), "{:?}", state.effects);
            state.effects.clone()
        })
    }

    async fn kinds(&self) -> Vec<String> {
        let later = self.clock.now().plus(Duration::from_secs(1));
        let queued = self
            .store
            .take_notifications(later, 99, Duration::from_secs(1))
            .await
            .unwrap();
        let mut kinds: Vec<String> = queued.into_iter().map(|notification| notification.kind).collect();
        kinds.sort();
        kinds
    }

    async fn states(&self) -> Vec<(String, Option<HostName>)> {
        let instances = self.store.instances(&self.case().await.id).await.unwrap();
        instances
            .into_iter()
            .map(|known| (known.state, known.destination))
            .collect()
    }
}

const BY_NOVA: [&str; 8] = [
    "disable cmp-1",
    "make lazaret-quarantine",
    "join cmp-1",
    "off cmp-1",
    "force-down cmp-1",
    "evacuate 1",
    "evacuate 2",
    "evacuate 3",
];

#[tokio::test]
async fn a_condemned_host_goes_through_the_whole_response_by_nova() {
    let mut bench = Bench::new(3, Recovery::Nova).await;
    bench
        .world
        .with(|state| state.guests.get_mut(&2).unwrap().vm_state = "stopped".into());
    let daemon = bench.daemon("a");
    assert_eq!(
        bench
            .round(&daemon, &name(1), Verdict::Contraindicated, "aa")
            .await,
        Decision::Confirm
    );
    assert_eq!(
        bench.world.with(|state| state.effects.len()),
        0,
        "one condemnation touches nothing"
    );
    assert_eq!(
        bench
            .round(&daemon, &name(1), Verdict::Contraindicated, "aa")
            .await,
        Decision::OpenCase
    );

    let opened = bench.case().await;
    assert_eq!(opened.state, CaseState::Open);
    let plan = journal::plan_of(&opened, &[]).expect("planned before anything is touched");
    assert_eq!(plan.instances.len(), 3);
    assert!(
        plan.disabled_reason
            .starts_with(&format!("lazaret case {}", opened.id))
    );

    let case = bench.settle(daemon).await;
    assert!(
        matches!(&case.state, CaseState::Closed { reason } if reason.contains("3 of 3")),
        "{:?}",
        case.state
    );
    assert_eq!(bench.effects(), BY_NOVA);
    assert!(
        bench
            .states()
            .await
            .iter()
            .all(|state| *state == ("moved".into(), Some(name(2))))
    );
    assert_eq!(bench.kinds().await, ["case-closed", "case-opened"]);
    let report = crate::report::Report::gather(&bench.store, &case.id)
        .await
        .unwrap()
        .unwrap();
    assert!(
        report
            .timeline
            .iter()
            .any(|moment| moment.step == "fence" && moment.what.contains("seen off"))
    );
    assert_eq!(report.evidence.len(), 2);
}

#[tokio::test]
async fn masakari_is_notified_once_and_what_it_overwrites_is_put_back() {
    let mut bench = Bench::new(2, Recovery::Masakari).await;
    bench.world.with(|state| {
        state.segment = Some(true);
        state.spare = Some("cmp-3".into());
    });
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
    assert_eq!(
        bench.effects(),
        [
            "disable cmp-1",
            "make lazaret-quarantine",
            "join cmp-1",
            "off cmp-1",
            "force-down cmp-1",
            "notify",
            "disable cmp-1", // the reason, which Masakari had overwritten
            "leave cmp-3",   // the spare host, which it had dragged in
        ]
    );
    bench.world.with(|state| {
        assert!(
            state.services["cmp-1"]
                .1
                .as_ref()
                .unwrap()
                .contains(case.id.as_str())
        );
        assert_eq!(state.aggregates["lazaret-quarantine"].2, ["cmp-1"]);
    });
    assert!(bench.kinds().await.contains(&"stray-host".to_owned()));
}

#[tokio::test]
async fn what_masakari_fails_at_is_evacuated_by_nova_once_it_has_ended() {
    for end in ["failed", "ignored"] {
        let mut bench = Bench::new(2, Recovery::Masakari).await;
        bench.world.with(|state| {
            state.segment = Some(true);
            state.masakari_ends = vec![end];
        });
        let daemon = bench.daemon("a");
        bench.condemn(&daemon, &name(1), "aa").await;
        let case = bench.settle(daemon).await;
        assert!(
            matches!(case.state, CaseState::Closed { .. }),
            "{end}: {:?}",
            case.state
        );
        let effects = bench.effects();
        let evacuations: Vec<_> = effects
            .iter()
            .filter(|effect| effect.starts_with("evacuate"))
            .collect();
        assert_eq!(evacuations, ["evacuate 1", "evacuate 2"], "{end}");
    }
}

/// Masakari would move every instance, also the one whose disk would be lost.
#[tokio::test]
async fn a_local_disk_is_held_and_so_nova_evacuates_the_others_with_masakari_paused() {
    let mut bench = Bench::new(3, Recovery::Masakari).await;
    bench.world.with(|state| {
        state.segment = Some(true);
        state.guests.get_mut(&2).unwrap().volume = false;
        state.guests.get_mut(&3).unwrap().ends = vec!["refused"]; // a virtual TPM that the image asks for
    });
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(daemon).await;
    assert!(
        matches!(&case.state, CaseState::Closed { reason } if reason.contains("2 left for a person")),
        "{case:?}"
    );
    let effects = bench.effects();
    assert!(
        effects.contains(&"maintenance cmp-1".to_owned()) && !effects.contains(&"notify".to_owned()),
        "{effects:?}"
    );
    let off = effects.iter().position(|effect| effect == "off cmp-1").unwrap();
    let paused = effects
        .iter()
        .position(|effect| effect == "maintenance cmp-1")
        .unwrap();
    assert!(
        paused < off,
        "its monitor must not take the power-off for a failure: {effects:?}"
    );
    let mut states: Vec<String> = bench.states().await.into_iter().map(|(state, _)| state).collect();
    states.sort();
    assert_eq!(states, ["held", "held", "moved"]);
}

#[tokio::test]
async fn a_group_goes_one_by_one_and_a_failed_claim_is_tried_again_but_not_for_ever() {
    let mut bench = Bench::new(4, Recovery::Nova).await;
    bench.world.with(|state| {
        for n in [1, 2] {
            state.guests.get_mut(&n).unwrap().group = Some("g".into());
        }
        state.guests.get_mut(&3).unwrap().ends = vec!["failed"];
        state.guests.get_mut(&4).unwrap().ends = vec!["error"; 99];
    });
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(Arc::clone(&daemon)).await;
    let CaseState::Stuck { reason } = &case.state else {
        panic!("{:?}", case.state)
    };
    assert!(reason.contains("web-4") && reason.contains("3 of 4"), "{reason}");
    let tries = |n: u8| {
        let effect = format!("evacuate {n}");
        bench.effects().iter().filter(|known| **known == effect).count()
    };
    assert_eq!((tries(1), tries(2), tries(3), tries(4)), (1, 1, 2, 2));

    // A person makes room and lets it go on.
    bench
        .world
        .with(|state| state.guests.get_mut(&4).unwrap().ends.clear());
    assert!(
        bench
            .store
            .approve(&case.id, "ann", bench.clock.now())
            .await
            .unwrap()
    );
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
    assert_eq!((tries(1), tries(3), tries(4)), (1, 2, 3));
}

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
    assert!(bench.kinds().await.contains(&"case-held".to_owned()));
    bench
        .store
        .approve(&case.id, "ann", bench.clock.now())
        .await
        .unwrap();
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
}

#[tokio::test]
async fn a_case_opened_while_nova_is_down_is_planned_when_it_answers() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench
        .world
        .with(|state| state.faults = vec![("GET /v2.1/servers/detail", 999, How::Status(500, "{}"))]);
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    assert!(journal::plan_of(&bench.case().await, &[]).is_none());
    bench.world.with(|state| state.faults.clear());
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
    let written = bench.store.journal_of(&case.id).await.unwrap();
    assert_eq!(journal::plan_of(&case, &written).unwrap().instances.len(), 1);
}

/// Every step once more, after all of them are done: nothing changes in the world.
#[tokio::test]
async fn every_step_done_twice_has_the_effect_of_one() {
    for recovery in [Recovery::Nova, Recovery::Masakari] {
        let mut bench = Bench::new(2, recovery).await;
        bench
            .world
            .with(|state| state.segment = (recovery == Recovery::Masakari).then_some(true));
        let daemon = bench.daemon("a");
        bench.condemn(&daemon, &name(1), "aa").await;
        let case = bench.case().await;
        let kind = LeaseKind::Case(case.id.clone());
        let lease = bench
            .store
            .lease(kind, "a", bench.clock.now(), Duration::from_secs(60))
            .await
            .unwrap()
            .unwrap();
        let cloud = bench.world.cloud();
        for step in saga::steps(true) {
            for time in 1..=2 {
                // Without the proof in memory, as after a restart.
                let proof = std::sync::Mutex::new(None);
                let journal = bench.store.journal_of(&case.id).await.unwrap();
                let context = steps::Context::new(&daemon, &cloud, &case, &journal, &lease, &proof, step);
                let before = bench.effects().len();
                let outcome = steps::ensure(step, &context).await.unwrap();
                assert!(
                    matches!(outcome, saga::Outcome::Done(_)),
                    "{step}, time {time}: {outcome:?}"
                );
                if time == 2 {
                    assert_eq!(
                        bench.effects().len(),
                        before,
                        "{step} acted twice: {:?}",
                        bench.effects()
                    );
                }
            }
        }
    }
}

/// The daemon ends at every single request, after its effect and before its answer; another one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_at_any_request_the_next_daemon_goes_on_and_nothing_is_done_twice() {
    for recovery in [Recovery::Nova, Recovery::Masakari] {
        let mut next = 1;
        let mut finished = None;
        let mut running = tokio::task::JoinSet::new();
        while finished.is_none() {
            while running.len() < 4 {
                running.spawn(cut_off_at(recovery, next));
                next += 1;
            }
            finished = running.join_next().await.unwrap().unwrap();
        }
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
        assert!(
            finished > Some(30),
            "the case was cut off at {finished:?} requests only"
        );
    }
}

/// Cuts a case off at its n-th request; says so when the case ended before.
async fn cut_off_at(recovery: Recovery, nth: usize) -> Option<usize> {
    let mut bench = Bench::new(2, recovery).await;
    bench
        .world
        .with(|state| state.segment = (recovery == Recovery::Masakari).then_some(true));
    let first = bench.daemon("first");
    bench.condemn(&first, &name(1), "aa").await;
    bench.world.cut_at(nth);
    let cut = Arc::clone(&bench.world.cut);
    let finished = tokio::select! {
        () = cut.notified() => false,
        _ = bench.settle(Arc::clone(&first)) => true,
    };
    drop(first);
    if !finished {
        // The first one's lease runs out; its tasks are cut off with the request that hangs.
        bench.clock.advance(Duration::from_secs(61));
        let case = bench.settle(bench.daemon("second")).await;
        assert!(
            matches!(case.state, CaseState::Closed { .. }),
            "{recovery:?} cut at {nth}: {:?}",
            case.state
        );
    }
    let mut effects = bench.effects();
    let all = effects.len();
    effects.sort();
    effects.dedup();
    // Masakari overwrites the reason, so the host is disabled twice.
    let twice = usize::from(recovery == Recovery::Masakari);
    assert_eq!(
        all,
        effects.len() + twice,
        "{recovery:?} cut at {nth}: {effects:?}"
    );
    assert!(
        bench.states().await.iter().all(|(state, _)| state == "moved"),
        "{recovery:?} cut at {nth}"
    );
    finished.then_some(nth)
}

/// A daemon that was paused and comes back finds its lease taken, and writes nothing more.
#[tokio::test]
async fn a_daemon_that_lost_its_lease_stops() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.case().await;
    let kind = LeaseKind::Case(case.id.clone());
    let lease = bench
        .store
        .lease(kind.clone(), "a", bench.clock.now(), Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    bench.clock.advance(Duration::from_secs(61));
    bench
        .store
        .lease(kind, "b", bench.clock.now(), Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    let cloud = bench.world.cloud();
    let stop = CancellationToken::new();
    let error = daemon
        .carry_on(&cloud, &case.id, &lease, &stop)
        .await
        .unwrap_err();
    assert!(
        matches!(error, crate::store::StoreError::LeaseLost { .. }),
        "{error}"
    );
    assert_eq!(bench.effects(), Vec::<String>::new());
}
