//! A database that fails in the middle of a round. The faults are SQLite's own: a statement that it refuses, and a lock that
//! somebody else keeps.

use super::*;
use crate::store::tests::broken::{behind, breaks, mended};
use crate::store::{RecordError, StoreError};

/// A round that condemns, as the watch records it: evidence first.
async fn condemned(bench: &mut Bench, daemon: &Respond, lease: &Lease) -> Result<Decision, RecordError> {
    bench.rounds += 1;
    bench.clock.advance(Duration::from_millis(1));
    let now = bench.clock.now();
    let evidence = bench.store.put_evidence(&bench.rounds.to_be_bytes(), now).await?;
    let mut id = [0; 16];
    id[..4].copy_from_slice(&bench.rounds.to_be_bytes());
    let recording = Recording {
        round: Round {
            id: RoundId::new(id),
            host: name(1),
            purpose: Purpose::Scheduled,
            confirms: None,
            started_at: now,
            finished_at: now,
            verdict: Verdict::Contraindicated,
            findings: json(&[finding("aa")]),
            claims: Json::empty(),
            timings: Json::empty(),
            evidence: Some(evidence),
            policy: None,
        },
        history: None,
        answered: true,
        next_due: None,
        case: None,
        notifications: vec![],
    };
    daemon.on_round(lease, recording).await
}

/// Wherever in the round it fails: the older result stands whole, nobody is told, no case is opened. The next round that
/// can be written opens the case, and has the evidence of both.
#[tokio::test]
async fn case_72_a_database_that_fails_anywhere_in_a_round_leaves_the_older_result_and_no_half_of_a_case() {
    for (what, table) in [
        ("INSERT", "evidence"),
        ("INSERT", "rounds"),
        ("UPDATE", "hosts"),
        ("INSERT", "cases"),
        ("INSERT", "case_steps"),
        ("INSERT", "case_instances"),
        ("INSERT", "case_evidence"),
        ("INSERT", "outbox"),
    ] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        let daemon = bench.daemon("a");
        let path = bench.store.path().to_owned();
        let lease = bench.host_lease(&name(1)).await;
        assert_eq!(
            condemned(&mut bench, &daemon, &lease).await.unwrap(),
            Decision::Confirm
        );
        let before = bench.store.host(&name(1)).await.unwrap();
        breaks(&path, what, table).await;
        for _ in 0..2 {
            let error = condemned(&mut bench, &daemon, &lease).await.unwrap_err();
            assert!(
                error.to_string().contains("cmp-1") || table == "evidence",
                "{table}: {error}"
            );
            assert_eq!(bench.store.host(&name(1)).await.unwrap(), before, "{table}");
            assert_eq!(
                bench.store.latest_rounds(&name(1), 9).await.unwrap().len(),
                1,
                "{table}"
            );
            assert_eq!(
                bench.store.cases(&CaseFilter::default()).await.unwrap(),
                [],
                "{table}"
            );
            assert_eq!(bench.kinds().await, Vec::<String>::new(), "{table}");
        }
        mended(&path).await;
        assert_eq!(
            condemned(&mut bench, &daemon, &lease).await.unwrap(),
            Decision::OpenCase
        );
        let case = bench.case().await;
        let kept = bench.store.case_evidence(&case.id).await.unwrap();
        assert_eq!(
            kept.iter().map(|(role, _)| role.as_str()).collect::<Vec<_>>(),
            ["condemned", "confirmed"]
        );
        for (role, digest) in kept {
            assert!(
                bench.store.evidence(digest).await.unwrap().is_some(),
                "{table}: {role}"
            );
        }
        assert_eq!(bench.kinds().await, ["case-opened"], "{table}");
    }
}

/// Somebody else keeps the database for longer than a writer waits.
#[tokio::test]
async fn case_72_a_database_that_somebody_keeps_locked_fails_the_round_and_not_the_daemon() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    let path = bench.store.path().to_owned();
    let lease = bench.host_lease(&name(1)).await;
    condemned(&mut bench, &daemon, &lease).await.unwrap();
    let mut other = behind(&path).await;
    other.keeps_it_locked().await;
    let error = condemned(&mut bench, &daemon, &lease).await.unwrap_err();
    assert!(
        matches!(error, RecordError::Store(StoreError::Locked { .. })),
        "{error}"
    );
    assert_eq!(bench.store.latest_rounds(&name(1), 9).await.unwrap().len(), 1);
    other.lets_go().await;
    assert_eq!(
        condemned(&mut bench, &daemon, &lease).await.unwrap(),
        Decision::OpenCase
    );
}
