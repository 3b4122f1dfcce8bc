//! A round is over: decide, and write the round with all that follows from it in one transaction.

use std::time::Duration;

use lazaret_attest::verdict::Verdict;

use crate::clock::Timestamp;
use crate::ids::CaseKind;
use crate::store::{CaseState, Lease, NewCase, RecordError, Recording, Round};

use super::Respond;
use super::decide::{Decision, Earlier, News, Question, decide};
use super::notify::{Event, Kind};
use super::quiet::Followed;
use super::words::{findings, words};

/// A first condemnation older than this is confirmed anew; longer where the configured pause is.
const CONFIRM_WITHIN: Duration = Duration::from_secs(3600);

/// Earlier rounds that are looked at.
const EARLIER: u32 = 16;

impl Respond {
    /// Writes a round down, with the case and the notifications that follow from it, in one transaction; says
    /// what was decided. On [`Decision::Confirm`] the caller challenges the host again at once and brings that
    /// round here too.
    ///
    /// `recording` comes without case and notifications; they are put in here.
    pub async fn on_round(&self, lease: &Lease, mut recording: Recording) -> Result<Decision, RecordError> {
        let now = self.clock.now();
        let host = recording.round.host.clone();
        let round = &recording.round;
        let earlier = self.store.latest_rounds(&host, EARLIER).await?;
        let oldest = earlier.iter().map(|earlier| earlier.finished_at).min();
        let pauses = self.store.pauses(oldest.unwrap_or(now).min(now)).await?;
        let paused_at = |at: Timestamp| pauses.iter().any(|pause| pause.covered(&host, at));
        let paused = paused_at(now);
        // Rounds from a time when the clock was ahead say nothing of what came before this one; those of a pause, in
        // which a host may be anything, condemn nobody afterwards.
        let before = |earlier: &Round| {
            earlier.id != round.id
                && earlier.finished_at <= round.finished_at
                && (paused || !paused_at(earlier.finished_at))
        };
        let mut earlier: Vec<Round> = earlier.into_iter().filter(before).collect();
        // Nor may they crowd out the round that this one confirms.
        if let Some(first) = round.confirms
            && earlier.is_empty()
            && let Some(first) = self.store.round(first).await?
        {
            earlier.extend(Some(first).filter(before));
        }
        let known = self.store.host(&host).await?;
        let quarantined = known.as_ref().is_some_and(|host| host.quarantined_by.is_some());
        let unclosed = self.store.unclosed_case(&host).await?;
        // What keeps new instances off a silent host makes way for a quarantine.
        let case_open = quarantined
            || unclosed
                .as_ref()
                .is_some_and(|case| !matches!(case.kind, CaseKind::Unschedule | CaseKind::Reschedule));
        let decision = decide(&Question {
            mode: self.config.mode,
            verdict: round.verdict,
            round: round.id,
            at: round.finished_at,
            earlier: &earlier.iter().map(seen).collect::<Vec<_>>(),
            case_open,
            paused,
            confirm_within: CONFIRM_WITHIN,
        });
        let followed = match &known {
            Some(known) if !case_open && unclosed.is_none() && !paused => {
                self.on_silence(known, round, now).await?
            }
            _ => Followed::default(),
        };
        let mut events = Vec::new();
        // Held until the case is written, so that the next one is counted with it.
        let mut _opening = None;
        match decision {
            Decision::Nothing | Decision::Record => {}
            Decision::Notify(News::Indeterminate) if followed.cut_off => {}
            Decision::Confirm => Box::pin(self.read_ahead(round, now)).await?,
            Decision::Notify(news) => {
                let words = words(&findings(round));
                events.push(Event::news(news, &host, round.id, &words, now));
            }
            Decision::OpenCase => {
                _opening = Some(self.opening.lock().await);
                let first = earlier
                    .iter()
                    .find(|before| before.verdict == Verdict::Contraindicated);
                let case = Box::pin(self.new_case(round, first.unwrap_or(round), now)).await?;
                // Of a group people are told once, not of each of its cases.
                if case.held_group.is_none() {
                    events.push(opened(&case, now));
                }
                if let CaseState::Held { reason } = &case.state
                    && case.held_group.is_none()
                {
                    events.push(Event::case(Kind::CaseHeld, &case.id, &host, reason.clone(), now));
                }
                recording.case = Some(case);
            }
        }
        events.extend(followed.events);
        if recording.case.is_none() {
            recording.case = followed.case;
        }
        recording.notifications.extend(events.iter().map(Event::queued));
        match self.store.record(lease, &recording, now).await {
            Ok(()) => {}
            // Another daemon was faster; the round counts all the same.
            Err(RecordError::CaseOpen { .. }) => {
                recording.case = None;
                recording.notifications.clear();
                self.store.record(lease, &recording, now).await?;
                return Ok(Decision::Nothing);
            }
            Err(error) => return Err(error),
        }
        if recording.case.is_some() {
            self.opened.notify_one();
        }
        Ok(decision)
    }
}

fn seen(round: &Round) -> Earlier {
    Earlier {
        verdict: round.verdict,
        round: round.id,
        at: round.finished_at,
    }
}

fn opened(case: &NewCase, now: Timestamp) -> Event {
    let summary = format!("{} fails attestation: {}", case.host, case.cause);
    Event::case(Kind::CaseOpened, &case.id, &case.host, summary, now)
}
