//! Masakari's view of hosts: which failover segment a host belongs to, and whether it can be recovered.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::ids::HostName;
use crate::permit::{Act, Effect, Permits};

use super::call::{Call, Service};
use super::error::Error;
use super::session::Cloud;
use super::version::Version;

const SEGMENT_RIGHT: &str = "os_masakari_api:segments:index";
const HOST_RIGHT: &str = "os_masakari_api:os-hosts:index";
const UPDATE_RIGHT: &str = "os_masakari_api:os-hosts:update";

/// From this microversion on a segment says whether it is enabled.
const SEGMENT_ENABLED: Version = Version::new(1, 2);

/// A host as Masakari has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryHost {
    /// Masakari's id of the host.
    pub id: Uuid,
    /// Its name, equal to nova's service host.
    pub host: HostName,
    /// The segment's id.
    pub segment: Uuid,
    /// The segment's name.
    pub segment_name: String,
    /// Whether the segment is enabled; a disabled one ignores notifications. `None` when Masakari is too old
    /// to say (below 1.2), where every segment is enabled.
    pub segment_enabled: Option<bool>,
    /// How the segment recovers: `auto`, `reserved_host`, `auto_priority`, `rh_priority`.
    pub recovery_method: String,
    /// Whether the host is already under maintenance; notifications are refused then.
    pub on_maintenance: bool,
    /// Whether it is a spare host.
    pub reserved: bool,
}

#[derive(Deserialize)]
struct Segment {
    uuid: Uuid,
    name: String,
    recovery_method: String,
    enabled: Option<bool>,
}

#[derive(Deserialize)]
struct HostRow {
    uuid: Uuid,
    name: String,
    on_maintenance: bool,
    reserved: bool,
}

#[derive(Deserialize)]
struct Segments {
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
struct Hosts {
    hosts: Vec<HostRow>,
}

impl Cloud {
    /// Whether the cloud has Masakari: an endpoint in the catalogue or in the configuration.
    pub async fn has_masakari(&self) -> Result<bool, Error> {
        match self.endpoint(Service::InstanceHa).await {
            Ok(_) => Ok(true),
            Err(Error::NoEndpoint { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Looks for a host in every segment; `None` when Masakari does not know it, and so cannot recover it.
    pub async fn recovery_host(&self, host: &HostName) -> Result<Option<RecoveryHost>, Error> {
        let doing = format!("look for {host} in Masakari's segments");
        let mut call = Call::get(Service::InstanceHa, "/segments", &doing).right(SEGMENT_RIGHT);
        if self.versions(Service::InstanceHa).await?.offers(SEGMENT_ENABLED) {
            call = call.version(SEGMENT_ENABLED);
        }
        for segment in self.json::<Segments>(call).await?.segments {
            let path = format!("/segments/{}/hosts", segment.uuid);
            let call = Call::get(Service::InstanceHa, &path, &doing).right(HOST_RIGHT);
            let hosts = self.json::<Hosts>(call).await?.hosts;
            if let Some(row) = hosts.into_iter().find(|row| row.name == host.as_str()) {
                return Ok(Some(RecoveryHost {
                    id: row.uuid,
                    host: host.clone(),
                    segment: segment.uuid,
                    segment_name: segment.name,
                    segment_enabled: segment.enabled,
                    recovery_method: segment.recovery_method,
                    on_maintenance: row.on_maintenance,
                    reserved: row.reserved,
                }));
            }
        }
        Ok(None)
    }

    /// Puts a host under Masakari's maintenance, so that its own monitors start no second recovery while nova
    /// evacuates; or ends it, at a release.
    pub async fn set_maintenance(
        &self,
        permits: &dyn Permits,
        host: &RecoveryHost,
        on: bool,
    ) -> Result<(), Error> {
        let doing = format!("set on_maintenance of {} in Masakari to {on}", host.host);
        let path = format!("/segments/{}/hosts/{}", host.segment, host.id);
        let call = Call::put(Service::InstanceHa, &path, &doing)
            .body(json!({"host": {"on_maintenance": on}}))
            .right(UPDATE_RIGHT);
        let effect = Effect::Maintenance(host.host.clone(), on);
        self.act(call, Act { effect, permits }).await.map(drop)
    }
}
