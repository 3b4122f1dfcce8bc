//! Whether a case that another daemon holds may be taken over, by watching its lease; pure.
//!
//! No two clocks are compared: clocks that differ by more than a lease would have two daemons take each other's cases for
//! ever. Whoever holds a lease renews it, and each renewal is counted. A lease whose count has not moved for as long as it
//! lasts, by the watcher's own clock that nobody can set, is that of a dead daemon.
//!
//! A daemon of an earlier version counts nothing, and writes only until when it holds the lease: that moving is life as well,
//! and as it does not say for how long, it is waited for as long as any lease may last.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::store::{LONGEST_LEASE, LeaseKind, Standing};

/// What one daemon has seen of the leases of others.
#[derive(Debug)]
pub(super) struct LeaseWatch {
    begun: Instant,
    seen: Mutex<HashMap<LeaseKind, Seen>>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    epoch: i64,
    beats: i64,
    /// `None`: it was taken by this daemon, which need not read it.
    until: Option<Timestamp>,
    since: Instant,
    /// This daemon had just begun, and has seen it in no other state.
    at_start: bool,
    /// It moved and its count did not: whoever holds it says nothing of how long it lasts.
    uncounted: bool,
}

impl LeaseWatch {
    /// Nothing was seen yet.
    pub(super) fn new(begun: Instant) -> Self {
        Self {
            begun,
            seen: Mutex::default(),
        }
    }

    /// Whether a lease that stands so may be taken now.
    ///
    /// A daemon that has just begun cannot know for how long a lease has stood still: then, and for what it has not yet seen
    /// change, the time in the lease counts as well, so that a daemon that was killed is back at work at once. Where the
    /// clocks differ it may take a case too early by that, once, which costs a step looked at again.
    pub(super) fn may_take(
        &self,
        kind: &LeaseKind,
        standing: Option<&Standing>,
        wall: Timestamp,
        now: Instant,
    ) -> bool {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((standing, until)) = standing.and_then(|known| Some((known, known.until?))) else {
            all.remove(kind);
            return true;
        };
        let known = all.get(kind).copied();
        let same = |seen: &Seen| {
            (seen.epoch, seen.beats, seen.until) == (standing.epoch, standing.beats, Some(until))
        };
        match known.filter(same) {
            Some(seen) => {
                let lasts = match seen.uncounted {
                    true => LONGEST_LEASE,
                    false => standing.lasts,
                };
                now.duration_since(seen.since) >= lasts || (seen.at_start && until <= wall)
            }
            None => {
                let seen = Seen {
                    epoch: standing.epoch,
                    beats: standing.beats,
                    until: Some(until),
                    since: now,
                    at_start: known.is_none() && now.duration_since(self.begun) < standing.lasts,
                    uncounted: known.is_some_and(|known| known.beats == standing.beats),
                };
                all.insert(kind.clone(), seen);
                seen.at_start && until <= wall
            }
        }
    }

    /// It was taken: from now on it is known to be alive, whoever has it next.
    pub(super) fn taken(&self, kind: &LeaseKind, epoch: i64, now: Instant) {
        let seen = Seen {
            epoch,
            beats: 0,
            until: None,
            since: now,
            at_start: false,
            uncounted: false,
        };
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(kind.clone(), seen);
    }

