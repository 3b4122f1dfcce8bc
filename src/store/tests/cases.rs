//! Rounds and cases: what is written together, and what a case goes through.

use super::*;

#[tokio::test]
async fn a_round_and_its_case_are_recorded_together() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let name = enrolled(&store, "cmp-1").await;
    let evidence = store.put_evidence(b"evidence", NOW).await.unwrap();
    let lease = host_lease(&store, &name, NOW).await;
    let first = recording(round(&name, 1, Verdict::Contraindicated));
    store.record(&lease, &first, NOW).await.unwrap();
    let mut second = recording(round(&name, 2, Verdict::Contraindicated));
    second.round.purpose = Purpose::Confirmation;
    second.round.confirms = Some(first.round.id);
    second.round.evidence = Some(evidence);
    second.history = Some(Json::of(&1).unwrap());
    second.next_due = Some(NOW.plus(10 * MINUTE));
    let mut case = new_case(&name, 7, second.round.id);
    case.condemned_by = first.round.id;
    case.evidence = vec![("confirmed".to_owned(), evidence)];
    second.case = Some(case.clone());
    second.notifications = vec![notification("case opened")];
    store.record(&lease, &second, NOW).await.unwrap();

    let host = store.host(&name).await.unwrap().unwrap();
    let last = host.last.unwrap();
    assert_eq!(
        (last.verdict, last.round),
        (Verdict::Contraindicated, second.round.id)
    );
    assert_eq!((host.history, host.next_due), (second.history, second.next_due));
    assert_eq!(host.quarantined_by, None, "nothing was done to it yet");
    assert_eq!(
        store.latest_rounds(&name, 10).await.unwrap(),
        [second.round.clone(), first.round.clone()]
    );
    assert_eq!(
        store.latest_rounds(&name, 1).await.unwrap(),
        [second.round.clone()]
    );
    let recorded = store.case(&case.id).await.unwrap().unwrap();
    assert_eq!(
        (recorded.condemned_by, recorded.confirmed_by),
        (first.round.id, second.round.id)
    );
    assert_eq!(
        (&recorded.plan, &recorded.state, recorded.mode),
        (&case.plan, &CaseState::Open, case.mode)
    );
    assert_eq!(store.instances(&case.id).await.unwrap(), case.instances);
    assert_eq!(store.case_evidence(&case.id).await.unwrap(), case.evidence);
    let steps: Vec<_> = store
        .steps(&case.id)
        .await
        .unwrap()
        .into_iter()
        .map(|step| step.name)
        .collect();
    assert_eq!(steps, case.steps);
    assert_eq!(store.notifications(10).await.unwrap().len(), 1);
    // By its time or by its number.
    for (since, number, listed) in [
        (NOW, i64::MAX, true),
        (NOW.plus(MINUTE), 0, true),
        (NOW.plus(MINUTE), 1, false),
    ] {
        let lately = store.cases_lately(since, number).await.unwrap();
        let wanted: Vec<Case> = listed.then(|| recorded.clone()).into_iter().collect();
        assert_eq!(lately, wanted, "{since} {number}");
    }
    assert_eq!(store.newest_case().await.unwrap(), 1);
}

