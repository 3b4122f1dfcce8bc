//! Hosts that are given back: what is asked for first, and what is so afterwards.

use lazaret_attest::verdict::Verdict;

use super::giving_back::*;
use super::*;
use crate::respond::release::{Attested, SECOND_PERSON};
use crate::store::ItemState;

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
