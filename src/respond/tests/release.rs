//! Hosts that are given back. The verifier is a fake: it says what the test tells it, since what it says is another room's
//! proof; what follows from it is this room's.

use std::sync::Mutex;

use lazaret_attest::verdict::Verdict;

use super::*;
use crate::ids::{CaseId, CaseKind};
use crate::respond::attester::{Asked, Attester};
use crate::respond::release::{Attested, Item, ReleasePlan, SECOND_PERSON};
use crate::store::{AuditEntry, ItemState, NewCase, ReleaseItem, StepState};

/// Says this verdict, whoever is asked.
struct Fake {
    clock: Arc<ManualClock>,
    verdict: Mutex<Verdict>,
    policy: Mutex<Sha256Digest>,
    asked: Mutex<u8>,
}

impl Attester for Fake {
    fn attest<'a>(&'a self, _: &'a HostName) -> Asked<'a, Attested> {
        Box::pin(async move {
            let round = {
                let mut asked = self.asked.lock().unwrap();
                *asked += 1;
                RoundId::new([200 + *asked % 50; 16])
            };
            Ok(Attested {
                round,
                verdict: *self.verdict.lock().unwrap(),
                at: self.clock.now(),
                policy: Some(*self.policy.lock().unwrap()),
                words: "a finding".to_owned(),
            })
        })
    }

    fn policy<'a>(&'a self, _: &'a HostName) -> Asked<'a, Sha256Digest> {
        Box::pin(async move { Ok(*self.policy.lock().unwrap()) })
    }
}

impl Fake {
    fn says(bench: &Bench, verdict: Verdict) -> Arc<Self> {
        Arc::new(Self {
            clock: Arc::clone(&bench.clock),
            verdict: Mutex::new(verdict),
            policy: Mutex::new(Sha256Digest([7; 32])),
            asked: Mutex::new(0),
        })
    }

    fn now_says(&self, verdict: Verdict) {
        *self.verdict.lock().unwrap() = verdict;
    }

    fn asked(&self) -> u8 {
        *self.asked.lock().unwrap()
    }
}

fn with(bench: &Bench, owner: &str, fake: &Arc<Fake>) -> Arc<Respond> {
    let daemon = Arc::into_inner(bench.daemon(owner)).unwrap();
    Arc::new(daemon.attesting(Arc::clone(fake) as Arc<dyn Attester>))
}

/// A quarantined host, whose quarantine is closed.
async fn quarantined(bench: &mut Bench, daemon: &Arc<Respond>) -> Case {
    if bench.config.recovery == Recovery::Masakari {
        bench.world.with(|state| state.segment = Some(true));
    }
    bench.condemn(daemon, &name(1), "aa").await;
    let case = bench.settle(Arc::clone(daemon)).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    bench.world.with(|state| state.effects.clear());
    case
}