#[tokio::test]
async fn what_fails_at_its_end_leaves_nothing_of_its_beginning() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let name = enrolled(&store, "cmp-1").await;
    let lease = host_lease(&store, &name, NOW).await;
    let before = store.host(&name).await.unwrap().unwrap();
    let mut recording = recording(round(&name, 1, Verdict::Contraindicated));
    recording.history = Some(Json::of(&1).unwrap());
    recording.notifications = vec![notification("case opened")];
    let mut case = new_case(&name, 7, recording.round.id);
    // The last thing written of a case: its evidence was never put.
    case.evidence = vec![("condemned".to_owned(), Sha256Digest::of(b"never put"))];
    recording.case = Some(case.clone());
    let error = store.record(&lease, &recording, NOW).await.unwrap_err();
    assert!(
        matches!(error, RecordError::Store(StoreError::Refused { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("cmp-1"), "{error}");

    assert_eq!(store.host(&name).await.unwrap().unwrap(), before);
    assert_eq!(store.round(recording.round.id).await.unwrap(), None);
    assert_eq!(store.case(&case.id).await.unwrap(), None);
    assert!(store.steps(&case.id).await.unwrap().is_empty());
    assert!(store.instances(&case.id).await.unwrap().is_empty());
    assert!(store.notifications(10).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_host_has_one_unclosed_case() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let first = opened(&store, "cmp-1", 1).await;
    let name = host("cmp-1");
    let lease = host_lease(&store, &name, NOW).await;
    let mut again = recording(round(&name, 2, Verdict::Contraindicated));
    again.case = Some(new_case(&name, 2, again.round.id));
    let error = store.record(&lease, &again, NOW).await.unwrap_err();
    assert!(
        matches!(&error, RecordError::CaseOpen { case, .. } if *case == first),
        "{error}"
    );
    assert_eq!(
        store.round(again.round.id).await.unwrap(),
        None,
        "nothing was written"
    );

    // The table itself would refuse it, too.
    let mut write = store
        .write(Attempt::new("opening a second case of host", &name))
        .await
        .unwrap();
    let second = new_case(&name, 2, RoundId::new([1; 16]));
    let error = super::super::cases::open_case(&mut write, &second, NOW)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::Refused { rule, .. } if rule.contains("unclosed_host")),
        "{error}"
    );
    drop(write);

    // One that waits for a person is unclosed as well; once it is closed there may be another.
    let of_case = case_lease(&store, &first, NOW).await;
    let outcome = Outcome {
        reason: "by hand".to_owned(),
        detail: Json::empty(),
    };
    let dismissed = store.dismiss_case(&of_case, &outcome, false, NOW).await;
    assert!(
        matches!(dismissed, Err(StoreError::Refused { .. })),
        "it is carried out"
    );
    store
        .stop_case(
            &of_case,
            &CaseState::Stuck {
                reason: "BMC".to_owned(),
            },
            &[],
            NOW,
        )
        .await
        .unwrap();
    assert!(store.record(&lease, &again, NOW).await.is_err());
    store
        .close_case(
            &of_case,
            &outcome,
            &[notification("closed")],
            NOW.plus(MINUTE / 2),
        )
        .await
        .unwrap();
    store.record(&lease, &again, NOW).await.unwrap();
    let unclosed = store.unclosed_case(&name).await.unwrap().unwrap();
    assert_eq!(unclosed.id, CaseId::new(CaseKind::Quarantine, NOW, [2; 3]));
    let list = |filter| {
        let store = store.clone();
        async move {
            store
                .cases(&filter)
                .await
                .unwrap()
                .into_iter()
                .map(|case| case.id)
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(list(CaseFilter::default()).await.len(), 2);
    assert_eq!(
        list(CaseFilter {
            host: None,
            unclosed_only: true
        })
        .await,
        std::slice::from_ref(&unclosed.id)
    );
    assert_eq!(
        list(CaseFilter {
            host: Some(name),
            unclosed_only: true
        })
        .await,
        [unclosed.id]
    );
    assert!(
        list(CaseFilter {
            host: Some(host("cmp-9")),
            unclosed_only: false
        })
        .await
        .is_empty()
    );
    let closed = store.case(&first).await.unwrap().unwrap();
    assert_eq!(
        closed.state,
        CaseState::Closed {
            reason: "by hand".to_owned()
        }
    );
    assert_eq!(closed.closed_at, Some(NOW.plus(MINUTE / 2)));
    assert!(matches!(
        store.close_case(&of_case, &outcome, &[], NOW).await,
        Err(StoreError::Refused { .. })
    ));
}

/// The second one is written by a daemon whose clock is an hour behind, and its id is the smaller one.
#[tokio::test]
async fn cases_come_in_the_order_in_which_they_were_written_whatever_clocks_say() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let (mut cases, before) = (Vec::new(), Timestamp::from_millis(NOW.as_millis() - 3_600_000));
    for (name, random, at) in [("cmp-1", 9, NOW), ("cmp-2", 7, before)] {
        let name = enrolled(&store, name).await;
        let lease = host_lease(&store, &name, NOW).await;
        let mut recorded = recording(round(&name, random, Verdict::Contraindicated));
        let case = new_case(&name, random, recorded.round.id);
        recorded.case = Some(case.clone());
        store.record(&lease, &recorded, at).await.unwrap();
        cases.push(store.case(&case.id).await.unwrap().unwrap());
    }
    let [first, second] = &cases[..] else {
        unreachable!()
    };
    assert!(second.opened_at < first.opened_at && second.id < first.id);
    assert!(first.came_before(second) && !second.came_before(first));
}

/// A host that is heard again is condemned by that very round: whoever is about to enable it gets no leave.
#[tokio::test]
async fn a_case_that_made_way_for_a_quarantine_acts_no_more() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let name = enrolled(&store, "cmp-1").await;
    let host = host_lease(&store, &name, NOW).await;
    let mut heard = recording(round(&name, 1, Verdict::Affirming));
    let reschedule = NewCase {
        id: CaseId::new(CaseKind::Reschedule, NOW, [1; 3]),
        kind: CaseKind::Reschedule,
        ..new_case(&name, 1, heard.round.id)
    };
    heard.case = Some(reschedule.clone());
    store.record(&host, &heard, NOW).await.unwrap();
    let lease = case_lease(&store, &reschedule.id, NOW).await;
    store.permit(&lease, "enable", &Json::empty(), NOW).await.unwrap();
    let mut condemned = recording(round(&name, 2, Verdict::Contraindicated));
    condemned.case = Some(new_case(&name, 2, condemned.round.id));
    store.record(&host, &condemned, NOW).await.unwrap();
    let leave = store.permit(&lease, "enable", &Json::empty(), NOW).await;
    assert!(matches!(leave, Err(StoreError::LeaseLost { .. })), "{leave:?}");
    store.release(lease).await.unwrap();
}

#[tokio::test]
async fn silence_has_a_beginning_and_an_end() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let name = enrolled(&store, "cmp-1").await;
    let lease = host_lease(&store, &name, NOW).await;
    for (id, answered, since) in [
        (1, false, Some(1)),
        (2, false, Some(1)),
        (3, true, None),
        (4, false, Some(4)),
    ] {
        let mut recording = recording(round(&name, id, Verdict::Indeterminate));
        recording.round.started_at = Timestamp::from_millis(id.into());
        recording.answered = answered;
        store.record(&lease, &recording, NOW).await.unwrap();
        let host = store.host(&name).await.unwrap().unwrap();
        assert_eq!(
            host.silent_since.map(Timestamp::as_millis),
            since,
            "after round {id}"
        );
    }
}

