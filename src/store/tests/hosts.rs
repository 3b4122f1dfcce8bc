//! Hosts, their keys and their challenges.

use super::*;

#[tokio::test]
async fn a_host_is_what_was_enrolled() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let mut new = new_host("cmp-1");
    new.policy = Some("/etc/lazaret/own.toml".into());
    store.enrol(&new, "root", false, NOW).await.unwrap();
    let known = store.host(&new.name).await.unwrap().unwrap();
    assert_eq!(known.enrolled, new);
    assert_eq!((known.enrolled_at, known.enrolled_by.as_str()), (NOW, "root"));
    assert_eq!(
        (known.last, known.history, known.silent_since),
        (None, None, None)
    );
    assert_eq!(store.host(&host("cmp-2")).await.unwrap(), None);
    enrolled(&store, "cmp-0").await;
    let names: Vec<_> = store
        .hosts()
        .await
        .unwrap()
        .into_iter()
        .map(|host| host.name().to_string())
        .collect();
    assert_eq!(names, ["cmp-0", "cmp-1"]);
}

#[tokio::test]
async fn case_08_another_key_of_a_known_host_needs_an_operator() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let name = enrolled(&store, "cmp-1").await;
    let mut recording = recording(round(&name, 1, Verdict::Affirming));
    recording.history = Some(Json::of(&7).unwrap());
    let lease = host_lease(&store, &name, NOW).await;
    store.record(&lease, &recording, NOW).await.unwrap();

    for (change, words) in [
        (
            (|host: &mut NewHost| host.ek_public_digest = Sha256Digest::of(b"x")) as fn(&mut NewHost),
            "endorsement",
        ),
        (|host| host.ak_name = vec![1], "attestation"),
        (|host| host.ak_public = vec![1], "attestation"),
        (|host| host.agent_key = Sha256Digest::of(b"x"), "TLS"),
    ] {
        let mut other = new_host("cmp-1");
        change(&mut other);
        let error = store.enrol(&other, "root", false, NOW).await.unwrap_err();
        assert!(matches!(error, EnrolError::KeyChanged { .. }), "{error}");
        let message = error.to_string();
        assert!(
            message.contains(words) && message.contains("--accept-new-key") && message.contains("cmp-1"),
            "{message}"
        );
    }
    assert_eq!(
        store.host(&name).await.unwrap().unwrap().enrolled,
        new_host("cmp-1"),
        "a refusal changes nothing"
    );

    // The same keys again keep the history; a new attestation key voids it.
    store.enrol(&new_host("cmp-1"), "root", false, NOW).await.unwrap();
    assert!(store.host(&name).await.unwrap().unwrap().history.is_some());
    let mut other = new_host("cmp-1");
    other.ak_name = vec![1];
    store.enrol(&other, "ann", true, NOW).await.unwrap();
    let known = store.host(&name).await.unwrap().unwrap();
    assert_eq!((known.enrolled, known.history), (other, None));
    let actions: Vec<_> = store
        .enrolments(Some(&name))
        .await
        .unwrap()
        .into_iter()
        .map(|e| (e.seq, e.action, e.by))
        .collect();
    let entry = |seq, action: &str, by: &str| (seq, action.to_owned(), by.to_owned());
    assert_eq!(
        actions,
        [
            entry(1, "enrolled", "root"),
            entry(2, "re-enrolled", "root"),
            entry(3, "new-key-accepted", "ann")
        ]
    );
}

#[tokio::test]
async fn case_09_one_tpm_under_two_hosts_is_refused_and_names_the_other() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    enrolled(&store, "cmp-1").await;
    let mut twin = new_host("cmp-2");
    twin.ek_public_digest = new_host("cmp-1").ek_public_digest;
    for accept_new_key in [false, true] {
        let error = store.enrol(&twin, "root", accept_new_key, NOW).await.unwrap_err();
        assert!(
            matches!(&error, EnrolError::EkElsewhere { other, .. } if other.as_str() == "cmp-1"),
            "{error}"
        );
    }
    assert_eq!(store.host(&twin.name).await.unwrap(), None);
    assert!(store.enrolments(Some(&twin.name)).await.unwrap().is_empty());

    store.remove_host(&host("cmp-1"), &removal(), NOW).await.unwrap();
    store.enrol(&twin, "root", false, NOW).await.unwrap();
    let gone = store.enrolments(Some(&host("cmp-1"))).await.unwrap();
    assert_eq!(gone.last().unwrap().action, "removed");
}

#[tokio::test]
async fn a_host_with_an_unclosed_case_is_not_forgotten() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let case = opened(&store, "cmp-1", 1).await;
    let error = store
        .remove_host(&host("cmp-1"), &removal(), NOW)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains(case.as_str()), "{error}");
    assert!(store.host(&host("cmp-1")).await.unwrap().is_some());
    let error = store
        .remove_host(&host("cmp-9"), &removal(), NOW)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Unknown { .. }), "{error}");
    assert!(
        store.latest_audit(9).await.unwrap().is_empty(),
        "what was refused was not done"
    );
}

fn removal() -> AuditEntry {
    AuditEntry {
        who: "root".into(),
        what: "remove".into(),
        subject: "host cmp-1".into(),
        outcome: "done: it is scrap".into(),
    }
}

