//! Leases: one winner, epochs that only rise, and writes that a lost lease no longer makes.

use super::*;

fn kind() -> LeaseKind {
    LeaseKind::Host(host("cmp-1"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_take_a_lease_one_gets_it() {
    let scratch = Scratch::new();
    let stores = [scratch.open().await, scratch.open().await];
    for turn in 1..=8_i64 {
        // Each turn the lease of the one before is over.
        let now = NOW.plus(MINUTE * u32::try_from(turn).unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..16 {
            let store = stores[task % 2].clone();
            tasks.spawn(async move {
                store
                    .lease(kind(), &format!("worker {task}"), now, MINUTE)
                    .await
                    .unwrap()
            });
        }
        let won: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(won.len(), 1, "{won:?}");
        assert_eq!(won[0].epoch, turn);
    }
}

#[tokio::test]
async fn a_lease_ends_when_it_is_given_back_or_over() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let first = store.lease(kind(), "a", NOW, MINUTE).await.unwrap().unwrap();
    assert_eq!(first.until, NOW.plus(MINUTE));
    let just_before = NOW.plus(MINUTE).minus(Duration::from_millis(1));
    assert_eq!(store.lease(kind(), "b", just_before, MINUTE).await.unwrap(), None);
    let second = store
        .lease(kind(), "b", NOW.plus(MINUTE), MINUTE)
        .await
        .unwrap()
        .unwrap();
    store.release(first).await.unwrap();
    assert_eq!(
        store.lease(kind(), "c", NOW.plus(MINUTE), MINUTE).await.unwrap(),
        None,
        "not the first one's to give"
    );
    store.release(second.clone()).await.unwrap();
    let third = store
        .lease(kind(), "c", NOW.plus(MINUTE), MINUTE)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((second.epoch, third.epoch), (2, 3));
}

#[tokio::test]
async fn a_lease_is_renewed_until_somebody_else_has_it() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let mut first = store.lease(kind(), "a", NOW, MINUTE).await.unwrap().unwrap();
    // Late, but nobody took it.
    store
        .renew(&mut first, NOW.plus(2 * MINUTE), MINUTE)
        .await
        .unwrap();
    assert_eq!(first.until, NOW.plus(3 * MINUTE));
    assert_eq!(
        store
            .lease(kind(), "b", NOW.plus(2 * MINUTE), MINUTE)
            .await
            .unwrap(),
        None
    );
    store
        .lease(kind(), "b", NOW.plus(3 * MINUTE), MINUTE)
        .await
        .unwrap()
        .unwrap();
    let error = store
        .renew(&mut first, NOW.plus(3 * MINUTE), MINUTE)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::LeaseLost { epoch: 1, .. }), "{error}");
    assert_eq!(
        first.until,
        NOW.plus(3 * MINUTE),
        "a renewal that failed promises nothing"
    );
}

#[tokio::test]
async fn a_lease_from_a_clock_that_was_ahead_blocks_nobody_for_long() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let ahead = NOW.plus(60 * MINUTE);
    store
        .lease(kind(), "ahead", ahead, MINUTE)
        .await
        .unwrap()
        .unwrap();
    assert!(store.lease(kind(), "b", NOW, MINUTE).await.unwrap().is_some());
    // And no lease is longer than the longest, whatever is asked for.
    let lease = store
        .lease(kind(), "c", NOW.plus(MINUTE), Duration::MAX)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(lease.until, NOW.plus(MINUTE).plus(LONGEST_LEASE));
}

/// Each taking and each renewal is counted, and a lease is taken over only as it was seen.
#[tokio::test]
async fn a_lease_is_taken_over_as_it_was_seen_or_not_at_all() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    assert_eq!(store.standing(&kind()).await.unwrap(), None);
    let mut first = store.lease(kind(), "a", NOW, MINUTE).await.unwrap().unwrap();
    let seen = store.standing(&kind()).await.unwrap().unwrap();
    assert_eq!(
        (seen.epoch, seen.beats, seen.until, seen.lasts),
        (1, 1, Some(first.until), MINUTE)
    );
    // Also when the clock says the same: it was set back in between.
    store.renew(&mut first, NOW, MINUTE).await.unwrap();
    let take = |seen, owner| {
        let store = store.clone();
        async move {
            store
                .take_over(kind(), Some(&seen), owner, NOW, MINUTE)
                .await
                .unwrap()
        }
    };
    assert_eq!(take(seen, "b").await, None, "it was renewed since");
    let seen = store.standing(&kind()).await.unwrap().unwrap();
    let (one, other) = tokio::join!(take(seen, "b"), take(seen, "c"));
    let won: Vec<_> = [one, other].into_iter().flatten().collect();
    assert_eq!(won.iter().map(|lease| lease.epoch).collect::<Vec<_>>(), [2]);
    let lost = store.renew(&mut first, NOW, MINUTE).await.unwrap_err();
    assert!(matches!(lost, StoreError::LeaseLost { epoch: 1, .. }), "{lost}");
}

