//! Evidence, notifications and the audit trail.

use super::*;

async fn by_hand(store: &Store, sql: &'static str) {
    sqlx::query(sql).execute(&store.writer).await.unwrap();
}

#[tokio::test]
async fn evidence_is_found_by_its_digest_and_kept_with_its_case() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let name = enrolled(&store, "cmp-1").await;
    let (kept, loose) = (vec![7; 3_000_000], b"loose".to_vec());
    let digest = store.put_evidence(&kept, NOW).await.unwrap();
    assert_eq!(digest, Sha256Digest::of(&kept));
    assert_eq!(store.put_evidence(&kept, NOW).await.unwrap(), digest);
    let loose_digest = store.put_evidence(&loose, NOW).await.unwrap();
    assert_eq!(store.evidence(digest).await.unwrap(), Some(kept.clone()));
    assert_eq!(store.evidence(Sha256Digest::of(b"x")).await.unwrap(), None);

    let mut recording = recording(round(&name, 1, Verdict::Contraindicated));
    let mut case = new_case(&name, 1, recording.round.id);
    case.evidence = vec![("condemned".to_owned(), digest)];
    recording.case = Some(case);
    let lease = host_lease(&store, &name, NOW).await;
    store.record(&lease, &recording, NOW).await.unwrap();
    assert_eq!(
        store.purge_evidence(NOW, 10).await.unwrap(),
        0,
        "nothing is older than itself"
    );
    // Put again, it is young again.
    store.put_evidence(&loose, NOW.plus(MINUTE)).await.unwrap();
    assert_eq!(store.purge_evidence(NOW.plus(MINUTE), 10).await.unwrap(), 0);
    assert_eq!(store.purge_evidence(NOW.plus(2 * MINUTE), 10).await.unwrap(), 1);
    assert_eq!(store.evidence(loose_digest).await.unwrap(), None);
    assert_eq!(store.evidence(digest).await.unwrap(), Some(kept));
}

#[tokio::test]
async fn changed_evidence_is_not_given_out() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let digest = store.put_evidence(b"evidence", NOW).await.unwrap();
    by_hand(&store, "UPDATE evidence SET bytes = x'00'").await;
    let error = store.evidence(digest).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_column_that_makes_no_sense_is_named() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    opened(&store, "cmp-1", 1).await;
    by_hand(&store, "UPDATE hosts SET last_verdict = 'fine'").await;
    let error = store.host(&host("cmp-1")).await.unwrap_err().to_string();
    assert!(
        error.contains("last_verdict") && error.contains("cmp-1"),
        "{error}"
    );
    by_hand(&store, "UPDATE hosts SET last_verdict = NULL").await;
    assert!(store.hosts().await.is_err(), "a result that is there in part");
    by_hand(&store, "UPDATE cases SET state = 'ajar'").await;
    assert!(
        store
            .cases(&CaseFilter::default())
            .await
            .unwrap_err()
            .to_string()
            .contains("ajar")
    );
}

