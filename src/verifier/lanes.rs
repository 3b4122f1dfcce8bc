//! Who may have a round now: hosts that were silent or slow never hold more than half of the places.
//!
//! A host decides how long its round takes, up to the deadline. Without this, as many dripping agents as there are
//! places would keep every other host from being attested.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ids::HostName;

/// The places for rounds.
#[derive(Debug)]
pub struct Lanes {
    places: Arc<Semaphore>,
    of_slow: Arc<Semaphore>,
    slow: Mutex<HashSet<HostName>>,
    slow_after: Duration,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Place {
    _place: Option<OwnedSemaphorePermit>,
    _of_slow: Option<OwnedSemaphorePermit>,
}

impl Lanes {
    /// `places` rounds at once, half of them (but at least one) for hosts that were slow. A host is slow when it gave no
    /// answer, or took more than a quarter of `deadline` to give it.
    pub fn new(places: usize, deadline: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            of_slow: Arc::new(Semaphore::new((places / 2).max(1))),
            slow: Mutex::default(),
            slow_after: deadline / 4,
        }
    }

    /// Waits for a place.
    pub async fn place(&self, host: &HostName) -> Place {
        // Neither semaphore is ever closed.
        let slow = self.lock().contains(host);
        let of_slow = match slow {
            true => Arc::clone(&self.of_slow).acquire_owned().await.ok(),
            false => None,
        };
        Place {
            _place: Arc::clone(&self.places).acquire_owned().await.ok(),
            _of_slow: of_slow,
        }
    }

    /// Remembers how a host's round went: `answer` is how long its answer took, none if there was none.
    pub fn note(&self, host: &HostName, answer: Option<Duration>) {
        let slow = answer.is_none_or(|took| took > self.slow_after);
        let mut known = self.lock();
        if slow {
            known.insert(host.clone());
        } else {
            known.remove(host);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<HostName>> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: usize) -> HostName {
        format!("cmp-{n}").parse().expect("a host name")
    }

    async fn in_time(lanes: &Lanes, host: &HostName) -> Option<Place> {
        tokio::time::timeout(Duration::from_secs(1), lanes.place(host))
            .await
            .ok()
    }

    #[tokio::test(start_paused = true)]
    async fn dripping_agents_leave_half_of_the_places_to_the_others() {
        let lanes = Lanes::new(4, Duration::from_secs(80));
        for n in 0..10 {
            lanes.note(
                &host(n),
                if n % 2 == 0 {
                    None
                } else {
                    Some(Duration::from_secs(21))
                },
            );
        }
        let mut held = Vec::new();
        for n in 0..10 {
            held.extend(in_time(&lanes, &host(n)).await);
        }
        assert_eq!(held.len(), 2, "slow hosts hold half of four places");
        for n in 20..22 {
            held.extend(in_time(&lanes, &host(n)).await);
        }
        assert_eq!(held.len(), 4, "hosts that answer get the others at once");
        assert!(
            in_time(&lanes, &host(22)).await.is_none(),
            "there are four places"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_answers_again_is_slow_no_more() {
        let lanes = Lanes::new(4, Duration::from_secs(80));
        let (one, two, three) = (host(1), host(2), host(3));
        for name in [&one, &two, &three] {
            lanes.note(name, None);
        }
        let _held = (in_time(&lanes, &one).await, in_time(&lanes, &two).await);
        assert!(in_time(&lanes, &three).await.is_none());
        lanes.note(&three, Some(Duration::from_secs(20)));
        assert!(in_time(&lanes, &three).await.is_some());
    }
}
