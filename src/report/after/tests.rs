use super::*;
use crate::respond::holddown::{Drift, Word};
use crate::store::Phase;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_795_243_380_000 + seconds * 1000)
}

fn entry(seconds: i64, step: &str, entry: &Entry) -> JournalEntry {
    JournalEntry {
        seq: seconds,
        at: at(seconds),
        step: step.to_owned(),
        phase: Phase::Note,
        epoch: 1,
        detail: entry.json(),
    }
}

/// Each time that something was undone is a line of its own, with who did it, and with its end.
#[test]
fn what_was_undone_is_told_with_who_did_it_and_when_it_ended() {
    let enabled = Drift::Enabled;
    let found = |drift: &Drift, who: &str| Word::Found.entry(&drift.key(), "words", Some((drift, who)));
    let says = |word: Word, drift: &Drift| word.entry(&drift.key(), "words", None);
    let alive = Drift::Alive;
    let journal = [
        entry(1, ROOM, &found(&enabled, "nova does not say")),
        entry(2, ROOM, &found(&alive, "somebody")),
        entry(
            3,
            "fence",
            &Entry::with(
                "not the hold-down's",
                &serde_json::json!({"drift": "alive", "is": "gone"}),
            ),
        ),
        entry(4, ROOM, &says(Word::PutBack, &enabled)),
        entry(5, ROOM, &says(Word::Failed, &alive)),
        entry(6, ROOM, &found(&enabled, "again")),
        // As the hold-down wrote it before it named who.
        entry(
            7,
            ROOM,
            &Entry::with("old words", &serde_json::json!({"drift": "stirs", "is": "left"})),
        ),
        entry(8, ROOM, &says(Word::Gone, &alive)),
    ];
    let undone = undone(&journal);
    let lines: Vec<_> = undone
        .iter()
        .map(|known| {
            (
                known.at,
                known.who.as_deref(),
                known.state.as_str(),
                known.ended_at,
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            (at(1), Some("nova does not say"), "put-back", Some(at(4))),
            (at(2), Some("somebody"), "gone", Some(at(8))),
            (at(6), Some("again"), "found", None),
            (at(7), None, "left", None),
        ]
    );
    assert_eq!(undone[0].what, enabled.to_string());
    assert_eq!(undone[3].what, "old words");
}

#[test]
fn how_the_host_stands_is_one_line() {
    let standing = Standing {
        at: at(9),
        enrolled: true,
        quarantined: true,
        verdict: Some(Verdict {
            verdict: "affirming".into(),
            round: RoundId::new([1; 16]),
            at: at(1),
        }),
        age_s: Some(8),
        stale: true,
    };
    let words = standing.words();
    assert!(
        words.contains("keeps it out") && words.contains("affirming") && words.contains("STALE"),
        "{words}"
    );
    let fresh = Standing {
        stale: false,
        quarantined: false,
        ..standing.clone()
    };
    assert!(!fresh.words().contains("STALE") && fresh.words().contains("not keep it out"));
    let never = Standing {
        verdict: None,
        ..standing.clone()
    };
    assert!(never.words().contains("never attested"));
    let gone = Standing {
        enrolled: false,
        ..standing
    };
    assert!(gone.words().contains("not enrolled"));
}
