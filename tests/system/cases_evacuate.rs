//! Evacuations that do not go as planned: rows 24, 31, 32, 41 to 43 of the cases of a response.

use serde_json::json;

use super::{
    lab::until,
    proxy::{Gate, How},
    scene::{Scene, enforcing, told},
};

/// 31: the last host that takes instances is held for a person, who may dismiss it or let it go on. 32: let go on while
/// there is no valid host, each instance is listed with the reason, and there is no loop.
#[test]
fn case_31_32_the_last_host_is_held_and_without_a_valid_host_there_is_no_loop() {
    let mut lab = enforcing("nova");
    let nova = lab.proxied("compute");
    let scene = Scene::of(lab, 4);
    for host in ["cmp-2", "cmp-3"] {
        scene.world.update_service(
            host,
            &json!({"status": "disabled", "disabled_reason": "maintenance"}),
        );
    }
    let daemon = scene.lab.serve();
    let first = scene.break_in();
    let shown = scene.state(&first, "held");
    println!("held: {}", shown["reason"]);
    scene.nothing_is_lost();
    assert_eq!(scene.world.service("cmp-1")["status"], "enabled");
    // A person decides against it.
    let because = "the others are down for maintenance";
    scene
        .lab
        .lazaret(&["quarantine", "dismiss", &first, "--because", because])
        .expect(0);
    let shown = scene.lab.case(&first);
    assert_eq!(shown["state"], "closed");
    assert!(shown["reason"].as_str().unwrap().contains(because));
    assert!(scene.lab.hosts()[0]["quarantined_by"].is_null());
    scene.nothing_is_lost();

    // It is condemned again, and a person lets it go on.
    let case = until("another case", 60, || {
        scene.case_of("cmp-1").filter(|case| *case != first)
    });
    scene.state(&case, "held");
    scene.lab.lazaret(&["quarantine", "approve", &case]).expect(0);
    let shown = scene.state(&case, "stuck");
    let reason = shown["reason"].as_str().unwrap();
    for instance in &scene.there {
        assert!(
            reason.contains(instance.as_str()),
            "{instance} is not listed: {reason}"
        );
        let asked = nova
            .seen(&format!("POST /servers/{instance}/action evacuate"))
            .len();
        assert!((1..=2).contains(&asked), "asked {asked} times");
    }
    assert!(reason.contains("No valid host"), "{reason}");
    told(&daemon, "case-stuck", 5);
    assert_eq!(scene.lab.power("cmp-1"), "off");

    // There is room again: the same case goes on where it was.
    for host in ["cmp-2", "cmp-3"] {
        scene.world.update_service(host, &json!({"status": "enabled"}));
    }
    scene.lab.lazaret(&["quarantine", "approve", &case]).expect(0);
    scene.closed(&case);
    assert!(scene.world.servers_on("cmp-1").is_empty());
    assert_eq!(scene.switched_off("cmp-1"), 1);
    scene.nothing_ran_twice();
}

