//! Cases that a person ends before they are through, and what becomes of their hosts.

use lazaret_attest::verdict::Verdict;

use super::giving_back::*;
use super::*;
use crate::ids::CaseId;
use crate::respond::journal::touched;
use crate::store::{Outcome, Phase, StepState};

/// As `lazaret quarantine dismiss` does.
async fn dismiss(bench: &Bench, id: &CaseId) -> Vec<String> {
    let steps = bench.store.steps(id).await.unwrap();
    let done = touched(&steps, &bench.store.journal_of(id).await.unwrap());
    let outcome = Outcome {
        reason: "dismissed by ann: a mistake".into(),
        detail: Json::from(serde_json::json!({ "dismissed_by": "ann", "steps_begun": done })),
    };
    let (lease, now) = (lease(bench, id).await, bench.clock.now());
    let dismissed = bench.store.dismiss_case(&lease, &outcome, done.is_empty(), now);
    dismissed.await.unwrap();
    bench.store.release(lease).await.unwrap();
    done
}

async fn lease(bench: &Bench, id: &CaseId) -> Lease {
    let (kind, now) = (LeaseKind::Case(id.clone()), bench.clock.now());
    let lease = bench.store.lease(kind, "b", now, Duration::from_secs(60)).await;
    lease.unwrap().unwrap()
}

/// A case that is held before it sent anything leaves its host as any other: the next break-in is not taken for a known one.
#[tokio::test]
async fn a_host_whose_case_was_dismissed_before_it_did_anything_is_in_no_quarantine() {
    for sent in [false, true] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        let daemon = bench.daemon("a");
        bench.condemn(&daemon, &name(1), "aa").await;
        let case = bench.store.unclosed_case(&name(1)).await.unwrap().unwrap();
        let (lease, now) = (lease(&bench, &case.id).await, bench.clock.now());
        let says = journal::Entry::says("x").json();
        let store = &bench.store;
        store.begin_step(&lease, "announce", &says, now).await.unwrap();
        let announced = store.end_step(&lease, "announce", StepState::Done, None, &says, now);
        announced.await.unwrap();
        // The limits are asked in here, before anything is sent.
        store.begin_step(&lease, "disable", &says, now).await.unwrap();
        if sent {
            let intent = store.journal(&lease, "disable", Phase::Intent, &says, now);
            intent.await.unwrap();
        }
        let held = CaseState::Held {
            reason: "the last host of its zone".into(),
        };
        store.stop_case(&lease, &held, &[], now).await.unwrap();
        store.release(lease).await.unwrap();
        assert_eq!(held_by(&bench).await, Some(case.id.clone()));

        let done = dismiss(&bench, &case.id).await;
        assert_eq!(done.contains(&"disable".to_owned()), sent);
        assert_eq!(held_by(&bench).await.is_some(), sent);
        bench.condemn(&daemon, &name(1), "bb").await;
        let next = bench.store.unclosed_case(&name(1)).await.unwrap();
        assert_eq!(next.is_some(), !sent, "{next:?}");
    }
}

/// It was disabled and isolated, and never fenced nor forced down: nobody puts back what was never done.
#[tokio::test]
async fn a_host_whose_case_was_dismissed_before_the_force_down_is_given_back() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let refused = ("POST /redfish", 999, How::Status(400, "{}"));
    bench.world.with(|state| state.faults = vec![refused]);
    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(Arc::clone(&daemon)).await;
    assert!(matches!(case.state, CaseState::Stuck { .. }), "{case:?}");
    let done = dismiss(&bench, &case.id).await;
    assert_eq!(done[..2], ["disable", "isolate"], "{done:?}");
    assert_eq!(held_by(&bench).await, Some(case.id.clone()));
    bench.world.with(|state| {
        state.faults.clear();
        state.effects.clear();
    });

    settle_all(&bench, &case).await;
    let id = ask(&bench, &case, false).await;
    // Enabled by somebody: the hold-down has to put that back first.
    let enabled = |on| {
        bench
            .world
            .with(|state| state.services.get_mut("cmp-1").unwrap().0 = on)
    };
    enabled(true);
    let release = drive(&bench, &daemon, &id).await;
    assert!(
        matches!(&release.state, CaseState::Stuck { reason } if reason.contains("is not disabled; ")),
        "{release:?}"
    );
    enabled(false);
    let release = again(&bench, &daemon, &id).await;
    assert!(matches!(release.state, CaseState::Closed { .. }), "{release:?}");
    assert_eq!(bench.effects(), ["leave cmp-1", "enable cmp-1"]);
    assert_eq!(held_by(&bench).await, None);
}