/// Opens a release as the command line does.
async fn ask(bench: &Bench, quarantine: &Case, second_person: bool) -> CaseId {
    let now = bench.clock.now();
    let items = vec![Item::new("message-bus", "its account")];
    let plan = ReleasePlan::make(quarantine, "cli:ann", second_person, items, 0, now);
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

async fn settle_item(bench: &Bench, case: &CaseId, item: &str, by: &str, state: ItemState) {
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

async fn settle_all(bench: &Bench, quarantine: &Case) {
    settle_item(bench, &quarantine.id, "message-bus", "cli:ann", ItemState::Ticked).await;
    settle_item(bench, &quarantine.id, "disk-copies", "cli:ann", ItemState::Waived).await;
}

/// Drives until the case is closed or waits for a person.
async fn drive(bench: &Bench, daemon: &Arc<Respond>, id: &CaseId) -> Case {
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

async fn held_by(bench: &Bench) -> Option<CaseId> {
    bench.store.host(&name(1)).await.unwrap().unwrap().quarantined_by
}

const GIVEN_BACK: [&str; 4] = ["on cmp-1", "raise cmp-1", "leave cmp-1", "enable cmp-1"];

#[tokio::test]
async fn case_44_a_host_is_given_back_in_order_after_a_fresh_verdict() {
    for recovery in [Recovery::Nova, Recovery::Masakari] {
        let mut bench = Bench::new(2, recovery).await;
        let fake = Fake::says(&bench, Verdict::Affirming);
        let daemon = with(&bench, "a", &fake);
        let quarantine = quarantined(&mut bench, &daemon).await;
        settle_all(&bench, &quarantine).await;
        let id = ask(&bench, &quarantine, false).await;
        let case = drive(&bench, &daemon, &id).await;
        assert!(
            matches!(&case.state, CaseState::Closed { reason } if reason.contains("given back")),
            "{case:?}"
        );
        let mut effects = bench.effects();
        if recovery == Recovery::Masakari {
            let place = effects.iter().position(|effect| effect == "no maintenance cmp-1");
            assert_eq!(place, Some(3), "{effects:?}");
            effects.remove(3);
        }
        assert_eq!(effects, GIVEN_BACK);
        assert_eq!(held_by(&bench).await, None);
        assert_eq!(fake.asked(), 1, "one verdict is enough while it is fresh");
        assert!(bench.kinds().await.contains(&"case-released".to_owned()));
    }
}

/// Ironic is a fake here: the lab has none.
#[tokio::test]
async fn case_21_ironic_is_told_before_the_power_goes_off_and_again_at_the_release() {
    for (theirs, broken) in [(false, false), (true, false), (false, true)] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        let node = uuid::Uuid::from_u128(7);
        bench.config.ironic_nodes.insert(name(1), node);
        bench.world.with(|state| {
            state.ironic = theirs.then(|| "a new disk".to_owned());
            if broken {
                state.faults.push(("PUT /baremetal", 99, How::Status(500, "{}")));
            }
        });
        let fake = Fake::says(&bench, Verdict::Affirming);
        let daemon = with(&bench, "a", &fake);
        bench.condemn(&daemon, &name(1), "aa").await;
        let quarantine = bench.settle(Arc::clone(&daemon)).await;
        assert!(
            matches!(quarantine.state, CaseState::Closed { .. }),
            "{quarantine:?}"
        );
        let of_power = |effect: &String| effect.starts_with("ironic") || effect.starts_with("off");
        let effects: Vec<String> = bench.effects().into_iter().filter(of_power).collect();
        if theirs || broken {
            assert_eq!(effects, ["off cmp-1"]);
        } else {
            assert_eq!(effects, ["ironic put", "off cmp-1"]);
        }
        let journal = bench.store.journal_of(&quarantine.id).await.unwrap();
        let told = journal
            .iter()
            .any(|entry| entry.detail.as_str().contains("not under maintenance"));
        assert_eq!(told, broken);
        bench.world.with(|state| state.effects.clear());
        settle_all(&bench, &quarantine).await;
        let id = ask(&bench, &quarantine, false).await;
        let case = drive(&bench, &daemon, &id).await;
        assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
        // What another one set for another reason stays.
        let ended = bench.effects().contains(&"ironic delete".to_owned());
        assert_eq!(ended, !theirs && !broken);
        assert_eq!(bench.world.with(|state| state.ironic.is_some()), theirs);
    }
}

#[tokio::test]
async fn case_44_without_an_affirming_verdict_nothing_is_taken_back() {
    for verdict in [Verdict::Warning, Verdict::Contraindicated, Verdict::Indeterminate] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        bench.config.boot_deadline = Duration::from_millis(50);
        let fake = Fake::says(&bench, verdict);
        let daemon = with(&bench, "a", &fake);
        let quarantine = quarantined(&mut bench, &daemon).await;
        settle_all(&bench, &quarantine).await;
        let id = ask(&bench, &quarantine, false).await;
        let case = drive(&bench, &daemon, &id).await;
        assert!(
            matches!(&case.state, CaseState::Held { reason } if reason.contains("nothing was taken back")),
            "{case:?}"
        );
        assert_eq!(bench.effects(), ["on cmp-1"], "{verdict}");
        assert_eq!(held_by(&bench).await, Some(quarantine.id.clone()));
        let journal = bench.store.journal_of(&id).await.unwrap();
        assert_eq!(Attested::newest(&journal).unwrap().verdict, verdict);
        // It is as it should be now, and a person asks again.
        fake.now_says(Verdict::Affirming);
        bench
            .store
            .approve(&id, "cli:ann", bench.clock.now())
            .await
            .unwrap();
        drive(&bench, &daemon, &id).await;
        assert_eq!(bench.effects(), GIVEN_BACK);
    }
}

#[tokio::test]
async fn nothing_is_booted_before_what_the_host_knew_is_ticked_or_waived_and_a_second_person_agreed() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    let id = ask(&bench, &quarantine, true).await;
    let again = || bench.store.approve(&id, "cli:ann", bench.clock.now());
    let case = drive(&bench, &daemon, &id).await;
    assert!(
        matches!(&case.state, CaseState::Held { reason } if reason.contains("message-bus, disk-copies")),
        "{case:?}"
    );
    settle_item(
        &bench,
        &quarantine.id,
        "message-bus",
        "cli:ann",
        ItemState::Ticked,
    )
    .await;
    again().await.unwrap();
    let case = drive(&bench, &daemon, &id).await;
    assert!(
        matches!(&case.state, CaseState::Held { reason } if reason.contains("disk-copies") && !reason.contains("bus")),
        "{case:?}"
    );
    settle_all(&bench, &quarantine).await;
    // Who asked is no second person.
    settle_item(&bench, &id, SECOND_PERSON, "cli:ann", ItemState::Ticked).await;
    again().await.unwrap();
    let case = drive(&bench, &daemon, &id).await;
    assert!(
        matches!(&case.state, CaseState::Held { reason } if reason.contains("another person")),
        "{case:?}"
    );
    assert_eq!(bench.effects(), Vec::<String>::new());
    settle_item(&bench, &id, SECOND_PERSON, "cli:bob", ItemState::Ticked).await;
    again().await.unwrap();
    drive(&bench, &daemon, &id).await;
    assert_eq!(bench.effects(), GIVEN_BACK);
}