/// 41: somebody else's notification of the same host is there first: 409, and it is adopted. 43: a spare host that was
/// dragged into the quarantine aggregate meanwhile is taken out. 42: Masakari runs for ever: our own deadline ends the
/// waiting, a person is asked, and nova is not asked beside it.
#[test]
fn case_41_42_43_masakari_is_adopted_waited_for_and_cleaned_up_after() {
    let mut lab = enforcing("masakari");
    let masakari = lab.proxied("instance-ha");
    let nova = lab.proxied("compute");
    lab.set("response", "masakari_deadline_s", 6);
    let scene = Scene::of(lab, 4);
    let notifying = Gate::new();
    masakari.on("POST /notifications", 1, How::hold(&notifying));
    let daemon = scene.lab.serve();
    let case = scene.break_in();

    // 41
    notifying.reached("Masakari is about to be notified", 60);
    let ours: serde_json::Value =
        serde_json::from_str(&masakari.seen("POST /notifications")[0].body).unwrap();
    let (status, theirs) = scene
        .world
        .act("POST", "instance-ha", "/notifications", "1.0", &ours);
    assert_eq!(status, 202, "{theirs}");
    let engine = Frozen::of(&scene, "masakari-engine");
    notifying.open();
    // 43
    let aggregate = scene.world.aggregates()[0].clone();
    let path = format!("/os-aggregates/{}/action", aggregate["id"]);
    let spare = json!({"add_host": {"host": "cmp-3"}});
    let (status, answer) = scene.world.act("POST", "compute", &path, "2.53", &spare);
    assert_eq!(status, 200, "{answer}");

    // 42
    let shown = scene.state(&case, "stuck");
    let reason = shown["reason"].as_str().unwrap();
    assert!(
        reason.contains("Masakari") && reason.contains("masakari-engine"),
        "{reason}"
    );
    assert!(
        nova.seen("POST /servers/ evacuate").is_empty(),
        "nova was asked beside Masakari"
    );
    told(&daemon, "case-stuck", 5);

    // It goes on after all; a person lets the case go on.
    drop(engine);
    until("Masakari's notification has ended", 120, || {
        (scene.world.notifications()[0]["status"] == "finished").then_some(())
    });
    scene.lab.lazaret(&["quarantine", "approve", &case]).expect(0);
    scene.closed(&case);
    let answers: Vec<_> = masakari
        .seen("POST /notifications")
        .iter()
        .map(|one| one.status)
        .collect();
    assert_eq!(answers, [Some(409)]);
    assert_eq!(scene.notified(), 1, "theirs, and no other");
    told(&daemon, "stray-host", 5);
    scene.host_is_out_and_instances_are_elsewhere(&case);
    let reason = scene.world.service("cmp-1")["disabled_reason"].to_string();
    assert!(!reason.contains("Masakari"), "{reason}");
    assert_eq!(scene.world.aggregates()[0]["hosts"], json!(["cmp-1"]));
}

/// A process of the lab that hangs until this is dropped.
struct Frozen<'a> {
    scene: &'a Scene,
    name: &'static str,
}

impl<'a> Frozen<'a> {
    fn of(scene: &'a Scene, name: &'static str) -> Self {
        scene.lab.lab(&["freeze", name]);
        Self { scene, name }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.scene.lab.lab(&["thaw", self.name]);
    }
}

/// 24: two daemons on one database. The first is stopped (SIGSTOP) with a request on its way, the second takes the case
/// over, and the first wakes: it finds out before its next effect.
#[test]
fn case_24_a_daemon_that_lost_its_lease_finds_out_before_its_next_effect() {
    let mut lab = enforcing("nova");
    let nova = lab.proxied("compute");
    let scene = Scene::of(lab, 4);
    let joining = Gate::new();
    let join = "POST /action add_host";
    nova.on(join, 1, How::HoldAfter(joining.clone()));
    let first = scene.lab.serve();
    let case = scene.break_in();
    joining.reached("cmp-1 joined the aggregate", 30);
    first.signal("-STOP");
    let second = scene.lab.serve();
    // Everything is prepared for the first to go on: its answer is there when it wakes.
    joining.open();
    scene.journal_says(&case, "seen off", 60);
    first.signal("-CONT");
    scene.closed(&case);
    told(&first, "left to another worker", 30);

    let journal = scene.lab.case(&case)["journal"].clone();
    let mut epochs: Vec<_> = journal
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["epoch"].as_u64().unwrap())
        .collect();
    assert!(
        epochs.is_sorted(),
        "a stale epoch wrote after a newer one: {epochs:?}"
    );
    epochs.dedup();
    assert_eq!(epochs.len(), 2, "{epochs:?}");
    for (what, times) in [
        ("PUT /os-services/ disabled", 2),
        ("PUT /os-services/ \"forced_down\":true", 1),
        (join, 1),
    ] {
        assert_eq!(nova.seen(what).len(), times, "{what}");
    }
    scene.host_is_out_and_instances_are_elsewhere(&case);
    drop(second);
}