/// Removing it and enrolling it again is no way around a release.
#[tokio::test]
async fn case_74_a_host_that_was_removed_in_quarantine_is_in_it_again_once_it_is_enrolled() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let case = opened(&store, "cmp-1", 1).await;
    let name = host("cmp-1");
    let lease = case_lease(&store, &case, NOW).await;
    let says = Json::empty();
    for step in ["disable", "fence"] {
        store.begin_step(&lease, step, &says, NOW).await.unwrap();
    }
    let outcome = Outcome {
        reason: "out".into(),
        detail: Json::empty(),
    };
    store.close_case(&lease, &outcome, &[], NOW).await.unwrap();
    let quarantined = || async { store.host(&name).await.unwrap().unwrap().quarantined_by };
    assert_eq!(quarantined().await, Some(case.clone()));
    let enrolled = store.host(&name).await.unwrap().unwrap().enrolled;
    store.remove_host(&name, &removal(), NOW).await.unwrap();
    assert_eq!(store.host(&name).await.unwrap(), None);
    assert_eq!(store.latest_audit(9).await.unwrap()[0].entry, removal());
    store.enrol(&enrolled, "root", false, NOW).await.unwrap();
    assert_eq!(quarantined().await, Some(case));
    // One that was given back before is not.
    store.end_quarantine(&name).await.unwrap();
    store.remove_host(&name, &removal(), NOW).await.unwrap();
    store.enrol(&enrolled, "root", false, NOW).await.unwrap();
    assert_eq!(quarantined().await, None);
}

/// The clock was put back between the two: the later one was opened earlier, by what is written.
#[tokio::test]
async fn a_host_that_was_removed_is_in_its_last_quarantine_again_whatever_the_clock_said() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let name = host("cmp-1");
    let mut cases = Vec::new();
    for (number, at) in [(1, NOW), (2, NOW.minus(60 * MINUTE))] {
        enrolled(&store, "cmp-1").await;
        let mut recording = recording(round(&name, number, Verdict::Contraindicated));
        let case = new_case(&name, number, recording.round.id);
        cases.push(case.id.clone());
        recording.case = Some(case);
        let lease = host_lease(&store, &name, at).await;
        store.record(&lease, &recording, at).await.unwrap();
        store.release(lease).await.unwrap();
        let lease = case_lease(&store, &cases[cases.len() - 1], at).await;
        for step in ["disable", "fence"] {
            store.begin_step(&lease, step, &Json::empty(), at).await.unwrap();
        }
        let outcome = Outcome {
            reason: "out".into(),
            detail: Json::empty(),
        };
        store.close_case(&lease, &outcome, &[], at).await.unwrap();
        if number == 1 {
            store.end_quarantine(&name).await.unwrap();
        }
    }
    let known = store.host(&name).await.unwrap().unwrap();
    assert_eq!(known.quarantined_by.as_ref(), Some(&cases[1]));
    store.remove_host(&name, &removal(), NOW).await.unwrap();
    store.enrol(&known.enrolled, "root", false, NOW).await.unwrap();
    let again = store.host(&name).await.unwrap().unwrap().quarantined_by;
    assert_eq!(again.as_ref(), Some(&cases[1]));
}

fn challenge(nonce: u8, name: &HostName) -> NewChallenge {
    NewChallenge {
        nonce: [nonce; 32],
        host: name.clone(),
        round: RoundId::new([nonce; 16]),
        ima_first: 12,
        expires_at: NOW.plus(MINUTE),
    }
}

#[tokio::test]
async fn a_challenge_is_spent_once_by_whoever_comes_first() {
    let scratch = Scratch::new();
    let stores = [scratch.open().await, scratch.open().await];
    let name = host("cmp-1");
    for nonce in 0..8 {
        stores[0].offer(&challenge(nonce, &name), NOW).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..16 {
            let (store, name) = (stores[task % 2].clone(), name.clone());
            tasks.spawn(async move { store.spend(&[nonce; 32], &name, NOW).await });
        }
        let results = tasks.join_all().await;
        let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(won.len(), 1);
        assert_eq!(
            (&won[0].challenge, won[0].offered_at),
            (&challenge(nonce, &name), NOW)
        );
        let lost = results
            .iter()
            .filter(|result| matches!(result, Err(SpendError::Spent { .. })))
            .count();
        assert_eq!(lost, 15, "{results:?}");
    }
}

#[tokio::test]
async fn a_challenge_of_another_host_or_too_late_is_not_spent() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let name = host("cmp-1");
    store.offer(&challenge(1, &name), NOW).await.unwrap();
    let error = store.spend(&[1; 32], &host("cmp-2"), NOW).await.unwrap_err();
    assert!(matches!(error, SpendError::NeverOffered { .. }), "{error}");
    let error = store.spend(&[2; 32], &name, NOW).await.unwrap_err();
    assert!(matches!(error, SpendError::NeverOffered { .. }), "{error}");
    let error = store.spend(&[1; 32], &name, NOW.plus(MINUTE)).await.unwrap_err();
    assert!(matches!(error, SpendError::Expired { .. }), "{error}");
    store.spend(&[1; 32], &name, NOW).await.unwrap();
    let error = store.offer(&challenge(1, &name), NOW).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Refused { .. }),
        "one nonce twice: {error}"
    );
}

#[tokio::test]
async fn old_challenges_go_a_few_at_a_time() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    for nonce in 0..5 {
        store.offer(&challenge(nonce, &host("cmp-1")), NOW).await.unwrap();
    }
    let later = NOW.plus(2 * MINUTE);
    assert_eq!(store.purge_challenges(NOW, 100).await.unwrap(), 0);
    assert_eq!(store.purge_challenges(later, 3).await.unwrap(), 3);
    assert_eq!(store.purge_challenges(later, 3).await.unwrap(), 2);
}
