//! Pauses: whom they cover, from when, until when, and who ends which.

use super::*;
use crate::ids::PauseId;

const HOUR: Duration = Duration::from_secs(3600);

fn pause(host: Option<&HostName>, n: u8, from: Timestamp, until: Timestamp) -> Pause {
    Pause {
        id: PauseId::new(from, [n; 3]),
        host: host.cloned(),
        from,
        until,
        because: "firmware update".into(),
        by: "ann".into(),
        made_at: NOW,
        ended_at: None,
        ended_by: None,
    }
}

#[test]
fn a_pause_covers_its_host_from_its_beginning_until_just_before_its_end() {
    let (mine, other) = (host("cmp-1"), host("cmp-2"));
    let (from, until) = (NOW.plus(HOUR), NOW.plus(2 * HOUR));
    let tick = Duration::from_millis(1);
    let whole = pause(Some(&mine), 1, from, until);
    for (at, covered) in [
        (from.minus(tick), false),
        (from, true),
        (until.minus(tick), true),
        (until, false),
    ] {
        assert_eq!(whole.covered(&mine, at), covered, "{at}");
        assert!(!whole.covered(&other, at));
        assert_eq!(pause(None, 1, from, until).covered(&other, at), covered, "{at}");
        assert_eq!(whole.is_over(at), at == until, "{at}");
    }
    let ended = |ended_at| Pause {
        ended_at: Some(ended_at),
        ..whole.clone()
    };
    let early = ended(from.plus(MINUTE));
    assert!(early.covered(&mine, from) && !early.covered(&mine, from.plus(MINUTE)));
    assert!(early.is_over(from));
    // Ended by a clock that was ahead, it lasts no longer for that.
    assert!(!ended(until.plus(HOUR)).covered(&mine, until));
}

#[tokio::test]
async fn what_is_over_or_to_come_pauses_nobody_and_the_clouds_pause_is_everybodys() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let (mine, other) = (enrolled(&store, "cmp-1").await, enrolled(&store, "cmp-2").await);
    let (from, until) = (NOW.plus(HOUR), NOW.plus(2 * HOUR));
    let put = async |host: Option<&HostName>, n, from, until| {
        let told = notification(&format!("paused {n}"));
        store
            .pause(&pause(host, n, from, until), &told, NOW)
            .await
            .unwrap();
    };
    let paused = async |host: &HostName, at| store.paused(host, at).await.unwrap().is_some();
    put(Some(&mine), 1, from, until).await;
    for (at, so) in [(NOW, false), (from, true), (until, false)] {
        assert_eq!(paused(&mine, at).await, so, "{at}");
        assert!(!paused(&other, at).await);
    }
    put(None, 2, from, until).await;
    assert!(paused(&other, from).await && !paused(&other, until).await);

    // Each is ended by itself.
    let resume = async |host: Option<&HostName>, n: u8, at| {
        let told = notification(&format!("resumed {n}"));
        store.resume(host, "bob", &told, at).await.unwrap()
    };
    assert_eq!(resume(Some(&mine), 1, from).await, 1);
    assert!(paused(&mine, from).await, "by the cloud's");
    put(Some(&mine), 3, from, until).await;
    assert_eq!(resume(None, 2, from).await, 1);
    assert!(paused(&mine, from).await && !paused(&other, from).await);
    let before = (
        store.latest_audit(9).await.unwrap().len(),
        store.notifications(9).await.unwrap().len(),
    );
    assert_eq!(resume(None, 3, from).await, 0, "it was ended");
    assert_eq!(resume(Some(&mine), 4, until).await, 0, "it is over");
    let after = (
        store.latest_audit(9).await.unwrap().len(),
        store.notifications(9).await.unwrap().len(),
    );
    assert_eq!(before, after, "what was not done is not told");
}
