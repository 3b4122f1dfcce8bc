//! The whole response, through Masakari and through nova, and what it never does.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    lab::{Lab, until},
    world::World,
};

const BACKDOOR: &str = "/usr/local/bin/backdoor";

/// A lab in `enforce` with four instances; the host that will be broken into, and the instances on it.
fn prepared(recovery: &str) -> (Lab, World, BTreeSet<String>) {
    let mut lab = Lab::take();
    lab.set("response", "mode", "enforce");
    lab.set("response", "recovery", recovery);
    // The lab's instances have their disks on the hosts; they may be made anew.
    lab.set("response", "local_disk", "rebuild");
    lab.set("schedule", "cron", "*/2 * * * * *");
    lab.set("schedule", "jitter_s", 0);
    lab.trust(&["cmp-1", "cmp-2", "cmp-3"]);
    lab.lab(&["servers", "4"]);
    let world = World::of(&lab);
    let there: BTreeSet<_> = world.servers_on("cmp-1").iter().map(id).collect();
    assert!(!there.is_empty(), "no instance on cmp-1");
    (lab, world, there)
}

fn id(server: &Value) -> String {
    server["id"].as_str().expect("id").to_owned()
}

fn the_case(lab: &Lab) -> String {
    until("a case", 30, || {
        lab.cases()
            .first()
            .map(|case| case["id"].as_str().expect("id").to_owned())
    })
}

#[track_caller]
fn closed(lab: &Lab, case: &str) -> Value {
    until("the case is closed", 180, || {
        let shown = lab.case(case);
        assert!(
            !matches!(shown["state"].as_str(), Some("stuck" | "held")),
            "{shown:#}"
        );
        (shown["state"] == "closed").then_some(shown)
    })
}

/// The world after a whole response: everything that nova, Masakari, the BMC and the guests' journal say.
#[track_caller]
fn host_is_out_and_instances_are_elsewhere(lab: &Lab, world: &World, case: &str, there: &BTreeSet<String>) {
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
    assert_eq!(
        quarantine[0]["hosts"].as_array().unwrap().len(),
        1,
        "nobody else is in quarantine"
    );
    assert_eq!(lab.power("cmp-1"), "off");
    assert!(world.servers_on("cmp-1").is_empty());
    for server in world.servers() {
        assert_eq!(server["status"], "ACTIVE", "{server:#}");
    }
    // Once, whatever happens: one evacuation for each instance, no more.
    let evacuations = world.evacuations("cmp-1");
    let moved: BTreeSet<_> = evacuations
        .iter()
        .map(|one| one["instance_uuid"].as_str().unwrap().to_owned())
        .collect();
    assert!(there.is_subset(&moved), "{evacuations:?}");
    for instance in there {
        let times = evacuations
            .iter()
            .filter(|one| one["instance_uuid"] == instance.as_str())
            .count();
        assert_eq!(times, 1, "{instance} was evacuated {times} times");
    }
    // By what the hypervisors wrote down, no guest ever ran on two hosts. The lab's command fails otherwise.
    println!("{}", lab.lab(&["guests", "--history"]).trim());
}

