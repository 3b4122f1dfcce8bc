//! Masakari's notifications: telling it that a host is off, and following what it makes of that.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::fence::Fenced;
use crate::ids::{HostName, InstanceId};
use crate::permit::{Act, Effect, Permits};

use super::call::{Call, Service};
use super::error::Error;
use super::session::Cloud;
use super::time;
use super::version::Version;

const CREATE_RIGHT: &str = "os_masakari_api:notifications:create";
const LIST_RIGHT: &str = "os_masakari_api:notifications:index";
const SHOW_RIGHT: &str = "os_masakari_api:notifications:detail";
const MOVES_RIGHT: &str = "os_masakari_api:vmoves:index";

/// From this microversion on Masakari tells of each instance that it moves.
const VM_MOVES: Version = Version::new(1, 3);

/// One notification. Its end is no proof: nova's migration records decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its id.
    pub id: Uuid,
    /// Where it stands.
    pub status: NotificationStatus,
    /// When the event happened, by the notifier.
    pub generated_at: Option<Timestamp>,
    /// When Masakari last changed it.
    pub updated_at: Option<Timestamp>,
}

/// Where a notification stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotificationStatus {
    /// Taken, not begun.
    New,
    /// Being worked on.
    Running,
    /// Failed once; it is tried again by itself after a while.
    Error,
    /// Failed for good.
    Failed,
    /// Not acted on: its segment is disabled, or the host was not reported as really down.
    Ignored,
    /// Done, in Masakari's opinion.
    Finished,
    /// A word that we do not know.
    Other(String),
}

impl NotificationStatus {
    fn from_word(word: String) -> Self {
        match word.as_str() {
            "new" => Self::New,
            "running" => Self::Running,
            "error" => Self::Error,
            "failed" => Self::Failed,
            "ignored" => Self::Ignored,
            "finished" => Self::Finished,
            _ => Self::Other(word),
        }
    }

    /// Whether Masakari will do nothing more with it.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Failed | Self::Ignored | Self::Finished => true,
            Self::New | Self::Running | Self::Error | Self::Other(_) => false,
        }
    }
}

/// How a notification came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notified {
    /// Sent now.
    Sent(Notification),
    /// Masakari had one for this host already, ours from before a restart or somebody else's; taken over.
    Adopted(Notification),
}

impl Notified {
    /// The notification to follow.
    pub fn notification(&self) -> &Notification {
        match self {
            Self::Sent(notification) | Self::Adopted(notification) => notification,
        }
    }
}

/// Of a message no more is kept: it goes into the journal.
const MESSAGE_MAX: usize = 300;

/// What Masakari did with one instance (1.3). A retry adds another row for the same instance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct VmMove {
    /// The instance.
    #[serde(rename = "instance_uuid")]
    pub instance: InstanceId,
    /// `pending`, `ongoing`, `ignored`, `succeeded`, `failed`.
    pub status: String,
    /// Where it was.
    pub source_host: Option<String>,
    /// Where it is, once it succeeded.
    pub dest_host: Option<String>,
    /// nova's words when it failed.
    pub message: Option<String>,
}

impl VmMove {
    /// What Masakari says of each instance, in words. It tries again by itself, with a row for each try: one that succeeded
    /// counts, then one that is under way.
    pub fn words(moves: &[Self]) -> BTreeMap<InstanceId, String> {
        let mut tries: BTreeMap<InstanceId, Vec<&Self>> = BTreeMap::new();
        for row in moves {
            tries.entry(row.instance).or_default().push(row);
        }
        let words = |tries: Vec<&Self>| {
            let of = |status: &str| tries.iter().find(|row| row.status == status);
            let best = ["succeeded", "ongoing", "pending", "failed", "ignored"];
            let row = best.into_iter().find_map(of).or(tries.first())?;
            let mut words = row.status.clone();
            if let Some(to) = row.dest_host.as_ref().filter(|_| row.status == "succeeded") {
                words.push_str(&format!(", on {to}"));
            }
            if let Some(why) = row.message.as_deref().filter(|why| !why.is_empty()) {
                words.extend(": ".chars().chain(why.chars().take(MESSAGE_MAX)));
            }
            let failed = tries.iter().filter(|row| row.status == "failed").count();
            if failed > 0 && row.status != "failed" {
                words.push_str(&format!(" ({failed} tries failed)"));
            }
            Some(words)
        };
        tries
            .into_iter()
            .filter_map(|(instance, tries)| Some((instance, words(tries)?)))
            .collect()
    }
}

#[derive(Deserialize)]
struct Row {
    notification_uuid: Uuid,
    status: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    payload: Payload,
    #[serde(default, deserialize_with = "time::optional")]
    generated_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "time::optional")]
    updated_at: Option<Timestamp>,
}

