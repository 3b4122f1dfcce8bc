//! The only SQL: what is known, promised and done, kept so that nothing is half-written.
//!
//! One process may hold many `Store`s of one file, and several processes may use it at once. What one of them takes
//! (a challenge, a lease, a notification) it takes by compare-and-swap. Everything that changes a case carries the
//! epoch of its lease, and is refused when the epoch has moved.

mod audit;
mod cases;
mod challenges;
mod columns;
mod connection;
mod deliveries;
mod error;
mod evidence;
mod groups;
mod hosts;
mod journal;
mod json;
mod leases;
mod orphans;
mod outbox;
mod pauses;
mod persons;
mod policies;
mod release_items;
mod rounds;
pub mod sql;
mod steps;

pub use audit::{AuditEntry, AuditRecord, Chain};
pub use cases::{Case, CaseDue, CaseFilter, CaseState, LONGEST_REST, NewCase, Outcome};
pub use challenges::{NewChallenge, Offered};
pub use deliveries::{Delivery, DeliveryState, Failure};
pub use error::{EnrolError, RecordError, SpendError, StoreError};
pub use groups::HeldGroup;
pub use hosts::{Enrolment, Host, LastResult, NewHost};
pub use journal::{JournalEntry, Phase};
pub use json::Json;
pub use leases::{LONGEST_LEASE, Lease, LeaseKind, Standing};
pub use orphans::{Adoption, Orphan, Sighting};
pub use outbox::{NewNotification, Notification, Quiet};
pub use pauses::Pause;
pub use policies::{PolicyStanding, PolicyVersion};
pub use release_items::{ItemState, ReleaseItem};
pub use rounds::{Purpose, Recording, Round};
pub use steps::{CaseInstance, Step, StepState};

pub use connection::MIGRATIONS;

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqlitePool, SqliteRow};

use columns::{Columns, each};
use connection::{Attempt, Statement, Write, statement};

/// The database, open.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
    writer: SqlitePool,
    reader: SqlitePool,
    /// In the simulation one asks after the other, so that the order of answers does not depend on threads.
    #[cfg(test)]
    turns: Option<std::sync::Arc<tokio::sync::Mutex<()>>>,
}

impl Store {
    /// Opens the database, makes it where there is none, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let (writer, reader) = connection::open(path).await?;
        Ok(Self {
            path: path.to_owned(),
            writer,
            reader,
            #[cfg(test)]
            turns: None,
        })
    }

    /// Writes back what is pending and lets the file go.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// From now on whoever asks waits for those who asked before; for the simulation.
    #[cfg(test)]
    pub(crate) fn one_after_the_other(&mut self) {
        self.turns = Some(Default::default());
    }

    #[cfg(test)]
    async fn turn(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        match &self.turns {
            Some(turns) => Some(std::sync::Arc::clone(turns).lock_owned().await),
            None => None,
        }
    }

    /// Whether a connection is at work, or somebody's turn; for the simulation, which waits until nothing is.
    #[cfg(test)]
    pub(crate) fn is_busy(&self) -> bool {
        if self.turns.as_ref().is_some_and(|turns| turns.try_lock().is_err()) {
            return true;
        }
        let busy = |pool: &SqlitePool| u32::try_from(pool.num_idle()).is_ok_and(|idle| idle != pool.size());
        busy(&self.writer) || busy(&self.reader)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is sound, as the database itself sees it; for `doctor`.
    pub async fn sound(&self) -> Result<(), StoreError> {
        let attempt = Attempt::new("looking over the database", self.path.display());
        let rows = self.rows(&attempt, statement("PRAGMA quick_check")).await?;
        for row in &rows {
            let said: String = Columns {
                row,
                attempt: &attempt,
            }
            .raw("quick_check")?;
            if said != "ok" {
                return Err(attempt.damaged(said));
            }
        }
        Ok(())
    }

    async fn write(&self, attempt: Attempt) -> Result<Write, StoreError> {
        #[cfg(test)]
        let turn = self.turn().await;
        let write = Write::begin(&self.writer, attempt).await;
        #[cfg(test)]
        let write = write.map(|write| write.within(turn));
        write
    }

    async fn rows(&self, attempt: &Attempt, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
        #[cfg(test)]
        let _turn = self.turn().await;
        statement
            .fetch_all(&self.reader)
            .await
            .map_err(|error| attempt.trouble(error))
    }

    /// Reads many rows.
    async fn list<T>(
        &self,
        attempt: Attempt,
        statement: Statement,
        read: impl Fn(&Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        each(&self.rows(&attempt, statement).await?, &attempt, read)
    }

    /// Reads one row, or none.
    async fn one<T>(
        &self,
        attempt: Attempt,
        statement: Statement,
        read: impl Fn(&Columns<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.list(attempt, statement, read).await?.pop())
    }

    /// Deletes what `old` lists, in one transaction; how many.
    async fn purge(
        &self,
        attempt: Attempt,
        old: Statement,
        column: &'static str,
        delete: &'static str,
    ) -> Result<u64, StoreError> {
        let mut write = self.write(attempt).await?;
        let rows = write.rows(old).await?;
        let keys = each(&rows, &write.attempt, |row| row.text(column))?;
        let mut deleted = 0;
        for key in keys {
            deleted += write.run(statement(delete).bind(key)).await?;
        }
        write.commit().await?;
        Ok(deleted)
    }
}

#[cfg(test)]
#[path = "tests/cut.rs"]
pub(crate) mod cut;

#[cfg(test)]
pub(crate) mod tests;
