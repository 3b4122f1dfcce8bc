//! The response against a store of its own and a cloud that answers as it is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lazaret_attest::finding::{Code, Finding};
use lazaret_attest::verdict::Verdict;

use super::*;
use crate::clock::{ManualClock, Timestamp};
use crate::config::secret::{Secret, SecretSource};
use crate::config::{FenceTimes, ResponseMode};
use crate::ids::{CaseId, RoundId, Sha256Digest};
use crate::openstack::scripted::{Answer, Request, Server, answer};
use crate::openstack::{self, Connection, Credential};
use crate::respond::journal::json as document;
use crate::store::{Case, CaseFilter, Json, Lease, LeaseKind, NewHost, Purpose, Recording, Round};

pub(in crate::respond) const T0: i64 = 1_795_243_380_000;

/// One enrolled host, cmp-1, and its store.
pub(in crate::respond) struct World {
    _directory: tempfile::TempDir,
    pub(in crate::respond) store: Store,
    pub(in crate::respond) clock: Arc<ManualClock>,
    pub(in crate::respond) cloud: Arc<Cloud>,
}

pub(in crate::respond) fn host() -> HostName {
    "cmp-1".parse().unwrap()
}

/// Answers the login; the rest is the test's.
pub(in crate::respond) async fn cloud_that(
    script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> (Server, Arc<Cloud>) {
    let server = Server::start(move |request| match request.path.as_str() {
        "/v3/auth/tokens" => {
            let body = r#"{"token": {"user": {"id": "u", "name": "daemon", "domain": {"name": "Default"}},
                "project": {"id": "p", "name": "service"}, "roles": [{"name": "admin"}],
                "issued_at": "2026-11-21T06:53:49.000000Z", "expires_at": "2026-11-21T10:53:49.000000Z"}}"#;
            Answer::Http(
                201,
                vec![("X-Subject-Token", "token".to_owned())],
                body.to_owned(),
            )
        }
        "/v2.1/" => answer(200, r#"{"version": {"version": "2.93", "min_version": "2.1"}}"#),
        "/v1/" => answer(200, r#"{"version": {"version": "1.2", "min_version": "1.0"}}"#),
        _ => script(request),
    })
    .await;
    let connection = Connection {
        auth_url: server.url.parse().unwrap(),
        credential: Credential::Password {
            username: "daemon".into(),
            user_domain: "Default".into(),
            project: "service".into(),
            project_domain: "Default".into(),
            password: SecretSource::Inline(Secret::new("hunter2".into())),
        },
        region: None,
        interface: openstack::Interface::Public,
        ca_pem: None,
        timeout: Duration::from_secs(5),
        endpoints: openstack::Endpoints {
            compute: Some(format!("{}/v2.1", server.url).parse().unwrap()),
            instance_ha: Some(format!("{}/v1", server.url).parse().unwrap()),
            key_manager: None,
            ..crate::openstack::Endpoints::default()
        },
        page_size: None,
        limits: crate::openstack::RequestLimits {
            per_second: 10_000,
            in_flight: 100,
        },
    };
    (server, Arc::new(Cloud::connect(connection).unwrap()))
}

impl World {
    pub(in crate::respond) async fn new(cloud: Arc<Cloud>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("lazaret.db")).await.unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(T0)));
        let enrolled = NewHost {
            name: host(),
            agent_url: "https://cmp-1:7990".parse().unwrap(),
            policy: None,
            ak_public: vec![1],
            ak_name: vec![2],
            ek_public_digest: Sha256Digest([3; 32]),
            ek_certificate: None,
            ek_kind: "ecc-p256".into(),
            agent_key: Sha256Digest([4; 32]),
        };
        store.enrol(&enrolled, "test", false, clock.now()).await.unwrap();
        Self {
            _directory: directory,
            store,
            clock,
            cloud,
        }
    }

    pub(in crate::respond) fn respond(&self, mode: ResponseMode) -> Respond {
        let config = Response {
            mode,
            step_deadline: Duration::from_secs(60),
            step_attempts: 5,
            masakari_deadline: Duration::from_secs(600),
            evacuation_deadline: Duration::from_secs(600),
            ..super::tests::response()
        };
        let times = FenceTimes {
            off_polls: 3,
            off_poll_interval: Duration::from_secs(2),
            off_deadline: Duration::from_secs(120),
            heartbeat_silence: Duration::from_secs(25),
        };
        let (store, clock) = (self.store.clone(), Arc::clone(&self.clock) as Arc<dyn Clock>);
        let fencing = Fencing::new(BTreeMap::new(), &times);
        Respond::new(
            store,
            Some(Arc::clone(&self.cloud)),
            config,
            fencing,
            clock,
            "test/1".into(),
        )
    }

    /// One round with this verdict, given to the response.
    async fn round(&self, respond: &Respond, number: u8, verdict: Verdict, confirms: Option<u8>) -> Decision {
        let now = self.clock.now();
        let lease = self.lease(LeaseKind::Host(host())).await;
        let finding = Finding {
            gravity: verdict,
            ..Finding::new(*Code::ALL.first().unwrap(), "sha256:7")
        };
        let round = Round {
            id: RoundId::new([number; 16]),
            host: host(),
            purpose: if confirms.is_some() {
                Purpose::Confirmation
            } else {
                Purpose::Scheduled
            },
            confirms: confirms.map(|number| RoundId::new([number; 16])),
            started_at: now,
            finished_at: now,
            verdict,
            findings: document(&[finding]),
            claims: Json::empty(),
            timings: Json::empty(),
            evidence: None,
            policy: None,
        };
        let recording = Recording {
            round,
            history: None,
            answered: true,
            next_due: None,
            case: None,
            notifications: Vec::new(),
        };
        let decision = respond.on_round(&lease, recording).await.unwrap();
        self.store.release(lease).await.unwrap();
        decision
    }

    pub(in crate::respond) async fn lease(&self, kind: LeaseKind) -> Lease {
        let taken = self
            .store
            .lease(kind, "test/1", self.clock.now(), Duration::from_secs(60))
            .await;
        taken.unwrap().unwrap()
    }

    /// A case of cmp-1, opened in mode `enforce`.
    pub(in crate::respond) async fn case(&self) -> Case {
        let respond = self.respond(ResponseMode::Enforce);
        assert_eq!(
            self.round(&respond, 1, Verdict::Contraindicated, None).await,
            Decision::Confirm
        );
        self.clock.advance(Duration::from_secs(1));
        assert_eq!(
            self.round(&respond, 2, Verdict::Contraindicated, Some(1)).await,
            Decision::OpenCase
        );
        let mut cases = self.store.cases(&CaseFilter::default()).await.unwrap();
        assert_eq!(cases.len(), 1);
        cases.remove(0)
    }
}

