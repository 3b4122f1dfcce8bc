//! What follows from silence and garbage; pure. They have a ladder of their own: told, then no new instances, and no
//! rung beyond that. It proves that nothing a host fails to say ever powers it off.
//!
//! Silence is counted in rounds and measured by a clock that nobody can set. Where many hosts fall silent at once, it is
//! rather the daemon that hears nothing.

use std::time::Duration;

use crate::config::Silence;

/// So many silent hosts at least make it the daemon that is cut off.
const CUT_OFF_FROM: u32 = 3;

/// How silent a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Rounds in a row in which nothing could be said about it, this one counted.
    pub rounds: u32,
    /// Since when, by a clock that nobody can set; as far back as this daemon knows.
    pub lasts: Duration,
    /// Whether it gets no new instances already.
    pub unscheduled: bool,
}

/// How many hosts are silent, those in quarantine left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hosts {
    /// Nothing can be said about them.
    pub silent: u32,
    /// All that were ever heard of.
    pub all: u32,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// Nothing new.
    Nothing,
    /// People are told of the host.
    Notify,
    /// It gets no new instances.
    Unschedule,
    /// The daemon hears too few hosts: people are told of that, and no host is touched for it.
    CutOff,
}

/// How far up the ladder. `limits` of `None`: it has one rung, people are told.
pub fn ladder(quiet: Quiet, hosts: Hosts, limits: Option<&Silence>) -> Rung {
    let share = limits.map_or(0.5, |limits| limits.share);
    if hosts.silent >= CUT_OFF_FROM && f64::from(hosts.silent) > share * f64::from(hosts.all) {
        return Rung::CutOff;
    }
    match limits {
        Some(limits)
            if !quiet.unscheduled
                && quiet.rounds >= limits.rounds.max(1)
                && quiet.lasts >= limits.unschedule_after =>
        {
            Rung::Unschedule
        }
        _ if quiet.rounds == 1 => Rung::Notify,
        _ => Rung::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::CaseKind;
    use crate::respond::saga::{self, Step};

    const LIMITS: Silence = Silence {
        unschedule_after: Duration::from_secs(3600),
        rounds: 3,
        share: 0.5,
    };

    fn quiet(rounds: u32, lasts_s: u64) -> Quiet {
        Quiet {
            rounds,
            lasts: Duration::from_secs(lasts_s),
            unscheduled: false,
        }
    }

    const ONE: Hosts = Hosts { silent: 1, all: 10 };

    #[test]
    fn case_73_a_silent_host_is_told_then_unscheduled_and_nothing_more() {
        for (rounds, lasts, rung) in [
            (1, 0, Rung::Notify),
            (2, 600, Rung::Nothing),
            (3, 3599, Rung::Nothing),
            (2, 3600, Rung::Nothing),
            (3, 3600, Rung::Unschedule),
            (99, 999_999, Rung::Unschedule),
        ] {
            assert_eq!(
                ladder(quiet(rounds, lasts), ONE, Some(&LIMITS)),
                rung,
                "{rounds}, {lasts} s"
            );
        }
        let done = Quiet {
            unscheduled: true,
            ..quiet(99, 999_999)
        };
        assert_eq!(ladder(done, ONE, Some(&LIMITS)), Rung::Nothing);
        assert_eq!(ladder(quiet(99, 999_999), ONE, None), Rung::Nothing);
    }

    #[test]
    fn case_29_when_most_hosts_are_silent_it_is_the_daemon() {
        for (silent, all, cut_off) in [
            (1, 1, false),
            (2, 2, false),
            (3, 3, true),
            (3, 6, false),
            (4, 6, true),
            (100, 200, false),
            (101, 200, true),
        ] {
            let rung = ladder(quiet(9, 9999), Hosts { silent, all }, Some(&LIMITS));
            assert_eq!(rung == Rung::CutOff, cut_off, "{silent} of {all}");
            let without = ladder(quiet(9, 9999), Hosts { silent, all }, None);
            assert_eq!(without == Rung::CutOff, cut_off, "{silent} of {all}, no limits");
        }
    }

    /// Nor has the case that it opens a step that could.
    #[test]
    fn what_silence_opens_never_fences() {
        for kind in [CaseKind::Unschedule, CaseKind::Reschedule] {
            for planned in [true, false] {
                let steps = saga::steps(kind, planned);
                assert!(!steps.is_empty(), "{kind:?}");
                for step in [Step::Fence, Step::ForceDown, Step::Evacuate, Step::Isolate] {
                    assert!(!steps.contains(&step), "{kind:?}: {step}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_host_is_touched_before_its_limit_or_while_the_daemon_is_cut_off(
            rounds: u32, lasts in 0u64..100_000, unscheduled: bool, silent in 0u32..300, more in 0u32..300,
        ) {
            let hosts = Hosts { silent, all: silent + more };
            let rung = ladder(Quiet { unscheduled, ..quiet(rounds, lasts) }, hosts, Some(&LIMITS));
            if rung == Rung::Unschedule {
                prop_assert!(rounds >= 3 && lasts >= 3600 && !unscheduled);
                prop_assert!(silent < 3 || silent <= more);
            }
        }
    }
}
