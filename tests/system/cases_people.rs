//! What waits for a person, or listens to one: rows 28 to 30 and 44 of the cases of a response, 73 and 78 of attestation.

use std::collections::BTreeSet;

use super::{
    lab::until,
    scene::{BACKDOOR, Scene, enforcing, id, told},
};

/// 28, with as many hosts as the lab has: one new program on all of them. None is fenced; the cases are one held group,
/// which names the program and the command that adds it to the golden values.
///
/// 200 hosts are the simulation's.
#[test]
fn case_28_one_new_program_on_every_host_is_one_held_group_and_none_is_fenced() {
    let mut lab = enforcing("nova");
    // No other limit may be what stops them.
    for limit in ["max_cases", "max_cases_zone", "max_cases_aggregate"] {
        lab.set("response", limit, 10);
    }
    lab.set("response", "brake_hosts", 3);
    let nova = lab.proxied("compute");
    let scene = Scene::of(lab, 3);
    let hosts = ["cmp-1", "cmp-2", "cmp-3"];
    let where_they_are = servers(&scene);
    for host in hosts {
        scene.lab.measure(host, BACKDOOR);
    }
    let daemon = scene.lab.serve();
    let cases = until("three cases are held", 90, || {
        let cases = scene.lab.cases();
        (cases.len() == 3 && cases.iter().all(|case| case["state"] == "held")).then_some(cases)
    });
    let groups: BTreeSet<&str> = cases
        .iter()
        .map(|case| case["held_group"].as_str().unwrap())
        .collect();
    let group = *groups.first().unwrap();
    assert_eq!(groups.len(), 1, "one group: {cases:?}");
    let shown = scene.lab.lazaret(&["quarantine", "show", group]).expect(0).out;
    println!("{shown}");
    assert!(shown.contains(BACKDOOR), "the cause is named: {shown}");
    assert!(
        shown.contains(&format!("lazaret golden add POLICY --from-group {group}")),
        "{shown}"
    );
    told(&daemon, "group-held", 10);

    // Many more rounds change nothing.
    let rounds = || scene.lab.hosts()[0]["at"].clone();
    for _ in 0..2 {
        let last = rounds();
        until("another round", 20, || (rounds() != last).then_some(()));
    }
    for host in hosts {
        assert_eq!(scene.switched_off(host), 0);
        assert_eq!(scene.lab.power(host), "on");
        assert_eq!(scene.world.service(host)["forced_down"], false);
        assert!(scene.world.evacuations(host).is_empty());
    }
    assert!(nova.seen("POST /servers/ evacuate").is_empty());
    assert_eq!(servers(&scene), where_they_are);
    assert_eq!(
        daemon.log().matches("event=\"group-held\"").count(),
        1,
        "told once"
    );

    // It was an update: the value is added, and the group is over.
    let because = "the update of November";
    scene
        .lab
        .lazaret(&["quarantine", "dismiss", group, "--because", because])
        .expect(0);
    assert!(scene.lab.cases().iter().all(|case| case["state"] == "closed"));
}

/// Every instance, with its host.
fn servers(scene: &Scene) -> BTreeSet<(String, String)> {
    let all = scene.world.servers();
    all.iter()
        .map(|one| (id(one), one["OS-EXT-SRV-ATTR:host"].to_string()))
        .collect()
}
