//! Keeps quarantined hosts out: looks at each again and again until it is released, and has put back what is not as
//! it was left. [`super::holddown`] decides; the steps' own functions act, under the case's lease and by permits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lazaret_attest::verdict::Verdict;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Timestamp;
use crate::config::ResponseMode;
use crate::ids::{CaseId, CaseKind, HostName, InstanceId};
use crate::openstack::{Cloud, MigrationKind, Phase};
use crate::store::{Case, CaseInstance, CaseState, Json, Lease, LeaseKind, Outcome, StepState, StoreError};

use super::Respond;
use super::case_run::within;
use super::holddown::{self, Drift, Expect, Past, ROOM, Seen, Turn, Word};
use super::journal::{Entry, plan_of};
use super::notify::{Event, Kind};
use super::plan::Plan;
use super::saga::{self, Step};
use super::steps::{self, Context, Trouble};

/// Hosts that are looked at at once.
const AT_ONCE: usize = 8;

/// The newest time in nova's row that a look accounted for. A first look, and one after a restart, has none.
type Beat = Option<Timestamp>;

impl Respond {
    /// Looks at every quarantined host again and again, until `stop`. What is being put back then is finished within
    /// `grace`, or cut off; the next look goes on.
    pub async fn keep_out(self: Arc<Self>, stop: CancellationToken, grace: Duration) {
        let Some(cloud) = self.cloud.clone() else {
            stop.cancelled().await;
            return;
        };
        let mut beats: HashMap<CaseId, Beat> = HashMap::new();
        let mut looking: JoinSet<(CaseId, Beat)> = JoinSet::new();
        let mut waiting: Vec<CaseId> = Vec::new();
        while !stop.is_cancelled() {
            if looking.is_empty() && waiting.is_empty() {
                match self.kept_out().await {
                    Ok(cases) => {
                        beats.retain(|id, _| cases.contains(id));
                        waiting = cases;
                    }
                    Err(error) => tracing::error!(%error, "cannot look for quarantined hosts"),
                }
            }
            while looking.len() < AT_ONCE
                && let Some(id) = waiting.pop()
            {
                let beat = beats.get(&id).copied().flatten();
                let (respond, cloud, stop) = (Arc::clone(&self), Arc::clone(&cloud), stop.clone());
                looking.spawn(async move {
                    let looked = Box::pin(respond.look_again(&cloud, &id, beat, &stop)).await;
                    let beat = looked.unwrap_or_else(|error| {
                        tracing::warn!(case = %id, %error, "looking at a quarantined host again");
                        beat
                    });
                    (id, beat)
                });
            }
            if looking.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(self.config.holddown_interval) => {}
                }
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = looking.join_next() => match ended {
                    Ok((id, beat)) => drop(beats.insert(id, beat)),
                    Err(error) => tracing::error!(%error, "looking at a quarantined host ended badly"),
                },
            }
        }
        let draining = async { while looking.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, draining).await.is_err() {
            tracing::warn!("putting back is cut off; the next look goes on");
        }
    }

    /// The cases that keep a host out.
    async fn kept_out(&self) -> Result<Vec<CaseId>, StoreError> {
        let hosts = self.store.hosts().await?;
        Ok(hosts.into_iter().filter_map(|host| host.quarantined_by).collect())
    }

    /// Looks at one quarantined host once, unless somebody else is at its case.
    pub(super) async fn look_again(
        &self,
        cloud: &Cloud,
        id: &CaseId,
        beat: Beat,
        stop: &CancellationToken,
    ) -> Result<Beat, StoreError> {
        let kind = LeaseKind::Case(id.clone());
        let (now, duration) = (self.clock.now(), self.config.lease_duration);
        let Some(lease) = self.store.lease(kind, &self.owner, now, duration).await? else {
            return Ok(beat);
        };
        let (writing, mut after) = (lease.clone(), beat);
        let look = async {
            after = self.look_under(cloud, id, beat, &writing, stop).await?;
            Ok(())
        };
        self.holding(lease, Box::pin(look)).await?;
        Ok(after)
    }

    async fn look_under(
        &self,
        cloud: &Cloud,
        id: &CaseId,
        beat: Beat,
        lease: &Lease,
        stop: &CancellationToken,
    ) -> Result<Beat, StoreError> {
        let Some(case) = self.store.case(id).await? else {
            return Ok(beat);
        };
        let known = self.store.host(&case.host).await?;
        let kept = known.is_some_and(|host| host.quarantined_by.as_ref() == Some(id));
        // The driver is at a case that is open.
        if !kept || case.state == CaseState::Open {
            return Ok(beat);
        }
        let steps = match self.recorded(id).await? {
            Ok(steps) => steps,
            Err(why) => {
                tracing::error!(case = %id, host = %case.host, "{why}");
                return Ok(beat);
            }
        };
        let giving_back = match self.giving_back(&case).await? {
            GivingBack::No => Vec::new(),
            GivingBack::ItsTurn => return Ok(beat),
            GivingBack::Waits(steps) => steps,
        };
        let journal = self.store.journal_of(id).await?;
        let expect = Expect::of(&steps, &giving_back);
        let Some(plan) = plan_of(&case, &journal).filter(|_| expect != Expect::default()) else {
            return Ok(beat);
        };
        let proof = Mutex::new(None);
        let context = Context::new(self, cloud, &case, &journal, lease, &proof, Step::Confirm).named(ROOM);
        let seen = match look(&context, &plan, &expect, beat).await {
            Ok(seen) => seen,
            Err(Trouble::Store(error)) => return Err(error),
            Err(other) => {
                tracing::warn!(case = %id, host = %case.host, "cannot look at the quarantined host: {other:#}");
                return Ok(beat);
            }
        };
        let look = Look {
            context,
            plan: &plan,
            past: Past::read(&journal),
        };
        look.act_on(&holddown::drifts(&expect, &seen, &plan), stop)
            .await?;
        // Our own writes are accounted for.
        match cloud.compute_service(&case.host).await {
            Ok(service) => Ok(service.and_then(|service| service.heartbeat)),
            Err(_) => Ok(beat),
        }
    }

    /// Where a release of the host stands. One that waits for a person while the host fails again is refused: the host
    /// is held down as before.
    async fn giving_back(&self, quarantine: &Case) -> Result<GivingBack, StoreError> {
        let Some(release) = self.store.unclosed_case(&quarantine.host).await? else {
            return Ok(GivingBack::No);
        };
        if release.kind != CaseKind::Release || release.parent.as_ref() != Some(&quarantine.id) {
            return Ok(GivingBack::No);
        }
        if release.state == CaseState::Open {
            return Ok(GivingBack::ItsTurn);
        }
        let Ok(steps) = self.recorded(&release.id).await? else {
            return Ok(GivingBack::ItsTurn);
        };
        let of_boot = self.store.steps(&release.id).await?;
        let booted = of_boot.iter().find(|step| step.name == Step::Boot.as_str());
        let last = self
            .store
            .host(&quarantine.host)
            .await?
            .and_then(|host| host.last);
        let (Some(at), Some(last)) = (booted.and_then(|step| step.started_at), last) else {
            return Ok(GivingBack::Waits(steps));
        };
        if last.verdict != Verdict::Contraindicated || last.at < at {
            return Ok(GivingBack::Waits(steps));
        }
        let kind = LeaseKind::Case(release.id.clone());
        let (now, duration) = (self.clock.now(), self.config.lease_duration);
        let Some(lease) = self.store.lease(kind, &self.owner, now, duration).await? else {
            return Ok(GivingBack::ItsTurn);
        };
        let refused = Outcome {
            reason: format!(
                "refused: {} is Contraindicated in round {}, after it was booted; it is held down as before",
                release.host, last.round
            ),
            detail: Json::from(json!({ "released": false, "verdict": last.verdict, "round": last.round })),
        };
        let event = Event::case(
            Kind::CaseClosed,
            &release.id,
            &release.host,
            refused.reason.clone(),
            now,
        );
        let closed = self
            .store
            .close_case(&lease, &refused, &[event.queued()], now)
            .await;
        self.store.release(lease).await?;
        closed?;
        Ok(GivingBack::No)
    }

    /// Why nothing may be put back on a host.
    async fn hands_off(&self, host: &HostName) -> Result<Option<String>, StoreError> {
        if self.config.mode == ResponseMode::Observe {
            return Ok(Some("response.mode is \"observe\"".to_owned()));
        }
        let paused = self.store.paused(host, self.clock.now()).await?;
        Ok(paused.map(|pause| {
            format!(
                "it is paused until {} by {}: {}",
                pause.until, pause.by, pause.because
            )
        }))
    }
}

