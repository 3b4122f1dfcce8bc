//! What waits for a person, or listens to one: rows 28, 30 and 44 of the cases of a response.

use std::collections::BTreeSet;

use super::{
    cases_api::step_of,
    lab::until,
    proxy::{Gate, How},
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

/// 30: a person pauses the host in the middle of its fence: the fence is finished, and nothing after it is begun until the
/// person resumes.
#[test]
fn case_30_a_pause_lets_the_step_finish_and_begins_no_other() {
    let mut lab = enforcing("nova");
    let nova = lab.proxied("compute");
    let bmc = lab.proxied_bmc("cmp-1");
    let scene = Scene::of(lab, 4);
    let asked = Gate::new();
    bmc.on("POST /Actions/ComputerSystem.Reset", 1, How::hold(&asked));
    let _daemon = scene.lab.serve();
    let case = scene.break_in();
    asked.reached("ForceOff is on its way", 60);
    let pause = [
        "pause",
        "cmp-1",
        "--because",
        "the site is without power",
        "--until",
        "1h",
    ];
    scene.lab.lazaret(&pause).expect(0);
    asked.open();
    until("the fence is done", 60, || {
        (step_of(&scene.lab.case(&case), "fence")["state"] == "done").then_some(())
    });
    // Some more looks of the daemon at its cases, which are 2 s apart.
    let rounds = || scene.lab.hosts()[0]["at"].clone();
    for _ in 0..3 {
        let last = rounds();
        until("another round", 20, || (rounds() != last).then_some(()));
    }
    let shown = scene.lab.case(&case);
    assert_eq!(step_of(&shown, "force-down")["state"], "pending", "{shown:#}");
    assert_eq!(scene.lab.power("cmp-1"), "off");
    assert_eq!(scene.world.service("cmp-1")["forced_down"], false);
    assert!(nova.seen("PUT /os-services/ \"forced_down\":true").is_empty());
    scene.lab.lazaret(&["resume", "cmp-1"]).expect(0);
    scene.closed(&case);
    scene.host_is_out_and_instances_are_elsewhere(&case);
}

/// 44: a host is given back by a person and a fresh passing quote. It boots into something that its policy does not know:
/// refused, and nothing is taken back. It is as it should be: everything is.
#[test]
fn case_44_a_host_comes_back_only_with_a_fresh_passing_quote() {
    let scene = Scene::new("nova");
    let policy = scene.lab.path("golden/cmp-1.toml");
    let right = std::fs::read_to_string(&policy).unwrap();
    let daemon = scene.lab.serve();
    let case = scene.break_in();
    scene.closed(&case);
    scene.host_is_out_and_instances_are_elsewhere(&case);
    let release = |words: &[&str]| {
        let mut all = vec!["quarantine", "release", "cmp-1"];
        all.extend(words);
        scene.lab.lazaret(&all)
    };
    // Nothing is done before what it knew was replaced.
    let said = release(&[]).expect(75);
    assert!(said.err.contains("message-bus"), "{}", said.err);
    assert_eq!(scene.lab.power("cmp-1"), "off");
    for item in said
        .err
        .split([',', ' ', ':', ';', '`', '\n'])
        .collect::<BTreeSet<_>>()
    {
        if ITEMS.contains(&item) {
            release(&["waive", item, "--because", "a lab"]).expect(0);
        }
    }

    // The policy wants another value than the host boots with.
    std::fs::write(&policy, another_value(&right)).unwrap();
    let said = release(&[]);
    assert_ne!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.err.contains("stays out"), "{}", said.err);
    let service = scene.world.service("cmp-1");
    assert_eq!(
        (&service["status"], &service["forced_down"]),
        (&"disabled".into(), &true.into())
    );
    assert!(scene.world.aggregates()[0]["hosts"].to_string().contains("cmp-1"));
    assert_eq!(scene.lab.hosts()[0]["quarantined_by"], case.as_str());

    // It is as it should be.
    std::fs::write(&policy, right).unwrap();
    release(&[]).expect(0);
    let service = scene.world.service("cmp-1");
    assert_eq!(
        (&service["status"], &service["forced_down"]),
        (&"enabled".into(), &false.into())
    );
    assert!(!scene.world.aggregates()[0]["hosts"].to_string().contains("cmp-1"));
    assert!(scene.lab.hosts()[0]["quarantined_by"].is_null());
    told(&daemon, "case-released", 10);
    scene.nothing_ran_twice();
    release(&[]).expect(65);
}

/// What is rotated before a host comes back.
const ITEMS: [&str; 10] = [
    "message-bus",
    "service-users",
    "storage-keys",
    "libvirt-keys",
    "ssh-keys",
    "tls-certificates",
    "bmc-password",
    "instance-secrets",
    "agent-key",
    "disk-copies",
];

/// The same golden values, but for one digit of PCR 0.
fn another_value(policy: &str) -> String {
    let (before, after) = policy.split_once("\n0 = [\"").expect("the value of PCR 0");
    let digit = if after.starts_with('0') { '1' } else { '0' };
    format!("{before}\n0 = [\"{digit}{}", &after[1..])
}

/// Every instance, with its host.
fn servers(scene: &Scene) -> BTreeSet<(String, String)> {
    let all = scene.world.servers();
    all.iter()
        .map(|one| (id(one), one["OS-EXT-SRV-ATTR:host"].to_string()))
        .collect()
}
