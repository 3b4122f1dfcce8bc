//! What is to become of one instance, and of its data; pure.

mod data;
mod way;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::keep::{Keep, KeepKey, keep};
use crate::config::{LocalDisk, OnArrival};
use crate::ids::{HostName, InstanceId};
use crate::openstack::{Server, ServerGroup};
use crate::store::CaseInstance;

pub use data::{Data, KeyRight, VolumeKey};

/// What is to become of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Rebuilt elsewhere.
    Evacuate,
    /// Left where it is, for a person.
    Hold,
    /// Left where it is, because somebody wants it so: an operator, or a service that replaces it by itself.
    Leave,
}

impl Way {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Evacuate => "evacuate",
            Self::Hold => "hold",
            Self::Leave => "leave",
        }
    }
}

/// By what rules instances are planned for, also those that are found later.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// What becomes of those whose disk is on the host itself.
    pub local_disk: LocalDisk,
    /// Whether disks on this host are on storage that every host shares which can take an instance.
    pub shared_storage: bool,
    /// How they are on their new host.
    pub on_arrival: OnArrival,
    /// The key that proves the tags which keep instances.
    pub keep: Option<&'a KeepKey>,
}

impl Rules<'_> {
    /// Rules that only say what becomes of local disks.
    pub fn local_disk(local_disk: LocalDisk) -> Self {
        Self {
            local_disk,
            shared_storage: false,
            on_arrival: OnArrival::AsItWas,
            keep: None,
        }
    }
}

/// What is known of instances besides nova's own row of each.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// The server groups, where they are known.
    pub groups: Option<&'a [ServerGroup]>,
    /// The encrypted volumes, and those of which it is not known.
    pub keys: Option<&'a BTreeMap<String, KeyRight>>,
}

/// A server group in a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedGroup {
    /// nova's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its policy.
    pub policy: String,
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
    /// The virtual processors that it needs.
    #[serde(default)]
    pub vcpus: u32,
    /// The memory that it needs, MB.
    #[serde(default)]
    pub memory_mb: u64,
    /// nova's vm_state when the plan was made; it is to be in the same one again.
    pub vm_state: String,
    /// What nova was doing with it.
    #[serde(default)]
    pub task_state: Option<String>,
    /// Whether it was locked. It stays locked.
    pub locked: bool,
    /// The volumes attached to it.
    pub volumes: Vec<String>,
    /// Those of its volumes that are encrypted, and whether nova will get the key.
    #[serde(default)]
    pub keys: Vec<VolumeKey>,
    /// Its server groups; those that keep their members apart are evacuated one after another.
    #[serde(default)]
    pub groups: Vec<PlannedGroup>,
    /// Whether any other host has room for it now; `None` where that is not known.
    #[serde(default)]
    pub fits: Option<bool>,
    /// What is to become of it.
    pub way: Way,
    /// What becomes of its data.
    pub data: Data,
    /// Why this way.
    pub because: String,
    /// What else a person should know of it.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl PlannedInstance {
    /// Decides for one instance, by what nova's row of it says.
    pub fn of(server: &Server, rules: &Rules<'_>) -> Self {
        Self::with(server, rules, &Around::default())
    }

    /// Decides for one instance, by all that is known.
    pub fn with(server: &Server, rules: &Rules<'_>, around: &Around<'_>) -> Self {
        let data = Data::of(server, rules.shared_storage);
        let keys: Vec<VolumeKey> = server
            .volumes
            .iter()
            .filter_map(|volume| {
                Some(VolumeKey {
                    volume: volume.clone(),
                    right: around.keys?.get(volume)?.clone(),
                })
            })
            .collect();
        let kept = keep(rules.keep, server.id, &server.tags);
        let (way, because) = way::way(server, kept, data, &keys, rules.local_disk);
        let mut planned = Self {
            id: server.id,
            name: server.name.clone(),
            project: server.project_id.clone(),
            flavor: server.flavor.name.clone(),
            vcpus: server.flavor.vcpus,
            memory_mb: server.flavor.ram_mb,
            vm_state: server.vm_state.clone(),
            task_state: server.task_state.clone(),
            locked: server.locked,
            volumes: server.volumes.clone(),
            keys,
            groups: around
                .groups
                .into_iter()
                .flatten()
                .filter(|group| group.members.contains(&server.id))
                .map(|group| PlannedGroup {
                    id: group.id.clone(),
                    name: group.name.clone(),
                    policy: group.policy.clone(),
                })
                .collect(),
            fits: None,
            way,
            data,
            because,
            notes: Vec::new(),
        };
        planned.notes = notes(&planned, server, kept, rules);
        planned
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
                // Nothing is expected of either.
                Way::Hold | Way::Leave => "held",
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

/// What else a person should know of an instance.
fn notes(planned: &PlannedInstance, server: &Server, kept: Keep, rules: &Rules<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if kept == Keep::Forged {
        notes.push(
            "it has a tag lazaret-keep-.. that was not given out for it, which counts for nothing".to_owned(),
        );
    }
    if planned.way != Way::Evacuate {
        return notes;
    }
    if let Some(task) = &planned.task_state {
        notes.push(format!(
            "nova is busy with it (task_state {task}) and refuses until that ends; one that waits for this host never \
             ends: `openstack server set --state error {}`, and let the case go on",
            planned.id
        ));
    }
    if planned.locked {
        notes.push("locked, and stays so".to_owned());
    }
    if rules.on_arrival == OnArrival::Stopped && server.vm_state == "error" {
        notes.push(
            "it is in error: nova starts it where it arrives, though response.on_arrival is \"stopped\""
                .to_owned(),
        );
    }
    for key in &planned.keys {
        if let KeyRight::NotKnown(why) = &key.right {
            notes.push(format!(
                "whether volume {} is encrypted, and its key ours to have, is not known: {why}",
                key.volume
            ));
        }
    }
    notes
}
