//! Rounds: what each challenge came to, recorded together with all that follows from it.

use lazaret_attest::verdict::Verdict;
use serde::Serialize;

use super::{Json, Lease, NewCase, NewNotification, RecordError, Store, StoreError};
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

impl Store {
    /// Records a round and what follows from it, under the host's lease.
    pub async fn record(
        &self,
        lease: &Lease,
        recording: &Recording,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let _ = (lease, recording, now);
        todo!()
    }

    /// One round.
    pub async fn round(&self, id: RoundId) -> Result<Option<Round>, StoreError> {
        let _ = id;
        todo!()
    }

    /// The latest rounds of a host, newest first.
    pub async fn latest_rounds(&self, host: &HostName, limit: u32) -> Result<Vec<Round>, StoreError> {
        let _ = (host, limit);
        todo!()
    }

    /// Deletes rounds that finished before `before` and that no case refers to, at most `limit`; returns how many.
    pub async fn purge_rounds(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let _ = (before, limit);
        todo!()
    }
}
