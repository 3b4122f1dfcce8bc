//! A cloud with instances in which a host is about to be broken into, and what must be true of the world afterwards.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    lab::{Daemon, Lab, until},
    world::World,
};

/// A program that is in nobody's golden values.
pub const BACKDOOR: &str = "/usr/local/bin/backdoor";

/// A lab in `enforce` with four instances, and cmp-1 about to be broken into.
pub struct Scene {
    pub world: World,
    /// The instances on cmp-1.
    pub there: BTreeSet<String>,
    /// How much of the power switches' log is of earlier tests.
    switched: usize,
    /// How many notifications Masakari had before.
    notified: usize,
    pub lab: Lab,
}

/// A lab whose daemon takes condemned hosts out, by `recovery`, with times that suit a test.
pub fn enforcing(recovery: &str) -> Lab {
    let mut lab = Lab::take();
    lab.set("response", "mode", "enforce");
    lab.set("response", "recovery", recovery);
    // The lab's instances have their disks on the hosts; they may be made anew.
    lab.set("response", "local_disk", "rebuild");
    lab.set("response", "lease_s", 5);
    // A test breaks in as soon as its daemon runs.
    lab.set("response", "startup_grace_s", 0);
    lab.set("schedule", "cron", "*/2 * * * * *");
    lab.set("schedule", "jitter_s", 0);
    lab.set("fence", "off_polls", 2);
    // The lab's nova-compute reports every 2 s.
    lab.set("fence", "heartbeat_silence_s", 5);
    lab
}

impl Scene {
    /// As `enforcing`, with the hosts trusted and four instances on them.
    pub fn new(recovery: &str) -> Self {
        Self::of(enforcing(recovery), 4)
    }

    /// A lab that the test has set up otherwise, with so many instances.
    pub fn of(lab: Lab, instances: usize) -> Self {
        lab.trust(&["cmp-1", "cmp-2", "cmp-3"]);
        lab.lab(&["servers", &instances.to_string()]);
        let world = World::of(&lab);
        let there: BTreeSet<_> = world.servers_on("cmp-1").iter().map(id).collect();
        assert!(!there.is_empty(), "no instance on cmp-1");
        Self {
            there,
            switched: lab.power_log().len(),
            notified: world.notifications().len(),
            world,
            lab,
        }
    }

    /// Breaks into cmp-1, and waits for its case.
    #[track_caller]
    pub fn break_in(&self) -> String {
        self.break_into("cmp-1", BACKDOOR)
    }

    #[track_caller]
    pub fn break_into(&self, host: &str, program: &str) -> String {
        self.lab.measure(host, program);
        until(&format!("a case of {host}"), 40, || self.case_of(host))
    }

    /// The newest case of a host.
    pub fn case_of(&self, host: &str) -> Option<String> {
        let cases = self.lab.cases();
        let case = cases.iter().find(|case| case["host"] == host)?;
        case["id"].as_str().map(str::to_owned)
    }

    /// Waits until a case is in a state, and not in one that it cannot leave by itself.
    #[track_caller]
    pub fn state(&self, case: &str, state: &str) -> Value {
        until(&format!("the case is {state}"), 180, || {
            let shown = self.lab.case(case);
            if shown["state"] == state {
                return Some(shown);
            }
            let over = ["stuck", "held", "closed"];
            assert!(
                !over.contains(&shown["state"].as_str().unwrap_or("")),
                "{shown:#}"
            );
            None
        })
    }

    #[track_caller]
    pub fn closed(&self, case: &str) -> Value {
        let shown = self.state(case, "closed");
        timeline(&shown);
        shown
    }

    /// Waits until the journal has an entry with these words.
    #[track_caller]
    pub fn journal_says(&self, case: &str, words: &str, seconds: u64) {
        until(&format!("the journal says \"{words}\""), seconds, || {
            self.lab.case(case)["journal"]
                .to_string()
                .contains(words)
                .then_some(())
        });
    }

    /// How often the power of a host was really switched off in this test.
    pub fn switched_off(&self, host: &str) -> usize {
        let log = self.lab.power_log().split_off(self.switched);
        log.iter()
            .filter(|line| line.contains(host) && line.ends_with("off"))
            .count()
    }

    /// How many notifications Masakari got in this test.
    pub fn notified(&self) -> usize {
        self.world.notifications().len() - self.notified
    }

    /// Nothing was done beyond what is reversible: the host runs, and its instances are where they were.
    #[track_caller]
    pub fn nothing_is_lost(&self) {
        assert_eq!(self.lab.power("cmp-1"), "on");
        assert_eq!(self.switched_off("cmp-1"), 0);
        assert_eq!(self.world.service("cmp-1")["forced_down"], false);
        assert!(self.world.evacuations("cmp-1").is_empty());
        assert_eq!(
            self.world
                .servers_on("cmp-1")
                .iter()
                .map(id)
                .collect::<BTreeSet<_>>(),
            self.there
        );
    }

