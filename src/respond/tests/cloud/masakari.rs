//! Masakari: one segment with all hosts, and notifications that it works on by itself.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Answer, Cloud, answer, id, name, refusal, stamp};
use crate::clock::Timestamp;
use crate::respond::tests::T0;

/// Notifications of one host whose times are closer than this are duplicates.
const DUPLICATE_MS: i64 = 180_000;

/// How long it waits after it disabled the service; 180 s by default, shorter here.
const WAIT_MS: u64 = 15_000;

/// Evacuations at once.
const AT_ONCE: usize = 3;

/// One notification, and how far its workflow is.
#[derive(Debug, Clone)]
pub(in crate::respond::tests) struct Notification {
    host: u8,
    generated: i64,
    created: u64,
    pub(in crate::respond::tests) status: &'static str,
    /// When it goes on.
    due: Option<u64>,
    /// What its runs end in besides moving all: an error, then one more run.
    fails: u8,
}

impl Notification {
    pub(super) fn next(&self) -> Option<u64> {
        self.due
    }

    fn is_final(&self) -> bool {
        matches!(self.status, "finished" | "failed" | "ignored")
    }
}

impl Cloud {
    pub(super) fn ask_masakari(&mut self, method: &str, parts: &[&str], query: &str, body: &Value) -> Answer {
        if !self.masakari {
            return refusal(404, "no Masakari here");
        }
        match (method, parts) {
            ("GET", ["segments"]) => answer(
                200,
                json!({"segments": [{"uuid": id(2000), "name": "lab", "recovery_method": "auto", "enabled": true}]}),
            ),
            ("GET", ["segments", _, "hosts"]) => {
                let rows: Vec<Value> = self.hosts.iter().zip(0..).map(|(host, n)| {
                    json!({"uuid": host_id(n), "name": name(n), "on_maintenance": host.on_maintenance, "reserved": false})
                }).collect();
                answer(200, json!({ "hosts": rows }))
            }
            ("PUT", ["segments", _, "hosts", wanted]) => self.put_host(wanted, body),
            ("POST", ["notifications"]) => self.notified(body),
            ("GET", ["notifications"]) => {
                let of = |host: u8| {
                    query.split('&').all(|part| {
                        part.strip_prefix("source_host_uuid=")
                            .is_none_or(|wanted| wanted == host_id(host))
                    })
                };
                let all = self
                    .notifications
                    .iter()
                    .enumerate()
                    .filter(|(_, known)| of(known.host));
                let all: Vec<Value> = all.map(row).collect();
                answer(200, json!({ "notifications": all }))
            }
            ("GET", ["notifications", wanted]) => {
                match self
                    .notifications
                    .iter()
                    .enumerate()
                    .find(|(n, _)| id(3000 + n) == *wanted)
                {
                    Some(found) => answer(200, json!({ "notification": row(found) })),
                    None => refusal(404, "no such notification"),
                }
            }
            _ => refusal(404, "the model of Masakari has no such path"),
        }
    }

    fn put_host(&mut self, wanted: &str, body: &Value) -> Answer {
        let Some(host) = (0..self.hosts.len())
            .map(|n| u8::try_from(n).unwrap())
            .find(|n| host_id(*n) == wanted)
        else {
            return refusal(404, "no such host");
        };
        if self
            .notifications
            .iter()
            .any(|known| known.host == host && !known.is_final())
        {
            return refusal(
                409,
                "Host can't be updated as it is in-use to process notifications.",
            );
        }
        let on = body["host"]["on_maintenance"] == json!(true);
        self.host(host).on_maintenance = on;
        let words = if on {
            "put {} under Masakari's maintenance"
        } else {
            "end Masakari's maintenance of {}"
        };
        self.did(words.replace("{}", name(host).as_str()));
        answer(200, json!({"host": {"uuid": wanted, "on_maintenance": on}}))
    }

    fn notified(&mut self, body: &Value) -> Answer {
        let told = &body["notification"];
        let Some(host) = told["hostname"].as_str().and_then(|host| self.host_named(host)) else {
            return refusal(400, "Host with name could not be found.");
        };
        let generated = told["generated_time"]
            .as_str()
            .and_then(millis)
            .unwrap_or_default();
        let normal = told["payload"]["host_status"] == json!("NORMAL");
        let near = |known: &super::Notification| {
            known.host == host && (known.generated - generated).abs() < DUPLICATE_MS
        };
        if self.notifications.iter().any(near) {
            return refusal(409, "Notification received is duplicate.");
        }
        if self.host(host).on_maintenance {
            return refusal(409, "is ignored as the host is already under maintenance.");
        }
        self.did(format!("notify Masakari of {}", name(host)));
        let made = self.add_notification(host, generated, if normal { "new" } else { "ignored" });
        answer(
            202,
            json!({ "notification": row((made, &self.notifications[made])) }),
        )
    }

