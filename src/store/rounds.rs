//! Rounds: what each challenge came to, recorded together with all that follows from it.

use lazaret_attest::verdict::Verdict;
use serde::Serialize;

use super::cases::{makes_way, open_case, unclosed_in};
use super::columns::{Columns, stored_as_word};
use super::connection::{Attempt, Write, statement};
use super::leases::in_force;
use super::outbox::queue;
use super::{Json, Lease, LeaseKind, NewCase, NewNotification, RecordError, Store, StoreError, sql};
use crate::clock::Timestamp;
use crate::ids::{HostName, RoundId, Sha256Digest};

/// Why a round was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// The schedule said so.
    Scheduled,
    /// A person asked.
    Manual,
    /// A condemnation is to be confirmed by a fresh challenge.
    Confirmation,
}

/// One round of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Round {
    /// Its id.
    pub id: RoundId,
    /// The host.
    pub host: HostName,
    /// Why it was made.
    pub purpose: Purpose,
    /// The round that this one confirms.
    pub confirms: Option<RoundId>,
    /// When it began.
    pub started_at: Timestamp,
    /// When its verdict was there.
    pub finished_at: Timestamp,
    /// The verdict.
    pub verdict: Verdict,
    /// `Vec<lazaret_attest::finding::Finding>`.
    pub findings: Json,
    /// `lazaret_attest::claims::Claims`, or `{}` when nothing was proven.
    pub claims: Json,
    /// How long each part took.
    pub timings: Json,
    /// The evidence, as put into the store.
    pub evidence: Option<Sha256Digest>,
    /// The digest of the policy that judged it.
    pub policy: Option<Sha256Digest>,
}

/// A round, and all that follows from it: written in one transaction, or not at all.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The round.
    pub round: Round,
    /// What the next round is held against; `None` leaves what is there.
    pub history: Option<Json>,
    /// Whether the host gave an answer that could be judged; without one it is silent.
    pub answered: bool,
    /// When the next round is due; `None` leaves what is there.
    pub next_due: Option<Timestamp>,
    /// The case that is opened by this round.
    pub case: Option<NewCase>,
    /// Who is told what.
    pub notifications: Vec<NewNotification>,
}

stored_as_word!(Purpose { Scheduled = "scheduled", Manual = "manual", Confirmation = "confirmation" });

impl Store {
    /// Records a round and what follows from it, under the host's lease.
    pub async fn record(
        &self,
        lease: &Lease,
        recording: &Recording,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let round = &recording.round;
        let mut write = self
            .write(Attempt::new("recording a round of host", &round.host))
            .await?;
        if lease.kind != LeaseKind::Host(round.host.clone()) {
            return Err(write
                .attempt
                .refused(format!("the lease is of {}", lease.kind))
                .into());
        }
        in_force(&mut write, lease, now).await?;
        insert(&mut write, round).await?;
        note_result(&mut write, recording).await?;
        if let Some(case) = &recording.case {
            if case.host != round.host {
                return Err(write
                    .attempt
                    .refused(format!("its case is of host {}", case.host))
                    .into());
            }
            if let Some(open) = unclosed_in(&mut write, &case.host).await?
                && !makes_way(&mut write, &open, case, now).await?
            {
                return Err(RecordError::CaseOpen {
                    host: case.host.clone(),
                    case: open,
                });
            }
            open_case(&mut write, case, now).await?;
        }
        for notification in &recording.notifications {
            queue(&mut write, notification, now).await?;
        }
        Ok(write.commit().await?)
    }

    /// One round.
    pub async fn round(&self, id: RoundId) -> Result<Option<Round>, StoreError> {
        self.one(
            Attempt::new("reading round", id),
            statement(sql::ROUND).bind(id.to_string()),
            round_of,
        )
        .await
    }

    /// The latest rounds of a host, newest first.
    pub async fn latest_rounds(&self, host: &HostName, limit: u32) -> Result<Vec<Round>, StoreError> {
        let query = statement(sql::ROUNDS_LATEST)
            .bind(host.to_string())
            .bind(i64::from(limit));
        self.list(Attempt::new("listing the rounds of host", host), query, round_of)
            .await
    }

    /// Deletes rounds that finished before `before` and that no case refers to, at most `limit`; returns how many.
    /// A host's last round stays, and so does one that another confirms.
    pub async fn purge_rounds(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let old = statement(sql::ROUNDS_OLD)
            .bind(before.as_millis())
            .bind(i64::from(limit));
        self.purge(
            Attempt::new("deleting", "old rounds"),
            old,
            "id",
            sql::ROUND_DELETE,
        )
        .await
    }
}

pub(super) async fn insert(write: &mut Write, round: &Round) -> Result<(), StoreError> {
    let query = statement(sql::ROUND_INSERT)
        .bind(round.id.to_string())
        .bind(round.host.to_string())
        .bind(round.purpose.as_str())
        .bind(round.confirms.map(|id| id.to_string()))
        .bind(round.started_at.as_millis())
        .bind(round.finished_at.as_millis())
        .bind(round.verdict.as_str())
        .bind(round.findings.as_str().to_owned())
        .bind(round.claims.as_str().to_owned())
        .bind(round.timings.as_str().to_owned())
        .bind(round.evidence.map(|digest| digest.to_string()))
        .bind(round.policy.map(|digest| digest.to_string()));
    write.run(query).await.map(|_| ())
}

/// What the host's row says from now on.
async fn note_result(write: &mut Write, recording: &Recording) -> Result<(), StoreError> {
    let round = &recording.round;
    let host = round.host.to_string();
    let update = statement(sql::HOST_RESULT)
        .bind(round.verdict.as_str())
        .bind(round.id.to_string())
        .bind(round.finished_at.as_millis())
        .bind(
            recording
                .history
                .as_ref()
                .map(|history| history.as_str().to_owned()),
        )
        .bind(recording.next_due.map(Timestamp::as_millis))
        .bind(host.clone());
    if write.run(update).await? == 0 {
        return Err(write.attempt.unknown(format!("host {host}")));
    }
    let silence = if recording.answered {
        statement(sql::HOST_ANSWERED).bind(host)
    } else {
        statement(sql::HOST_SILENT)
            .bind(round.started_at.as_millis())
            .bind(host)
    };
    write.run(silence).await?;
    let quiet = match round.verdict {
        Verdict::Indeterminate => sql::HOST_QUIET,
        Verdict::Affirming | Verdict::Warning | Verdict::Contraindicated => sql::HOST_HEARD,
    };
    write
        .run(statement(quiet).bind(round.host.to_string()))
        .await
        .map(|_| ())
}

fn round_of(row: &Columns<'_>) -> Result<Round, StoreError> {
    Ok(Round {
        id: row.read("id")?,
        host: row.read("host")?,
        purpose: row.read("purpose")?,
        confirms: row.maybe_read("confirms")?,
        started_at: row.at("started_at")?,
        finished_at: row.at("finished_at")?,
        verdict: row.read("verdict")?,
        findings: row.json("findings")?,
        claims: row.json("claims")?,
        timings: row.json("timings")?,
        evidence: row.maybe_read("evidence")?,
        policy: row.maybe_read("policy")?,
    })
}