#[tokio::test]
async fn a_step_is_journaled_on_both_sides() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let case = opened(&store, "cmp-1", 1).await;
    let lease = case_lease(&store, &case, NOW).await;
    let (at, said) = (
        |seconds| NOW.plus(Duration::from_secs(seconds)),
        Json::of(&"503").unwrap(),
    );
    store
        .begin_step(&lease, "disable", &Json::empty(), at(1))
        .await
        .unwrap();
    assert_eq!(
        store
            .host(&host("cmp-1"))
            .await
            .unwrap()
            .unwrap()
            .quarantined_by
            .as_ref(),
        Some(&case)
    );
    store
        .end_step(&lease, "disable", StepState::Failed, Some("503"), &said, at(2))
        .await
        .unwrap();
    store
        .begin_step(&lease, "disable", &Json::empty(), at(3))
        .await
        .unwrap();
    store
        .journal(&lease, "disable", Phase::Note, &said, at(4))
        .await
        .unwrap();
    store
        .end_step(&lease, "disable", StepState::Done, None, &Json::empty(), at(5))
        .await
        .unwrap();

    let step = store.steps(&case).await.unwrap().remove(0);
    assert_eq!((step.state, step.attempts, step.note), (StepState::Done, 2, None));
    assert_eq!((step.started_at, step.finished_at), (Some(at(1)), Some(at(5))));
    let journal: Vec<_> = store
        .journal_of(&case)
        .await
        .unwrap()
        .into_iter()
        .map(|e| (e.seq, e.phase, e.epoch))
        .collect();
    assert_eq!(
        journal,
        [
            (1, Phase::Before, 1),
            (2, Phase::Error, 1),
            (3, Phase::Before, 1),
            (4, Phase::Note, 1),
            (5, Phase::After, 1)
        ]
    );
    let error = store
        .begin_step(&lease, "dance", &Json::empty(), NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
    let error = store
        .end_step(&lease, "fence", StepState::Running, None, &said, NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    assert_eq!(store.journal_of(&case).await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_person_holds_a_case_and_lets_it_go_on() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let case = opened(&store, "cmp-1", 1).await;
    let lease = case_lease(&store, &case, NOW).await;
    store
        .begin_step(&lease, "disable", &Json::empty(), NOW)
        .await
        .unwrap();
    assert!(store.hold(&case, "ann", "let me look", NOW).await.unwrap());
    assert!(!store.hold(&case, "ann", "again", NOW).await.unwrap());
    // The step that runs is finished; no other one begins.
    store
        .end_step(&lease, "disable", StepState::Failed, None, &Json::empty(), NOW)
        .await
        .unwrap();
    let error = store
        .begin_step(&lease, "fence", &Json::empty(), NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error}");
    store.release(lease).await.unwrap();
    assert!(due(&store, NOW).await.is_empty());

    assert!(store.approve(&case, "bob", NOW).await.unwrap());
    assert!(!store.approve(&case, "bob", NOW).await.unwrap());
    let approved = store.case(&case).await.unwrap().unwrap();
    assert_eq!(
        (approved.state, approved.approved_by.as_deref()),
        (CaseState::Open, Some("bob"))
    );
    assert_eq!(
        store.steps(&case).await.unwrap()[0].attempts,
        0,
        "tries again as often as at first"
    );
    assert_eq!(due(&store, NOW).await, std::slice::from_ref(&case));
    let trail: Vec<_> = store
        .latest_audit(10)
        .await
        .unwrap()
        .into_iter()
        .map(|r| r.entry.what)
        .collect();
    assert_eq!(trail, ["approve", "hold"]);
    let unknown = CaseId::new(CaseKind::Quarantine, NOW, [9; 3]);
    assert!(matches!(
        store.approve(&unknown, "bob", NOW).await,
        Err(StoreError::Unknown { .. })
    ));
}

/// Those of the cases that are due which nobody holds.
async fn due(store: &Store, now: Timestamp) -> Vec<CaseId> {
    let due = store.cases_due(now).await.unwrap();
    let free = due
        .into_iter()
        .filter(|due| due.lease.is_none_or(|lease| lease.until.is_none()));
    free.map(|due| due.id).collect()
}

#[tokio::test]
async fn a_case_is_due_unless_somebody_has_it_or_it_rests() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let (first, second) = (opened(&store, "cmp-1", 1).await, opened(&store, "cmp-2", 2).await);
    assert_eq!(due(&store, NOW).await, [first.clone(), second.clone()]);
    let lease = case_lease(&store, &first, NOW).await;
    assert_eq!(due(&store, NOW).await, std::slice::from_ref(&second));
    let all = store.cases_due(NOW.plus(MINUTE)).await.unwrap();
    assert_eq!(all.len(), 2, "whether its holder is dead is for others to say");
    let standing = all[0].lease.unwrap();
    assert_eq!(
        (standing.epoch, standing.beats, standing.until, standing.lasts),
        (lease.epoch, 1, Some(lease.until), MINUTE)
    );
    store.postpone(&lease, NOW.plus(5 * MINUTE), NOW).await.unwrap();
    assert_eq!(due(&store, NOW.plus(MINUTE)).await, std::slice::from_ref(&second));
    store
        .stop_case(
            &lease,
            &CaseState::Held {
                reason: "limit".to_owned(),
            },
            &[],
            NOW,
        )
        .await
        .unwrap();
    assert_eq!(due(&store, NOW.plus(9 * MINUTE)).await, [second]);
}

#[tokio::test]
async fn a_case_that_rests_is_not_put_to_sleep_by_a_clock_that_is_put_back() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let case = opened(&store, "cmp-1", 1).await;
    let lease = case_lease(&store, &case, NOW).await;
    store.postpone(&lease, NOW.plus(MINUTE), NOW).await.unwrap();
    store.release(lease).await.unwrap();
    assert_eq!(due(&store, NOW).await, []);
    let back = NOW.minus(60 * MINUTE);
    assert_eq!(due(&store, back).await, std::slice::from_ref(&case));
    // And none rests longer than the longest, whatever is asked for.
    let lease = case_lease(&store, &case, NOW).await;
    store.postpone(&lease, NOW.plus(60 * MINUTE), NOW).await.unwrap();
    store.release(lease).await.unwrap();
    let end = NOW.plus(LONGEST_REST);
    let just_before = end.minus(Duration::from_millis(1));
    for (now, count) in [(NOW, 0), (just_before, 0), (end, 1)] {
        assert_eq!(due(&store, now).await.len(), count, "{now}");
    }
}

