//! What is around the instances of a plan: keys, groups, tags, room, storage, other programs.

use super::*;
use crate::openstack::ServerGroup;

fn planned(change: impl Fn(&mut Server)) -> PlannedInstance {
    let mut server = server(1);
    change(&mut server);
    PlannedInstance::of(&server, &Rules::local_disk(LocalDisk::Rebuild))
}

fn made(inventory: &Inventory, change: impl Fn(&mut config::Response)) -> Plan {
    let case = "q-20261121-7f3a2c".parse().unwrap();
    let mut response = response(config::Recovery::Masakari, LocalDisk::Hold);
    change(&mut response);
    let order = Order {
        case: &case,
        cause: "x",
        response: &response,
        fence: vec!["redfish".into()],
        keep: None,
        now: Timestamp::from_millis(0),
    };
    Plan::make(&order, inventory, vec![]).unwrap()
}

#[test]
fn case_35_a_virtual_tpm_that_the_flavor_or_the_image_asks_for_stays() {
    let by_image = planned(|server| server.image_has_vtpm = true);
    let by_flavor = planned(|server| {
        drop(
            server
                .flavor
                .extra_specs
                .insert("hw:tpm_model".into(), "x".into()),
        )
    });
    for instance in [by_image, by_flavor] {
        assert_eq!(instance.way, Way::Hold);
        assert!(instance.because.contains("virtual TPM"), "{}", instance.because);
    }
}

#[test]
fn case_36_a_local_disk_is_kept_where_every_host_that_can_take_it_shares_the_storage() {
    let local = |n: u8| Server {
        image: Some("i".into()),
        ..server(n)
    };
    let with = |hosts: &[u8], named: &str| {
        let mut inventory = inventory(vec![local(1)], Masakari::Absent);
        inventory.aggregates = vec![Aggregate {
            id: 1,
            name: "rbd".into(),
            availability_zone: None,
            hosts: hosts.iter().map(|n| host(*n)).collect(),
        }];
        let plan = made(&inventory, |response| {
            response.shared_storage = vec![named.to_owned()]
        });
        (plan.instances[0].way, plan.instances[0].data)
    };
    assert_eq!(with(&[1, 2, 3], "rbd"), (Way::Evacuate, Data::Shared));
    assert_eq!(with(&[], "*"), (Way::Evacuate, Data::Shared));
    assert_eq!(with(&[1, 2, 3], "other"), (Way::Hold, Data::Local));
    assert_eq!(with(&[2, 3], "rbd"), (Way::Hold, Data::Local), "not this host");
    assert_eq!(
        with(&[1, 2], "rbd"),
        (Way::Hold, Data::Local),
        "cmp-3 could take it, and would begin from the image"
    );
}

#[test]
fn case_37_an_encrypted_volume_whose_key_is_refused_is_held_with_the_cause() {
    for (right, way, word) in [
        (KeyRight::Ours, Way::Evacuate, "volumes"),
        (
            KeyRight::Refused("barbican answered 403".into()),
            Way::Hold,
            "403",
        ),
        (
            KeyRight::NotKnown("cinder is down".into()),
            Way::Evacuate,
            "cinder is down",
        ),
    ] {
        let mut inventory = inventory(vec![server(1)], Masakari::Absent);
        inventory.keys.insert("v".into(), right);
        let plan = made(&inventory, |_| {});
        let instance = &plan.instances[0];
        assert_eq!(instance.way, way);
        let said = format!("{} {:?}", instance.because, instance.notes);
        assert!(said.contains(word), "{said}");
        assert_eq!(instance.keys.len(), 1);
    }
}

