//! Instances, as nova has them now: where they are, in what state, and what holds their data.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::clock::Timestamp;
use crate::ids::{HostName, InstanceId};

use super::call::{Call, Service};
use super::error::Error;
use super::session::Cloud;
use super::time;
use super::version::Version;

const LIST_RIGHT: &str = "os_compute_api:servers:detail, servers:detail:get_all_tenants, servers:allow_all_filters \
     and os-extended-server-attributes";
/// From this microversion on the listing has the properties of each instance's image.
pub(super) const IMAGE_PROPERTIES: Version = Version::new(2, 98);

const SHOW_RIGHT: &str = "os_compute_api:servers:show and os-extended-server-attributes";

/// One instance; what nova's API calls server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its id.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// The project that owns it.
    pub project_id: String,
    /// The user who made it.
    pub user_id: String,
    /// The service host that it is on; `None` while it has none.
    pub host: Option<HostName>,
    /// The hypervisor's own name for that host.
    pub hypervisor: Option<String>,
    /// `ACTIVE`, `SHUTOFF`, `ERROR`, `VERIFY_RESIZE`, ...
    pub status: String,
    /// `active`, `stopped`, `error`, `paused`, ...
    pub vm_state: String,
    /// What nova is doing with it; `None` when nothing.
    pub task_state: Option<String>,
    /// nova's number: 0 unknown, 1 running, 3 paused, 4 off, 6 crashed, 7 suspended.
    pub power_state: u32,
    /// Whether its owner or an administrator locked it. Evacuation works all the same.
    pub locked: bool,
    /// Why it is locked.
    pub locked_reason: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Availability zone.
    pub zone: Option<String>,
    /// The image it was built from; `None` when its root disk is a volume.
    pub image: Option<String>,
    /// Whether its image asks for a virtual TPM; nova below 2.98 does not say.
    pub image_has_vtpm: bool,
    /// The volumes attached to it.
    pub volumes: Vec<String>,
    /// Its size.
    pub flavor: Flavor,
    /// nova's words for its last failure, when it is in error.
    pub fault: Option<String>,
    /// Its server groups: evacuations within a group have to be one after another. Only a read of the one
    /// server tells ([`Cloud::server`]); `None` in listings.
    pub server_groups: Option<Vec<String>>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
}

impl Server {
    /// Whether its root disk is a volume, which survives the loss of a host.
    pub fn boots_from_volume(&self) -> bool {
        self.image.is_none()
    }

    /// Whether any disk of it is the hypervisor's own (root, ephemeral or swap). Whether that lies on shared
    /// storage cannot be seen through the API: the operator has to say so.
    pub fn has_hypervisor_disk(&self) -> bool {
        !self.boots_from_volume() || self.flavor.ephemeral_gb > 0 || self.flavor.swap_mb > 0
    }

    /// Whether its flavor gives it a virtual TPM, which cannot be evacuated. (An image can ask for one too:
    /// [`Server::image_has_vtpm`].)
    pub fn flavor_has_vtpm(&self) -> bool {
        self.flavor
            .extra_specs
            .keys()
            .any(|key| key == "hw:tpm_version" || key == "hw:tpm_model")
    }

    /// Whether it has a virtual TPM, as far as nova says.
    pub fn has_vtpm(&self) -> bool {
        self.image_has_vtpm || self.flavor_has_vtpm()
    }

    /// Whether its flavor gives it processors of its own, which placement counts apart.
    pub fn has_processors_of_its_own(&self) -> bool {
        let policy = self.flavor.extra_specs.get("hw:cpu_policy").map(String::as_str);
        matches!(policy, Some("dedicated" | "mixed"))
    }

    /// Whether nova evacuates from this vm_state.
    pub fn can_be_evacuated_now(&self) -> bool {
        self.task_state.is_none() && matches!(self.vm_state.as_str(), "active" | "stopped" | "error")
    }
}

/// The size of an instance, as it was when it was built.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Flavor {
    /// Name of the flavor.
    #[serde(rename = "original_name")]
    pub name: String,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory, MB.
    #[serde(rename = "ram")]
    pub ram_mb: u64,
    /// Root disk, GB; 0: as large as the image.
    #[serde(rename = "disk")]
    pub disk_gb: u64,
    /// Ephemeral disk on the hypervisor, GB.
    #[serde(rename = "ephemeral", default)]
    pub ephemeral_gb: u64,
    /// Swap disk on the hypervisor, MB.
    #[serde(rename = "swap", default)]
    pub swap_mb: u64,
    /// Further properties, where our rights let us see them.
    #[serde(default)]
    pub extra_specs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct One {
    server: Row,
}

