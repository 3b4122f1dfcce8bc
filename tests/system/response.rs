//! The whole response, through Masakari and through nova, and what it never does.

use super::{
    lab::until,
    scene::{BACKDOOR, Scene, enforcing, told},
};

#[test]
fn a_compromised_host_goes_through_the_whole_response_by_masakari() {
    let scene = Scene::new("masakari");
    let (lab, world, there) = (&scene.lab, &scene.world, &scene.there);
    let daemon = lab.serve();
    until("three verdicts", 30, || {
        lab.hosts()
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["verdict"] == "affirming")
            .then_some(())
    });
    let case = scene.break_in();
    scene.closed(&case);
    scene.host_is_out_and_instances_are_elsewhere(&case);
    assert_eq!(scene.notified(), 1, "one notification");
    assert_eq!(world.notifications()[0]["status"], "finished");

    // The report, in every form, tells what happened.
    for format in ["json", "markdown", "html"] {
        let report = lab.lazaret(&["report", &case, "--format", format]).expect(0).out;
        for word in [BACKDOOR, "cmp-1", "ima-file-unknown", case.as_str()] {
            assert!(report.contains(word), "{word} is missing in the {format} report");
        }
        for instance in there {
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
    told(&daemon, "case-closed", 30);
    assert!(
        !daemon.log().contains("tampering-suspected"),
        "a false alarm: {}",
        daemon.log()
    );
    // It comes back only by a person and a passing quote; the daemon carries it out.
    let said = lab.lazaret(&["quarantine", "release", "cmp-1"]).expect(75);
    assert!(said.err.contains("message-bus"), "{}", said.err);
    assert_eq!(lab.power("cmp-1"), "off");
    for item in [
        "message-bus",
        "service-users",
        "storage-keys",
        "libvirt-keys",
        "ssh-keys",
        "tls-certificates",
        "bmc-password",
        "instance-secrets",
        "agent-key",
    ] {
        lab.lazaret(&["quarantine", "release", "cmp-1", "tick", item])
            .expect(0);
    }
    let waive = [
        "quarantine",
        "release",
        "cmp-1",
        "waive",
        "disk-copies",
        "--because",
        "a lab",
    ];
    lab.lazaret(&waive).expect(0);
    lab.lazaret(&["quarantine", "release", "cmp-1"]).expect(0);
    let service = world.service("cmp-1");
    assert_eq!(service["status"], "enabled", "{service}");
    assert_eq!(service["forced_down"], false, "{service}");
    let aggregates = serde_json::to_string(&world.aggregates()).unwrap();
    assert!(!aggregates.contains("cmp-1"), "{aggregates}");
    lab.lazaret(&["quarantine", "release", "cmp-1"]).expect(65);
    drop(daemon);
}

#[test]
fn a_compromised_host_goes_through_the_whole_response_by_nova() {
    let scene = Scene::new("nova");
    let _daemon = scene.lab.serve();
    let case = scene.break_in();
    scene.closed(&case);
    scene.host_is_out_and_instances_are_elsewhere(&case);
    assert_eq!(scene.notified(), 0, "Masakari was not asked");
}

#[test]
fn a_bmc_that_refuses_leaves_the_host_disabled_and_nothing_evacuated() {
    let mut lab = enforcing("masakari");
    let password = lab.path("bmc-password");
    std::fs::write(&password, "not-the-password\n").unwrap();
    lab.fence("cmp-1", |methods| {
        methods.truncate(1);
        methods[0]["password_file"] = password.display().to_string().into();
    });
    lab.set("response", "step_attempts", 2);
    let scene = Scene::of(lab, 4);
    let _daemon = scene.lab.serve();
    let case = scene.break_in();
    let shown = scene.state(&case, "stuck");
    let reason = shown["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("fence") || reason.contains("power"), "{reason}");
    assert_eq!(scene.world.service("cmp-1")["status"], "disabled");
    scene.nothing_is_lost();

    // A person mends it and lets the case go on: the password is read again, the daemon runs on.
    let right = scene.lab.host("cmp-1")["bmc_password_file"].as_str().unwrap();
    std::fs::copy(right, &password).unwrap();
    scene.lab.lazaret(&["quarantine", "approve", &case]).expect(0);
    scene.closed(&case);
    scene.host_is_out_and_instances_are_elsewhere(&case);
}