#[tokio::test]
async fn a_case_of_mode_enforce_rests_when_the_mode_is_observe() {
    let (_server, cloud) = cloud_that(|_| answer(500, "")).await;
    let world = World::new(cloud).await;
    let case = world.case().await;
    assert_eq!(
        world.respond(ResponseMode::Observe).due().await.unwrap(),
        Vec::<CaseId>::new()
    );
    assert_eq!(
        world.respond(ResponseMode::Enforce).due().await.unwrap(),
        [case.id]
    );
}

#[tokio::test]
async fn a_round_from_a_clock_that_was_ahead_confirms_nothing_and_hides_nothing() {
    let (_server, cloud) = cloud_that(|_| answer(500, "")).await;
    let world = World::new(cloud).await;
    let respond = world.respond(ResponseMode::Enforce);
    // A day ahead, and long enough to fill the history that is looked at.
    world.clock.advance(Duration::from_secs(86_400));
    for number in 10..30 {
        world.clock.advance(Duration::from_secs(1));
        world.round(&respond, number, Verdict::Indeterminate, None).await;
    }
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        world.round(&respond, 30, Verdict::Contraindicated, None).await,
        Decision::Confirm
    );
    world.clock.set(Timestamp::from_millis(T0));
    assert_eq!(
        world.round(&respond, 31, Verdict::Contraindicated, None).await,
        Decision::Confirm
    );
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        world
            .round(&respond, 32, Verdict::Contraindicated, Some(31))
            .await,
        Decision::OpenCase
    );
}

#[tokio::test]
async fn an_inventory_that_was_read_long_ago_is_read_anew() {
    let (_server, cloud) = cloud_that(|_| answer(500, "")).await;
    let world = World::new(cloud).await;
    let respond = world.respond(ResponseMode::Enforce);
    let read = || Inventory {
        host: host(),
        services: Default::default(),
        aggregates: Vec::new(),
        instances: Vec::new(),
        migrations: Vec::new(),
        masakari: Masakari::Absent,
        capacity: crate::respond::Known::NotKnown(String::new()),
        groups: crate::respond::Known::NotKnown(String::new()),
        keys: Default::default(),
        leaves_off: crate::respond::Known::Known(true),
    };
    for (age, usable) in [(5, true), (600, false)] {
        let since = tokio::time::Instant::now()
            .checked_sub(Duration::from_secs(age))
            .unwrap();
        let inventory = read();
        let reading = tokio::spawn(async move { Ok(inventory) });
        respond
            .ahead
            .lock()
            .await
            .insert(host(), Ahead { since, reading });
        assert_eq!(respond.inventory_soon(&host()).await.is_ok(), usable, "{age} s");
    }
}
