//! Cases: one quarantine of one host, from its plan to its outcome.

use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::columns::Columns;
use super::connection::{Attempt, Write, statement};
use super::leases::{in_force, standing_of};
use super::outbox::queue;
use super::steps::put_instance;
use super::{
    CaseInstance, JournalEntry, Json, Lease, LeaseKind, NewNotification, Phase, Standing, Store, StoreError,
    journal, sql,
};
use crate::clock::Timestamp;
use crate::config::ResponseMode;
use crate::ids::{CaseId, CaseKind, GroupId, HostName, RoundId, Sha256Digest};

/// No case rests longer. One that seems to was postponed by a clock that was ahead, and is due.
pub const LONGEST_REST: Duration = Duration::from_secs(600);

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
    /// What it is for.
    pub kind: CaseKind,
    /// The case that it undoes: a release's quarantine.
    pub parent: Option<CaseId>,
    /// The group that it is held with.
    pub held_group: Option<GroupId>,
    /// The limits that hold it.
    pub holds: Option<Json>,
    /// Not driven before this time, which is no later than [`LONGEST_REST`] from now.
    pub not_before: Timestamp,
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
    /// What it is for.
    pub kind: CaseKind,
    /// Which case it is, from 1, in the order in which cases were written; 0: it is older than this count.
    #[serde(skip)]
    pub number: i64,
    /// The case that it undoes: a release's quarantine.
    pub parent: Option<CaseId>,
    /// The group that it is held with, or was last.
    pub held_group: Option<GroupId>,
    /// The limits that hold it.
    pub holds: Option<Json>,
    /// The limits that a person saw, and let it go over.
    pub approved_holds: Option<Json>,
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

impl Case {
    /// Whether it was written before another one, whatever the clocks of those who wrote them said.
    pub fn came_before(&self, other: &Self) -> bool {
        (self.number, self.opened_at, &self.id) < (other.number, other.opened_at, &other.id)
    }
}

/// How a case ends.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// In a sentence.
    pub reason: String,
    /// In full.
    pub detail: Json,
}

/// A case that is due, and how its lease stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseDue {
    /// The case.
    pub id: CaseId,
    /// Its lease, where it ever had one.
    pub lease: Option<Standing>,
}

/// Which cases are listed.
#[derive(Debug, Clone, Default)]
pub struct CaseFilter {
    /// Of this host only.
    pub host: Option<HostName>,
    /// Leave closed ones out.
    pub unclosed_only: bool,
}

impl CaseState {
    /// Its name, as stored and printed.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Held { .. } => "held",
            Self::Stuck { .. } => "stuck",
            Self::Closed { .. } => "closed",
        }
    }

    /// Why it is so; an open case needs no reason.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Open => None,
            Self::Held { reason } | Self::Stuck { reason } | Self::Closed { reason } => Some(reason),
        }
    }
}

impl Store {
    /// One case.
    pub async fn case(&self, id: &CaseId) -> Result<Option<Case>, StoreError> {
        self.one(
            Attempt::new("reading case", id),
            statement(sql::CASE).bind(id.to_string()),
            case_of,
        )
        .await
    }

    /// Cases, newest first.
    pub async fn cases(&self, filter: &CaseFilter) -> Result<Vec<Case>, StoreError> {
        let query = match &filter.host {
            Some(host) => statement(sql::CASES_OF_HOST).bind(host.to_string()),
            None if filter.unclosed_only => statement(sql::CASES_UNCLOSED),
            None => statement(sql::CASES),
        };
        let mut cases = self
            .list(Attempt::new("listing", "cases"), query, case_of)
            .await?;
        if filter.unclosed_only {
            cases.retain(|case| case.closed_at.is_none());
        }
        Ok(cases)
    }

    /// The host's unclosed case.
    pub async fn unclosed_case(&self, host: &HostName) -> Result<Option<Case>, StoreError> {
        let attempt = Attempt::new("reading the unclosed case of host", host);
        self.one(
            attempt,
            statement(sql::CASE_UNCLOSED).bind(host.to_string()),
            case_of,
        )
        .await
    }

