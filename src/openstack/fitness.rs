//! Whether the cloud's services are new enough, and our credential may read what a response reads: looked at before any
//! case, not in the middle of one.

use super::call::{Call, Service};
use super::error::Error;
use super::evacuate::STAYS_OFF;
use super::server::IMAGE_PROPERTIES;
use super::session::Cloud;
use super::version::{Version, VersionRange};

/// What is asked of the cloud beside nova itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// Masakari recovers.
    pub masakari: bool,
    /// Evacuated instances are to stay off.
    pub off_on_arrival: bool,
    /// Some hosts are Ironic's.
    pub ironic: bool,
}

/// What a service has to offer, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The service.
    pub service: Service,
    /// The microversion that is needed.
    pub needed: Version,
    /// What it is needed for.
    pub for_what: &'static str,
    /// What is so without it; `None`: it cannot be done without.
    pub without: Option<&'static str>,
    /// What the service offers; `None`: the cloud has no such service.
    pub offered: Option<VersionRange>,
}

impl Need {
    /// Whether the service offers it.
    pub fn is_met(&self) -> bool {
        self.offered.is_some_and(|offered| offered.offers(self.needed))
    }

    /// In words, for one that is not met.
    pub fn says(&self) -> String {
        let offers = self.offered.map_or_else(
            || "the cloud has none".to_owned(),
            |offered| format!("it offers {offered}"),
        );
        format!(
            "{} must offer microversion {} for {}, and {offers}",
            self.service, self.needed, self.for_what
        )
    }
}

/// Something that a response reads, and whether we may.
#[derive(Debug)]
pub struct Right {
    /// What is read, in words.
    pub reads: &'static str,
    /// What is so without it; `None`: it cannot be done without.
    pub without: Option<&'static str>,
    /// What came back.
    pub outcome: Result<(), Error>,
}

impl Cloud {
    /// What each service has to offer, with what it offers.
    pub async fn needs(&self, wants: Wants) -> Result<Vec<Need>, Error> {
        let version = |service: Service| service.default_version();
        let placement = "it is not known, and limits that rest on it hold every case";
        let tpm = "they are seen when nova refuses to evacuate the instance, which is left for a person then";
        let ironic = "Ironic's power sync may switch a fenced host on again";
        let asked = [
            (
                true,
                Service::Compute,
                version(Service::Compute),
                "every call",
                None,
            ),
            (
                wants.masakari,
                Service::InstanceHa,
                version(Service::InstanceHa),
                "response.recovery = \"masakari\"",
                Some("instances are evacuated by nova"),
            ),
            (
                true,
                Service::Compute,
                Some(IMAGE_PROPERTIES),
                "virtual TPMs that an image asks for",
                Some(tpm),
            ),
            (
                wants.off_on_arrival,
                Service::Compute,
                Some(STAYS_OFF),
                "response.on_arrival = \"stopped\"",
                Some("instances arrive as they were"),
            ),
            (
                true,
                Service::Placement,
                version(Service::Placement),
                "the room on other hosts",
                Some(placement),
            ),
            (
                wants.ironic,
                Service::BareMetal,
                version(Service::BareMetal),
                "hosts with ironic_node",
                Some(ironic),
            ),
        ];
        let mut needs = Vec::new();
        for (wanted, service, needed, for_what, without) in asked {
            let Some(needed) = needed.filter(|_| wanted) else {
                continue;
            };
            let offered = match self.versions(service).await {
                Ok(offered) => Some(offered),
                Err(Error::NoEndpoint { .. }) => None,
                Err(error) if without.is_none() => return Err(error),
                // One that can be done without does not stand in the way of what is known of the others.
                Err(_) => continue,
            };
            needs.push(Need {
                service,
                needed,
                for_what,
                without,
                offered,
            });
        }
        Ok(needs)
    }

    /// Reads once, and as little as can be, what a response reads. What it may write, only a case shows.
    pub async fn rights(&self) -> Vec<Right> {
        const NEEDED: Option<&str> = None;
        let compute = |path: &str, doing: &str, right: &'static str| {
            Call::get(Service::Compute, path, doing)
                .query("limit", "1")
                .right(right)
        };
        let asked = [
            (
                "nova's compute services",
                NEEDED,
                Call::get(Service::Compute, "/os-services", "list the compute services")
                    .query("binary", "nova-compute")
                    .right("os_compute_api:os-services:list"),
            ),
            (
                "nova's aggregates",
                NEEDED,
                Call::get(Service::Compute, "/os-aggregates", "list the aggregates")
                    .right("os_compute_api:os-aggregates:index"),
            ),
            (
                "the instances of all projects",
                NEEDED,
                compute(
                    "/servers/detail",
                    "list one instance",
                    "os_compute_api:servers:detail:get_all_tenants",
                )
                .query("all_tenants", "1"),
            ),
            (
                "nova's migrations",
                NEEDED,
                compute(
                    "/os-migrations",
                    "list one migration",
                    "os_compute_api:os-migrations:index",
                ),
            ),
            (
                "nova's server groups",
                Some("each instance is read by itself, and members of any group go one after another"),
                compute(
                    "/os-server-groups",
                    "list one server group",
                    "os_compute_api:os-server-groups:index:all_projects",
                )
                .query("all_projects", "True"),
            ),
            (
                "nova's hypervisors",
                Some("the room on other hosts is not known, and limits that rest on it hold every case"),
                compute(
                    "/os-hypervisors/detail",
                    "list one hypervisor",
                    "os_compute_api:os-hypervisors:list-detail",
                ),
            ),
            (
                "placement's candidates",
                Some("the room on other hosts is not known, and limits that rest on it hold every case"),
                Call::get(Service::Placement, "/allocation_candidates", "read one candidate")
                    .query("resources", "VCPU:1,MEMORY_MB:1")
                    .query("limit", "1")
                    .right("placement:allocation_candidates:list"),
            ),
        ];
        let mut rights = Vec::with_capacity(asked.len());
        for (reads, without, call) in asked {
            rights.push(Right {
                reads,
                without,
                outcome: self.send(call).await.map(drop),
            });
        }
        rights
    }
}