    fn add_notification(&mut self, host: u8, generated: i64, status: &'static str) -> usize {
        let (now, work) = (self.now, status == "new");
        self.notifications.push(Notification {
            host,
            generated,
            created: now,
            status,
            due: work.then_some(now + 1000),
            fails: 0,
        });
        self.notifications.len() - 1
    }

    /// Its own monitor sees the host gone, unless it was told to leave it alone.
    pub(in crate::respond::tests) fn monitor_notices(&mut self, host: u8) {
        let generated = T0 + i64::try_from(self.now).unwrap();
        let known =
            |known: &Notification| known.host == host && (known.generated - generated).abs() < DUPLICATE_MS;
        let it = self.host(host);
        let gone = !it.on && !it.on_maintenance;
        if self.masakari && gone && !self.notifications.iter().any(known) {
            self.add_notification(host, generated, "new");
        }
    }

    /// Workflows whose time has come go on.
    pub(super) fn masakari_works(&mut self) {
        for n in 0..self.notifications.len() {
            if self.notifications[n].due.is_none_or(|at| at > self.now) {
                continue;
            }
            let host = self.notifications[n].host;
            match self.notifications[n].status {
                "new" | "error" => {
                    self.notifications[n].status = "running";
                    self.notifications[n].due = Some(self.now + WAIT_MS);
                    let now = self.now;
                    let it = self.host(host);
                    it.on_maintenance = true;
                    it.enabled = false;
                    it.reason = Some("Masakari detected host failed.".to_owned());
                    it.last_write = now;
                }
                "running" => self.recover(n, host),
                _ => self.notifications[n].due = None,
            }
        }
    }

    /// Three at a time, until none is left; what cannot be moved makes it an error, and then a failure.
    fn recover(&mut self, n: usize, host: u8) {
        let left = |guest: &super::Guest| guest.host == host;
        let moving = self
            .guests
            .iter()
            .filter(|guest| left(guest) && guest.task)
            .count();
        let tried = self.notifications[n].created;
        let waits = |guest: &super::Guest| {
            left(guest) && !guest.task && guest.moves.iter().filter(|known| known.at > tried).count() < 1
        };
        let waiting: Vec<usize> = self
            .guests
            .iter()
            .enumerate()
            .filter(|(_, guest)| waits(guest))
            .map(|(n, _)| n)
            .collect();
        if moving == 0 && waiting.is_empty() {
            let remains = self.guests.iter().any(left);
            let known = &mut self.notifications[n];
            (known.status, known.due) = match (remains, known.fails) {
                (false, _) => ("finished", None),
                (true, 0) => ("error", Some(self.now + 20_000)),
                (true, _) => ("failed", None),
            };
            known.fails += 1;
            return;
        }
        let mut refused = false;
        for guest in waiting.into_iter().take(AT_ONCE.saturating_sub(moving)) {
            let (effects, broken) = (self.effects.len(), self.broken.len());
            refused |= self.evacuate(guest).status != 200;
            // Not ours: its own, which is judged only by what it does to the guest.
            self.effects.truncate(effects);
            let mine: Vec<_> = self
                .broken
                .drain(broken..)
                .filter(|known| known.0 == "never_evacuated_twice")
                .collect();
            self.broken.extend(mine);
        }
        let known = &mut self.notifications[n];
        if refused {
            (known.status, known.due) = if known.fails == 0 {
                ("error", Some(self.now + 20_000))
            } else {
                ("failed", None)
            };
            known.fails += 1;
        } else {
            known.due = Some(self.now + 1000);
        }
    }
}

fn host_id(host: u8) -> String {
    id(4000 + usize::from(host))
}

fn millis(text: &str) -> Option<i64> {
    let at: Timestamp = format!("{}Z", text.trim_end_matches('Z')).parse().ok()?;
    Some(at.as_millis())
}

fn row((n, known): (usize, &Notification)) -> Value {
    let generated = Timestamp::from_millis(known.generated).plus(Duration::ZERO);
    json!({"notification_uuid": id(3000 + n), "status": known.status, "type": "COMPUTE_HOST",
        "generated_time": generated, "source_host_uuid": host_id(known.host),
        "payload": {"event": "STOPPED", "host_status": "NORMAL"}, "created_at": stamp(known.created), "updated_at": null})
}
