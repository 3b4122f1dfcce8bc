//! Hosts that are given back: what is asked for first, and what is so afterwards.

use lazaret_attest::verdict::Verdict;

use super::giving_back::*;
use super::*;
use crate::respond::release::{Attested, NOBODY, SECOND_PERSON};
use crate::store::ItemState;

#[tokio::test]
async fn case_44_a_host_is_given_back_in_order_after_a_fresh_verdict() {
    for recovery in [Recovery::Nova, Recovery::Masakari] {
        let (bench, fake, daemon, quarantine) = out(2, recovery, Verdict::Affirming).await;
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

/// Who put it there is not known: perhaps an earlier quarantine, whose end was lost.
#[tokio::test]
async fn a_host_that_was_in_the_quarantine_aggregate_before_leaves_it_at_its_release() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let before = vec!["cmp-1".to_owned(), "cmp-3".to_owned()];
    bench.world.with(|state| {
        let known = (7, None, before);
        state.aggregates.insert("lazaret-quarantine".into(), known);
    });
    let quarantine = quarantined(&mut bench, &daemon).await;
    settle_all(&bench, &quarantine).await;
    let id = ask(&bench, &quarantine, false).await;
    drive(&bench, &daemon, &id).await;
    assert_eq!(bench.effects(), GIVEN_BACK);
    let plan = journal::plan_of(&quarantine, &[]).unwrap();
    assert_eq!(plan.quarantined_before, [name(3)]);
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
        again(&bench, &daemon, &id).await;
        assert_eq!(bench.effects(), GIVEN_BACK);
    }
}

#[tokio::test]
async fn nothing_is_booted_before_what_the_host_knew_is_ticked_or_waived_and_a_second_person_agreed() {
    let (bench, _fake, daemon, quarantine) = out(1, Recovery::Nova, Verdict::Affirming).await;
    let id = ask(&bench, &quarantine, true).await;
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
    let case = again(&bench, &daemon, &id).await;
    assert!(
        matches!(&case.state, CaseState::Held { reason } if reason.contains("disk-copies") && !reason.contains("bus")),
        "{case:?}"
    );
    settle_all(&bench, &quarantine).await;
    // Who asked is no second person.
    settle_item(&bench, &id, SECOND_PERSON, "cli:ann", ItemState::Ticked).await;
    let case = again(&bench, &daemon, &id).await;
    assert!(
        matches!(&case.state, CaseState::Held { reason } if reason.contains("another person")),
        "{case:?}"
    );
    assert_eq!(bench.effects(), Vec::<String>::new());
    settle_item(&bench, &id, SECOND_PERSON, "cli:bob", ItemState::Ticked).await;
    again(&bench, &daemon, &id).await;
    assert_eq!(bench.effects(), GIVEN_BACK);
}

/// Whoever asks may name another configuration, in which nobody has to agree; and may hide who asks.
#[tokio::test]
async fn the_daemons_own_configuration_asks_for_a_second_person_and_nobody_is_none() {
    for (who, agrees, words) in [
        (NOBODY, "cli:bob", "dismiss r-"),
        ("cli:ann", "cli:ann", "another person has to agree"),
    ] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        bench.config.second_person = true;
        let fake = Fake::says(&bench, Verdict::Affirming);
        let daemon = with(&bench, "a", &fake);
        let quarantine = quarantined(&mut bench, &daemon).await;
        settle_all(&bench, &quarantine).await;
        let id = ask_by(&bench, &quarantine, false, who).await;
        settle_item(&bench, &id, SECOND_PERSON, agrees, ItemState::Ticked).await;
        let case = drive(&bench, &daemon, &id).await;
        assert!(
            matches!(&case.state, CaseState::Held { reason } if reason.contains(words)),
            "{who}: {case:?}"
        );
        assert_eq!(bench.effects(), Vec::<String>::new(), "{who}");
    }
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
    again(&bench, &daemon, &id).await;
    assert_eq!(bench.effects(), GIVEN_BACK);
}