    /// Every case that was opened since then, and every one with a higher number than this, newest first.
    pub async fn cases_lately(&self, since: Timestamp, number: i64) -> Result<Vec<Case>, StoreError> {
        let query = statement(sql::CASES_LATELY).bind(since.as_millis()).bind(number);
        self.list(Attempt::new("listing", "recent cases"), query, case_of)
            .await
    }

    /// The highest number of a case; 0 without one.
    pub async fn newest_case(&self) -> Result<i64, StoreError> {
        let attempt = Attempt::new("reading", "the number of cases");
        let newest = self
            .one(attempt, statement(sql::CASE_LAST_NUMBER), |row| row.raw("last"))
            .await?;
        Ok(newest.unwrap_or(0))
    }

    /// Open cases that are due, oldest first, each with how its lease stands. A clock that was put back puts none to sleep
    /// for as long as it jumped.
    pub async fn cases_due(&self, now: Timestamp) -> Result<Vec<CaseDue>, StoreError> {
        let query = statement(sql::CASES_DUE)
            .bind(now.as_millis())
            .bind(now.plus(LONGEST_REST).as_millis());
        self.list(Attempt::new("listing", "cases that are due"), query, |row| {
            let leased = row.raw::<Option<i64>>("epoch")?.is_some();
            Ok(CaseDue {
                id: row.read("id")?,
                lease: leased.then(|| standing_of(row)).transpose()?,
            })
        })
        .await
    }

    /// The evidence kept with a case, each with what it is.
    pub async fn case_evidence(&self, case: &CaseId) -> Result<Vec<(String, Sha256Digest)>, StoreError> {
        let query = statement(sql::CASE_EVIDENCE).bind(case.to_string());
        self.list(Attempt::new("listing the evidence of case", case), query, |row| {
            Ok((row.text("role")?, row.read("digest")?))
        })
        .await
    }

    /// Lets the case rest until `not_before`, and no longer than [`LONGEST_REST`].
    pub async fn postpone(
        &self,
        lease: &Lease,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut write, case) = self.write_case(lease, "postponing case", now).await?;
        let update = statement(sql::CASE_POSTPONE)
            .bind(not_before.min(now.plus(LONGEST_REST)).as_millis())
            .bind(case.to_string());
        write.run(update).await?;
        write.commit().await
    }

    /// Moves an open case to held or stuck, with a note in the journal and notifications.
    /// Closing is [`Store::close_case`], and going on is [`Store::approve`].
    pub async fn stop_case(
        &self,
        lease: &Lease,
        state: &CaseState,
        notifications: &[NewNotification],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (mut write, case) = self.write_case(lease, "stopping case", now).await?;
        stop(&mut write, &case, state, lease.epoch, now).await?;
        for notification in notifications {
            queue(&mut write, notification, now).await?;
        }
        write.commit().await
    }

    /// Closes the case with its outcome.
    pub async fn close_case(
        &self,
        lease: &Lease,
        outcome: &Outcome,
        notifications: &[NewNotification],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ended = (sql::CASE_CLOSE, "it is closed already");
        let (write, _) = self.end_case(lease, outcome, ended, notifications, now).await?;
        write.commit().await
    }

    /// A person ends the case. Refused, in the same transaction, unless it is held or stuck: what is carried out is ended by
    /// whoever carries it out. `untouched`: nothing was done to the host, which no longer counts as quarantined by it.
    pub async fn dismiss_case(
        &self,
        lease: &Lease,
        outcome: &Outcome,
        untouched: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ended = (sql::CASE_DISMISS, "it is neither held nor stuck any more");
        let (mut write, case) = self.end_case(lease, outcome, ended, &[], now).await?;
        if untouched {
            let update = statement(sql::HOST_NOT_QUARANTINED).bind(case.to_string());
            write.run(update).await?;
        }
        write.commit().await
    }

    async fn end_case(
        &self,
        lease: &Lease,
        outcome: &Outcome,
        (query, otherwise): (&'static str, &'static str),
        notifications: &[NewNotification],
        now: Timestamp,
    ) -> Result<(Write, CaseId), StoreError> {
        let (mut write, case) = self.write_case(lease, "closing case", now).await?;
        let update = statement(query)
            .bind(outcome.reason.clone())
            .bind(now.as_millis())
            .bind(outcome.detail.as_str().to_owned())
            .bind(case.to_string());
        if write.run(update).await? == 0 {
            return Err(write.attempt.refused(otherwise));
        }
        let detail = json!({ "state": "closed", "reason": outcome.reason });
        note(&mut write, &case, lease.epoch, &detail, now).await?;
        for notification in notifications {
            queue(&mut write, notification, now).await?;
        }
        Ok((write, case))
    }

    /// Begins a transaction about the leased case, which is refused when the lease is no longer in force.
    pub(super) async fn write_case(
        &self,
        lease: &Lease,
        operation: &'static str,
        now: Timestamp,
    ) -> Result<(Write, CaseId), StoreError> {
        let LeaseKind::Case(case) = &lease.kind else {
            let attempt = Attempt::new(operation, "that is not named");
            return Err(attempt.refused(format!("the lease is of {}", lease.kind)));
        };
        let mut write = self.write(Attempt::new(operation, case)).await?;
        in_force(&mut write, lease, now).await?;
        Ok((write, case.clone()))
    }
}

