//! A database that was restored from a copy of before, or lost its last writes whole: nova shows a quarantine of which it
//! knows no case.

use super::*;
use crate::openstack::Next;
use crate::respond::orphans::kind_of;
use crate::respond::steps::Trouble;

/// The file as it was before the case: what a failover leaves. The clock and the world go on.
async fn fails_over(bench: &mut Bench) {
    let directory = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    bench.store = Store::open(&directory.path().join("lazaret.db")).await.unwrap();
    bench._directory = directory;
    for n in 1..=3 {
        bench.enrol(n).await;
    }
}

/// A host is quarantined to the end, and the database loses all of it.
async fn lost(guests: u8) -> (Bench, Case) {
    let mut bench = Bench::new(guests, Recovery::Nova).await;
    let daemon = bench.daemon("before");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    bench.world.with(|state| state.effects.clear());
    fails_over(&mut bench).await;
    (bench, case)
}

/// One look of a daemon; how often people were told of such a host so far.
async fn look(bench: &Bench, daemon: &Respond) -> usize {
    // Each at a time of its own: what is told again would be another event.
    bench.clock.advance(Duration::from_secs(3600));
    daemon.look_for_orphans(&bench.world.cloud()).await.unwrap();
    told(bench).await
}

async fn told(bench: &Bench) -> usize {
    let kinds = bench.kinds().await;
    kinds.iter().filter(|kind| *kind == "host-orphaned").count()
}

async fn listed(bench: &Bench) -> Vec<HostName> {
    let orphans = bench.store.orphans().await.unwrap();
    orphans.into_iter().map(|orphan| orphan.host).collect()
}

#[tokio::test]
async fn case_25_a_case_that_the_database_lost_is_told_once_and_nothing_is_done_about_it() {
    let (bench, case) = lost(1).await;
    let (a, b) = (bench.daemon("a"), bench.daemon("b"));
    // Two daemons at once, and again: told once.
    let cloud = bench.world.cloud();
    let (first, second) = tokio::join!(a.look_for_orphans(&cloud), b.look_for_orphans(&cloud));
    first.unwrap();
    second.unwrap();
    assert_eq!(look(&bench, &a).await, 1);
    assert_eq!(listed(&bench).await, [name(1)]);
    let orphan = bench.store.orphans().await.unwrap().pop().unwrap();
    assert!(
        orphan.words.contains(case.id.as_str()) && orphan.words.contains("forced down"),
        "{}",
        orphan.words
    );
    // The hold-down and the driver do nothing to it either.
    assert_eq!(b.due().await.unwrap(), []);
    // It changes: told again, once.
    bench.clock.advance(Duration::from_secs(3600));
    bench
        .world
        .with(|state| state.services.get_mut("cmp-1").unwrap().2 = false);
    assert_eq!(look(&bench, &b).await, 2);
    assert_eq!(look(&bench, &a).await, 2);
    // A person clears it by hand; and should it come again, it is told again.
    let before = bench.world.with(|state| {
        state.aggregates.get_mut("lazaret-quarantine").unwrap().2.clear();
        state
            .services
            .insert("cmp-1".into(), (true, None, false))
            .unwrap()
    });
    assert_eq!(look(&bench, &a).await, 2);
    assert_eq!(listed(&bench).await, []);
    bench
        .world
        .with(|state| state.services.insert("cmp-1".into(), before));
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(look(&bench, &a).await, 3);
    assert_eq!(bench.effects(), Vec::<String>::new());
    assert_eq!(bench.store.cases(&CaseFilter::default()).await.unwrap(), []);
}

/// Half an answer clears nothing, and tells nothing.
#[tokio::test]
async fn case_25_39_what_nova_does_not_know_of_a_lost_host_changes_nothing() {
    const UNKNOWN: &str = r#"{"services": [
        {"binary": "nova-compute", "host": "cmp-1", "status": "UNKNOWN"},
        {"binary": "nova-compute", "host": "cmp-3", "status": "UNKNOWN"}]}"#;
    let (bench, _) = lost(1).await;
    let daemon = bench.daemon("a");
    assert_eq!(look(&bench, &daemon).await, 1);
    // Neither is a host of the aggregate an orphan whose cell is down.
    bench.world.with(|state| {
        let hosts = &mut state.aggregates.get_mut("lazaret-quarantine").unwrap().2;
        hosts.push("cmp-3".into());
        state.faults = vec![("GET /v2.1/os-services", 1, How::Status(200, UNKNOWN))];
    });
    assert_eq!(look(&bench, &daemon).await, 1);
    assert_eq!(listed(&bench).await, [name(1)]);
    for path in ["GET /v2.1/os-services", "GET /v2.1/os-aggregates"] {
        bench
            .world
            .with(|state| state.faults = vec![(path, 9, How::Status(503, "{}"))]);
        let looked = daemon.look_for_orphans(&bench.world.cloud()).await;
        assert!(
            matches!(&looked, Err(Trouble::Cloud(error)) if error.next() == Next::Again),
            "{looked:?}"
        );
        assert_eq!(listed(&bench).await, [name(1)]);
    }
}

