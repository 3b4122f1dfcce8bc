//! Carries one case out: does the next step, records it, and chooses nothing.
//!
//! All state is in the store and in the world. Killed anywhere, the next driver reads the recorded steps, and the
//! step that was under way looks before it acts.

use std::future::Future;
use std::sync::Mutex;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ids::{CaseId, CaseKind};
use crate::openstack::Cloud;
use crate::store::{Case, CaseState, JournalEntry, Lease, StepState, StoreError};

use super::Respond;
use super::journal::Entry;
use super::notify::{Event, Kind};
use super::saga::{self, Move, Settled, Step};
use super::steps::{self, Context, Seen};
use super::words::for_a_person;

/// A case that rests longer is let go, and taken again when it is due: other cases have its place meanwhile.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// How often a case of a paused host looks whether it may go on.
const PAUSED_LOOK: Duration = Duration::from_secs(10);

/// A quarantine that could not be planned for so long is told to people.
const TOLD_AFTER: Duration = Duration::from_secs(5 * 60);

impl Respond {
    /// Step after step, until the case rests, ends, or `stop`.
    pub(super) async fn carry_on(
        &self,
        cloud: &Cloud,
        id: &CaseId,
        lease: &Lease,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let proof = Mutex::new(None);
        while !stop.is_cancelled() {
            let Some(case) = self.store.case(id).await? else {
                return Ok(());
            };
            if case.state != CaseState::Open {
                return Ok(());
            }
            let now = self.clock.now();
            if let Some(pause) = self.store.paused(&case.host, now).await? {
                tracing::info!(case = %id, host = %case.host, until = %pause.until, "paused: {}", pause.because);
                return self.store.postpone(lease, now.plus(PAUSED_LOOK), now).await;
            }
            let recorded = match self.recorded(id).await? {
                Ok(recorded) => recorded,
                Err(why) => return self.stop(&case, lease, why, Kind::CaseStuck).await,
            };
            match saga::next(&recorded) {
                Move::Do(step) => {
                    if !matches!(step, Step::Evacuate | Step::Confirm | Step::Close) {
                        self.fencing.fetch_ahead(&case.host);
                    }
                    if let Some(pause) = self.step(cloud, &case, lease, step, &proof).await? {
                        if pause > LONG_PAUSE {
                            return Ok(());
                        }
                        tokio::select! {
                            () = stop.cancelled() => {}
                            () = tokio::time::sleep(pause) => {}
                        }
                    }
                }
                Move::Over => return self.close(cloud, &case, lease, &proof).await,
                Move::Broken(why) => return self.stop(&case, lease, why, Kind::CaseStuck).await,
            }
        }
        Ok(())
    }

    /// The recorded steps; the inner error is a step that this version does not know.
    pub(super) async fn recorded(
        &self,
        id: &CaseId,
    ) -> Result<Result<Vec<(Step, StepState)>, String>, StoreError> {
        let steps = self.store.steps(id).await?;
        let read = |step: &crate::store::Step| Ok((step.name.parse::<Step>()?, step.state));
        let read: Result<Vec<_>, saga::UnknownStep> = steps.iter().map(read).collect();
        Ok(read.map_err(|error| error.to_string()))
    }

    /// One attempt at one step, written down before and after. Returns how long the case is to rest.
    async fn step(
        &self,
        cloud: &Cloud,
        case: &Case,
        lease: &Lease,
        step: Step,
        proof: &Mutex<Option<Seen>>,
    ) -> Result<Option<Duration>, StoreError> {
        let store = &self.store;
        let name = step.as_str();
        let doing = Entry::says(step.meaning()).json();
        store.begin_step(lease, name, &doing, self.clock.now()).await?;
        let journal = store.journal_of(&case.id).await?;
        let context = Context::new(self, cloud, case, &journal, lease, proof, step);
        let limit = steps::deadline(step, self, &case.host);
        let ended = within(limit, steps::ensure(step, &context)).await;
        // Whatever the step made of it: without leave to act, or without a journal, nothing more is done or written.
        if let Some(error) = context.leave.trouble() {
            return Err(error);
        }
        let outcome = match ended {
            Some(Ok(outcome)) => outcome,
            Some(Err(trouble)) => trouble.outcome()?,
            None => saga::Outcome::Again {
                after: None,
                why: format!(
                    "an attempt took longer than the {} s that the step has",
                    limit.as_secs()
                ),
            },
        };
        let attempt = self.attempt(&case.id, name).await?;
        let (id, host) = (&case.id, &case.host);
        match saga::settle(step, outcome, attempt, self.config.step_attempts) {
            Settled::Finished(state, entry, why) => {
                let entry = entry.unwrap_or_else(|| Entry::says(why));
                tracing::info!(case = %id, %host, step = name, "{}", entry.says);
                store
                    .end_step(
                        lease,
                        name,
                        state,
                        Some(&entry.says),
                        &entry.json(),
                        self.clock.now(),
                    )
                    .await?;
                Ok(None)
            }
            Settled::Rest(pause, why) => {
                tracing::warn!(case = %id, %host, step = name, attempt, "{why}");
                if step == Step::Plan {
                    self.tell_of_waiting(case, &journal, &why).await?;
                }
                self.failed(lease, step, &why).await?;
                let now = self.clock.now();
                store.postpone(lease, now.plus(pause), now).await?;
                Ok(Some(pause))
            }
            Settled::Held(reason) => {
                self.failed(lease, step, &reason).await?;
                self.stop(case, lease, reason, Kind::CaseHeld).await?;
                Ok(None)
            }
            Settled::Stuck(reason) => {
                self.failed(lease, step, &reason).await?;
                self.stop(case, lease, reason, Kind::CaseStuck).await?;
                Ok(None)
            }
        }
    }

