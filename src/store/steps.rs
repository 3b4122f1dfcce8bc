//! What is done for a case: its steps, and what becomes of each instance.

use serde::Serialize;

use super::columns::{Columns, stored_as_word};
use super::connection::{Attempt, Statement, Write, statement};
use super::pauses::paused_in;
use super::{JournalEntry, Json, Lease, Phase, Store, StoreError, journal, sql};
use crate::clock::Timestamp;
use crate::ids::{CaseId, CaseKind, HostName, InstanceId};

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

stored_as_word!(StepState {
    Pending = "pending",
    Running = "running",
    Done = "done",
    Failed = "failed",
    Skipped = "skipped",
});

impl Store {
    /// The steps of a case, in their order.
    pub async fn steps(&self, case: &CaseId) -> Result<Vec<Step>, StoreError> {
        let query = statement(sql::STEPS).bind(case.to_string());
        self.list(Attempt::new("listing the steps of case", case), query, |row| {
            Ok(Step {
                name: row.text("name")?,
                position: row.int("position")?,
                state: row.read("state")?,
                attempts: row.int("attempts")?,
                started_at: row.maybe_at("started_at")?,
                finished_at: row.maybe_at("finished_at")?,
                note: row.raw("note")?,
            })
        })
        .await
    }

    /// The instances of a case, by project and name.
    pub async fn instances(&self, case: &CaseId) -> Result<Vec<CaseInstance>, StoreError> {
        let query = statement(sql::INSTANCES).bind(case.to_string());
        self.list(
            Attempt::new("listing the instances of case", case),
            query,
            instance_of,
        )
        .await
    }

    /// Records that a step is about to be done: running, one attempt more, and a `before` entry in the journal.
    /// From the first step of a quarantine on the host counts as quarantined. Refused unless the case is open: a person may have
    /// held it.
    pub async fn begin_step(
        &self,
        lease: &Lease,
        step: &str,
        detail: &Json,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut write, case) = self.write_case(lease, "beginning a step of case", now).await?;
        if write
            .run(statement(sql::CASE_STILL_OPEN).bind(case.to_string()))
            .await?
            == 0
        {
            return Err(write.attempt.refused("it is not open"));
        }
        let update = statement(sql::STEP_BEGIN)
            .bind(now.as_millis())
            .bind(case.to_string())
            .bind(step.to_owned());
        self.of_step(&mut write, &case, step, update).await?;
        let row = write.row(statement(sql::CASE).bind(case.to_string())).await?;
        if let Some(row) = row {
            let row = Columns {
                row: &row,
                attempt: &write.attempt,
            };
            let (kind, host) = (row.read::<CaseKind>("kind")?, row.text("host")?);
            if let Some(pause) = paused_in(&mut write, &host, now).await? {
                let rule = format!("host {host} is paused until {}: {}", pause.until, pause.because);
                return Err(write.attempt.refused(rule));
            }
            if kind == CaseKind::Quarantine {
                let update = statement(sql::HOST_QUARANTINED).bind(case.to_string()).bind(host);
                write.run(update).await?;
            }
        }
        let entry = entry(lease, step, Phase::Before, detail, now);
        journal::append(&mut write, &case, &entry).await?;
        write.commit().await
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
        let (mut write, case) = self.write_case(lease, "ending a step of case", now).await?;
        let phase = match state {
            StepState::Done | StepState::Skipped => Phase::After,
            StepState::Failed => Phase::Error,
            StepState::Pending | StepState::Running => {
                return Err(write.attempt.refused(format!("\"{}\" is no end", state.as_str())));
            }
        };
        let update = statement(sql::STEP_END)
            .bind(state.as_str())
            .bind(now.as_millis())
            .bind(note.map(str::to_owned))
            .bind(case.to_string())
            .bind(step.to_owned());
        self.of_step(&mut write, &case, step, update).await?;
        journal::append(&mut write, &case, &entry(lease, step, phase, detail, now)).await?;
        write.commit().await
    }

    /// Records what became of instances; those not known yet are added.
    pub async fn put_instances(
        &self,
        lease: &Lease,
        instances: &[CaseInstance],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut write, case) = self
            .write_case(lease, "recording the instances of case", now)
            .await?;
        for instance in instances {
            put_instance(&mut write, &case, instance, now).await?;
        }
        write.commit().await
    }

    async fn of_step(
        &self,
        write: &mut Write,
        case: &CaseId,
        step: &str,
        update: Statement,
    ) -> Result<(), StoreError> {
        match write.run(update).await? {
            0 => Err(write
                .attempt
                .unknown(format!("step {step} in the plan of case {case}"))),
            _ => Ok(()),
        }
    }
}

fn entry(lease: &Lease, step: &str, phase: Phase, detail: &Json, now: Timestamp) -> JournalEntry {
    JournalEntry {
        seq: 0,
        at: now,
        step: step.to_owned(),
        phase,
        epoch: lease.epoch,
        detail: detail.clone(),
    }
}

/// Records one instance within a running transaction.
pub(super) async fn put_instance(
    write: &mut Write,
    case: &CaseId,
    instance: &CaseInstance,
    now: Timestamp,
) -> Result<(), StoreError> {
    let all = |query: Statement| {
        query
            .bind(instance.name.clone())
            .bind(instance.project.clone())
            .bind(instance.info.as_str().to_owned())
            .bind(instance.source.to_string())
            .bind(instance.destination.as_ref().map(ToString::to_string))
            .bind(instance.fate.clone())
            .bind(instance.state.clone())
            .bind(instance.migration.clone())
            .bind(instance.detail.clone())
            .bind(now.as_millis())
            .bind(case.to_string())
            .bind(instance.id.to_string())
    };
    if write.run(all(statement(sql::INSTANCE_UPDATE))).await? == 0 {
        write.run(all(statement(sql::INSTANCE_INSERT))).await?;
    }
    Ok(())
}

fn instance_of(row: &Columns<'_>) -> Result<CaseInstance, StoreError> {
    Ok(CaseInstance {
        id: row.read("instance")?,
        name: row.text("name")?,
        project: row.text("project")?,
        info: row.json("info")?,
        source: row.read("source")?,
        destination: row.maybe_read("destination")?,
        fate: row.text("fate")?,
        state: row.text("state")?,
        migration: row.raw("migration")?,
        detail: row.raw("detail")?,
    })
}
