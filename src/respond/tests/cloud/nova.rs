//! nova: services, aggregates, servers, evacuations and their records.

use serde_json::{Value, json};

use super::{Answer, Cloud, End, Guest, Host, Move, answer, id, name, refusal, stamp};

impl Cloud {
    pub(super) fn nova(&mut self, method: &str, parts: &[&str], query: &str, body: &Value) -> Answer {
        match (method, parts) {
            ("PUT", ["os-services", service]) => self.put_service(service, body),
            ("GET", ["os-aggregates"]) => {
                let rows: Vec<Value> = self.aggregates.iter().map(aggregate).collect();
                answer(200, json!({ "aggregates": rows }))
            }
            ("POST", ["os-aggregates"]) => self.make_aggregate(body),
            ("POST", ["os-aggregates", number, "action"]) => self.membership(number, body),
            ("GET", ["servers", "detail"]) => {
                let on = |guest: &Guest| {
                    query
                        .split('&')
                        .any(|part| part == format!("host={}", name(guest.host)))
                };
                let rows: Vec<Value> = self.listed().filter(|(_, guest)| on(guest)).map(row).collect();
                answer(200, json!({ "servers": rows }))
            }
            ("GET", ["servers", wanted]) => match self.listed().find(|(n, _)| id(*n) == *wanted) {
                Some(found) => answer(200, json!({ "server": row(found) })),
                None => refusal(404, "no such server"),
            },
            ("POST", ["servers", wanted, "action"]) => match self.number(wanted) {
                Some(n) if body.get("evacuate").is_some() => self.evacuate(n),
                Some(_) => refusal(400, "the model knows no such action"),
                None => refusal(404, "no such server"),
            },
            ("GET", ["os-migrations"]) => self.list_migrations(query),
            ("GET", ["os-server-groups"]) => self.list_groups(query),
            _ => refusal(404, "the model of nova has no such path"),
        }
    }

    fn listed(&self) -> impl Iterator<Item = (usize, &Guest)> {
        self.guests.iter().enumerate()
    }

    fn number(&self, wanted: &str) -> Option<usize> {
        let n = usize::from_str_radix(wanted.split('-').next()?, 16).ok()?;
        (n < self.guests.len() && id(n) == wanted).then_some(n)
    }

    pub(super) fn list_services(&mut self, query: &str, by: usize) -> Answer {
        let now = self.now;
        let mut rows = Vec::new();
        for index in 0..self.hosts.len() {
            let number = u8::try_from(index).unwrap();
            let host = &mut self.hosts[index];
            let asked = query.split('&').find_map(|part| part.strip_prefix("host="));
            if asked.is_some_and(|asked| asked != name(number).as_str()) {
                continue;
            }
            host.beat(now);
            host.seen.entry(by).or_default().heartbeat += 1;
            if asked.is_some() && host.came_back.is_some_and(|at| host.last_beat > at) {
                host.back_is_told = true;
            }
            rows.push(service(number, host, now));
        }
        answer(200, json!({ "services": rows }))
    }

    fn put_service(&mut self, wanted: &str, body: &Value) -> Answer {
        let now = self.now;
        let Some(host) = (0..self.hosts.len())
            .map(|n| u8::try_from(n).unwrap())
            .find(|n| service_id(*n) == wanted)
        else {
            return refusal(404, "no such service");
        };
        let called = name(host);
        let clears = body["forced_down"] == json!(false);
        let unfinished = |known: &Move| {
            known.source == host && matches!(known.status, "done" | "accepted" | "pre-migrating")
        };
        if clears && self.guests.iter().flat_map(|guest| &guest.moves).any(unfinished) {
            return refusal(
                400,
                "Unable to force up host: `done` evacuation migration records remain",
            );
        }
        if body["status"] == json!("disabled") {
            let it = self.host(host);
            it.enabled = false;
            it.reason = body["disabled_reason"].as_str().map(str::to_owned);
            if body["forced_down"].is_null() {
                self.did(format!("disable {called}"));
            }
        } else if body["status"] == json!("enabled") {
            let it = self.host(host);
            (it.enabled, it.reason) = (true, None);
            self.did(format!("enable {called}"));
        }
        if body["forced_down"] == json!(true) {
            let it = self.host(host);
            it.forced_down = true;
            self.did(format!("force down {called}"));
        } else if clears {
            self.host(host).forced_down = false;
            self.did(format!("no longer force down {called}"));
        }
        let it = self.host(host);
        it.last_write = now;
        let enabled = it.enabled && it.forced_down;
        if enabled {
            self.breaks(
                "down_means_disabled",
                format!("{called} was left forced down and enabled"),
            );
        }
        let it = self.host(host);
        answer(200, json!({ "service": service(host, it, now) }))
    }

