//! The BMCs: Redfish with one system each, honest or not.

use serde_json::{Value, json};

use super::{Answer, Cloud, answer, refusal};

/// How long a host takes to go off.
const OFF_MS: u64 = 2000;

/// How a BMC is today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::respond::tests) enum Mood {
    /// It does what it says.
    #[default]
    Honest,
    /// It says Off whatever is, and switches nothing.
    Lies,
    /// It takes the request, and nothing comes of it.
    Stuck,
    /// It knows our password no more.
    Refuses,
    /// It answers nothing but errors.
    Broken,
}

/// One BMC.
#[derive(Debug, Clone, Default)]
pub(in crate::respond::tests) struct Bmc {
    pub(in crate::respond::tests) mood: Mood,
    /// When the power goes that it was told to switch off.
    pub(super) off_at: Option<u64>,
    /// What the host does when mains power returns; `LastState` as it comes.
    pub(super) restore: Option<String>,
}

impl Cloud {
    /// `bmc-2` is the first one of the second host, `bmc-2b` its second.
    pub(super) fn bmc(&mut self, at: &str, method: &str, parts: &[&str], body: &Value, by: usize) -> Answer {
        let (number, second) = match at.trim_start_matches("bmc-").strip_suffix('b') {
            Some(number) => (number, true),
            None => (at.trim_start_matches("bmc-"), false),
        };
        let Some(host) = self.host_named(&format!("cmp-{number}")) else {
            return refusal(404, "no such BMC");
        };
        let (now, called) = (self.now, format!("redfish {at}"));
        let it = self.host(host);
        let Some(bmc) = it.bmcs.get(usize::from(second)) else {
            return refusal(404, "no such BMC");
        };
        let mood = bmc.mood;
        let restore = bmc.restore.clone().unwrap_or_else(|| "LastState".to_owned());
        match mood {
            Mood::Broken => return refusal(500, "internal error"),
            Mood::Refuses if parts.len() > 2 => return refusal(401, "no such user"),
            _ => {}
        }
        match (method, parts) {
            ("GET", ["redfish", "v1"]) => {
                answer(200, json!({"Systems": {"@odata.id": "/redfish/v1/Systems"}}))
            }
            ("GET", ["redfish", "v1", "Systems", "1"]) => {
                let going = it.bmcs.iter().any(|bmc| bmc.off_at.is_some());
                let power = match (mood, it.on) {
                    (Mood::Lies, _) | (_, false) => "Off",
                    (_, true) if going => "PoweringOff",
                    (_, true) => "On",
                };
                if !it.on {
                    it.seen.entry(by).or_default().off += 1;
                }
                answer(
                    200,
                    json!({"UUID": null, "PowerState": power, "PowerRestorePolicy": restore,
                    "Actions": {"#ComputerSystem.Reset": {"target": "/redfish/v1/Systems/1/Actions/Reset",
                        "ResetType@Redfish.AllowableValues": ["On", "ForceOff"]}}}),
                )
            }
            ("POST", ["redfish", "v1", "Systems", "1", "Actions", "Reset"]) => {
                let off = body["ResetType"] == json!("ForceOff");
                let on = it.on;
                if mood == Mood::Honest && off && on {
                    let bmc = &mut it.bmcs[usize::from(second)];
                    bmc.off_at = Some(now + OFF_MS);
                }
                if mood == Mood::Honest && !off {
                    self.power_on(host, true);
                }
                let words = if off {
                    format!("power off by {called}")
                } else {
                    format!("power on by {called}")
                };
                self.did(words);
                Answer {
                    status: 204,
                    headers: Vec::new(),
                    body: String::new(),
                }
            }
            ("PATCH", ["redfish", "v1", "Systems", "1"]) => {
                let policy = body["PowerRestorePolicy"].as_str().unwrap_or_default();
                if mood == Mood::Honest {
                    it.bmcs[usize::from(second)].restore = Some(policy.to_owned());
                }
                self.did(format!("power restore policy {policy} by {called}"));
                answer(200, json!({}))
            }
            _ => refusal(404, "the model of a BMC has no such path"),
        }
    }
}