/// The host's unclosed case, as the running transaction sees it.
pub(super) async fn unclosed_in(write: &mut Write, host: &HostName) -> Result<Option<CaseId>, StoreError> {
    let row = write
        .row(statement(sql::CASE_UNCLOSED).bind(host.to_string()))
        .await?;
    row.map(|row| {
        Columns {
            row: &row,
            attempt: &write.attempt,
        }
        .read("id")
    })
    .transpose()
}

/// Closes a case that silence opened for a quarantine that is to be opened; whether it made way.
pub(super) async fn makes_way(
    write: &mut Write,
    open: &CaseId,
    case: &NewCase,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if case.kind != CaseKind::Quarantine {
        return Ok(false);
    }
    let reason = format!("made way for case {}", case.id);
    let update = statement(sql::CASE_MAKES_WAY)
        .bind(reason.clone())
        .bind(now.as_millis())
        .bind(open.to_string());
    if write.run(update).await? == 0 {
        return Ok(false);
    }
    // Whoever carries it out gets no leave any more: its next request would enable a host that was just condemned.
    let (what, id) = LeaseKind::Case(open.clone()).columns();
    write.run(statement(sql::LEASE_VOID).bind(what).bind(id)).await?;
    let epoch = super::persons::epoch_of(write, open).await?;
    note(
        write,
        open,
        epoch,
        &json!({ "state": "closed", "reason": reason }),
        now,
    )
    .await?;
    Ok(true)
}

