//! What the report of a quarantine tells of what came after it, and of what Masakari says.

use lazaret_attest::verdict::Verdict;
use serde_json::json as value;

use super::giving_back::*;
use super::*;
use crate::report::Report;
use crate::respond::release::SECOND_PERSON;
use crate::store::ItemState;

async fn report(bench: &Bench, case: &Case) -> Report {
    Report::gather(&bench.store, &case.id).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_report_tells_who_gave_the_host_back_and_by_which_verdict() {
    let (bench, _fake, daemon, quarantine) = out(1, Recovery::Nova, Verdict::Affirming).await;
    assert!(report(&bench, &quarantine).await.releases.is_empty());
    // Another tool enables it meanwhile.
    bench
        .world
        .with(|state| state.services.get_mut("cmp-1").unwrap().0 = true);
    let (cloud, stop) = (bench.world.cloud(), CancellationToken::new());
    daemon
        .look_again(&cloud, &quarantine.id, None, &stop)
        .await
        .unwrap();
    let id = ask(&bench, &quarantine, true).await;
    drive(&bench, &daemon, &id).await;
    let [waits] = report(&bench, &quarantine).await.releases.try_into().unwrap();
    assert_eq!(
        (waits.state.as_str(), waits.asked_by.as_str()),
        ("held", "cli:ann")
    );
    assert!(waits.items.iter().all(|item| item.state == "missing") && waits.items.len() == 2);
    assert!(waits.second_person && waits.agreed.is_none() && waits.verdict.is_none());

    settle_all(&bench, &quarantine).await;
    settle_item(&bench, &id, SECOND_PERSON, "cli:bob", ItemState::Ticked).await;
    again(&bench, &daemon, &id).await;
    let report = report(&bench, &quarantine).await;
    let [undone] = report.undone.as_slice() else {
        panic!("{:?}", report.undone)
    };
    assert!(
        undone.what.contains("ENABLED") && undone.ended_at.is_some(),
        "{undone:?}"
    );
    assert!(undone.who.as_ref().unwrap().contains("nova does not say"));
    let [release] = report.releases.as_slice() else {
        panic!("{:?}", report.releases)
    };
    let items: Vec<_> = release
        .items
        .iter()
        .map(|item| (item.item.as_str(), item.state.as_str(), item.by.as_deref()))
        .collect();
    assert_eq!(
        items,
        [
            ("message-bus", "ticked", Some("cli:ann")),
            ("disk-copies", "waived", Some("cli:ann"))
        ]
    );
    assert_eq!(release.agreed.as_ref().unwrap().by.as_deref(), Some("cli:bob"));
    let verdict = release.verdict.as_ref().unwrap();
    assert_eq!(verdict.verdict, "affirming");
    assert!(release.closed_at.is_some());
    for text in [report.markdown(), report.html(), report.json()] {
        for word in ["cli:bob", "disk-copies", &verdict.round.to_string(), "ENABLED"] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
    }
}

/// Masakari's word is shown, and nova's counts.
#[tokio::test]
async fn what_masakari_says_of_each_instance_is_shown_where_it_is_new_enough_to_say() {
    let first = "00000001-0000-4000-8000-000000000000";
    let row = |status: &str, to: Option<&str>, message: &str| value!({"instance_uuid": first, "status": status, "source_host": "cmp-1", "dest_host": to, "message": message});
    let tries = value!([
        row("failed", None, "No valid host"),
        row("succeeded", Some("cmp-2"), "")
    ]);
    for (moves, broken) in [(None, false), (Some(tries.clone()), false), (Some(tries), true)] {
        let mut bench = Bench::new(2, Recovery::Masakari).await;
        let told = moves.is_some();
        bench.world.with(|state| {
            state.segment = Some(true);
            state.vm_moves = moves;
        });
        let daemon = bench.daemon("a");
        bench.condemn(&daemon, &name(1), "aa").await;
        if broken {
            // The list of its hosts and its notifications are as they were.
            let path = "GET /v1/notifications/00000064-0000-4000-8000-000000000000/vmoves";
            bench
                .world
                .with(|state| state.faults = vec![(path, 99, How::Status(403, "{}"))]);
        }
        let case = bench.settle(Arc::clone(&daemon)).await;
        assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
        let report = report(&bench, &case).await;
        let asked = bench
            .world
            .server
            .seen()
            .iter()
            .filter(|line| line.contains("vmoves"))
            .count();
        assert_eq!(asked > 0, told);
        let said: Vec<_> = report
            .instances
            .iter()
            .map(|known| (known.is_on.clone().unwrap().to_string(), known.masakari.clone()))
            .collect();
        let words = (told && !broken).then(|| "succeeded, on cmp-2 (1 tries failed)".to_owned());
        // nova shows it on another host, and that is what is believed.
        assert_eq!(said, [("cmp-3".to_owned(), words), ("cmp-3".to_owned(), None)]);
        let trouble = report.timeline.iter().any(|moment| {
            moment
                .what
                .contains("what Masakari did with each instance cannot be read")
        });
        assert_eq!(trouble, broken);
    }
}
