//! How SQLite is opened, written to and read from. All that only SQLite does is here.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migrate as _, MigrateError, Migration, MigrationType, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::{
    Sqlite, SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, SqlSafeStr as _};

use super::columns::Columns;
use super::error::StoreError;

/// The migrations in their order: number, name, text. A released one is never edited.
pub const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "initial", include_str!("../../migrations/0001_initial.sql")),
    (
        2,
        "policy_versions",
        include_str!("../../migrations/0002_policy_versions.sql"),
    ),
    (
        3,
        "case_kinds",
        include_str!("../../migrations/0003_case_kinds.sql"),
    ),
    (4, "caution", include_str!("../../migrations/0004_caution.sql")),
    (5, "release", include_str!("../../migrations/0005_release.sql")),
    (
        6,
        "deliveries",
        include_str!("../../migrations/0006_deliveries.sql"),
    ),
    (7, "failover", include_str!("../../migrations/0007_failover.sql")),
    (8, "removed", include_str!("../../migrations/0008_removed.sql")),
    (9, "order", include_str!("../../migrations/0009_order.sql")),
];

/// How long one writer waits for another, in this process or any other.
const PATIENCE: Duration = Duration::from_secs(15);

/// SQLite's extended result codes for a write that the system refused, and for an index that it did not extend.
const IOERR_WRITE: i32 = 778;
const IOERR_SHMSIZE: i32 = 4874;

/// What is being attempted, on what; named by every error.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    operation: &'static str,
    subject: String,
}

impl Attempt {
    pub(super) fn new(operation: &'static str, subject: impl ToString) -> Self {
        Self {
            operation,
            subject: subject.to_string(),
        }
    }

    /// What the database's answer means.
    pub(super) fn trouble(&self, source: sqlx::Error) -> StoreError {
        let Self { operation, subject } = self.clone();
        let code = match &source {
            sqlx::Error::Database(error) => error.code().and_then(|code| code.parse::<i32>().ok()),
            sqlx::Error::PoolTimedOut => Some(5),
            _ => None,
        };
        // A quota, a limit on the file's size, or no room for the log's index: full, though not by that name.
        if let Some(IOERR_WRITE | IOERR_SHMSIZE) = code {
            return StoreError::DiskFull { operation, subject };
        }
        // The low byte is the primary result code: https://www.sqlite.org/rescode.html
        match code.map(|code| code & 0xff) {
            Some(5 | 6) => StoreError::Locked { operation, subject },
            Some(8) => StoreError::ReadOnly { operation, subject },
            Some(11 | 26) => StoreError::Damaged {
                operation,
                subject,
                detail: source.to_string(),
            },
            Some(13) => StoreError::DiskFull { operation, subject },
            Some(19) => StoreError::Refused {
                operation,
                subject,
                rule: source.to_string(),
            },
            _ => StoreError::Database {
                operation,
                subject,
                source,
            },
        }
    }

    pub(super) fn refused(&self, rule: impl Into<String>) -> StoreError {
        StoreError::Refused {
            operation: self.operation,
            subject: self.subject.clone(),
            rule: rule.into(),
        }
    }

    pub(super) fn unknown(&self, subject: impl Into<String>) -> StoreError {
        StoreError::Unknown {
            operation: self.operation,
            subject: subject.into(),
        }
    }

    pub(super) fn damaged(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Damaged {
            operation: self.operation,
            subject: self.subject.clone(),
            detail: detail.into(),
        }
    }

    pub(super) fn lease_lost(&self, epoch: i64) -> StoreError {
        StoreError::LeaseLost {
            operation: self.operation,
            subject: self.subject.clone(),
            epoch,
        }
    }
}

pub(super) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// One statement, to be bound and run.
pub(super) fn statement(sql: &'static str) -> Statement {
    sqlx::query(sql)
}

