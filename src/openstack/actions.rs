//! Who asked nova for what: the actions on an instance. nova keeps none for services and aggregates.

use serde::Deserialize;

use crate::clock::Timestamp;
use crate::ids::InstanceId;

use super::call::{Call, Service};
use super::error::Error;
use super::session::Cloud;
use super::time;

const RIGHT: &str = "os_compute_api:os-instance-actions:list";

/// One action on an instance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct InstanceAction {
    /// What was asked for: `evacuate`, `revertResize`, `start`.
    pub action: String,
    /// The user who asked; `None` when nova did so itself.
    pub user_id: Option<String>,
    /// The project of that user.
    pub project_id: Option<String>,
    /// The request, as nova's logs have it.
    pub request_id: Option<String>,
    /// When.
    #[serde(default, deserialize_with = "time::optional")]
    pub start_time: Option<Timestamp>,
}

#[derive(Deserialize)]
struct List {
    #[serde(rename = "instanceActions")]
    actions: Vec<InstanceAction>,
}

impl Cloud {
    /// The newest action on an instance; `None` when nova knows none, or not the instance.
    pub async fn newest_action(&self, instance: InstanceId) -> Result<Option<InstanceAction>, Error> {
        let doing = format!("list the actions on instance {instance}");
        let path = format!("/servers/{instance}/os-instance-actions");
        let call = Call::get(Service::Compute, &path, &doing).right(RIGHT);
        match self.json::<List>(call).await {
            Ok(list) => Ok(list.actions.into_iter().max_by_key(|action| action.start_time)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
