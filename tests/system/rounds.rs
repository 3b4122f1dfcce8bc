//! The schedule: every host in its time, none held up by another, silence never punished.

use super::{
    lab::{Lab, until},
    world::World,
};

#[test]
fn every_host_is_attested_on_its_schedule_and_a_silent_one_delays_nobody() {
    let mut lab = Lab::take();
    lab.trust(&["cmp-1", "cmp-2", "cmp-3"]);
    lab.set("schedule", "cron", "*/2 * * * * *");
    lab.set("schedule", "jitter_s", 0);
    lab.set("schedule", "round_deadline_s", 20);
    let daemon = lab.serve();
    for host in ["cmp-1", "cmp-2", "cmp-3"] {
        until(&format!("{host} attested"), 20, || {
            lab.verdict(host).filter(|verdict| verdict == "affirming")
        });
    }
    println!("daemon: {} KiB resident", daemon.memory_kib());

    // cmp-2's agent hangs: it takes the connection and says nothing.
    lab.lab(&["host", "silence", "cmp-2"]);
    let before = (lab.attested_at("cmp-1"), lab.attested_at("cmp-3"));
    until("the others go on", 10, || {
        let now = (lab.attested_at("cmp-1"), lab.attested_at("cmp-3"));
        (now.0 != before.0 && now.1 != before.1).then_some(())
    });
    until("cmp-2 is Indeterminate", 60, || {
        lab.verdict("cmp-2").filter(|verdict| verdict == "indeterminate")
    });
    // It is recorded, and that is all.
    let world = World::of(&lab);
    assert_eq!(world.service("cmp-2")["status"], "enabled");
    assert_eq!(lab.power("cmp-2"), "on");
    assert!(lab.cases().is_empty());
    lab.lab(&["host", "speak", "cmp-2"]);
    until("cmp-2 is Affirming again", 60, || {
        lab.verdict("cmp-2").filter(|verdict| verdict == "affirming")
    });
    assert_eq!(daemon.stop(), 0, "SIGTERM ends the daemon in order");
}

#[test]
fn observe_records_and_notifies_and_touches_nothing() {
    let mut lab = Lab::take();
    lab.trust(&["cmp-1", "cmp-2"]);
    lab.set("response", "mode", "observe");
    lab.set("schedule", "cron", "*/2 * * * * *");
    lab.set("schedule", "jitter_s", 0);
    let world = World::of(&lab);
    let power = lab.power_log();
    lab.lab(&["servers", "2"]);
    let daemon = lab.serve();
    lab.measure("cmp-1", "/usr/local/bin/backdoor");
    until("cmp-1 is condemned", 30, || {
        lab.verdict("cmp-1")
            .filter(|verdict| verdict == "contraindicated")
    });
    until("the condemnation is notified", 30, || {
        daemon.log().contains("host-condemned").then_some(())
    });
    // Many more rounds.
    let first = lab.attested_at("cmp-1");
    until("more rounds", 30, || {
        (lab.attested_at("cmp-1") != first).then_some(())
    });
    assert_eq!(lab.verdict("cmp-2").as_deref(), Some("affirming"));

    let service = world.service("cmp-1");
    assert_eq!(service["status"], "enabled");
    assert_eq!(service["forced_down"], false);
    assert!(service["disabled_reason"].is_null(), "{service}");
    assert!(world.aggregates().is_empty(), "no aggregate was made");
    assert!(world.evacuations("cmp-1").is_empty());
    assert_eq!(world.servers().len(), 2);
    assert_eq!(lab.power_log(), power, "no power switch was touched");
    assert!(lab.cases().is_empty());
    drop(daemon);
}

/// 78: a verdict that nobody renews is shown as stale after three intervals, and not before.
#[test]
fn case_78_a_verdict_is_stale_after_three_intervals_without_a_result() {
    let mut lab = Lab::take();
    lab.trust(&["cmp-1"]);
    lab.set("schedule", "cron", "*/2 * * * * *");
    lab.set("schedule", "jitter_s", 0);
    let daemon = lab.serve();
    until("cmp-1 attested", 20, || {
        lab.verdict("cmp-1").filter(|verdict| verdict == "affirming")
    });
    daemon.kill();
    let last: chrono::DateTime<chrono::Utc> = lab.attested_at("cmp-1").unwrap().parse().unwrap();
    let age = until("it is stale", 60, || {
        let row = lab.hosts()[0].clone();
        // Looked at after it was asked for: it is at least as old as it was then.
        let age = chrono::Utc::now() - last;
        assert_eq!(row["verdict"], "affirming", "the verdict itself stays");
        row["stale"].as_bool().unwrap().then_some(age)
    });
    assert!(age >= chrono::TimeDelta::seconds(6), "stale after {age}");
    println!("stale after {age}");
}
