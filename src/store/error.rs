//! What can go wrong with the database, named by operation and subject.

use std::path::PathBuf;

use crate::clock::Timestamp;
use crate::ids::{CaseId, HostName, Sha256Digest};

/// Trouble of the database itself. Whatever was being written is not there, not even half of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened or made.
    #[error(
        "opening the database {}: {source}; its directory must exist, belong to the user that runs lazaret, and have room",
        path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What came back.
        source: sqlx::Error,
    },
    /// A newer lazaret has changed the tables.
    #[error(
        "the database {} was written by a newer lazaret (schema {found}, this one knows up to {known}); \
         start that version, or restore the backup made before the upgrade",
        path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema found.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// A migration did not go through, or differs from the one that was applied.
    #[error("bringing the database {} up to date: {reason}", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Somebody else holds the database for too long.
    #[error(
        "{operation} {subject}: the database is locked by another program for too long; nothing was written. \
         See who holds it (fuser on the database file), then try again"
    )]
    Locked {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        subject: String,
    },
    /// No room is left.
    #[error(
        "{operation} {subject}: the disk is full, or a quota or limit is reached; nothing was written. \
             Free some space, then try again"
    )]
    DiskFull {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        subject: String,
    },
    /// Something in the database cannot be what lazaret wrote.
    #[error(
        "{operation} {subject}: the database is damaged ({detail}); stop lazaret, and restore the last backup or \
         see `PRAGMA integrity_check`"
    )]
    Damaged {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        subject: String,
        /// What was seen.
        detail: String,
    },
    /// The database cannot be written to.
    #[error(
        "{operation} {subject}: the database can only be read; nothing was written. See its owner and mode"
    )]
    ReadOnly {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        subject: String,
    },
    /// What was asked about is not known.
    #[error("{operation}: there is no {subject}")]
    Unknown {
        /// What was attempted.
        operation: &'static str,
        /// What is not there: `host cmp-1`.
        subject: String,
    },
    /// The lease was taken over by another worker; this one must stop at once.
    #[error(
        "{operation} {subject}: the lease was lost (its epoch {epoch} is over); another worker goes on with it"
    )]
    LeaseLost {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        subject: String,
        /// The epoch that is over.
        epoch: i64,
    },
    /// The write contradicts what is recorded; nothing of it was kept.
    #[error("{operation} {subject}: refused by the database's rules ({rule}); nothing was written")]
    Refused {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        subject: String,
        /// The rule, as the database names it.
        rule: String,
    },
    /// Anything else that the database answered.
    #[error("{operation} {subject}: {source}")]
    Database {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        subject: String,
        /// What came back.
        source: sqlx::Error,
    },
}

/// Why a host was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The host is known by other keys.
    #[error(
        "host {host} is enrolled with {changed} other than now offered (enrolled {since}); if the hardware or the \
         agent's state was replaced on purpose, enrol it again with --accept-new-key"
    )]
    KeyChanged {
        /// The host.
        host: HostName,
        /// Which keys: "another endorsement key and another attestation key".
        changed: String,
        /// When it was enrolled.
        since: Timestamp,
    },
    /// The TPM already stands for another host.
    #[error(
        "the TPM offered for host {host} is the one of host {other} (endorsement key {ek}): one of them answers for \
         the other; remove {other} first if it was renamed"
    )]
    EkElsewhere {
        /// The host being enrolled.
        host: HostName,
        /// The host that has this TPM.
        other: HostName,
        /// The digest of the endorsement key.
        ek: Sha256Digest,
    },
    /// Trouble of the database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an answer is not judged.
#[derive(Debug, thiserror::Error)]
pub enum SpendError {
    /// The challenge was never offered, or is long gone.
    #[error("the answer of host {host} is to a challenge that was never offered to it")]
    NeverOffered {
        /// The host.
        host: HostName,
    },
    /// The challenge was answered before.
    #[error("the answer of host {host} is to a challenge that was spent at {at}: an answer is judged once")]
    Spent {
        /// The host.
        host: HostName,
        /// When.
        at: Timestamp,
    },
    /// The challenge is too old.
    #[error("the answer of host {host} came too late: its challenge expired at {at}")]
    Expired {
        /// The host.
        host: HostName,
        /// When.
        at: Timestamp,
    },
    /// Trouble of the database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a round was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A case is open for this host already; the round is to be recorded without a new one.
    #[error("case {case} is not closed yet for host {host}: no second one is opened")]
    CaseOpen {
        /// The host.
        host: HostName,
        /// The case.
        case: CaseId,
    },
    /// Trouble of the database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
