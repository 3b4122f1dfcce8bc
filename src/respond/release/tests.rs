use proptest::prelude::*;

use super::*;
use crate::ids::CaseKind;
use crate::respond::saga;

fn policy(n: u8) -> Sha256Digest {
    Sha256Digest([n; 32])
}

fn round(n: u8) -> RoundId {
    RoundId::new([n; 16])
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        3 => Just(Verdict::Affirming),
        1 => Just(Verdict::Warning),
        1 => Just(Verdict::Contraindicated),
        1 => Just(Verdict::Indeterminate),
    ]
}

proptest! {
    /// Case 44: only an Affirming verdict, made after the boot, by the policy in force, and lately; and no later round says
    /// otherwise.
    #[test]
    fn case_44_only_a_fresh_affirming_verdict_lets_a_host_back(
        is in verdict(),
        at in 0_i64..1_000,
        booted in 0_i64..1_000,
        now in 0_i64..1_000,
        by in 0_u8..2,
        later in proptest::option::of((verdict(), 0_i64..1_000, 0_u8..3)),
    ) {
        let second = |at: i64| Timestamp::from_millis(at * 1000);
        let attested = Attested { round: round(1), verdict: is, at: second(at), policy: Some(policy(by)), words: String::new() };
        let wanted = Wanted {
            booted_at: second(booted),
            now: second(now),
            max_age: Duration::from_secs(300),
            policy: policy(1),
            last: later.map(|(verdict, at, n)| LastResult { verdict, round: round(n), at: second(at) }),
        };
        let spoiled = later.is_some_and(|(verdict, last, n)| verdict != Verdict::Affirming && last > at && n != 1);
        let good = is == Verdict::Affirming && at >= booted && at <= now && now - at <= 300 && by == 1 && !spoiled;
        prop_assert_eq!(lets_back(Some(&attested), &wanted).is_ok(), good);
        prop_assert!(lets_back(None, &wanted).is_err());
    }
}

#[test]
fn only_a_later_round_that_says_otherwise_spoils_a_verdict() {
    let second = |at: i64| Timestamp::from_millis(at * 1000);
    let attested = Attested {
        round: round(1),
        verdict: Verdict::Affirming,
        at: second(10),
        policy: Some(policy(1)),
        words: String::new(),
    };
    for (verdict, at, n, spoils) in [
        (Verdict::Warning, 11, 2, true),
        (Verdict::Contraindicated, 11, 2, true),
        (Verdict::Indeterminate, 11, 2, true),
        (Verdict::Affirming, 11, 2, false),
        (Verdict::Warning, 9, 2, false),
        (Verdict::Warning, 11, 1, false),
    ] {
        let wanted = Wanted {
            booted_at: second(5),
            now: second(20),
            max_age: Duration::from_secs(300),
            policy: policy(1),
            last: Some(LastResult {
                verdict,
                round: round(n),
                at: second(at),
            }),
        };
        assert_eq!(
            lets_back(Some(&attested), &wanted).is_err(),
            spoils,
            "{verdict} at {at}"
        );
    }
}

#[test]
fn what_takes_something_back_is_after_the_verdict_and_trust_is_last() {
    let steps = saga::steps(CaseKind::Release, true);
    let place = |step| steps.iter().position(|known| *known == step).unwrap();
    for step in &steps {
        if takes_back(*step) {
            assert!(place(*step) > place(Step::Attest), "{step}");
        }
    }
    assert_eq!(place(Step::Trust) + 1, place(Step::Close));
    assert!(place(Step::Raise) < place(Step::Leave) && place(Step::Leave) < place(Step::Admit));
}

#[test]
fn who_asked_is_no_second_person() {
    let plan = ReleasePlan {
        version: 1,
        quarantine: "q-20261121-7f3a2c".parse().unwrap(),
        host: "cmp-1".parse().unwrap(),
        asked_by: "cli:ann".to_owned(),
        made_at: Timestamp::from_millis(0),
        second_person: true,
        items: vec![Item::new("message-bus", "x"), Item::new(DISK_COPIES, "y")],
        steps: vec![],
    };
    let item = |name: &str, by: &str| ReleaseItem {
        item: name.to_owned(),
        state: crate::store::ItemState::Ticked,
        by: by.to_owned(),
        because: None,
        at: Timestamp::from_millis(0),
    };
    assert!(plan.second(&[item(SECOND_PERSON, "cli:ann")]).is_none());
    assert!(plan.second(&[item("message-bus", "cli:bob")]).is_none());
    assert!(plan.second(&[item(SECOND_PERSON, "cli:bob")]).is_some());
    assert_eq!(plan.missing(&[item("message-bus", "cli:bob")]), [&plan.items[1]]);
}