/// Where a release of a host stands.
enum GivingBack {
    /// There is none, or it was refused.
    No,
    /// It is driven, or about to be.
    ItsTurn,
    /// It waits for a person, with these steps.
    Waits(Vec<(Step, StepState)>),
}

/// Reads everything that is expected of the host.
async fn look(context: &Context<'_>, plan: &Plan, expect: &Expect, beat: Beat) -> Result<Seen, Trouble> {
    let (cloud, host) = (context.cloud, &context.case.host);
    let service = context.service().await?;
    let (mut in_aggregate, mut strays) = (false, Vec::new());
    if expect.isolated
        && let Some(aggregate) = cloud.aggregate(&plan.quarantine_aggregate).await?
    {
        in_aggregate = aggregate.has(host);
        strays = steps::strays(context, plan, &aggregate).await?;
    }
    let (mut back, mut may_return) = (Vec::new(), Vec::new());
    if expect.empty {
        let (here, moves) = tokio::try_join!(cloud.servers_on(host), cloud.migrations_from(host, None))?;
        let left: BTreeSet<InstanceId> = context
            .instances()
            .await?
            .into_iter()
            .filter(|known| [steps::HELD, steps::FAILED].contains(&known.state.as_str()))
            .map(|known| known.id)
            .collect();
        back = here
            .into_iter()
            .filter(|server| !left.contains(&server.id))
            .map(|server| (server.id, server.name))
            .collect();
        let resized = |kind: &MigrationKind| matches!(kind, MigrationKind::Cold | MigrationKind::Resize);
        may_return = moves
            .into_iter()
            .filter(|known| resized(&known.kind) && known.phase() == Phase::Waiting)
            .map(|known| known.instance)
            .collect();
    }
    let (power, agent_answers) = if expect.off {
        let (power, answers) = tokio::join!(steps::power_now(context), steps::agent_answers(context));
        (power, answers?)
    } else {
        (holddown::PowerNow::Off, false)
    };
    let stirs = matches!((beat, service.heartbeat), (Some(before), Some(now)) if now > before);
    Ok(Seen {
        enabled: service.enabled,
        reason: service.disabled_reason,
        forced_down: service.forced_down,
        in_aggregate,
        strays,
        power,
        agent_answers,
        stirs,
        back,
        may_return,
    })
}

