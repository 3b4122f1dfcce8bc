//! BMCs that refuse, lie or hang: rows 13 to 19, 45 and 46 of the cases of a response.
//!
//! A host has a list of fence methods, so several broken BMCs stand in one list: each is tried, and each must fail
//! for its own reason, until the last one does it. They are the lab's real BMC behind scripted proxies.

use super::{
    cases_api::step_of,
    lab::until,
    proxy::{Gate, How},
    scene::{Scene, enforcing, told},
};

const RESET: &str = "POST /Actions/ComputerSystem.Reset";

fn reads(power: &'static str) -> How {
    How::rewrite(move |system| {
        if system.get("PowerState").is_some() {
            system["PowerState"] = power.into();
        }
    })
}

/// 13: a BMC answers 204 and the host stays on. 15: one hangs in PoweringOff. 18: one is of another machine. 19: one
/// has another certificate than it had. The last of the list does it.
#[test]
fn case_13_15_18_19_a_bmc_that_does_not_do_it_is_followed_by_the_next() {
    let mut lab = enforcing("nova");
    lab.set("fence", "off_deadline_s", 5);
    let (other_machine, mut first) = lab.bmc("cmp-1");
    first["system_uuid"] = lab.host("cmp-2")["system_uuid"].as_str().unwrap().into();
    let (other_key, mut second) = lab.bmc("cmp-1");
    second["ca_file"] = lab.host("cmp-1")["redfish_ca_file"].as_str().unwrap().into();
    let (stays_on, third) = lab.bmc("cmp-1");
    stays_on.on(RESET, usize::MAX, How::answer(204, ""));
    let (hangs, fourth) = lab.bmc("cmp-1");
    hangs.on(RESET, usize::MAX, How::answer(204, ""));
    hangs.on("GET /redfish/v1/Systems/", usize::MAX, reads("PoweringOff"));
    lab.fence("cmp-1", |methods| {
        let broken = [first, second, third, fourth].map(toml::Value::from);
        methods.truncate(1);
        methods.splice(0..0, broken);
    });
    let scene = Scene::of(lab, 4);
    let daemon = scene.lab.serve();
    let case = scene.break_in();
    until("the last is asked", 60, || {
        (!hangs.seen(RESET).is_empty()).then_some(())
    });
    // Nothing was evacuated while none of them did it.
    assert_eq!(scene.world.service("cmp-1")["forced_down"], false);
    assert!(scene.world.evacuations("cmp-1").is_empty());
    let shown = scene.closed(&case);
    let journal = shown["journal"].to_string();

    // 18: its power was neither read nor switched.
    assert!(!other_machine.seen("GET /redfish/v1/Systems/").is_empty());
    assert!(other_machine.seen(RESET).is_empty());
    assert!(journal.contains("another machine"), "{journal}");
    // 19: not one request, so not the password either.
    assert!(other_key.seen("GET").is_empty() && other_key.seen("POST").is_empty());
    assert!(journal.contains("certificate"), "{journal}");
    // 13, 15: asked once, looked at until the time was up.
    for (bmc, last) in [(&stays_on, "On"), (&hangs, "PoweringOff")] {
        assert_eq!(bmc.seen(RESET).len(), 1);
        assert!(bmc.seen("GET /redfish/v1/Systems/").len() >= 3, "{last}");
    }
    assert!(journal.contains("PoweringOff"), "{journal}");
    println!("fence: {}", step_of(&shown, "fence"));
    // Another machine, and another key, are signs that somebody was at the BMC.
    told(&daemon, "tampering-suspected", 5);
    assert_eq!(scene.switched_off("cmp-2"), 0);
    scene.host_is_out_and_instances_are_elsewhere(&case);
}

