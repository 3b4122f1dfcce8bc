//! nova's migration records: the only truth about an evacuation.

use serde::Deserialize;

use crate::clock::Timestamp;
use crate::ids::{HostName, InstanceId};

use super::call::{Call, Service};
use super::error::Error;
use super::session::Cloud;
use super::time;

const RIGHT: &str = "os_compute_api:os-migrations:index (and index:all_projects, index:host)";

/// One movement of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its id.
    pub uuid: String,
    /// The instance.
    pub instance: InstanceId,
    /// Why it moves.
    pub kind: MigrationKind,
    /// nova's word for where it stands; [`Migration::phase`] says what it means.
    pub status: String,
    /// Where it comes from.
    pub source: Option<HostName>,
    /// Where it goes; `None` until the scheduler chose, and for ever when it found nothing.
    pub destination: Option<HostName>,
    /// The user who asked for it.
    pub user_id: Option<String>,
    /// The project of the user who asked for it.
    pub project_id: Option<String>,
    /// When it was asked for.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
}

/// Why an instance moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MigrationKind {
    /// Rebuilt elsewhere because its host is down.
    Evacuation,
    /// Moved while running.
    Live,
    /// Moved while off.
    Cold,
    /// Moved to another size.
    Resize,
    /// A word that we do not know.
    Other(String),
}

impl MigrationKind {
    /// nova's word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Evacuation => "evacuation",
            Self::Live => "live-migration",
            Self::Cold => "migration",
            Self::Resize => "resize",
            Self::Other(word) => word,
        }
    }

    fn from_word(word: String) -> Self {
        match word.as_str() {
            "evacuation" => Self::Evacuation,
            "live-migration" => Self::Live,
            "migration" => Self::Cold,
            "resize" => Self::Resize,
            _ => Self::Other(word),
        }
    }
}

/// Where a migration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// On its way: nothing else may be asked for this instance.
    Underway,
    /// It arrived. (`done` becomes `completed` only when the source's nova-compute starts again.)
    Arrived,
    /// It did not happen; the instance may look unharmed on its old host.
    Failed,
    /// A resize or cold migration that waits for its owner's word, and may go back to its source.
    Waiting,
    /// A word that we do not know; to be treated as under way.
    Unknown,
}

impl Migration {
    /// What nova's status word means.
    pub fn phase(&self) -> Phase {
        match self.status.as_str() {
            "accepted" | "pre-migrating" | "queued" | "preparing" | "migrating" | "running"
            | "post-migrating" | "confirming" | "reverting" => Phase::Underway,
            "done" | "completed" | "confirmed" | "reverted" => Phase::Arrived,
            "error" | "failed" | "cancelled" => Phase::Failed,
            "finished" => Phase::Waiting,
            _ => Phase::Unknown,
        }
    }
}

#[derive(Deserialize)]
struct Row {
    uuid: String,
    instance_uuid: InstanceId,
    status: String,
    migration_type: String,
    source_compute: Option<HostName>,
    dest_compute: Option<HostName>,
    user_id: Option<String>,
    project_id: Option<String>,
    #[serde(default, deserialize_with = "time::optional")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "time::optional")]
    updated_at: Option<Timestamp>,
}

impl From<Row> for Migration {
    fn from(row: Row) -> Self {
        Self {
            uuid: row.uuid,
            instance: row.instance_uuid,
            kind: MigrationKind::from_word(row.migration_type),
            status: row.status,
            source: row.source_compute,
            destination: row.dest_compute,
            user_id: row.user_id,
            project_id: row.project_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl Cloud {
    /// The migrations away from a host, all pages, newest first; of one kind, or of every kind.
    ///
    /// Instances in `VERIFY_RESIZE` that may still come *back* to the host are those of kind cold or resize
    /// in [`Phase::Waiting`]; they are not among [`Cloud::servers_on`].
    pub async fn migrations_from(
        &self,
        host: &HostName,
        kind: Option<&MigrationKind>,
    ) -> Result<Vec<Migration>, Error> {
        // A record lives in its source's cell, which the listing skips when it is down: see `servers_on`.
        self.compute_service(host).await?;
        let migrations = self.list_migrations(host, kind).await?;
        self.compute_service(host).await?;
        Ok(migrations)
    }

    /// The listing alone, which knows nothing of a cell that is down.
    pub(super) async fn list_migrations(
        &self,
        host: &HostName,
        kind: Option<&MigrationKind>,
    ) -> Result<Vec<Migration>, Error> {
        let mut call = Call::get(
            Service::Compute,
            "/os-migrations",
            &format!("list the migrations away from {host}"),
        )
        .query("source_compute", host.as_str())
        .right(RIGHT);
        if let Some(kind) = kind {
            call = call.query("migration_type", kind.as_str());
        }
        let rows: Vec<Row> = self.pages(call, "migrations").await?;
        Ok(rows.into_iter().map(Migration::from).collect())
    }

    /// The migrations of one instance, newest first. nova drops them when the instance is deleted.
    pub async fn migrations_of(&self, instance: InstanceId) -> Result<Vec<Migration>, Error> {
        let call = Call::get(
            Service::Compute,
            "/os-migrations",
            &format!("list the migrations of instance {instance}"),
        )
        .query("instance_uuid", &instance.to_string())
        .right(RIGHT);
        let rows: Vec<Row> = self.pages(call, "migrations").await?;
        if rows.is_empty() {
            // None, or a cell that is down: reading the instance tells (it is an error then).
            self.server(instance).await?;
        }
        Ok(rows.into_iter().map(Migration::from).collect())
    }
}
