//! What else manages a host, and what may come back to it; pure.

use serde::{Deserialize, Serialize};

use crate::config;
use crate::ids::{HostName, InstanceId};
use crate::openstack::{MigrationKind, Phase};
use crate::respond::inventory::{Inventory, Masakari};

/// An instance that left the host, and waits for its owner's word on its new one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MayReturn {
    /// The instance.
    pub instance: InstanceId,
    /// `resize` or `migration`.
    pub kind: String,
    /// Where it is.
    pub now_on: Option<HostName>,
    /// What that means.
    pub means: String,
}

/// Instances in VERIFY_RESIZE elsewhere, whose source this host was: no listing of its instances has them, and nova does
/// not look whether the host is up when one is sent back.
pub(super) fn may_return(inventory: &Inventory) -> Vec<MayReturn> {
    inventory
        .migrations
        .iter()
        .filter(|migration| {
            matches!(migration.kind, MigrationKind::Cold | MigrationKind::Resize)
                && migration.phase() == Phase::Waiting
        })
        .map(|migration| {
            let did = match migration.kind {
                MigrationKind::Resize => "resized",
                _ => "moved",
            };
            MayReturn {
                instance: migration.instance,
                kind: migration.kind.as_str().to_owned(),
                now_on: migration.destination.clone(),
                means: format!(
                    "instance {id} was {did} away from this host and waits for its owner's word; a revert would bring \
                     it back: confirm it before (`openstack server resize confirm {id}`)",
                    id = migration.instance
                ),
            }
        })
        .collect()
}

/// What else manages the host, and may switch it on or let it back in.
pub(super) fn by(response: &config::Response, inventory: &Inventory) -> Vec<String> {
    let mut by = Vec::new();
    if let Masakari::Host(known) = &inventory.masakari {
        let rests = match (known.segment_enabled, known.on_maintenance) {
            (Some(false), _) => ", which is disabled",
            (_, true) => ", under maintenance there",
            _ => "",
        };
        by.push(format!(
            "Masakari, in segment {}{rests}; {}",
            known.segment_name,
            if known.reserved {
                "it is a spare host"
            } else {
                "its monitors begin a recovery of their own when the host falls silent"
            }
        ));
    }
    if let Some(node) = response.ironic_nodes.get(&inventory.host) {
        by.push(format!(
            "Ironic, as node {node}; its power sync would switch the host on again, so that the node is put under maintenance first"
        ));
    }
    by.extend(
        response
            .other_ha
            .iter()
            .map(|other| format!("{other}, by response.other_ha; pause it for this host")),
    );
    by
}
