//! `[response]`, resolved: what happens to a condemned host, and how much at once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::HostName;

/// What happens to a condemned host, and how much at once.
#[derive(Debug, Clone)]
pub struct Response {
    /// Whether anything is touched at all.
    pub mode: ResponseMode,
    /// Who rebuilds the instances elsewhere.
    pub recovery: Recovery,
    /// The aggregate that condemned hosts join.
    pub quarantine_aggregate: String,
    /// What becomes of instances whose disk is on the host itself.
    pub local_disk: LocalDisk,
    /// For each step that has no deadline of its own.
    pub step_deadline: Duration,
    /// How often a step is tried before its case is stuck.
    pub step_attempts: u32,
    /// How long Masakari may take before Lazaret looks for itself and escalates.
    pub masakari_deadline: Duration,
    /// How long the evacuation of all instances may take.
    pub evacuation_deadline: Duration,
    /// How long a case belongs to a daemon that no longer renews its lease.
    pub lease_duration: Duration,
    /// More cases than this within the window wait for a person.
    pub max_cases: u32,
    /// The window that cases are counted in.
    pub window: Duration,
    /// Hosts of a zone that must stay enabled, whatever happens.
    pub keep_hosts: u32,
    /// How often quarantined hosts are looked at again.
    pub holddown_interval: Duration,
    /// How often within an hour one drift is put back at once; after that every ten minutes only.
    pub holddown_repairs: u32,
    /// Whether another person has to agree before a host is given back.
    pub second_person: bool,
    /// How old the verdict may be that gives a host back.
    pub verdict_age: Duration,
    /// How long a host may take to boot, answer and clean up when it is given back.
    pub boot_deadline: Duration,
    /// How evacuated instances are on their new host.
    pub on_arrival: OnArrival,
    /// The aggregates whose hosts keep their instances' disks on storage that they share.
    pub shared_storage: Vec<String>,
    /// What else may bring a host back, by the operator's word.
    pub other_ha: Vec<String>,
    /// The nodes of hosts that Ironic manages.
    pub ironic_nodes: BTreeMap<HostName, Uuid>,
    /// More cases of one zone than this within the window wait for a person.
    pub max_cases_zone: u32,
    /// More cases of one host aggregate than this within the window wait for a person.
    pub max_cases_aggregate: u32,
    /// Virtual processors that have to stay free elsewhere, once the host's instances are there; 0: not asked.
    pub keep_free_vcpus: u64,
    /// Memory that has to stay free there, MB; 0: not asked.
    pub keep_free_memory_mb: u64,
    /// A daemon that has just started acts on no new case for this long, unless it has heard of every host before.
    pub startup_grace: Duration,
    /// So many hosts with one cause are held together, this one counted.
    pub brake_hosts: u32,
    /// How long other hosts are waited for, where one missing golden value may condemn them all.
    pub brake_wait: Duration,
    /// So many other hosts are attested at once then.
    pub brake_probe: u32,
    /// When a silent host gets no new instances any more; `None`: never.
    pub silence: Option<Silence>,
    /// Whether a host that was silent gets new instances again by itself.
    pub unschedule_return: Return,
}

/// How evacuated instances are on their new host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnArrival {
    /// What ran runs again.
    #[default]
    AsItWas,
    /// Off, where nova offers it.
    Stopped,
}

impl OnArrival {
    /// As written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AsItWas => "as-it-was",
            Self::Stopped => "stopped",
        }
    }
}

/// When a silent host gets no new instances any more: after both of these.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Silence {
    /// So long, by a clock that nobody can set.
    pub unschedule_after: Duration,
    /// So many rounds in a row.
    pub rounds: u32,
    /// More than this share of the hosts silent: it is the daemon that is cut off.
    pub share: f64,
}

/// Who lets new instances onto a host again that was silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Return {
    /// Lazaret, when the host is Affirming again.
    Auto,
    /// A person.
    Person,
}

/// Whether anything is touched at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResponseMode {
    /// Record and notify only.
    Observe,
    /// Quarantine.
    Enforce,
}

impl ResponseMode {
    /// As written in the configuration and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

/// Who rebuilds the instances elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recovery {
    /// Masakari, told that the host stopped.
    Masakari,
    /// Lazaret itself, one nova evacuation for each instance.
    Nova,
}

impl Recovery {
    /// As written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Masakari => "masakari",
            Self::Nova => "nova",
        }
    }
}

/// What becomes of instances whose disk is on the host itself: a rebuild begins from the image, and loses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalDisk {
    /// They wait for a person.
    Hold,
    /// They are rebuilt from their image.
    Rebuild,
}

impl LocalDisk {
    /// As written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Rebuild => "rebuild",
        }
    }
}
