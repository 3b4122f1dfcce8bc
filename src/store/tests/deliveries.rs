//! Notifications: queued once, handed to each receiver, tried again, given up, and sent again by a person.

use super::*;

const RECEIVERS: [&str; 2] = ["pager", "chat"];

async fn handed(store: &Store, keys: &[&str]) {
    for key in keys {
        store.enqueue(&notification(key), NOW).await.unwrap();
    }
    let all = |_: &Notification| RECEIVERS.map(str::to_owned).to_vec();
    store.hand_out(NOW, 100, all).await.unwrap();
}

fn failed(why: &str) -> Failure {
    Failure {
        why: why.to_owned(),
        ..Failure::default()
    }
}

async fn due(store: &Store, receiver: &str, now: Timestamp) -> Vec<Notification> {
    store.take_deliveries(receiver, now, 10, MINUTE).await.unwrap()
}

#[tokio::test]
async fn an_event_is_queued_once_and_taken_by_one() {
    let scratch = Scratch::new();
    let stores = [scratch.open().await, scratch.open().await];
    handed(&stores[0], &["a", "b", "a"]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8 {
        let store = stores[task % 2].clone();
        tasks.spawn(async move { due(&store, "pager", NOW).await });
    }
    let taken: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 2, "{taken:?}");
    assert!(taken.iter().all(|notification| notification.attempt == 1));
    let store = &stores[0];
    store.delivered("a", "pager", NOW).await.unwrap();
    // Whoever took it may have died: after the hold somebody else gets it.
    let again = due(store, "pager", NOW.plus(MINUTE)).await;
    let seen: Vec<_> = again.iter().map(|n| (n.key.as_str(), n.attempt)).collect();
    assert_eq!(seen, [("b", 2)]);
    // What arrived is neither queued nor handed out again.
    assert!(!store.enqueue(&notification("a"), NOW.plus(MINUTE)).await.unwrap());
    handed(store, &[]).await;
    assert_eq!(due(store, "pager", NOW.plus(MINUTE)).await, []);
    assert_eq!(due(store, "chat", NOW).await.len(), 2, "the other receiver's own");
}

#[tokio::test]
async fn two_daemons_hand_an_event_out_once() {
    let scratch = Scratch::new();
    let stores = [scratch.open().await, scratch.open().await];
    stores[0].enqueue(&notification("a"), NOW).await.unwrap();
    let hand = |store: Store| async move {
        store
            .hand_out(NOW, 9, |_| vec!["pager".to_owned()])
            .await
            .unwrap()
    };
    let (one, other) = tokio::join!(hand(stores[0].clone()), hand(stores[1].clone()));
    assert_eq!(one + other, 1);
}

#[tokio::test]
async fn a_topic_is_quiet_for_its_time_and_told_again_after_it() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let told = async |key: &str, topic: &str, now| {
        let quiet = Some(Quiet {
            topic: topic.to_owned(),
            within: 10 * MINUTE,
        });
        let new = NewNotification {
            quiet,
            ..notification(key)
        };
        store.enqueue(&new, now).await.unwrap()
    };
    assert!(told("1", "drift cmp-1", NOW).await);
    assert!(!told("2", "drift cmp-1", NOW.plus(9 * MINUTE)).await);
    assert!(told("3", "drift cmp-2", NOW.plus(9 * MINUTE)).await);
    assert!(told("4", "drift cmp-1", NOW.plus(10 * MINUTE)).await);
    // A clock that was ahead keeps nothing quiet.
    assert!(told("5", "drift cmp-1", NOW.minus(MINUTE)).await);
}

