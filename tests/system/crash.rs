//! The daemon is killed (SIGKILL) before and after each effect on the world, and started again: the world ends as it does
//! without, and each effect happens once.

use super::{
    proxy::{Gate, How, Proxy},
    scene::{Scene, enforcing},
};

/// 8: after the disable. 9: after the host joined the aggregate. 10: after ForceOff was sent. 11: after Off, before
/// forced_down. 12: in the middle of the evacuation, with the request still on its way when the next daemon looks.
#[test]
fn case_08_09_10_11_12_a_daemon_killed_after_each_effect_finds_what_it_did() {
    let mut lab = enforcing("nova");
    let nova = lab.proxied("compute");
    let bmc = lab.proxied_bmc("cmp-1");
    let scene = Scene::of(lab, 4);
    let (disabled, joined, asked_off, forcing, evacuating) =
        (Gate::new(), Gate::new(), Gate::new(), Gate::new(), Gate::new());
    let (disable, join) = ("PUT /os-services/ disabled", "POST /action add_host");
    let (reset, force_down) = (
        "POST /Actions/ComputerSystem.Reset ForceOff",
        "PUT /os-services/ \"forced_down\":true",
    );
    let evacuate = "POST /servers/ evacuate";
    nova.on(disable, 1, How::HoldAfter(disabled.clone()));
    nova.on(join, 1, How::HoldAfter(joined.clone()));
    bmc.on(reset, 1, How::HoldAfter(asked_off.clone()));
    // Never sent by the daemon that is killed then.
    nova.on(force_down, 1, How::Hold(forcing.clone(), Box::new(How::Drop)));
    nova.on(evacuate, 1, How::hold(&evacuating));

    let mut daemon = scene.lab.serve();
    let case = scene.break_in();
    for (what, gate) in [
        ("disabled", &disabled),
        ("in the aggregate", &joined),
        ("asked to go off", &asked_off),
        ("about to be forced down", &forcing),
        ("about to be evacuated", &evacuating),
    ] {
        gate.reached(what, 60);
        daemon.kill();
        println!("killed when {what}: {}", scene.lab.case(&case)["steps"]);
        daemon = scene.lab.serve();
        if what == "about to be evacuated" {
            // It arrives after its sender's death, and after the next daemon has looked.
            scene.journal_says(&case, "its answer is not known", 30);
        }
        gate.open();
    }
    scene.closed(&case);

    // 8, 9: recognised as ours, not sent again.
    let disables = nova.seen(disable);
    let only = disables.iter().filter(|one| !one.body.contains("forced_down"));
    assert_eq!(only.count(), 1);
    assert!(nova.seen(join).len() <= 2, "a 409 is success");
    assert_eq!(nova.done(join), 1);
    // 10, 11: the power state is read first.
    assert_eq!(bmc.seen(reset).len(), 1);
    assert_eq!(nova.done(force_down), 1);
    // 12: the one that was on its way is seen in nova's migrations.
    for instance in &scene.there {
        let asked = nova.seen(&format!("POST /servers/{instance}/action evacuate"));
        assert_eq!(asked.len(), 1, "{asked:?}");
    }
    assert_eq!(scene.lab.cases().len(), 1);
    scene.host_is_out_and_instances_are_elsewhere(&case);
    drop(daemon);
}

/// When the daemon is killed.
#[derive(Clone, Copy, Debug)]
enum When {
    /// The request has left the daemon, and reaches nobody.
    Before,
    /// The effect is there, and the daemon has no answer.
    After,
}

/// The real services with a proxy before each.
struct Watched {
    scene: Scene,
    nova: Proxy,
    masakari: Proxy,
    bmc: Proxy,
}

impl Watched {
    fn new(recovery: &str) -> Self {
        let mut lab = enforcing(recovery);
        let (nova, masakari) = (lab.proxied("compute"), lab.proxied("instance-ha"));
        let bmc = lab.proxied_bmc("cmp-1");
        let scene = Scene::of(lab, 4);
        Self {
            scene,
            nova,
            masakari,
            bmc,
        }
    }

