//! Evidence as received, found by its digest.

use super::connection::{Attempt, statement};
use super::{Store, StoreError, sql};
use crate::clock::Timestamp;
use crate::ids::Sha256Digest;

impl Store {
    /// Keeps these bytes; the same bytes are kept once. Put evidence before the round that refers to it is recorded.
    pub async fn put_evidence(&self, bytes: &[u8], now: Timestamp) -> Result<Sha256Digest, StoreError> {
        let digest = Sha256Digest::of(bytes);
        let mut write = self.write(Attempt::new("keeping evidence", digest)).await?;
        let touch = statement(sql::EVIDENCE_TOUCH)
            .bind(now.as_millis())
            .bind(digest.to_string());
        if write.run(touch).await? == 0 {
            let insert = statement(sql::EVIDENCE_INSERT)
                .bind(digest.to_string())
                .bind(bytes.to_vec())
                .bind(now.as_millis());
            write.run(insert).await?;
        }
        write.commit().await?;
        Ok(digest)
    }

    /// The bytes of this digest; fails when they are no longer what they were.
    pub async fn evidence(&self, digest: Sha256Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let attempt = Attempt::new("reading evidence", digest);
        let query = statement(sql::EVIDENCE).bind(digest.to_string());
        let bytes: Option<Vec<u8>> = self.one(attempt.clone(), query, |row| row.raw("bytes")).await?;
        if bytes
            .as_ref()
            .is_some_and(|bytes| Sha256Digest::of(bytes) != digest)
        {
            return Err(attempt.damaged("its bytes no longer have this digest"));
        }
        Ok(bytes)
    }

    /// Deletes evidence that was put before `before` and that no case refers to, at most `limit`; returns how many.
    pub async fn purge_evidence(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let old = statement(sql::EVIDENCE_OLD)
            .bind(before.as_millis())
            .bind(i64::from(limit));
        self.purge(
            Attempt::new("deleting", "old evidence"),
            old,
            "digest",
            sql::EVIDENCE_DELETE,
        )
        .await
    }
}
