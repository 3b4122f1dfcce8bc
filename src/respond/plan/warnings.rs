//! What a person should know before a plan is carried out.

use super::Order;
use crate::openstack::{Migration, MigrationKind, Phase};
use crate::respond::inventory::{Inventory, Masakari};

pub(super) fn warnings(order: &Order<'_>, inventory: &Inventory) -> Vec<String> {
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
    for migration in inventory
        .migrations
        .iter()
        .filter(|migration| may_come_back(migration))
    {
        warnings.push(format!(
            "instance {} was resized or moved away from this host and waits for its owner's word; a revert would \
             bring it back: confirm it before",
            migration.instance
        ));
    }
    warnings
}

fn may_come_back(migration: &Migration) -> bool {
    matches!(migration.kind, MigrationKind::Cold | MigrationKind::Resize)
        && migration.phase() == Phase::Waiting
}
