//! From a verdict and what went before to a decision; pure, and the only place that opens cases.
//!
//! It proves:
//! - no case without two `Contraindicated` results of two challenges. A round is one challenge with a nonce of its
//!   own, which the store spends once: so another round is another nonce;
//! - nothing that is `Indeterminate` (silence, garbage) ever leads to a case;
//! - `observe` never leads to a case, nor does a pause, which leads to nothing at all.

use std::time::Duration;

use lazaret_attest::verdict::Verdict;

use crate::clock::Timestamp;
use crate::config::ResponseMode;
use crate::ids::RoundId;

/// What is known when a round is over.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// Whether anything may be touched.
    pub mode: ResponseMode,
    /// What the round concluded.
    pub verdict: Verdict,
    /// The round.
    pub round: RoundId,
    /// When it ended.
    pub at: Timestamp,
    /// Earlier rounds of this host, newest first.
    pub earlier: &'a [Earlier],
    /// Whether a case of this host is not closed yet.
    pub case_open: bool,
    /// Whether the host, or the cloud, is left alone for now.
    pub paused: bool,
    /// A first `Contraindicated` older than this is confirmed anew.
    pub confirm_within: Duration,
}

/// An earlier round of the same host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// What it concluded.
    pub verdict: Verdict,
    /// The round.
    pub round: RoundId,
    /// When it ended.
    pub at: Timestamp,
}

/// What follows from a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is recorded, no more.
    Nothing,
    /// It is recorded and shown, and nothing follows from it: the host is paused.
    Record,
    /// People are told.
    Notify(News),
    /// Challenge again at once, with a fresh nonce.
    Confirm,
    /// Quarantine.
    OpenCase,
}

/// What people are told about a host that no case is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Condemned twice, and left alone because the mode is `observe`.
    Condemned,
    /// Nothing can be said about it: it is silent, or answers garbage.
    Indeterminate,
    /// Nothing condemns, but a person should look.
    Warning,
    /// It is as it should be again.
    Recovered,
}

/// Decides. An answer that is not `Indeterminate` is called judged here; silence between two judged answers
/// neither condemns nor absolves, or a host could escape by being silent after its first condemnation.
pub fn decide(question: &Question<'_>) -> Decision {
    if question.paused {
        return Decision::Record;
    }
    if question.case_open {
        return Decision::Nothing;
    }
    let last = question.earlier.first().map(|earlier| earlier.verdict);
    match question.verdict {
        verdict if verdict != Verdict::Contraindicated && last == Some(verdict) => Decision::Nothing,
        Verdict::Affirming if last.is_none() => Decision::Nothing,
        Verdict::Affirming => Decision::Notify(News::Recovered),
        Verdict::Warning => Decision::Notify(News::Warning),
        Verdict::Indeterminate => Decision::Notify(News::Indeterminate),
        Verdict::Contraindicated => condemned(question),
    }
}

