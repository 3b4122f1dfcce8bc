//! A scripted cloud with a memory: nova, Masakari and a BMC of three hosts. For faults that the real ones cannot be
//! made to show at a given request; the lab's tests run the same response against the real ones.
//!
//! It judges as well: whatever would run a guest twice is written down as a violation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::config::secret::{Secret, SecretSource};
use crate::openstack::scripted::{Answer, Request, Server, answer};
use crate::openstack::{Cloud, Connection, Credential, Endpoints, Interface};

/// One instance.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) host: String,
    pub(super) vm_state: String,
    pub(super) task: Option<String>,
    pub(super) volume: bool,
    pub(super) group: Option<String>,
    /// Its evacuations: status, destination, looks left until it is done.
    pub(super) moves: Vec<(String, Option<String>, u32)>,
    /// What its next evacuations end in; done when there is nothing.
    pub(super) ends: Vec<&'static str>,
}

/// How a request goes wrong.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// It is answered so, and has no effect.
    Status(u16, &'static str),
    /// It has its effect, and the connection is closed without an answer.
    Lost,
}

/// Everything that the scripted cloud remembers.
#[derive(Default)]
pub(super) struct State {
    pub(super) services: BTreeMap<String, (bool, Option<String>, bool)>,
    pub(super) aggregates: BTreeMap<String, (u64, Option<String>, Vec<String>)>,
    pub(super) guests: BTreeMap<u8, Guest>,
    pub(super) off: bool,
    /// The BMC says off, and the host is not.
    pub(super) bmc_lies: bool,
    pub(super) segment: Option<bool>,
    pub(super) on_maintenance: bool,
    /// id, status, generated_time, looks left.
    pub(super) notifications: Vec<(String, &'static str, String, u32)>,
    /// What Masakari's runs end in; finished when there is nothing.
    pub(super) masakari_ends: Vec<&'static str>,
    /// Masakari drags this host into the quarantine.
    pub(super) spare: Option<String>,
    pub(super) faults: Vec<(&'static str, usize, How)>,
    /// What changed something, in order.
    pub(super) effects: Vec<String>,
    pub(super) violations: Vec<String>,
    heartbeat: u32,
    requests: usize,
    cut_at: Option<usize>,
}

/// The scripted cloud, running.
pub(super) struct World {
    pub(super) server: Server,
    pub(super) state: Arc<Mutex<State>>,
    /// Told when the request to cut at has had its effect.
    pub(super) cut: Arc<Notify>,
}

impl World {
    /// Three hosts, and this many instances on cmp-1, all on volumes.
    pub(super) async fn start(guests: u8) -> Self {
        let mut state = State::default();
        for host in ["cmp-1", "cmp-2", "cmp-3"] {
            state.services.insert(host.to_owned(), (true, None, false));
        }
        for n in 1..=guests {
            state.guests.insert(
                n,
                Guest {
                    host: "cmp-1".into(),
                    vm_state: "active".into(),
                    task: None,
                    volume: true,
                    group: None,
                    moves: vec![],
                    ends: vec![],
                },
            );
        }
        let state = Arc::new(Mutex::new(state));
        let cut = Arc::new(Notify::new());
        let (world, told) = (Arc::clone(&state), Arc::clone(&cut));
        let server = Server::start(move |request| {
            let mut state = world.lock().unwrap();
            let answered = state.request(request);
            state.requests += 1;
            if state.cut_at == Some(state.requests) {
                told.notify_one();
                return Answer::Hang;
            }
            answered
        })
        .await;
        Self { server, state, cut }
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    /// Cuts the daemon off at this request from now on, after its effect and before its answer.
    pub(super) fn cut_at(&self, nth: usize) {
        self.with(|state| state.cut_at = Some(state.requests + nth));
    }

    pub(super) fn cloud(&self) -> Cloud {
        let url = &self.server.url;
        Cloud::connect(Connection {
            auth_url: url.parse().unwrap(),
            credential: Credential::Password {
                username: "daemon".to_owned(),
                user_domain: "Default".to_owned(),
                project: "service".to_owned(),
                project_domain: "Default".to_owned(),
                password: SecretSource::Inline(Secret::new("hunter2".to_owned())),
            },
            region: None,
            interface: Interface::Public,
            ca_pem: None,
            timeout: Duration::from_secs(5),
            endpoints: Endpoints {
                compute: Some(format!("{url}/v2.1").parse().unwrap()),
                instance_ha: Some(format!("{url}/v1").parse().unwrap()),
                key_manager: Some(url.parse().unwrap()),
            },
            page_size: None,
        })
        .unwrap()
    }
}

fn id(n: u8) -> String {
    format!("{n:08x}-0000-4000-8000-000000000000")
}

const STAMP: &str = "2026-11-21T06:53:47.000000";

impl State {
    fn request(&mut self, request: &Request) -> Answer {
        let line = format!("{} {}", request.method, request.path);
        let fault = self
            .faults
            .iter_mut()
            .find(|(what, left, _)| *left > 0 && line.starts_with(what));
        let how = fault.map(|(_, left, how)| {
            *left -= 1;
            *how
        });
        match how {
            Some(How::Status(status, body)) => answer(status, body),
            Some(How::Lost) => {
                self.route(request);
                Answer::Close
            }
            None => self.route(request),
        }
    }

    fn route(&mut self, request: &Request) -> Answer {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("POST", ["v3", "auth", "tokens"]) => Answer::Http(
                201,
                vec![("X-Subject-Token", "token".to_owned())],
                r#"{"token": {"user": {"id": "u", "name": "daemon", "domain": {"name": "Default"}},
                    "project": {"id": "p", "name": "service"}, "roles": [{"name": "admin"}],
                    "issued_at": "2026-11-21T06:53:49.000000Z", "expires_at": "2099-11-21T10:53:49.000000Z"}}"#
                    .to_owned(),
            ),
            ("GET", ["v2.1"]) => answer(200, r#"{"version": {"version": "2.93", "min_version": "2.1"}}"#),
            ("GET", ["v1"]) => answer(200, r#"{"version": {"version": "1.2", "min_version": "1.0"}}"#),
            ("GET", ["v2.1", "os-services"]) => self.list_services(query),
            ("PUT", ["v2.1", "os-services", service]) => self.put_service(service, &body),
            ("GET", ["v2.1", "os-aggregates"]) => self.list_aggregates(),
            ("POST", ["v2.1", "os-aggregates"]) => self.make_aggregate(&body),
            ("POST", ["v2.1", "os-aggregates", number, "action"]) => self.membership(number, &body),
            ("GET", ["v2.1", "servers", "detail"]) => {
                let on: Vec<Value> = self
                    .guests
                    .iter()
                    .filter(|(_, guest)| query.contains(&format!("host={}", guest.host)))
                    .map(|(n, guest)| row(*n, guest))
                    .collect();
                answer(200, json!({ "servers": on }).to_string())
            }
            ("GET", ["v2.1", "servers", server]) => match self.guests.iter().find(|(n, _)| id(**n) == *server) {
                Some((n, guest)) => answer(200, json!({ "server": row(*n, guest) }).to_string()),
                None => answer(404, r#"{"itemNotFound": {"message": "no such server"}}"#),
            },
            ("POST", ["v2.1", "servers", server, "action"]) => self.evacuate(server),
            ("GET", ["v2.1", "os-migrations"]) => self.migrations(query),
            ("GET", ["v1", "segments"]) => match self.segment {
                Some(enabled) => answer(
                    200,
                    json!({"segments": [{"uuid": id(200), "name": "lab", "recovery_method": "auto", "enabled": enabled}]})
                        .to_string(),
                ),
                None => answer(200, r#"{"segments": []}"#),
            },
            ("GET", ["v1", "segments", _, "hosts"]) => answer(
                200,
                json!({"hosts": [{"uuid": id(201), "name": "cmp-1", "on_maintenance": self.on_maintenance,
                    "reserved": false}]})
                .to_string(),
            ),
            ("PUT", ["v1", "segments", _, "hosts", _]) => {
                if self.notifications.iter().any(|known| matches!(known.1, "new" | "running" | "error")) {
                    return answer(409, r#"{"conflictingRequest": {"message": "in-use to process notifications"}}"#);
                }
                self.on_maintenance = body["host"]["on_maintenance"] == json!(true);
                self.effects.push("maintenance cmp-1".into());
                answer(200, "{}")
            }
            ("POST", ["v1", "notifications"]) => self.notify(&body),
            ("GET", ["v1", "notifications"]) => {
                let all: Vec<Value> = self.notifications.iter().map(notification).collect();
                answer(200, json!({ "notifications": all }).to_string())
            }
            ("GET", ["v1", "notifications", known]) => self.look_at_notification(known),
            ("GET", ["redfish", "v1"]) => answer(200, r#"{"Systems": {"@odata.id": "/redfish/v1/Systems"}}"#),
            ("GET", ["redfish", "v1", "Systems", "1"]) => {
                let power = if self.off || self.bmc_lies { "Off" } else { "On" };
                answer(
                    200,
                    json!({"PowerState": power, "Actions": {"#ComputerSystem.Reset": {
                        "target": "/redfish/v1/Systems/1/Actions/Go", "ResetType@Redfish.AllowableValues": ["ForceOff"]}}})
                    .to_string(),
                )
            }
            ("POST", ["redfish", "v1", "Systems", "1", "Actions", "Go"]) => {
                self.off = true;
                self.effects.push("off cmp-1".into());
                answer(204, "")
            }
            _ => answer(404, json!({ "itemNotFound": {"message": format!("{} {path}", request.method)} }).to_string()),
        }
    }

    fn list_services(&mut self, query: &str) -> Answer {
        if !self.off {
            self.heartbeat += 1;
        }
        let rows: Vec<Value> = self
            .services
            .iter()
            .filter(|(host, _)| !query.contains("host=") || query.contains(&format!("host={host}")))
            .map(|(host, state)| service(host, state, self.heartbeat))
            .collect();
        answer(200, json!({ "services": rows }).to_string())
    }

    fn put_service(&mut self, wanted: &str, body: &Value) -> Answer {
        let beat = self.heartbeat;
        let Some((host, state)) = self
            .services
            .iter_mut()
            .find(|(host, _)| service_id(host) == wanted)
        else {
            return answer(404, "{}");
        };
        if body["status"] == json!("disabled") {
            state.0 = false;
            state.1 = body["disabled_reason"].as_str().map(str::to_owned);
            if body["forced_down"] != json!(true) {
                self.effects.push(format!("disable {host}"));
            }
        }
        if body["forced_down"] == json!(true) {
            state.2 = true;
            self.effects.push(format!("force-down {host}"));
            if !self.off {
                self.violations.push(format!("{host} forced down while it runs"));
            }
        }
        answer(200, json!({ "service": service(host, state, beat) }).to_string())
    }

    fn list_aggregates(&self) -> Answer {
        let rows: Vec<Value> = self.aggregates.iter().map(aggregate).collect();
        answer(200, json!({ "aggregates": rows }).to_string())
    }

    fn make_aggregate(&mut self, body: &Value) -> Answer {
        let name = body["aggregate"]["name"].as_str().unwrap().to_owned();
        if self.aggregates.contains_key(&name) {
            return answer(409, r#"{"conflictingRequest": {"message": "already exists"}}"#);
        }
        self.effects.push(format!("make {name}"));
        self.aggregates.insert(name.clone(), (7, None, vec![]));
        let row = aggregate(self.aggregates.get_key_value(&name).unwrap());
        answer(200, json!({ "aggregate": row }).to_string())
    }

    fn membership(&mut self, number: &str, body: &Value) -> Answer {
        let Some((name, state)) = self
            .aggregates
            .iter_mut()
            .find(|(_, state)| state.0.to_string() == number)
        else {
            return answer(404, "{}");
        };
        if let Some(host) = body["add_host"]["host"].as_str() {
            if state.2.iter().any(|known| known == host) || state.1.is_some() {
                return answer(409, r#"{"conflictingRequest": {"message": "Cannot add host"}}"#);
            }
            state.2.push(host.to_owned());
            self.effects.push(format!("join {host}"));
        } else if let Some(host) = body["remove_host"]["host"].as_str() {
            state.2.retain(|known| known != host);
            self.effects.push(format!("leave {host}"));
        }
        let row = aggregate((name, state));
        answer(200, json!({ "aggregate": row }).to_string())
    }

    fn evacuate(&mut self, server: &str) -> Answer {
        let forced_down = self.services["cmp-1"].2;
        let masakari = self
            .notifications
            .iter()
            .any(|known| matches!(known.1, "new" | "running" | "error"));
        let Some((n, guest)) = self.guests.iter_mut().find(|(n, _)| id(**n) == server) else {
            return answer(404, "{}");
        };
        if !self.off {
            self.violations.push(format!("{n} evacuated while its host runs"));
        }
        if masakari {
            self.violations.push(format!("{n} evacuated beside Masakari"));
        }
        if guest.host != "cmp-1" || !forced_down {
            return answer(
                400,
                r#"{"badRequest": {"message": "Compute service is still in use."}}"#,
            );
        }
        if guest.task.is_some() || guest.moves.iter().any(|known| known.0 == "accepted") {
            self.violations.push(format!("{n} evacuated twice"));
        }
        if guest.ends.first() == Some(&"refused") {
            return answer(
                400,
                r#"{"badRequest": {"message": "Evacuate is not supported for vTPM"}}"#,
            );
        }
        guest.task = Some("rebuilding".into());
        guest.moves.push(("accepted".into(), None, 2));
        self.effects.push(format!("evacuate {n}"));
        let n = *n;
        self.one_of_a_group(n);
        answer(200, "")
    }

    fn one_of_a_group(&mut self, n: u8) {
        let Some(group) = self.guests[&n].group.clone() else {
            return;
        };
        let moving = self
            .guests
            .values()
            .filter(|guest| guest.group.as_ref() == Some(&group) && guest.task.is_some())
            .count();
        if moving > 1 {
            self.violations.push(format!("two of group {group} at once"));
        }
    }

    /// Each look at the migrations lets some time go by.
    fn migrations(&mut self, query: &str) -> Answer {
        let mut rows = Vec::new();
        for (n, guest) in &mut self.guests {
            if query.contains("migration_type=evacuation") {
                step_on(guest);
            }
            for (index, (status, to, _)) in guest.moves.iter().enumerate() {
                if query.contains("instance_uuid") && !query.contains(&id(*n)) {
                    continue;
                }
                rows.push(json!({"uuid": format!("m-{n}-{index}"), "instance_uuid": id(*n), "status": status,
                    "migration_type": "evacuation", "source_compute": "cmp-1", "dest_compute": to,
                    "user_id": "u", "project_id": "p", "created_at": format!("2026-11-21T06:53:{index:02}.000000"),
                    "updated_at": null}));
            }
        }
        answer(200, json!({ "migrations": rows }).to_string())
    }

    fn notify(&mut self, body: &Value) -> Answer {
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
    fn look_at_notification(&mut self, wanted: &str) -> Answer {
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

fn step_on(guest: &mut Guest) {
    let Some((status, to, left)) = guest.moves.last_mut() else {
        return;
    };
    if status != "accepted" {
        return;
    }
    if *left > 0 {
        *left -= 1;
        return;
    }
    guest.task = None;
    if guest.ends.is_empty() {
        *status = "done".into();
        *to = Some("cmp-2".into());
        guest.host = "cmp-2".into();
    } else {
        *status = guest.ends.remove(0).into();
    }
}

fn service_id(host: &str) -> String {
    id(host.as_bytes()[host.len() - 1])
}

fn service(host: &str, (enabled, reason, forced_down): &(bool, Option<String>, bool), beat: u32) -> Value {
    json!({"binary": "nova-compute", "host": host, "id": service_id(host), "zone": "nova",
        "status": if *enabled { "enabled" } else { "disabled" }, "state": if *forced_down { "down" } else { "up" },
        "updated_at": format!("2026-11-21T06:{:02}:{:02}.000000", beat / 60 % 60, beat % 60),
        "disabled_reason": reason, "forced_down": forced_down})
}

fn aggregate((name, (number, zone, hosts)): (&String, &(u64, Option<String>, Vec<String>))) -> Value {
    json!({"id": number, "name": name, "availability_zone": zone, "hosts": hosts})
}

fn notification((uuid, status, generated, _): &(String, &'static str, String, u32)) -> Value {
    json!({"notification_uuid": uuid, "status": status, "type": "COMPUTE_HOST", "generated_time": generated,
        "payload": {"event": "STOPPED", "host_status": "NORMAL"}, "created_at": STAMP, "updated_at": null})
}

fn row(n: u8, guest: &Guest) -> Value {
    let status = match guest.vm_state.as_str() {
        "stopped" => "SHUTOFF",
        "paused" => "PAUSED",
        _ => "ACTIVE",
    };
    json!({"id": id(n), "status": status, "tenant_id": "p", "user_id": "u", "name": format!("web-{n}"),
        "OS-EXT-SRV-ATTR:host": guest.host, "OS-EXT-SRV-ATTR:hypervisor_hostname": guest.host,
        "OS-EXT-STS:vm_state": guest.vm_state, "OS-EXT-STS:task_state": guest.task, "OS-EXT-STS:power_state": 1,
        "OS-EXT-AZ:availability_zone": "nova", "os-extended-volumes:volumes_attached": [], "locked": false,
        "locked_reason": null, "tags": [], "image": if guest.volume { json!("") } else { json!({"id": "i"}) },
        "server_groups": guest.group.iter().collect::<Vec<_>>(),
        "flavor": {"original_name": "m1", "vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0, "swap": 0, "extra_specs": {}},
        "created": "2026-11-21T06:53:47Z"})
}
