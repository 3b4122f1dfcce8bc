//! A scripted cloud with a memory: nova, Masakari and a BMC of three hosts. For faults that the real ones cannot be
//! made to show at a given request; the lab's tests run the same response against the real ones.
//!
//! It judges as well: whatever would run a guest twice is written down as a violation.

mod bmc;
mod masakari;
mod nova;

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
    /// It is answered with 429 and this `Retry-After`, and has no effect.
    Later(&'static str),
    /// It hangs on its way: no effect, and no answer.
    Hung,
}

/// Everything that the scripted cloud remembers.
#[derive(Default)]
pub(super) struct State {
    pub(super) services: BTreeMap<String, (bool, Option<String>, bool)>,
    pub(super) aggregates: BTreeMap<String, (u64, Option<String>, Vec<String>)>,
    pub(super) guests: BTreeMap<u8, Guest>,
    pub(super) off: bool,
    /// It was switched on, and its nova-compute does not report yet.
    pub(super) booting: bool,
    /// The BMC says off, and the host is not.
    pub(super) bmc_lies: bool,
    /// Its nova-compute does not start with the host.
    pub(super) lazy: bool,
    /// cmp-1 has a second way to its power, which tells the truth.
    pub(super) second_bmc: bool,
    /// What the host does when mains power returns, where its BMC says so.
    pub(super) restore_policy: Option<String>,
    /// With what reason Ironic has its only node under maintenance.
    pub(super) ironic: Option<String>,
    /// How a resize of guest 1 away from cmp-1 stands.
    pub(super) resized: Option<&'static str>,
    /// A live migration of this guest that nobody runs: its record stays.
    pub(super) live: Option<u8>,
    pub(super) segment: Option<bool>,
    pub(super) on_maintenance: bool,
    /// id, status, generated_time, looks left.
    pub(super) notifications: Vec<(String, &'static str, String, u32)>,
    /// What Masakari's runs end in; finished when there is nothing.
    pub(super) masakari_ends: Vec<&'static str>,
    /// What Masakari says that it did with each instance; nothing below 1.3.
    pub(super) vm_moves: Option<Value>,
    /// So often another tool takes `forced_down` back, just before a request to evacuate.
    pub(super) raised_by_another: u32,
    /// Masakari drags this host into the quarantine.
    pub(super) spare: Option<String>,
    pub(super) faults: Vec<(&'static str, usize, How)>,
    /// What is free on each host, vCPUs and MB; 8 and 8192 where nothing is said.
    pub(super) free: BTreeMap<String, (u32, u32)>,
    /// The policy of every server group; anti-affinity where nothing is said.
    pub(super) group_policy: Option<&'static str>,
    /// What changed something, in order.
    pub(super) effects: Vec<String>,
    pub(super) violations: Vec<String>,
    heartbeat: u32,
    requests: usize,
    cut_at: Option<usize>,
    stop_at: Option<usize>,
}

/// The scripted cloud, running.
pub(super) struct World {
    pub(super) server: Server,
    pub(super) state: Arc<Mutex<State>>,
    /// Told when the request to cut at, or to stop at, has had its effect.
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
            if state.stop_at == Some(state.requests) {
                told.notify_one();
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

    /// Tells when this request from now on is answered: the daemon may be stopped then.
    pub(super) fn stop_at(&self, nth: usize) {
        self.with(|state| state.stop_at = Some(state.requests + nth));
    }

    /// How many requests so far were to change something.
    pub(super) fn acts(&self) -> usize {
        let seen = self.server.seen();
        let reads = |line: &&String| line.starts_with("GET ") || line.contains("/auth/tokens");
        seen.len() - seen.iter().filter(reads).count()
    }

    /// How often this instance was to be evacuated, also by requests that hung.
    pub(super) fn asked(&self, n: u8) -> usize {
        let line = format!("POST /v2.1/servers/{}/action", id(n));
        self.server.count(&line)
    }

    /// A request to evacuate that hung on its way arrives after all.
    pub(super) fn arrives(&self, n: u8) {
        self.with(|state| drop(state.evacuate(&id(n))));
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
                placement: Some(format!("{url}/placement").parse().unwrap()),
                bare_metal: Some(format!("{url}/baremetal").parse().unwrap()),
                ..Endpoints::default()
            },
            page_size: None,
            limits: crate::openstack::RequestLimits {
                per_second: 10_000,
                in_flight: 100,
            },
        })
        .unwrap()
    }
}

