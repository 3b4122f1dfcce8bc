//! What the cloud has on and around a host, read at once: all that guard and plan need.

use crate::ids::HostName;
use crate::openstack::{
    Aggregate, Cloud, ComputeService, ComputeServices, Error, Migration, RecoveryHost, Server,
};

use super::guard::Zone;

/// What the cloud has on and around a host.
#[derive(Debug, Clone)]
pub struct Inventory {
    /// The host.
    pub host: HostName,
    /// All compute services.
    pub services: ComputeServices,
    /// All aggregates.
    pub aggregates: Vec<Aggregate>,
    /// Every instance on the host.
    pub instances: Vec<Server>,
    /// Movements away from the host.
    pub migrations: Vec<Migration>,
    /// What Masakari knows of the host.
    pub masakari: Masakari,
}

/// What Masakari knows of a host.
#[derive(Debug, Clone)]
pub enum Masakari {
    /// The cloud has none.
    Absent,
    /// The host is in no segment.
    NoSegment,
    /// It knows the host.
    Host(RecoveryHost),
    /// It could not be asked. It alone does not stop a plan: keeping the host out is more urgent.
    NotKnown(String),
}

impl Inventory {
    /// Reads everything at the same time. What nova does not know is an error, never an empty list.
    pub async fn read(cloud: &Cloud, host: &HostName) -> Result<Self, Error> {
        let (services, aggregates, instances, migrations, masakari) = tokio::try_join!(
            cloud.compute_services(),
            cloud.aggregates(),
            cloud.servers_on(host),
            cloud.migrations_from(host, None),
            async { Ok(masakari(cloud, host).await) },
        )?;
        Ok(Self {
            host: host.clone(),
            services,
            aggregates,
            instances,
            migrations,
            masakari,
        })
    }

    /// The host's own compute service.
    pub fn service(&self) -> Option<&ComputeService> {
        self.services
            .known
            .iter()
            .find(|service| service.host == self.host)
    }

    /// The host's zone, and how many of its other hosts can take instances. `None` when the host is not known,
    /// or not its zone. Hosts of a cell that is down do not count.
    pub fn zone(&self) -> Option<Zone> {
        let name = self.service()?.zone.clone()?;
        let others = self
            .services
            .known
            .iter()
            .filter(|service| service.host != self.host && service.zone.as_ref() == Some(&name))
            .filter(|service| service.enabled && service.up && !service.forced_down)
            .count();
        Some(Zone {
            name,
            others_enabled: u32::try_from(others).unwrap_or(u32::MAX),
        })
    }
}

async fn masakari(cloud: &Cloud, host: &HostName) -> Masakari {
    let known = async {
        if !cloud.has_masakari().await? {
            return Ok(Masakari::Absent);
        }
        Ok(match cloud.recovery_host(host).await? {
            Some(known) => Masakari::Host(known),
            None => Masakari::NoSegment,
        })
    };
    known
        .await
        .unwrap_or_else(|error: Error| Masakari::NotKnown(error.to_string()))
}