fn condemned(question: &Question<'_>) -> Decision {
    let mut judged = question
        .earlier
        .iter()
        .filter(|earlier| earlier.verdict != Verdict::Indeterminate);
    let confirmed = judged.next().is_some_and(|first| {
        first.verdict == Verdict::Contraindicated
            && first.round != question.round
            // One from the future is from a clock that was ahead: what came after it is not known.
            && first.at <= question.at
            && question.at.since(first.at) <= question.confirm_within
    });
    if !confirmed {
        return Decision::Confirm;
    }
    match question.mode {
        ResponseMode::Enforce => Decision::OpenCase,
        // People were told when the second came; the third and later add nothing.
        ResponseMode::Observe
            if judged
                .next()
                .is_some_and(|e| e.verdict == Verdict::Contraindicated) =>
        {
            Decision::Nothing
        }
        ResponseMode::Observe => Decision::Notify(News::Condemned),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: i64 = 1_000_000_000_000;

    /// Rounds as a word, oldest first, one a minute: `C` contraindicated, `A`, `W`, `I`. The last is now.
    fn ask(mode: ResponseMode, word: &str) -> Decision {
        let rounds: Vec<Earlier> = word
            .chars()
            .rev()
            .zip(0i64..)
            .map(|(letter, age)| Earlier {
                verdict: match letter {
                    'A' => Verdict::Affirming,
                    'W' => Verdict::Warning,
                    'C' => Verdict::Contraindicated,
                    _ => Verdict::Indeterminate,
                },
                round: RoundId::new([u8::try_from(age).unwrap(); 16]),
                at: Timestamp::from_millis(NOW - age * 60_000),
            })
            .collect();
        decide(&Question {
            mode,
            verdict: rounds[0].verdict,
            round: rounds[0].round,
            at: rounds[0].at,
            earlier: &rounds[1..],
            case_open: false,
            paused: false,
            confirm_within: HOUR,
        })
    }

    #[test]
    fn histories_and_what_follows_from_them() {
        use Decision::{Confirm, Nothing, Notify, OpenCase};
        for (word, enforce, observe) in [
            ("A", Nothing, Nothing),
            ("AA", Nothing, Nothing),
            ("CA", Notify(News::Recovered), Notify(News::Recovered)),
            ("IA", Notify(News::Recovered), Notify(News::Recovered)),
            ("W", Notify(News::Warning), Notify(News::Warning)),
            ("WW", Nothing, Nothing),
            ("I", Notify(News::Indeterminate), Notify(News::Indeterminate)),
            ("AI", Notify(News::Indeterminate), Notify(News::Indeterminate)),
            ("II", Nothing, Nothing),
            ("CI", Notify(News::Indeterminate), Notify(News::Indeterminate)),
            ("C", Confirm, Confirm),
            ("AC", Confirm, Confirm),
            ("CAC", Confirm, Confirm),
            ("CWC", Confirm, Confirm),
            ("ACC", OpenCase, Notify(News::Condemned)),
            ("CIC", OpenCase, Notify(News::Condemned)),
            ("CCC", OpenCase, Nothing),
            ("CICIC", OpenCase, Nothing),
        ] {
            assert_eq!(ask(ResponseMode::Enforce, word), enforce, "{word}, enforce");
            assert_eq!(ask(ResponseMode::Observe, word), observe, "{word}, observe");
        }
    }

    #[test]
    fn a_confirmation_is_another_round_and_must_be_fresh() {
        let first = Earlier {
            verdict: Verdict::Contraindicated,
            round: RoundId::new([1; 16]),
            at: Timestamp::from_millis(NOW),
        };
        let mut question = Question {
            mode: ResponseMode::Enforce,
            verdict: Verdict::Contraindicated,
            round: RoundId::new([1; 16]),
            at: Timestamp::from_millis(NOW + 1000),
            earlier: &[first],
            case_open: false,
            paused: false,
            confirm_within: HOUR,
        };
        assert_eq!(decide(&question), Decision::Confirm, "the same round");
        question.round = RoundId::new([2; 16]);
        assert_eq!(decide(&question), Decision::OpenCase);
        question.at = Timestamp::from_millis(NOW + 3_600_000);
        assert_eq!(decide(&question), Decision::OpenCase, "just fresh enough");
        question.at = Timestamp::from_millis(NOW + 3_600_001);
        assert_eq!(decide(&question), Decision::Confirm, "too old");
        question.at = Timestamp::from_millis(NOW - 1);
        assert_eq!(
            decide(&question),
            Decision::Confirm,
            "from a clock that was ahead"
        );
        question.at = Timestamp::from_millis(NOW + 1000);
        question.case_open = true;
        assert_eq!(decide(&question), Decision::Nothing, "a case is on it already");
    }

    fn verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            Just(Verdict::Affirming),
            Just(Verdict::Warning),
            Just(Verdict::Contraindicated),
            Just(Verdict::Indeterminate),
        ]
    }

    proptest! {
        #[test]
        fn a_case_needs_enforce_and_two_different_condemnations(
            enforce: bool,
            now in verdict(),
            nonce in 0u8..4,
            at in 0i64..20_000_000,
            earlier in proptest::collection::vec((verdict(), 0u8..4, 0i64..20_000_000), 0..6),
            case_open: bool,
            paused: bool,
        ) {
            let earlier: Vec<Earlier> = earlier
                .into_iter()
                .map(|(verdict, nonce, at)| Earlier { verdict, round: RoundId::new([nonce; 16]), at: Timestamp::from_millis(at) })
                .collect();
            let decision = decide(&Question {
                mode: if enforce { ResponseMode::Enforce } else { ResponseMode::Observe },
                verdict: now,
                round: RoundId::new([nonce; 16]),
                at: Timestamp::from_millis(at),
                earlier: &earlier,
                case_open,
                paused,
                confirm_within: HOUR,
            });
            if decision == Decision::OpenCase {
                prop_assert!(enforce && !case_open && !paused);
                prop_assert_eq!(now, Verdict::Contraindicated);
                prop_assert!(earlier.iter().any(|e| e.verdict == Verdict::Contraindicated && e.round != RoundId::new([nonce; 16])));
            }
            prop_assert_eq!(decision == Decision::Record, paused);
            if now == Verdict::Indeterminate && !paused {
                prop_assert!(matches!(decision, Decision::Nothing | Decision::Notify(News::Indeterminate)));
            }
        }
    }
}
