//! A model of the cloud: nova, Masakari, BMCs and agents of n hosts, with one truth behind them.
//!
//! A fake, and why: it answers within the process and keeps its own time, so that a simulation decides what happens
//! when; and it knows what no API tells, such as on which hosts a guest really runs. What the services do is as they
//! were seen to in the lab. The same steps run against the real ones in tests/system.

mod bmc;
mod masakari;
mod nova;

pub(super) use bmc::Mood;
pub(super) use masakari::Notification;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::ids::HostName;

use super::T0;

/// How often nova-compute reports.
const BEAT_MS: u64 = 10_000;

/// How long a host boots until its nova-compute and its agent run.
const BOOT_MS: u64 = 30_000;

/// After this long without a report nova takes a service for down.
const DOWN_MS: u64 = 60_000;

/// What the cloud is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) hosts: u8,
    /// Each guest's host.
    pub(super) guests: Vec<u8>,
    /// Guests of one anti-affinity group.
    pub(super) group: Vec<u16>,
    /// Guests whose disk is the hypervisor's.
    pub(super) local: Vec<u16>,
    /// Masakari is there, with all hosts in a segment.
    pub(super) masakari: bool,
    /// Each host has a second BMC.
    pub(super) second_bmc: bool,
}

/// One compute host: what nova has of it, and how it really is.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) enabled: bool,
    pub(super) reason: Option<String>,
    pub(super) forced_down: bool,
    pub(super) on: bool,
    /// When the power was last switched on by somebody else than us, and nova has no word of it yet.
    pub(super) came_back: Option<u64>,
    /// Since when nova-compute and agent run; `None` while off.
    runs_from: Option<u64>,
    /// nova-compute and agent stand still until then; guests run on.
    hangs_until: u64,
    last_beat: u64,
    last_write: u64,
    pub(super) bmcs: Vec<bmc::Bmc>,
    /// What each process has seen since the power last changed.
    pub(super) seen: BTreeMap<usize, Seen>,
    /// Since it came back, somebody was shown a newer heartbeat.
    pub(super) back_is_told: bool,
    /// When the power last changed.
    pub(super) power_since: u64,
    /// In Masakari's segment: under maintenance.
    pub(super) on_maintenance: bool,
}

/// What a process has seen of a host that is off.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// How often the power was read as off, the heartbeat read, and the agent found silent.
    pub(super) off: u32,
    pub(super) heartbeat: u32,
    pub(super) agent: u32,
}

/// One instance.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) host: u8,
    pub(super) vm_state: &'static str,
    pub(super) task: bool,
    pub(super) local: bool,
    pub(super) group: bool,
    /// Where it really runs.
    pub(super) runs_on: BTreeSet<u8>,
    pub(super) moves: Vec<Move>,
    /// What its next evacuations end in; done when there is nothing.
    pub(super) ends: Vec<End>,
}

/// One evacuation.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) status: &'static str,
    source: u8,
    to: Option<u8>,
    at: u64,
    ends_at: u64,
    end: End,
}

impl Move {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.status, "accepted" | "pre-migrating")
    }
}

/// How an evacuation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It arrives, if there is room.
    Done,
    /// The claim fails, and the instance looks unharmed.
    Failed,
    /// It takes ten minutes.
    Slow,
    /// nova refuses it: a virtual TPM.
    Refused,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// The name in the URL: `cloud`, or a BMC.
    pub(super) at: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) body: String,
}

impl Request {
    /// Whether it changes something in the world.
    pub(super) fn acts(&self) -> bool {
        self.method != "GET" && !self.path.contains("/auth/tokens") && !self.path.contains("Sessions")
    }
}

/// Everything.
#[derive(Debug)]
pub(super) struct Cloud {
    /// True time, in ms since the beginning.
    pub(super) now: u64,
    pub(super) hosts: Vec<Host>,
    pub(super) guests: Vec<Guest>,
    /// Number, name, members.
    pub(super) aggregates: BTreeMap<String, (u64, BTreeSet<u8>)>,
    pub(super) masakari: bool,
    pub(super) notifications: Vec<Notification>,
    /// What changed something, in order, in the words of the effects that the journal announces.
    pub(super) effects: Vec<(u64, String)>,
    /// What must never happen, and did: the rule and the words.
    pub(super) broken: Vec<(&'static str, String)>,
    pub(super) requests: usize,
    /// When a tool, or time, last took capacity away; the daemon's plan may be older.
    pub(super) shrank_at: Option<u64>,
}

pub(super) fn name(host: u8) -> HostName {
    format!("cmp-{}", u32::from(host) + 1).parse().unwrap()
}

pub(super) fn id(n: usize) -> String {
    format!("{n:08x}-0000-4000-8000-000000000000")
}

fn stamp(ms: u64) -> String {
    let at = Timestamp::from_millis(T0).plus(Duration::from_millis(ms));
    at.to_chrono()
        .unwrap()
        .format("%Y-%m-%dT%H:%M:%S%.6f")
        .to_string()
}

fn answer(status: u16, body: Value) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: body.to_string(),
    }
}

