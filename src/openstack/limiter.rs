//! How much is asked of each service at a time, whatever number of cases runs: so many requests in any second, and
//! so many that wait for their answer. Turns are given in the order in which they are asked for.
//!
//! What changes something has turns of its own, a quarter of them: disabling a host never waits behind the looks of
//! forty other cases, nor a look behind forty hosts that let a change hang.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::call::Service;
use super::connection::RequestLimits;

const SECOND: Duration = Duration::from_secs(1);

/// The turns of every service.
#[derive(Debug)]
pub(super) struct Limiter {
    services: [[Lane; 2]; Service::ALL.len()],
}

/// The turns of one service, for reads or for changes.
#[derive(Debug)]
struct Lane {
    in_flight: Semaphore,
    /// When the latest turns are or were, oldest first; as many as there may be in a second.
    turns: Mutex<VecDeque<Instant>>,
    per_second: usize,
}

impl Limiter {
    pub(super) fn new(limits: RequestLimits) -> Self {
        let changes = (limits.per_second / 4).max(1);
        let reads = limits.per_second.saturating_sub(changes).max(1);
        let lane = |per_second: u32| Lane {
            in_flight: Semaphore::new(usize::try_from(limits.in_flight.max(1)).unwrap_or(1)),
            turns: Mutex::default(),
            per_second: usize::try_from(per_second).unwrap_or(1),
        };
        Self {
            services: std::array::from_fn(|_| [lane(reads), lane(changes)]),
        }
    }

    fn lane(&self, service: Service, writes: bool) -> Option<&Lane> {
        let place = Service::ALL.iter().position(|known| *known == service)?;
        let [reads, changes] = self.services.get(place)?;
        Some(if writes { changes } else { reads })
    }

    /// Waits for a place among the requests that wait for their answer; free again when dropped.
    pub(super) async fn place(&self, service: Service, writes: bool) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.lane(service, writes)?.in_flight.acquire().await.ok()
    }

    /// Waits for the next turn to send a request.
    pub(super) async fn turn(&self, service: Service, writes: bool) {
        if let Some(lane) = self.lane(service, writes) {
            tokio::time::sleep_until(lane.next(Instant::now())).await;
        }
    }
}

impl Lane {
    /// Takes the next turn: now, or a second after the one that came so many before it.
    fn next(&self, now: Instant) -> Instant {
        let mut turns = self
            .turns
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut turn = now;
        if turns.len() >= self.per_second
            && let Some(before) = turns.pop_front()
        {
            turn = turn.max(before + SECOND);
        }
        turns.push_back(turn);
        turn
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lane(per_second: usize) -> Lane {
        Lane {
            in_flight: Semaphore::new(1),
            turns: Mutex::default(),
            per_second,
        }
    }

    proptest! {
        /// However they are asked for: never more in any second, never before they are asked for, and in order.
        #[test]
        fn no_second_has_more_turns_than_it_may(
            per_second in 1usize..9,
            asked in proptest::collection::vec(0u64..400, 1..60),
        ) {
            let lane = lane(per_second);
            let begin = Instant::now();
            let mut now = begin;
            let mut turns = Vec::new();
            for pause in asked {
                now += Duration::from_millis(pause);
                let turn = lane.next(now);
                prop_assert!(turn >= now);
                turns.push(turn);
            }
            for (turn, later) in turns.iter().zip(turns.iter().skip(per_second)) {
                prop_assert!(*later >= *turn + SECOND);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_does_not_wait_behind_reads_and_the_sum_is_bounded() {
        let limiter = Limiter::new(RequestLimits {
            per_second: 8,
            in_flight: 1,
        });
        let begin = Instant::now();
        for _ in 0..60 {
            limiter.turn(Service::Compute, false).await;
        }
        assert_eq!(begin.elapsed().as_secs(), 9, "six reads in a second");
        let reading = limiter.place(Service::Compute, false).await;
        let asked = Instant::now();
        let changing = limiter.place(Service::Compute, true).await;
        limiter.turn(Service::Compute, true).await;
        limiter.turn(Service::Compute, true).await;
        assert_eq!(
            asked.elapsed(),
            Duration::ZERO,
            "two changes in a second, and a place of their own"
        );
        limiter.turn(Service::Compute, true).await;
        assert_eq!(asked.elapsed(), SECOND);
        // Another service has its own.
        limiter.turn(Service::InstanceHa, false).await;
        assert_eq!(asked.elapsed(), SECOND);
        drop((reading, changing));
    }
}