/// The case is known again as soon as a person says so: it is held down, and the release gives it back.
#[tokio::test]
async fn case_25_a_host_whose_case_was_lost_is_adopted_held_down_and_given_back() {
    let (bench, case) = lost(1).await;
    let fake = super::giving_back::Fake::says(&bench, Verdict::Affirming);
    let daemon = super::giving_back::with(&bench, "a", &fake);
    look(&bench, &daemon).await;
    let adopted = daemon
        .adopt(&name(1), "cli:ann", "the database was restored")
        .await
        .unwrap();
    // Under the name that nova shows.
    assert_eq!((&adopted.case, adopted.closed), (&case.id, true), "{adopted:?}");
    assert_eq!(bench.effects(), Vec::<String>::new(), "adopting touches nothing");
    assert_eq!(listed(&bench).await, []);
    look(&bench, &daemon).await;
    assert_eq!(listed(&bench).await, []);
    let again = daemon.adopt(&name(1), "cli:ann", "once more").await;
    assert!(matches!(again, Err(NotAdopted::HasCase(_))), "{again:?}");

    // Held down.
    bench.world.with(|state| state.off = false);
    let stop = CancellationToken::new();
    let cloud = bench.world.cloud();
    daemon.look_again(&cloud, &case.id, None, &stop).await.unwrap();
    assert_eq!(bench.effects(), ["off cmp-1"]);
    bench.world.with(|state| state.effects.clear());

    // Given back, as one that was enabled before: the reason was our own. What only the lost journal knew is asked about.
    bench.world.with(|state| {
        state.restore_policy = Some("AlwaysOff".into());
        (state.segment, state.on_maintenance) = (Some(true), true);
    });
    let quarantine = bench.store.case(&case.id).await.unwrap().unwrap();
    super::giving_back::settle_all(&bench, &quarantine).await;
    let id = super::giving_back::ask(&bench, &quarantine, false).await;
    let waits = super::giving_back::drive(&bench, &daemon, &id).await;
    assert!(
        matches!(&waits.state, CaseState::Held { reason } if reason.contains("lost-journal")),
        "{waits:?}"
    );
    let ticked = crate::store::ItemState::Ticked;
    super::giving_back::settle_item(&bench, &case.id, "lost-journal", "cli:ann", ticked).await;
    let released = super::giving_back::again(&bench, &daemon, &id).await;
    let journal = bench.store.journal_of(&id).await.unwrap();
    for said in [
        "IS AlwaysOff, and what it was is not known",
        "UNDER MAINTENANCE, and",
    ] {
        let said = |entry: &crate::store::JournalEntry| entry.detail.as_str().contains(said);
        assert!(journal.iter().any(said), "{journal:?}");
    }
    let told = matches!(&released.state, CaseState::Closed { reason } if reason.contains("NOT given back. Look at it by hand"));
    assert!(told, "{released:?}");
    assert!(
        matches!(&released.state, CaseState::Closed { reason } if reason.contains("given back")),
        "{released:?}"
    );
    assert_eq!(
        bench.effects(),
        ["on cmp-1", "raise cmp-1", "leave cmp-1", "enable cmp-1"]
    );
    let trail = bench.store.latest_audit(9).await.unwrap();
    assert!(
        trail.iter().any(|record| record.entry.what == "adopt"),
        "{trail:?}"
    );
}

