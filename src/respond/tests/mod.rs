//! The whole response against a scripted cloud and the real store: its faults, and its end at any request.

mod again;
mod caution;
mod cautious_brake;
mod cautious_pause;
mod cautious_silence;
mod clocks;
mod cloud;
mod comes_back;
mod course;
mod database;
mod dismissed;
mod faults;
mod giving_back;
mod holddown;
mod keep_off;
mod maintenance;
mod sim;

mod leave;
mod limits;
mod opening;
mod orphans;
mod release;
mod release_again;
mod secrets;
mod told;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lazaret_attest::finding::{Code, Finding};
use lazaret_attest::verdict::Verdict;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock as _, ManualClock, Timestamp};
use crate::config::secret::{Secret, SecretSource};
use crate::config::{FenceTimes, LocalDisk, Recovery, Response, ResponseMode, Return};
use crate::fence::redfish::{Redfish, Target};
use crate::fence::{AgentPort, Method, Methods, Trust};
use crate::ids::{CaseKind, HostName, RoundId, Sha256Digest};
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
    /// How long one method may take to see its host off. Short, for the hosts that stay on.
    off_deadline: Duration,
    rounds: u32,
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
        on_arrival: crate::config::OnArrival::AsItWas,
        shared_storage: vec![],
        other_ha: vec![],
        ironic_nodes: Default::default(),
        holddown_interval: Duration::from_millis(20),
        holddown_repairs: 5,
        max_cases_zone: 9,
        max_cases_aggregate: 9,
        keep_free_vcpus: 0,
        keep_free_memory_mb: 0,
        startup_grace: Duration::ZERO,
        brake_hosts: 3,
        brake_wait: Duration::ZERO,
        brake_probe: 4,
        silence: None,
        unschedule_return: Return::Auto,
        second_person: false,
        verdict_age: Duration::from_secs(300),
        boot_deadline: Duration::from_secs(2),
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
            off_deadline: Duration::from_millis(500),
            rounds: 0,
            _directory: directory,
        };
        for n in 1..=3 {
            bench.enrol(n).await;
        }
        bench
    }

    async fn enrol(&self, n: u8) {
        self.enrol_as(name(n.into()), n).await;
    }

    async fn enrol_as(&self, name: HostName, n: u8) {
        let host = NewHost {
            name,
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
        let redfish = |host: &str, system: &str| {
            let target = Target {
                url: self.world.server.url.replace("127.0.0.1", host).parse().unwrap(),
                system: Some(system.into()),
                system_uuid: None,
                username: "fence".into(),
                password: SecretSource::Inline(Secret::new("hunter2".into())),
                trust: Trust::System,
                timeout: Duration::from_secs(5),
            };
            Method::Redfish(Redfish::new(target).unwrap())
        };
        let mut methods = vec![redfish("127.0.0.1", "1")];
        if self.world.with(|state| state.second_bmc) {
            methods.push(redfish("localhost", "2"));
        }
        let fence = HostFence {
            methods: Methods::new(name(1), methods),
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
            off_deadline: self.off_deadline,
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
        let findings = if verdict == Verdict::Contraindicated {
            vec![finding(found)]
        } else {
            vec![]
        };
        self.round_with(daemon, host, verdict, findings).await
    }

    async fn round_with(
        &mut self,
        daemon: &Respond,
        host: &HostName,
        verdict: Verdict,
        findings: Vec<Finding>,
    ) -> Decision {
        let recording = self.recording(host, verdict, &findings).await;
        let lease = self.host_lease(host).await;
        let decision = daemon.on_round(&lease, recording).await.unwrap();
        self.store.release(lease).await.unwrap();
        decision
    }

    /// A round that was just judged, a second after the last one, with evidence of its own.
    async fn recording(&mut self, host: &HostName, verdict: Verdict, findings: &[Finding]) -> Recording {
        self.rounds += 1;
        self.clock.advance(Duration::from_secs(1));
        let now = self.clock.now();
        let evidence = self
            .store
            .put_evidence(&self.rounds.to_be_bytes(), now)
            .await
            .unwrap();
        let mut id = [0; 16];
        id[..4].copy_from_slice(&self.rounds.to_be_bytes());
        Recording {
            round: Round {
                id: RoundId::new(id),
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
        }
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
        let queued = self.store.notifications(99).await.unwrap();
        let mut kinds: Vec<String> = queued.into_iter().map(|(told, _)| told.kind).collect();
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
