//! Versions of signed policies: what was in use once is never followed by something older.

use super::columns::Columns;
use super::connection::{Attempt, statement};
use super::{Store, StoreError, sql};
use crate::clock::Timestamp;
use crate::ids::Sha256Digest;

/// A version of a signed policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyVersion {
    /// As the operator counts.
    pub version: i64,
    /// SHA-256 over all its content.
    pub digest: Sha256Digest,
}

/// How a version stands to the highest one seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyStanding {
    /// It is the highest, now if not before.
    Current,
    /// A higher one was in use, or the same one with other content.
    RolledBack {
        /// The highest.
        highest: PolicyVersion,
        /// When it was first in use.
        seen_at: Timestamp,
    },
}

impl Store {
    /// Notes that a signed policy is in use, unless a higher version of it was. Of two daemons that note different
    /// versions at once, one is told that it rolled back.
    pub async fn advance_policy(
        &self,
        name: &str,
        offered: PolicyVersion,
        now: Timestamp,
    ) -> Result<PolicyStanding, StoreError> {
        let attempt = Attempt::new("noting the version of the policy", name);
        let key = Sha256Digest::of(name.as_bytes()).to_string();
        let query = || statement(sql::POLICY_VERSION).bind(key.clone());
        // The same version in every round but the first: nothing is written.
        let known = self.one(attempt.clone(), query(), version_of).await?;
        if let Some((highest, seen_at)) = known
            && highest.version >= offered.version
        {
            return Ok(standing(offered, highest, seen_at));
        }
        let mut write = self.write(attempt).await?;
        let raise = statement(sql::POLICY_VERSION_RAISE)
            .bind(offered.version)
            .bind(offered.digest.to_string())
            .bind(now.as_millis())
            .bind(key.clone())
            .bind(offered.version);
        if write.run(raise).await? == 0 && write.row(query()).await?.is_none() {
            let insert = statement(sql::POLICY_VERSION_INSERT)
                .bind(key.clone())
                .bind(name.to_owned())
                .bind(offered.version)
                .bind(offered.digest.to_string())
                .bind(now.as_millis());
            write.run(insert).await?;
        }
        let row = write.row(query()).await?;
        let Some(row) = row else {
            return Err(write.attempt.damaged("what was noted is not there"));
        };
        let (highest, seen_at) = version_of(&Columns {
            row: &row,
            attempt: &write.attempt,
        })?;
        write.commit().await?;
        Ok(standing(offered, highest, seen_at))
    }
}

fn standing(offered: PolicyVersion, highest: PolicyVersion, seen_at: Timestamp) -> PolicyStanding {
    if offered == highest {
        PolicyStanding::Current
    } else {
        PolicyStanding::RolledBack { highest, seen_at }
    }
}

fn version_of(row: &Columns<'_>) -> Result<(PolicyVersion, Timestamp), StoreError> {
    let version = PolicyVersion {
        version: row.int("version")?,
        digest: row.read("digest")?,
    };
    Ok((version, row.at("seen_at")?))
}
