//! Whether instances have room elsewhere, and find their disks there; pure.

use std::collections::BTreeMap;

use crate::ids::HostName;
use crate::openstack::{ComputeService, Free, Server};
use crate::respond::inventory::{Inventory, Room};
use crate::respond::plan::{PlannedInstance, Way};

/// Stands for every host in `response.shared_storage`.
const EVERY_HOST: &str = "*";

/// Whether any other host has room for an instance; `None` where that is not known.
pub(super) fn fits(server: &Server, free: Option<&BTreeMap<HostName, Free>>) -> Option<bool> {
    if server.has_processors_of_its_own() {
        return None;
    }
    let needed = &server.flavor;
    let takes = |free: &Free| free.vcpus >= u64::from(needed.vcpus) && free.memory_mb >= needed.ram_mb;
    Some(free?.values().any(takes))
}

/// The room with what those instances need that are to be evacuated; an inventory counts all, since it decides nothing.
pub(super) fn needed(room: Room, instances: &[PlannedInstance]) -> Room {
    let moving = || instances.iter().filter(|instance| instance.way == Way::Evacuate);
    Room {
        need_vcpus: moving().map(|instance| u64::from(instance.vcpus)).sum(),
        need_memory_mb: moving().map(|instance| instance.memory_mb).sum(),
        ..room
    }
}

/// Whether disks on the host are on storage which every host shares that can take an instance. Nova looks at the disk
/// on the new host only, and begins from the image where it is not there: one host without the storage is too many.
pub(super) fn shares_storage(named: &[String], inventory: &Inventory) -> bool {
    if named.iter().any(|name| name == EVERY_HOST) {
        return true;
    }
    let Some(zone) = inventory.service().map(|service| &service.zone) else {
        return false;
    };
    let takers = || {
        let takes =
            |service: &&ComputeService| service.zone == *zone && service.enabled && !service.forced_down;
        inventory.services.known.iter().filter(takes)
    };
    inventory
        .aggregates
        .iter()
        .filter(|aggregate| named.contains(&aggregate.name) && aggregate.has(&inventory.host))
        .any(|aggregate| takers().all(|service| aggregate.has(&service.host)))
}