/// One look at one host, with what is known of earlier ones.
struct Look<'a> {
    context: Context<'a>,
    plan: &'a Plan,
    past: Past,
}

impl Look<'_> {
    async fn act_on(&self, drifts: &[Drift], stop: &CancellationToken) -> Result<(), StoreError> {
        let respond = self.context.respond;
        let keys: BTreeSet<String> = drifts.iter().map(Drift::key).collect();
        for gone in self.past.gone(&keys) {
            self.write(Word::Gone, gone, format!("{gone}: no longer seen"), None)
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
                    let words = format!("{drift}; {}; {why}", self.who(drift).await);
                    self.write(Word::Left, &drift.key(), words.clone(), Some(words))
                        .await?;
                }
                Turn::PutBack { tell } => {
                    if tell && drift.is_certain() {
                        let words = format!("{drift}; {}; it is being put back", self.who(drift).await);
                        self.write(Word::Found, &drift.key(), words.clone(), Some(words))
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
            let of = |step| ended.get(step);
            let failed: Vec<&str> = drift
                .steps()
                .iter()
                .filter_map(|step| of(step)?.as_ref().err().map(String::as_str))
                .collect();
            let key = drift.key();
            if failed.is_empty() {
                // A write of another tool moved the row; the host was seen off again.
                if drift.is_certain() || self.past.last(&key).is_some() {
                    let done: Vec<&str> = drift
                        .steps()
                        .iter()
                        .filter_map(|step| of(step)?.as_ref().ok().map(String::as_str))
                        .collect();
                    let words = format!("{drift}; it was put back: {}", done.join("; "));
                    self.write(Word::PutBack, &key, words, None).await?;
                }
                continue;
            }
            let words = format!(
                "{drift}; it could not be put back: {}; it is tried again",
                failed.join("; ")
            );
            let told = self.past.last(&key) == Some(Word::Failed);
            self.write(Word::Failed, &key, words.clone(), (!told).then_some(words))
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

    /// Does the steps that put back, in their order; says how each ended. `None`: the daemon stops.
    async fn put_back(
        &self,
        back: &[&Drift],
        stop: &CancellationToken,
    ) -> Result<Option<BTreeMap<Step, Result<String, String>>>, StoreError> {
        let wanted: BTreeSet<Step> = back.iter().flat_map(|drift| drift.steps()).copied().collect();
        let mut ended: BTreeMap<Step, Result<String, String>> = BTreeMap::new();
        for step in wanted {
            if stop.is_cancelled() {
                return Ok(None);
            }
            let unseen = matches!(ended.get(&Step::Fence), Some(Err(_)));
            let outcome = if unseen && matches!(step, Step::ForceDown | Step::Evacuate) {
                Err("the host was not seen off".to_owned())
            } else {
                self.do_step(step).await?
            };
            ended.insert(step, outcome);
        }
        Ok(Some(ended))
    }

    async fn do_step(&self, step: Step) -> Result<Result<String, String>, StoreError> {
        let (context, respond) = (&self.context, self.context.respond);
        let ended = if step == Step::Confirm {
            let strays = steps::take_strays_out(context, self.plan);
            let limit = Some(respond.config.step_deadline);
            within(limit, async {
                strays
                    .await
                    .map(|()| saga::Outcome::Done(Entry::says("taken out")))
            })
            .await
        } else {
            within(steps::deadline(step, respond), steps::ensure(step, context)).await
        };
        if let Some(error) = context.leave.trouble() {
            return Err(error);
        }
        let outcome = match ended {
            Some(Ok(outcome)) => outcome,
            Some(Err(trouble)) => trouble.outcome()?,
            None => return Ok(Err("it took longer than response.step_deadline_s".to_owned())),
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
        let entry = word.entry(key, words.as_str()).json();
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
            Drift::PoweredOn(_) | Drift::Alive | Drift::Stirs => {
                "who did it is in the BMC's own log, if anywhere".to_owned()
            }
            Drift::PowerNotKnown(_) | Drift::MayReturn(_) => "nothing was done to it yet".to_owned(),
        }
    }
}
