//! From an inventory to a plan with every choice made; pure. The driver only carries it out.

mod instance;
mod keep;
mod managed;
mod recovery;
mod room;
mod steps;
mod warnings;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::config::{self, LocalDisk, OnArrival};
use crate::ids::{CaseId, HostName, ServiceId};
use crate::openstack::{ComputeService, DISABLED_REASON_MAX};

use super::guard::Hold;
use super::inventory::{Inventory, Room};
use recovery::recovery;
use steps::steps;
use warnings::warnings;

pub use instance::{Around, Data, KeyRight, PlannedGroup, PlannedInstance, Rules, VolumeKey, Way};
pub use keep::KeepKey;
pub use managed::MayReturn;
pub use recovery::Recovery;
pub use steps::PlannedStep;

/// The version of the plan's shape.
const VERSION: u32 = 2;

/// What a case is opened with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "plan", rename_all = "kebab-case")]
pub enum Planning {
    /// Everything is decided.
    Made(Box<Plan>),
    /// The cloud did not answer in time; planned by the first step, before anything is touched.
    Later {
        /// Why.
        because: String,
    },
}

/// Everything that will be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of this shape.
    pub version: u32,
    /// The case.
    pub case: CaseId,
    /// The host.
    pub host: HostName,
    /// When it was made.
    pub made_at: Timestamp,
    /// The steps in their order.
    pub steps: Vec<PlannedStep>,
    /// The compute service, as it was found.
    pub service: ServiceBefore,
    /// The reason that nova is given.
    pub disabled_reason: String,
    /// The aggregate that the host joins.
    pub quarantine_aggregate: String,
    /// Which other hosts were in that aggregate before. The host itself leaves it at its release in any case: who put it
    /// there before cannot be known, and an earlier quarantine may have.
    pub quarantined_before: Vec<HostName>,
    /// The aggregates that it was in; it stays in them, and a release compares.
    pub aggregates: Vec<AggregateBefore>,
    /// The fencing methods, in the order to try.
    pub fence: Vec<String>,
    /// Who rebuilds the instances.
    pub recovery: Recovery,
    /// What becomes of instances that are found later on the host, by the same rules.
    pub local_disk: LocalDisk,
    /// Whether disks on the host are on storage that every host shares which can take an instance.
    #[serde(default)]
    pub shared_storage: bool,
    /// How evacuated instances are on their new host.
    #[serde(default)]
    pub on_arrival: OnArrival,
    /// The room for its instances elsewhere; `None` where it is not known.
    #[serde(default)]
    pub room: Option<Room>,
    /// What else manages the host.
    #[serde(default)]
    pub managed_by: Vec<String>,
    /// Instances that left the host and may come back to it.
    #[serde(default)]
    pub may_return: Vec<MayReturn>,
    /// Each instance, with its way out.
    pub instances: Vec<PlannedInstance>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Limits that it is over; not empty: it waits for a person.
    pub holds: Vec<Hold>,
}

/// The compute service before the case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceBefore {
    /// nova's id.
    pub id: ServiceId,
    /// Its zone.
    pub zone: Option<String>,
    /// Whether it was enabled.
    pub enabled: bool,
    /// Why not.
    pub disabled_reason: Option<String>,
    /// Whether nova was told that it is down.
    pub forced_down: bool,
}

/// An aggregate that the host was in before the case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateBefore {
    /// nova's number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its zone.
    pub availability_zone: Option<String>,
}

/// What a plan is made for.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// The case.
    pub case: &'a CaseId,
    /// What condemned the host, in one line.
    pub cause: &'a str,
    /// The response's configuration.
    pub response: &'a config::Response,
    /// The names of the fencing methods, in order.
    pub fence: Vec<String>,
    /// The key that proves the tags which keep instances.
    pub keep: Option<&'a KeepKey>,
    /// Now.
    pub now: Timestamp,
}

/// Why there can be no plan; only a person can change it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// nova has no compute service of this host.
    #[error("nova has no compute service on {0}; is the host enrolled under nova's name for it?")]
    NoService(HostName),
}