/// A row. From a cell that is down come only `id`, `created`, `tenant_id` and `status: UNKNOWN`.
#[derive(Deserialize)]
pub(super) struct Row {
    id: InstanceId,
    status: String,
    tenant_id: Option<String>,
    user_id: Option<String>,
    name: Option<String>,
    #[serde(rename = "OS-EXT-SRV-ATTR:host")]
    host: Option<HostName>,
    #[serde(rename = "OS-EXT-SRV-ATTR:hypervisor_hostname")]
    hypervisor: Option<String>,
    #[serde(rename = "OS-EXT-STS:vm_state")]
    vm_state: Option<String>,
    #[serde(rename = "OS-EXT-STS:task_state")]
    task_state: Option<String>,
    #[serde(rename = "OS-EXT-STS:power_state")]
    power_state: Option<u32>,
    #[serde(rename = "OS-EXT-AZ:availability_zone")]
    zone: Option<String>,
    #[serde(rename = "os-extended-volumes:volumes_attached", default)]
    volumes: Vec<Id>,
    #[serde(default)]
    locked: bool,
    locked_reason: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    image: Option<Image>,
    flavor: Option<Flavor>,
    fault: Option<Fault>,
    server_groups: Option<Vec<String>>,
    #[serde(default, deserialize_with = "time::optional")]
    created: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

/// nova writes `""` for the image of an instance that boots from a volume.
#[derive(Deserialize)]
#[serde(untagged)]
enum Image {
    Given(Box<GivenImage>),
    Empty(#[expect(dead_code, reason = "only the form counts")] String),
}

#[derive(Deserialize)]
struct GivenImage {
    id: String,
    #[serde(default)]
    properties: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Fault {
    message: String,
}

impl Row {
    /// The server, or its id when nova knows nothing else about it. A row without a `host` attribute while
    /// being complete otherwise is one that our rights keep from us, so it is "not known" as well.
    pub(super) fn known(self) -> Result<Server, InstanceId> {
        let id = self.id;
        let unknown = || id;
        let image_has_vtpm = match &self.image {
            Some(Image::Given(image)) => image
                .properties
                .keys()
                .any(|key| key == "hw_tpm_version" || key == "hw_tpm_model"),
            Some(Image::Empty(_)) | None => false,
        };
        if self.status == "UNKNOWN" && self.vm_state.is_none() {
            return Err(id);
        }
        Ok(Server {
            id,
            name: self.name.ok_or_else(unknown)?,
            project_id: self.tenant_id.ok_or_else(unknown)?,
            user_id: self.user_id.ok_or_else(unknown)?,
            host: self.host,
            hypervisor: self.hypervisor,
            status: self.status,
            vm_state: self.vm_state.ok_or_else(unknown)?,
            task_state: self.task_state,
            power_state: self.power_state.unwrap_or(0),
            locked: self.locked,
            locked_reason: self.locked_reason,
            tags: self.tags,
            zone: self.zone.filter(|zone| !zone.is_empty()),
            image: match self.image.ok_or_else(unknown)? {
                Image::Given(image) => Some(image.id),
                Image::Empty(_) => None,
            },
            image_has_vtpm,
            volumes: self.volumes.into_iter().map(|volume| volume.id).collect(),
            flavor: self.flavor.ok_or_else(unknown)?,
            fault: self.fault.map(|fault| fault.message),
            server_groups: self.server_groups,
            created_at: self.created,
        })
    }
}

impl Cloud {
    /// Every instance on a host, of all projects, all pages.
    ///
    /// nova leaves out the instances of a cell that does not answer when it filters by host. So the host's
    /// own service is read before and after: it lives in the same cell, and its row says when that is down.
    pub async fn servers_on(&self, host: &HostName) -> Result<Vec<Server>, Error> {
        self.compute_service(host).await?;
        let servers = self.list_servers(host).await?;
        self.compute_service(host).await?;
        Ok(servers)
    }

    /// The listing alone, which knows nothing of a cell that is down.
    pub(super) async fn list_servers(&self, host: &HostName) -> Result<Vec<Server>, Error> {
        let doing = format!("list the instances on {host}");
        let mut call = Call::get(Service::Compute, "/servers/detail", &doing)
            .query("all_tenants", "1")
            .query("host", host.as_str())
            .right(LIST_RIGHT);
        if self.versions(Service::Compute).await?.offers(IMAGE_PROPERTIES) {
            call = call.version(IMAGE_PROPERTIES);
        }
        let rows: Vec<Row> = self.pages(call, "servers").await?;
        rows.into_iter()
            .map(|row| {
                let server = row.known().map_err(|id| Error::NotKnown {
                    call: doing.clone(),
                    what: format!("instance {id}"),
                })?;
                // Who may not filter by host gets the list of all hosts, without a word.
                if server.host.as_ref() != Some(host) {
                    let where_it_is = server.host.as_ref().map_or("no host", HostName::as_str);
                    return Err(Error::Unreadable {
                        call: doing.clone(),
                        service: Service::Compute,
                        reason: format!(
                            "instance {} in it is on {where_it_is}; our credential needs the rights {LIST_RIGHT}",
                            server.id
                        ),
                    });
                }
                Ok(server)
            })
            .collect()
    }

    /// One instance; `None` when nova has none of this id (it was deleted).
    pub async fn server(&self, id: InstanceId) -> Result<Option<Server>, Error> {
        let doing = format!("read instance {id}");
        let call = Call::get(Service::Compute, &format!("/servers/{id}"), &doing).right(SHOW_RIGHT);
        let row = match self.json::<One>(call).await {
            Ok(one) => one.server,
            Err(Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        row.known().map(Some).map_err(|id| Error::NotKnown {
            call: doing,
            what: format!("the state of instance {id}"),
        })
    }
}
