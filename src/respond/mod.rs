//! From a verdict to a host out of service.
//!
//! [`decide`], [`guard`], [`plan`] and [`saga`] are pure and make every choice. [`Respond::on_round`] writes a
//! round and all that follows from it in one transaction; the [`driver`] carries plans out and chooses nothing.

mod caution;
mod deadlines;
pub mod decide;
pub mod guard;
pub mod holddown;
mod inventory;
mod lease_watch;
pub mod orphans;
pub mod plan;
pub mod release;
pub mod saga;
pub mod silence;
mod words;

pub mod attester;
mod case_run;
pub mod driver;
mod fencing;
pub mod journal;
mod keep_out;
mod lately;
mod leave;
mod on_round;
mod open_case;
mod orphan_watch;
mod preview;
mod quiet;
pub mod steps;

pub mod notify;
pub mod webhook;

#[cfg(test)]
#[path = "tests/bench.rs"]
mod bench;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

use crate::clock::{Clock, Timestamp};
use crate::config::Response;
use crate::ids::HostName;
use crate::openstack::{Cloud, Error};
use crate::store::Store;

use attester::Attester;

pub use decide::Decision;
pub use fencing::{Fencing, HostFence};
pub use inventory::{Inventory, Known, Masakari, Room};
pub use orphan_watch::{Adopted, NotAdopted};
pub use plan::{Data, KeepKey, PlannedInstance, Way};
pub use preview::NoPreview;

/// The response: decides what follows from rounds, and carries cases out.
///
/// One for each process. All state that matters is in the store and in the world.
pub struct Respond {
    store: Store,
    cloud: Option<Arc<Cloud>>,
    config: Response,
    fencing: Fencing,
    clock: Arc<dyn Clock>,
    /// Who attests a host when a release asks for it.
    attester: Option<Arc<dyn Attester>>,
    /// Between two looks at something that takes its time.
    pace: Duration,
    /// When this daemon began, by a clock that nobody can set ..
    started: tokio::time::Instant,
    /// .. and by the one that results carry.
    started_at: Timestamp,
    /// Names this process in leases.
    owner: String,
    /// What was seen of the leases of others.
    leases: lease_watch::LeaseWatch,
    /// What was seen of the numbers of cases.
    lately: lately::Lately,
    /// Proves the tags that keep instances where they are; without it none counts.
    keep: Option<KeepKey>,
    /// Wakes the driver when a case was opened here.
    opened: Notify,
    /// Cases of this process are opened one after another, so that each sees the ones before it.
    opening: Mutex<()>,
    /// What is remembered of silent hosts.
    silences: std::sync::Mutex<quiet::Silences>,
    /// Inventories that are read while a condemnation is being confirmed.
    ahead: Mutex<HashMap<HostName, Ahead>>,
}

/// An inventory that is being read ahead.
struct Ahead {
    /// Since when; what is too old is read anew.
    since: tokio::time::Instant,
    reading: JoinHandle<Result<Inventory, Error>>,
}

impl Respond {
    /// A response with these parts. `owner` has to be unique for each process, such as host name, process id and
    /// some randomness. Without a cloud nothing can be quarantined: only mode `observe` makes sense then.
    pub fn new(
        store: Store,
        cloud: Option<Arc<Cloud>>,
        config: Response,
        fencing: Fencing,
        clock: Arc<dyn Clock>,
        owner: String,
    ) -> Self {
        Self {
            store,
            cloud,
            config,
            fencing,
            started: tokio::time::Instant::now(),
            leases: lease_watch::LeaseWatch::new(tokio::time::Instant::now()),
            lately: lately::Lately::new(tokio::time::Instant::now()),
            started_at: clock.now(),
            clock,
            attester: None,
            owner,
            keep: None,
            pace: Duration::from_secs(1),
            opened: Notify::new(),
            opening: Mutex::new(()),
            silences: Default::default(),
            ahead: Mutex::new(HashMap::new()),
        }
    }

    /// With the key that proves the tags which keep instances where they are.
    #[must_use]
    pub fn keeping(self, keep: KeepKey) -> Self {
        Self {
            keep: Some(keep),
            ..self
        }
    }

    /// With somebody who attests hosts. Without one, no release gets beyond its boot.
    #[must_use]
    pub fn attesting(mut self, attester: Arc<dyn Attester>) -> Self {
        self.attester = Some(attester);
        self
    }
}

#[cfg(test)]
mod tests;
