//! The one door to the cloud's APIs: keystone, nova, placement, Masakari, barbican, cinder, Ironic.
//!
//! Every call goes through one request function (`request`), which gives each
//! - a deadline, a bound on the answer's size, and an error that names the call and what to do;
//! - one login again after a 401, and the same request again;
//! - patience with 429 and 503 (`Retry-After`, bounded), where repeating cannot do harm;
//! - the microversion that it was written for, after the service's version document allowed it.
//!
//! What the cloud does not know (a cell is down) is `Error::NotKnown`, never an empty answer.
//! Nothing here decides; nothing here knows attestation or the store.

mod answer;
mod call;
mod connection;
mod error;
mod limiter;
mod listed;
mod request;
mod session;
mod version;

mod actions;
mod aggregate;
mod evacuate;
mod fitness;
mod host_view;
mod hypervisor;
mod identity;
mod ironic;
mod migration;
mod notification;
mod placement;
mod recovery;
mod secret_store;
mod server;
mod server_group;
mod service;
mod volume;

mod time;

pub use actions::InstanceAction;
pub use aggregate::{Aggregate, Joined};
pub use call::Service;
pub use connection::{Connection, Credential, Endpoints, Interface, RequestLimits};
pub use error::{Answer, Error, Next};
pub use evacuate::{Arrival, Evacuation};
pub use fitness::{Need, Right, Wants};
pub use hypervisor::Hypervisor;
pub use identity::Identity;
pub use ironic::IronicNode;
pub use migration::{Migration, MigrationKind, Phase};
pub use notification::{Notification, NotificationStatus, Notified, VmMove};
pub use placement::{Capacity, Free};
pub use recovery::RecoveryHost;
pub use server::{Flavor, Server};
pub use server_group::ServerGroup;
pub use service::{ComputeHeartbeat, ComputeService, ComputeServices, DISABLED_REASON_MAX};
pub use session::Cloud;
pub use version::{Version, VersionRange};

#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
