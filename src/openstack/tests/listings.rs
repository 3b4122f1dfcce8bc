//! Listings: whole, filtered, or not known.

use super::*;

#[tokio::test]
async fn an_empty_listing_of_a_cell_that_is_down_is_not_known() {
    let (_server, cloud) = cloud_that(|request| {
        if request.path.starts_with("/v2.1/os-services") {
            answer(
                200,
                r#"{"services": [{"binary": "nova-compute", "host": "cmp-1", "status": "UNKNOWN"}]}"#,
            )
        } else if request.path.starts_with("/v2.1/servers/detail") {
            answer(200, r#"{"servers": []}"#)
        } else if request.path.starts_with("/v2.1/os-migrations") {
            answer(200, r#"{"migrations": []}"#)
        } else {
            let row = r#"{"server": {"id": "b3f1e7a4-5c62-4c1e-9d1d-0a8d6c1f2e3b", "status": "UNKNOWN",
                "tenant_id": "p", "created": "2026-11-21T06:53:47Z", "links": []}}"#;
            answer(200, row)
        }
    })
    .await;
    let not_known = |error: Error| matches!(error, Error::NotKnown { .. });
    assert!(not_known(cloud.servers_on(&host("cmp-1")).await.unwrap_err()));
    assert!(not_known(
        cloud.migrations_from(&host("cmp-1"), None).await.unwrap_err()
    ));
    assert!(not_known(cloud.migrations_of(instance()).await.unwrap_err()));
    assert!(not_known(cloud.server(instance()).await.unwrap_err()));
    assert_eq!(cloud.compute_services().await.unwrap().not_known, [host("cmp-1")]);
}

#[tokio::test]
async fn every_page_is_read_and_a_circle_is_refused() {
    let page = |id: u32, next: Option<&str>| {
        let row = server_row(&format!("00000000-0000-4000-8000-{id:012}"), "cmp-1", "null");
        // The address of the link is another host's: only its marker may be used.
        let link = next.map_or(String::new(), |marker| {
            format!(r#", "servers_links": [{{"rel": "next", "href": "http://elsewhere.invalid/servers/detail?limit=1&marker={marker}"}}]"#)
        });
        answer(200, format!(r#"{{"servers": [{row}]{link}}}"#))
    };
    let (_server, cloud) = cloud_that(move |request| match request.path.as_str() {
        path if path.contains("os-services") => answer(200, service_row("cmp-1")),
        path if path.contains("host=cmp-2") => page(1, Some("same")),
        path if path.contains("marker=second") => page(3, None),
        path if path.contains("marker=first") => page(2, Some("second")),
        _ => page(1, Some("first")),
    })
    .await;
    assert_eq!(cloud.servers_on(&host("cmp-1")).await.unwrap().len(), 3);
    let error = cloud.servers_on(&host("cmp-2")).await.unwrap_err();
    assert!(error.to_string().contains("circle"), "{error}");
}

#[tokio::test]
async fn a_listing_that_ignores_its_filter_is_not_believed() {
    // What nova does, without a word, for who lacks servers:allow_all_filters.
    let (_server, cloud) = cloud_that(|request| match request.path.as_str() {
        path if path.contains("os-services") => answer(200, service_row("cmp-1")),
        _ => answer(
            200,
            format!(r#"{{"servers": [{}]}}"#, server_row(INSTANCE, "cmp-2", "null")),
        ),
    })
    .await;
    let error = cloud.servers_on(&host("cmp-1")).await.unwrap_err();
    assert!(
        error.to_string().contains("is on cmp-2") && error.to_string().contains("allow_all_filters"),
        "{error}"
    );
}

#[tokio::test]
async fn a_host_with_an_odd_name_hides_no_other_host() {
    let (_server, cloud) = cloud_that(|request| match request.path.as_str() {
        path if path.contains("os-services") && path.contains("host=cmp-1") => {
            answer(200, service_row("cmp-1").replace("[{", r#"[{"host": "cmp 1", "status": "enabled"}, {"#))
        }
        path if path.contains("os-services") => answer(200, service_row("cmp 1")),
        path if path.contains("os-aggregates") => answer(
            200,
            r#"{"aggregates": [{"id": 7, "name": "a", "availability_zone": null, "hosts": ["cmp 1", "cmp-1"]}]}"#,
        ),
        _ => {
            let row = |host: &str, used: &str| {
                format!(
                    r#"{{"id": "eb16b4e6-9661-4c7f-a847-b00f79322cbd", "hypervisor_hostname": "h", "state": "up",
                    "status": "enabled", "service": {{"host": "{host}"}}, "vcpus": 8, "vcpus_used": {used}}}"#
                )
            };
            let rows = [row("cmp:1", "0"), row("cmp-2", "-1"), row("cmp-1", "3")].join(",");
            answer(200, format!(r#"{{"hypervisors": [{rows}]}}"#))
        }
    })
    .await;
    let [aggregate] = cloud.aggregates().await.unwrap().try_into().unwrap();
    assert_eq!(aggregate.hosts, [host("cmp-1")]);
    let [hypervisor] = cloud.hypervisors().await.unwrap().try_into().unwrap();
    assert_eq!((hypervisor.host, hypervisor.vcpus), (host("cmp-1"), (3, 8)));
    // Its own row is there.
    let service = cloud.compute_service(&host("cmp-1")).await.unwrap().unwrap();
    assert_eq!(service.host, host("cmp-1"));
    // Something else is in its place: that is no word that it is gone.
    let error = cloud.compute_service(&host("cmp-2")).await.unwrap_err();
    assert!(error.to_string().contains("\"cmp 1\""), "{error}");
}