#[derive(Deserialize, Default)]
struct Payload {
    event: Option<String>,
    host_status: Option<String>,
}

#[derive(Deserialize)]
struct One {
    notification: Row,
}

#[derive(Deserialize)]
struct List {
    notifications: Vec<Row>,
}

#[derive(Deserialize)]
struct Moves {
    vmoves: Vec<VmMove>,
}

impl Row {
    /// Whether it says that the host is really down, so that Masakari evacuates it.
    fn says_stopped(&self) -> bool {
        self.kind == "COMPUTE_HOST"
            && self.payload.event.as_deref() == Some("STOPPED")
            && self.payload.host_status.as_deref() == Some("NORMAL")
    }
}

impl From<Row> for Notification {
    fn from(row: Row) -> Self {
        Self {
            id: row.notification_uuid,
            status: NotificationStatus::from_word(row.status),
            generated_at: row.generated_time,
            updated_at: row.updated_at,
        }
    }
}

impl Cloud {
    /// Tells Masakari that a host is off, so that it evacuates it. The host must be forced down first, or
    /// nova refuses every evacuation.
    ///
    /// `host_status` NORMAL is what makes Masakari act; anything else it ignores. `at` is the time of the
    /// fence: Masakari tells a duplicate by it, so the same case sends the same `at` after a restart and gets
    /// its own notification back. The request sleeps up to 5 s on Masakari's side.
    pub async fn notify_stopped(
        &self,
        permits: &dyn Permits,
        fenced: &Fenced,
        at: Timestamp,
    ) -> Result<Notified, Error> {
        let host = fenced.host();
        let doing = format!("notify Masakari that {host} is off");
        let generated = at
            .to_chrono()
            .map(|at| at.format("%Y-%m-%dT%H:%M:%S").to_string());
        let call = Call::post(Service::InstanceHa, "/notifications", &doing)
            .body(json!({"notification": {
                "type": "COMPUTE_HOST",
                "hostname": host,
                "generated_time": generated,
                "payload": {"event": "STOPPED", "host_status": "NORMAL", "cluster_status": "OFFLINE"},
            }}))
            .right(CREATE_RIGHT)
            .slow();
        let effect = Effect::Notify(host.clone());
        match self.act_json::<One>(call, Act { effect, permits }).await {
            Ok(sent) => Ok(Notified::Sent(sent.notification.into())),
            Err(Error::Conflict(answer)) => match self.newest_stopped(host).await? {
                Some(known) => Ok(Notified::Adopted(known)),
                None => Err(Error::Conflict(answer)),
            },
            Err(error) => Err(error),
        }
    }

    /// One notification as it stands.
    pub async fn notification(&self, id: Uuid) -> Result<Notification, Error> {
        let doing = format!("read Masakari's notification {id}");
        // Without a microversion: older Masakari answers 500 to 1.1 when no workflow was started.
        let call = Call::get(Service::InstanceHa, &format!("/notifications/{id}"), &doing).right(SHOW_RIGHT);
        Ok(self.json::<One>(call).await?.notification.into())
    }

    /// What Masakari did with each instance; `None` when it is too old to say (below 1.3).
    pub async fn vm_moves(&self, id: Uuid) -> Result<Option<Vec<VmMove>>, Error> {
        if !self.versions(Service::InstanceHa).await?.offers(VM_MOVES) {
            return Ok(None);
        }
        let doing = format!("read what Masakari moved for notification {id}");
        let call = Call::get(
            Service::InstanceHa,
            &format!("/notifications/{id}/vmoves"),
            &doing,
        )
        .version(VM_MOVES)
        .right(MOVES_RIGHT);
        Ok(Some(self.json::<Moves>(call).await?.vmoves))
    }

    /// The newest notification that says that a host is off; what a 409 spoke of.
    pub async fn newest_stopped(&self, host: &HostName) -> Result<Option<Notification>, Error> {
        let Some(known) = self.recovery_host(host).await? else {
            return Ok(None);
        };
        let doing = format!("look for Masakari's notification of {host}");
        let call = Call::get(Service::InstanceHa, "/notifications", &doing)
            .query("source_host_uuid", &known.id.to_string())
            .right(LIST_RIGHT);
        let rows = self.json::<List>(call).await?.notifications;
        Ok(rows
            .into_iter()
            .filter(Row::says_stopped)
            .map(Notification::from)
            .max_by_key(|notification| notification.generated_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_message_of_masakari_the_beginning_is_kept() {
        let instance = "7b4e8c1a-0000-4000-8000-000000000001".parse().unwrap();
        let row = VmMove {
            instance,
            status: "failed".to_owned(),
            source_host: None,
            dest_host: None,
            message: Some("é".repeat(100_000)),
        };
        let words = VmMove::words(&[row])[&instance].clone();
        assert_eq!(words, format!("failed: {}", "é".repeat(300)));
    }
}