/// 14: a BMC says Off while the host lives on: not fenced, alarm, the next method. 16: that one answers 409, the host
/// is off already: success after looking. 46: SIGTERM in the middle of it.
#[test]
fn case_14_16_46_a_bmc_that_lies_is_not_believed_and_sigterm_ends_in_order() {
    let mut lab = enforcing("nova");
    lab.set("fence", "off_deadline_s", 8);
    let (liar, first) = lab.bmc("cmp-1");
    liar.on("GET /redfish/v1/Systems/", usize::MAX, reads("Off"));
    let (honest, second) = lab.bmc("cmp-1");
    let asked = Gate::new();
    honest.on(
        RESET,
        1,
        How::Hold(asked.clone(), Box::new(How::answer(409, "{}"))),
    );
    lab.fence("cmp-1", |methods| {
        methods.clear();
        methods.extend([first, second].map(toml::Value::from));
    });
    let scene = Scene::of(lab, 4);
    let daemon = scene.lab.serve();
    let case = scene.break_in();

    // 14
    asked.reached("the next method is asked", 60);
    assert!(liar.seen(RESET).is_empty(), "who says Off is not asked to go off");
    told(&daemon, "tampering-suspected", 5);
    let journal = scene.lab.case(&case)["journal"].to_string();
    assert!(journal.contains("says Off while the host is alive"), "{journal}");
    scene.nothing_is_lost();

    // 16 and 46: somebody else switches it off at this very moment, and the daemon is told to end.
    scene.lab.lab(&["host", "power-off", "cmp-1"]);
    daemon.signal("-TERM");
    asked.open();
    assert_eq!(daemon.ended(), 0, "SIGTERM ends the daemon in order");
    let fence = step_of(&scene.lab.case(&case), "fence");
    assert_eq!(
        fence["state"], "done",
        "the step under way was completed: {fence}"
    );
    assert_eq!(
        scene.world.service("cmp-1")["forced_down"],
        false,
        "no step after it"
    );

    let _daemon = scene.lab.serve();
    scene.closed(&case);
    assert_eq!(honest.seen(RESET).len(), 1);
    scene.host_is_out_and_instances_are_elsewhere(&case);
}

/// 17: the BMC's password was changed: the next method, a fence-agent over IPMI, does it, and people are told.
#[test]
fn case_17_a_bmc_whose_password_changed_is_followed_by_the_next_and_flagged() {
    let mut lab = enforcing("nova");
    let wrong = lab.path("wrong-bmc-password");
    std::fs::write(&wrong, "not-the-password\n").unwrap();
    let bmc = lab.proxied_bmc("cmp-1");
    lab.fence("cmp-1", |methods| {
        methods[0]["password_file"] = wrong.display().to_string().into();
    });
    let scene = Scene::of(lab, 4);
    let daemon = scene.lab.serve();
    let case = scene.break_in();
    scene.closed(&case);
    scene.host_is_out_and_instances_are_elsewhere(&case);
    assert!(bmc.seen(RESET).is_empty());
    assert!(bmc.seen("POST /").iter().all(|login| login.status == Some(401)));
    told(&daemon, "tampering-suspected", 5);
    let report = scene
        .lab
        .lazaret(&["report", &case, "--format", "json"])
        .expect(0)
        .out;
    assert!(report.contains("fence_ipmilan"), "{report}");
    assert!(!daemon.log().contains("not-the-password") && !report.contains("not-the-password"));
}

/// 45: fence-agents silently ignore what they do not know, so it is looked for when the daemon starts.
#[test]
fn case_45_a_misspelt_option_of_a_fence_agent_is_refused_at_load() {
    let mut lab = enforcing("nova");
    lab.trust(&["cmp-1"]);
    lab.fence("cmp-1", |methods| {
        let options = methods[1]["options"].as_table_mut().unwrap();
        let plus = options.remove("lanplus").unwrap();
        options.insert("lanpluss".to_owned(), plus);
    });
    for command in ["serve", "doctor"] {
        let said = lab.lazaret(&[command]);
        let words = format!("{}{}", said.out, said.err);
        assert!(
            words.contains("lanpluss") && words.contains("cmp-1"),
            "{command}: {words}"
        );
        assert_ne!(said.code, 0, "{command}: {words}");
    }
    lab.lazaret(&["serve"]).expect(78);
}