fn refusal(status: u16, words: impl Into<String>) -> Answer {
    answer(status, json!({"error": {"message": words.into()}}))
}

impl Cloud {
    pub(super) fn new(shape: &Shape) -> Self {
        let host = Host {
            enabled: true,
            reason: None,
            forced_down: false,
            on: true,
            came_back: None,
            runs_from: Some(0),
            hangs_until: 0,
            last_beat: 0,
            last_write: 0,
            bmcs: vec![bmc::Bmc::default(); 1 + usize::from(shape.second_bmc)],
            seen: BTreeMap::new(),
            back_is_told: false,
            power_since: 0,
            on_maintenance: false,
        };
        let guests = shape.guests.iter().enumerate().map(|(n, host)| {
            let number = u16::try_from(n).unwrap();
            Guest {
                host: *host,
                vm_state: "active",
                task: false,
                local: shape.local.contains(&number),
                group: shape.group.contains(&number),
                runs_on: BTreeSet::from([*host]),
                moves: Vec::new(),
                ends: Vec::new(),
            }
        });
        Self {
            now: 0,
            hosts: vec![host; usize::from(shape.hosts)],
            guests: guests.collect(),
            aggregates: BTreeMap::new(),
            masakari: shape.masakari,
            notifications: Vec::new(),
            effects: Vec::new(),
            broken: Vec::new(),
            requests: 0,
            shrank_at: None,
        }
    }

    pub(super) fn host(&mut self, host: u8) -> &mut Host {
        let index = usize::from(host) % self.hosts.len();
        &mut self.hosts[index]
    }

    fn host_named(&self, wanted: &str) -> Option<u8> {
        let number: u8 = wanted.strip_prefix("cmp-")?.parse().ok()?;
        let index = number.checked_sub(1)?;
        (usize::from(index) < self.hosts.len()).then_some(index)
    }

    fn did(&mut self, words: String) {
        self.effects.push((self.now, words));
    }

    fn breaks(&mut self, rule: &'static str, words: String) {
        self.broken.push((rule, words));
    }

