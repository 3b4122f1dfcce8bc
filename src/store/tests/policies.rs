//! Case 77: versions of signed policies only go up, whoever notes them.

use super::*;

fn offered(version: i64, content: &str) -> PolicyVersion {
    PolicyVersion {
        version,
        digest: Sha256Digest::of(content.as_bytes()),
    }
}

#[tokio::test]
async fn case_77_an_older_signed_policy_is_told_from_the_one_in_use() {
    let scratch = Scratch::new();
    let store = scratch.open().await;
    let advance = |name: &'static str, offer, minutes| {
        let store = store.clone();
        async move {
            store
                .advance_policy(name, offer, NOW.plus(MINUTE * minutes))
                .await
                .unwrap()
        }
    };
    assert_eq!(
        advance("a", offered(3, "three"), 0).await,
        PolicyStanding::Current
    );
    assert_eq!(
        advance("a", offered(3, "three"), 1).await,
        PolicyStanding::Current
    );
    let back = |highest, minutes| PolicyStanding::RolledBack {
        highest,
        seen_at: NOW.plus(MINUTE * minutes),
    };
    for older in [
        offered(2, "two"),
        offered(0, "three"),
        offered(3, "other"),
        offered(-1, "three"),
    ] {
        assert_eq!(advance("a", older, 2).await, back(offered(3, "three"), 0));
    }
    assert_eq!(
        advance("a", offered(7, "two"), 3).await,
        PolicyStanding::Current,
        "the way out"
    );
    assert_eq!(
        advance("a", offered(3, "three"), 4).await,
        back(offered(7, "two"), 3)
    );
    // Names are told apart by every letter.
    for (name, content) in [("A", "x"), ("a ", "y"), ("b", "z")] {
        assert_eq!(
            advance(name, offered(1, content), 5).await,
            PolicyStanding::Current,
            "{name:?}"
        );
    }
    // What was seen outlives the process.
    store.close().await;
    let again = scratch.open().await;
    let standing = again.advance_policy("a", offered(3, "three"), NOW).await.unwrap();
    assert_eq!(standing, back(offered(7, "two"), 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_77_of_daemons_that_race_none_goes_on_with_less_than_the_highest() {
    let scratch = Scratch::new();
    let stores = [scratch.open().await, scratch.open().await];
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..32_i64 {
        let store = stores[usize::try_from(task).unwrap() % 2].clone();
        // Versions 0 to 7, each with two contents.
        let offer = offered(task / 4, if task % 4 < 2 { "one" } else { "other" });
        tasks.spawn(async move { (offer, store.advance_policy("p", offer, NOW).await.unwrap()) });
    }
    let mut accepted: Vec<PolicyVersion> = Vec::new();
    for (offer, standing) in tasks.join_all().await {
        if standing == PolicyStanding::Current && !accepted.contains(&offer) {
            accepted.push(offer);
        }
    }
    let mut versions: Vec<i64> = accepted.iter().map(|offer| offer.version).collect();
    versions.sort_unstable();
    let all = versions.len();
    versions.dedup();
    assert_eq!(versions.len(), all, "one version, one content: {accepted:?}");
    assert_eq!(versions.last(), Some(&7));
    for offer in &accepted {
        let standing = stores[0].advance_policy("p", *offer, NOW).await.unwrap();
        assert_eq!(
            standing == PolicyStanding::Current,
            offer.version == 7,
            "{offer:?}"
        );
    }
}
