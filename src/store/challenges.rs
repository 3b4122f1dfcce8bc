//! Challenges: offered once, spent once.

use super::{SpendError, Store, StoreError};
use crate::clock::Timestamp;
use crate::ids::{HostName, RoundId};

/// A challenge about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChallenge {
    /// The nonce: 32 random bytes, never used before.
    pub nonce: [u8; 32],
    /// The host that is asked.
    pub host: HostName,
    /// The round that asks.
    pub round: RoundId,
    /// The first IMA entry asked for.
    pub ima_first: u64,
    /// After this an answer is refused.
    pub expires_at: Timestamp,
}

/// A challenge whose answer may be judged now, and never again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// As it was offered.
    pub challenge: NewChallenge,
    /// When it was offered.
    pub offered_at: Timestamp,
}

impl Store {
    /// Records a challenge before it is sent.
    pub async fn offer(&self, challenge: &NewChallenge, now: Timestamp) -> Result<(), StoreError> {
        let _ = (challenge, now);
        todo!()
    }

    /// Spends a challenge, before its answer is judged. Of many who try, one succeeds.
    pub async fn spend(
        &self,
        nonce: &[u8; 32],
        host: &HostName,
        now: Timestamp,
    ) -> Result<Offered, SpendError> {
        let _ = (nonce, host, now);
        todo!()
    }

    /// Deletes challenges that expired before `before`, at most `limit` of them; returns how many.
    pub async fn purge_challenges(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let _ = (before, limit);
        todo!()
    }
}
