//! What is around instances, on the real services: room by placement, server groups, tags, keys in barbican, arrival off.

use std::time::Duration;

use lazaret::config::LocalDisk;
use lazaret::ids::HostName;
use lazaret::openstack::{Arrival, Capacity, Cloud, Error, Evacuation, Phase, Wants};
use lazaret::respond::plan::{KeepKey, PlannedInstance, Rules, Way};
use serde_json::{Value, json};

use crate::quarantine::fence;
use crate::world::{Admin, ByHand, World, until};

#[tokio::test]
async fn the_room_on_a_host_is_placements_count_and_shrinks_by_an_instance() {
    let world = World::load();
    let _alone = world.alone().await;
    let (cloud, host) = (world.cloud(), world.host(1));
    let admin = Admin::of(&world).await;
    let before = at_rest(&cloud, &host).await;
    let instance = admin.boot("room", &host).await;
    let after = cloud.capacity().await;
    let server = cloud.server(instance).await;
    admin.delete(instance).await;
    let (after, flavor) = (after.unwrap(), server.unwrap().unwrap().flavor);
    assert!(before.len() >= 3, "{before:?}");
    let (before, after) = (before[&host], after[&host]);
    assert_eq!(before.vcpus - after.vcpus, u64::from(flavor.vcpus));
    assert_eq!(before.memory_mb - after.memory_mb, flavor.ram_mb);
}

/// What is free once nothing is on the host any more: placement hears of a deletion after nova has done it.
async fn at_rest(cloud: &Cloud, host: &HostName) -> Capacity {
    let (mut known, mut alike) = (cloud.capacity().await.unwrap(), 0);
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = cloud.capacity().await.unwrap();
        let empty = cloud.servers_on(host).await.unwrap().is_empty();
        alike = if empty && now == known { alike + 1 } else { 0 };
        known = now;
        if alike == 3 {
            return known;
        }
    }
    panic!("{host} does not come to rest: {known:?}");
}

#[tokio::test]
async fn server_groups_of_every_project_are_listed_with_their_members() {
    let world = World::load();
    let _alone = world.alone().await;
    let cloud = world.cloud();
    let tenant = Admin::as_user(&world, "tenant").await;
    let admin = Admin::of(&world).await;
    let make = async |by: &Admin, name: &str, policy: &str| {
        let body = json!({"server_group": {"name": name, "policy": policy}});
        let made = by.ask("POST", "compute", "/os-server-groups", body).await;
        made["server_group"]["id"].as_str().unwrap().to_owned()
    };
    let theirs = make(&tenant, "theirs", "soft-affinity").await;
    let ours = make(&admin, "ours", "anti-affinity").await;
    let hints = json!({"os:scheduler_hints": {"group": ours}});
    let instance = admin.boot_with("grouped", &world.host(1), hints).await;
    let groups = cloud.server_groups().await;
    admin.delete(instance).await;
    for (by, id) in [(&tenant, &theirs), (&admin, &ours)] {
        by.ask(
            "DELETE",
            "compute",
            &format!("/os-server-groups/{id}"),
            Value::Null,
        )
        .await;
    }
    let groups = groups.unwrap();
    let of = |id: &str| groups.iter().find(|group| group.id == id).unwrap();
    assert_eq!(of(&ours).members, [instance]);
    assert!(of(&ours).keeps_apart() && !of(&theirs).keeps_apart());
}

#[tokio::test]
async fn the_tag_that_keeps_an_instance_is_taken_by_nova_and_honoured() {
    let world = World::load();
    let _alone = world.alone().await;
    let (cloud, host) = (world.cloud(), world.host(1));
    let admin = Admin::of(&world).await;
    let instance = admin.boot("kept", &host).await;
    let key = KeepKey::new(&[9; 32]);
    let path = format!("/servers/{instance}/tags/{}", key.tag(instance));
    admin.ask("PUT", "compute", &path, Value::Null).await;
    let listed = cloud.servers_on(&host).await;
    admin.delete(instance).await;
    let server = listed
        .unwrap()
        .into_iter()
        .find(|server| server.id == instance)
        .unwrap();
    let rules = Rules {
        keep: Some(&key),
        ..Rules::local_disk(LocalDisk::Rebuild)
    };
    assert_eq!(PlannedInstance::of(&server, &rules).way, Way::Leave);
    let other = KeepKey::new(&[1; 32]);
    let rules = Rules {
        keep: Some(&other),
        ..rules
    };
    assert_eq!(PlannedInstance::of(&server, &rules).way, Way::Evacuate);
    assert!(!server.has_vtpm(), "the listing of nova 2.98 is read");
}

