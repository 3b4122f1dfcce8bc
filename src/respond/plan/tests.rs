//! Each choice of a plan, by the inventory that leads to it.

mod around;

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::openstack::{
    Aggregate, ComputeService, ComputeServices, Flavor, Free, Migration, MigrationKind, RecoveryHost, Server,
};
use crate::respond::inventory::{Known, Masakari, Room};

use super::*;

fn host(n: u8) -> HostName {
    format!("cmp-{n}").parse().unwrap()
}

fn uuid(n: u8) -> uuid::Uuid {
    uuid::Uuid::from_bytes([n; 16])
}

fn service(n: u8) -> ComputeService {
    ComputeService {
        id: ServiceId(uuid(n)),
        host: host(n),
        zone: Some("nova".into()),
        enabled: true,
        disabled_reason: None,
        forced_down: false,
        up: true,
        heartbeat: None,
    }
}

fn server(n: u8) -> Server {
    Server {
        id: crate::ids::InstanceId(uuid(n)),
        name: format!("web-{n}"),
        project_id: "p".into(),
        user_id: "u".into(),
        host: Some(host(1)),
        hypervisor: None,
        status: "ACTIVE".into(),
        vm_state: "active".into(),
        task_state: None,
        power_state: 1,
        locked: false,
        locked_reason: None,
        tags: vec![],
        zone: None,
        image: None,
        volumes: vec!["v".into()],
        flavor: Flavor {
            name: "m1".into(),
            vcpus: 1,
            ram_mb: 1,
            disk_gb: 1,
            ephemeral_gb: 0,
            swap_mb: 0,
            extra_specs: BTreeMap::new(),
        },
        fault: None,
        server_groups: None,
        image_has_vtpm: false,
        created_at: None,
    }
}

fn segment(enabled: bool, on_maintenance: bool) -> Masakari {
    Masakari::Host(RecoveryHost {
        id: uuid(50),
        host: host(1),
        segment: uuid(51),
        segment_name: "lab".into(),
        segment_enabled: Some(enabled),
        recovery_method: "auto".into(),
        on_maintenance,
        reserved: false,
    })
}

fn inventory(instances: Vec<Server>, masakari: Masakari) -> Inventory {
    Inventory {
        host: host(1),
        services: ComputeServices {
            known: (1..=3).map(service).collect(),
            not_known: vec![],
            left_out: vec![],
        },
        aggregates: vec![],
        instances,
        migrations: vec![],
        masakari,
        capacity: Known::Known(
            (1..=3)
                .map(|n| {
                    let free = Free {
                        vcpus: u64::from(n) * 4,
                        memory_mb: u64::from(n) * 1024,
                    };
                    (host(n), free)
                })
                .collect(),
        ),
        groups: Known::Known(vec![]),
        keys: BTreeMap::new(),
        leaves_off: Known::Known(true),
    }
}

fn response(recovery: config::Recovery, local_disk: LocalDisk) -> config::Response {
    config::Response {
        recovery,
        quarantine_aggregate: "quarantine".into(),
        local_disk,
        ..crate::respond::tests::response()
    }
}

