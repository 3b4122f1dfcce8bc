//! Evacuation: an instance of a host that was seen off is rebuilt elsewhere, and never asked for twice.
//!
//! nova answers 200 to a second request while the first runs, and the two then destroy the instance. So the
//! request is only sent after reading that the instance is still on the fenced host, idle, and without an
//! evacuation that is under way. One case has one lease, so nobody else asks in between; Masakari must not
//! run for the same host.
//!
//! A record that is `done` stays so until the source's nova-compute starts. nova writes an instance's new host first and
//! `done` after it (`finish_evacuation` in its resource tracker): an instance that is read on the source *after* its record
//! was read as `done` has come back.

use serde_json::json;

use crate::fence::Fenced;
use crate::ids::{HostName, InstanceId};
use crate::permit::{Act, Effect, Permits};

use super::call::{Call, Service};
use super::error::Error;
use super::migration::{Migration, MigrationKind, Phase};
use super::server::Server;
use super::session::Cloud;
use super::version::Version;

const RIGHT: &str = "os_compute_api:os-evacuate";

/// From this microversion on an evacuated instance stays off where it arrives.
pub(super) const STAYS_OFF: Version = Version::new(2, 95);

/// How an instance is to be on its new host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// As it was: one that ran runs again.
    AsItWas,
    /// Off, where nova offers it. Nova starts it for about half a second all the same, and leaves one that was in
    /// error running.
    Off,
}

/// What became of the wish to evacuate an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evacuation {
    /// nova took the request; its migration records tell the rest.
    Asked,
    /// One is under way already; nothing was sent.
    Underway(Box<Migration>),
    /// The instance is on another host already; nothing was sent.
    Elsewhere(HostName),
    /// The instance was deleted; nothing was sent.
    Gone,
    /// The instance is busy, or in a state that nova does not evacuate from; nothing was sent.
    NotNow(Box<Server>),
}

impl Cloud {
    /// Whether this nova can leave an evacuated instance off.
    pub async fn evacuates_to_off(&self) -> Result<bool, Error> {
        Ok(self.versions(Service::Compute).await?.offers(STAYS_OFF))
    }

    /// Rebuilds an instance of a fenced host elsewhere: on `target`, or where the scheduler chooses.
    ///
    /// Asked for at a microversion below 2.95, so that an instance that ran runs again, unless it is to arrive off.
    pub async fn evacuate(
        &self,
        permits: &dyn Permits,
        fenced: &Fenced,
        instance: InstanceId,
        target: Option<&HostName>,
        arrival: Arrival,
    ) -> Result<Evacuation, Error> {
        let doing = format!("evacuate instance {instance} from {}", fenced.host());
        let Some(mut server) = self.server(instance).await? else {
            return Ok(Evacuation::Gone);
        };
        let migrations = self.migrations_of(instance).await?;
        if migrations.iter().any(|known| is_done_from(known, fenced.host())) {
            // Read before the records it may have been about to be told elsewhere.
            let Some(again) = self.server(instance).await? else {
                return Ok(Evacuation::Gone);
            };
            server = again;
        }
        if let Some(settled) = settled(fenced.host(), &server, &migrations, &doing)? {
            return Ok(settled);
        }
        let body = match target {
            Some(target) => json!({"evacuate": {"host": target}}),
            None => json!({"evacuate": {}}),
        };
        let mut call = Call::post(Service::Compute, &format!("/servers/{instance}/action"), &doing)
            .body(body)
            .right(RIGHT);
        if arrival == Arrival::Off && self.evacuates_to_off().await? {
            call = call.version(STAYS_OFF);
        }
        let effect = Effect::Evacuate(instance);
        self.act(call, Act { effect, permits }).await?;
        Ok(Evacuation::Asked)
    }
}

/// An evacuation away from this host that has arrived, and that the host's nova-compute has not yet seen.
fn is_done_from(migration: &Migration, source: &HostName) -> bool {
    migration.kind == MigrationKind::Evacuation
        && migration.status == "done"
        && migration.source.as_ref() == Some(source)
}

/// What makes a request needless or harmful; `None` when it has to be sent. The server was read after any record that is
/// `done`.
fn settled(
    fenced: &HostName,
    server: &Server,
    migrations: &[Migration],
    doing: &str,
) -> Result<Option<Evacuation>, Error> {
    let away = |migration: &&Migration| {
        migration.kind == MigrationKind::Evacuation && migration.source.as_ref() == Some(fenced)
    };
    let open = |migration: &&Migration| match migration.phase() {
        Phase::Underway | Phase::Unknown | Phase::Waiting => true,
        // On the source all the same, it came back.
        Phase::Arrived | Phase::Failed => false,
    };
    if let Some(migration) = migrations.iter().filter(away).find(open) {
        return Ok(Some(Evacuation::Underway(Box::new(migration.clone()))));
    }
    match &server.host {
        Some(host) if host == fenced => {}
        // It was ours and left; anything else would be an evacuation with the wrong proof.
        Some(host) if migrations.iter().any(|migration| away(&migration)) => {
            return Ok(Some(Evacuation::Elsewhere(host.clone())));
        }
        other => {
            return Err(Error::NotOnFencedHost {
                call: doing.to_owned(),
                found: other
                    .as_ref()
                    .map_or_else(|| "no host".to_owned(), ToString::to_string),
                fenced: fenced.clone(),
            });
        }
    }
    Ok((!server.can_be_evacuated_now()).then(|| Evacuation::NotNow(Box::new(server.clone()))))
}
