//! Masakari: one segment, and notifications that move every guest in the end.

use serde_json::{Value, json};

use super::{State, id};
use crate::openstack::scripted::{Answer, answer};

const STAMP: &str = "2026-11-21T06:53:47.000000";

impl State {
    pub(super) fn list_segments(&self) -> Answer {
        match self.segment {
                Some(enabled) => answer(
                    200,
                    json!({"segments": [{"uuid": id(200), "name": "lab", "recovery_method": "auto", "enabled": enabled}]})
                        .to_string(),
                ),
                None => answer(200, r#"{"segments": []}"#),
            }
    }

    pub(super) fn list_segment_hosts(&self) -> Answer {
        answer(
            200,
            json!({"hosts": [{"uuid": id(201), "name": "cmp-1", "on_maintenance": self.on_maintenance,
                    "reserved": false}]})
            .to_string(),
        )
    }

    pub(super) fn put_segment_host(&mut self, body: &Value) -> Answer {
        if self
            .notifications
            .iter()
            .any(|known| matches!(known.1, "new" | "running" | "error"))
        {
            return answer(
                409,
                r#"{"conflictingRequest": {"message": "in-use to process notifications"}}"#,
            );
        }
        self.on_maintenance = body["host"]["on_maintenance"] == json!(true);
        let word = if self.on_maintenance {
            "maintenance"
        } else {
            "no maintenance"
        };
        self.effects.push(format!("{word} cmp-1"));
        answer(200, "{}")
    }

    pub(super) fn list_notifications(&self) -> Answer {
        let all: Vec<Value> = self.notifications.iter().map(notification).collect();
        answer(200, json!({ "notifications": all }).to_string())
    }

    pub(super) fn notify(&mut self, body: &Value) -> Answer {
        let generated = body["notification"]["generated_time"]
            .as_str()
            .unwrap_or("")
            .to_owned();
        if self.on_maintenance || self.notifications.iter().any(|known| known.2 == generated) {
            return answer(
                409,
                r#"{"conflictingRequest": {"message": "duplicate, or under maintenance"}}"#,
            );
        }
        if !self.off {
            self.violations
                .push("Masakari notified while the host runs".into());
        }
        let uuid = id(100 + u8::try_from(self.notifications.len()).unwrap());
        self.notifications.push((uuid, "new", generated, 3));
        self.effects.push("notify".into());
        answer(
            202,
            json!({ "notification": notification(self.notifications.last().unwrap()) }).to_string(),
        )
    }

    /// Each look lets some time go by; at the end Masakari has moved all, or whatever it was told to end in.
    pub(super) fn look_at_notification(&mut self, wanted: &str) -> Answer {
        let Some(known) = self.notifications.iter_mut().find(|known| known.0 == wanted) else {
            return answer(404, "{}");
        };
        if known.3 > 0 {
            known.3 -= 1;
            known.1 = "running";
            self.on_maintenance = true;
            let service = self.services.get_mut("cmp-1").unwrap();
            service.1 = Some("Masakari detected host failed.".into());
        } else if known.1 == "running" {
            known.1 = self.masakari_ends.pop().unwrap_or("finished");
            if known.1 == "finished" {
                for guest in self.guests.values_mut().filter(|guest| guest.host == "cmp-1") {
                    guest.moves.push(("done".into(), Some("cmp-3".into()), 0));
                    guest.host = "cmp-3".into();
                }
            }
            if let Some(spare) = &self.spare {
                for aggregate in self.aggregates.values_mut() {
                    aggregate.2.push(spare.clone());
                }
            }
        }
        answer(200, json!({ "notification": notification(known) }).to_string())
    }
}

fn notification((uuid, status, generated, _): &(String, &'static str, String, u32)) -> Value {
    json!({"notification_uuid": uuid, "status": status, "type": "COMPUTE_HOST", "generated_time": generated,
        "payload": {"event": "STOPPED", "host_status": "NORMAL"}, "created_at": STAMP, "updated_at": null})
}
