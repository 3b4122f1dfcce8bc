//! A quarantined host that does not stay where it was put: rows 20 to 23 of the cases of a response.

use serde_json::{Value, json};

use super::{
    lab::{Daemon, until},
    scene::{Scene, enforcing},
};

/// 22: another tool enables the service. 20: the host powers itself on. 21: another tool powers it on, through its own
/// way to the BMC. 23: the host clears its own flags. Each is put back, alarmed and written down, one after another, on
/// one quarantined host.
///
/// The lab has no Ironic, so that 21's maintenance in it is not shown here.
#[test]
fn case_20_21_22_23_what_was_undone_is_put_back_and_alarmed() {
    let mut lab = enforcing("nova");
    lab.set("response", "holddown_interval_s", 1);
    let scene = Scene::of(lab, 4);
    let daemon = scene.lab.serve();
    let case = scene.break_in();
    scene.closed(&case);
    scene.host_is_out_and_instances_are_elsewhere(&case);
    let left = left(&scene);

    // 22
    scene.world.update_service("cmp-1", &json!({"status": "enabled"}));
    put_back(&scene, &daemon, &case, "ENABLED", 1);
    assert_eq!(scene.switched_off("cmp-1"), 1);
    assert_eq!(self::left(&scene), left);

    // 20
    scene.lab.lab(&["host", "power-on", "cmp-1"]);
    until("fenced again", 60, || {
        (scene.switched_off("cmp-1") == 2).then_some(())
    });
    put_back(&scene, &daemon, &case, "NOT OFF", 1);
    assert_eq!(scene.lab.power("cmp-1"), "off");
    assert_eq!(self::left(&scene), left);

    // 21
    scene.lab.lab(&["ipmi", "cmp-1", "on"]);
    until("fenced again", 60, || {
        (scene.switched_off("cmp-1") == 3).then_some(())
    });
    put_back(&scene, &daemon, &case, "NOT OFF", 2);
    assert_eq!(scene.lab.power("cmp-1"), "off");
    assert_eq!(self::left(&scene), left);

    // 23
    scene.lab.lab(&["host", "clear-flags", "cmp-1"]);
    let aggregates = scene.world.aggregates();
    assert!(
        aggregates[0]["hosts"].to_string().contains("cmp-1"),
        "the aggregate still holds: {aggregates:?}"
    );
    put_back(&scene, &daemon, &case, "NOT FORCED DOWN", 1);
    assert_eq!(self::left(&scene), left);
    assert_eq!(scene.switched_off("cmp-1"), 3, "it was off");
    scene.nothing_ran_twice();
    scene.each_was_evacuated_once();
    let journal = scene.lab.case(&case)["journal"].clone();
    for entry in journal
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["step"] == "hold-down")
    {
        println!("  {} {}", entry["at"], entry["detail"]["says"]);
    }
}

/// The quarantine, as nova has it.
fn left(scene: &Scene) -> Value {
    let service = scene.world.service("cmp-1");
    let keys = ["status", "forced_down", "disabled_reason"];
    let service: Vec<Value> = keys.iter().map(|key| service[*key].clone()).collect();
    let aggregates: Vec<Value> = scene
        .world
        .aggregates()
        .iter()
        .map(|one| one["hosts"].clone())
        .collect();
    json!([service, aggregates, scene.world.servers_on("cmp-1").len()])
}

/// Waits until the drift was told so often, and until the journal says that it was put back.
#[track_caller]
fn put_back(scene: &Scene, daemon: &Daemon, case: &str, words: &str, times: usize) {
    until(&format!("{words} is told {times} times"), 60, || {
        let log = daemon.log();
        let told = log
            .lines()
            .filter(|line| line.contains("drift") && line.contains(words));
        (told.count() >= times).then_some(())
    });
    let journal = || scene.lab.case(case)["journal"].clone();
    let is = |word: &str| {
        let journal = journal();
        let entries = journal.as_array().unwrap().iter();
        entries
            .filter(|entry| entry["step"] == "hold-down" && entry["detail"]["seen"]["is"] == word)
            .count()
    };
    until(&format!("{words} was put back"), 60, || {
        (is("put-back") > 0 && is("put-back") + is("gone") >= is("found")).then_some(())
    });
}
