//! What a fenced host does when mains power returns. The BMC is a fake: sushy-tools, which the lab has, knows no power
//! restore policy.

use lazaret_attest::verdict::Verdict;

use super::giving_back::*;
use super::*;
use crate::respond::journal::Entry;
use crate::store::{JournalEntry, Phase};

fn policy(bench: &Bench) -> Option<String> {
    bench.world.with(|state| state.restore_policy.clone())
}

fn of_power(bench: &Bench) -> Vec<String> {
    let of = ["off", "on ", "restore"];
    let effects = bench.effects().into_iter();
    effects
        .filter(|effect| of.iter().any(|word| effect.starts_with(word)))
        .collect()
}

async fn says(bench: &Bench, case: &Case) -> String {
    let journal = bench.store.journal_of(&case.id).await.unwrap();
    journal
        .iter()
        .map(|entry| Entry::read(&entry.detail).says + "\n")
        .collect()
}

fn place(journal: &[JournalEntry], phase: Phase, words: &str) -> usize {
    journal
        .iter()
        .position(|entry| entry.phase == phase && Entry::read(&entry.detail).says.contains(words))
        .unwrap_or_else(|| panic!("no {phase:?} with {words}"))
}

#[tokio::test]
async fn case_21_a_fenced_host_stays_off_when_mains_power_returns_until_it_is_given_back() {
    for was in ["LastState", "AlwaysOn", "AlwaysOff"] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        bench
            .world
            .with(|state| state.restore_policy = Some(was.to_owned()));
        let fake = Fake::says(&bench, Verdict::Affirming);
        let daemon = with(&bench, "a", &fake);
        bench.condemn(&daemon, &name(1), "aa").await;
        let quarantine = bench.settle(Arc::clone(&daemon)).await;
        assert!(
            matches!(quarantine.state, CaseState::Closed { .. }),
            "{quarantine:?}"
        );
        assert_eq!(policy(&bench).as_deref(), Some("AlwaysOff"));
        let journal = bench.store.journal_of(&quarantine.id).await.unwrap();
        if was == "AlwaysOff" {
            assert_eq!(of_power(&bench), ["off cmp-1"]);
        } else {
            assert_eq!(of_power(&bench), ["off cmp-1", "restore AlwaysOff"]);
            // What it was is written down before it is changed.
            assert!(
                place(&journal, Phase::Note, &format!("is {was}"))
                    < place(&journal, Phase::Intent, "power restore policy to AlwaysOff")
            );
        }
        place(&journal, Phase::Note, "keeps the host off");
        bench.world.with(|state| state.effects.clear());
        settle_all(&bench, &quarantine).await;
        let id = ask(&bench, &quarantine, false).await;
        let release = drive(&bench, &daemon, &id).await;
        assert!(matches!(release.state, CaseState::Closed { .. }), "{release:?}");
        assert_eq!(policy(&bench).as_deref(), Some(was));
        if was == "AlwaysOff" {
            assert_eq!(of_power(&bench), ["on cmp-1"]);
        } else {
            assert_eq!(
                of_power(&bench),
                ["on cmp-1".to_owned(), format!("restore {was}")]
            );
            let said = says(&bench, &release).await;
            assert!(said.contains(&format!("is {was} again")), "{said}");
        }
    }
}

/// Somebody who knows the BMC's password changes it back; what the first record says is given back in the end.
#[tokio::test]
async fn a_policy_that_was_changed_back_is_put_back_and_told_each_time() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench
        .world
        .with(|state| state.restore_policy = Some("LastState".into()));
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    let (cloud, stop) = (bench.world.cloud(), CancellationToken::new());
    let look = || daemon.look_again(&cloud, &quarantine.id, None, &stop);
    look().await.unwrap();
    assert_eq!(bench.effects(), Vec::<String>::new());
    bench.clock.advance(Duration::from_secs(30));
    assert!(!bench.kinds().await.contains(&"drift".to_owned()));
    for time in 1..=2 {
        bench
            .world
            .with(|state| state.restore_policy = Some("AlwaysOn".into()));
        look().await.unwrap();
        assert_eq!(bench.effects(), vec!["restore AlwaysOff"; time]);
        bench.clock.advance(Duration::from_secs(30));
        let told = bench.kinds().await;
        assert_eq!(told.iter().filter(|kind| *kind == "drift").count(), time);
    }
    let said = says(&bench, &quarantine).await;
    assert!(
        said.contains("set to AlwaysOn; who did it is in the BMC's own log"),
        "{said}"
    );
    assert!(said.contains("it was put back: redfish"), "{said}");
    // It cannot be put back: that is told, and tried again.
    bench.world.with(|state| {
        state.restore_policy = Some("AlwaysOn".into());
        state.faults = vec![("PATCH /redfish", 99, How::Status(500, "{}"))];
    });
    look().await.unwrap();
    assert!(
        says(&bench, &quarantine)
            .await
            .contains("could not be put back: redfish")
    );
    bench.world.with(|state| state.faults.clear());
    look().await.unwrap();
    assert_eq!(policy(&bench).as_deref(), Some("AlwaysOff"));
    bench.world.with(|state| state.effects.clear());
    settle_all(&bench, &quarantine).await;
    let id = ask(&bench, &quarantine, false).await;
    drive(&bench, &daemon, &id).await;
    assert_eq!(policy(&bench).as_deref(), Some("LastState"));
}

