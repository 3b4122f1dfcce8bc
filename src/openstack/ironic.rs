//! Ironic: a node under maintenance is left alone by its power sync, which would switch a fenced host on again.

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::ids::HostName;
use crate::permit::{Act, Effect, Permits};

use super::call::{Call, Service};
use super::error::Error;
use super::session::Cloud;

const GET_RIGHT: &str = "baremetal:node:get";
const SET_RIGHT: &str = "baremetal:node:set_maintenance";
const CLEAR_RIGHT: &str = "baremetal:node:clear_maintenance";

/// A node as Ironic has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct IronicNode {
    /// Whether it is under maintenance.
    pub maintenance: bool,
    /// Why.
    pub maintenance_reason: Option<String>,
    /// `power on`, `power off`, or `None` where Ironic does not know.
    pub power_state: Option<String>,
    /// What Ironic is bringing it to now.
    pub target_power_state: Option<String>,
}

impl Cloud {
    /// A node; `None` when Ironic has none of this id.
    pub async fn ironic_node(&self, node: Uuid) -> Result<Option<IronicNode>, Error> {
        let doing = format!("read node {node}");
        let call = Call::get(Service::BareMetal, &format!("/v1/nodes/{node}"), &doing)
            .query(
                "fields",
                "maintenance,maintenance_reason,power_state,target_power_state",
            )
            .right(GET_RIGHT);
        match self.json(call).await {
            Ok(node) => Ok(Some(node)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts the node of a host under maintenance, with a reason; again does no harm.
    pub async fn begin_ironic_maintenance(
        &self,
        permits: &dyn Permits,
        host: &HostName,
        node: Uuid,
        reason: &str,
    ) -> Result<(), Error> {
        let doing = format!("put node {node} of {host} under maintenance");
        let call = Call::put(
            Service::BareMetal,
            &format!("/v1/nodes/{node}/maintenance"),
            &doing,
        )
        .body(json!({ "reason": reason }))
        .right(SET_RIGHT);
        let effect = Effect::IronicMaintenance(host.clone(), true);
        self.act(call, Act { effect, permits }).await.map(drop)
    }

    /// Ends the maintenance of a host's node, at a release; the reason goes with it.
    pub async fn end_ironic_maintenance(
        &self,
        permits: &dyn Permits,
        host: &HostName,
        node: Uuid,
    ) -> Result<(), Error> {
        let doing = format!("end the maintenance of node {node} of {host}");
        let call = Call::delete(
            Service::BareMetal,
            &format!("/v1/nodes/{node}/maintenance"),
            &doing,
        )
        .right(CLEAR_RIGHT);
        let effect = Effect::IronicMaintenance(host.clone(), false);
        self.act(call, Act { effect, permits }).await.map(drop)
    }
}
