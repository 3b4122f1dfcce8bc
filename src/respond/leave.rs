//! Leave to act for a case: the database is asked directly before each effect, and the journal is written ahead.
//!
//! Proves that the lease is still ours and has not run out, in the same transaction that writes down what is about
//! to be done. A daemon that was stopped and wakes finds out here, before its next effect.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;
use crate::permit::{Asked, Denied, Effect, Permit, Permits};
use crate::store::{Lease, Phase, Store, StoreError};

use super::journal::Entry;
use super::steps::fence::Seen;

/// What wants the host off is sent only so long after its power was last read as off. A host that somebody powers on
/// meanwhile has not yet started its instances by then.
const OFF_IS_GOOD_FOR: Duration = Duration::from_secs(30);

/// Gives leave to act for a step of a leased case.
pub(super) struct Leave<'a> {
    store: &'a Store,
    clock: &'a dyn Clock,
    lease: &'a Lease,
    /// Where it is kept that the host was seen off.
    proof: &'a Mutex<Option<Seen>>,
    /// Its name in the journal.
    step: &'static str,
    /// Why the last leave was not given, or what came of an effect could not be written down.
    trouble: Mutex<Option<StoreError>>,
}

impl<'a> Leave<'a> {
    /// For this step, under this lease.
    pub(super) fn new(
        store: &'a Store,
        clock: &'a dyn Clock,
        lease: &'a Lease,
        proof: &'a Mutex<Option<Seen>>,
        step: &'static str,
    ) -> Self {
        Self {
            store,
            clock,
            lease,
            proof,
            step,
            trouble: Mutex::new(None),
        }
    }

    /// Why the case has to be left alone, whatever the step made of it: leave was denied, or the journal could not
    /// be written.
    pub(super) fn trouble(&self) -> Option<StoreError> {
        self.slot().take()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<StoreError>> {
        // Nothing panics while it is held.
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn give(&self, effect: &Effect, off_until: Option<Instant>) -> Result<Permit, StoreError> {
        // Taken before the database is asked, so that the leave ends with the lease at the latest.
        let (begin, now) = (Instant::now(), self.clock.now());
        let detail = Entry::of_effect(effect, "about to be done").json();
        let lasts = self.store.permit(self.lease, self.step, &detail, now).await?;
        let until = begin + lasts;
        Ok(Permit::until(off_until.map_or(until, |off| off.min(until))))
    }

    /// Until when an effect may be begun for what was seen of the host; `None`: it may be on.
    fn off_until(&self, effect: &Effect) -> Result<Option<Instant>, Denied> {
        if !effect.wants_host_off() {
            return Ok(None);
        }
        let proof = self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        let until = proof.as_ref().map(|seen| seen.off_at() + OFF_IS_GOOD_FOR);
        if until.is_some_and(|until| Instant::now() < until) {
            return Ok(until);
        }
        Err(Denied {
            why: format!(
                "its power was last read as off more than {} s ago; it is read again first",
                OFF_IS_GOOD_FOR.as_secs()
            ),
            passes: true,
        })
    }
}

impl Permits for Leave<'_> {
    fn ask<'a>(&'a self, effect: &'a Effect) -> Asked<'a, Result<Permit, Denied>> {
        Box::pin(async move {
            let off_until = self.off_until(effect)?;
            self.give(effect, off_until).await.map_err(|error| {
                let why = error.to_string();
                *self.slot() = Some(error);
                Denied { why, passes: false }
            })
        })
    }

    fn answered<'a>(&'a self, effect: &'a Effect, answer: &'a str) -> Asked<'a, ()> {
        Box::pin(async move {
            let detail = Entry::of_effect(effect, answer).json();
            let (step, now) = (self.step, self.clock.now());
            let written = self.store.journal(self.lease, step, Phase::Effect, &detail, now);
            if let Err(error) = written.await {
                *self.slot() = Some(error);
            }
        })
    }
}
