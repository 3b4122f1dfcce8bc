//! Server groups: which instances nova keeps on different hosts. All of them in one listing.

use serde::Deserialize;

use crate::ids::InstanceId;

use super::call::{Call, Service};
use super::error::Error;
use super::session::Cloud;

const RIGHT: &str = "os_compute_api:os-server-groups:index and os-server-groups:index:all_projects";

/// Groups asked for at a time; nova may give fewer.
const PAGE: &str = "1000";

/// Pages of the listing.
const PAGES_MAX: usize = 1000;

/// One server group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServerGroup {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// `anti-affinity`, `soft-anti-affinity`, `affinity` or `soft-affinity`.
    #[serde(default)]
    pub policy: String,
    /// Its instances, of all projects; deleted ones are not among them.
    #[serde(default)]
    pub members: Vec<InstanceId>,
}

impl ServerGroup {
    /// Whether it keeps its members on different hosts: nova only does where they are evacuated one after another.
    pub fn keeps_apart(&self) -> bool {
        matches!(self.policy.as_str(), "anti-affinity" | "soft-anti-affinity")
    }
}

#[derive(Deserialize)]
struct List {
    server_groups: Vec<ServerGroup>,
}

impl Cloud {
    /// Every server group of every project. Its pages go by number, and the last one is empty.
    pub async fn server_groups(&self) -> Result<Vec<ServerGroup>, Error> {
        const DOING: &str = "list the server groups";
        let mut all: Vec<ServerGroup> = Vec::new();
        for _ in 0..PAGES_MAX {
            let call = Call::get(Service::Compute, "/os-server-groups", DOING)
                .query("all_projects", "True")
                .query("limit", PAGE)
                .query("offset", &all.len().to_string())
                .right(RIGHT);
            let page = self.json::<List>(call).await?.server_groups;
            if page.is_empty() {
                return Ok(all);
            }
            // A group that was deleted meanwhile moves the others: one may come twice, and does no harm.
            all.extend(page);
        }
        Err(Error::TooManyPages {
            call: DOING.to_owned(),
            service: Service::Compute,
            limit: PAGES_MAX,
        })
    }
}
