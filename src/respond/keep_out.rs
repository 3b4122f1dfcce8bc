//! Keeps quarantined hosts out: looks at each again and again until it is released, and has put back what is not as
//! it was left. [`super::holddown`] decides; the steps' own functions act, under the case's lease and by permits.

mod look;
mod put_back;
mod turns;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lazaret_attest::verdict::Verdict;
use serde_json::json;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::Timestamp;
use crate::config::ResponseMode;
use crate::ids::{CaseId, CaseKind, HostName};
use crate::openstack::Cloud;
use crate::store::{Case, CaseFilter, CaseState, Json, Lease, LeaseKind, Outcome, StepState, StoreError};

use super::Respond;
use super::holddown::{self, Expect, Past, ROOM};
use super::journal::plan_of;
use super::notify::{Event, Kind};
use super::saga::Step;
use super::steps::{Context, Trouble};

use look::look;
use put_back::Look;
use turns::Turns;

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
        let mut whose: HashMap<Id, CaseId> = HashMap::new();
        let mut turns = Turns::new(self.config.holddown_interval);
        let mut list_at = Instant::now();
        while !stop.is_cancelled() {
            if list_at <= Instant::now() {
                match self.kept_out().await {
                    Ok(cases) => {
                        beats.retain(|id, _| cases.contains(id));
                        turns.set(&cases, Instant::now());
                    }
                    Err(error) => tracing::error!(%error, "cannot look for quarantined hosts"),
                }
                list_at = Instant::now() + self.config.holddown_interval;
            }
            while let Some(id) = turns.next(Instant::now()) {
                let beat = beats.get(&id).copied().flatten();
                let (respond, cloud, stop) = (Arc::clone(&self), Arc::clone(&cloud), stop.clone());
                let looked_at = id.clone();
                let task = looking.spawn(async move {
                    let looked = Box::pin(respond.look_again(&cloud, &id, beat, &stop)).await;
                    let beat = looked.unwrap_or_else(|error| {
                        tracing::warn!(case = %id, %error, "looking at a quarantined host again");
                        beat
                    });
                    (id, beat)
                });
                whose.insert(task.id(), looked_at);
            }
            let due = turns.due(Instant::now());
            let wake = due.map_or(list_at, |due| due.min(list_at));
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep_until(wake) => {}
                Some(ended) = looking.join_next_with_id(), if !looking.is_empty() => {
                    let task = match ended {
                        Ok((task, (id, beat))) => {
                            beats.insert(id, beat);
                            task
                        }
                        Err(error) => {
                            tracing::error!(%error, "looking at a quarantined host ended badly");
                            error.id()
                        }
                    };
                    if let Some(id) = whose.remove(&task) {
                        turns.ended(&id, Instant::now());
                    }
                }
            }
        }
        let draining = async { while looking.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, draining).await.is_err() {
            tracing::warn!("putting back is cut off; the next look goes on");
        }
    }

    /// The cases that keep a host out. What was seen of the lease of any case that needs nobody any more is forgotten; a
    /// release that is not closed needs its quarantine's, though it keeps nothing out any more.
    async fn kept_out(&self) -> Result<Vec<CaseId>, StoreError> {
        let unclosed = CaseFilter {
            host: None,
            unclosed_only: true,
        };
        let open = self.store.cases(&unclosed).await?;
        let hosts = self.store.hosts().await?;
        let kept: Vec<CaseId> = hosts.into_iter().filter_map(|host| host.quarantined_by).collect();
        self.leases.keep_only(|kind| match kind {
            LeaseKind::Case(id) => {
                let needs = |case: &Case| case.id == *id || case.parent.as_ref() == Some(id);
                kept.contains(id) || open.iter().any(needs)
            }
            LeaseKind::Host(_) | LeaseKind::Group(_) => true,
        });
        Ok(kept)
    }

    /// Looks at one quarantined host once, unless somebody else is at its case.
    pub(super) async fn look_again(
        &self,
        cloud: &Cloud,
        id: &CaseId,
        beat: Beat,
        stop: &CancellationToken,
    ) -> Result<Beat, StoreError> {
        let Some(lease) = self.take(id).await? else {
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
        let Some(lease) = self.take(&release.id).await? else {
            return Ok(GivingBack::ItsTurn);
        };
        let now = self.clock.now();
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