/// The half of it that barbican plays; the lab has no cinder that would name the key.
#[tokio::test]
async fn case_37_a_key_in_barbican_is_ours_to_have_or_refused() {
    let world = World::load();
    let cloud = world.cloud();
    let owner = Admin::as_user(&world, "lazaret").await;
    let binary = json!({"name": "key", "payload": "AAECAwQFBgcICQoLDA0ODw==", "payload_content_type":
        "application/octet-stream", "payload_content_encoding": "base64", "algorithm": "aes", "bit_length": 128});
    let text = json!({"name": "passphrase", "payload": "hunter2", "payload_content_type": "text/plain"});
    for body in [binary, text] {
        let made = owner.ask("POST", "key-manager", "/v1/secrets", body).await;
        let id = made["secret_ref"]
            .as_str()
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned();
        let ours = cloud.may_have_key(id.parse().unwrap()).await;
        let tenants = lazaret::openstack::Cloud::connect(world.connection("tenant"))
            .unwrap()
            .may_have_key(id.parse().unwrap())
            .await;
        owner
            .ask("DELETE", "key-manager", &format!("/v1/secrets/{id}"), Value::Null)
            .await;
        ours.unwrap();
        let refused = tenants.unwrap_err();
        assert!(matches!(refused, Error::Forbidden { .. }), "{refused}");
    }
    let nobody = cloud.may_have_key(uuid::Uuid::from_u128(1)).await.unwrap_err();
    assert!(matches!(nobody, Error::NotFound(_)), "{nobody}");
}

#[tokio::test]
async fn the_labs_cloud_offers_what_is_needed_and_lets_us_read_it() {
    let world = World::load();
    let wants = Wants {
        masakari: true,
        off_on_arrival: true,
        ironic: true,
    };
    let needs = world.cloud().needs(wants).await.unwrap();
    let unmet: Vec<String> = needs
        .iter()
        .filter(|need| !need.is_met())
        .map(|need| need.service.to_string())
        .collect();
    // An older release of the lab lacks newer microversions of nova; it never has Ironic.
    assert!(unmet.contains(&"Ironic".to_owned()), "{needs:?}");
    assert!(
        unmet
            .iter()
            .all(|service| service == "Ironic" || service == "nova"),
        "{needs:?}"
    );
    assert!(needs[0].is_met(), "{needs:?}");
    for right in world.cloud().rights().await {
        right
            .outcome
            .unwrap_or_else(|error| panic!("{}: {error}", right.reads));
    }
    let tenant = lazaret::openstack::Cloud::connect(world.connection("tenant")).unwrap();
    let refused = tenant
        .rights()
        .await
        .into_iter()
        .filter(|right| right.outcome.is_err())
        .count();
    assert!(refused >= 5, "a tenant may read {refused} of it not");
}

#[tokio::test]
async fn an_evacuated_instance_arrives_off_where_that_is_asked_for() {
    let world = World::load();
    let host = world.host(2);
    let body = {
        let (world, host) = (world.clone(), host.clone());
        async move {
            let (cloud, admin) = (world.cloud(), Admin::of(&world).await);
            let instance = admin.boot("arrives-off", &host).await;
            let service = cloud.compute_service(&host).await.unwrap().unwrap();
            cloud.disable(&ByHand, &service, "case").await.unwrap();
            let fenced = fence(&world, &cloud, &host).await;
            cloud
                .force_down(&ByHand, &fenced, &service, "case")
                .await
                .unwrap();
            let asked = cloud
                .evacuate(&ByHand, &fenced, instance, None, Arrival::Off)
                .await;
            assert_eq!(asked.unwrap(), Evacuation::Asked);
            let server = until("the instance has arrived", async || {
                let migrations = cloud.migrations_of(instance).await.unwrap();
                let server = cloud.server(instance).await.unwrap().unwrap();
                let arrived = migrations
                    .iter()
                    .any(|migration| migration.phase() == Phase::Arrived);
                (arrived && server.task_state.is_none()).then_some(server)
            })
            .await;
            admin.delete(instance).await;
            assert_ne!(server.host.as_ref(), Some(&host));
            let offered = cloud.evacuates_to_off().await.unwrap();
            assert_eq!(server.vm_state, if offered { "stopped" } else { "active" });
        }
    };
    world.borrowing(host, body).await;
}