    /// Forgets the leases of cases that need nobody any more. What is seen of one of them again is seen as if it were new.
    pub(super) fn keep_only(&self, wanted: impl Fn(&LeaseKind) -> bool) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|kind, _| wanted(kind));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const LASTS: Duration = Duration::from_secs(60);

    fn kind() -> LeaseKind {
        LeaseKind::Case("q-20261121-7f3a2c".parse().unwrap())
    }

    fn wall() -> Timestamp {
        Timestamp::from_millis(1_795_243_380_000)
    }

    fn held(epoch: i64, beats: i64, until: Timestamp) -> Standing {
        Standing {
            epoch,
            beats,
            until: Some(until),
            lasts: LASTS,
        }
    }

    proptest! {
        /// Whatever the clocks say: what is renewed is not taken, and what is not renewed is, after one lease.
        #[test]
        fn who_renews_keeps_it_and_who_does_not_loses_it_after_one_lease(
            apart_s in -90_000_i64..90_000, renewals in 1_i64..20
        ) {
            let begun = Instant::now();
            let watch = LeaseWatch::new(begun);
            let until = Timestamp::from_millis(wall().as_millis() + apart_s * 1000);
            let mut now = begun + HOUR;
            for beats in 1..=renewals {
                prop_assert!(!watch.may_take(&kind(), Some(&held(7, beats, until)), wall(), now));
                now += LASTS / 3;
            }
            let last = now - LASTS / 3;
            let dead = held(7, renewals, until);
            prop_assert!(!watch.may_take(&kind(), Some(&dead), wall(), last + LASTS - Duration::from_millis(1)));
            prop_assert!(watch.may_take(&kind(), Some(&dead), wall(), last + LASTS));
        }
    }

    #[test]
    fn what_was_given_back_is_free_at_once_and_so_is_what_nobody_ever_had() {
        let watch = LeaseWatch::new(Instant::now());
        let now = Instant::now() + HOUR;
        assert!(watch.may_take(&kind(), None, wall(), now));
        assert!(!watch.may_take(&kind(), Some(&held(1, 1, wall())), wall(), now));
        let back = Standing {
            until: None,
            ..held(1, 2, wall())
        };
        assert!(watch.may_take(&kind(), Some(&back), wall(), now));
    }

    #[test]
    fn another_holder_is_waited_for_anew() {
        let begun = Instant::now();
        let (watch, now) = (LeaseWatch::new(begun), begun + HOUR);
        assert!(!watch.may_take(&kind(), Some(&held(1, 1, wall())), wall(), now));
        assert!(!watch.may_take(&kind(), Some(&held(2, 2, wall())), wall(), now + LASTS));
        assert!(watch.may_take(&kind(), Some(&held(2, 2, wall())), wall(), now + 2 * LASTS));
    }

    /// A daemon of an earlier version, beside this one while they are exchanged: it moves only the time in the lease.
    #[test]
    fn who_renews_without_counting_keeps_it_and_loses_it_after_the_longest_lease() {
        let begun = Instant::now();
        let (watch, mut now) = (LeaseWatch::new(begun), begun + HOUR);
        let mut until = wall();
        let count = 4;
        assert!(!watch.may_take(&kind(), Some(&held(7, count, until)), wall(), now));
        for _ in 0..20 {
            (until, now) = (until.plus(LASTS / 3), now + LASTS / 3);
            assert!(!watch.may_take(&kind(), Some(&held(7, count, until)), wall(), now));
        }
        // It took the lease from one that counts, for longer than that one had it.
        (until, now) = (until.plus(HOUR), now + LASTS);
        assert!(!watch.may_take(&kind(), Some(&held(8, count, until)), wall(), now));
        let last = now;
        let early = last + LONGEST_LEASE - Duration::from_millis(1);
        assert!(!watch.may_take(&kind(), Some(&held(8, count, until)), wall(), early));
        let dead = watch.may_take(
            &kind(),
            Some(&held(8, count, until)),
            wall(),
            last + LONGEST_LEASE,
        );
        assert!(dead);
    }

    #[test]
    fn a_daemon_that_has_just_begun_believes_the_lease_until_it_sees_it_change() {
        let begun = Instant::now();
        let over = wall().minus(Duration::from_secs(1));
        let watch = LeaseWatch::new(begun);
        assert!(watch.may_take(&kind(), Some(&held(1, 1, over)), wall(), begun));
        // It is renewed all the same, so the clocks differ.
        assert!(!watch.may_take(&kind(), Some(&held(1, 2, over)), wall(), begun));
        assert!(!watch.may_take(&kind(), Some(&held(1, 2, over)), wall(), begun + LASTS / 2));
        // One that is not over yet is waited for, by that time or by a whole lease.
        let watch = LeaseWatch::new(begun);
        let soon = held(1, 1, wall().plus(Duration::from_secs(9)));
        assert!(!watch.may_take(&kind(), Some(&soon), wall(), begun));
        assert!(!watch.may_take(&kind(), Some(&soon), wall(), begun + LASTS / 2));
        assert!(watch.may_take(&kind(), Some(&soon), wall().plus(Duration::from_secs(9)), begun));
        // What this daemon had itself and lost to another is alive.
        let watch = LeaseWatch::new(begun);
        watch.taken(&kind(), 1, begun);
        assert!(!watch.may_take(&kind(), Some(&held(2, 2, over)), wall(), begun));
    }

    #[test]
    fn only_what_is_wanted_is_kept_in_mind() {
        let (begun, other) = (
            Instant::now(),
            LeaseKind::Case("q-20261121-aaaaaa".parse().unwrap()),
        );
        let watch = LeaseWatch::new(begun);
        watch.taken(&kind(), 1, begun);
        watch.taken(&other, 1, begun);
        watch.keep_only(|known| *known == other);
        let known: Vec<LeaseKind> = watch.seen.lock().unwrap().keys().cloned().collect();
        assert_eq!(known, [other]);
    }
}
