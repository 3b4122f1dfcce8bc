//! When a host is due: a cron expression, and a jitter that spreads the hosts and stays the same over a restart.

use std::time::Duration;

use chrono::{DateTime, Utc};
use cron::Schedule;
use sha2::{Digest as _, Sha256};

use crate::{clock::Timestamp, ids::HostName};

/// The first time after `after` at which `host` is due; `None` when the expression never fires again.
///
/// Each firing of the cron expression is moved by a delay of its own, at least zero and below `jitter`, drawn
/// from the host's name and the firing: two daemons and a restarted one come to the same answer, and a cloud's
/// hosts do not answer all at once.
pub fn next_due(
    schedule: &Schedule,
    jitter: Duration,
    host: &HostName,
    after: Timestamp,
) -> Option<Timestamp> {
    let jitter_ms = i64::try_from(jitter.as_millis()).unwrap_or(i64::MAX);
    let from = DateTime::<Utc>::from_timestamp_millis(after.as_millis().saturating_sub(jitter_ms))?;
    schedule
        .after(&from)
        .map(|firing| firing.timestamp_millis())
        .map(|firing| firing.saturating_add(delay_ms(host, firing, jitter_ms)))
        .find(|due| *due > after.as_millis())
        .map(Timestamp::from_millis)
}

/// The delay of one firing for one host, in milliseconds: at least 0, below `jitter_ms`.
fn delay_ms(host: &HostName, firing_ms: i64, jitter_ms: i64) -> i64 {
    let Ok(bound) = u64::try_from(jitter_ms) else {
        return 0;
    };
    if bound == 0 {
        return 0;
    }
    let digest = Sha256::new()
        .chain_update(host.as_str())
        .chain_update(firing_ms.to_be_bytes())
        .finalize();
    let draw = digest
        .iter()
        .take(8)
        .fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    i64::try_from(draw % bound).unwrap_or(0)
}

/// The latest time that [`next_due`] can name for any host at `now`; `None` when the expression never fires again.
pub fn latest_due(schedule: &Schedule, jitter: Duration, now: Timestamp) -> Option<Timestamp> {
    let from = DateTime::<Utc>::from_timestamp_millis(now.as_millis())?;
    let firing = schedule.after(&from).next()?.timestamp_millis();
    Some(Timestamp::from_millis(firing).plus(jitter))
}

/// Whether it is a host's turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is due.
    Now,
    /// It waits for its time.
    Later,
    /// Its time is none that the schedule names now: it was never scheduled, the clock was put back, or the schedule
    /// has changed. It is scheduled anew, rather than left alone for as long as the clock jumped.
    Anew,
}

/// Whether it is the turn of a host that is due at `due`, when no host can be due after `latest`.
pub fn turn(due: Option<Timestamp>, latest: Timestamp, now: Timestamp) -> Turn {
    match due {
        Some(due) if due <= now => Turn::Now,
        Some(due) if due <= latest => Turn::Later,
        Some(_) | None => Turn::Anew,
    }
}

/// How often a cron expression fires: the time between its next two firings after `after`.
///
/// Used to tell when a result is overdue.
pub fn interval(schedule: &Schedule, after: Timestamp) -> Option<Duration> {
    let from = DateTime::<Utc>::from_timestamp_millis(after.as_millis())?;
    let mut firings = schedule.after(&from);
    let (first, second) = (firings.next()?, firings.next()?);
    (second - first).to_std().ok()
}

/// The wall clock and a clock that nobody can set may part by this much; more, and the wall clock was set.
const JUMP_FROM: Duration = Duration::from_secs(30);

/// Whether the wall clock was set: it shows `seen`, and would have shown `expected`.
pub fn jumped(expected: Timestamp, seen: Timestamp) -> bool {
    seen.since(expected) > JUMP_FROM || expected.since(seen) > JUMP_FROM
}

/// How old a result is, with each setting of the clock since: what it showed, and what it would have shown. A clock
/// that was set ahead has made nothing older.
pub fn age(at: Timestamp, now: Timestamp, jumps: &[(Timestamp, Timestamp)]) -> Duration {
    let ahead = jumps
        .iter()
        .filter(|(seen, expected)| at <= *expected && *seen <= now)
        .map(|(seen, expected)| seen.since(*expected))
        .fold(Duration::ZERO, Duration::saturating_add);
    now.since(at).saturating_sub(ahead)
}

/// After this many intervals without a result, a verdict is shown as stale.
const STALE_AFTER: u32 = 3;