    /// Lets time go by.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now + u64::try_from(by.as_millis()).unwrap();
        while let Some(next) = self.next_event().filter(|at| *at <= end) {
            self.now = self.now.max(next);
            self.events();
        }
        self.now = end;
        for host in &mut self.hosts {
            host.beat(end);
        }
    }

    /// When something happens next by itself.
    fn next_event(&self) -> Option<u64> {
        let moves = self.guests.iter().flat_map(|guest| &guest.moves);
        let moves = moves.filter(|known| known.is_open()).map(|known| known.ends_at);
        let powers = self.hosts.iter().flat_map(|host| &host.bmcs);
        let powers = powers.filter_map(|bmc| bmc.off_at);
        let boots = self
            .hosts
            .iter()
            .filter_map(|host| host.runs_from)
            .filter(|at| *at > self.now);
        let masakari = self.notifications.iter().filter_map(Notification::next);
        moves.chain(powers).chain(boots).chain(masakari).min()
    }

    fn events(&mut self) {
        for host in 0..self.hosts.len() {
            let now = self.now;
            for bmc in 0..self.hosts[host].bmcs.len() {
                if self.hosts[host].bmcs[bmc].off_at.is_some_and(|at| at <= now) {
                    self.hosts[host].bmcs[bmc].off_at = None;
                    self.power_off(u8::try_from(host).unwrap());
                }
            }
            if self.hosts[host].runs_from == Some(now) {
                self.compute_starts(u8::try_from(host).unwrap());
            }
        }
        self.moves_on();
        self.masakari_works();
    }

    /// The power goes: everything on it ends.
    pub(super) fn power_off(&mut self, host: u8) {
        let now = self.now;
        let it = self.host(host);
        if !it.on {
            return;
        }
        it.beat(now);
        (it.on, it.runs_from, it.came_back) = (false, None, None);
        it.power_changed(now);
        for guest in &mut self.guests {
            guest.runs_on.remove(&host);
        }
    }

    /// The power comes: after a while nova-compute runs. `ours`: we asked for it.
    pub(super) fn power_on(&mut self, host: u8, ours: bool) {
        let now = self.now;
        let it = self.host(host);
        if it.on {
            return;
        }
        it.on = true;
        it.runs_from = Some(now + BOOT_MS);
        it.came_back = (!ours).then_some(now);
        it.power_changed(now);
    }

    /// nova-compute begins: what was evacuated meanwhile is destroyed here, and its records are completed; what was
    /// not stays off, as nova's default is.
    fn compute_starts(&mut self, host: u8) {
        for guest in &mut self.guests {
            for known in &mut guest.moves {
                if known.source == host && known.status == "done" {
                    known.status = "completed";
                }
            }
            if guest.host != host {
                guest.runs_on.remove(&host);
            } else if !guest.runs_on.contains(&host) && guest.vm_state == "active" && !guest.task {
                guest.vm_state = "stopped";
            }
        }
    }

    /// Somebody moves a guest; whether it was one that can be moved.
    pub(super) fn move_to(&mut self, n: usize, host: u8) -> bool {
        let on = self.hosts[usize::from(host)].on;
        let guest = &mut self.guests[n];
        if guest.task || guest.host == host || guest.moves.iter().any(Move::is_open) {
            return false;
        }
        guest.host = host;
        guest.runs_on.clear();
        if on && guest.vm_state == "active" {
            guest.runs_on.insert(host);
        }
        true
    }

    /// nova-compute and the agent hang; the guests run on.
    pub(super) fn hang(&mut self, host: u8, seconds: u64) {
        let now = self.now;
        let it = self.host(host);
        it.beat(now);
        it.hangs_until = now + seconds * 1000;
    }

    /// Whether the agent of a host takes a connection.
    pub(super) fn agent(&mut self, host: &str, by: usize) -> bool {
        let now = self.now;
        let Some(host) = self.host_named(host) else {
            return false;
        };
        let it = self.host(host);
        it.seen.entry(by).or_default().agent += 1;
        it.runs(now)
    }

    /// Answers a request of a process.
    pub(super) fn request(&mut self, request: &Request, by: usize) -> Answer {
        self.requests += 1;
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        if request.at.starts_with("bmc-") {
            return self.bmc(&request.at, &request.method, &parts, &body, by);
        }
        match (request.method.as_str(), parts.as_slice()) {
            ("POST", ["v3", "auth", "tokens"]) => self.log_in(),
            ("GET", ["v2.1"]) => answer(200, json!({"version": {"version": "2.93", "min_version": "2.1"}})),
            ("GET", ["v1"]) => answer(200, json!({"version": {"version": "1.2", "min_version": "1.0"}})),
            ("GET", ["v2.1", "os-services"]) => self.list_services(&request.query, by),
            (method, ["v2.1", parts @ ..]) => self.nova(method, parts, &request.query, &body),
            (method, ["v1", parts @ ..]) => self.ask_masakari(method, parts, &request.query, &body),
            _ => refusal(404, "the model has no such service"),
        }
    }

    fn log_in(&self) -> Answer {
        let mut catalog = vec![entry("compute", "http://cloud/v2.1")];
        if self.masakari {
            catalog.push(entry("instance-ha", "http://cloud/v1"));
        }
        let body = json!({"token": {"user": {"id": "u", "name": "daemon", "domain": {"name": "Default"}},
            "project": {"id": "p", "name": "service"}, "roles": [{"name": "admin"}], "catalog": catalog,
            "issued_at": "2026-11-21T06:53:49.000000Z", "expires_at": "2099-11-21T10:53:49.000000Z"}});
        Answer {
            headers: vec![("x-subject-token", "token".to_owned())],
            ..answer(201, body)
        }
    }
}

fn entry(kind: &str, url: &str) -> Value {
    json!({"type": kind, "name": kind, "id": kind,
        "endpoints": [{"interface": "public", "url": url, "region": "r", "region_id": "r", "id": kind}]})
}

impl Host {
    /// Whether nova-compute and the agent run.
    pub(super) fn runs(&self, now: u64) -> bool {
        self.on && self.runs_from.is_some_and(|from| from <= now) && self.hangs_until <= now
    }

    /// Reports, as often as it should have until now.
    fn beat(&mut self, now: u64) {
        if self.runs(now) {
            let from = self.runs_from.unwrap_or_default();
            self.last_beat = self.last_beat.max(now - (now - from) % BEAT_MS);
        }
    }

    /// Whether nova takes it for up.
    pub(super) fn is_up(&self, now: u64) -> bool {
        !self.forced_down && now.saturating_sub(self.last_beat) < DOWN_MS
    }

    /// Whether new instances may land on it.
    pub(super) fn takes(&self, now: u64) -> bool {
        self.enabled && self.is_up(now)
    }

    fn power_changed(&mut self, now: u64) {
        self.seen.clear();
        self.back_is_told = false;
        self.power_since = now;
    }
}
