//! placement: what is free on each host, overcommit and reserves counted in.

use std::collections::BTreeMap;

use serde::Deserialize;
use uuid::Uuid;

use crate::ids::HostName;

use super::call::{Call, Service};
use super::error::Error;
use super::session::Cloud;

const RIGHT: &str = "placement:allocation_candidates:list";

/// What is free on a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Free {
    /// Virtual processors.
    pub vcpus: u64,
    /// Memory, MB.
    pub memory_mb: u64,
}

/// What is free on each host of the cloud. A host with no room for even the smallest instance is not in it.
pub type Capacity = BTreeMap<HostName, Free>;

#[derive(Deserialize)]
struct Candidates {
    provider_summaries: BTreeMap<Uuid, Summary>,
}

#[derive(Deserialize)]
struct Summary {
    resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
struct Resource {
    capacity: i64,
    used: i64,
}

impl Summary {
    fn free(&self, class: &str) -> u64 {
        let free = self
            .resources
            .get(class)
            .map_or(0, |resource| resource.capacity.saturating_sub(resource.used));
        u64::try_from(free).unwrap_or(0)
    }
}

impl Cloud {
    /// What is free on each host, by placement's count: one request for all of them, and one for whose they are.
    ///
    /// placement leaves out hosts without room for one vCPU and 1 MB, and those beyond a limit that its operator
    /// may have set: both count as full.
    pub async fn capacity(&self) -> Result<Capacity, Error> {
        let call = Call::get(
            Service::Placement,
            "/allocation_candidates",
            "read what is free on each host",
        )
        .query("resources", "VCPU:1,MEMORY_MB:1")
        .right(RIGHT);
        let (candidates, hypervisors) = tokio::try_join!(self.json::<Candidates>(call), self.hypervisors())?;
        Ok(hypervisors
            .into_iter()
            .filter_map(|hypervisor| {
                let summary = candidates.provider_summaries.get(&hypervisor.id)?;
                let free = Free {
                    vcpus: summary.free("VCPU"),
                    memory_mb: summary.free("MEMORY_MB"),
                };
                Some((hypervisor.host, free))
            })
            .collect())
    }
}
