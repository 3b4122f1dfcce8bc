//! nova: services, aggregates, servers, evacuations and their migrations.

use serde_json::{Value, json};

use super::{Guest, State, id};
use crate::openstack::scripted::{Answer, answer};

impl State {
    pub(super) fn list_services(&mut self, query: &str) -> Answer {
        if !self.off && !self.booting {
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

    pub(super) fn put_service(&mut self, wanted: &str, body: &Value) -> Answer {
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
        if body["status"] == json!("enabled") {
            (state.0, state.1) = (true, None);
            self.effects.push(format!("enable {host}"));
            if state.2 {
                self.violations.push(format!("{host} forced down and enabled"));
            }
        }
        if body["forced_down"] == json!(false) {
            let done = |guest: &Guest| guest.moves.iter().any(|known| known.0 == "done");
            if self.guests.values().any(done) {
                return answer(
                    400,
                    r#"{"badRequest": {"message": "Unable to force up host cmp-1 as `done` evacuation migration records remain"}}"#,
                );
            }
            state.2 = false;
            self.effects.push(format!("raise {host}"));
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

    pub(super) fn list_aggregates(&self) -> Answer {
        let rows: Vec<Value> = self.aggregates.iter().map(aggregate).collect();
        answer(200, json!({ "aggregates": rows }).to_string())
    }

    pub(super) fn make_aggregate(&mut self, body: &Value) -> Answer {
        let name = body["aggregate"]["name"].as_str().unwrap().to_owned();
        if self.aggregates.contains_key(&name) {
            return answer(409, r#"{"conflictingRequest": {"message": "already exists"}}"#);
        }
        self.effects.push(format!("make {name}"));
        self.aggregates.insert(name.clone(), (7, None, vec![]));
        let row = aggregate(self.aggregates.get_key_value(&name).unwrap());
        answer(200, json!({ "aggregate": row }).to_string())
    }

    pub(super) fn membership(&mut self, number: &str, body: &Value) -> Answer {
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

    pub(super) fn evacuate(&mut self, server: &str) -> Answer {
        if self.raised_by_another > 0 {
            self.raised_by_another -= 1;
            self.services.get_mut("cmp-1").unwrap().2 = false;
        }
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
        if self.group_policy.is_some_and(|policy| !policy.contains("anti")) {
            return;
        }
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
    pub(super) fn migrations(&mut self, query: &str) -> Answer {
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
        if let Some(n) = self.live.filter(|n| query.contains(&id(*n))) {
            rows.push(json!({"uuid": "l-1", "instance_uuid": id(n), "status": "running",
                "migration_type": "live-migration", "source_compute": "cmp-3", "dest_compute": "cmp-2", "user_id": "u",
                "project_id": "p", "created_at": "2026-11-21T06:00:00.000000", "updated_at": "2026-11-21T06:01:00.000000"}));
        }
        if let Some(status) = self
            .resized
            .filter(|_| !query.contains("migration_type=evacuation"))
        {
            rows.push(
                json!({"uuid": "r-1", "instance_uuid": id(1), "status": status, "migration_type": "resize",
                "source_compute": "cmp-1", "dest_compute": "cmp-2", "user_id": "u", "project_id": "p",
                "created_at": "2026-11-21T06:00:00.000000", "updated_at": null}),
            );
        }
        answer(200, json!({ "migrations": rows }).to_string())
    }

    pub(super) fn list_hypervisors(&self) -> Answer {
        let rows: Vec<Value> = self
            .services
            .iter()
            .map(|(host, (enabled, _, forced_down))| {
                json!({"id": service_id(host), "hypervisor_hostname": host, "service": {"host": host},
                    "state": if *forced_down { "down" } else { "up" },
                    "status": if *enabled { "enabled" } else { "disabled" }})
            })
            .collect();
        answer(200, json!({ "hypervisors": rows }).to_string())
    }

    pub(super) fn candidates(&self) -> Answer {
        let rows: serde_json::Map<String, Value> = self
            .services
            .keys()
            .map(|host| {
                let (vcpus, memory) = self.free.get(host).copied().unwrap_or((8, 8192));
                let resources = json!({"VCPU": {"capacity": vcpus + 1, "used": 1},
                    "MEMORY_MB": {"capacity": memory + 64, "used": 64}});
                (service_id(host), json!({ "resources": resources }))
            })
            .collect();
        answer(
            200,
            json!({"allocation_requests": [], "provider_summaries": rows}).to_string(),
        )
    }

    pub(super) fn list_groups(&self, query: &str) -> Answer {
        let mut groups: std::collections::BTreeMap<&str, Vec<String>> = Default::default();
        for (n, guest) in &self.guests {
            if let Some(group) = &guest.group {
                groups.entry(group).or_default().push(id(*n));
            }
        }
        let policy = self.group_policy.unwrap_or("anti-affinity");
        let skip = query
            .split('&')
            .find_map(|part| part.strip_prefix("offset=")?.parse().ok())
            .unwrap_or(0);
        let rows: Vec<Value> = groups
            .iter()
            .skip(skip)
            .map(|(group, members)| json!({"id": group, "name": group, "policy": policy, "rules": {}, "members": members}))
            .collect();
        answer(200, json!({ "server_groups": rows }).to_string())
    }

    pub(super) fn list_servers(&self, query: &str) -> Answer {
        let on: Vec<Value> = self
            .guests
            .iter()
            .filter(|(_, guest)| query.contains(&format!("host={}", guest.host)))
            .map(|(n, guest)| row(*n, guest))
            .collect();
        answer(200, json!({ "servers": on }).to_string())
    }

    pub(super) fn show_server(&self, wanted: &str) -> Answer {
        match self.guests.iter().find(|(n, _)| id(**n) == wanted) {
            Some((n, guest)) => answer(200, json!({ "server": row(*n, guest) }).to_string()),
            None => answer(404, r#"{"itemNotFound": {"message": "no such server"}}"#),
        }
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