/// A transaction that writes: all of it is kept at [`Write::commit`], or nothing.
///
/// Not sqlx's own transaction: SQLite ends one by itself when the disk is full, and sqlx then takes the connection
/// for one that is still inside. Here a connection whose transaction was not ended by us is closed, never used again.
pub(super) struct Write {
    connection: PoolConnection<Sqlite>,
    ended: bool,
    pub(super) attempt: Attempt,
    #[cfg(test)]
    _turn: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Write {
    #[cfg(test)]
    pub(super) fn within(self, turn: Option<tokio::sync::OwnedMutexGuard<()>>) -> Self {
        let mut write = self;
        write._turn = turn;
        write
    }

    /// Begins, and holds the database against other writers at once, so that what is read here stays true.
    pub(super) async fn begin(writer: &SqlitePool, attempt: Attempt) -> Result<Self, StoreError> {
        #[cfg(test)]
        super::cut::point(true).await;
        let connection = writer.acquire().await.map_err(|error| attempt.trouble(error))?;
        let mut write = Self {
            connection,
            ended: false,
            attempt,
            #[cfg(test)]
            _turn: None,
        };
        write.run(statement("BEGIN IMMEDIATE")).await?;
        Ok(write)
    }

    /// Runs a statement; how many rows it found.
    pub(super) async fn run(&mut self, statement: Statement) -> Result<u64, StoreError> {
        let done = statement.execute(&mut *self.connection).await;
        done.map(|done| done.rows_affected())
            .map_err(|error| self.attempt.trouble(error))
    }

    pub(super) async fn row(&mut self, statement: Statement) -> Result<Option<SqliteRow>, StoreError> {
        Ok(self.rows(statement).await?.pop())
    }

    pub(super) async fn rows(&mut self, statement: Statement) -> Result<Vec<SqliteRow>, StoreError> {
        let rows = statement.fetch_all(&mut *self.connection).await;
        rows.map_err(|error| self.attempt.trouble(error))
    }

    /// The greatest number given so far, as the statement's column `last` has it.
    pub(super) async fn last(&mut self, statement: Statement) -> Result<i64, StoreError> {
        let Some(row) = self.row(statement).await? else {
            return Ok(0);
        };
        Columns {
            row: &row,
            attempt: &self.attempt,
        }
        .int("last")
    }

    /// Keeps all of it.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        self.run(statement("COMMIT")).await?;
        self.ended = true;
        #[cfg(test)]
        super::cut::point(false).await;
        Ok(())
    }

    /// Keeps nothing of it, where that is no trouble but an answer; the connection stays.
    pub(super) async fn give_up(mut self) -> Result<(), StoreError> {
        self.run(statement("ROLLBACK")).await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

/// Opens the pair of pools: one connection that writes, so that writers queue fairly, and some that read.
pub(super) async fn open(path: &Path) -> Result<(SqlitePool, SqlitePool), StoreError> {
    let failed = |source: sqlx::Error| StoreError::Open {
        path: path.to_owned(),
        source,
    };
    let turn = one_at_a_time(path)
        .await
        .map_err(|error| failed(sqlx::Error::Io(error)))?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
        .disable_statement_logging();
    let mut first = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    migrate(path, &mut first).await?;
    first.close().await.map_err(failed)?;
    drop(turn);
    let pool = |connections| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(2 * PATIENCE)
    };
    let writer = pool(1).connect_with(options.clone()).await.map_err(failed)?;
    let reader = pool(4)
        .connect_with(options.pragma("query_only", "ON"))
        .await
        .map_err(failed)?;
    Ok((writer, reader))
}

/// Makes the file where there is none, for its owner and group only, and waits for other programs that open it:
/// switching to the write-ahead log and migrating are each for one at a time.
async fn one_at_a_time(path: &Path) -> std::io::Result<File> {
    let path = path.to_owned();
    let turn = tokio::task::spawn_blocking(move || {
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let turn = File::open(directory)?;
        turn.lock()?;
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .open(&path)
        {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => {
                // Root may make it for the daemon: it belongs to whoever the directory belongs to.
                let (file, owner) = (made?, turn.metadata()?);
                if file.metadata()?.uid() != owner.uid() {
                    fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
                }
            }
        }
        Ok(turn)
    });
    turn.await.map_err(std::io::Error::other)?
}

async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let failed = |error: MigrateError| StoreError::Migrate {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let migrations = MIGRATIONS.iter().map(|(version, name, text)| {
        Migration::new(
            *version,
            (*name).into(),
            MigrationType::Simple,
            text.into_sql_str(),
            false,
        )
    });
    let migrator = Migrator::with_migrations(migrations.collect());
    connection
        .ensure_migrations_table(&migrator.table_name)
        .await
        .map_err(failed)?;
    let applied = connection
        .list_applied_migrations(&migrator.table_name)
        .await
        .map_err(failed)?;
    let found = applied
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or(0);
    let known = MIGRATIONS.iter().map(|(version, ..)| *version).max().unwrap_or(0);
    if found > known {
        return Err(StoreError::NewerSchema {
            path: path.to_owned(),
            found,
            known,
        });
    }
    migrator.run_direct(None, connection, false).await.map_err(failed)
}