/// No obstacle to the case, and no drift that nobody can mend.
#[tokio::test]
async fn a_bmc_that_has_no_policy_or_refuses_is_told_of_and_no_obstacle() {
    for (has, words) in [(false, "no method can say"), (true, "the BMC answered 405")] {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        bench.world.with(|state| {
            state.restore_policy = has.then(|| "LastState".to_owned());
            state.faults = vec![("PATCH /redfish", 99, How::Status(405, "{}"))];
        });
        let fake = Fake::says(&bench, Verdict::Affirming);
        let daemon = with(&bench, "a", &fake);
        let quarantine = quarantined(&mut bench, &daemon).await;
        let said = says(&bench, &quarantine).await;
        assert_eq!(said.matches(words).count(), 1 + usize::from(has), "{said}");
        let (cloud, stop) = (bench.world.cloud(), CancellationToken::new());
        daemon
            .look_again(&cloud, &quarantine.id, None, &stop)
            .await
            .unwrap();
        assert!(!bench.kinds().await.contains(&"drift".to_owned()));
        settle_all(&bench, &quarantine).await;
        let id = ask(&bench, &quarantine, false).await;
        let release = drive(&bench, &daemon, &id).await;
        assert!(matches!(release.state, CaseState::Closed { .. }), "{release:?}");
        assert_eq!(bench.effects(), GIVEN_BACK);
    }
}

/// What cannot be given back is not changed.
#[tokio::test]
async fn a_policy_in_an_unknown_word_is_left_as_it_is_and_told() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench
        .world
        .with(|state| state.restore_policy = Some("hunter2".into()));
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    let said = says(&bench, &quarantine).await;
    assert!(
        said.contains("none of the standard's") && !said.contains("hunter2"),
        "{said}"
    );
    assert_eq!(policy(&bench).as_deref(), Some("hunter2"));
}

/// Instances wait for this: a BMC that just failed is not waited for once more.
#[tokio::test]
async fn a_bmc_that_just_failed_is_not_asked_and_the_other_keeps_the_host_off() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench.world.with(|state| {
        state.second_bmc = true;
        state.restore_policy = Some("LastState".into());
        state.faults = vec![("GET /redfish/v1/Systems/1", 999, How::Status(500, "{}"))];
    });
    let daemon = bench.daemon("a");
    let quarantine = quarantined(&mut bench, &daemon).await;
    assert_eq!(policy(&bench).as_deref(), Some("AlwaysOff"));
    let said = says(&bench, &quarantine).await;
    assert!(said.contains("failed just now, and was not asked"), "{said}");
    assert!(said.contains("redfish localhost"), "{said}");
}

/// Whoever set another one while the host was out had a reason.
#[tokio::test]
async fn a_policy_that_a_person_set_meanwhile_is_left() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    bench
        .world
        .with(|state| state.restore_policy = Some("LastState".into()));
    let fake = Fake::says(&bench, Verdict::Affirming);
    let daemon = with(&bench, "a", &fake);
    let quarantine = quarantined(&mut bench, &daemon).await;
    bench
        .world
        .with(|state| state.restore_policy = Some("AlwaysOn".into()));
    settle_all(&bench, &quarantine).await;
    let id = ask(&bench, &quarantine, false).await;
    let release = drive(&bench, &daemon, &id).await;
    assert_eq!(policy(&bench).as_deref(), Some("AlwaysOn"));
    let said = says(&bench, &release).await;
    assert!(said.contains("was LastState and is AlwaysOn"), "{said}");
}

/// Killed around the change: what it was is not lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_around_the_change_the_policy_is_kept_and_given_back_all_the_same() {
    let mut bench = Bench::new(1, Recovery::Nova).await;
    let last_state = |bench: &Bench| {
        bench
            .world
            .with(|state| state.restore_policy = Some("LastState".into()));
    };
    last_state(&bench);
    let calm = bench.daemon("calm");
    bench.condemn(&calm, &name(1), "aa").await;
    let before = bench.world.server.seen().len();
    bench.settle(Arc::clone(&calm)).await;
    let seen = bench.world.server.seen();
    let patch = seen[before..]
        .iter()
        .position(|line| line.starts_with("PATCH /redfish"))
        .unwrap();
    for nth in patch - 2..=patch + 3 {
        let mut bench = Bench::new(1, Recovery::Nova).await;
        last_state(&bench);
        let fake = Fake::says(&bench, Verdict::Affirming);
        let first = with(&bench, "first", &fake);
        bench.condemn(&first, &name(1), "aa").await;
        bench.world.cut_at(nth);
        let cut = Arc::clone(&bench.world.cut);
        tokio::select! {
            () = cut.notified() => {}
            _ = bench.settle(Arc::clone(&first)) => panic!("not cut off at {nth}"),
        }
        drop(first);
        bench.clock.advance(Duration::from_secs(61));
        let second = with(&bench, "second", &fake);
        let quarantine = bench.settle(Arc::clone(&second)).await;
        assert_eq!(policy(&bench).as_deref(), Some("AlwaysOff"), "cut at {nth}");
        let changes = of_power(&bench).len();
        assert_eq!(changes, 2, "cut at {nth}: {:?}", bench.effects());
        settle_all(&bench, &quarantine).await;
        let id = ask(&bench, &quarantine, false).await;
        drive(&bench, &second, &id).await;
        assert_eq!(policy(&bench).as_deref(), Some("LastState"), "cut at {nth}");
    }
}
