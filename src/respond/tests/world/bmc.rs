//! The BMC of cmp-1.

use serde_json::json;

use super::State;
use crate::openstack::scripted::{Answer, answer};

impl State {
    pub(super) fn show_system(&self, system: &str) -> Answer {
        let lies = self.bmc_lies && system == "1";
        let power = if self.off || lies { "Off" } else { "On" };
        let target = format!("/redfish/v1/Systems/{system}/Actions/Go");
        answer(
            200,
            json!({"PowerState": power, "Actions": {"#ComputerSystem.Reset": {
                        "target": target, "ResetType@Redfish.AllowableValues": ["ForceOff"]}}})
            .to_string(),
        )
    }

    pub(super) fn reset(&mut self) -> Answer {
        self.off = true;
        self.effects.push("off cmp-1".into());
        answer(204, "")
    }
}