/// The daemon was at work when the database went: what is not seen to be done waits for a person.
#[tokio::test]
async fn case_25_a_quarantine_that_was_lost_half_way_is_adopted_as_held_and_carried_to_its_end() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("before");
    bench.condemn(&daemon, &name(1), "aa").await;
    // The BMC does not do it: stuck at the fence.
    bench
        .world
        .with(|state| state.faults = vec![("POST /redfish", 99, How::Status(500, "{}"))]);
    let stuck = bench.settle(daemon).await;
    assert!(matches!(stuck.state, CaseState::Stuck { .. }), "{stuck:?}");
    bench.world.with(|state| {
        state.faults.clear();
        state.effects.clear();
    });
    fails_over(&mut bench).await;
    let daemon = bench.daemon("a");
    assert_eq!(look(&bench, &daemon).await, 1);
    let adopted = daemon.adopt(&name(1), "cli:ann", "restored").await.unwrap();
    assert!(!adopted.closed, "{adopted:?}");
    let case = bench.case().await;
    assert!(
        matches!(&case.state, CaseState::Held { reason } if reason.contains("lazaret quarantine approve")),
        "{case:?}"
    );
    assert_eq!(daemon.due().await.unwrap(), []);
    // What was done is held down already.
    bench.world.with(|state| {
        let service = state.services.get_mut("cmp-1").unwrap();
        (service.0, service.1) = (true, None);
    });
    let (stop, cloud) = (CancellationToken::new(), bench.world.cloud());
    daemon.look_again(&cloud, &case.id, None, &stop).await.unwrap();
    assert_eq!(bench.effects(), ["disable cmp-1"]);
    // A person lets it go on.
    let now = bench.clock.now();
    assert!(bench.store.approve(&case.id, "cli:ann", now).await.unwrap());
    let ended = bench.settle(daemon).await;
    assert!(matches!(ended.state, CaseState::Closed { .. }), "{ended:?}");
    assert_eq!(
        bench.effects(),
        ["disable cmp-1", "off cmp-1", "force-down cmp-1", "evacuate 1"]
    );
}

/// A host that another case's hold-down sees in the quarantine aggregate is no stray for having no case.
#[tokio::test]
async fn case_25_43_a_host_whose_case_was_lost_is_not_taken_out_as_a_stray() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(Arc::clone(&daemon)).await;
    let reason = "lazaret case q-20261120-7f3a2c: x".to_owned();
    bench.world.with(|state| {
        state.effects.clear();
        state.services.insert("cmp-2".into(), (false, Some(reason), true));
        state.services.insert("cmp-3".into(), (true, None, false));
        let hosts = &mut state.aggregates.get_mut("lazaret-quarantine").unwrap().2;
        hosts.extend(["cmp-2".to_owned(), "cmp-3".to_owned()]);
    });
    // The spare host is the hold-down's affair, and no orphan.
    assert_eq!(look(&bench, &daemon).await, 1);
    assert_eq!(listed(&bench).await, [name(2)]);
    let (stop, cloud) = (CancellationToken::new(), bench.world.cloud());
    daemon.look_again(&cloud, &case.id, None, &stop).await.unwrap();
    assert_eq!(bench.effects(), ["leave cmp-3"]);
}

/// Nobody is adopted who is not ours, and a host that was only closed for its silence is not fenced for it.
#[tokio::test]
async fn who_is_not_adopted_and_why() {
    let bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    let (host, stranger) = (name(1), name(9));
    let adopt = |host| daemon.adopt(host, "cli:ann", "perhaps");
    assert!(matches!(adopt(&host).await, Err(NotAdopted::NoMark(_))));
    assert!(matches!(adopt(&stranger).await, Err(NotAdopted::NotEnrolled(_))));
    let reason = "lazaret case u-20261120-7f3a2c: silent".to_owned();
    bench.world.with(|state| {
        state
            .services
            .insert("cmp-1".into(), (false, Some(reason), false))
    });
    assert_eq!(look(&bench, &daemon).await, 1);
    let refused = adopt(&host).await;
    assert!(matches!(refused, Err(NotAdopted::Silence { .. })), "{refused:?}");
    assert_eq!(bench.effects(), Vec::<String>::new());
}

/// A spare host that was left in the aggregate takes instances of others.
#[tokio::test]
async fn a_spare_host_left_in_the_aggregate_is_told_as_one_and_not_adopted() {
    let bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.world.with(|state| {
        let aggregate = (7, None, vec!["cmp-1".to_owned()]);
        state
            .aggregates
            .insert("lazaret-quarantine".to_owned(), aggregate)
    });
    assert_eq!(look(&bench, &daemon).await, 1);
    let words = &bench.store.orphans().await.unwrap()[0].words;
    assert!(words.contains("perhaps a spare host"), "{words}");
    let refused = daemon.adopt(&name(1), "cli:ann", "perhaps").await;
    assert!(matches!(refused, Err(NotAdopted::InService(..))), "{refused:?}");
}

