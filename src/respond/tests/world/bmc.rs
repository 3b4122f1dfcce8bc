//! The BMC of cmp-1.

use serde_json::json;

use super::State;
use crate::openstack::scripted::{Answer, answer};

impl State {
    pub(super) fn show_system(&self) -> Answer {
        let power = if self.off || self.bmc_lies { "Off" } else { "On" };
        answer(
                    200,
                    json!({"PowerState": power, "Actions": {"#ComputerSystem.Reset": {
                        "target": "/redfish/v1/Systems/1/Actions/Go", "ResetType@Redfish.AllowableValues": ["ForceOff"]}}})
                    .to_string(),
                )
    }

    pub(super) fn reset(&mut self) -> Answer {
        self.off = true;
        self.effects.push("off cmp-1".into());
        answer(204, "")
    }
}