    fn make_aggregate(&mut self, body: &Value) -> Answer {
        let called = body["aggregate"]["name"].as_str().unwrap_or_default().to_owned();
        if self.aggregates.contains_key(&called) {
            return refusal(409, format!("Aggregate {called} already exists."));
        }
        let number = u64::try_from(self.aggregates.len()).unwrap() + 1;
        self.did(format!("make aggregate {called}"));
        self.aggregates
            .insert(called.clone(), (number, Default::default()));
        let made = self.aggregates.get_key_value(&called).map(aggregate);
        answer(200, json!({ "aggregate": made }))
    }

    fn membership(&mut self, number: &str, body: &Value) -> Answer {
        let asked = |what: &str| body[what]["host"].as_str().and_then(|host| self.host_named(host));
        let (add, remove) = (asked("add_host"), asked("remove_host"));
        let Some((called, (_, members))) = self
            .aggregates
            .iter_mut()
            .find(|(_, known)| known.0.to_string() == number)
        else {
            return refusal(404, "no such aggregate");
        };
        let called = called.clone();
        let done = match (add, remove) {
            (Some(host), _) if members.insert(host) => format!("add {} to aggregate {called}", name(host)),
            (Some(_), _) => return refusal(409, format!("Aggregate {number} already has host.")),
            (_, Some(host)) if members.remove(&host) => {
                format!("remove {} from aggregate {called}", name(host))
            }
            (_, Some(_)) => return refusal(404, "Cannot remove host in aggregate"),
            _ => return refusal(404, "Compute host could not be found."),
        };
        self.did(done);
        let now = self.aggregates.get_key_value(&called).map(aggregate);
        answer(200, json!({ "aggregate": now }))
    }

