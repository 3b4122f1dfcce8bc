//! What becomes of an instance's data; pure.

use serde::{Deserialize, Serialize};

use crate::openstack::Server;

/// What becomes of an instance's data when it is rebuilt elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Data {
    /// All of it is on volumes: kept.
    OnVolumes,
    /// Its disks are files on storage that the hosts share: kept.
    Shared,
    /// The root disk is a volume and kept; an ephemeral or swap disk is the hypervisor's own.
    PartlyLocal,
    /// The root disk is the hypervisor's own: rebuilt from the image, unless it lies on shared storage.
    Local,
}

impl Data {
    /// By what nova shows, and what the configuration says of the host's storage.
    pub(super) fn of(server: &Server, shared_storage: bool) -> Self {
        match (server.boots_from_volume(), server.has_hypervisor_disk()) {
            (true, false) => Self::OnVolumes,
            _ if shared_storage => Self::Shared,
            (true, true) => Self::PartlyLocal,
            (false, _) => Self::Local,
        }
    }

    /// In one or two words.
    pub fn word(self) -> &'static str {
        match self {
            Self::OnVolumes => "volumes",
            Self::Shared => "shared",
            Self::PartlyLocal => "partly local",
            Self::Local => "local",
        }
    }

    /// In words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::OnVolumes => "on volumes, kept",
            Self::Shared => "on storage that the hosts share, kept",
            Self::PartlyLocal => "root volume kept; ephemeral or swap disk lost unless on shared storage",
            Self::Local => "local disk: rebuilt from its image and lost, unless on shared storage",
        }
    }
}

/// An encrypted volume, or one of which it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeKey {
    /// The volume.
    pub volume: String,
    /// Whether nova will get its key.
    pub right: KeyRight,
}

/// Whether our token, with which nova asks for it, is given a volume's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "right", content = "why", rename_all = "kebab-case")]
pub enum KeyRight {
    /// It is.
    Ours,
    /// It is not, and why.
    Refused(String),
    /// Nobody could say, and why.
    NotKnown(String),
}
