//! Which cases are of the last window by this process's own time; pure.
//!
//! Limits count cases by when they were opened. A clock that is ahead by a window would make every case of before too old to
//! count, so that there were no limits. Cases are numbered as they are written: a number that was not there a window ago,
//! by a clock that nobody can set, is of a case that counts, whatever time stands in it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;

/// So many samples to a window; what is older than a window by less than this part of it may count still.
const SAMPLES: u32 = 64;

/// A moment before or after this was made, in milliseconds, and the highest number of a case then.
type Sample = (i64, i64);

/// What one process has seen of the numbers of cases.
#[derive(Debug)]
pub(super) struct Lately {
    begun: Instant,
    samples: Mutex<VecDeque<Sample>>,
}

impl Lately {
    /// Nothing was seen yet.
    pub(super) fn new(begun: Instant) -> Self {
        Self {
            begun,
            samples: Mutex::default(),
        }
    }

    /// Whether nothing was seen yet.
    pub(super) fn is_blank(&self) -> bool {
        self.locked().is_empty()
    }

    /// Believes the clock once, as this process begins: what it says of the cases of the last window, each with its number.
    pub(super) fn begin(&self, recent: &[(Timestamp, i64)], newest: i64, wall: Timestamp, now: Instant) {
        let here = self.offset(now);
        let mut recent: Vec<Sample> = recent
            .iter()
            .map(|(at, number)| {
                let ago = wall.since(*at).as_millis();
                (
                    here.saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX)),
                    *number,
                )
            })
            .collect();
        recent.sort_by_key(|(_, number)| *number);
        let before = recent
            .first()
            .map_or(newest, |(_, number)| number.saturating_sub(1));
        let mut samples = self.locked();
        samples.clear();
        samples.push_back((i64::MIN, before));
        // Numbers only go up with time: a case whose time is older than that of one before it was written at its time or later.
        let mut latest = i64::MIN;
        for (at, number) in recent {
            latest = latest.max(at);
            samples.push_back((latest, number));
        }
        samples.push_back((here.max(latest), newest));
    }

    /// The highest number of a case is this one now.
    pub(super) fn seen(&self, newest: i64, window: Duration, now: Instant) {
        let here = self.offset(now);
        let apart = millis(window) / i64::from(SAMPLES);
        let mut samples = self.locked();
        if samples
            .back()
            .is_none_or(|(at, _)| here.saturating_sub(*at) >= apart)
        {
            samples.push_back((here, newest));
        }
        let long_ago = here.saturating_sub(millis(window));
        while samples.get(1).is_some_and(|(at, _)| *at <= long_ago) {
            samples.pop_front();
        }
    }

    /// The highest number that was there a window ago: later ones count. As long as nothing was seen none does for this.
    pub(super) fn a_window_ago(&self, window: Duration, now: Instant) -> i64 {
        let long_ago = self.offset(now).saturating_sub(millis(window));
        let samples = self.locked();
        let known = samples.iter().rev().find(|(at, _)| *at <= long_ago);
        known.or(samples.front()).map_or(i64::MAX, |(_, number)| *number)
    }

    fn offset(&self, now: Instant) -> i64 {
        millis(now.saturating_duration_since(self.begun))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, VecDeque<Sample>> {
        // Nothing panics while it is held.
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn wall() -> Timestamp {
        Timestamp::from_millis(1_795_243_380_000)
    }

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    /// Cases 8 and 9 are of 50 and 10 minutes before this process began; 7 is older.
    #[test]
    fn a_case_counts_for_a_window_from_before_and_after_the_start() {
        let begun = Instant::now();
        let lately = Lately::new(begun);
        assert_eq!(
            lately.a_window_ago(HOUR, begun),
            i64::MAX,
            "no clock was believed yet"
        );
        assert!(lately.is_blank());
        let recent = [(wall().minus(minutes(10)), 9), (wall().minus(minutes(50)), 8)];
        lately.begin(&recent, 9, wall(), begun);
        let mut newest = 9;
        for minute in 0..200 {
            let now = begun + minutes(minute);
            if minute == 70 {
                newest = 10;
            }
            lately.seen(newest, HOUR, now);
            let counts = |number: i64| number > lately.a_window_ago(HOUR, now);
            let what = (counts(7), counts(8), counts(9), counts(10));
            let wanted = (false, minute < 10, minute < 50, minute < 130);
            assert_eq!(what, wanted, "minute {minute}");
        }
        assert!(lately.locked().len() < 70);
    }

    proptest! {
        /// Whatever times stand in cases, one that was written within the window, as this process saw it, counts.
        #[test]
        fn what_was_written_within_the_window_counts(
            gaps_s in prop::collection::vec(0_u64..1200, 1..60), window_s in 60_u64..7200,
            times in prop::collection::vec((-90_000_i64..90_000, 1_i64..9), 0..9)
        ) {
            let begun = Instant::now();
            let lately = Lately::new(begun);
            let recent: Vec<(Timestamp, i64)> = times
                .iter()
                .map(|(at, number)| (Timestamp::from_millis(wall().as_millis() + at * 1000), *number))
                .collect();
            lately.begin(&recent, 9, wall(), begun);
            let window = Duration::from_secs(window_s);
            let (mut now, mut written) = (begun, Vec::new());
            for (number, gap) in (10_i64..).zip(gaps_s) {
                now += Duration::from_secs(gap);
                written.push((now, number));
                lately.seen(number, window, now);
                let ago = lately.a_window_ago(window, now);
                for (at, number) in &written {
                    prop_assert!(now - *at >= window || *number > ago, "{number} of {:?} ago", now - *at);
                    let long = window + window / SAMPLES + Duration::from_secs(1200);
                    prop_assert!(now - *at < long || *number <= ago, "{number} of {:?} ago", now - *at);
                }
            }
        }
    }
}