    /// As nova does: it looks at the state of the source and of the instance, and not at whether one runs already.
    pub(super) fn evacuate(&mut self, n: usize) -> Answer {
        let now = self.now;
        let source = self.guests[n].host;
        if self.hosts[usize::from(source)].is_up(now) {
            return refusal(400, "Compute service is still in use.");
        }
        let guest = &self.guests[n];
        if !matches!(guest.vm_state, "active" | "stopped" | "error") {
            return refusal(
                409,
                format!(
                    "Cannot 'evacuate' instance while it is in vm_state {}",
                    guest.vm_state
                ),
            );
        }
        if guest.ends.first() == Some(&End::Refused) {
            return refusal(
                400,
                "Evacuation is not supported for instances with a virtual TPM",
            );
        }
        self.did(format!("evacuate {}", id(n)));
        if self.guests[n].moves.iter().any(Move::is_open) {
            self.guests[n].vm_state = "error";
            self.breaks(
                "never_evacuated_twice",
                format!("guest {n} evacuated while it is being evacuated"),
            );
        }
        if self.guests[n].group {
            let moving = |guest: &&Guest| guest.group && guest.moves.iter().any(Move::is_open);
            if self.guests.iter().filter(moving).count() > 0 {
                self.breaks(
                    "groups_one_by_one",
                    format!("guest {n} and another of its group at once"),
                );
            }
        }
        let guest = &mut self.guests[n];
        let end = if guest.ends.is_empty() {
            End::Done
        } else {
            guest.ends.remove(0)
        };
        let took = match end {
            End::Slow => 600_000,
            _ => 2000 + u64::try_from(n % 3).unwrap() * 1500,
        };
        guest.task = true;
        guest.moves.push(Move {
            status: "accepted",
            source,
            to: None,
            at: now,
            ends_at: now + took,
            end,
        });
        Answer {
            status: 200,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// Evacuations whose time has come end.
    pub(super) fn moves_on(&mut self) {
        let now = self.now;
        for n in 0..self.guests.len() {
            for index in 0..self.guests[n].moves.len() {
                let known = &self.guests[n].moves[index];
                if !known.is_open() || known.ends_at > now {
                    continue;
                }
                let (source, end) = (known.source, known.end);
                let to = self.destination(n, source);
                let guest = &mut self.guests[n];
                guest.task = false;
                let known = &mut guest.moves[index];
                match (end, to) {
                    (End::Failed, _) => known.status = "failed",
                    (_, None) => {
                        known.status = "error";
                        guest.vm_state = "error";
                    }
                    (_, Some(to)) => {
                        known.status = "done";
                        known.to = Some(to);
                        guest.host = to;
                        if guest.vm_state == "error" {
                            guest.vm_state = "active";
                        }
                        if guest.vm_state == "active" {
                            guest.runs_on.insert(to);
                        }
                        self.runs_once(n);
                    }
                }
            }
        }
    }

    fn runs_once(&mut self, n: usize) {
        let on = &self.guests[n].runs_on;
        if on.len() > 1 {
            let words = format!("guest {n} runs on the hosts {on:?} at once");
            self.breaks("never_on_two_hosts", words);
        }
    }

    fn destination(&self, n: usize, source: u8) -> Option<u8> {
        let member_there = |host: u8| {
            let other = |(other, guest): &(usize, &Guest)| *other != n && guest.group && guest.host == host;
            self.guests[n].group && self.listed().any(|pair| other(&pair))
        };
        let load = |host: &u8| self.guests.iter().filter(|guest| guest.host == *host).count();
        (0..self.hosts.len())
            .map(|host| u8::try_from(host).unwrap())
            .filter(|host| *host != source && !member_there(*host))
            .filter(|host| {
                let it = &self.hosts[usize::from(*host)];
                it.takes(self.now) && it.runs(self.now)
            })
            .min_by_key(load)
    }

    fn list_migrations(&self, query: &str) -> Answer {
        let value = |key: &str| {
            let mut parts = query.split('&').filter_map(|part| part.split_once('='));
            parts.find(|(known, _)| *known == key).map(|(_, value)| value)
        };
        let mut rows = Vec::new();
        for (n, guest) in self.listed() {
            if value("instance_uuid").is_some_and(|wanted| wanted != id(n)) {
                continue;
            }
            for (index, known) in guest.moves.iter().enumerate() {
                let source = name(known.source);
                if value("source_compute").is_some_and(|wanted| wanted != source.as_str()) {
                    continue;
                }
                rows.push(json!({"uuid": format!("m-{n}-{index}"), "instance_uuid": id(n), "status": known.status,
                    "migration_type": "evacuation", "source_compute": source, "dest_compute": known.to.map(name),
                    "user_id": "u", "project_id": "p", "created_at": stamp(known.at), "updated_at": null}));
            }
        }
        answer(200, json!({ "migrations": rows }))
    }

    fn list_groups(&self, query: &str) -> Answer {
        let members: Vec<String> = self
            .listed()
            .filter(|(_, guest)| guest.group)
            .map(|(n, _)| id(n))
            .collect();
        let offset = query.split('&').find_map(|part| part.strip_prefix("offset="));
        if members.is_empty() || offset.is_some_and(|offset| offset != "0") {
            return answer(200, json!({ "server_groups": [] }));
        }
        answer(
            200,
            json!({"server_groups": [{"id": GROUP, "name": "apart", "policy": "anti-affinity",
            "policies": ["anti-affinity"], "rules": {}, "members": members, "project_id": "p", "user_id": "u",
            "metadata": {}}]}),
        )
    }
}

const GROUP: &str = "99999999-0000-4000-8000-000000000000";

fn service_id(host: u8) -> String {
    id(1000 + usize::from(host))
}

fn service(number: u8, host: &Host, now: u64) -> Value {
    json!({"binary": "nova-compute", "host": name(number), "id": service_id(number), "zone": "nova",
        "status": if host.enabled { "enabled" } else { "disabled" },
        "state": if host.is_up(now) { "up" } else { "down" },
        // Writes through the API move it as well as reports do.
        "updated_at": stamp(host.last_beat.max(host.last_write)),
        "disabled_reason": host.reason, "forced_down": host.forced_down})
}

fn aggregate((called, (number, members)): (&String, &(u64, std::collections::BTreeSet<u8>))) -> Value {
    let hosts: Vec<_> = members.iter().map(|host| name(*host)).collect();
    json!({"id": number, "name": called, "availability_zone": null, "hosts": hosts, "metadata": {}})
}

fn row((n, guest): (usize, &Guest)) -> Value {
    let status = match (guest.task, guest.vm_state) {
        (true, _) => "REBUILD",
        (_, "stopped") => "SHUTOFF",
        (_, "error") => "ERROR",
        (_, "paused") => "PAUSED",
        _ => "ACTIVE",
    };
    let group: Vec<&str> = if guest.group { vec![GROUP] } else { Vec::new() };
    json!({"id": id(n), "status": status, "tenant_id": "p", "user_id": "u", "name": format!("web-{n}"),
        "OS-EXT-SRV-ATTR:host": name(guest.host), "OS-EXT-SRV-ATTR:hypervisor_hostname": name(guest.host),
        "OS-EXT-STS:vm_state": guest.vm_state, "OS-EXT-STS:task_state": guest.task.then_some("rebuilding"),
        "OS-EXT-STS:power_state": 1, "OS-EXT-AZ:availability_zone": "nova",
        "os-extended-volumes:volumes_attached": [], "locked": false, "locked_reason": null, "tags": [],
        "image": if guest.local { json!({"id": "i"}) } else { json!("") }, "server_groups": group,
        "flavor": {"original_name": "m1", "vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0, "swap": 0, "extra_specs": {}},
        "created": "2026-11-21T06:53:47Z"})
}
