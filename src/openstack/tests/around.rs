//! What is around instances: server groups, room, keys, and how they arrive.

use super::*;

#[tokio::test]
async fn server_groups_are_listed_to_the_empty_page() {
    let group = |id: u32, policy: &str| {
        format!(
            r#"{{"id": "g{id}", "name": "n", "policy": "{policy}", "rules": {{}}, "members": ["{INSTANCE}"]}}"#
        )
    };
    let (nova, cloud) = cloud_that(move |request| {
        let rows = match request.path.split("offset=").nth(1) {
            Some("0") => format!("{}, {}", group(1, "anti-affinity"), group(2, "affinity")),
            Some("2") => group(3, "soft-anti-affinity"),
            _ => String::new(),
        };
        answer(200, format!(r#"{{"server_groups": [{rows}]}}"#))
    })
    .await;
    let groups = cloud.server_groups().await.unwrap();
    let apart: Vec<bool> = groups.iter().map(ServerGroup::keeps_apart).collect();
    assert_eq!(apart, [true, false, true]);
    assert_eq!(groups[0].members, [instance()]);
    assert_eq!(nova.count("GET /v2.1/os-server-groups?all_projects=True"), 3);
}

#[tokio::test]
async fn a_nova_that_gives_the_same_page_for_ever_is_no_endless_listing() {
    let (_nova, cloud) = cloud_that(|_| answer(200, r#"{"server_groups": [{"id": "g"}]}"#)).await;
    let cloud = Cloud::connect(Connection {
        limits: RequestLimits {
            per_second: 100_000,
            in_flight: 1,
        },
        ..cloud.connection.clone()
    })
    .unwrap();
    assert!(matches!(
        cloud.server_groups().await,
        Err(Error::TooManyPages { .. })
    ));
}

#[tokio::test]
async fn what_is_free_is_placements_count_and_a_full_host_is_left_out() {
    let (placement, cloud) = cloud_that(|request| match request.path.as_str() {
        "/placement/" => answer(
            200,
            r#"{"versions": [{"max_version": "1.39", "min_version": "1.0"}]}"#,
        ),
        path if path.starts_with("/placement/allocation_candidates") => answer(
            200,
            r#"{"allocation_requests": [], "provider_summaries": {
                "eb16b4e6-9661-4c7f-a847-b00f79322cb1": {"resources": {"VCPU": {"capacity": 64, "used": 60},
                    "MEMORY_MB": {"capacity": 1536, "used": 512}, "DISK_GB": {"capacity": 9, "used": 0}}},
                "eb16b4e6-9661-4c7f-a847-b00f79322cb2": {"resources": {"VCPU": {"capacity": 4, "used": 6},
                    "MEMORY_MB": {"capacity": 100, "used": 0}}},
                "eb16b4e6-9661-4c7f-a847-b00f79322cb9": {"resources": {}}}}"#,
        ),
        _ => {
            let row = |n: u8| {
                format!(
                    r#"{{"id": "eb16b4e6-9661-4c7f-a847-b00f79322cb{n}", "hypervisor_hostname": "h{n}",
                        "service": {{"host": "cmp-{n}"}}}}"#
                )
            };
            answer(
                200,
                format!(r#"{{"hypervisors": [{}, {}, {}]}}"#, row(1), row(2), row(3)),
            )
        }
    })
    .await;
    let free = cloud.capacity().await.unwrap();
    let of = |n: u8| {
        free.get(&host(&format!("cmp-{n}")))
            .map(|free| (free.vcpus, free.memory_mb))
    };
    // An overcommitted host has nothing free, rather than less than nothing.
    assert_eq!((of(1), of(2), of(3)), (Some((4, 1024)), Some((0, 100)), None));
    let asked = placement
        .seen()
        .into_iter()
        .find(|line| line.contains("candidates"))
        .unwrap();
    assert!(asked.contains("resources=VCPU%3A1%2CMEMORY_MB%3A1"), "{asked}");
}

#[tokio::test]
async fn stopped_on_arrival_is_asked_for_where_nova_offers_it() {
    for (newest, arrival, version) in [
        ("2.95", Arrival::Off, "compute 2.95"),
        ("2.104", Arrival::Off, "compute 2.95"),
        ("2.94", Arrival::Off, "compute 2.80"),
        ("2.104", Arrival::AsItWas, "compute 2.80"),
    ] {
        let (nova, cloud) = cloud_at(newest, Duration::from_secs(5), |request| {
            match request.path.as_str() {
                path if path.ends_with("/action") => answer(200, ""),
                path if path.contains("os-migrations") => answer(200, r#"{"migrations": []}"#),
                _ => answer(
                    200,
                    format!(r#"{{"server": {}}}"#, server_row(INSTANCE, "cmp-1", "null")),
                ),
            }
        })
        .await;
        let fenced = Fenced::for_tests(host("cmp-1"));
        let asked = cloud.evacuate(&Freely, &fenced, instance(), None, arrival).await;
        assert_eq!(asked.unwrap(), Evacuation::Asked);
        assert_eq!(
            nova.last().header("OpenStack-API-Version"),
            Some(version),
            "{newest} {arrival:?}"
        );
    }
}

#[tokio::test]
async fn a_virtual_tpm_that_the_image_asks_for_is_seen_where_nova_shows_it() {
    for (newest, seen) in [("2.104", true), ("2.97", false)] {
        let (_nova, cloud) = cloud_at(newest, Duration::from_secs(5), |request| {
            if request.path.starts_with("/v2.1/os-services") {
                return answer(200, service_row("cmp-1"));
            }
            // nova shows the properties from 2.98 on.
            let properties = match request.header("OpenStack-API-Version") {
                Some("compute 2.98") => r#""properties": {"hw_tpm_version": "2.0", "min_ram": 0}"#,
                _ => r#""links": []"#,
            };
            let row = server_row(INSTANCE, "cmp-1", "null").replace(r#""links": []"#, properties);
            answer(200, format!(r#"{{"servers": [{row}]}}"#))
        })
        .await;
        let servers = cloud.servers_on(&host("cmp-1")).await.unwrap();
        assert_eq!(servers[0].has_vtpm(), seen, "{newest}");
    }
}

#[tokio::test]
async fn a_hosts_instances_and_migrations_are_read_between_two_looks_at_its_cell() {
    let (nova, cloud) = cloud_that(|request| match request.path.as_str() {
        path if path.contains("os-migrations") => answer(200, r#"{"migrations": []}"#),
        path if path.contains("os-services") => answer(200, service_row("cmp-1")),
        _ => answer(200, r#"{"servers": []}"#),
    })
    .await;
    let read = cloud
        .servers_and_migrations(&host("cmp-1"), &MigrationKind::Evacuation)
        .await;
    assert_eq!(read.unwrap(), (vec![], vec![]));
    let seen: Vec<String> = nova
        .seen()
        .into_iter()
        .filter(|line| line.starts_with("GET /v2.1/"))
        .collect();
    let looks: Vec<bool> = seen
        .iter()
        .skip(1)
        .map(|line| line.contains("os-services"))
        .collect();
    assert_eq!(looks, [true, false, false, true], "{seen:?}");
}

/// cinder is a fake here and in the whole repository: the lab has none. barbican's side of it runs against the real one
/// in tests/cloud.
#[tokio::test]
async fn case_37_a_volumes_key_is_asked_for_and_a_refusal_is_told() {
    const VOLUME: &str = "11111111-1111-4111-8111-111111111111";
    let (server, cloud) = cloud_that(|request| match request.path.as_str() {
        "/v3/p/volumes/11111111-1111-4111-8111-111111111111/encryption" => answer(
            200,
            r#"{"encryption_key_id": "22222222-2222-4222-8222-222222222222", "cipher": "aes-xts-plain64"}"#,
        ),
        path if path.ends_with("/encryption") => answer(200, r#"{"encryption_key_id": null}"#),
        "/v1/secrets/22222222-2222-4222-8222-222222222222/payload" => answer(
            403,
            r#"{"code": 403, "title": "Forbidden", "description": "Secret payload retrieval attempt not allowed"}"#,
        ),
        "/v1/secrets/33333333-3333-4333-8333-333333333333/payload"
            if request.header("accept") == Some("application/octet-stream") =>
        {
            answer(406, "{}")
        }
        _ => answer(200, "the key"),
    })
    .await;
    let cloud = Cloud::connect(Connection {
        endpoints: Endpoints {
            block_storage: Some(format!("{}/v3/p", server.url).parse().unwrap()),
            ..cloud.connection.endpoints.clone()
        },
        ..cloud.connection.clone()
    })
    .unwrap();
    assert!(cloud.has_cinder().await.unwrap());
    let key = cloud.volume_key(VOLUME).await.unwrap().unwrap();
    let refused = cloud.may_have_key(key).await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden { .. }), "{refused}");
    assert!(refused.to_string().contains("secret:decrypt"), "{refused}");
    assert_eq!(
        cloud
            .volume_key("44444444-4444-4444-8444-444444444444")
            .await
            .unwrap(),
        None,
        "not encrypted"
    );
    let text = "33333333-3333-4333-8333-333333333333".parse().unwrap();
    cloud.may_have_key(text).await.unwrap();
    // What nova calls a volume becomes no other path.
    let seen = server.seen().len();
    assert!(cloud.volume_key("../limits").await.is_err());
    assert_eq!(server.seen().len(), seen);
}

/// Ironic is a fake here and in the whole repository: the lab has none. Its paths are those of its own client.
#[tokio::test]
async fn a_fake_ironic_is_told_the_reason_in_the_version_and_by_the_header_that_it_knows() {
    let (server, cloud) = cloud_that(|request| match request.method.as_str() {
        "PUT" | "DELETE" => answer(202, ""),
        _ if request.path == "/ironic/" => answer(
            200,
            r#"{"default_version": {"id": "v1", "version": "1.99", "min_version": "1.1"},
                "versions": [{"id": "v1", "version": "1.99", "min_version": "1.1"}]}"#,
        ),
        _ if request.path.contains("/00000000-") => answer(404, "{}"),
        _ => answer(
            200,
            r#"{"maintenance": true, "maintenance_reason": "lazaret", "power_state": "power off",
                "target_power_state": null, "links": []}"#,
        ),
    })
    .await;
    let cloud = Cloud::connect(Connection {
        endpoints: Endpoints {
            bare_metal: Some(format!("{}/ironic", server.url).parse().unwrap()),
            ..cloud.connection.endpoints.clone()
        },
        ..cloud.connection.clone()
    })
    .unwrap();
    let (name, node) = (host("cmp-1"), uuid::Uuid::from_u128(7 << 120));
    cloud
        .begin_ironic_maintenance(&Freely, &name, node, "lazaret case q")
        .await
        .unwrap();
    let put = server.last();
    assert!(
        put.path.ends_with(&format!("/v1/nodes/{node}/maintenance")),
        "{}",
        put.path
    );
    assert_eq!(put.body, r#"{"reason":"lazaret case q"}"#);
    assert_eq!(put.header("X-OpenStack-Ironic-API-Version"), Some("1.22"));
    assert!(cloud.ironic_node(node).await.unwrap().unwrap().maintenance);
    assert_eq!(cloud.ironic_node(uuid::Uuid::nil()).await.unwrap(), None);
    cloud.end_ironic_maintenance(&Freely, &name, node).await.unwrap();
    assert_eq!(server.last().method, "DELETE");
}

#[tokio::test]
async fn case_07_what_is_too_old_is_named_with_what_is_needed_and_what_is_so_without() {
    let wants = Wants {
        masakari: true,
        off_on_arrival: true,
        ironic: false,
    };
    let unmet = async |newest: &'static str| {
        let (_nova, cloud) = cloud_at(newest, Duration::from_secs(5), |request| {
            match request.path.as_str() {
                "/placement/" => answer(
                    200,
                    r#"{"versions": [{"max_version": "1.20", "min_version": "1.0"}]}"#,
                ),
                _ => answer(404, "{}"),
            }
        })
        .await;
        let needs = cloud.needs(wants).await.unwrap();
        let unmet: Vec<(String, bool)> = needs
            .iter()
            .filter(|need| !need.is_met())
            .map(|need| (need.says(), need.without.is_none()))
            .collect();
        unmet
    };
    let old = unmet("2.79").await;
    assert_eq!(old.iter().filter(|(_, stops)| *stops).count(), 1, "{old:?}");
    assert_eq!(
        old[0].0,
        "nova must offer microversion 2.80 for every call, and it offers 2.1 to 2.79"
    );
    let newer = unmet("2.94").await;
    assert!(newer.iter().all(|(_, stops)| !stops), "{newer:?}");
    let says: String = newer.iter().map(|(says, _)| says.as_str()).collect();
    for word in [
        "2.98",
        "2.95 for response.on_arrival",
        "placement must offer microversion 1.27",
    ] {
        assert!(says.contains(word), "{word}: {says}");
    }
    assert_eq!(unmet("2.104").await.len(), 1, "placement alone");
}

#[tokio::test]
async fn a_right_that_is_missing_is_found_before_any_case() {
    let (_nova, cloud) = cloud_that(|request| match request.path.as_str() {
        "/placement/" => answer(200, r#"{"versions": [{"max_version": "1.39", "min_version": "1.0"}]}"#),
        path if path.contains("os-migrations") => answer(
            403,
            r#"{"forbidden": {"message": "Policy doesn't allow os_compute_api:os-migrations:index to be performed."}}"#,
        ),
        _ => answer(200, "{}"),
    })
    .await;
    let refused: Vec<_> = cloud
        .rights()
        .await
        .into_iter()
        .filter(|right| right.outcome.is_err())
        .collect();
    assert_eq!(refused.len(), 1);
    let words = refused[0].outcome.as_ref().unwrap_err().to_string();
    assert!(
        words.contains("allow os_compute_api:os-migrations:index"),
        "{words}"
    );
    assert_eq!(refused[0].without, None, "nothing goes on without it");
}