impl Plan {
    /// Makes every choice.
    pub fn make(order: &Order<'_>, inventory: &Inventory, holds: Vec<Hold>) -> Result<Self, NoPlan> {
        let host = &inventory.host;
        let Some(service) = inventory.service() else {
            return Err(NoPlan::NoService(host.clone()));
        };
        let quarantine = &order.response.quarantine_aggregate;
        let rules = Rules {
            local_disk: order.response.local_disk,
            shared_storage: room::shares_storage(&order.response.shared_storage, inventory),
            on_arrival: order.response.on_arrival,
            keep: order.keep,
        };
        let around = Around {
            groups: inventory.groups.known().map(Vec::as_slice),
            keys: Some(&inventory.keys),
        };
        let free = inventory.free_elsewhere(quarantine);
        let instances: Vec<PlannedInstance> = inventory
            .instances
            .iter()
            .map(|server| PlannedInstance {
                fits: room::fits(server, free.as_ref()),
                ..PlannedInstance::with(server, &rules, &around)
            })
            .collect();
        let recovery = recovery(order.response, &inventory.masakari, &instances);
        let plan = Self {
            version: VERSION,
            case: order.case.clone(),
            host: host.clone(),
            made_at: order.now,
            steps: steps(host, quarantine, &order.fence, &recovery, &instances),
            service: before(service),
            disabled_reason: disabled_reason(order.case, order.cause),
            quarantine_aggregate: quarantine.clone(),
            quarantined_before: inventory
                .aggregates
                .iter()
                .filter(|aggregate| aggregate.name == *quarantine)
                .flat_map(|aggregate| aggregate.hosts.clone())
                .filter(|other| other != host)
                .collect(),
            aggregates: inventory
                .aggregates
                .iter()
                .filter(|aggregate| aggregate.has(host) && aggregate.name != *quarantine)
                .map(|aggregate| AggregateBefore {
                    id: aggregate.id,
                    name: aggregate.name.clone(),
                    availability_zone: aggregate.availability_zone.clone(),
                })
                .collect(),
            warnings: Vec::new(),
            fence: order.fence.clone(),
            recovery,
            local_disk: rules.local_disk,
            shared_storage: rules.shared_storage,
            on_arrival: rules.on_arrival,
            room: inventory
                .room(quarantine)
                .map(|room| room::needed(room, &instances)),
            managed_by: managed::by(order.response, inventory),
            may_return: managed::may_return(inventory),
            instances,
            holds,
        };
        Ok(Self {
            warnings: warnings(order, inventory, &plan),
            ..plan
        })
    }

    /// The rules by which instances are planned for that are found later.
    pub fn rules<'a>(&self, keep: Option<&'a KeepKey>) -> Rules<'a> {
        Rules {
            local_disk: self.local_disk,
            shared_storage: self.shared_storage,
            on_arrival: self.on_arrival,
            keep,
        }
    }

    /// The instances that are left for a person.
    pub fn held(&self) -> impl Iterator<Item = &PlannedInstance> {
        self.instances.iter().filter(|instance| instance.way == Way::Hold)
    }
}

/// The service as it was before any case: what an earlier case has left, whose record was lost, is none of its own.
fn before(service: &ComputeService) -> ServiceBefore {
    let reason = service.disabled_reason.as_deref().unwrap_or_default();
    let ours = !service.enabled && super::orphans::named(reason).is_some();
    ServiceBefore {
        id: service.id,
        zone: service.zone.clone(),
        enabled: service.enabled || ours,
        disabled_reason: service.disabled_reason.clone().filter(|_| !ours),
        forced_down: service.forced_down && !ours,
    }
}

/// The reason that nova is given, cut to what it takes; the case comes first, so that it is always there.
pub fn disabled_reason(case: &CaseId, cause: &str) -> String {
    let reason = format!("lazaret case {case}: {cause}");
    reason
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(DISABLED_REASON_MAX)
        .collect()
}

#[cfg(test)]
mod tests;
