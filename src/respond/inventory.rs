//! What the cloud has on and around a host, read at once: all that guard and plan need.

mod keys;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::HostName;
use crate::openstack::{
    Aggregate, Capacity, Cloud, ComputeService, ComputeServices, Error, Free, Migration, RecoveryHost,
    Server, ServerGroup,
};

use super::guard::Zone;
use super::plan::KeyRight;

/// What a plan can be made without is waited for this long.
const ASIDE_WITHIN: Duration = Duration::from_secs(10);

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
    /// What is free on each host.
    pub capacity: Known<Capacity>,
    /// Every server group.
    pub groups: Known<Vec<ServerGroup>>,
    /// The encrypted volumes of the host's instances, and those of which it is not known.
    pub keys: BTreeMap<String, KeyRight>,
    /// Whether nova can leave evacuated instances off.
    pub leaves_off: Known<bool>,
}

/// What was asked for beside the things that a plan cannot be made without. Not to know it does not stop a plan:
/// keeping the host out is more urgent. What needs it holds.
#[derive(Debug, Clone)]
pub enum Known<T> {
    /// It is known.
    Known(T),
    /// It could not be read, and why.
    NotKnown(String),
}

impl<T> Known<T> {
    /// It, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(it) => Some(it),
            Self::NotKnown(_) => None,
        }
    }
}

/// The room for a host's instances on other hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Virtual processors that are free there.
    pub free_vcpus: u64,
    /// Memory that is free there, MB.
    pub free_memory_mb: u64,
    /// Virtual processors that the host's instances need.
    pub need_vcpus: u64,
    /// Memory that they need, MB.
    pub need_memory_mb: u64,
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
        Box::pin(Self::read_all(cloud, host)).await
    }

    async fn read_all(cloud: &Cloud, host: &HostName) -> Result<Self, Error> {
        let on_host = async {
            let instances = cloud.servers_on(host).await?;
            let keys = keys::read(cloud, &instances).await;
            Ok((instances, keys))
        };
        let (services, aggregates, (instances, keys), migrations, masakari, capacity, groups, leaves_off) = tokio::try_join!(
            cloud.compute_services(),
            cloud.aggregates(),
            on_host,
            cloud.migrations_from(host, None),
            async { Ok(masakari(cloud, host).await) },
            async { Ok(aside(cloud.capacity()).await) },
            async { Ok(aside(cloud.server_groups()).await) },
            async { Ok(aside(cloud.evacuates_to_off()).await) },
        )?;
        Ok(Self {
            host: host.clone(),
            services,
            aggregates,
            instances,
            migrations,
            masakari,
            capacity,
            groups,
            keys,
            leaves_off,
        })
    }

    /// Reads what the limits are asked with, and no more: no plan is made of it. The instances and the room for them
    /// only where a floor is asked for.
    pub async fn for_limits(cloud: &Cloud, host: &HostName, with_room: bool) -> Result<Self, Error> {
        let not_read = || "not read".to_owned();
        let room = async {
            if !with_room {
                return Ok((Vec::new(), Known::NotKnown(not_read())));
            }
            let instances = cloud.servers_on(host).await?;
            Ok((instances, aside(cloud.capacity()).await))
        };
        let (services, aggregates, (instances, capacity)) =
            tokio::try_join!(cloud.compute_services(), cloud.aggregates(), room)?;
        Ok(Self {
            host: host.clone(),
            services,
            aggregates,
            instances,
            migrations: Vec::new(),
            masakari: Masakari::NotKnown(not_read()),
            capacity,
            groups: Known::NotKnown(not_read()),
            keys: Default::default(),
            leaves_off: Known::NotKnown(not_read()),
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

    /// The names of the aggregates that the host is in.
    pub fn aggregates_of_host(&self) -> BTreeSet<String> {
        self.aggregates
            .iter()
            .filter(|aggregate| aggregate.has(&self.host))
            .map(|aggregate| aggregate.name.clone())
            .collect()
    }

    /// What is free on each host that can take this host's instances: hosts of its zone, enabled and up, and not in
    /// quarantine themselves. `None` where that is not known.
    pub fn free_elsewhere(&self, quarantine_aggregate: &str) -> Option<BTreeMap<HostName, Free>> {
        let zone = self.service()?.zone.as_ref()?;
        let capacity = self.capacity.known()?;
        let quarantined = |host: &HostName| {
            self.aggregates
                .iter()
                .any(|aggregate| aggregate.name == quarantine_aggregate && aggregate.has(host))
        };
        let free = self
            .services
            .known
            .iter()
            .filter(|service| service.host != self.host && service.zone.as_ref() == Some(zone))
            .filter(|service| service.enabled && service.up && !service.forced_down)
            .filter(|service| !quarantined(&service.host))
            .map(|service| {
                let free = capacity.get(&service.host).copied().unwrap_or_default();
                (service.host.clone(), free)
            });
        Some(free.collect())
    }

    /// The room for this host's instances elsewhere, all of them: which are left where they are only a plan decides, and
    /// a person may move them later. `None` where it is not known: a limit that rests on it holds
    /// then. So does an instance with processors of its own (`hw:cpu_policy`), which are not counted as free.
    pub fn room(&self, quarantine_aggregate: &str) -> Option<Room> {
        if self.instances.iter().any(Server::has_processors_of_its_own) {
            return None;
        }
        let free = self.free_elsewhere(quarantine_aggregate)?;
        let needs = || self.instances.iter().map(|server| &server.flavor);
        Some(Room {
            free_vcpus: free.values().map(|free| free.vcpus).sum(),
            free_memory_mb: free.values().map(|free| free.memory_mb).sum(),
            need_vcpus: needs().map(|flavor| u64::from(flavor.vcpus)).sum(),
            need_memory_mb: needs().map(|flavor| flavor.ram_mb).sum(),
        })
    }
}

/// Reads what a plan can be made without, and does not wait for it for long.
async fn aside<T>(reading: impl Future<Output = Result<T, Error>>) -> Known<T> {
    match tokio::time::timeout(ASIDE_WITHIN, reading).await {
        Ok(Ok(it)) => Known::Known(it),
        Ok(Err(error)) => Known::NotKnown(error.to_string()),
        Err(_) => Known::NotKnown(format!("no answer within {ASIDE_WITHIN:?}")),
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