    /// The world after a whole response: everything that nova, the BMC and the guests' journal say.
    #[track_caller]
    pub fn host_is_out_and_instances_are_elsewhere(&self, case: &str) {
        let (lab, world) = (&self.lab, &self.world);
        let service = world.service("cmp-1");
        assert_eq!(service["status"], "disabled");
        assert_eq!(service["forced_down"], true);
        let reason = service["disabled_reason"].as_str().unwrap_or_default();
        assert!(reason.contains(case), "the reason names the case: {reason}");
        let aggregates = world.aggregates();
        let quarantine: Vec<_> = aggregates
            .iter()
            .filter(|one| one["hosts"].as_array().unwrap().contains(&"cmp-1".into()))
            .collect();
        assert_eq!(quarantine.len(), 1, "{aggregates:?}");
        assert!(quarantine[0]["availability_zone"].is_null());
        for host in quarantine[0]["hosts"].as_array().unwrap() {
            let host = host.as_str().unwrap();
            assert!(
                self.case_of(host).is_some(),
                "{host} is in quarantine without a case"
            );
        }
        assert_eq!(lab.power("cmp-1"), "off");
        assert_eq!(self.switched_off("cmp-1"), 1, "{:?}", lab.power_log());
        assert!(world.servers_on("cmp-1").is_empty());
        for server in world.servers() {
            assert_eq!(server["status"], "ACTIVE", "{server:#}");
        }
        self.each_was_evacuated_once();
        self.nothing_ran_twice();
    }

    /// Once, whatever happens: one evacuation for each instance, no more.
    #[track_caller]
    pub fn each_was_evacuated_once(&self) {
        let evacuations = self.world.evacuations("cmp-1");
        for instance in &self.there {
            let times = evacuations
                .iter()
                .filter(|one| one["instance_uuid"] == instance.as_str())
                .count();
            assert_eq!(
                times, 1,
                "{instance} was evacuated {times} times: {evacuations:?}"
            );
        }
    }

    /// By what the hypervisors wrote down, no guest ever ran on two hosts. The lab's command fails otherwise.
    #[track_caller]
    pub fn nothing_ran_twice(&self) {
        println!("{}", self.lab.lab(&["guests", "--history"]).trim());
    }

    /// What the world is like, without what differs from run to run: identifiers, times, and where the scheduler put
    /// an instance.
    pub fn end(&self, case: &str) -> Value {
        let service = self.world.service("cmp-1");
        let reason = service["disabled_reason"]
            .as_str()
            .unwrap_or_default()
            .replace(case, "CASE");
        let aggregates: Vec<Value> = self
            .world
            .aggregates()
            .iter()
            .map(|one| json!([one["name"], one["availability_zone"], one["hosts"]]))
            .collect();
        let mut instances: Vec<Value> = self
            .world
            .servers()
            .iter()
            .map(|one| json!([one["name"], one["status"], one["OS-EXT-SRV-ATTR:host"] == "cmp-1"]))
            .collect();
        instances.sort_by_key(ToString::to_string);
        let mut moved: Vec<Value> = self
            .world
            .evacuations("cmp-1")
            .iter()
            .map(|one| one["status"].clone())
            .collect();
        moved.sort_by_key(ToString::to_string);
        json!({
            "service": [service["status"], service["forced_down"], reason],
            "aggregates": aggregates,
            "instances": instances,
            "evacuations": moved,
            "power": self.lab.power("cmp-1"),
            "switched_off": self.switched_off("cmp-1"),
            "notified": self.notified(),
            "case": self.lab.case(case)["state"],
            "cases": self.lab.cases().len(),
        })
    }
}

pub fn id(server: &Value) -> String {
    server["id"].as_str().expect("id").to_owned()
}

/// How long each step took, for who reads the test's output.
pub fn timeline(case: &Value) {
    println!("case {} opened {}", case["id"], case["opened_at"]);
    for step in case["steps"].as_array().unwrap() {
        println!(
            "  {:<12} {} -> {}  {}",
            step["name"].as_str().unwrap(),
            step["started_at"],
            step["finished_at"],
            step["note"]
        );
    }
}

/// Waits until the daemon's log has these words.
#[track_caller]
pub fn told(daemon: &Daemon, words: &str, seconds: u64) {
    until(&format!("the daemon tells of {words}"), seconds, || {
        daemon.log().contains(words).then_some(())
    });
}
