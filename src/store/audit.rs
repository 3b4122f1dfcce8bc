//! Who did what: each entry carries the hash of the one before, so that a changed one is seen.

use serde::Serialize;

use super::columns::Columns;
use super::connection::{Attempt, Write, statement};
use super::{Store, StoreError, sql};
use crate::clock::Timestamp;
use crate::ids::Sha256Digest;

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// By whom: the system's user, or `daemon`.
    pub who: String,
    /// What: `enrol`, `approve`, `disable`.
    pub what: String,
    /// To what: `host cmp-1`.
    pub subject: String,
    /// With what outcome: `done`, `refused: ...`.
    pub outcome: String,
}

/// An entry as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRecord {
    /// From 1, without gaps.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// What was done.
    #[serde(flatten)]
    pub entry: AuditEntry,
    /// The hash of this entry and of all before it.
    pub hash: Sha256Digest,
}

/// What reading the whole trail again came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "chain", rename_all = "lowercase")]
pub enum Chain {
    /// Every entry fits the one before. An end that was cut off shows only against a head noted elsewhere.
    Intact {
        /// How many entries there are.
        entries: i64,
        /// The hash of the last one.
        head: Sha256Digest,
    },
    /// An entry was changed, removed or put in.
    Broken {
        /// The first entry that does not fit.
        seq: i64,
        /// How.
        reason: String,
    },
}

/// Before the first entry.
const GENESIS: Sha256Digest = Sha256Digest([0; 32]);

impl Store {
    /// Appends to the audit trail.
    pub async fn audit(&self, entry: &AuditEntry, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self
            .write(Attempt::new("appending to the audit trail about", &entry.subject))
            .await?;
        append(&mut write, entry, now).await?;
        write.commit().await
    }

    /// The latest entries, newest first.
    pub async fn latest_audit(&self, limit: u32) -> Result<Vec<AuditRecord>, StoreError> {
        let query = statement(sql::AUDIT_LATEST).bind(i64::from(limit));
        self.list(Attempt::new("reading", "the audit trail"), query, record_of)
            .await
    }

    /// One entry.
    pub async fn audit_entry(&self, seq: i64) -> Result<Option<AuditRecord>, StoreError> {
        let query = statement(sql::AUDIT_AFTER).bind(seq.saturating_sub(1));
        let attempt = Attempt::new("reading", "an entry of the audit trail");
        let after = self.list(attempt, query, record_of).await?;
        Ok(after.into_iter().find(|record| record.seq == seq))
    }

    /// Reads the whole trail again.
    pub async fn verify_chain(&self) -> Result<Chain, StoreError> {
        let (mut entries, mut head) = (0, GENESIS);
        loop {
            let query = statement(sql::AUDIT_AFTER).bind(entries);
            let page = self
                .list(Attempt::new("reading", "the audit trail"), query, record_of)
                .await?;
            if page.is_empty() {
                return Ok(Chain::Intact { entries, head });
            }
            for record in page {
                let expected = entries + 1;
                if record.seq != expected {
                    return Ok(Chain::Broken {
                        seq: expected,
                        reason: format!("it is missing; the next one is {}", record.seq),
                    });
                }
                if record.hash != chained(head, record.seq, record.at, &record.entry) {
                    return Ok(Chain::Broken {
                        seq: record.seq,
                        reason: "its hash does not fit what it says and the entries before it".to_owned(),
                    });
                }
                (entries, head) = (record.seq, record.hash);
            }
        }
    }
}

/// Appends within a running transaction.
pub(super) async fn append(write: &mut Write, entry: &AuditEntry, now: Timestamp) -> Result<(), StoreError> {
    let row = write.row(statement(sql::AUDIT_LAST)).await?;
    let (last, head) = match row {
        None => (0, GENESIS),
        Some(row) => {
            let row = Columns {
                row: &row,
                attempt: &write.attempt,
            };
            (row.int("seq")?, row.read("hash")?)
        }
    };
    let seq = last + 1;
    let insert = statement(sql::AUDIT_INSERT)
        .bind(seq)
        .bind(now.as_millis())
        .bind(entry.who.clone())
        .bind(entry.what.clone())
        .bind(entry.subject.clone())
        .bind(entry.outcome.clone())
        .bind(chained(head, seq, now, entry).to_string());
    write.run(insert).await.map(|_| ())
}

/// The hash of an entry: over the one before and every column, each text with its length before it.
fn chained(head: Sha256Digest, seq: i64, at: Timestamp, entry: &AuditEntry) -> Sha256Digest {
    let mut bytes = head.0.to_vec();
    bytes.extend(seq.to_be_bytes());
    bytes.extend(at.as_millis().to_be_bytes());
    for text in [&entry.who, &entry.what, &entry.subject, &entry.outcome] {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    Sha256Digest::of(&bytes)
}

fn record_of(row: &Columns<'_>) -> Result<AuditRecord, StoreError> {
    Ok(AuditRecord {
        seq: row.int("seq")?,
        at: row.at("at")?,
        entry: AuditEntry {
            who: row.text("who")?,
            what: row.text("what")?,
            subject: row.text("subject")?,
            outcome: row.text("outcome")?,
        },
        hash: row.read("hash")?,
    })
}
