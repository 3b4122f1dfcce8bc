//! Evidence as received, found by its digest.

use super::{Store, StoreError};
use crate::clock::Timestamp;
use crate::ids::Sha256Digest;

impl Store {
    /// Keeps these bytes; the same bytes are kept once. Put evidence before the round that refers to it is recorded.
    pub async fn put_evidence(&self, bytes: &[u8], now: Timestamp) -> Result<Sha256Digest, StoreError> {
        let _ = (bytes, now);
        todo!()
    }

    /// The bytes of this digest; fails when they are no longer what they were.
    pub async fn evidence(&self, digest: Sha256Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let _ = digest;
        todo!()
    }

    /// Deletes evidence that was put before `before` and that no case refers to, at most `limit`; returns how many.
    pub async fn purge_evidence(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let _ = (before, limit);
        todo!()
    }
}
