//! Cases: one quarantine of one host, with its plan, its steps and the fate of each instance.

use serde::Serialize;

use super::{Json, Lease, NewNotification, Store, StoreError};
use crate::clock::Timestamp;
use crate::config::ResponseMode;
use crate::ids::{CaseId, HostName, InstanceId, RoundId, Sha256Digest};

/// Where a case stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum CaseState {
    /// It is being carried out.
    Open,
    /// It waits for a person: a limit, a brake, an approval.
    Held {
        /// Why.
        reason: String,
    },
    /// A step's retries are spent; only a person moves it.
    Stuck {
        /// Which step, and why.
        reason: String,
    },
    /// It is over.
    Closed {
        /// How it ended, in a sentence.
        reason: String,
    },
}

/// A case about to be opened.
#[derive(Debug, Clone)]
pub struct NewCase {
    /// Its id.
    pub id: CaseId,
    /// The host.
    pub host: HostName,
    /// `Open`, or `Held` when a limit asks for a person.
    pub state: CaseState,
    /// The mode that it is opened in.
    pub mode: ResponseMode,
    /// What condemned the host, in one line.
    pub cause: String,
    /// The round that condemned the host.
    pub condemned_by: RoundId,
    /// The round that confirmed it; may be the one being recorded.
    pub confirmed_by: RoundId,
    /// Everything that will be done, decided before.
    pub plan: Json,
    /// The names of the plan's steps, in their order.
    pub steps: Vec<String>,
    /// What is known of the host's instances already.
    pub instances: Vec<CaseInstance>,
    /// Evidence that is kept with the case, each with what it is: `condemned`, `confirmed`.
    pub evidence: Vec<(String, Sha256Digest)>,
}

/// A case as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Its id.
    pub id: CaseId,
    /// The host.
    pub host: HostName,
    /// Where it stands.
    #[serde(flatten)]
    pub state: CaseState,
    /// The mode that it was opened in.
    pub mode: ResponseMode,
    /// What condemned the host, in one line.
    pub cause: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// The round that condemned the host.
    pub condemned_by: RoundId,
    /// The round that confirmed it.
    pub confirmed_by: RoundId,
    /// Who let it go on, when a person was waited for.
    pub approved_by: Option<String>,
    /// Not driven before this time.
    pub not_before: Timestamp,
    /// Everything that was to be done, decided before.
    pub plan: Json,
    /// What came of it; there when it is closed.
    pub outcome: Option<Json>,
}

/// How a case ends.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// In a sentence.
    pub reason: String,
    /// In full.
    pub detail: Json,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Begun; whether it took effect is to be seen from the world.
    Running,
    /// Seen to be done.
    Done,
    /// The last attempt failed; tried again unless the case is stuck.
    Failed,
    /// The plan or the world made it needless.
    Skipped,
}

/// One step of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name in the plan.
    pub name: String,
    /// Its place in the plan, from 0.
    pub position: i64,
    /// Where it stands.
    pub state: StepState,
    /// How often it was begun.
    pub attempts: i64,
    /// When it was first begun.
    pub started_at: Option<Timestamp>,
    /// When it was done, failed or skipped.
    pub finished_at: Option<Timestamp>,
    /// What was last said about it.
    pub note: Option<String>,
}

/// One instance of a case, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseInstance {
    /// The instance.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// The project that it belongs to.
    pub project: String,
    /// Its flavor, disk, encryption and whatever else bears on its fate.
    pub info: Json,
    /// The host that it was on.
    pub source: HostName,
    /// The host that it is on now.
    pub destination: Option<HostName>,
    /// What is to become of it, as planned: `evacuate`, `hold`, ...
    pub fate: String,
    /// Where it stands, in a word of the response's.
    pub state: String,
    /// nova's migration record.
    pub migration: Option<String>,
    /// In words.
    pub detail: Option<String>,
}

/// Which cases are listed.
#[derive(Debug, Clone, Default)]
pub struct CaseFilter {
    /// Of this host only.
    pub host: Option<HostName>,
    /// Leave closed ones out.
    pub unclosed_only: bool,
}

impl Store {
    /// One case.
    pub async fn case(&self, id: &CaseId) -> Result<Option<Case>, StoreError> {
        let _ = id;
        todo!()
    }

    /// Cases, newest first.
    pub async fn cases(&self, filter: &CaseFilter) -> Result<Vec<Case>, StoreError> {
        let _ = filter;
        todo!()
    }

    /// The host's unclosed case.
    pub async fn unclosed_case(&self, host: &HostName) -> Result<Option<Case>, StoreError> {
        let _ = host;
        todo!()
    }

    /// Cases opened at or after `since`, whatever became of them: what the guard counts.
    pub async fn cases_opened_since(&self, since: Timestamp) -> Result<Vec<Case>, StoreError> {
        let _ = since;
        todo!()
    }

    /// Open cases that may be driven now and that nobody holds, oldest first.
    pub async fn cases_due(&self, now: Timestamp, limit: u32) -> Result<Vec<CaseId>, StoreError> {
        let _ = (now, limit);
        todo!()
    }

    /// The steps of a case, in their order.
    pub async fn steps(&self, case: &CaseId) -> Result<Vec<Step>, StoreError> {
        let _ = case;
        todo!()
    }

    /// The instances of a case, by project and name.
    pub async fn instances(&self, case: &CaseId) -> Result<Vec<CaseInstance>, StoreError> {
        let _ = case;
        todo!()
    }

    /// The evidence kept with a case, each with what it is.
    pub async fn case_evidence(&self, case: &CaseId) -> Result<Vec<(String, Sha256Digest)>, StoreError> {
        let _ = case;
        todo!()
    }

    /// Records that a step is about to be done: running, one attempt more, and a `before` entry in the journal.
    pub async fn begin_step(
        &self,
        lease: &Lease,
        step: &str,
        detail: &Json,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (lease, step, detail, now);
        todo!()
    }

    /// Records what came of a step, and an `after` entry in the journal (`error` when it failed).
    pub async fn end_step(
        &self,
        lease: &Lease,
        step: &str,
        state: StepState,
        note: Option<&str>,
        detail: &Json,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (lease, step, state, note, detail, now);
        todo!()
    }

    /// Records what became of instances; those not known yet are added.
    pub async fn put_instances(
        &self,
        lease: &Lease,
        instances: &[CaseInstance],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (lease, instances, now);
        todo!()
    }

    /// Lets the case rest until `not_before`.
    pub async fn postpone(&self, lease: &Lease, not_before: Timestamp) -> Result<(), StoreError> {
        let _ = (lease, not_before);
        todo!()
    }

    /// Moves the case to held or stuck, with a journal note and notifications. Closing is [`Store::close_case`].
    pub async fn stop_case(
        &self,
        lease: &Lease,
        state: &CaseState,
        notifications: &[NewNotification],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (lease, state, notifications, now);
        todo!()
    }

    /// Closes the case with its outcome.
    pub async fn close_case(
        &self,
        lease: &Lease,
        outcome: &Outcome,
        notifications: &[NewNotification],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (lease, outcome, notifications, now);
        todo!()
    }

    /// A person lets a held or stuck case go on. Returns false when it was neither.
    pub async fn approve(&self, case: &CaseId, by: &str, now: Timestamp) -> Result<bool, StoreError> {
        let _ = (case, by, now);
        todo!()
    }
}
