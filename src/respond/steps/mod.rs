//! One file for each step: look, act only if needed, look again. A step done twice has the effect of one.

mod announce;
mod bare_metal;
mod brake;
mod close;
mod confirm;
mod disable;
mod evacuate;
pub(super) mod fence;
mod force_down;
mod groups;
mod isolate;
mod keep_off;
mod masakari;
mod nova;
mod plan;
mod release;
mod schedule;
mod watch;

use std::sync::Mutex;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::ids::{CaseKind, HostName};
use crate::openstack::{Cloud, ComputeService, Error, Next};
use crate::store::{Case, CaseInstance, JournalEntry, Lease, Phase, StoreError};

use super::Respond;
use super::deadlines::Parts;
use super::journal::Entry;
use super::leave::Leave;
use super::notify::{Event, Kind};
use super::saga::{self, Step};

pub(super) use confirm::{strays, take_strays_out};
pub(super) use fence::{Seen, agent_answers, power_now, power_of};
pub(super) use keep_off::{again as keep_off_again, let_go};
pub(crate) use masakari::SAYS as MASAKARI_SAYS;
pub(super) use masakari::{begun_by as maintenance_is_ours, pause as pause_masakari};
pub(super) use nova::WITH_WAITING;
pub(super) use watch::{FAILED, HELD, WAITING};

/// How a step ended, with what the journal says of it.
pub(super) type Outcome = saga::Outcome<Entry>;

/// What a step works with.
pub(super) struct Context<'a> {
    pub(super) respond: &'a Respond,
    pub(super) cloud: &'a Cloud,
    pub(super) case: &'a Case,
    pub(super) journal: &'a [JournalEntry],
    pub(super) lease: &'a Lease,
    /// Leave to act, asked for before each effect.
    pub(super) leave: Leave<'a>,
    /// The proof of this process; gone after a restart, when it is observed again.
    pub(super) proof: &'a Mutex<Option<Seen>>,
}

/// Why a step could not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Cloud(#[from] Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The step has ended from within.
    #[error("the step has ended")]
    Ended(Box<Outcome>),
}

impl Trouble {
    /// What it means for the step; a lost lease is none of the step's business.
    pub(super) fn outcome(self) -> Result<Outcome, StoreError> {
        match self {
            Self::Cloud(error) => Ok(match error.next() {
                Next::Again | Next::Look => Outcome::Again {
                    after: error.retry_after(),
                    why: error.to_string(),
                },
                Next::Stop => Outcome::Stuck(error.to_string()),
            }),
            Self::Store(error) => Err(error),
            Self::Ended(outcome) => Ok(*outcome),
        }
    }
}

/// Makes sure that a step is done.
pub(super) async fn ensure(step: Step, context: &Context<'_>) -> Result<Outcome, Trouble> {
    if step == Step::Close {
        return close::ensure(context).await;
    }
    if context.case.kind == CaseKind::Release {
        return Box::pin(release::ensure(step, context)).await;
    }
    if matches!(context.case.kind, CaseKind::Unschedule | CaseKind::Reschedule) {
        return Box::pin(schedule::ensure(step, context)).await;
    }
    if step == Step::Plan {
        return Box::pin(plan::ensure(context)).await;
    }
    let Some(plan) = super::journal::plan_of(context.case, context.journal) else {
        return Ok(Outcome::Stuck(format!(
            "case {} has no plan that this version can read; a newer lazaret may have opened it: let that one carry it out",
            context.case.id
        )));
    };
    match step {
        Step::Plan | Step::Announce => Box::pin(announce::ensure(context)).await,
        Step::Disable => Box::pin(disable::ensure(context, &plan)).await,
        Step::Isolate => Box::pin(isolate::ensure(context, &plan)).await,
        Step::Brake => Box::pin(brake::ensure(context)).await,
        Step::Fence => Box::pin(fence::ensure(context)).await,
        Step::ForceDown => Box::pin(force_down::ensure(context, &plan)).await,
        Step::Evacuate => Box::pin(evacuate::ensure(context, &plan)).await,
        Step::Confirm => Box::pin(confirm::ensure(context, &plan)).await,
        Step::Close
        | Step::Enable
        | Step::Rotate
        | Step::Agree
        | Step::Boot
        | Step::Keys
        | Step::Attest
        | Step::Settle
        | Step::Raise
        | Step::Leave
        | Step::Restore
        | Step::Unpause
        | Step::Admit
        | Step::Trust => Ok(Outcome::Stuck(format!("{step} is no step of a quarantine"))),
    }
}

