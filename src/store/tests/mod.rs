//! The store over real files: several pools and several processes at once, killed, out of room, and edited by hand.

pub(crate) mod broken;
mod cases;
mod deliveries;
mod files;
mod hosts;
mod leases;
mod pauses;
mod policies;
mod schema;
mod trails;

use std::path::PathBuf;
use std::time::Duration;

use lazaret_attest::verdict::Verdict;
use tempfile::TempDir;

use super::*;
use crate::clock::Timestamp;
use crate::config::ResponseMode;
use crate::ids::{CaseId, CaseKind, HostName, InstanceId, RoundId, Sha256Digest};

const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);

/// A database in a directory of its own.
struct Scratch {
    _directory: TempDir,
    path: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lazaret.db");
        Self {
            _directory: directory,
            path,
        }
    }

    async fn open(&self) -> Store {
        Store::open(&self.path).await.unwrap()
    }
}

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn new_host(name: &str) -> NewHost {
    NewHost {
        name: host(name),
        agent_url: format!("https://{name}:7990").parse().unwrap(),
        policy: None,
        ak_public: format!("ak of {name}").into_bytes(),
        ak_name: Sha256Digest::of(name.as_bytes()).0.to_vec(),
        ek_public_digest: Sha256Digest::of(format!("ek of {name}").as_bytes()),
        ek_certificate: Some(vec![0x30, 0x82]),
        ek_kind: "ecc-p256".to_owned(),
        agent_key: Sha256Digest::of(format!("tls of {name}").as_bytes()),
    }
}

async fn enrolled(store: &Store, name: &str) -> HostName {
    store.enrol(&new_host(name), "root", false, NOW).await.unwrap();
    host(name)
}

async fn host_lease(store: &Store, name: &HostName, now: Timestamp) -> Lease {
    store
        .lease(LeaseKind::Host(name.clone()), "me", now, MINUTE)
        .await
        .unwrap()
        .unwrap()
}

async fn case_lease(store: &Store, case: &CaseId, now: Timestamp) -> Lease {
    store
        .lease(LeaseKind::Case(case.clone()), "me", now, MINUTE)
        .await
        .unwrap()
        .unwrap()
}

fn round(name: &HostName, id: u8, verdict: Verdict) -> Round {
    Round {
        id: RoundId::new([id; 16]),
        host: name.clone(),
        purpose: Purpose::Scheduled,
        confirms: None,
        started_at: NOW,
        finished_at: NOW.plus(Duration::from_secs(id.into())),
        verdict,
        findings: Json::of(&["pcr-mismatch"]).unwrap(),
        claims: Json::empty(),
        timings: Json::empty(),
        evidence: None,
        policy: None,
    }
}

fn recording(round: Round) -> Recording {
    Recording {
        round,
        history: None,
        answered: true,
        next_due: None,
        case: None,
        notifications: Vec::new(),
    }
}

fn new_case(name: &HostName, random: u8, confirmed_by: RoundId) -> NewCase {
    NewCase {
        id: CaseId::new(CaseKind::Quarantine, NOW, [random; 3]),
        kind: CaseKind::Quarantine,
        parent: None,
        held_group: None,
        holds: None,
        not_before: NOW,
        host: name.clone(),
        state: CaseState::Open,
        mode: ResponseMode::Enforce,
        cause: "PCR 7 is outside the golden values".to_owned(),
        condemned_by: confirmed_by,
        confirmed_by,
        plan: Json::of(&["disable", "fence"]).unwrap(),
        steps: vec!["disable".to_owned(), "fence".to_owned()],
        instances: vec![instance(name, 1)],
        evidence: Vec::new(),
    }
}

fn instance(source: &HostName, id: u8) -> CaseInstance {
    CaseInstance {
        id: InstanceId(uuid::Uuid::from_bytes([id; 16])),
        name: format!("vm-{id}"),
        project: "shop".to_owned(),
        info: Json::empty(),
        source: source.clone(),
        destination: None,
        fate: "evacuate".to_owned(),
        state: "planned".to_owned(),
        migration: None,
        detail: None,
    }
}

/// Enrols a host, condemns it, and opens a case.
async fn opened(store: &Store, name: &str, random: u8) -> CaseId {
    let name = enrolled(store, name).await;
    let mut recording = recording(round(&name, random, Verdict::Contraindicated));
    let case = new_case(&name, random, recording.round.id);
    let id = case.id.clone();
    recording.case = Some(case);
    let lease = host_lease(store, &name, NOW).await;
    store.record(&lease, &recording, NOW).await.unwrap();
    store.release(lease).await.unwrap();
    id
}

fn notification(key: &str) -> NewNotification {
    NewNotification {
        key: key.to_owned(),
        kind: "case-opened".to_owned(),
        payload: Json::empty(),
        quiet: None,
    }
}
