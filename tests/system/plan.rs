//! `lazaret quarantine plan`: what would become of a host, on the real services; nothing is done.

use serde_json::{Value, json};

use crate::{lab::Lab, world::World};

#[test]
fn a_plan_is_shown_with_an_instance_that_an_operator_keeps_and_nothing_is_done() {
    let mut lab = Lab::take();
    let directory = lab.path("identity").display().to_string();
    lab.set("identity", "directory", directory);
    lab.set("response", "local_disk", "hold");
    let world = World::of(&lab);
    let kept = world.boot("kept", "cmp-1", "1");
    let other = world.boot("other", "cmp-1", "1");
    lab.lazaret(&["identity"]).expect(0);
    let tag = lab.lazaret(&["instance", "keep", &kept, "--tag"]).expect(0).out;
    // The same tag on another instance is one that its owner copied.
    for id in [&kept, &other] {
        let path = format!("/servers/{id}/tags/{}", tag.trim());
        let (status, answer) = world.act("PUT", "compute", &path, "2.53", &Value::Null);
        assert_eq!(status, 201, "{answer}");
    }
    let before = (world.service("cmp-1"), world.aggregates());

    let plan = lab
        .lazaret(&["quarantine", "plan", "cmp-1", "--json"])
        .expect(0)
        .json();
    let planned = |id: &str| -> Value {
        let instances = plan["instances"].as_array().expect("a list");
        let found = instances.iter().find(|instance| instance["id"] == id);
        found.unwrap_or_else(|| panic!("{id} is not in {plan:#}")).clone()
    };
    assert_eq!(planned(&kept)["way"], "leave");
    // The lab's instances have local disks, which are held.
    assert_eq!(
        (planned(&other)["way"].clone(), planned(&other)["data"].clone()),
        (json!("hold"), json!("local"))
    );
    assert!(
        planned(&other)["notes"]
            .to_string()
            .contains("counts for nothing")
    );
    assert_eq!(planned(&other)["fits"], true);
    assert!(plan["room"]["free_vcpus"].as_u64() > Some(0), "{plan:#}");
    assert_eq!(plan["fence"].as_array().expect("a list").len(), 2);
    assert!(
        plan["managed_by"]
            .to_string()
            .contains("Masakari, in segment lab")
    );

    let text = lab.lazaret(&["quarantine", "plan", "cmp-1"]).expect(0).out;
    for word in [
        "Nothing was done",
        "lazaret instance keep",
        "held",
        "leave",
        "cmp-1",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let unknown = lab.lazaret(&["quarantine", "plan", "nope"]).expect(66);
    assert!(
        unknown.err.contains("no compute service on nope"),
        "{}",
        unknown.err
    );
    lab.edit(|config| {
        let cloud = config["openstack"].as_table_mut().expect("a table");
        cloud.insert("auth_url".into(), "http://127.0.0.1:9/v3".into());
    });
    let down = lab.lazaret(&["quarantine", "plan", "cmp-1"]).expect(69);
    assert!(down.err.contains("keystone"), "{}", down.err);

    assert_eq!(lab.cases(), Vec::<Value>::new());
    let heartbeat = |mut service: Value| {
        service["updated_at"] = Value::Null;
        service
    };
    assert_eq!(
        (heartbeat(world.service("cmp-1")), world.aggregates()),
        (heartbeat(before.0), before.1)
    );
}