fn plan(recovery: config::Recovery, local_disk: LocalDisk, inventory: &Inventory) -> Plan {
    let case = "q-20261121-7f3a2c".parse().unwrap();
    let response = response(recovery, local_disk);
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
fn who_recovers_and_why() {
    use config::Recovery::{Masakari as M, Nova as N};
    let local = || Server {
        image: Some("i".into()),
        ..server(2)
    };
    for (wanted, masakari, instances, by_masakari, pause, words) in [
        (
            M,
            segment(true, false),
            vec![server(1)],
            true,
            false,
            "recovers by auto",
        ),
        (
            N,
            segment(true, false),
            vec![server(1)],
            false,
            true,
            "response.recovery",
        ),
        (
            N,
            Masakari::Absent,
            vec![server(1)],
            false,
            false,
            "response.recovery",
        ),
        (
            M,
            segment(true, false),
            vec![server(1), local()],
            false,
            true,
            "1 of 2 instances are left",
        ),
        (M, segment(false, false), vec![server(1)], false, true, "disabled"),
        (
            M,
            segment(true, true),
            vec![server(1)],
            false,
            true,
            "maintenance",
        ),
        (
            M,
            Masakari::NoSegment,
            vec![server(1)],
            false,
            false,
            "no segment",
        ),
        (M, Masakari::Absent, vec![server(1)], false, false, "no Masakari"),
        (
            M,
            Masakari::NotKnown("503".into()),
            vec![server(1)],
            true,
            false,
            "503",
        ),
    ] {
        let plan = plan(wanted, LocalDisk::Hold, &inventory(instances, masakari));
        match &plan.recovery {
            Recovery::Masakari { because, .. } => {
                assert!(by_masakari && because.contains(words), "{because}")
            }
            Recovery::Nova {
                because,
                pause_masakari,
            } => {
                assert!(!by_masakari && because.contains(words), "{words}: {because}");
                assert_eq!(*pause_masakari, pause, "{words}");
            }
        }
    }
}

#[test]
fn each_instance_has_its_way_out_and_its_datas_fate() {
    let flavor = |change: &dyn Fn(&mut Flavor)| {
        let mut server = server(1);
        change(&mut server.flavor);
        server
    };
    let spec = |key: &str| flavor(&|flavor| drop(flavor.extra_specs.insert(key.to_owned(), "2.0".into())));
    let state = |vm_state: &str| Server {
        vm_state: vm_state.into(),
        ..server(1)
    };
    let local = || Server {
        image: Some("i".into()),
        ..server(1)
    };
    use LocalDisk::{Hold as KeepLocal, Rebuild};
    for (what, server, local_disk, way, data) in [
        ("volume", server(1), KeepLocal, Way::Evacuate, Data::OnVolumes),
        (
            "stopped",
            state("stopped"),
            KeepLocal,
            Way::Evacuate,
            Data::OnVolumes,
        ),
        ("error", state("error"), KeepLocal, Way::Evacuate, Data::OnVolumes),
        (
            "locked",
            Server {
                locked: true,
                ..server(1)
            },
            KeepLocal,
            Way::Evacuate,
            Data::OnVolumes,
        ),
        ("paused", state("paused"), Rebuild, Way::Hold, Data::OnVolumes),
        ("building", state("building"), Rebuild, Way::Hold, Data::OnVolumes),
        (
            "vTPM",
            spec("hw:tpm_version"),
            Rebuild,
            Way::Hold,
            Data::OnVolumes,
        ),
        (
            "accelerator",
            spec("accel:device_profile"),
            Rebuild,
            Way::Hold,
            Data::OnVolumes,
        ),
        ("local, hold", local(), KeepLocal, Way::Hold, Data::Local),
        ("local, rebuild", local(), Rebuild, Way::Evacuate, Data::Local),
        (
            "ephemeral, hold",
            flavor(&|f| f.ephemeral_gb = 1),
            KeepLocal,
            Way::Hold,
            Data::PartlyLocal,
        ),
        (
            "swap, rebuild",
            flavor(&|f| f.swap_mb = 1),
            Rebuild,
            Way::Evacuate,
            Data::PartlyLocal,
        ),
    ] {
        let planned = PlannedInstance::of(&server, &Rules::local_disk(local_disk));
        assert_eq!((planned.way, planned.data), (way, data), "{what}: {planned:?}");
        assert!(!planned.because.is_empty());
        let recorded = planned.recorded(&host(1));
        assert_eq!(PlannedInstance::read(&recorded), Some(planned), "{what}");
    }
}

#[test]
fn a_plan_warns_of_what_a_person_should_know() {
    let mut inventory = inventory(vec![], Masakari::Absent);
    inventory.aggregates = vec![
        Aggregate {
            id: 1,
            name: "quarantine".into(),
            availability_zone: Some("az".into()),
            hosts: vec![host(3)],
        },
        Aggregate {
            id: 2,
            name: "ssd".into(),
            availability_zone: None,
            hosts: vec![host(1)],
        },
    ];
    inventory.migrations = vec![Migration {
        uuid: "m".into(),
        instance: crate::ids::InstanceId(uuid(9)),
        kind: MigrationKind::Resize,
        status: "finished".into(),
        source: Some(host(1)),
        destination: Some(host(2)),
        user_id: None,
        project_id: None,
        created_at: None,
        updated_at: None,
    }];
    let plan = plan(config::Recovery::Nova, LocalDisk::Hold, &inventory);
    assert_eq!(plan.warnings.len(), 2, "{:?}", plan.warnings);
    assert!(plan.warnings[0].contains("availability zone az") && plan.warnings[1].contains("confirm"));
    assert_eq!(
        plan.aggregates.len(),
        1,
        "the memberships that a release compares with"
    );
    assert_eq!(plan.quarantined_before, [host(3)]);
}

#[test]
fn a_host_without_a_service_has_no_plan() {
    let mut inventory = inventory(vec![], Masakari::Absent);
    inventory.services.known.remove(0);
    let case = "q-20261121-7f3a2c".parse().unwrap();
    let response = response(config::Recovery::Nova, LocalDisk::Hold);
    let order = Order {
        case: &case,
        cause: "x",
        response: &response,
        fence: vec![],
        keep: None,
        now: Timestamp::from_millis(0),
    };
    assert_eq!(
        Plan::make(&order, &inventory, vec![]),
        Err(NoPlan::NoService(host(1)))
    );
    assert_eq!(inventory.zone(), None);
}

#[test]
fn hosts_that_cannot_take_instances_do_not_count_for_the_zone() {
    let mut inventory = inventory(vec![], Masakari::Absent);
    assert_eq!(inventory.zone().unwrap().others_enabled, 2);
    inventory.services.known[1].up = false;
    assert_eq!(inventory.zone().unwrap().others_enabled, 1);
    inventory.services.known[2].zone = Some("other".into());
    assert_eq!(inventory.zone().unwrap().others_enabled, 0);
}

#[test]
fn the_room_elsewhere_is_that_of_hosts_which_can_take_instances() {
    let mut inventory = inventory(vec![server(1), server(2)], Masakari::Absent);
    let free = |inventory: &Inventory| {
        let room = inventory.room("quarantine")?;
        Some((room.free_vcpus, room.free_memory_mb))
    };
    assert_eq!(
        inventory.room("quarantine"),
        Some(Room {
            free_vcpus: 20,
            free_memory_mb: 5120,
            need_vcpus: 2,
            need_memory_mb: 2
        }),
        "its own room does not count"
    );
    inventory.services.known[2].enabled = false;
    assert_eq!(free(&inventory), Some((8, 2048)));
    inventory.services.known[2] = service(3);
    inventory.services.known[2].zone = Some("other".into());
    assert_eq!(free(&inventory), Some((8, 2048)));
    inventory.services.known[2] = service(3);
    inventory.aggregates = vec![Aggregate {
        id: 1,
        name: "quarantine".into(),
        availability_zone: None,
        hosts: vec![host(2)],
    }];
    assert_eq!(free(&inventory), Some((12, 3072)));
    // placement leaves out a host that is full.
    inventory.capacity = Known::Known(BTreeMap::new());
    assert_eq!(free(&inventory), Some((0, 0)));
    inventory.capacity = Known::NotKnown("503".into());
    assert_eq!(free(&inventory), None, "not known is not none");
}

proptest! {
    #[test]
    fn nova_takes_every_reason_and_the_case_is_always_in_it(cause in "\\PC{0,400}|[\\x00-\\x1f]{0,20}") {
        let case = "q-20261121-7f3a2c".parse().unwrap();
        let reason = disabled_reason(&case, &cause);
        prop_assert!(reason.starts_with("lazaret case q-20261121-7f3a2c: "));
        prop_assert!(reason.chars().count() <= DISABLED_REASON_MAX);
        prop_assert!(!reason.contains(char::is_control));
    }

    /// With Masakari every instance would move: it is never chosen while one is to be left.
    #[test]
    fn masakari_never_recovers_where_an_instance_is_held(
        local in proptest::collection::vec(any::<bool>(), 0..6), rebuild: bool, enabled: bool, maintenance: bool,
    ) {
        let instances = local
            .iter()
            .zip(1u8..)
            .map(|(local, n)| Server { image: local.then(|| "i".to_owned()), ..server(n) })
            .collect();
        let local_disk = if rebuild { LocalDisk::Rebuild } else { LocalDisk::Hold };
        let plan = plan(config::Recovery::Masakari, local_disk, &inventory(instances, segment(enabled, maintenance)));
        if let Recovery::Masakari { .. } = plan.recovery {
            prop_assert_eq!(plan.held().count(), 0);
        }
        let text = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}
