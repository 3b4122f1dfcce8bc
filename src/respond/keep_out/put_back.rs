//! Has put back what is not as it was left, and tells people of it.

use std::collections::{BTreeMap, BTreeSet};

use tokio_util::sync::CancellationToken;

use crate::respond::case_run::within;
use crate::respond::holddown::{self, Drift, Past, ROOM, Repair, Turn, Word};
use crate::respond::journal::Entry;
use crate::respond::notify::{Event, Kind};
use crate::respond::plan::Plan;
use crate::respond::saga::{self, Step};
use crate::respond::steps::{self, Context};
use crate::store::{Case, CaseInstance, StoreError};

/// One look at one host, with what is known of earlier ones.
pub(super) struct Look<'a> {
    pub(super) context: Context<'a>,
    pub(super) plan: &'a Plan,
    pub(super) past: Past,
}

impl Look<'_> {
    /// Has put back what may be, and tells of all of it once.
    pub(super) async fn act_on(&self, drifts: &[Drift], stop: &CancellationToken) -> Result<(), StoreError> {
        let respond = self.context.respond;
        let keys: BTreeSet<String> = drifts.iter().map(Drift::key).collect();
        for gone in self.past.gone(&keys) {
            self.write(Word::Gone, gone, format!("{gone}: no longer seen"), None, None)
                .await?;
        }
        let hands_off = respond.hands_off(&self.context.case.host).await?;
        let mut back = Vec::new();
        for drift in drifts {
            let (now, repairs) = (respond.clock.now(), respond.config.holddown_repairs);
            match holddown::turn(drift, &self.past, repairs, now, hands_off.as_deref()) {
                Turn::Leave { tell: None } => {}
                // Nothing is known yet, and nothing may be done to know more.
                Turn::Leave { .. } if !drift.is_certain() => {}
                Turn::Leave { tell: Some(why) } => {
                    let who = self.who(drift).await;
                    let words = format!("{drift}; {who}; {why}");
                    self.write(
                        Word::Left,
                        &drift.key(),
                        words.clone(),
                        Some((drift, &who)),
                        Some(words),
                    )
                    .await?;
                }
                Turn::PutBack { tell } => {
                    if tell && drift.is_certain() {
                        let who = self.who(drift).await;
                        let words = format!("{drift}; {who}; it is being put back");
                        self.write(
                            Word::Found,
                            &drift.key(),
                            words.clone(),
                            Some((drift, &who)),
                            Some(words),
                        )
                        .await?;
                    }
                    back.push(drift);
                }
            }
        }
        if back.is_empty() {
            return Ok(());
        }
        self.wait_again(&back).await?;
        let Some(ended) = self.put_back(&back, stop).await? else {
            return Ok(());
        };
        for drift in back {
            let of = |repair| ended.get(repair);
            let failed: Vec<&str> = drift
                .repairs()
                .iter()
                .filter_map(|repair| of(repair)?.as_ref().err().map(String::as_str))
                .collect();
            let key = drift.key();
            if failed.is_empty() {
                // A write of another tool moved the row; the host was seen off again.
                if drift.is_certain() || self.past.last(&key).is_some() {
                    let done: Vec<&str> = drift
                        .repairs()
                        .iter()
                        .filter_map(|repair| of(repair)?.as_ref().ok().map(String::as_str))
                        .collect();
                    let words = format!("{drift}; it was put back: {}", done.join("; "));
                    self.write(Word::PutBack, &key, words, None, None).await?;
                }
                continue;
            }
            let words = format!(
                "{drift}; it could not be put back: {}; it is tried again",
                failed.join("; ")
            );
            let told = self.past.last(&key) == Some(Word::Failed);
            self.write(Word::Failed, &key, words.clone(), None, (!told).then_some(words))
                .await?;
        }
        Ok(())
    }

    /// Instances that are back wait for another evacuation.
    async fn wait_again(&self, back: &[&Drift]) -> Result<(), StoreError> {
        let known = self.context.instances().await?;
        let again: Vec<CaseInstance> = known
            .into_iter()
            .filter(|known| {
                back.iter()
                    .any(|drift| matches!(drift, Drift::InstanceBack(id, _) if *id == known.id))
            })
            .map(|known| CaseInstance {
                state: steps::WAITING.to_owned(),
                detail: Some("it came back to the quarantined host".to_owned()),
                ..known
            })
            .collect();
        self.context.put(&again).await
    }

    /// Does what puts back, in its order; says how each ended. `None`: the daemon stops.
    async fn put_back(
        &self,
        back: &[&Drift],
        stop: &CancellationToken,
    ) -> Result<Option<BTreeMap<Repair, Result<String, String>>>, StoreError> {
        let wanted: BTreeSet<Repair> = back.iter().flat_map(|drift| drift.repairs()).copied().collect();
        let mut ended: BTreeMap<Repair, Result<String, String>> = BTreeMap::new();
        for repair in wanted {
            if stop.is_cancelled() {
                return Ok(None);
            }
            let unseen = matches!(ended.get(&Repair::Fence), Some(Err(_)));
            let outcome = if unseen && matches!(repair, Repair::ForceDown | Repair::Evacuate) {
                Err("the host was not seen off".to_owned())
            } else {
                self.repair(repair).await?
            };
            ended.insert(repair, outcome);
        }
        Ok(Some(ended))
    }

    /// By a quarantine's own functions; the inner error says why it is not put back.
    async fn repair(&self, repair: Repair) -> Result<Result<String, String>, StoreError> {
        let (context, respond) = (&self.context, self.context.respond);
        let limit = respond.config.step_deadline;
        let step = |step| {
            let limit = steps::deadline(step, respond, &context.case.host);
            within(limit, steps::ensure(step, context))
        };
        let done = |words: &str| saga::Outcome::Done(Entry::says(words));
        let ended = match repair {
            Repair::Disable => Box::pin(step(Step::Disable)).await,
            Repair::Isolate => Box::pin(step(Step::Isolate)).await,
            Repair::Fence => Box::pin(step(Step::Fence)).await,
            Repair::ForceDown => Box::pin(step(Step::ForceDown)).await,
            Repair::Evacuate => Box::pin(step(Step::Evacuate)).await,
            Repair::TakeOut => {
                let strays = Box::pin(steps::take_strays_out(context, self.plan));
                within(limit, strays)
                    .await
                    .map(|ended| ended.map(|()| done("taken out")))
            }
            Repair::Maintain => {
                let pausing = Box::pin(steps::pause_masakari(context));
                within(limit, pausing).await.map(|ended| {
                    Ok(match ended? {
                        true => done("Masakari has it under maintenance again"),
                        false => saga::Outcome::Held("Masakari is at work on the host".to_owned()),
                    })
                })
            }
            Repair::KeepOff => {
                let keeping = Box::pin(steps::keep_off_again(context));
                within(limit, keeping).await.map(|ended| {
                    Ok(match ended? {
                        Ok(words) => done(&words),
                        Err(why) => saga::Outcome::Held(why),
                    })
                })
            }
        };
        if let Some(error) = context.leave.trouble() {
            return Err(error);
        }
        let outcome = match ended {
            Some(Ok(outcome)) => outcome,
            Some(Err(trouble)) => trouble.outcome()?,
            None => {
                return Ok(Err(
                    "it took longer than it may; docs/configuration.md has the deadlines".to_owned(),
                ));
            }
        };
        Ok(match outcome {
            saga::Outcome::Done(entry) => Ok(entry.says),
            saga::Outcome::Skipped(why) => Ok(why),
            saga::Outcome::Held(why) | saga::Outcome::Stuck(why) | saga::Outcome::Again { why, .. } => {
                Err(why)
            }
        })
    }

    /// Writes it into the journal, and tells people when there is something to tell; both or neither.
    async fn write(
        &self,
        word: Word,
        key: &str,
        words: String,
        news: Option<(&Drift, &str)>,
        tell: Option<String>,
    ) -> Result<(), StoreError> {
        let (context, now) = (&self.context, self.context.now());
        let case: &Case = context.case;
        let event = tell.map(|words| {
            // Two drifts may be found in the same instant.
            let mut event = Event::case(
                Kind::Drift,
                &case.id,
                &case.host,
                format!("{}: {words}", case.host),
                now,
            );
            event.id = format!("case {} drift {key} {} at {now}", case.id, word.as_str());
            event
        });
        let queued: Vec<_> = event.iter().map(Event::queued).collect();
        let entry = word.entry(key, words.as_str(), news).json();
        context
            .respond
            .store
            .note_and_tell(context.lease, ROOM, &entry, &queued, now)
            .await?;
        if queued.is_empty() {
            tracing::info!(case = %case.id, host = %case.host, "{words}");
        }
        Ok(())
    }

    /// Who did it, as far as the APIs say so.
    async fn who(&self, drift: &Drift) -> String {
        match drift {
            Drift::InstanceBack(id, _) => match self.context.cloud.newest_action(*id).await {
                Ok(Some(action)) => format!(
                    "the last that was asked of nova for it is \"{}\" by user {} of project {} (request {})",
                    action.action,
                    action.user_id.as_deref().unwrap_or("unknown"),
                    action.project_id.as_deref().unwrap_or("unknown"),
                    action.request_id.as_deref().unwrap_or("unknown"),
                ),
                Ok(None) => "nova knows of no action on it".to_owned(),
                Err(error) => format!("who did it cannot be read: {error}"),
            },
            Drift::OtherReason(found) if found.contains("Masakari") => {
                "Masakari writes that reason".to_owned()
            }
            Drift::OtherReason(_) => "whoever wrote that reason did it".to_owned(),
            Drift::Enabled | Drift::NotForcedDown | Drift::LeftAggregate | Drift::Stray(_) => {
                "nova does not say who did it; its API's log has the request".to_owned()
            }
            Drift::NotMaintained => {
                "Masakari does not say who did it; its API's log has the request".to_owned()
            }
            Drift::PoweredOn(_) | Drift::Alive | Drift::Stirs | Drift::NotKeptOff(_) => {
                "who did it is in the BMC's own log, if anywhere".to_owned()
            }
            Drift::PowerNotKnown(_) | Drift::MayReturn(_) => "nothing was done to it yet".to_owned(),
        }
    }
}
