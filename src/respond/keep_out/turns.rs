//! When each host that is kept out is looked at next; pure. One look may take an hour, and delays that of no other host: it
//! holds one of the places for looks for a short time only.

use std::time::Duration;

use tokio::time::Instant;

use crate::ids::CaseId;

/// Looks that begin at once.
const PLACES: usize = 8;

/// A look holds its place for this long. One that takes longer waits for a BMC, or puts something back: it asks little of
/// anybody, and others begin beside it.
const HOLDS: Duration = Duration::from_secs(10);

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Turns {
    interval: Duration,
    all: Vec<(CaseId, Turn)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Not before this time.
    At(Instant),
    /// It is looked at just now, since then.
    Now(Instant),
}

impl Turns {
    /// Nobody's turn. Between two looks at a host is this interval, however long a look takes.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            all: Vec::new(),
        }
    }

    /// These are kept out now. One that is new is due at once; of one that is not kept out any more nothing is left.
    pub(super) fn set(&mut self, cases: &[CaseId], now: Instant) {
        self.all
            .retain(|(id, turn)| matches!(turn, Turn::Now(_)) || cases.contains(id));
        for id in cases {
            if !self.all.iter().any(|(known, _)| known == id) {
                self.all.push((id.clone(), Turn::At(now)));
            }
        }
    }

    /// When each place that is taken now is free at the latest.
    fn taken(&self, now: Instant) -> impl Iterator<Item = Instant> {
        let until = self.all.iter().filter_map(|(_, turn)| match turn {
            Turn::At(_) => None,
            Turn::Now(since) => Some(*since + HOLDS),
        });
        until.filter(move |until| *until > now)
    }

    /// The one that is due for longest, where there is a place: it is looked at from now on.
    pub(super) fn next(&mut self, now: Instant) -> Option<CaseId> {
        if self.taken(now).count() >= PLACES {
            return None;
        }
        let due = self.all.iter_mut().filter_map(|(id, turn)| match *turn {
            Turn::At(at) if at <= now => Some((at, id, turn)),
            _ => None,
        });
        let (_, id, turn) = due.min_by_key(|(at, ..)| *at)?;
        *turn = Turn::Now(now);
        Some(id.clone())
    }

    /// A look has ended.
    pub(super) fn ended(&mut self, id: &CaseId, now: Instant) {
        for (known, turn) in &mut self.all {
            if known == id {
                *turn = Turn::At(now + self.interval);
            }
        }
    }

    /// When the next one is due and has a place, unless a look ends before; `None`: all are looked at just now, or there is
    /// none.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let at = self.all.iter().filter_map(|(_, turn)| match turn {
            Turn::At(at) => Some(*at),
            Turn::Now(_) => None,
        });
        let due = at.min()?;
        if self.taken(now).count() < PLACES {
            return Some(due);
        }
        Some(self.taken(now).min().map_or(due, |free| due.max(free)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn id(letter: char) -> CaseId {
        format!("q-20261121-{letter}f3a2c").parse().unwrap()
    }

    #[test]
    fn a_look_that_takes_an_hour_delays_that_of_no_other_host() {
        let (a, b, mut now) = (id('a'), id('b'), Instant::now());
        let mut turns = Turns::new(INTERVAL);
        turns.set(&[a.clone(), b.clone()], now);
        assert_eq!(turns.next(now), Some(a.clone()));
        for _ in 0..120 {
            assert_eq!(turns.next(now), Some(b.clone()));
            assert_eq!(
                (turns.next(now), turns.due(now)),
                (None, None),
                "{a} is looked at still"
            );
            turns.ended(&b, now);
            turns.set(&[a.clone(), b.clone()], now);
            assert_eq!(turns.next(now + INTERVAL - Duration::from_millis(1)), None);
            now += INTERVAL;
            assert_eq!(turns.due(now), Some(now));
        }
        turns.ended(&a, now);
        assert_eq!(turns.next(now), Some(b));
        assert_eq!(turns.next(now), None, "its interval begins as its look ends");
        assert_eq!(turns.next(now + INTERVAL), Some(a));
    }

    #[test]
    fn who_waits_for_longest_is_first_and_who_was_released_is_forgotten() {
        let (a, b, c, now) = (id('a'), id('b'), id('c'), Instant::now());
        let mut turns = Turns::new(INTERVAL);
        turns.set(&[a.clone(), b.clone()], now);
        let second = now + Duration::from_secs(1);
        assert_eq!(turns.next(now), Some(a.clone()));
        turns.ended(&a, now);
        turns.set(&[a.clone(), b.clone(), c.clone()], second);
        let later = now + INTERVAL;
        assert_eq!(turns.next(later), Some(b.clone()));
        turns.set(&[a.clone(), b.clone()], later);
        assert_eq!(
            (turns.next(later), turns.next(later)),
            (Some(a), None),
            "{c} was released"
        );
        // One that is looked at as it is released is forgotten after that.
        turns.set(&[], later);
        turns.ended(&b, later);
        turns.set(&[], later);
        assert_eq!(turns.due(later), None);
    }

    /// Eight BMCs that do not answer.
    #[test]
    fn looks_that_take_long_hold_no_places() {
        let mut turns = Turns::new(INTERVAL);
        let all: Vec<CaseId> = ('a'..='f')
            .flat_map(|one| ['0', '1', '2'].map(|two| format!("q-20261121-{one}{two}3a2c").parse().unwrap()))
            .collect();
        let begun = Instant::now();
        turns.set(&all, begun);
        for at in [begun, begun + HOLDS] {
            for place in 1..=PLACES {
                assert!(turns.next(at).is_some(), "place {place}");
            }
            assert_eq!(turns.next(at), None, "all places are taken");
            assert_eq!(turns.due(at), Some(at + HOLDS), "until then");
            assert_eq!(turns.next(at + HOLDS - Duration::from_millis(1)), None);
        }
        // One that ends gives its place back.
        turns.ended(&all[PLACES], begun + HOLDS);
        assert!(turns.due(begun + HOLDS) <= Some(begun + HOLDS));
        assert!(turns.next(begun + HOLDS).is_some());
    }
}
