//! A case from its verdict to its end, by nova and by Masakari.

use super::*;

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
    assert_eq!(
        bench.kinds().await,
        ["case-closed", "case-opened", "host-evacuated", "host-fenced"]
    );
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

/// Its host was powered off in the middle of it, say.
#[tokio::test]
async fn a_live_migration_that_nobody_runs_keeps_no_other_member_waiting_for_ever() {
    let mut bench = Bench::new(2, Recovery::Nova).await;
    bench.world.with(|state| {
        for n in [1, 2] {
            state.guests.get_mut(&n).unwrap().group = Some("g".into());
        }
        state.guests.get_mut(&2).unwrap().host = "cmp-3".into();
        state.live = Some(2);
    });
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let begun = tokio::time::Instant::now();
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
    assert!(bench.effects().contains(&"evacuate 1".to_owned()));
    assert!(begun.elapsed() >= Duration::from_millis(1200), "600 paces");
    let journal = bench.store.journal_of(&case.id).await.unwrap();
    let said = |entry: &&crate::store::JournalEntry| entry.detail.as_str().contains("live migration l-1");
    assert_eq!(journal.iter().filter(said).count(), 1);
}

/// Another case's member takes longer than this one's whole deadline.
#[tokio::test]
async fn waiting_for_the_turn_of_a_group_is_not_counted_against_the_deadline() {
    let mut bench = Bench::new(2, Recovery::Nova).await;
    bench.config.evacuation_deadline = Duration::from_secs(2);
    bench.world.with(|state| {
        for n in [1, 2] {
            state.guests.get_mut(&n).unwrap().group = Some("g".into());
        }
        let other = state.guests.get_mut(&2).unwrap();
        (other.host, other.task) = ("cmp-3".into(), Some("rebuilding".into()));
        other.moves = vec![("accepted".into(), None, u32::MAX)];
    });
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let arrives = async {
        let waits = || bench.world.server.count("GET /v2.1/os-server-groups") > 0;
        super::leave::until(waits).await;
        let begun = tokio::time::Instant::now();
        super::leave::until(|| begun.elapsed() > Duration::from_millis(2400)).await;
        bench.world.with(|state| {
            state.guests.get_mut(&2).unwrap().moves[0].2 = 0;
        });
    };
    let (case, ()) = tokio::join!(bench.settle(daemon), arrives);
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
    assert!(bench.effects().contains(&"evacuate 1".to_owned()));
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
async fn a_plan_is_shown_and_nothing_is_done_or_written() {
    let bench = Bench::new(2, Recovery::Nova).await;
    bench.world.with(|state| {
        state.guests.get_mut(&2).unwrap().vm_state = "paused".into();
        state.guests.get_mut(&1).unwrap().group = Some("g".into());
        state.free.insert("cmp-2".into(), (3, 100));
        state.free.insert("cmp-3".into(), (0, 0));
    });
    let daemon = bench.daemon("a");
    let plan = daemon.preview(&name(1)).await.unwrap();
    assert_eq!(plan.holds, []);
    assert_eq!(
        plan.instances
            .iter()
            .map(|instance| instance.way)
            .collect::<Vec<_>>(),
        [Way::Evacuate, Way::Hold]
    );
    assert_eq!(plan.instances[0].groups[0].policy, "anti-affinity");
    let room = plan.room.unwrap();
    assert_eq!(
        (room.free_vcpus, room.need_vcpus),
        (3, 1),
        "what is held needs none"
    );
    assert_eq!(plan.instances[0].fits, Some(true));
    assert!(!plan.fence.is_empty());

    // The last host of its zone would be held.
    bench.world.with(|state| {
        for host in ["cmp-2", "cmp-3"] {
            state.services.get_mut(host).unwrap().0 = false;
        }
    });
    let held = daemon.preview(&name(1)).await.unwrap();
    assert_eq!(held.holds.len(), 1, "{:?}", held.holds);
    assert_eq!(held.instances[0].fits, Some(false));

    // nova does not know the host, or does not answer.
    let unknown = daemon.preview(&name(9)).await.unwrap_err();
    assert!(matches!(unknown, NoPreview::NoPlan(_)), "{unknown}");
    bench
        .world
        .with(|state| state.faults = vec![("GET /v2.1/servers/detail", 99, How::Status(500, "{}"))]);
    let down = daemon.preview(&name(1)).await.unwrap_err();
    assert!(
        matches!(&down, NoPreview::Cloud(error) if error.to_string().contains("cmp-1")),
        "{down}"
    );

    assert_eq!(bench.world.acts(), 0);
    let none = CaseFilter {
        host: None,
        unclosed_only: false,
    };
    assert_eq!(bench.store.cases(&none).await.unwrap(), []);
}

#[tokio::test]
async fn groups_are_listed_once_and_only_those_that_keep_apart_go_one_by_one() {
    for (policy, at_once) in [("soft-anti-affinity", 1), ("affinity", 3)] {
        let mut bench = Bench::new(3, Recovery::Nova).await;
        bench.world.with(|state| {
            state.group_policy = Some(policy);
            for guest in state.guests.values_mut() {
                guest.group = Some("g".into());
            }
        });
        let daemon = bench.daemon("a");
        bench.condemn(&daemon, &name(1), "aa").await;
        let case = bench.settle(daemon).await;
        assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
        // The requests between two that change something: with one at a time there is always a look between.
        let seen = bench.world.server.seen();
        let asked: Vec<usize> = (0..seen.len())
            .filter(|n| seen[*n].ends_with("/action") && seen[*n].contains("/servers/"))
            .collect();
        let look = |from: usize, to: usize| {
            seen[from..to]
                .iter()
                .any(|line| line.contains("migration_type=evacuation"))
        };
        let apart = asked.windows(2).filter(|pair| look(pair[0], pair[1])).count();
        assert_eq!(apart, if at_once == 1 { 2 } else { 0 }, "{policy}: {seen:#?}");
        // The plan's listing and the step's, each with the empty page that ends it.
        assert_eq!(
            bench.world.server.count("GET /v2.1/os-server-groups"),
            4,
            "{policy}"
        );
        bench
            .world
            .with(|state| assert_eq!(state.violations, Vec::<String>::new()));
    }
}

#[tokio::test]
async fn a_listing_of_groups_that_is_refused_is_made_up_for_instance_by_instance() {
    let mut bench = Bench::new(2, Recovery::Nova).await;
    bench.world.with(|state| {
        for guest in state.guests.values_mut() {
            guest.group = Some("g".into());
        }
        state.faults = vec![("GET /v2.1/os-server-groups", 99, How::Status(403, "{}"))];
    });
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);
    bench
        .world
        .with(|state| assert_eq!(state.violations, Vec::<String>::new()));
    let journal = bench.store.journal_of(&case.id).await.unwrap();
    assert!(
        journal
            .iter()
            .any(|entry| format!("{:?}", entry.detail).contains("os-server-groups:index")),
        "the missing right is named"
    );
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