fn timeline(case: &Value) {
    let opened = case["opened_at"].as_str().unwrap();
    println!(
        "case {} opened {opened}, recovery {}",
        case["id"], case["plan"]["plan"]["recovery"]
    );
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

#[test]
fn a_compromised_host_goes_through_the_whole_response_by_masakari() {
    let (lab, world, there) = prepared("masakari");
    let notifications = world.notifications().len();
    let daemon = lab.serve();
    until("three verdicts", 30, || {
        lab.hosts()
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["verdict"] == "affirming")
            .then_some(())
    });
    lab.measure("cmp-1", BACKDOOR);
    let case = the_case(&lab);
    let shown = closed(&lab, &case);
    timeline(&shown);
    host_is_out_and_instances_are_elsewhere(&lab, &world, &case, &there);
    let now = world.notifications();
    assert_eq!(now.len(), notifications + 1, "one notification");
    assert_eq!(now[0]["status"], "finished");

    // The report, in every form, tells what happened.
    for format in ["json", "markdown", "html"] {
        let report = lab.lazaret(&["report", &case, "--format", format]).expect(0).out;
        for word in [BACKDOOR, "cmp-1", "ima-file-unknown", case.as_str()] {
            assert!(report.contains(word), "{word} is missing in the {format} report");
        }
        for instance in &there {
            assert!(
                report.contains(instance),
                "{instance} is missing in the {format} report"
            );
        }
        assert!(
            report.to_lowercase().contains("message bus"),
            "what to rotate is missing in the {format} report"
        );
        assert!(
            !report.contains("lab-only-"),
            "a secret is in the {format} report"
        );
    }
    // What condemned it is kept, and condemns again, offline, by the commands that the report names.
    let json = lab
        .lazaret(&["report", &case, "--format", "json"])
        .expect(0)
        .json();
    let advice = format!(
        "lazaret quarantine evidence {case} -o DIR && lazaret verify-host --replay DIR/cmp-1-confirmed.bundle"
    );
    assert_eq!(json["replay"], advice);
    let evidence = lab.path("evidence");
    lab.lazaret(&["quarantine", "evidence", &case, "-o", evidence.to_str().unwrap()])
        .expect(0);
    assert!(evidence.join("cmp-1-confirmed.bundle").is_file());
    let mut bundles = 0;
    for bundle in std::fs::read_dir(&evidence).unwrap() {
        let bundle = bundle.unwrap().path();
        lab.lazaret(&["verify-host", "--replay", bundle.to_str().unwrap()])
            .expect(20);
        bundles += 1;
    }
    assert_eq!(bundles, 2, "the round that condemned and the one that confirmed");
    assert!(!daemon.log().contains("lab-only-"), "a secret is in the log");
    // Our own writes and Masakari's move what nova shows as the heartbeat; that is no sign of life.
    assert!(
        !daemon.log().contains("tampering-suspected"),
        "a false alarm: {}",
        daemon.log()
    );
    drop(daemon);

    // It comes back only by a person and a passing quote.
    lab.lazaret(&["quarantine", "release", "cmp-1"]).expect(30);
    lab.lab(&["host", "power-on", "cmp-1"]);
    let said = lab.lazaret(&["quarantine", "release", "cmp-1"]).expect(0);
    assert!(
        said.out.contains("lazaret-quarantine") && said.out.contains("--enable cmp-1"),
        "{}",
        said.out
    );
    lab.lazaret(&["quarantine", "release", "cmp-1"]).expect(65);
}

#[test]
fn a_compromised_host_goes_through_the_whole_response_by_nova() {
    let (lab, world, there) = prepared("nova");
    let notifications = world.notifications().len();
    let _daemon = lab.serve();
    lab.measure("cmp-1", BACKDOOR);
    let case = the_case(&lab);
    let shown = closed(&lab, &case);
    timeline(&shown);
    host_is_out_and_instances_are_elsewhere(&lab, &world, &case, &there);
    assert_eq!(
        world.notifications().len(),
        notifications,
        "Masakari was not asked"
    );
}

#[test]
fn a_daemon_that_was_killed_in_the_middle_goes_on_and_does_nothing_twice() {
    for step in ["isolate", "fence", "evacuate"] {
        let (lab, world, there) = prepared("masakari");
        let notifications = world.notifications().len();
        let switched = lab.power_log().len();
        let daemon = lab.serve();
        lab.measure("cmp-1", BACKDOOR);
        let case = the_case(&lab);
        until(&format!("step {step} has begun"), 120, || {
            let steps = lab.case(&case)["steps"].clone();
            let one = steps.as_array()?.iter().find(|one| one["name"] == step)?.clone();
            (one["state"] != "pending").then_some(())
        });
        daemon.kill();
        println!("killed in {step}: {}", lab.case(&case)["steps"]);
        let daemon = lab.serve();
        let shown = closed(&lab, &case);
        timeline(&shown);
        host_is_out_and_instances_are_elsewhere(&lab, &world, &case, &there);
        assert_eq!(
            world.notifications().len(),
            notifications + 1,
            "killed in {step}: one notification"
        );
        let switched: Vec<_> = lab.power_log().split_off(switched);
        let off = switched
            .iter()
            .filter(|line| line.contains("cmp-1") && line.ends_with("off"))
            .count();
        assert_eq!(off, 1, "killed in {step}: {switched:?}");
        assert_eq!(lab.cases().len(), 1, "one case");
        drop(daemon);
    }
}