/// Whether a result of this age is no longer news.
pub fn is_stale(age: Duration, interval: Duration, jitter: Duration) -> bool {
    age > interval.saturating_mul(STALE_AFTER).saturating_add(jitter)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use proptest::prelude::*;

    use super::*;

    fn host(name: &str) -> HostName {
        name.parse().expect("a valid host name")
    }

    #[test]
    fn without_jitter_the_cron_expression_decides() {
        let every_ten = Schedule::from_str("0 */10 * * * *").unwrap();
        let after = Timestamp::from_millis(1_000);
        assert_eq!(
            next_due(&every_ten, Duration::ZERO, &host("cmp-1"), after),
            Some(Timestamp::from_millis(600_000))
        );
        assert_eq!(interval(&every_ten, after), Some(Duration::from_secs(600)));
    }

    #[test]
    fn a_restart_comes_to_the_same_time_and_hosts_are_spread() {
        let hourly = Schedule::from_str("0 0 * * * *").unwrap();
        let jitter = Duration::from_secs(600);
        let due: std::collections::BTreeSet<_> = (0..100)
            .map(|n| {
                let name = host(&format!("cmp-{n}"));
                let one = next_due(&hourly, jitter, &name, Timestamp::from_millis(5));
                assert_eq!(one, next_due(&hourly, jitter, &name, Timestamp::from_millis(5)));
                one
            })
            .collect();
        assert!(
            due.len() > 90,
            "100 hosts have only {} different times",
            due.len()
        );
    }

    const MINUTE: i64 = 60_000;
    const T0: i64 = 1_795_243_380_000;

    fn minute(n: i64) -> Timestamp {
        Timestamp::from_millis(T0 + n * MINUTE)
    }

    fn stale(at: i64, now: i64, jumps: &[(i64, i64)]) -> bool {
        let jumps: Vec<_> = jumps
            .iter()
            .map(|(seen, expected)| (minute(*seen), minute(*expected)))
            .collect();
        let ten = Duration::from_secs(600);
        is_stale(age(minute(at), minute(now), &jumps), ten, Duration::from_secs(60))
    }

    #[test]
    fn case_78_a_result_is_stale_after_three_intervals() {
        assert!(!stale(0, 31, &[]));
        assert!(stale(0, 32, &[]));
    }

    #[test]
    fn case_26_a_clock_that_is_set_an_hour_ahead_makes_nothing_stale() {
        // At minute 5 by the old clock it was set to minute 65.
        let jump = [(65, 5)];
        assert!(stale(0, 66, &[]), "what it would be without");
        assert!(!stale(0, 66, &jump));
        assert!(!stale(0, 91, &jump), "31 minutes have passed");
        assert!(
            stale(0, 92, &jump),
            "and it is as true as ever that nothing came for 32"
        );
        assert!(stale(66, 98, &jump), "a later result is none the younger for it");
        // Set back an hour: a result from the future is no reason.
        assert!(!stale(0, -55, &[(-55, 5)]));
        assert!(jumped(minute(5), minute(65)) && jumped(minute(65), minute(5)));
        assert!(!jumped(
            minute(5),
            Timestamp::from_millis(minute(5).as_millis() + 30_000)
        ));
    }

    #[test]
    fn a_past_year_never_fires() {
        let past = Schedule::from_str("0 0 0 1 1 * 2020").unwrap();
        assert_eq!(
            next_due(
                &past,
                Duration::ZERO,
                &host("a"),
                Timestamp::from_millis(1_790_000_000_000)
            ),
            None
        );
    }

    proptest! {
        #[test]
        fn due_is_later_and_every_firing_is_kept(after in 0_i64..4_000_000_000_000, jitter_s in 0_u64..900) {
            let every_ten = Schedule::from_str("0 */10 * * * *").unwrap();
            let name = host("cmp-1");
            let jitter = Duration::from_secs(jitter_s);
            let due = next_due(&every_ten, jitter, &name, Timestamp::from_millis(after)).unwrap();
            prop_assert!(due.as_millis() > after);
            // at most one interval and one jitter away
            prop_assert!(due.as_millis() - after <= 600_000 + i64::try_from(jitter.as_millis()).unwrap());
        }
    }

    #[test]
    fn a_clock_put_back_puts_no_host_to_sleep_for_the_jump() {
        let (every_ten, jitter) = (
            Schedule::from_str("0 */10 * * * *").unwrap(),
            Duration::from_secs(300),
        );
        let minute = |n: i64| Timestamp::from_millis(n * 60_000);
        for n in 0..50 {
            let name = host(&format!("cmp-{n}"));
            let (planned, back) = (minute(100 + n), minute(40 + n));
            let due = next_due(&every_ten, jitter, &name, planned);
            let latest = latest_due(&every_ten, jitter, planned).unwrap();
            assert_eq!(turn(due, latest, planned), Turn::Later, "as planned");
            assert_eq!(turn(due, latest, due.unwrap()), Turn::Now);
            let latest = latest_due(&every_ten, jitter, back).unwrap();
            assert_eq!(turn(due, latest, back), Turn::Anew, "an hour back");
            // The new time is one that the schedule names: it stays.
            let again = next_due(&every_ten, jitter, &name, back);
            assert_eq!(turn(again, latest, back), Turn::Later);
            assert!(again.unwrap() <= back.plus(Duration::from_secs(900)));
        }
        assert_eq!(turn(None, minute(9), minute(1)), Turn::Anew);
    }
}
