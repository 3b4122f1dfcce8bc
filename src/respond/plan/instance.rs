//! What is to become of one instance, and of its data; pure.

use serde::{Deserialize, Serialize};

use crate::config::LocalDisk;
use crate::ids::{HostName, InstanceId};
use crate::openstack::Server;
use crate::store::CaseInstance;

/// What is to become of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Rebuilt elsewhere.
    Evacuate,
    /// Left where it is, for a person.
    Hold,
}

impl Way {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evacuate => "evacuate",
            Self::Hold => "hold",
        }
    }
}

/// What becomes of an instance's data when it is rebuilt elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Data {
    /// All of it is on volumes: kept.
    OnVolumes,
    /// The root disk is a volume and kept; an ephemeral or swap disk is the hypervisor's own.
    PartlyLocal,
    /// The root disk is the hypervisor's own: rebuilt from the image, unless it lies on shared storage.
    Local,
}

impl Data {
    /// In words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::OnVolumes => "on volumes, kept",
            Self::PartlyLocal => "root volume kept; ephemeral or swap disk lost unless on shared storage",
            Self::Local => "local disk: rebuilt from its image and lost, unless on shared storage",
        }
    }
}

/// One instance in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedInstance {
    /// The instance.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// The project that owns it.
    pub project: String,
    /// Its flavor.
    pub flavor: String,
    /// nova's vm_state when the plan was made; it is to be in the same one again.
    pub vm_state: String,
    /// Whether it was locked. It stays locked.
    pub locked: bool,
    /// The volumes attached to it.
    pub volumes: Vec<String>,
    /// What is to become of it.
    pub way: Way,
    /// What becomes of its data.
    pub data: Data,
    /// Why this way.
    pub because: String,
}

impl PlannedInstance {
    /// Decides for one instance.
    pub fn of(server: &Server, local_disk: LocalDisk) -> Self {
        let data = match (server.boots_from_volume(), server.has_hypervisor_disk()) {
            (true, false) => Data::OnVolumes,
            (true, true) => Data::PartlyLocal,
            (false, _) => Data::Local,
        };
        let (way, because) = way(server, data, local_disk);
        Self {
            id: server.id,
            name: server.name.clone(),
            project: server.project_id.clone(),
            flavor: server.flavor.name.clone(),
            vm_state: server.vm_state.clone(),
            locked: server.locked,
            volumes: server.volumes.clone(),
            way,
            data,
            because,
        }
    }

    /// As the store keeps it, before anything happened.
    pub fn recorded(&self, source: &HostName) -> CaseInstance {
        CaseInstance {
            id: self.id,
            name: self.name.clone(),
            project: self.project.clone(),
            info: crate::respond::journal::json(self),
            source: source.clone(),
            destination: None,
            fate: self.way.as_str().to_owned(),
            state: match self.way {
                Way::Evacuate => "waiting",
                Way::Hold => "held",
            }
            .to_owned(),
            migration: None,
            detail: Some(self.because.clone()),
        }
    }

    /// Back from what the store keeps; `None` when it was not written by this version.
    pub fn read(recorded: &CaseInstance) -> Option<Self> {
        crate::respond::journal::value(&recorded.info)
    }
}

fn way(server: &Server, data: Data, local_disk: LocalDisk) -> (Way, String) {
    if server.flavor_has_vtpm() {
        let because = "it has a virtual TPM, which nova cannot evacuate; its secrets stay with the host";
        return (Way::Hold, because.to_owned());
    }
    if server.flavor.extra_specs.contains_key("accel:device_profile") {
        return (
            Way::Hold,
            "it has an accelerator of the host, which nova cannot evacuate".to_owned(),
        );
    }
    if !matches!(server.vm_state.as_str(), "active" | "stopped" | "error") {
        let because = format!(
            "nova does not evacuate in vm_state {}; once the host is off, reset its state (`openstack server set \
             --state error`) and evacuate it by hand (`openstack server evacuate`)",
            server.vm_state
        );
        return (Way::Hold, because);
    }
    match (data, local_disk) {
        (Data::OnVolumes, _) => (Way::Evacuate, "all its data is on volumes".to_owned()),
        (_, LocalDisk::Rebuild) => (
            Way::Evacuate,
            "response.local_disk = \"rebuild\" says that local disks may be rebuilt from their image".to_owned(),
        ),
        (_, LocalDisk::Hold) => (
            Way::Hold,
            "evacuation would lose its local disk, and response.local_disk = \"hold\" keeps that for a person"
                .to_owned(),
        ),
    }
}