#[test]
fn a_bmc_that_refuses_leaves_the_host_disabled_and_nothing_evacuated() {
    let (mut lab, world, there) = prepared("masakari");
    let wrong = lab.path("wrong-bmc-password");
    std::fs::write(&wrong, "not-the-password\n").unwrap();
    lab.fence("cmp-1", |methods| {
        methods.truncate(1);
        methods[0]["password_file"] = wrong.display().to_string().into();
    });
    lab.set("response", "step_attempts", 2);
    let daemon = lab.serve();
    lab.measure("cmp-1", BACKDOOR);
    let case = the_case(&lab);
    let shown = until("the case is stuck", 180, || {
        let shown = lab.case(&case);
        (shown["state"] == "stuck").then_some(shown)
    });
    let reason = shown["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("fence") || reason.contains("power"), "{reason}");
    let service = world.service("cmp-1");
    assert_eq!(service["status"], "disabled");
    assert_eq!(
        service["forced_down"], false,
        "not forced down before it was seen off"
    );
    assert_eq!(lab.power("cmp-1"), "on");
    assert!(world.evacuations("cmp-1").is_empty());
    assert_eq!(
        world.servers_on("cmp-1").iter().map(id).collect::<BTreeSet<_>>(),
        there
    );

    // A person mends it, restarts the daemon and lets the case go on.
    drop(daemon);
    let right = lab.host("cmp-1")["bmc_password_file"]
        .as_str()
        .unwrap()
        .to_owned();
    lab.fence("cmp-1", |methods| methods[0]["password_file"] = right.into());
    let _daemon = lab.serve();
    lab.lazaret(&["quarantine", "approve", &case]).expect(0);
    closed(&lab, &case);
    host_is_out_and_instances_are_elsewhere(&lab, &world, &case, &there);
}

/// The Redfish BMC refuses; the fence-agent over IPMI does it.
#[test]
fn the_next_fence_method_is_used_when_the_first_refuses() {
    let (mut lab, world, there) = prepared("nova");
    let wrong = lab.path("wrong-bmc-password");
    std::fs::write(&wrong, "not-the-password\n").unwrap();
    lab.fence("cmp-1", |methods| {
        methods[0]["password_file"] = wrong.display().to_string().into()
    });
    let daemon = lab.serve();
    lab.measure("cmp-1", BACKDOOR);
    let case = the_case(&lab);
    let shown = closed(&lab, &case);
    timeline(&shown);
    host_is_out_and_instances_are_elsewhere(&lab, &world, &case, &there);
    let report = lab.lazaret(&["report", &case, "--format", "json"]).expect(0).out;
    assert!(report.contains("fence_ipmilan"), "{report}");
    assert!(!daemon.log().contains("not-the-password") && !report.contains("not-the-password"));
}

/// The last host that takes instances is held for a person, whatever it shows.
#[test]
fn the_last_host_of_a_zone_is_held() {
    let (lab, world, there) = prepared("nova");
    for host in ["cmp-2", "cmp-3"] {
        lab.lab(&["host", "kill-compute", host]);
    }
    until("nova sees the others down", 60, || {
        ["cmp-2", "cmp-3"]
            .iter()
            .all(|host| world.service(host)["state"] == "down")
            .then_some(())
    });
    let _daemon = lab.serve();
    lab.measure("cmp-1", BACKDOOR);
    let case = the_case(&lab);
    let shown = until("the case is held", 60, || {
        let shown = lab.case(&case);
        (shown["state"] == "held").then_some(shown)
    });
    println!("held: {}", shown["reason"]);
    assert_eq!(lab.power("cmp-1"), "on");
    assert_eq!(
        world.servers_on("cmp-1").iter().map(id).collect::<BTreeSet<_>>(),
        there
    );
    // A person decides against it.
    let because = "the others are down for maintenance";
    lab.lazaret(&["quarantine", "dismiss", &case, "--because", because])
        .expect(0);
    assert_eq!(lab.case(&case)["state"], "closed");
    assert!(lab.case(&case)["reason"].as_str().unwrap().contains(because));
    assert_eq!(world.service("cmp-1")["status"], "enabled");
    assert!(lab.hosts()[0]["quarantined_by"].is_null());
}