/// What only one of two looks shows is about to change: a host that is released just then has its mark in the first.
#[tokio::test]
async fn a_mark_that_only_one_of_two_looks_shows_is_told_to_nobody() {
    const MARKED: &str = r#"{"services": [{"binary": "nova-compute", "host": "cmp-1", "zone": "nova",
        "id": "00000031-0000-4000-8000-000000000000", "status": "disabled", "state": "up", "forced_down": true,
        "disabled_reason": "lazaret case q-20261120-7f3a2c: x", "updated_at": "2026-11-21T06:00:00.000000"}]}"#;
    let bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    let seen_first = || vec![("GET /v2.1/os-services", 1, How::Status(200, MARKED))];
    bench.world.with(|state| state.faults = seen_first());
    assert_eq!(look(&bench, &daemon).await, 0, "it is gone");
    assert_eq!(bench.server_lists(), 2, "it looked twice");
    // Nor is one that changes in between: the next look says it as it is then.
    bench.world.with(|state| {
        let reason = "lazaret case q-20261120-7f3a2c: x".to_owned();
        state
            .services
            .insert("cmp-1".into(), (false, Some(reason), false));
        state.faults = seen_first();
    });
    assert_eq!(look(&bench, &daemon).await, 0, "it was forced down a moment ago");
    assert_eq!(listed(&bench).await, []);
    assert_eq!(look(&bench, &daemon).await, 1);
    let words = &bench.store.orphans().await.unwrap()[0].words;
    assert!(!words.contains("forced down"), "{words}");
}

impl Bench {
    /// How often nova's services were listed.
    fn server_lists(&self) -> usize {
        self.world.server.count("GET /v2.1/os-services")
    }
}

/// One look, for which nova is asked once.
async fn looks_once(bench: &Bench, daemon: &Respond) -> usize {
    let before = bench.server_lists();
    let told = look(bench, daemon).await;
    assert_eq!(bench.server_lists(), before + 1, "nothing is to be made sure of");
    told
}

/// A case that waits, one whose quarantine is over and kept up, and one of silence: each has its host. One look is enough
/// to know it.
#[tokio::test]
async fn a_host_with_a_case_of_any_kind_is_told_as_nobodys_by_no_look() {
    // Held before anything was done to it; nova shows a mark all the same.
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.case().await;
    let now = bench.clock.now();
    assert!(bench.store.hold(&case.id, "ann", "wait", now).await.unwrap());
    let known = bench.store.host(&name(1)).await.unwrap().unwrap();
    assert_eq!((known.quarantined_by, known.unscheduled_by), (None, None));
    let reason = format!("lazaret case {}: x", case.id);
    bench.world.with(|state| {
        state
            .services
            .insert("cmp-1".into(), (false, Some(reason), false))
    });
    assert_eq!(looks_once(&bench, &daemon).await, 0, "held");

    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(Arc::clone(&daemon)).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    assert_eq!(looks_once(&bench, &daemon).await, 0, "in quarantine");

    let mut bench = super::cautious_silence::quiet_bench().await;
    let daemon = bench.daemon("a");
    for n in [2, 3] {
        bench.round(&daemon, &name(n), Verdict::Affirming, "").await;
    }
    for _ in 0..3 {
        bench.round(&daemon, &name(1), Verdict::Indeterminate, "").await;
    }
    bench.drive_out(&daemon).await;
    let known = bench.store.host(&name(1)).await.unwrap().unwrap();
    assert!(known.unscheduled_by.is_some() && known.quarantined_by.is_none());
    assert_eq!(bench.store.unclosed_case(&name(1)).await.unwrap(), None);
    assert_eq!(looks_once(&bench, &daemon).await, 0, "unscheduled");
}

/// The name that nova shows may be another case's: of the same host, from before it was given back, or one of silence.
#[tokio::test]
async fn case_25_a_name_that_is_taken_or_not_a_quarantines_is_not_adopted() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let before = bench.settle(Arc::clone(&daemon)).await;
    bench.store.end_quarantine(&name(1)).await.unwrap();
    let before_it = bench.store.case(&before.id).await.unwrap();
    let adopted = daemon.adopt(&name(1), "cli:ann", "restored").await.unwrap();
    assert_ne!(adopted.case, before.id);
    assert_eq!(bench.store.case(&before.id).await.unwrap(), before_it);
    let known = bench.store.host(&name(1)).await.unwrap().unwrap();
    assert_eq!(known.quarantined_by, Some(adopted.case.clone()));
    // The service is disabled by another reason than the new case's: that is not taken for done.
    assert!(!adopted.closed, "{adopted:?}");
    let steps = bench.store.steps(&adopted.case).await.unwrap();
    let disable = steps.iter().find(|step| step.name == "disable").unwrap();
    assert_eq!(disable.state, crate::store::StepState::Pending);

    let bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.world.with(|state| {
        let reason = "lazaret case u-20261120-7f3a2c: silent".to_owned();
        state.services.insert("cmp-1".into(), (false, Some(reason), true));
        let aggregate = (7, None, vec!["cmp-1".to_owned()]);
        state
            .aggregates
            .insert("lazaret-quarantine".to_owned(), aggregate)
    });
    let adopted = daemon.adopt(&name(1), "cli:ann", "restored").await.unwrap();
    let letter = kind_of(&adopted.case);
    assert_eq!(letter, CaseKind::Quarantine, "{adopted:?}");
}