    /// Planning has no last attempt. People are told once of a quarantine that waits for it, or else nobody would know
    /// of a condemned host that runs on.
    async fn tell_of_waiting(
        &self,
        case: &Case,
        journal: &[JournalEntry],
        why: &str,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let begun = journal.iter().find(|entry| entry.step == Step::Plan.as_str());
        let waited = begun.is_some_and(|entry| now.since(entry.at) >= TOLD_AFTER);
        if case.kind != CaseKind::Quarantine || !waited {
            return Ok(());
        }
        let summary = format!(
            "{} is condemned and not touched yet; its quarantine could not be planned for {} minutes: {why}",
            case.host,
            TOLD_AFTER.as_secs() / 60,
        );
        let event = Event::case(Kind::CaseWaiting, &case.id, &case.host, summary, now);
        self.store.enqueue(&event.queued(), now).await.map(drop)
    }

    async fn failed(&self, lease: &Lease, step: Step, why: &str) -> Result<(), StoreError> {
        let entry = Entry::says(why).json();
        let now = self.clock.now();
        self.store
            .end_step(lease, step.as_str(), StepState::Failed, Some(why), &entry, now)
            .await
    }

    /// How often the step was begun since a person last let the case go on.
    async fn attempt(&self, case: &CaseId, step: &str) -> Result<u32, StoreError> {
        let steps = self.store.steps(case).await?;
        let begun = steps
            .iter()
            .find(|known| known.name == step)
            .map_or(1, |known| known.attempts);
        Ok(u32::try_from(begun).unwrap_or(u32::MAX).max(1))
    }

    /// Stops the case for a person.
    async fn stop(&self, case: &Case, lease: &Lease, reason: String, kind: Kind) -> Result<(), StoreError> {
        let reason = for_a_person(case.kind, &case.id, &case.host, reason);
        let now = self.clock.now();
        let (mut events, mut known) = (Vec::new(), case.clone());
        if let Some(case) = self.store.case(&case.id).await? {
            known = case;
        }
        if known.state != CaseState::Open {
            // Held meanwhile: by a person, or with other cases of its cause.
            return Ok(());
        }
        let event = Event::case(kind, &case.id, &case.host, reason.clone(), now);
        // Of a group people are told once, not of each of its cases.
        if kind != Kind::CaseHeld || known.held_group.is_none() || known.holds.is_none() {
            events.push(event);
        }
        let state = match kind {
            Kind::CaseHeld => CaseState::Held { reason },
            _ => CaseState::Stuck { reason },
        };
        self.store
            .stop_case(
                lease,
                &state,
                &events.iter().map(Event::queued).collect::<Vec<_>>(),
                now,
            )
            .await?;
        Ok(())
    }

    /// Closes the case with its outcome.
    async fn close(
        &self,
        cloud: &Cloud,
        case: &Case,
        lease: &Lease,
        proof: &Mutex<Option<Seen>>,
    ) -> Result<(), StoreError> {
        let journal = self.store.journal_of(&case.id).await?;
        let context = Context::new(self, cloud, case, &journal, lease, proof, Step::Close);
        let outcome = steps::closing(&context).await?;
        let now = self.clock.now();
        let kind = match case.kind {
            CaseKind::Release => Kind::CaseReleased,
            _ => Kind::CaseClosed,
        };
        let event = Event::case(kind, &case.id, &case.host, outcome.reason.clone(), now);
        // What silence opened was told as that, and needs nobody.
        let told = match case.kind {
            CaseKind::Unschedule | CaseKind::Reschedule => Vec::new(),
            CaseKind::Quarantine | CaseKind::Release => vec![event.queued()],
        };
        self.store.close_case(lease, &outcome, &told, now).await?;
        Ok(())
    }
}

pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(limit, work).await.ok()
}