    /// Where the request of an effect is seen, by the words that name the effect in the journal.
    fn request(&self, effect: &str) -> (&Proxy, &'static str) {
        match effect.split(' ').next().unwrap() {
            "disable" => (&self.nova, "PUT /os-services/ \"disabled\""),
            "force" => (&self.nova, "PUT /os-services/ \"forced_down\":true"),
            "make" => (&self.nova, "POST /os-aggregates {\"aggregate\""),
            "add" => (&self.nova, "POST /action add_host"),
            "evacuate" => (&self.nova, "POST /servers/ evacuate"),
            "put" => (&self.masakari, "PUT /hosts/ on_maintenance"),
            "notify" => (&self.masakari, "POST /notifications"),
            "power" => (&self.bmc, "POST /Actions/ComputerSystem.Reset"),
            other => panic!("a new effect, {other}: say where its request is seen"),
        }
    }

    /// The effects of a case in their order, by the journal.
    fn effects(&self, case: &str) -> Vec<String> {
        let journal = self.scene.lab.case(case)["journal"].clone();
        let intents = journal
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["phase"] == "intent");
        intents
            .map(|entry| entry["detail"]["seen"]["effect"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What was carried out, and how often.
    fn carried_out(&self, effects: &[String]) -> Vec<(&'static str, usize)> {
        let mut requests: Vec<_> = effects.iter().map(|effect| self.request(effect)).collect();
        requests.sort_by_key(|(_, pattern)| *pattern);
        requests.dedup_by_key(|(_, pattern)| *pattern);
        requests
            .iter()
            .map(|(proxy, pattern)| (*pattern, proxy.done(pattern)))
            .collect()
    }
}

/// Each effect of an undisturbed run is a point to be killed at, before it and after it.
fn every_effect_is_a_crash_point(recovery: &str) {
    let (effects, end, carried_out) = {
        let calm = Watched::new(recovery);
        let _daemon = calm.scene.lab.serve();
        let case = calm.scene.break_in();
        calm.scene.closed(&case);
        let effects = calm.effects(&case);
        let done = calm.carried_out(&effects);
        (effects, calm.scene.end(&case), done)
    };
    println!(
        "{} effects: {effects:#?}\n{end:#}\n{carried_out:?}",
        effects.len()
    );
    for (place, effect) in effects.iter().enumerate() {
        for when in [When::Before, When::After] {
            let run = Watched::new(recovery);
            let (proxy, pattern) = run.request(effect);
            // Force-down writes the reason as well, so that it fits the pattern of disable, too.
            let fits = |earlier: &&String| {
                run.request(earlier).1 == pattern
                    || (effect.starts_with("disable") && earlier.starts_with("force"))
            };
            let earlier = effects.iter().take(place).filter(fits).count();
            let gate = Gate::new();
            proxy.on(pattern, earlier, How::Pass);
            let how = match when {
                When::Before => How::Hold(gate.clone(), Box::new(How::Drop)),
                When::After => How::HoldAfter(gate.clone()),
            };
            proxy.on(pattern, 1, how);
            let daemon = run.scene.lab.serve();
            let case = run.scene.break_in();
            gate.reached(effect, 90);
            daemon.kill();
            gate.open();
            let _daemon = run.scene.lab.serve();
            run.scene.closed(&case);
            assert_eq!(run.scene.end(&case), end, "killed {when:?} {effect}");
            assert_eq!(run.carried_out(&effects), carried_out, "killed {when:?} {effect}");
            run.scene.nothing_ran_twice();
            println!("killed {when:?} {effect}: the same end");
        }
    }
}

#[test]
#[ignore = "about 15 minutes: make test-crash"]
fn every_effect_through_masakari_is_a_crash_point() {
    every_effect_is_a_crash_point("masakari");
}

#[test]
#[ignore = "about 15 minutes: make test-crash"]
fn every_effect_through_nova_is_a_crash_point() {
    every_effect_is_a_crash_point("nova");
}