#[test]
fn case_40_instances_that_wait_for_their_owners_word_are_named_with_what_it_means() {
    let here = planned(|server| server.vm_state = "resized".into());
    assert_eq!(here.way, Way::Hold);
    assert!(
        here.because.contains("VERIFY_RESIZE") && here.because.contains("resize confirm"),
        "{}",
        here.because
    );
    let mut inventory = inventory(vec![], Masakari::Absent);
    let away = |n: u8, kind: MigrationKind, status: &str| Migration {
        uuid: n.to_string(),
        instance: crate::ids::InstanceId(uuid(n)),
        kind,
        status: status.into(),
        source: Some(host(1)),
        destination: Some(host(2)),
        user_id: None,
        project_id: None,
        created_at: None,
        updated_at: None,
    };
    inventory.migrations = vec![
        away(1, MigrationKind::Resize, "finished"),
        away(2, MigrationKind::Cold, "finished"),
        away(3, MigrationKind::Resize, "confirmed"),
        away(4, MigrationKind::Live, "completed"),
    ];
    let plan = made(&inventory, |_| {});
    let found: Vec<_> = plan
        .may_return
        .iter()
        .map(|instance| (instance.instance, instance.kind.as_str(), instance.now_on.clone()))
        .collect();
    let id = |n| crate::ids::InstanceId(uuid(n));
    assert_eq!(
        found,
        [
            (id(1), "resize", Some(host(2))),
            (id(2), "migration", Some(host(2)))
        ]
    );
    assert!(
        plan.may_return
            .iter()
            .all(|instance| plan.warnings.contains(&instance.means))
    );
}

#[test]
fn each_state_that_nova_does_not_evacuate_from_says_what_a_person_does() {
    for (state, word) in [
        ("paused", "memory is lost"),
        ("suspended", "memory is lost"),
        ("rescued", "rescue disk"),
        ("building", "build it anew"),
        ("soft-delete", "owner deleted it"),
        ("shelved", "vm_state shelved"),
    ] {
        let instance = planned(|server| server.vm_state = state.into());
        assert_eq!(instance.way, Way::Hold, "{state}");
        assert!(instance.because.contains(word), "{}", instance.because);
    }
    let busy = planned(|server| server.task_state = Some("rebooting".into()));
    assert_eq!(busy.way, Way::Evacuate);
    assert!(busy.notes[0].contains("task_state rebooting"), "{:?}", busy.notes);
    let locked = planned(|server| server.locked = true);
    assert!(locked.locked && locked.notes[0].contains("locked"));
}

#[test]
fn an_instance_is_left_for_the_tag_that_was_given_out_for_it_and_for_no_other() {
    let key = KeepKey::new(&[3; 32]);
    let rules = Rules {
        keep: Some(&key),
        ..Rules::local_disk(LocalDisk::Rebuild)
    };
    let with_tag = |tag: String| {
        let server = Server {
            tags: vec![tag],
            ..server(1)
        };
        PlannedInstance::of(&server, &rules)
    };
    let kept = with_tag(key.tag(server(1).id));
    assert_eq!(
        (kept.way, kept.recorded(&host(1)).fate.as_str()),
        (Way::Leave, "leave")
    );
    let copied = with_tag(key.tag(server(2).id));
    assert_eq!(copied.way, Way::Evacuate);
    assert!(
        copied.notes[0].contains("counts for nothing"),
        "{:?}",
        copied.notes
    );
}

#[test]
fn an_amphora_is_octavias_to_replace() {
    let named = |name: &str| planned(|server| server.name = name.into()).way;
    assert_eq!(named("amphora-b3f1e7a4-5c62-4c1e-9d1d-0a8d6c1f2e3b"), Way::Leave);
    assert_eq!(named("amphora-mine"), Way::Evacuate);
}

#[test]
fn the_groups_of_an_instance_stand_in_the_plan() {
    let mut inventory = inventory(vec![server(1), server(2)], Masakari::Absent);
    inventory.groups = Known::Known(vec![ServerGroup {
        id: "g".into(),
        name: "db".into(),
        policy: "anti-affinity".into(),
        members: vec![server(2).id],
    }]);
    let plan = made(&inventory, |_| {});
    assert_eq!(plan.instances[0].groups, []);
    assert_eq!(plan.instances[1].groups[0].policy, "anti-affinity");
}

