//! What can go wrong between the daemon and the cloud's APIs: rows 1 to 7 and 38 of the cases of a response.
//!
//! Rows that do not touch each other share one case: each fault is on another step of it. The services are the real
//! ones, behind the scripted proxy.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::{
    lab::until,
    proxy::{Gate, How, Proxy},
    scene::{Scene, enforcing, told},
    world::World,
};

/// 1: 503 on disable. 2: a PUT that takes effect, and whose answer never comes. 3: 429 with Retry-After, while another
/// host's case goes on. 4: the token is refused in the middle of the case.
#[test]
fn case_01_02_03_04_unwilling_services_delay_a_case_and_change_nothing_about_it() {
    let mut lab = enforcing("nova");
    let nova = lab.proxied("compute");
    let keystone = lab.proxied("identity");
    lab.set("openstack", "timeout_s", 6);
    let scene = Scene::of(lab, 4);
    let service = scene.world.service("cmp-1")["id"].as_str().unwrap().to_owned();
    let of_cmp_1 = |body: &str| format!("PUT /os-services/{service} {body}");

    // 1
    nova.on(
        &of_cmp_1("disabled"),
        2,
        How::answer(503, "the proxy's own words"),
    );
    // 3: longer than the call may take, so that the case has to rest.
    let wait = Some(("retry-after", "9".to_owned()));
    nova.on(
        "POST /action add_host\":{\"host\":\"cmp-1",
        1,
        How::Answer(429, wait, String::new()),
    );
    // 2
    nova.on(&of_cmp_1("\"forced_down\":true"), 1, How::HangAfter);
    // 4
    let evacuated = scene.there.first().unwrap();
    nova.on(
        &format!("POST /servers/{evacuated}/action evacuate"),
        1,
        How::OtherToken,
    );

    let _daemon = scene.lab.serve();
    let case = scene.break_in();
    until("cmp-1 is asked to wait", 30, || {
        (!nova.seen("POST /action add_host\":{\"host\":\"cmp-1").is_empty()).then_some(())
    });
    let other = scene.break_into("cmp-2", "/usr/local/bin/miner");
    scene.closed(&case);
    let other = scene.closed(&other);

    // 1: three were sent, with more and more time between; the service was disabled once.
    let disables = disables(&nova, &of_cmp_1("disabled"));
    let (sent, done): (Vec<_>, Vec<_>) = disables.iter().map(|(at, status)| (*at, *status)).unzip();
    assert_eq!(done, [Some(503), Some(503), Some(200)]);
    for pair in sent.windows(2) {
        let pause = pair[1] - pair[0];
        assert!(pause >= Duration::from_secs(1), "it backs off: {pause:?}");
    }
    // 2: once, though its answer never came.
    assert_eq!(nova.seen(&of_cmp_1("\"forced_down\":true")).len(), 1);
    // 3: not before the time; cmp-2 was in quarantine meanwhile.
    let joins = nova.seen("POST /action add_host\":{\"host\":\"cmp-1");
    assert_eq!(joins.len(), 2);
    let rested = joins[1].at - joins[0].at;
    assert!(rested >= Duration::from_secs(9), "{rested:?}");
    let fenced = other["steps"].to_string();
    println!("cmp-1 rested {rested:?}; cmp-2 meanwhile: {fenced}");
    let joined = nova.seen("POST /action add_host\":{\"host\":\"cmp-2");
    assert!(joined[0].at < joins[1].at, "cmp-2 waited for cmp-1");
    // 4: one more login, and the same request with the new token.
    assert_eq!(keystone.seen("POST /auth/tokens").len(), 2);
    let asked = nova.seen(&format!("POST /servers/{evacuated}/action evacuate"));
    let statuses: Vec<_> = asked.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [Some(401), Some(200)]);
    assert_ne!(asked[0].token, asked[1].token);

    scene.host_is_out_and_instances_are_elsewhere(&case);
}

fn disables(nova: &Proxy, pattern: &str) -> Vec<(std::time::Instant, Option<u16>)> {
    let seen = nova.seen(pattern);
    seen.iter()
        .filter(|one| !one.body.contains("forced_down"))
        .map(|one| (one.at, one.status))
        .collect()
}