/// Opens a case within a running transaction: its plan, steps, instances and evidence.
pub(super) async fn open_case(write: &mut Write, case: &NewCase, now: Timestamp) -> Result<(), StoreError> {
    if matches!(case.state, CaseState::Stuck { .. } | CaseState::Closed { .. }) {
        return Err(write.attempt.refused("a case begins open or held"));
    }
    let last = write.last(statement(sql::CASE_LAST_NUMBER)).await?;
    let insert = statement(sql::CASE_INSERT)
        .bind(case.id.to_string())
        .bind(case.host.to_string())
        .bind(case.host.to_string())
        .bind(case.state.as_str())
        .bind(case.state.reason().map(str::to_owned))
        .bind(case.mode.as_str())
        .bind(case.cause.clone())
        .bind(now.as_millis())
        .bind(case.condemned_by.to_string())
        .bind(case.confirmed_by.to_string())
        .bind(case.not_before.min(now.plus(LONGEST_REST)).as_millis())
        .bind(case.plan.as_str().to_owned())
        .bind(case.kind.as_str())
        .bind(case.parent.as_ref().map(CaseId::to_string))
        .bind(case.held_group.as_ref().map(GroupId::to_string))
        .bind(case.holds.as_ref().map(|holds| holds.as_str().to_owned()))
        .bind(last + 1);
    write.run(insert).await?;
    let unscheduled = match case.kind {
        CaseKind::Unschedule => Some(Some(case.id.to_string())),
        CaseKind::Reschedule => Some(None),
        CaseKind::Quarantine | CaseKind::Release => None,
    };
    if let Some(by) = unscheduled {
        let update = statement(sql::HOST_UNSCHEDULED)
            .bind(by)
            .bind(case.host.to_string());
        write.run(update).await?;
    }
    for (position, name) in (0_i64..).zip(&case.steps) {
        let insert = statement(sql::STEP_INSERT)
            .bind(case.id.to_string())
            .bind(name.clone())
            .bind(position);
        write.run(insert).await?;
    }
    for instance in &case.instances {
        put_instance(write, &case.id, instance, now).await?;
    }
    for (role, digest) in &case.evidence {
        let insert = statement(sql::CASE_EVIDENCE_INSERT)
            .bind(case.id.to_string())
            .bind(role.clone())
            .bind(digest.to_string());
        write.run(insert).await?;
    }
    Ok(())
}

/// Moves an open case to held or stuck within a running transaction, with a note in the journal.
pub(super) async fn stop(
    write: &mut Write,
    case: &CaseId,
    state: &CaseState,
    epoch: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (CaseState::Held { reason } | CaseState::Stuck { reason }) = state else {
        return Err(write
            .attempt
            .refused(format!("\"{}\" is no state to stop in", state.as_str())));
    };
    let update = statement(sql::CASE_STOP)
        .bind(state.as_str())
        .bind(reason.clone())
        .bind(case.to_string());
    if write.run(update).await? == 0 {
        return Err(write.attempt.refused("it is not open"));
    }
    note(
        write,
        case,
        epoch,
        &json!({ "state": state.as_str(), "reason": reason }),
        now,
    )
    .await
}

/// A note about the case itself.
pub(super) async fn note(
    write: &mut Write,
    case: &CaseId,
    epoch: i64,
    detail: &serde_json::Value,
    now: Timestamp,
) -> Result<(), StoreError> {
    let detail = Json::from(detail.clone());
    let entry = JournalEntry {
        seq: 0,
        at: now,
        step: String::new(),
        phase: Phase::Note,
        epoch,
        detail,
    };
    journal::append(write, case, &entry).await
}

fn case_of(row: &Columns<'_>) -> Result<Case, StoreError> {
    let reason = row.raw::<Option<String>>("reason")?.unwrap_or_default();
    let state = match row.text("state")?.as_str() {
        "open" => CaseState::Open,
        "held" => CaseState::Held { reason },
        "stuck" => CaseState::Stuck { reason },
        "closed" => CaseState::Closed { reason },
        other => return Err(row.attempt.damaged(format!("column state: \"{other}\""))),
    };
    let mode = match row.text("mode")?.as_str() {
        "observe" => ResponseMode::Observe,
        "enforce" => ResponseMode::Enforce,
        other => return Err(row.attempt.damaged(format!("column mode: \"{other}\""))),
    };
    Ok(Case {
        id: row.read("id")?,
        kind: row.read("kind")?,
        number: row.raw("number")?,
        parent: row.maybe_read("parent")?,
        held_group: row.maybe_read("held_group")?,
        holds: row.maybe_json("holds")?,
        approved_holds: row.maybe_json("approved_holds")?,
        host: row.read("host")?,
        state,
        mode,
        cause: row.text("cause")?,
        opened_at: row.at("opened_at")?,
        closed_at: row.maybe_at("closed_at")?,
        condemned_by: row.read("condemned_by")?,
        confirmed_by: row.read("confirmed_by")?,
        approved_by: row.raw("approved_by")?,
        not_before: row.at("not_before")?,
        plan: row.json("plan")?,
        outcome: row.maybe_json("outcome")?,
    })
}
