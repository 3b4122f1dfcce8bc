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
