//! What the hypervisors hold and have left, for the capacity floor.

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::ids::HostName;

use super::call::{Call, Service};
use super::error::Error;
use super::listed;
use super::session::Cloud;

const RIGHT: &str = "os_compute_api:os-hypervisors:list-detail";

/// One hypervisor's capacity by nova's own count (without overcommit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hypervisor {
    /// The service host that it belongs to.
    pub host: HostName,
    /// Its id, which is also that of its resource provider in placement.
    pub id: Uuid,
    /// Its own name.
    pub name: String,
    /// Whether its service is up.
    pub up: bool,
    /// Whether its service is enabled.
    pub enabled: bool,
    /// Instances on it.
    pub instances: u64,
    /// Processors in use and there.
    pub vcpus: (u64, u64),
    /// Memory in use and there, MB.
    pub memory_mb: (u64, u64),
}

#[derive(Deserialize)]
struct Row {
    id: Uuid,
    hypervisor_hostname: String,
    state: Option<String>,
    status: Option<String>,
    service: Owner,
    running_vms: Option<u64>,
    vcpus: Option<u64>,
    vcpus_used: Option<u64>,
    memory_mb: Option<u64>,
    memory_mb_used: Option<u64>,
}

#[derive(Deserialize)]
struct Owner {
    host: HostName,
}

impl Cloud {
    /// Every hypervisor's capacity, all pages. Hosts of a cell that is down are missing: see
    /// [`Cloud::compute_services`] for which those are. So are rows that cannot be read.
    pub async fn hypervisors(&self) -> Result<Vec<Hypervisor>, Error> {
        let call = Call::get(
            Service::Compute,
            "/os-hypervisors/detail",
            "read the hypervisors' capacity",
        )
        .right(RIGHT);
        let rows: Vec<Value> = self.pages(call, "hypervisors").await?;
        Ok(listed::readable::<Row>("hypervisors", rows)
            .into_iter()
            .map(|row| Hypervisor {
                host: row.service.host,
                id: row.id,
                name: row.hypervisor_hostname,
                up: row.state.as_deref() == Some("up"),
                enabled: row.status.as_deref() == Some("enabled"),
                instances: row.running_vms.unwrap_or(0),
                vcpus: (row.vcpus_used.unwrap_or(0), row.vcpus.unwrap_or(0)),
                memory_mb: (row.memory_mb_used.unwrap_or(0), row.memory_mb.unwrap_or(0)),
            })
            .collect())
    }
}