/// Its nova-compute has to have started while nova took it for down.
#[tokio::test]
async fn forced_down_stays_while_evacuations_are_not_completed() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.config.boot_deadline = Duration::from_millis(100);
    bench.world.with(|state| state.lazy = true);
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    settle_all(&bench, &quarantine).await;
    let id = ask(&bench, &quarantine, false).await;
    let case = drive(&bench, &daemon, &id).await;
    assert!(
        matches!(&case.state, CaseState::Stuck { reason } if reason.contains("restart nova-compute")),
        "{case:?}"
    );
    assert_eq!(bench.effects(), ["on cmp-1"]);
    assert!(bench.world.with(|state| state.services["cmp-1"].2));
    bench.world.with(|state| {
        for guest in state.guests.values_mut() {
            guest.moves.clear();
        }
    });
    bench
        .store
        .approve(&id, "cli:ann", bench.clock.now())
        .await
        .unwrap();
    drive(&bench, &daemon, &id).await;
    assert_eq!(bench.effects(), GIVEN_BACK);
}

/// It waited for a person in between: an old verdict, or one by another policy, takes nothing back.
#[tokio::test]
async fn a_verdict_that_went_stale_is_made_anew_before_anything_more_is_taken_back() {
    for policy_changed in [false, true] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        let fake = Fake::says(&bench, Verdict::Affirming);
        let daemon = with(&bench, "a", &fake);
        let quarantine = quarantined(&mut bench, &daemon).await;
        settle_all(&bench, &quarantine).await;
        bench
            .world
            .with(|state| state.faults = vec![("POST /v2.1/os-aggregates", 99, How::Status(403, "{}"))]);
        let id = ask(&bench, &quarantine, false).await;
        let case = drive(&bench, &daemon, &id).await;
        assert!(matches!(&case.state, CaseState::Stuck { .. }), "{case:?}");
        bench.world.with(|state| state.faults.clear());
        if policy_changed {
            *fake.policy.lock().unwrap() = Sha256Digest([8; 32]);
        } else {
            bench.clock.advance(Duration::from_secs(301));
        }
        fake.now_says(Verdict::Contraindicated);
        bench
            .store
            .approve(&id, "cli:ann", bench.clock.now())
            .await
            .unwrap();
        let case = drive(&bench, &daemon, &id).await;
        assert!(
            matches!(&case.state, CaseState::Held { reason } if reason.contains("stays out")),
            "{case:?}"
        );
        assert_eq!(bench.effects(), ["on cmp-1", "raise cmp-1"]);
        assert!(held_by(&bench).await.is_some());
        assert_eq!(fake.asked(), 2);
    }
}

