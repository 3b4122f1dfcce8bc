//! Which way out an instance has, the first reason that applies; pure.

use uuid::Uuid;

use super::super::keep::Keep;
use super::{Data, KeyRight, VolumeKey, Way};
use crate::config::LocalDisk;
use crate::openstack::Server;

pub(super) fn way(
    server: &Server,
    kept: Keep,
    data: Data,
    keys: &[VolumeKey],
    local_disk: LocalDisk,
) -> (Way, String) {
    if kept == Keep::Yes {
        return (
            Way::Leave,
            "an operator wants it left where it is (`lazaret instance keep`); it is off with its host"
                .to_owned(),
        );
    }
    if is_amphora(server) {
        return (
            Way::Leave,
            "it is an amphora: Octavia replaces it when it no longer hears from it, and would clash with an \
             evacuation"
                .to_owned(),
        );
    }
    if let Some(because) = impossible(server) {
        return (Way::Hold, because);
    }
    if let Some((volume, why)) = keys.iter().find_map(|key| match &key.right {
        KeyRight::Refused(why) => Some((&key.volume, why)),
        KeyRight::Ours | KeyRight::NotKnown(_) => None,
    }) {
        return (
            Way::Hold,
            format!("its volume {volume} is encrypted, and nova would not get the key: {why}"),
        );
    }
    match (data, local_disk) {
        (Data::OnVolumes, _) => (Way::Evacuate, "all its data is on volumes".to_owned()),
        (Data::Shared, _) => (
            Way::Evacuate,
            "its disks are on storage that the hosts share, by response.shared_storage".to_owned(),
        ),
        (Data::PartlyLocal | Data::Local, LocalDisk::Rebuild) => (
            Way::Evacuate,
            "response.local_disk = \"rebuild\" says that local disks may be rebuilt from their image".to_owned(),
        ),
        (Data::PartlyLocal | Data::Local, LocalDisk::Hold) => (
            Way::Hold,
            "evacuation would lose its local disk, and response.local_disk = \"hold\" keeps that for a person"
                .to_owned(),
        ),
    }
}

/// What nova cannot evacuate.
fn impossible(server: &Server) -> Option<String> {
    if server.has_vtpm() {
        let because = "it has a virtual TPM, which nova cannot evacuate; its secrets stay with the host";
        return Some(because.to_owned());
    }
    if server.flavor.extra_specs.contains_key("accel:device_profile") {
        return Some("it has an accelerator of the host, which nova cannot evacuate".to_owned());
    }
    let id = server.id;
    let by_hand = format!(
        "once the host is off, reset its state (`openstack server set --state error {id}`) and evacuate it by hand \
         (`openstack server evacuate {id}`)"
    );
    let because = match server.vm_state.as_str() {
        "active" | "stopped" | "error" => return None,
        "resized" => format!(
            "it was resized or moved to this host and waits for its owner's word (VERIFY_RESIZE), which nova does not \
             evacuate: confirm it (`openstack server resize confirm {id}`), and evacuate it by hand"
        ),
        state @ ("paused" | "suspended") => format!(
            "it is {state}, which nova does not evacuate; its memory is lost with the host: {by_hand}"
        ),
        "rescued" => format!(
            "it is in rescue, which nova does not evacuate; the rescue disk is lost with the host: {by_hand}"
        ),
        "building" => {
            "it is being built, which nova does not evacuate; there is nothing in it yet: delete it and \
                       build it anew"
                .to_owned()
        }
        "soft-delete" => "its owner deleted it, and nova keeps it for a while".to_owned(),
        state => format!("nova does not evacuate in vm_state {state}; {by_hand}"),
    };
    Some(because)
}

/// Whether Octavia made it, by the name that it gives its own. A tenant who uses that form keeps nobody's instance but
/// its own from being evacuated.
fn is_amphora(server: &Server) -> bool {
    server
        .name
        .strip_prefix("amphora-")
        .is_some_and(|rest| rest.parse::<Uuid>().is_ok())
}
