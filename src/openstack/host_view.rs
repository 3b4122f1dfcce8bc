//! A host's instances and the movements away from it, read together: what a case looks at every second.

use crate::ids::HostName;

use super::error::Error;
use super::migration::{Migration, MigrationKind};
use super::server::Server;
use super::session::Cloud;

impl Cloud {
    /// [`Cloud::servers_on`] and [`Cloud::migrations_from`] at once, with half of their requests: the host's own
    /// service is read before both and after both, and says whether its cell was up all the time.
    pub async fn servers_and_migrations(
        &self,
        host: &HostName,
        kind: &MigrationKind,
    ) -> Result<(Vec<Server>, Vec<Migration>), Error> {
        self.compute_service(host).await?;
        let read = tokio::try_join!(self.list_servers(host), self.list_migrations(host, Some(kind)))?;
        self.compute_service(host).await?;
        Ok(read)
    }
}