#[tokio::test]
async fn what_became_of_instances_is_kept_up_to_date() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let case = opened(&store, "cmp-1", 1).await;
    let lease = case_lease(&store, &case, NOW).await;
    let mut known = instance(&host("cmp-1"), 1);
    known.destination = Some(host("cmp-2"));
    known.state = "active".to_owned();
    known.migration = Some("0f".to_owned());
    let new = instance(&host("cmp-1"), 2);
    store
        .put_instances(&lease, &[known.clone(), new.clone()], NOW)
        .await
        .unwrap();
    assert_eq!(store.instances(&case).await.unwrap(), [known, new]);
}

#[tokio::test]
async fn old_rounds_go_unless_something_stands_on_them() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    opened(&store, "cmp-1", 1).await;
    let name = host("cmp-1");
    let lease = host_lease(&store, &name, NOW).await;
    for id in 2..=5 {
        let mut recording = recording(round(&name, id, Verdict::Affirming));
        recording.round.confirms = (id == 4).then(|| RoundId::new([3; 16]));
        store.record(&lease, &recording, NOW).await.unwrap();
    }
    let later = NOW.plus(60 * MINUTE);
    // 1 has a case, 3 is confirmed by 4, 5 is the last one.
    assert_eq!(store.purge_rounds(later, 10).await.unwrap(), 2);
    assert_eq!(store.purge_rounds(later, 10).await.unwrap(), 1);
    assert_eq!(store.purge_rounds(later, 10).await.unwrap(), 0);
    let left: Vec<_> = store
        .latest_rounds(&name, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|round| round.id)
        .collect();
    assert_eq!(left, [RoundId::new([5; 16]), RoundId::new([1; 16])]);
}
