//! What a request asks for.

use crate::respond::tests::cloud::{Request, name};
use crate::respond::tests::sim::world::Sim;

/// An effect that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    Disable(u8),
    ForceDown(u8),
    Evacuate(usize),
    Notify(u8),
    Off(u8),
    On(u8),
    /// What the host does when the mains power comes back.
    Restores(u8),
    /// Another one about this host.
    Other(u8),
    /// One that the case of any host may do.
    Anybodys,
}

impl Act {
    /// Whether it is one of those that only a host which is off may see.
    pub(super) fn is_harsh(&self) -> bool {
        matches!(
            self,
            Self::Off(_) | Self::ForceDown(_) | Self::Evacuate(_) | Self::Notify(_)
        )
    }
}

/// What a request asks for, and the words that announce it in the journal.
pub(super) fn act(sim: &Sim, request: &Request) -> Option<(Act, String)> {
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap_or_default();
    let hosts = sim.list.shape.hosts;
    let named =
        |value: &serde_json::Value| (0..hosts).find(|host| value.as_str() == Some(name(*host).as_str()));
    let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    let number = |id: &str, from: usize| {
        let number = usize::from_str_radix(id.split('-').next().unwrap_or_default(), 16).ok()?;
        u8::try_from(number.checked_sub(from)?).ok()
    };
    if let Some(bmc) = request.at.strip_prefix("bmc-") {
        let host = bmc.trim_end_matches('b').parse::<u8>().ok()?.checked_sub(1)?;
        let off = body["ResetType"] == serde_json::json!("ForceOff");
        return Some(match (request.method.as_str(), off) {
            ("POST", true) => (Act::Off(host), format!("power off by redfish {}", request.at)),
            ("POST", false) => (Act::On(host), format!("power on by redfish {}", request.at)),
            ("PATCH", _) => {
                let policy = body["PowerRestorePolicy"].as_str()?;
                let words = format!(
                    "set the power restore policy to {policy} by redfish {}",
                    request.at
                );
                (Act::Restores(host), words)
            }
            _ => return None,
        });
    }
    match (request.method.as_str(), parts.as_slice()) {
        ("PUT", ["v2.1", "os-services", id]) => {
            let host = number(id, 1000)?;
            let called = name(host);
            Some(match (&body["forced_down"], body["status"].as_str()) {
                (serde_json::Value::Bool(true), _) => (Act::ForceDown(host), format!("force down {called}")),
                (serde_json::Value::Bool(false), _) => {
                    (Act::Other(host), format!("no longer force down {called}"))
                }
                (_, Some("disabled")) => (Act::Disable(host), format!("disable {called}")),
                _ => (Act::Other(host), format!("enable {called}")),
            })
        }
        ("POST", ["v2.1", "os-aggregates"]) => {
            let called = body["aggregate"]["name"].as_str()?;
            Some((Act::Anybodys, format!("make aggregate {called}")))
        }
        ("POST", ["v2.1", "os-aggregates", id, "action"]) => {
            let (called, _) = sim
                .cloud
                .aggregates
                .iter()
                .find(|(_, known)| known.0.to_string() == *id)?;
            let (add, remove) = (
                named(&body["add_host"]["host"]),
                named(&body["remove_host"]["host"]),
            );
            match (add, remove) {
                (Some(host), _) => Some((
                    Act::Other(host),
                    format!("add {} to aggregate {called}", name(host)),
                )),
                (_, Some(host)) => Some((
                    Act::Anybodys,
                    format!("remove {} from aggregate {called}", name(host)),
                )),
                _ => None,
            }
        }
        ("POST", ["v2.1", "servers", id, "action"]) => {
            let guest = usize::from_str_radix(id.split('-').next()?, 16).ok()?;
            Some((Act::Evacuate(guest), format!("evacuate {id}")))
        }
        ("POST", ["v1", "notifications"]) => {
            let host = named(&body["notification"]["hostname"])?;
            Some((Act::Notify(host), format!("notify Masakari of {}", name(host))))
        }
        ("PUT", ["v1", "segments", _, "hosts", id]) => {
            let host = number(id, 4000)?;
            let words = match body["host"]["on_maintenance"] == serde_json::json!(true) {
                true => format!("put {} under Masakari's maintenance", name(host)),
                false => format!("end Masakari's maintenance of {}", name(host)),
            };
            Some((Act::Other(host), words))
        }
        _ => None,
    }
}