/// How long one attempt at a step of this host may take; its own limits are shorter.
pub(super) fn deadline(step: Step, respond: &Respond, host: &HostName) -> Duration {
    let (config, fencing) = (&respond.config, &respond.fencing);
    let methods = u32::try_from(fencing.names(host).len()).unwrap_or(u32::MAX);
    let parts = Parts {
        step: config.step_deadline,
        brake_wait: config.brake_wait,
        masakari: config.masakari_deadline,
        evacuation: config.evacuation_deadline,
        boot: config.boot_deadline,
        power: fencing
            .off()
            .deadline
            .saturating_mul(2)
            .saturating_mul(methods.max(1)),
        seen_off: fencing.seen_off_within(),
    };
    parts.of(step)
}

pub(super) use close::outcome as closing;

impl<'a> Context<'a> {
    /// For one step of a case.
    pub(super) fn new(
        respond: &'a Respond,
        cloud: &'a Cloud,
        case: &'a Case,
        journal: &'a [JournalEntry],
        lease: &'a Lease,
        proof: &'a Mutex<Option<Seen>>,
        step: Step,
    ) -> Self {
        Self {
            respond,
            cloud,
            case,
            journal,
            lease,
            leave: Leave::new(
                &respond.store,
                respond.clock.as_ref(),
                lease,
                proof,
                step.as_str(),
            ),
            proof,
        }
    }

    /// The same, under another name in the journal: for what is done after the case was closed.
    pub(super) fn named(self, room: &'static str) -> Self {
        Self {
            leave: Leave::new(
                &self.respond.store,
                self.respond.clock.as_ref(),
                self.lease,
                self.proof,
                room,
            ),
            ..self
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.respond.clock.now()
    }

    /// The host's compute service, which has to be there.
    pub(super) async fn service(&self) -> Result<ComputeService, Trouble> {
        match self.cloud.compute_service(&self.case.host).await? {
            Some(service) => Ok(service),
            None => Err(Trouble::Ended(Box::new(Outcome::Stuck(format!(
                "nova has no compute service on {} any more; was it deleted? It comes back when nova-compute starts there; a \
                 host that is gone for good needs no quarantine",
                self.case.host
            ))))),
        }
    }

    /// Tells people about the case, once for each event's id.
    async fn tell(&self, kind: Kind, summary: String) -> Result<(), StoreError> {
        let now = self.now();
        let event = Event::case(kind, &self.case.id, &self.case.host, summary, now);
        self.respond.store.enqueue(&event.queued(), now).await.map(drop)
    }

    /// Writes a remark into the journal.
    async fn note(&self, step: Step, entry: &Entry) -> Result<(), StoreError> {
        let (lease, now) = (self.lease, self.now());
        self.respond
            .store
            .journal(lease, step.as_str(), Phase::Note, &entry.json(), now)
            .await
    }

    /// The instances of the case as they are recorded.
    pub(super) async fn instances(&self) -> Result<Vec<CaseInstance>, StoreError> {
        self.respond.store.instances(&self.case.id).await
    }

    /// Records what became of instances.
    pub(super) async fn put(&self, instances: &[CaseInstance]) -> Result<(), StoreError> {
        if instances.is_empty() {
            return Ok(());
        }
        self.respond
            .store
            .put_instances(self.lease, instances, self.now())
            .await
    }

    /// The remarks of a step so far, newest first.
    fn remarks(&self, step: Step) -> impl Iterator<Item = Entry> {
        self.journal
            .iter()
            .rev()
            .filter(move |entry| entry.step == step.as_str())
            .map(|entry| Entry::read(&entry.detail))
    }
}