#[test]
fn what_fits_nowhere_is_said_for_each_and_for_all_together() {
    let sized = |n: u8, vcpus: u32| {
        let mut server = server(n);
        server.flavor.vcpus = vcpus;
        server
    };
    // cmp-2 has 8 free, cmp-3 has 12.
    let plan = |instances: Vec<Server>| made(&inventory(instances, Masakari::Absent), |_| {});
    assert!(plan(vec![sized(1, 12)]).warnings.is_empty());
    let too_big = plan(vec![sized(1, 13)]);
    assert_eq!(too_big.instances[0].fits, Some(false));
    assert!(too_big.warnings[0].contains("13 vCPUs"), "{:?}", too_big.warnings);
    let too_many = plan(vec![sized(1, 8), sized(2, 8), sized(3, 8)]);
    assert!(
        too_many.warnings[0].contains("24 vCPUs") && too_many.warnings[0].contains("20 vCPUs"),
        "{:?}",
        too_many.warnings
    );
    let mut unknown = inventory(vec![sized(1, 1)], Masakari::Absent);
    unknown.capacity = Known::NotKnown("503".into());
    let unknown = made(&unknown, |_| {});
    assert_eq!((unknown.room, unknown.instances[0].fits), (None, None));
    assert!(unknown.warnings[0].contains("503"), "{:?}", unknown.warnings);
    // Processors of its own are counted apart: their room is not known.
    let mut pinned = sized(1, 1);
    pinned
        .flavor
        .extra_specs
        .insert("hw:cpu_policy".into(), "dedicated".into());
    let pinned = plan(vec![pinned]);
    assert_eq!((pinned.room, pinned.instances[0].fits), (None, None));
}

#[test]
fn stopped_on_arrival_is_novas_work_and_an_old_nova_is_said() {
    let stopped = |inventory: &Inventory| {
        made(inventory, |response| {
            response.on_arrival = config::OnArrival::Stopped
        })
    };
    let mut around = inventory(vec![server(1)], segment(true, false));
    let plan = stopped(&around);
    assert!(
        matches!(&plan.recovery, Recovery::Nova { because, pause_masakari: true } if because.contains("on_arrival")),
        "{:?}",
        plan.recovery
    );
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    around.leaves_off = Known::Known(false);
    assert!(stopped(&around).warnings[0].contains("2.95"));
    around.leaves_off = Known::Known(true);
    around.instances[0].vm_state = "error".into();
    assert!(stopped(&around).instances[0].notes[0].contains("in error"));
}

#[test]
fn what_else_manages_the_host_is_named() {
    let around = inventory(vec![], segment(true, false));
    let plan = made(&around, |response| {
        response.other_ha = vec!["pacemaker".into()];
        response.ironic_nodes.insert(host(1), uuid(9));
        response.ironic_nodes.insert(host(2), uuid(8));
    });
    let by = plan.managed_by.join("; ");
    for word in ["segment lab", "Ironic, as node 09090909", "pacemaker"] {
        assert!(by.contains(word), "{word}: {by}");
    }
    assert_eq!(plan.managed_by.len(), 3);
    assert!(plan.warnings.iter().any(|warning| warning.contains("pacemaker")));
}

/// A case that an older version opened goes on.
#[test]
fn a_plan_of_version_one_is_still_read() {
    let old = r#"{"version": 1, "case": "q-20261121-7f3a2c", "host": "cmp-1", "made_at": "2026-11-21T07:00:00.000Z",
        "steps": [], "service": {"id": "eb16b4e6-9661-4c7f-a847-b00f79322cbd", "zone": "nova", "enabled": true,
        "disabled_reason": null, "forced_down": false}, "disabled_reason": "lazaret case q", "quarantine_aggregate": "q",
        "quarantined_before": [], "aggregates": [], "fence": ["redfish"], "recovery": {"by": "nova",
        "pause_masakari": false, "because": "x"}, "local_disk": "hold", "instances": [{"id":
        "b3f1e7a4-5c62-4c1e-9d1d-0a8d6c1f2e3b", "name": "web", "project": "p", "flavor": "m1", "vm_state": "active",
        "locked": false, "volumes": [], "way": "evacuate", "data": "on-volumes", "because": "x"}], "warnings": [],
        "holds": []}"#;
    let plan: Plan = serde_json::from_str(old).unwrap();
    assert_eq!(
        (plan.version, plan.on_arrival, plan.room),
        (1, OnArrival::AsItWas, None)
    );
    assert!(!plan.shared_storage && plan.may_return.is_empty());
    assert_eq!(plan.instances[0].fits, None);
}
