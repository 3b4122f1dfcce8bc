//! What the tests of releases have in common. The verifier is a fake: it says what the test tells it, since what it says is
//! another room's proof; what follows from it is this room's.

use std::sync::Mutex;

use lazaret_attest::verdict::Verdict;

use super::*;
use crate::ids::{CaseId, CaseKind};
use crate::respond::attester::{Asked, Attester};
use crate::respond::release::{Attested, Item, ReleasePlan};
use crate::store::{AuditEntry, ItemState, NewCase, ReleaseItem};

/// Says this verdict, whoever is asked.
pub(super) struct Fake {
    clock: Arc<ManualClock>,
    verdict: Mutex<Verdict>,
    pub(super) policy: Mutex<Sha256Digest>,
    asked: Mutex<u8>,
    /// From this question on it says Contraindicated.
    pub(super) fails_from: Mutex<Option<u8>>,
    /// The policy is another one each time that it is looked at, so that no verdict lasts.
    pub(super) restless: Mutex<bool>,
}

impl Attester for Fake {
    fn attest<'a>(&'a self, _: &'a HostName) -> Asked<'a, Attested> {
        Box::pin(async move {
            let asked = {
                let mut asked = self.asked.lock().unwrap();
                *asked += 1;
                *asked
            };
            let round = RoundId::new([200 + asked % 50; 16]);
            let fails = self.fails_from.lock().unwrap().is_some_and(|from| asked >= from);
            Ok(Attested {
                round,
                verdict: if fails {
                    Verdict::Contraindicated
                } else {
                    *self.verdict.lock().unwrap()
                },
                at: self.clock.now(),
                policy: Some(*self.policy.lock().unwrap()),
                words: "a finding".to_owned(),
            })
        })
    }

    fn policy<'a>(&'a self, _: &'a HostName) -> Asked<'a, Sha256Digest> {
        Box::pin(async move {
            let mut policy = self.policy.lock().unwrap();
            if *self.restless.lock().unwrap() {
                policy.0[0] = policy.0[0].wrapping_add(1);
            }
            Ok(*policy)
        })
    }
}

impl Fake {
    pub(super) fn says(bench: &Bench, verdict: Verdict) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::clone(&bench.clock),
            verdict: Mutex::new(verdict),
            policy: Mutex::new(Sha256Digest([7; 32])),
            asked: Mutex::new(0),
            fails_from: Mutex::new(None),
            restless: Mutex::new(false),
        })
    }

    pub(super) fn now_says(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap() = verdict;
    }

    pub(super) fn asked(&self) -> u8 {
        *self.asked.lock().unwrap()
    }
}

pub(super) fn with(bench: &Bench, owner: &str, fake: &Arc<Fake>) -> Arc<Respond> {
    let daemon = Arc::into_inner(bench.daemon(owner)).unwrap();
    Arc::new(daemon.attesting(Arc::clone(fake) as Arc<dyn Attester>))
}

/// A quarantined host, whose quarantine is closed.
pub(super) async fn quarantined(bench: &mut Bench, daemon: &Arc<Respond>) -> Case {
    if bench.config.recovery == Recovery::Masakari {
        bench.world.with(|state| state.segment = Some(true));
    }
    bench.condemn(daemon, &name(1), "aa").await;
    let case = bench.settle(Arc::clone(daemon)).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    bench.world.with(|state| state.effects.clear());
    case
}

/// A host that is out, with whoever says this verdict when it is asked.
pub(super) async fn out(
    guests: u8,
    recovery: Recovery,
    verdict: Verdict,
) -> (Bench, Arc<Fake>, Arc<Respond>, Case) {
    let mut bench = Bench::new(guests, recovery).await;
    let fake = Fake::says(&bench, verdict);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    (bench, fake, daemon, quarantine)
}

/// Opens a release as the command line does.
pub(super) async fn ask(bench: &Bench, quarantine: &Case, second_person: bool) -> CaseId {
    ask_by(bench, quarantine, second_person, "cli:ann").await
}

/// The same, by somebody.
pub(super) async fn ask_by(bench: &Bench, quarantine: &Case, second_person: bool, who: &str) -> CaseId {
    let now = bench.clock.now();
    let items = vec![Item::new("message-bus", "its account")];
    let plan = ReleasePlan::make(quarantine, who, second_person, items, 0, now);
    let id = CaseId::new(CaseKind::Release, now, [7, 0, 1]);
    let case = NewCase {
        id: id.clone(),
        kind: CaseKind::Release,
        parent: Some(quarantine.id.clone()),
        host: quarantine.host.clone(),
        state: CaseState::Open,
        held_group: None,
        holds: None,
        not_before: now,
        mode: ResponseMode::Enforce,
        cause: "cli:ann asks for it back".into(),
        condemned_by: quarantine.condemned_by,
        confirmed_by: quarantine.confirmed_by,
        plan: json(&plan),
        steps: saga::steps(CaseKind::Release, true)
            .into_iter()
            .map(|step| step.as_str().to_owned())
            .collect(),
        instances: vec![],
        evidence: vec![],
    };
    bench.store.open_asked(&case, &entry(), now).await.unwrap();
    id
}

fn entry() -> AuditEntry {
    AuditEntry {
        who: "cli:ann".into(),
        what: "release".into(),
        subject: "cmp-1".into(),
        outcome: "asked for".into(),
    }
}

pub(super) async fn settle_item(bench: &Bench, case: &CaseId, item: &str, by: &str, state: ItemState) {
    let item = ReleaseItem {
        item: item.to_owned(),
        state,
        by: by.to_owned(),
        because: None,
        at: bench.clock.now(),
    };
    bench
        .store
        .settle_item(case, &item, &entry(), bench.clock.now())
        .await
        .unwrap();
}

pub(super) async fn settle_all(bench: &Bench, quarantine: &Case) {
    settle_item(bench, &quarantine.id, "message-bus", "cli:ann", ItemState::Ticked).await;
    settle_item(bench, &quarantine.id, "disk-copies", "cli:ann", ItemState::Waived).await;
}

/// Drives until the case is closed or waits for a person.
pub(super) async fn drive(bench: &Bench, daemon: &Arc<Respond>, id: &CaseId) -> Case {
    let stop = CancellationToken::new();
    let mut driving = tokio::task::JoinSet::new();
    driving.spawn(Arc::clone(daemon).drive(stop.clone(), Duration::from_secs(5)));
    let looking = async {
        loop {
            let case = bench.store.case(id).await.unwrap().unwrap();
            if case.state != CaseState::Open {
                return case;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            bench.clock.advance(Duration::from_millis(5));
        }
    };
    let Ok(case) = tokio::time::timeout(Duration::from_secs(60), looking).await else {
        panic!(
            "the release does not end: {:#?}",
            bench.store.steps(id).await.unwrap()
        );
    };
    stop.cancel();
    driving.join_next().await.unwrap().unwrap();
    case
}

/// A person lets a release that waits go on.
pub(super) async fn again(bench: &Bench, daemon: &Arc<Respond>, id: &CaseId) -> Case {
    let now = bench.clock.now();
    bench.store.approve(id, "cli:ann", now).await.unwrap();
    drive(bench, daemon, id).await
}

pub(super) async fn held_by(bench: &Bench) -> Option<CaseId> {
    bench.store.host(&name(1)).await.unwrap().unwrap().quarantined_by
}

pub(super) const GIVEN_BACK: [&str; 4] = ["on cmp-1", "raise cmp-1", "leave cmp-1", "enable cmp-1"];