/// A release that waits is held to what it has not taken back; one whose host fails again is refused, and the host is out
/// as before.
#[tokio::test]
async fn a_host_that_fails_again_in_between_goes_back_under_hold_down() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let fake = Fake::says(&bench, Verdict::Warning);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    settle_all(&bench, &quarantine).await;
    let id = ask(&bench, &quarantine, false).await;
    drive(&bench, &daemon, &id).await;
    let (cloud, stop) = (bench.world.cloud(), CancellationToken::new());
    let look = || daemon.look_again(&cloud, &quarantine.id, None, &stop);
    // On, but nothing else is allowed.
    bench
        .world
        .with(|state| state.services.get_mut("cmp-1").unwrap().0 = true);
    look().await.unwrap();
    assert_eq!(bench.effects(), ["on cmp-1", "disable cmp-1"]);
    bench.clock.advance(Duration::from_secs(1));
    bench
        .round(&daemon, &name(1), Verdict::Contraindicated, "bb")
        .await;
    look().await.unwrap();
    let case = bench.store.case(&id).await.unwrap().unwrap();
    assert!(
        matches!(&case.state, CaseState::Closed { reason } if reason.contains("refused")),
        "{case:?}"
    );
    assert_eq!(bench.effects(), ["on cmp-1", "disable cmp-1", "off cmp-1"]);
    assert_eq!(held_by(&bench).await, Some(quarantine.id));
}

/// While a release is carried out nobody looks at the host, and the other way round.
#[tokio::test]
async fn a_release_and_the_hold_down_exclude_each_other() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    settle_all(&bench, &quarantine).await;
    let looking = bench
        .store
        .lease(
            LeaseKind::Case(quarantine.id.clone()),
            "b",
            bench.clock.now(),
            Duration::from_secs(60),
        )
        .await
        .unwrap();
    let id = ask(&bench, &quarantine, false).await;
    let (stop, ended) = (CancellationToken::new(), Duration::from_secs(5));
    let driving = tokio::spawn(Arc::clone(&daemon).drive(stop.clone(), ended));
    let begun = || async {
        let steps = bench.store.steps(&id).await.unwrap();
        steps.iter().any(|step| step.state != StepState::Pending)
    };
    let quiet = tokio::time::timeout(Duration::from_millis(300), async {
        while !begun().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(
        quiet.await.is_err(),
        "the release began while somebody looked at the host"
    );
    stop.cancel();
    driving.await.unwrap();
    bench.store.release(looking.unwrap()).await.unwrap();
    drive(&bench, &daemon, &id).await;
    assert_eq!(bench.effects(), GIVEN_BACK);
}

#[tokio::test]
async fn what_was_so_before_the_quarantine_is_so_again() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.world.with(|state| {
        state
            .services
            .insert("cmp-1".into(), (false, Some("broken fan".into()), false));
        state
            .aggregates
            .insert("gpu".into(), (9, None, vec!["cmp-1".into()]));
    });
    bench.config.keep_hosts = 0;
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    bench
        .world
        .with(|state| state.aggregates.get_mut("gpu").unwrap().2.clear());
    settle_all(&bench, &quarantine).await;
    let id = ask(&bench, &quarantine, false).await;
    let case = drive(&bench, &daemon, &id).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    bench.world.with(|state| {
        assert_eq!(state.services["cmp-1"], (false, Some("broken fan".into()), false));
        assert_eq!(state.aggregates["gpu"].2, ["cmp-1"]);
        assert!(state.aggregates["lazaret-quarantine"].2.is_empty());
    });
    assert_eq!(held_by(&bench).await, None);
}

