//! The BMC of cmp-1.

use serde_json::{Value, json};

use super::State;
use crate::openstack::scripted::{Answer, answer};

impl State {
    pub(super) fn show_system(&self, system: &str) -> Answer {
        let lies = self.bmc_lies && system == "1";
        let power = if self.off || lies { "Off" } else { "On" };
        let target = format!("/redfish/v1/Systems/{system}/Actions/Go");
        let mut shown = json!({"PowerState": power, "Actions": {"#ComputerSystem.Reset": {
                        "target": target, "ResetType@Redfish.AllowableValues": ["ForceOff", "On"]}}});
        if let Some(policy) = &self.restore_policy {
            shown["PowerRestorePolicy"] = json!(policy);
        }
        answer(200, shown.to_string())
    }

    pub(super) fn patch_system(&mut self, body: &Value) -> Answer {
        let policy = body["PowerRestorePolicy"].as_str().unwrap_or_default().to_owned();
        self.effects.push(format!("restore {policy}"));
        self.restore_policy = Some(policy);
        answer(204, "")
    }

    pub(super) fn reset(&mut self, body: &Value) -> Answer {
        if body["ResetType"] == json!("On") {
            self.boot();
        } else {
            self.off = true;
            self.effects.push("off cmp-1".into());
        }
        answer(204, "")
    }

    /// nova-compute starts with the host, and completes the records of what was evacuated.
    fn boot(&mut self) {
        self.off = false;
        self.effects.push("on cmp-1".into());
        if !self.services["cmp-1"].2 {
            self.violations.push("booted while nova takes it for up".into());
        }
        for guest in self.guests.values_mut() {
            for (status, _, _) in &mut guest.moves {
                if status == "done" && !self.lazy {
                    *status = "completed".into();
                }
            }
        }
    }
}
