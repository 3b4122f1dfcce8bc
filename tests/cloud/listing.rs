//! Reading nova and Masakari: services, instances over pages, capacity, segments.

use lazaret::openstack::{Cloud, Service};

use crate::world::{Admin, World};

#[tokio::test]
async fn every_instance_of_a_host_is_listed_page_by_page() {
    let world = World::load();
    let _alone = world.alone().await;
    let host = world.host(1);
    let admin = Admin::of(&world).await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(admin.boot(&format!("list-{number}"), &host).await);
    }
    let mut connection = world.connection("lazaret");
    connection.page_size = Some(1);
    let cloud = Cloud::connect(connection).unwrap();
    let listed = cloud.servers_on(&host).await;
    let one = cloud.server(ids[0]).await;
    for id in &ids {
        admin.delete(*id).await;
    }

    let listed = listed.unwrap();
    assert!(
        ids.iter().all(|id| listed.iter().any(|server| server.id == *id)),
        "{listed:?}"
    );
    let one = one.unwrap().unwrap();
    assert_eq!((one.name.as_str(), one.vm_state.as_str()), ("list-0", "active"));
    assert_eq!(one.host.as_ref(), Some(&host));
    assert!(!one.boots_from_volume() && one.has_hypervisor_disk() && !one.flavor_has_vtpm());
    assert!(one.can_be_evacuated_now() && !one.locked && one.server_groups.is_some());
    assert_eq!(one.flavor.name, world.text("/flavor"));
}

#[tokio::test]
async fn services_capacity_and_versions_are_read() {
    let world = World::load();
    let _alone = world.alone().await;
    let cloud = world.cloud();
    let nova = cloud.versions(Service::Compute).await.unwrap();
    assert!(nova.max.to_string() == "2.93" || nova.max.minor > 93, "{nova}");
    let services = cloud.compute_services().await.unwrap();
    let hypervisors = cloud.hypervisors().await.unwrap();
    for service in &services.known {
        assert!(service.heartbeat.is_some(), "{service:?}");
        let capacity = hypervisors
            .iter()
            .find(|hypervisor| hypervisor.host == service.host)
            .unwrap();
        assert!(capacity.up && capacity.memory_mb.1 > 0, "{capacity:?}");
    }
    assert_eq!(
        cloud.compute_service(&"nope".parse().unwrap()).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn masakari_knows_its_hosts_and_no_others() {
    let world = World::load();
    let cloud = world.cloud();
    assert!(cloud.has_masakari().await.unwrap());
    let known = cloud.recovery_host(&world.host(0)).await.unwrap().unwrap();
    assert_eq!(
        (known.segment_name.as_str(), known.segment_enabled),
        ("lab", Some(true))
    );
    assert_eq!(cloud.recovery_host(&"nope".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn an_instance_that_never_was_is_none_rather_than_an_error() {
    let cloud = World::load().cloud();
    let nobody = "00000000-0000-4000-8000-000000000000".parse().unwrap();
    assert_eq!(cloud.server(nobody).await.unwrap(), None);
    assert_eq!(cloud.migrations_of(nobody).await.unwrap(), []);
}