/// 5: the right is taken away in the middle of a case. 6: keystone is down in the middle of the same case, once it was
/// given back.
#[test]
fn case_05_06_a_right_taken_away_stops_a_case_and_a_silent_keystone_only_delays_it() {
    let mut lab = enforcing("nova");
    let nova = lab.proxied("compute");
    let keystone = lab.proxied("identity");
    let scene = Scene::of(lab, 4);
    let right = Right::of(&scene.world);
    let joining = Gate::new();
    let join = "POST /action add_host";
    nova.on(join, 1, How::Hold(joining.clone(), Box::new(How::OtherToken)));

    let daemon = scene.lab.serve();
    let case = scene.break_in();
    joining.reached("cmp-1 is about to join the aggregate", 30);
    right.take();
    joining.open();
    let shown = scene.state(&case, "stuck");
    let reason = shown["reason"].as_str().unwrap();
    assert!(
        reason.contains("os_compute_api:os-aggregates") && reason.contains("admin"),
        "the missing right is named: {reason}"
    );
    told(&daemon, "case-stuck", 30);
    for step in ["fence", "force-down", "evacuate"] {
        assert_eq!(
            step_of(&shown, step)["state"],
            "pending",
            "no later step: {shown:#}"
        );
    }
    assert_eq!(nova.done(join), 0);
    scene.nothing_is_lost();

    // A person gives it back. Then keystone goes, when the token is refused once more.
    right.give();
    let forcing = Gate::new();
    let force_down = "PUT /os-services/ \"forced_down\":true";
    nova.on(
        force_down,
        1,
        How::Hold(forcing.clone(), Box::new(How::OtherToken)),
    );
    scene.lab.lazaret(&["quarantine", "approve", &case]).expect(0);
    forcing.reached("cmp-1 is about to be forced down", 60);
    keystone.down();
    for any in ["GET /", "PUT /", "POST /"] {
        nova.on(any, usize::MAX, How::OtherToken);
    }
    forcing.open();
    until("it was tried twice", 60, || {
        let journal = scene.lab.case(&case)["journal"].to_string();
        (journal.matches("no answer from keystone").count() >= 2).then_some(())
    });
    let waits = scene.lab.case(&case);
    assert_eq!(waits["state"], "open", "it waits: {waits:#}");
    assert_eq!(scene.world.service("cmp-1")["forced_down"], false);
    keystone.up();
    nova.clear();
    scene.closed(&case);
    assert_eq!(nova.done(force_down), 1);
    scene.host_is_out_and_instances_are_elsewhere(&case);
}

/// 7: nova is too old. A daemon that would act says at the start which version it needs, and does not start; one that
/// only observes does. What can be done without is said, and what is so without it.
#[test]
fn case_07_a_nova_that_is_too_old_is_told_at_the_start_and_degrades_only_as_documented() {
    let mut lab = enforcing("nova");
    let nova = lab.proxied("compute");
    let offers = |max: &'static str| {
        nova.clear();
        nova.on(
            "GET /v2.1/",
            usize::MAX,
            How::rewrite(move |document| {
                if let Some(version) = document.pointer_mut("/version/version") {
                    *version = max.into();
                }
            }),
        );
    };
    offers("2.60");
    let said = lab.lazaret(&["serve"]).expect(76);
    assert!(
        said.err.contains("microversion 2.80") && said.err.contains("2.60"),
        "{}",
        said.err
    );
    assert!(
        lab.lazaret(&["doctor"]).out.contains("2.80"),
        "doctor says so, too"
    );
    assert!(nova.seen("PUT /").is_empty() && nova.seen("POST /").is_empty());
    lab.set("response", "mode", "observe");
    let daemon = lab.serve();
    told(&daemon, "nothing could be done for a condemned host", 30);
    drop(daemon);

    // 2.94 knows every call, and cannot leave instances off when they arrive.
    offers("2.94");
    lab.set("response", "mode", "enforce");
    lab.set("response", "on_arrival", "stopped");
    let daemon = lab.serve();
    told(&daemon, "without it, instances arrive as they were", 30);
}

/// 38: 2,500 instances on one host: nova gives them in pages of 1,000, and the plan has every one.
#[test]
fn case_38_a_plan_has_every_page_of_a_listing() {
    let mut lab = enforcing("nova");
    let nova = lab.proxied("compute");
    lab.set("openstack", "timeout_s", 120);
    let world = World::of(&lab);
    lab.lab(&["servers", "3"]);
    lab.lab(&["clone", "2500", "cmp-1"]);
    let plan = lab
        .lazaret(&["quarantine", "plan", "cmp-1", "--json"])
        .expect(0)
        .json();
    let instances = plan["instances"].as_array().unwrap();
    let ids: BTreeSet<_> = instances.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!((instances.len(), ids.len()), (2501, 2501));
    let pages = nova.seen("GET /servers/detail");
    assert!(
        pages.iter().filter(|page| page.path.contains("marker=")).count() >= 2,
        "{pages:?}"
    );
    // It was looked at, and that is all.
    assert!(nova.seen("PUT /").is_empty() && nova.seen("POST /").is_empty());
    assert_eq!(world.service("cmp-1")["status"], "enabled");
    assert!(lab.cases().is_empty());
}

pub fn step_of(case: &Value, name: &str) -> Value {
    let steps = case["steps"].as_array().unwrap();
    steps.iter().find(|step| step["name"] == name).unwrap().clone()
}

/// The daemon's role in the cloud; given back when the test ends, however it ends.
struct Right<'a> {
    world: &'a World,
    path: String,
}

impl<'a> Right<'a> {
    fn of(world: &'a World) -> Self {
        let id = |kind: &str, name: &str| {
            let found = world.ask("identity", &format!("/{kind}?name={name}"), "3");
            found[kind][0]["id"].as_str().unwrap().to_owned()
        };
        let (project, user) = (id("projects", "service"), id("users", "lazaret"));
        let path = format!("/projects/{project}/users/{user}/roles/{}", id("roles", "admin"));
        Self { world, path }
    }

    fn take(&self) {
        let (status, answer) = self
            .world
            .act("DELETE", "identity", &self.path, "3", &Value::Null);
        assert_eq!(status, 204, "{answer}");
    }

    fn give(&self) {
        self.world.act("PUT", "identity", &self.path, "3", &json!({}));
    }
}

impl Drop for Right<'_> {
    fn drop(&mut self) {
        self.give();
    }
}