#[tokio::test]
async fn every_step_of_a_release_done_twice_has_the_effect_of_one() {
    let mut bench = Bench::new(1, Recovery::Masakari).await;
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    settle_all(&bench, &quarantine).await;
    let id = ask(&bench, &quarantine, false).await;
    let case = bench.store.case(&id).await.unwrap().unwrap();
    let (kind, minutes) = (LeaseKind::Case(id.clone()), Duration::from_secs(600));
    let lease = bench
        .store
        .lease(kind, "a", bench.clock.now(), minutes)
        .await
        .unwrap()
        .unwrap();
    let cloud = bench.world.cloud();
    for step in saga::steps(CaseKind::Release, true) {
        let mut acted = Vec::new();
        for time in 1..=2 {
            let says = journal::Entry::says("x").json();
            bench
                .store
                .begin_step(&lease, step.as_str(), &says, bench.clock.now())
                .await
                .unwrap();
            let proof = Mutex::new(None);
            let journal = bench.store.journal_of(&id).await.unwrap();
            let context = steps::Context::new(&daemon, &cloud, &case, &journal, &lease, &proof, step);
            let outcome = steps::ensure(step, &context).await.unwrap();
            assert!(
                matches!(outcome, saga::Outcome::Done(_) | saga::Outcome::Skipped(_)),
                "{step}, time {time}: {outcome:?}"
            );
            bench
                .store
                .end_step(
                    &lease,
                    step.as_str(),
                    StepState::Done,
                    None,
                    &says,
                    bench.clock.now(),
                )
                .await
                .unwrap();
            acted.push(bench.effects().len());
        }
        assert_eq!(acted[0], acted[1], "{step} acted twice: {:?}", bench.effects());
    }
}

/// The daemon ends at every single request of a release; another one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_may_be_cut_off_at_any_request() {
    let mut cuts = 0;
    for nth in 1.. {
        let mut bench = Bench::new(1, Recovery::Masakari).await;
        let fake = Fake::says(&bench, Verdict::Affirming);
        let first = with(&bench, "first", &fake);
        let quarantine = quarantined(&mut bench, &first).await;
        settle_all(&bench, &quarantine).await;
        let id = ask(&bench, &quarantine, false).await;
        bench.world.cut_at(nth);
        let cut = Arc::clone(&bench.world.cut);
        let ended = tokio::select! {
            () = cut.notified() => false,
            _ = drive(&bench, &first, &id) => true,
        };
        drop(first);
        if !ended {
            cuts += 1;
            bench.clock.advance(Duration::from_secs(61));
            let second = with(&bench, "second", &fake);
            let case = drive(&bench, &second, &id).await;
            assert!(
                matches!(case.state, CaseState::Closed { .. }),
                "cut at {nth}: {case:?}"
            );
        }
        let mut effects = bench.effects();
        effects.retain(|effect| effect != "no maintenance cmp-1");
        assert_eq!(effects, GIVEN_BACK, "cut at {nth}");
        assert_eq!(held_by(&bench).await, None);
        if ended {
            break;
        }
    }
    assert!(cuts > 20, "cut off at {cuts} requests only");
}