fn id(n: u8) -> String {
    format!("{n:08x}-0000-4000-8000-000000000000")
}

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
            Some(How::Hung) => Answer::Hang,
            Some(How::Later(seconds)) => {
                Answer::Http(429, vec![("Retry-After", seconds.to_owned())], String::new())
            }
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
                vec![("X-Subject-Token", "gAAAA-token-of-the-daemon".to_owned())],
                r#"{"token": {"user": {"id": "u", "name": "daemon", "domain": {"name": "Default"}},
                    "project": {"id": "p", "name": "service"}, "roles": [{"name": "admin"}],
                    "issued_at": "2026-11-21T06:53:49.000000Z", "expires_at": "2099-11-21T10:53:49.000000Z"}}"#
                    .to_owned(),
            ),
            ("GET", ["v2.1"]) => answer(200, r#"{"version": {"version": "2.93", "min_version": "2.1"}}"#),
            ("GET", ["v1"]) => {
                let version = if self.vm_moves.is_some() { "1.3" } else { "1.2" };
                answer(200, json!({"version": {"version": version, "min_version": "1.0"}}).to_string())
            }
            ("GET", ["v2.1", "os-services"]) => self.list_services(query),
            ("PUT", ["v2.1", "os-services", service]) => self.put_service(service, &body),
            ("GET", ["v2.1", "os-aggregates"]) => self.list_aggregates(),
            ("POST", ["v2.1", "os-aggregates"]) => self.make_aggregate(&body),
            ("POST", ["v2.1", "os-aggregates", number, "action"]) => self.membership(number, &body),
            ("GET", ["v2.1", "servers", "detail"]) => self.list_servers(query),
            ("GET", ["v2.1", "servers", server]) => self.show_server(server),
            ("POST", ["v2.1", "servers", server, "action"]) => self.evacuate(server),
            ("GET", ["v2.1", "os-migrations"]) => self.migrations(query),
            ("GET", ["v2.1", "os-hypervisors", "detail"]) => self.list_hypervisors(),
            ("GET", ["v2.1", "os-server-groups"]) => self.list_groups(query),
            ("GET", ["placement"]) => answer(
                200,
                r#"{"versions": [{"max_version": "1.39", "min_version": "1.0"}]}"#,
            ),
            ("GET", ["placement", "allocation_candidates"]) => self.candidates(),
            ("GET", ["v1", "segments"]) => self.list_segments(),
            ("GET", ["v1", "segments", _, "hosts"]) => self.list_segment_hosts(),
            ("PUT", ["v1", "segments", _, "hosts", _]) => self.put_segment_host(&body),
            ("POST", ["v1", "notifications"]) => self.notify(&body),
            ("GET", ["v1", "notifications"]) => self.list_notifications(),
            ("GET", ["v1", "notifications", _, "vmoves"]) => {
                answer(200, json!({ "vmoves": self.vm_moves }).to_string())
            }
            ("GET", ["v1", "notifications", known]) => self.look_at_notification(known),
            ("GET", ["baremetal"]) => answer(
                200,
                r#"{"versions": [{"id": "v1", "version": "1.93", "min_version": "1.1"}]}"#,
            ),
            ("GET", ["baremetal", "v1", "nodes", _]) => answer(
                200,
                json!({"maintenance": self.ironic.is_some(), "maintenance_reason": self.ironic,
                    "power_state": "power on", "target_power_state": null})
                .to_string(),
            ),
            (method @ ("PUT" | "DELETE"), ["baremetal", "v1", "nodes", _, "maintenance"]) => {
                self.ironic = (method == "PUT").then(|| body["reason"].as_str().unwrap_or_default().to_owned());
                self.effects.push(format!("ironic {}", method.to_lowercase()));
                answer(202, "")
            }
            ("GET", ["redfish", "v1"]) => answer(200, r#"{"Systems": {"@odata.id": "/redfish/v1/Systems"}}"#),
            ("GET", ["redfish", "v1", "Systems", system]) => self.show_system(system),
            ("PATCH", ["redfish", "v1", "Systems", "1" | "2"]) => self.patch_system(&body),
            ("POST", ["redfish", "v1", "Systems", "1" | "2", "Actions", "Go"]) => self.reset(&body),
            _ => answer(404, json!({ "itemNotFound": {"message": format!("{} {path}", request.method)} }).to_string()),
        }
    }
}