/// It waited for a person in between: an old verdict, or one by another policy, takes nothing back.
#[tokio::test]
async fn a_verdict_that_went_stale_is_made_anew_before_anything_more_is_taken_back() {
    for policy_changed in [false, true] {
        let (bench, fake, daemon, quarantine) = out(1, Recovery::Nova, Verdict::Affirming).await;
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
        let case = again(&bench, &daemon, &id).await;
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

/// Whatever takes something back looks at the verdict first: from the step on at which it fails, nothing is.
#[tokio::test]
async fn case_44_each_step_that_takes_something_back_sees_first_that_the_verdict_still_holds() {
    let all = [
        "on cmp-1",
        "raise cmp-1",
        "leave cmp-1",
        "join cmp-1",
        "no maintenance cmp-1",
        "enable cmp-1",
    ];
    for fails_from in 1_u8..=7 {
        let mut bench = Bench::new(1, Recovery::Masakari).await;
        bench.world.with(|state| {
            let gpu = (9, None, vec!["cmp-1".into()]);
            state.aggregates.insert("gpu".into(), gpu);
        });
        let fake = Fake::says(&bench, Verdict::Affirming);
        let daemon = with(&bench, "a", &fake);
        let quarantine = quarantined(&mut bench, &daemon).await;
        bench
            .world
            .with(|state| state.aggregates.get_mut("gpu").unwrap().2.clear());
        settle_all(&bench, &quarantine).await;
        *fake.restless.lock().unwrap() = true;
        *fake.fails_from.lock().unwrap() = Some(fails_from);
        let id = ask(&bench, &quarantine, false).await;
        let case = drive(&bench, &daemon, &id).await;
        assert!(
            matches!(&case.state, CaseState::Held { reason } if reason.contains("stays out")),
            "{fails_from}: {case:?}"
        );
        // The first question is the step attest's own, the second that of raise.
        let done = usize::from(fails_from).saturating_sub(1).max(1);
        assert_eq!(bench.effects(), all[..done], "{fails_from}");
        assert_eq!(held_by(&bench).await, Some(quarantine.id));
    }
}

#[tokio::test]
async fn an_aggregate_that_is_gone_is_no_obstacle() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.world.with(|state| {
        let gpu = (9, None, vec!["cmp-1".to_owned()]);
        state.aggregates.insert("gpu".into(), gpu);
    });
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    bench.world.with(|state| drop(state.aggregates.remove("gpu")));
    settle_all(&bench, &quarantine).await;
    let id = ask(&bench, &quarantine, false).await;
    let case = drive(&bench, &daemon, &id).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    assert_eq!(bench.effects(), GIVEN_BACK);
}

#[tokio::test]
async fn an_aggregate_that_the_host_may_not_join_again_is_for_a_person() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.world.with(|state| {
        let gpu = (9, None, vec!["cmp-1".into()]);
        state.aggregates.insert("gpu".into(), gpu);
    });
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    bench.world.with(|state| {
        state.aggregates.get_mut("gpu").unwrap().2.clear();
        state.faults = vec![("POST /v2.1/os-aggregates/9/action", 99, How::Status(409, "{}"))];
    });
    settle_all(&bench, &quarantine).await;
    let id = ask(&bench, &quarantine, false).await;
    let case = drive(&bench, &daemon, &id).await;
    assert!(
        matches!(&case.state, CaseState::Stuck { reason } if reason.contains("put it there by hand")),
        "{case:?}"
    );
    assert_eq!(bench.effects(), ["on cmp-1", "raise cmp-1", "leave cmp-1"]);
}

/// Forced down and enabled, other tools would take it for theirs.
#[tokio::test]
async fn a_host_that_is_forced_down_again_is_not_enabled() {
    let (bench, _fake, daemon, quarantine) = out(1, Recovery::Masakari, Verdict::Affirming).await;
    settle_all(&bench, &quarantine).await;
    bench
        .world
        .with(|state| state.faults = vec![("PUT /v1/segments", 99, How::Status(403, "{}"))]);
    let id = ask(&bench, &quarantine, false).await;
    let case = drive(&bench, &daemon, &id).await;
    assert!(matches!(case.state, CaseState::Stuck { .. }), "{case:?}");
    bench.world.with(|state| {
        state.faults.clear();
        state.services.get_mut("cmp-1").unwrap().2 = true;
    });
    let case = again(&bench, &daemon, &id).await;
    assert!(
        matches!(&case.state, CaseState::Stuck { reason } if reason.contains("for down again")),
        "{case:?}"
    );
    assert!(!bench.world.with(|state| state.services["cmp-1"].0));
}

/// Its nova-compute has to start while nova takes it for down, and deletes what it has of every evacuated instance then.
#[tokio::test]
async fn a_host_is_not_booted_while_it_is_not_forced_down_or_an_evacuation_is_under_way() {
    for (forced_down, words) in [(false, "not disabled and forced down"), (true, "have not ended")] {
        let (bench, _fake, daemon, quarantine) = out(1, Recovery::Nova, Verdict::Affirming).await;
        settle_all(&bench, &quarantine).await;
        bench.world.with(|state| {
            state.services.get_mut("cmp-1").unwrap().2 = forced_down;
            if forced_down {
                let guest = state.guests.get_mut(&1).unwrap();
                guest.moves.push(("accepted".into(), None, 9999));
            }
        });
        let id = ask(&bench, &quarantine, false).await;
        let case = drive(&bench, &daemon, &id).await;
        let reason = case.state.reason().unwrap_or_default();
        assert!(
            !matches!(case.state, CaseState::Closed { .. }) && reason.contains(words),
            "{case:?}"
        );
        assert_eq!(bench.effects(), Vec::<String>::new());
    }
}
