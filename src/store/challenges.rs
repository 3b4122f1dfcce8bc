//! Challenges: offered once, spent once.

use super::columns::Columns;
use super::connection::{Attempt, statement};
use super::{SpendError, Store, StoreError, sql};
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
        let mut write = self
            .write(Attempt::new("offering a challenge to host", &challenge.host))
            .await?;
        let first = i64::try_from(challenge.ima_first)
            .map_err(|_| write.attempt.refused("no measurement list has that many entries"))?;
        let insert = statement(sql::CHALLENGE_INSERT)
            .bind(hex::encode(challenge.nonce))
            .bind(challenge.host.to_string())
            .bind(challenge.round.to_string())
            .bind(first)
            .bind(now.as_millis())
            .bind(challenge.expires_at.as_millis());
        write.run(insert).await?;
        write.commit().await
    }

    /// Spends a challenge, before its answer is judged. Of many who try, one succeeds.
    pub async fn spend(
        &self,
        nonce: &[u8; 32],
        host: &HostName,
        now: Timestamp,
    ) -> Result<Offered, SpendError> {
        let (nonce, name) = (hex::encode(nonce), host.to_string());
        let mut write = self
            .write(Attempt::new("spending the challenge of host", host))
            .await?;
        let update = statement(sql::CHALLENGE_SPEND)
            .bind(now.as_millis())
            .bind(nonce.clone())
            .bind(name.clone())
            .bind(now.as_millis());
        let spent = write.run(update).await?;
        let row = write
            .row(statement(sql::CHALLENGE).bind(nonce).bind(name))
            .await?;
        let Some(row) = row else {
            return Err(SpendError::NeverOffered { host: host.clone() });
        };
        let row = Columns {
            row: &row,
            attempt: &write.attempt,
        };
        let offered = offered_of(&row)?;
        if spent == 0 {
            return Err(match row.maybe_at("spent_at")? {
                Some(at) => SpendError::Spent {
                    host: host.clone(),
                    at,
                },
                None => SpendError::Expired {
                    host: host.clone(),
                    at: offered.challenge.expires_at,
                },
            });
        }
        write.commit().await?;
        Ok(offered)
    }

    /// Deletes challenges that expired before `before`, at most `limit` of them; returns how many.
    pub async fn purge_challenges(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let old = statement(sql::CHALLENGES_OLD)
            .bind(before.as_millis())
            .bind(i64::from(limit));
        self.purge(
            Attempt::new("deleting", "old challenges"),
            old,
            "nonce",
            sql::CHALLENGE_DELETE,
        )
        .await
    }
}

fn offered_of(row: &Columns<'_>) -> Result<Offered, StoreError> {
    let mut nonce = [0; 32];
    hex::decode_to_slice(row.text("nonce")?, &mut nonce)
        .map_err(|error| row.attempt.damaged(format!("column nonce: {error}")))?;
    Ok(Offered {
        challenge: NewChallenge {
            nonce,
            host: row.read("host")?,
            round: row.read("round_id")?,
            ima_first: u64::try_from(row.int("ima_first")?)
                .map_err(|_| row.attempt.damaged("column ima_first is negative"))?,
            expires_at: row.at("expires_at")?,
        },
        offered_at: row.at("offered_at")?,
    })
}
