//! Evacuations that do not go as planned: rows 24, 31, 32, 41 to 43 of the cases of a response.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    lab::{Lab, until},
    proxy::{Gate, How, Proxy},
    scene::{Scene, enforcing, id, told},
    world::World,
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

/// 34: the destination dies with evacuations on their way to it: they are waited for, never asked for again beside the
/// first. When it comes back, nova carries them out. 33: there, one claim fails silently: the instance looks untouched,
/// and the migration record tells. It is asked for once more.
#[test]
fn case_33_34_a_destination_that_dies_is_waited_for_and_a_silent_failure_is_seen() {
    let mut lab = enforcing("nova");
    let nova = lab.proxied("compute");
    let scene = Scene::of(lab, 4);
    // One destination, so that it is known which.
    scene.world.update_service(
        "cmp-3",
        &json!({"status": "disabled", "disabled_reason": "maintenance"}),
    );
    let faults = scene.lab.host("cmp-2")["compute_faults"]
        .as_str()
        .unwrap()
        .to_owned();
    std::fs::write(faults, r#"{"refuse_claims": 1}"#).unwrap();
    let evacuating = Gate::new();
    nova.on("POST /servers/ evacuate", 1, How::hold(&evacuating));
    let daemon = scene.lab.serve();
    let case = scene.break_in();

    // 34
    evacuating.reached("the first is about to be evacuated", 60);
    scene.lab.lab(&["host", "freeze-compute", "cmp-2"]);
    evacuating.open();
    until("nova took both", 30, || {
        (nova.done("POST /servers/ evacuate") == scene.there.len()).then_some(())
    });
    scene.lab.lab(&["host", "kill-compute", "cmp-2"]);
    // Room for the one that will fail.
    scene.world.update_service("cmp-3", &json!({"status": "enabled"}));
    let looks = nova.seen("GET /os-migrations").len();
    until("it looks again and again", 30, || {
        (nova.seen("GET /os-migrations").len() > looks + 3).then_some(())
    });
    assert_eq!(
        nova.seen("POST /servers/ evacuate").len(),
        scene.there.len(),
        "it only looks"
    );
    assert_eq!(scene.lab.case(&case)["state"], "open");
    scene.lab.lab(&["host", "start-compute", "cmp-2"]);
    scene.closed(&case);

    // 33
    let mut ends: Vec<Vec<String>> = Vec::new();
    let records = scene.world.evacuations("cmp-1");
    for instance in &scene.there {
        let of = records
            .iter()
            .filter(|one| one["instance_uuid"] == instance.as_str());
        let mut end: Vec<String> = of.map(|one| one["status"].as_str().unwrap().to_owned()).collect();
        end.sort();
        ends.push(end);
    }
    ends.sort();
    assert_eq!(ends, [vec!["done"], vec!["done", "failed"]], "{records:#?}");
    assert_eq!(nova.seen("POST /servers/ evacuate").len(), scene.there.len() + 1);
    assert!(scene.world.servers_on("cmp-1").is_empty());
    for server in scene.world.servers() {
        assert_eq!(server["status"], "ACTIVE", "{server:#}");
    }
    scene.nothing_ran_twice();
    drop(daemon);
}

/// 35: an instance with a virtual TPM cannot be evacuated: it is left and listed, and the others go on. 37: so is one
/// with an encrypted volume whose key barbican does not give us. 40: one that is in VERIFY_RESIZE away from the host is
/// found, and warned of.
///
/// The lab has no cinder: the proxy answers for it, and shows the volume in nova's listing. The key is a real secret of
/// another project in barbican, which refuses it by itself.
#[test]
fn case_35_37_40_what_cannot_move_is_listed_and_what_could_come_back_is_warned_of() {
    let mut lab = enforcing("nova");
    let (nova, keystone) = (lab.proxied("compute"), lab.proxied("identity"));
    let world = World::of(&lab);
    let encrypted = world.boot("encrypted", "cmp-1", "1");
    let cinder = encrypted_volume(&lab, &nova, &keystone, encrypted.clone());
    let flavors = Flavors::made(&world);
    let vtpm = world.boot("vtpm", "cmp-1", &flavors.vtpm);
    let resized = world.boot("resized", "cmp-1", "1");
    let resize = json!({"resize": {"flavorRef": flavors.larger}});
    let (status, answer) = world.act(
        "POST",
        "compute",
        &format!("/servers/{resized}/action"),
        "2.53",
        &resize,
    );
    assert_eq!(status, 202, "{answer}");
    until("it is in VERIFY_RESIZE elsewhere", 60, || {
        let server = world.server(&resized);
        (server["status"] == "VERIFY_RESIZE" && server["OS-EXT-SRV-ATTR:host"] != "cmp-1").then_some(())
    });
    let scene = Scene::of(lab, 4);
    let _daemon = scene.lab.serve();
    let case = scene.break_in();
    let shown = scene.closed(&case);

    // 35
    let left: BTreeSet<_> = scene.world.servers_on("cmp-1").iter().map(id).collect();
    assert_eq!(left, BTreeSet::from([vtpm.clone(), encrypted.clone()]));
    assert!(
        scene
            .world
            .evacuations("cmp-1")
            .iter()
            .all(|one| one["instance_uuid"] != vtpm.as_str())
    );
    let listed = instance_of(&shown, &vtpm);
    assert_eq!(listed["state"], "held", "{listed}");
    assert!(listed.to_string().to_lowercase().contains("tpm"), "{listed}");
    for instance in scene.there.iter().filter(|one| !left.contains(*one)) {
        assert_eq!(instance_of(&shown, instance)["state"], "moved");
    }
    // 37
    let listed = instance_of(&shown, &encrypted);
    assert_eq!(listed["state"], "held", "{listed}");
    assert!(listed.to_string().contains("key"), "the cause is named: {listed}");
    assert!(!cinder.seen("GET /encryption").is_empty());
    assert!(nova.seen(&format!("POST /servers/{encrypted}/action")).is_empty());
    // 40
    let report = scene
        .lab
        .lazaret(&["report", &case, "--format", "json"])
        .expect(0)
        .out;
    assert!(
        report.contains(&resized) && report.contains("resize"),
        "no warning of {resized}: {report}"
    );
    assert_eq!(scene.lab.power("cmp-1"), "off");
    scene.nothing_ran_twice();
    drop(flavors);
}

/// 39: a cell is down. nova answers 200 and no instance at all, and that is not believed: the case waits. 36: an instance
/// on a local disk is held by default, and listed; that the host is taken out does not wait for it.
#[test]
fn case_36_39_a_silent_cell_is_not_an_empty_host_and_local_disks_stay() {
    let mut lab = enforcing("nova");
    lab.set("response", "local_disk", "hold");
    lab.set("response", "step_attempts", 100);
    let nova = lab.proxied("compute");
    let scene = Scene::of(lab, 4);
    // 39
    scene.lab.lab(&["cell", "down"]);
    let daemon = scene.lab.serve();
    let case = scene.break_in();
    scene.journal_says(&case, "not known", 90);
    let waits = scene.lab.case(&case);
    assert_eq!(waits["state"], "open", "it waits: {waits:#}");
    let listed = nova.seen("GET /servers/detail");
    assert!(listed.iter().all(|one| one.status != Some(500)), "{listed:?}");
    assert_eq!(
        nova.seen("PUT /os-services").len() + nova.seen("POST /").len(),
        0,
        "nothing is done blindly"
    );
    scene.lab.lab(&["cell", "up"]);

    // 36
    let shown = scene.closed(&case);
    assert_eq!(scene.lab.power("cmp-1"), "off");
    assert_eq!(scene.world.service("cmp-1")["forced_down"], true);
    assert!(scene.world.evacuations("cmp-1").is_empty());
    for instance in &scene.there {
        let listed = instance_of(&shown, instance);
        assert_eq!(listed["state"], "held", "{listed}");
        assert!(listed.to_string().contains("disk"), "{listed}");
    }
    let report = scene
        .lab
        .lazaret(&["report", &case, "--format", "markdown"])
        .expect(0)
        .out;
    assert!(
        scene.there.iter().all(|instance| report.contains(instance)),
        "{report}"
    );
    drop(daemon);
}

/// Has an instance show an encrypted volume. The key is in barbican, and belongs to the project demo.
fn encrypted_volume(lab: &Lab, nova: &Proxy, keystone: &Proxy, instance: String) -> Proxy {
    const VOLUME: &str = "0c1d6f5e-0b0e-4f3c-9d5b-6f6d2a1e7c11";
    let owner = World::of_project(lab, "demo");
    let secret =
        json!({"name": "volume key", "payload": "sixteen bytes 42", "payload_content_type": "text/plain"});
    let (status, made) = owner.act("POST", "key-manager", "/v1/secrets", "1.0", &secret);
    assert_eq!(status, 201, "{made}");
    let key = made["secret_ref"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let cinder = Proxy::before(lab.about["endpoints"]["compute"].as_str().unwrap());
    let encryption = json!({"encryption_key_id": key, "cipher": "aes-xts-plain64", "provider": "luks"});
    cinder.on(
        "GET /encryption",
        usize::MAX,
        How::answer(200, &encryption.to_string()),
    );
    let (url, region) = (
        cinder.url(lab.about["endpoints"]["compute"].as_str().unwrap()),
        lab.about["region"].clone(),
    );
    let entry = json!({"type": "block-storage", "name": "cinder", "endpoints": [{"interface": "public", "id": "cinder",
        "region": region, "region_id": region, "url": url}]});
    keystone.on(
        "POST /auth/tokens",
        usize::MAX,
        How::rewrite(move |token| {
            token["token"]["catalog"]
                .as_array_mut()
                .unwrap()
                .push(entry.clone())
        }),
    );
    let show = move |server: &mut Value| {
        if server["id"] == instance.as_str() {
            server["os-extended-volumes:volumes_attached"] = json!([{"id": VOLUME}]);
        }
    };
    nova.on(
        "GET /servers/",
        usize::MAX,
        How::rewrite(move |answer| {
            answer
                .get_mut("servers")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
                .for_each(&show);
            answer.get_mut("server").into_iter().for_each(&show);
        }),
    );
    cinder
}

fn instance_of(case: &Value, id: &str) -> Value {
    let instances = case["instances"].as_array().unwrap();
    let found = instances.iter().find(|one| one["id"] == id);
    found
        .unwrap_or_else(|| panic!("{id} is not listed: {case:#}"))
        .clone()
}

/// Flavors of the test's own.
struct Flavors<'a> {
    world: &'a World,
    vtpm: String,
    larger: String,
}

impl<'a> Flavors<'a> {
    fn made(world: &'a World) -> Self {
        let make = |id: &str| {
            let _ = world.act(
                "DELETE",
                "compute",
                &format!("/flavors/{id}"),
                "2.53",
                &Value::Null,
            );
            let flavor = json!({"flavor": {"id": id, "name": id, "ram": 128, "vcpus": 1, "disk": 1}});
            let (status, answer) = world.act("POST", "compute", "/flavors", "2.53", &flavor);
            assert_eq!(status, 200, "{answer}");
            id.to_owned()
        };
        let flavors = Self {
            world,
            vtpm: make("test.vtpm"),
            larger: make("test.larger"),
        };
        let specs = json!({"extra_specs": {"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"}});
        let path = format!("/flavors/{}/os-extra_specs", flavors.vtpm);
        let (status, answer) = world.act("POST", "compute", &path, "2.53", &specs);
        assert_eq!(status, 200, "{answer}");
        flavors
    }
}

impl Drop for Flavors<'_> {
    fn drop(&mut self) {
        for id in [&self.vtpm, &self.larger] {
            self.world.act(
                "DELETE",
                "compute",
                &format!("/flavors/{id}"),
                "2.53",
                &Value::Null,
            );
        }
    }
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
    let ours: Value = serde_json::from_str(&masakari.seen("POST /notifications")[0].body).unwrap();
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
    first.pause(&scene.lab);
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
