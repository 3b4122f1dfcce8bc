//! Faults of SQLite's own, for tests of whoever writes: a statement that it refuses, and a lock that somebody else keeps.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

/// A connection that the store knows nothing of.
pub(crate) struct Behind(SqliteConnection);

pub(crate) async fn behind(path: &Path) -> Behind {
    let options = SqliteConnectOptions::new().filename(path);
    Behind(SqliteConnection::connect_with(&options).await.unwrap())
}

impl Behind {
    async fn says(&mut self, text: String) {
        self.0.execute(AssertSqlSafe(text)).await.unwrap();
    }

    /// Nobody else writes until `lets_go`.
    pub(crate) async fn keeps_it_locked(&mut self) {
        self.says("BEGIN IMMEDIATE".to_owned()).await;
    }

    pub(crate) async fn lets_go(&mut self) {
        self.says("ROLLBACK".to_owned()).await;
    }
}

/// From now on what this does to a table fails in the middle of its transaction.
pub(crate) async fn breaks(path: &Path, what: &str, table: &str) {
    let text = format!(
        "CREATE TRIGGER broken BEFORE {what} ON {table} BEGIN SELECT RAISE(FAIL, 'disk I/O error'); END"
    );
    behind(path).await.says(text).await;
}

pub(crate) async fn mended(path: &Path) {
    behind(path).await.says("DROP TRIGGER broken".to_owned()).await;
}
