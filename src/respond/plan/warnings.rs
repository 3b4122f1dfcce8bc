//! What a person should know before a plan is carried out.

use super::{Order, Plan, Recovery, Way};
use crate::config::OnArrival;
use crate::respond::inventory::{Inventory, Known, Masakari};

pub(super) fn warnings(order: &Order<'_>, inventory: &Inventory, plan: &Plan) -> Vec<String> {
    let mut warnings = Vec::new();
    if order.fence.is_empty() {
        warnings.push(format!(
            "no fencing method is configured for {}: the case will be stuck before anything is evacuated",
            inventory.host
        ));
    }
    let quarantine = &order.response.quarantine_aggregate;
    for aggregate in &inventory.aggregates {
        if aggregate.name == *quarantine
            && let Some(zone) = &aggregate.availability_zone
        {
            warnings.push(format!(
                "the aggregate {quarantine} has availability zone {zone}, so hosts of other zones cannot join it; \
                 it should have none"
            ));
        }
    }
    if let Masakari::NotKnown(why) = &inventory.masakari {
        warnings.push(format!("Masakari could not be asked about the host: {why}"));
    }
    warnings.extend(plan.may_return.iter().map(|instance| instance.means.clone()));
    room(inventory, plan, &mut warnings);
    if let Known::NotKnown(why) = &inventory.groups {
        warnings.push(format!("the server groups are not known yet: {why}"));
    }
    arrival(inventory, plan, &mut warnings);
    warnings.extend(
        order
            .response
            .other_ha
            .iter()
            .map(|other| format!("{other} may bring the host back: pause it for this host")),
    );
    warnings
}

/// Whether there is room, for all together and for each.
fn room(inventory: &Inventory, plan: &Plan, warnings: &mut Vec<String>) {
    let moving = || {
        plan.instances
            .iter()
            .filter(|instance| instance.way == Way::Evacuate)
    };
    if let Known::NotKnown(why) = &inventory.capacity
        && moving().next().is_some()
    {
        warnings.push(format!("the room on other hosts is not known: {why}"));
    }
    if let Some(room) = plan.room
        && (room.need_vcpus > room.free_vcpus || room.need_memory_mb > room.free_memory_mb)
    {
        warnings.push(format!(
            "the instances have {} vCPUs and {} MB, and the zone's other hosts have {} vCPUs and {} MB free: some will \
             find no place",
            room.need_vcpus, room.need_memory_mb, room.free_vcpus, room.free_memory_mb
        ));
    }
    for instance in moving().filter(|instance| instance.fits == Some(false)) {
        warnings.push(format!(
            "no other host of the zone has room for instance {} ({}): it needs {} vCPUs and {} MB in one place",
            instance.id, instance.name, instance.vcpus, instance.memory_mb
        ));
    }
}

/// Whether instances can be left off as the configuration asks.
fn arrival(inventory: &Inventory, plan: &Plan, warnings: &mut Vec<String>) {
    if plan.on_arrival != OnArrival::Stopped {
        return;
    }
    match &inventory.leaves_off {
        Known::Known(true) => {}
        Known::Known(false) => warnings.push(
            "response.on_arrival is \"stopped\", and this nova is older than microversion 2.95: what ran will run \
             again where it arrives"
                .to_owned(),
        ),
        Known::NotKnown(why) => {
            warnings.push(format!("whether nova can leave evacuated instances off is not known: {why}"));
        }
    }
    if let Recovery::Masakari { .. } = plan.recovery {
        warnings.push("Masakari recovers, and starts again what ran".to_owned());
    }
}
