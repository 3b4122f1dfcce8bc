//! A host that somebody powers on in the middle of its evacuation; and destinations that need their time.

use super::leave::until;
use super::*;

/// nova has no word of it yet: its nova-compute is not up. The BMC says so, before any further instance is begun.
#[tokio::test]
async fn case_20_a_host_powered_on_in_the_middle_of_its_evacuation_is_fenced_again_first() {
    let mut bench = Bench::new(5, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let state = Arc::clone(&bench.world.state);
    // Three are under way at once. When they are, somebody switches the host on.
    let somebody = tokio::spawn(async move {
        loop {
            {
                let mut state = state.lock().unwrap();
                if state.effects.iter().any(|effect| effect == "evacuate 3") {
                    (state.off, state.booting) = (false, true);
                    return;
                }
            }
            tokio::task::yield_now().await;
        }
    });
    let case = bench.settle(daemon).await;
    somebody.await.unwrap();
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    let effects = bench.effects();
    let again = effects.iter().rposition(|effect| effect == "off cmp-1").unwrap();
    let place = |wanted: &str| effects.iter().position(|effect| effect == wanted).unwrap();
    assert!(
        place("evacuate 3") < again && again < place("evacuate 4"),
        "{effects:?}"
    );
    assert!(bench.kinds().await.contains(&"tampering-suspected".to_owned()));
    let journal = bench.store.journal_of(&case.id).await.unwrap();
    assert!(
        journal
            .iter()
            .any(|entry| entry.detail.as_str().contains("somebody has powered it on since"))
    );
}

/// While nobody can tell the power, nothing more is begun; and nothing is switched either. A BMC that restarts answers
/// again after a while, longer than a step has attempts, and the evacuation goes on by itself.
#[tokio::test]
async fn nothing_more_is_evacuated_while_the_power_cannot_be_read() {
    let mut bench = Bench::new(5, Recovery::Nova).await;
    let daemon = bench.daemon("a");
    bench.condemn(&daemon, &name(1), "aa").await;
    let reads = || bench.world.server.count("GET /redfish");
    let somebody = async {
        until(|| bench.effects().contains(&"evacuate 3".to_owned())).await;
        let silent = vec![("GET /redfish", usize::MAX, How::Status(500, "{}"))];
        bench.world.with(|state| state.faults = silent);
        let before = reads();
        until(|| reads() > before + 12).await;
        let effects = bench.effects();
        assert!(!effects.contains(&"evacuate 4".to_owned()), "{effects:?}");
        bench.world.with(|state| state.faults.clear());
    };
    let (case, ()) = tokio::join!(bench.settle(daemon), somebody);
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    let effects = bench.effects();
    assert_eq!(effects.iter().filter(|effect| *effect == "off cmp-1").count(), 1);
    assert!(effects.contains(&"evacuate 5".to_owned()), "{effects:?}");
    let journal = bench.store.journal_of(&case.id).await.unwrap();
    let said = |entry: &&crate::store::JournalEntry| {
        entry
            .detail
            .as_str()
            .contains("the power of cmp-1 cannot be read")
    };
    assert_eq!(journal.iter().filter(said).count(), 1, "said once");
}

/// How often the power is read is bounded, however long an evacuation takes.
#[tokio::test]
async fn the_power_is_read_every_other_pace_at_most() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let mut daemon = Arc::into_inner(bench.daemon("a")).unwrap();
    daemon.pace = Duration::from_millis(100);
    let daemon = Arc::new(daemon);
    bench.condemn(&daemon, &name(1), "aa").await;
    // So that it takes a while.
    bench
        .world
        .with(|state| state.guests.get_mut(&1).unwrap().ends = vec!["failed"]);
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    let seen = bench.world.server.seen();
    let first = seen
        .iter()
        .position(|line| line.contains("/servers/") && line.contains("/action"))
        .unwrap();
    let reads = |what: &str| seen[first..].iter().filter(|line| line.starts_with(what)).count();
    let (looks, power) = (
        reads("GET /v2.1/servers/detail"),
        reads("GET /redfish/v1/Systems/1"),
    );
    assert!(looks >= 20, "{looks}");
    assert!(power * 2 <= looks + 2, "{power} readings in {looks} looks");
}

/// The first destination restarts. Back to back both tries would be spent on it; the others do not wait for it.
#[tokio::test]
async fn case_34_an_instance_whose_evacuation_failed_is_left_alone_for_a_while_before_the_next_try() {
    let mut bench = Bench::new(6, Recovery::Nova).await;
    let mut daemon = Arc::into_inner(bench.daemon("a")).unwrap();
    daemon.pace = Duration::from_millis(20);
    let daemon = Arc::new(daemon);
    bench
        .world
        .with(|state| state.guests.get_mut(&1).unwrap().ends = vec!["failed"]);
    bench.condemn(&daemon, &name(1), "aa").await;
    let state = Arc::clone(&bench.world.state);
    let times = tokio::spawn(async move {
        let mut asked = Vec::new();
        while asked.len() < 2 {
            let count = {
                let state = state.lock().unwrap();
                state
                    .effects
                    .iter()
                    .filter(|effect| *effect == "evacuate 1")
                    .count()
            };
            if count > asked.len() {
                asked.push(tokio::time::Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        asked[1] - asked[0]
    });
    let case = bench.settle(daemon).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{case:?}");
    let between = times.await.unwrap();
    assert!(between >= Duration::from_millis(600), "{between:?}");
    let effects = bench.effects();
    let last = effects.iter().rposition(|effect| effect == "evacuate 1").unwrap();
    let six = effects.iter().position(|effect| effect == "evacuate 6").unwrap();
    assert!(six < last, "{effects:?}");
}