#[tokio::test]
async fn every_write_of_a_lost_lease_is_refused_and_leaves_nothing() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let case = opened(&store, "cmp-1", 1).await;
    let name = host("cmp-1");
    // The same owner even: only the epoch tells the two apart.
    let stale = case_lease(&store, &case, NOW).await;
    let later = NOW.plus(2 * MINUTE);
    let fresh = store
        .lease(LeaseKind::Case(case.clone()), "me", later, MINUTE)
        .await
        .unwrap()
        .unwrap();
    let stale_host = host_lease(&store, &name, NOW).await;
    store.release(stale_host.clone()).await.unwrap();

    let detail = Json::empty();
    let held = CaseState::Held {
        reason: "x".to_owned(),
    };
    let outcome = Outcome {
        reason: "x".to_owned(),
        detail: Json::empty(),
    };
    let told = [notification("x")];
    let done = StepState::Done;
    let changed = [instance(&name, 9)];
    let refused = [
        store
            .journal(&stale, "disable", Phase::Note, &detail, later)
            .await,
        store.begin_step(&stale, "disable", &detail, later).await,
        store
            .end_step(&stale, "disable", done, None, &detail, later)
            .await,
        store.put_instances(&stale, &changed, later).await,
        store.postpone(&stale, later, later).await,
        store.stop_case(&stale, &held, &told, later).await,
        store.close_case(&stale, &outcome, &told, later).await,
    ];
    for (index, result) in refused.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert!(
            matches!(error, StoreError::LeaseLost { epoch: 1, .. }),
            "write {index}: {error}"
        );
        assert!(
            error.to_string().contains(case.as_str()),
            "write {index}: {error}"
        );
    }
    let error = store
        .record(&stale_host, &recording(round(&name, 9, Verdict::Affirming)), NOW)
        .await
        .unwrap_err();
    assert!(
        matches!(error, RecordError::Store(StoreError::LeaseLost { .. })),
        "{error}"
    );

    assert!(store.journal_of(&case).await.unwrap().is_empty());
    assert!(store.notifications(10).await.unwrap().is_empty());
    assert_eq!(store.steps(&case).await.unwrap()[0].state, StepState::Pending);
    assert_eq!(store.instances(&case).await.unwrap().len(), 1);
    assert_eq!(store.case(&case).await.unwrap().unwrap().state, CaseState::Open);
    assert_eq!(store.round(RoundId::new([9; 16])).await.unwrap(), None);
    store.begin_step(&fresh, "disable", &detail, later).await.unwrap();
}

#[tokio::test]
async fn a_lease_that_ran_out_writes_nothing_and_gives_no_leave_even_when_nobody_took_it() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let case = opened(&store, "cmp-1", 1).await;
    let name = host("cmp-1");
    let lease = case_lease(&store, &case, NOW).await;
    let of_host = host_lease(&store, &name, NOW).await;
    let detail = Json::empty();
    let last = NOW.plus(MINUTE).minus(Duration::from_millis(1));
    assert_eq!(
        store.permit(&lease, "disable", &detail, last).await.unwrap(),
        MINUTE,
        "leave lasts as long as the lease, which it renews"
    );
    let over = last.plus(MINUTE);
    let refused = [
        store.permit(&lease, "disable", &detail, over).await.map(drop),
        store.begin_step(&lease, "disable", &detail, over).await,
        store
            .journal(&lease, "disable", Phase::Effect, &detail, over)
            .await,
    ];
    for (index, result) in refused.into_iter().enumerate() {
        let error = result.unwrap_err();
        assert!(
            matches!(error, StoreError::LeaseLost { epoch: 1, .. }),
            "{index}: {error}"
        );
    }
    let late = recording(round(&name, 9, Verdict::Affirming));
    let error = store.record(&of_host, &late, over).await.unwrap_err();
    assert!(
        matches!(error, RecordError::Store(StoreError::LeaseLost { .. })),
        "{error}"
    );
    let written: Vec<Phase> = store
        .journal_of(&case)
        .await
        .unwrap()
        .iter()
        .map(|entry| entry.phase)
        .collect();
    assert_eq!(written, [Phase::Intent], "what was about to be done, once");

    // Renewed before anybody took it, it is a lease again.
    let mut lease = lease;
    store.renew(&mut lease, over, MINUTE).await.unwrap();
    store.permit(&lease, "disable", &detail, over).await.unwrap();
    // A clock that was put back makes leave no longer than the lease: who watches it waits no longer.
    let back = NOW.minus(60 * MINUTE);
    let before = store.standing(&lease.kind).await.unwrap().unwrap();
    assert_eq!(
        store.permit(&lease, "disable", &detail, back).await.unwrap(),
        MINUTE
    );
    let after = store.standing(&lease.kind).await.unwrap().unwrap();
    assert_eq!(
        (after.epoch, after.beats, after.until),
        (before.epoch, before.beats + 1, Some(back.plus(MINUTE))),
        "who watches it counts from the leave"
    );
}

/// A daemon of an earlier version moves only the time.
#[tokio::test]
async fn a_lease_that_was_renewed_without_being_counted_is_not_taken_over() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    store.lease(kind(), "a", NOW, MINUTE).await.unwrap().unwrap();
    let mut seen = store.standing(&kind()).await.unwrap().unwrap();
    seen.until = Some(NOW);
    let taken = store.take_over(kind(), Some(&seen), "b", NOW, MINUTE);
    assert_eq!(taken.await.unwrap(), None);
    let seen = store.standing(&kind()).await.unwrap().unwrap();
    let taken = store.take_over(kind(), Some(&seen), "b", NOW, MINUTE);
    assert_eq!(taken.await.unwrap().unwrap().epoch, 2);
}

#[tokio::test]
async fn a_lease_of_one_thing_writes_nothing_about_another() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let case = opened(&store, "cmp-1", 1).await;
    enrolled(&store, "cmp-2").await;
    let of_host = host_lease(&store, &host("cmp-2"), NOW).await;
    let error = store
        .journal(&of_host, "", Phase::Note, &Json::empty(), NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    let of_case = case_lease(&store, &case, NOW).await;
    for lease in [of_host, of_case] {
        let recording = recording(round(&host("cmp-1"), 9, Verdict::Affirming));
        let error = store.record(&lease, &recording, NOW).await.unwrap_err();
        assert!(
            matches!(error, RecordError::Store(StoreError::Refused { .. })),
            "{error}"
        );
    }
}
