//! What a BMC writes: the parts of Redfish's bodies that are read.

use serde::Deserialize;
use serde_json::Value;

use crate::fence::power::{Power, UNKNOWN_WORD};

/// A BMC's words are cut after this many characters.
const MESSAGE_MAX: usize = 300;

/// The power restore policies of the schema (ComputerSystem, PowerRestorePolicyTypes).
const POLICIES: [&str; 3] = ["AlwaysOn", "AlwaysOff", "LastState"];

/// What is longer is no word of a schema.
const POLICY_MAX: usize = 40;

#[derive(Deserialize)]
pub(super) struct Root {
    #[serde(rename = "Systems")]
    pub(super) systems: Link,
    #[serde(rename = "Links", default)]
    pub(super) links: RootLinks,
}

#[derive(Deserialize, Default)]
pub(super) struct RootLinks {
    #[serde(rename = "Sessions")]
    pub(super) sessions: Option<Link>,
}

#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(rename = "@odata.id")]
    pub(super) path: String,
}

#[derive(Deserialize)]
pub(super) struct Collection {
    #[serde(rename = "Members")]
    pub(super) members: Vec<Link>,
}

#[derive(Deserialize)]
pub(super) struct System {
    #[serde(rename = "UUID")]
    pub(super) uuid: Option<String>,
    #[serde(rename = "PowerState")]
    pub(super) power: Option<String>,
    #[serde(rename = "Actions", default)]
    pub(super) actions: Actions,
    /// As it comes: a word that does not fit must not hide the power.
    #[serde(rename = "PowerRestorePolicy", default)]
    restore: Value,
    #[serde(rename = "PowerRestorePolicy@Redfish.AllowableValues", default)]
    restore_allowed: Value,
    #[serde(rename = "@odata.etag", default)]
    pub(super) etag: Value,
}

#[derive(Deserialize, Default)]
pub(super) struct Actions {
    #[serde(rename = "#ComputerSystem.Reset")]
    pub(super) reset: Option<Reset>,
}

#[derive(Deserialize)]
pub(super) struct Reset {
    pub(super) target: String,
    #[serde(rename = "ResetType@Redfish.AllowableValues")]
    pub(super) allowed: Option<Vec<String>>,
}

impl System {
    /// What it says of its power.
    pub(super) fn power(&self) -> Power {
        match self.power.as_deref() {
            Some("On") => Power::On,
            Some("Off") => Power::Off,
            Some(other) => {
                let word = Power::Other(other.to_owned());
                if word.is_known() {
                    word
                } else {
                    Power::Other(UNKNOWN_WORD.to_owned())
                }
            }
            None => Power::Other("unreported".to_owned()),
        }
    }

    /// What it does when mains power returns; `None` where it does not say, or not in a word. A word that is not the
    /// schema's is not told: see [`UNKNOWN_WORD`].
    pub(super) fn restore_policy(&self) -> Option<&str> {
        let word = self.restore.as_str()?;
        let plain =
            !word.is_empty() && word.len() <= POLICY_MAX && word.chars().all(|c| c.is_ascii_alphanumeric());
        let known = POLICIES.into_iter().find(|policy| *policy == word);
        plain.then_some(known.unwrap_or(UNKNOWN_WORD))
    }

    /// The policies that it offers; `None` where it lists nothing.
    pub(super) fn restore_policies(&self) -> Option<Vec<&str>> {
        let listed = self.restore_allowed.as_array()?;
        Some(listed.iter().filter_map(Value::as_str).collect())
    }
}

/// The BMC's words in an error body, cut and printable.
pub(super) fn words(body: &[u8]) -> String {
    let text = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|value| {
            let info = value.pointer("/error/@Message.ExtendedInfo/0/Message");
            let message = info.or_else(|| value.pointer("/error/message"))?;
            message.as_str().map(str::to_owned)
        })
        .unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    printable(&text)
}

/// Text from a BMC, cut and without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE_MAX)
        .collect()
}
