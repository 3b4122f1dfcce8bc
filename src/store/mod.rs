//! The only SQL: what is known, promised and done, kept so that nothing is half-written.
//!
//! One process may hold many `Store`s of one file, and several processes may use it at once. What one of them takes
//! (a challenge, a lease, a notification) it takes by compare-and-swap. Everything that changes a case carries the
//! epoch of its lease, and is refused when the epoch has moved.

mod audit;
mod cases;
mod challenges;
mod error;
mod evidence;
mod hosts;
mod journal;
mod json;
mod leases;
mod outbox;
mod rounds;

pub use audit::{AuditEntry, AuditRecord, Chain};
pub use cases::{Case, CaseFilter, CaseInstance, CaseState, NewCase, Outcome, Step, StepState};
pub use challenges::{NewChallenge, Offered};
pub use error::{EnrolError, RecordError, SpendError, StoreError};
pub use hosts::{Enrolment, Host, LastResult, NewHost};
pub use journal::{JournalEntry, Phase};
pub use json::Json;
pub use leases::{LONGEST_LEASE, Lease, LeaseKind};
pub use outbox::{NewNotification, Notification};
pub use rounds::{Purpose, Recording, Round};

use std::path::{Path, PathBuf};

/// The database, open.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    /// Opens the database, makes it where there is none, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let _ = path;
        todo!()
    }

    /// Writes back what is pending and lets the file go.
    pub async fn close(&self) {
        todo!()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is sound, as the database itself sees it; for `doctor`.
    pub async fn sound(&self) -> Result<(), StoreError> {
        todo!()
    }
}