#[tokio::test]
async fn a_retry_is_not_put_to_sleep_by_a_clock_that_is_put_back() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    handed(&store, &["a"]).await;
    assert_eq!(due(&store, "pager", NOW).await.len(), 1);
    assert!(
        store
            .undelivered("a", "pager", &failed("503"), NOW)
            .await
            .unwrap()
    );
    assert_eq!(due(&store, "pager", NOW).await, []);
    let back = NOW.minus(61 * MINUTE);
    assert_eq!(due(&store, "pager", back).await.len(), 1);
    // Once, and then by the clock that there is.
    assert_eq!(due(&store, "pager", back).await, []);
    assert_eq!(due(&store, "pager", back.plus(MINUTE)).await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_delivered_is_tried_for_three_days_and_then_put_aside() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    handed(&store, &["a"]).await;
    let (mut now, mut pauses) = (NOW, Vec::new());
    loop {
        assert_eq!(due(&store, "pager", now).await.len(), 1);
        if !store
            .undelivered("a", "pager", &failed("503"), now)
            .await
            .unwrap()
        {
            break;
        }
        let mut told = store.notifications(9).await.unwrap();
        let pager = told.remove(0).1.remove(1);
        assert_eq!(pager.receiver, "pager");
        let pause = pager.next_attempt_at.since(now);
        assert_eq!(
            due(
                &store,
                "pager",
                pager.next_attempt_at.minus(Duration::from_millis(1))
            )
            .await,
            []
        );
        pauses.push(pause.as_secs());
        now = pager.next_attempt_at;
    }
    assert_eq!(
        pauses[..12],
        [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]
    );
    let days = now.since(NOW).as_secs_f64() / 86_400.0;
    assert!((2.9..3.1).contains(&days), "{days} days");
    assert_eq!(due(&store, "pager", now.plus(600 * MINUTE)).await, []);
    let dead = store.dead_letters().await.unwrap();
    let seen: Vec<_> = dead
        .iter()
        .map(|(told, way)| {
            (
                told.key.as_str(),
                way.receiver.as_str(),
                way.attempts,
                way.error.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [("a", "pager", 80, Some("503"))],
        "the other receiver's is not dead"
    );
    assert_eq!(due(&store, "chat", NOW).await.len(), 1);
}

#[tokio::test]
async fn a_receiver_that_asks_for_patience_gets_it_within_bounds_and_one_that_is_gone_is_asked_no_more() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    handed(&store, &["a", "b", "c"]).await;
    due(&store, "pager", NOW).await;
    let asked = async |key: &str, seconds: u64| {
        let failure = Failure {
            after: Some(Duration::from_secs(seconds)),
            ..failed("429")
        };
        store.undelivered(key, "pager", &failure, NOW).await.unwrap();
        let told = store.notifications(9).await.unwrap();
        let (_, ways) = told.iter().find(|(told, _)| told.key == key).unwrap();
        ways[1].next_attempt_at.since(NOW).as_secs()
    };
    assert_eq!((asked("a", 120).await, asked("b", 999_999).await), (120, 3600));
    let gone = Failure {
        for_good: true,
        ..failed("410")
    };
    assert!(!store.undelivered("c", "pager", &gone, NOW).await.unwrap());
    assert_eq!(store.dead_letters().await.unwrap().len(), 1);
    // Once it answers again, what waits is due at once.
    assert_eq!(store.hasten("pager", NOW).await.unwrap(), 2);
    assert_eq!(due(&store, "pager", NOW).await.len(), 2);
}

#[tokio::test]
async fn a_person_has_dead_letters_sent_again_and_the_audit_trail_says_who() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    handed(&store, &["a", "b"]).await;
    // "pager" is no longer configured.
    assert_eq!(
        store.abandon_strangers(&["chat".to_owned()], NOW).await.unwrap(),
        2
    );
    assert_eq!(
        store.abandon_strangers(&["chat".to_owned()], NOW).await.unwrap(),
        0
    );
    let dead = store.dead_letters().await.unwrap();
    assert!(
        dead.iter()
            .all(|(_, way)| way.error.as_deref().unwrap().contains("no webhook"))
    );
    let retry = async |event, receiver| store.retry(event, receiver, "cli:me", NOW).await.unwrap();
    assert_eq!(retry(Some("z"), None).await, 0);
    assert_eq!(retry(None, Some("chat")).await, 0);
    assert_eq!(store.latest_audit(9).await.unwrap().len(), 0);
    assert_eq!(retry(Some("a"), None).await, 1);
    assert_eq!(retry(None, Some("pager")).await, 1);
    assert_eq!(retry(None, None).await, 0);
    let trail = store.latest_audit(9).await.unwrap();
    assert_eq!(
        (trail.len(), trail[1].entry.subject.as_str()),
        (2, "notification a")
    );
    let again = due(&store, "pager", NOW).await;
    assert!(
        again.len() == 2 && again.iter().all(|told| told.attempt == 1),
        "counted anew"
    );
}

#[tokio::test]
async fn old_notifications_are_deleted_with_their_deliveries_and_new_ones_are_not() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    handed(&store, &["a", "b"]).await;
    store.enqueue(&notification("c"), NOW).await.unwrap();
    store.enqueue(&notification("d"), NOW.plus(MINUTE)).await.unwrap();
    assert_eq!(store.purge_notifications(NOW, 10).await.unwrap(), 0);
    assert_eq!(store.purge_notifications(NOW.plus(MINUTE), 1).await.unwrap(), 1);
    assert_eq!(
        store.purge_notifications(NOW.plus(2 * MINUTE), 10).await.unwrap(),
        1
    );
    let left: Vec<_> = store.notifications(9).await.unwrap();
    let left: Vec<_> = left.iter().map(|(told, _)| told.key.as_str()).collect();
    assert_eq!(left, ["d", "c"], "what was not handed out yet stays");
}

#[tokio::test]
async fn what_was_delivered_before_receivers_had_names_went_to_the_default_one() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    handed(&store, &[]).await;
    // As the schema before left them.
    for key in ["old", "sent", "new"] {
        store.enqueue(&notification(key), NOW).await.unwrap();
    }
    let by_hand = async |text: &'static str| {
        sqlx::query(text).execute(&store.writer).await.unwrap();
    };
    by_hand("UPDATE outbox SET state = 'dead', attempts = 12 WHERE event = 'old'").await;
    by_hand("UPDATE outbox SET state = 'delivered', attempts = 1 WHERE event = 'sent'").await;
    let (_, _, text) = MIGRATIONS
        .iter()
        .find(|(_, name, _)| *name == "deliveries")
        .unwrap();
    by_hand(&text[text.find("INSERT INTO").unwrap()..]).await;
    let all = |_: &Notification| vec!["default".to_owned()];
    assert_eq!(
        store.hand_out(NOW, 9, all).await.unwrap(),
        1,
        "only what was pending"
    );
    let dead = store.dead_letters().await.unwrap();
    let seen: Vec<_> = dead
        .iter()
        .map(|(told, way)| (told.key.as_str(), way.attempts))
        .collect();
    assert_eq!(seen, [("old", 12)]);
}