#[tokio::test]
async fn an_event_is_queued_once_and_taken_by_one() {
    let scratch = Scratch::new();
    let stores = [scratch.open().await, scratch.open().await];
    for key in ["a", "b", "a"] {
        stores[0].enqueue(&notification(key), NOW).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let store = stores[task % 2].clone();
        tasks.spawn(async move { store.take_notifications(NOW, 10, MINUTE).await.unwrap() });
    }
    let taken: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert!(taken.iter().all(|notification| notification.attempt == 1));
    let store = &stores[0];
    store.delivered("a", NOW).await.unwrap();
    // Whoever took it may have died: after the hold somebody else gets it.
    let again = store
        .take_notifications(NOW.plus(MINUTE), 10, MINUTE)
        .await
        .unwrap();
    assert_eq!(
        again
            .iter()
            .map(|n| (n.key.as_str(), n.attempt))
            .collect::<Vec<_>>(),
        [("b", 2)]
    );
    // What arrived is not queued again.
    store.enqueue(&notification("a"), NOW.plus(MINUTE)).await.unwrap();
    assert!(
        store
            .take_notifications(NOW.plus(MINUTE), 10, MINUTE)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_retry_is_not_put_to_sleep_by_a_clock_that_is_put_back() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    store.enqueue(&notification("a"), NOW).await.unwrap();
    assert_eq!(store.take_notifications(NOW, 9, MINUTE).await.unwrap().len(), 1);
    assert!(store.undelivered("a", "503", NOW).await.unwrap());
    assert_eq!(store.take_notifications(NOW, 9, MINUTE).await.unwrap(), []);
    let back = NOW.minus(60 * MINUTE);
    let taken = store.take_notifications(back, 9, MINUTE).await.unwrap();
    assert_eq!(taken.len(), 1);
    // Once, and then by the clock that there is.
    assert_eq!(store.take_notifications(back, 9, MINUTE).await.unwrap(), []);
    let after = back.plus(MINUTE);
    assert_eq!(store.take_notifications(after, 9, MINUTE).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_delivered_is_tried_later_and_later_and_then_put_aside() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    store.enqueue(&notification("a"), NOW).await.unwrap();
    let (mut now, mut pauses) = (NOW, Vec::new());
    loop {
        let taken = store.take_notifications(now, 1, MINUTE).await.unwrap();
        assert_eq!(taken.len(), 1);
        if !store.undelivered("a", "503", now).await.unwrap() {
            break;
        }
        let mut pause = 0;
        while store
            .take_notifications(now.plus(Duration::from_secs(pause)), 0, MINUTE)
            .await
            .unwrap()
            .is_empty()
            && sqlx::query(sql::OUTBOX_DUE)
                .bind(now.plus(Duration::from_secs(pause)).as_millis())
                .bind(i64::MAX)
                .bind(1)
                .fetch_all(&store.reader)
                .await
                .unwrap()
                .is_empty()
        {
            pause += 5;
        }
        pauses.push(pause);
        now = now.plus(Duration::from_secs(pause));
    }
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600]);
    assert!(
        store
            .take_notifications(now.plus(600 * MINUTE), 10, MINUTE)
            .await
            .unwrap()
            .is_empty()
    );
    let dead = store.dead_notifications().await.unwrap();
    assert_eq!(
        (dead.len(), dead[0].0.attempt, dead[0].1.as_str()),
        (1, 12, "503")
    );
}

fn entry(subject: &str) -> AuditEntry {
    AuditEntry {
        who: "ann".to_owned(),
        what: "enrol".to_owned(),
        subject: subject.to_owned(),
        outcome: "done".to_owned(),
    }
}

#[tokio::test]
async fn an_edited_audit_trail_is_seen() {
    for (edit, broken_at) in [
        ("UPDATE audit SET who = 'bob' WHERE seq = 3", Some(3)),
        ("UPDATE audit SET outcome = 'refused' WHERE seq = 1", Some(1)),
        ("UPDATE audit SET at = at + 1 WHERE seq = 5", Some(5)),
        (
            "UPDATE audit SET who = 'anne', what = 'nrol' WHERE seq = 2",
            Some(2),
        ),
        (
            "UPDATE audit SET hash = (SELECT hash FROM audit WHERE seq = 1) WHERE seq = 2",
            Some(2),
        ),
        ("DELETE FROM audit WHERE seq = 2", Some(2)),
        ("DELETE FROM audit WHERE seq = 1", Some(1)),
        ("UPDATE audit SET seq = 9 WHERE seq = 5", Some(5)),
        ("UPDATE hosts SET name = name", None),
    ] {
        let scratch = Scratch::new();
        let store = scratch.open().await;
        assert!(matches!(
            store.verify_chain().await.unwrap(),
            Chain::Intact { entries: 0, .. }
        ));
        for subject in ["a", "b", "c", "d", "e"] {
            store.audit(&entry(subject), NOW).await.unwrap();
        }
        let head = store.latest_audit(1).await.unwrap().remove(0).hash;
        assert_eq!(
            store.verify_chain().await.unwrap(),
            Chain::Intact { entries: 5, head }
        );
        by_hand(&store, edit).await;
        match (store.verify_chain().await.unwrap(), broken_at) {
            (Chain::Broken { seq, .. }, Some(expected)) => assert_eq!(seq, expected, "{edit}"),
            (Chain::Intact { .. }, None) => {}
            (chain, _) => panic!("{edit}: {chain:?}"),
        }
    }
}

#[tokio::test]
async fn a_long_audit_trail_is_read_to_its_end() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let mut write = store
        .write(Attempt::new("testing", "the audit trail"))
        .await
        .unwrap();
    for _ in 0..1500 {
        super::super::audit::append(&mut write, &entry("x"), NOW)
            .await
            .unwrap();
    }
    write.commit().await.unwrap();
    assert!(matches!(
        store.verify_chain().await.unwrap(),
        Chain::Intact { entries: 1500, .. }
    ));
    by_hand(&store, "UPDATE audit SET who = 'bob' WHERE seq = 1400").await;
    assert!(matches!(
        store.verify_chain().await.unwrap(),
        Chain::Broken { seq: 1400, .. }
    ));
}
