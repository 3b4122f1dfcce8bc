//! What a service may answer instead: busy, nothing, too much, no, too old.

use super::*;

#[tokio::test]
async fn retry_after_is_honoured_and_bounded() {
    let asked = AtomicUsize::new(0);
    let (server, cloud) = cloud_that(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::Http(429, vec![("Retry-After", "0".to_owned())], String::new()),
        1 => Answer::Http(503, vec![("Retry-After", "0".to_owned())], String::new()),
        2 => answer(200, service_row("cmp-1")),
        _ => Answer::Http(503, vec![("Retry-After", "3600".to_owned())], "busy".to_owned()),
    })
    .await;
    cloud.compute_services().await.unwrap();
    assert_eq!(server.count("GET /v2.1/os-services"), 3);
    let error = cloud.compute_services().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { attempts: 1, .. }), "{error}");
    assert_eq!(error.next(), Next::Again);
}

#[tokio::test]
async fn a_silent_service_ends_at_the_deadline() {
    let (_server, cloud) = cloud_at("2.93", Duration::from_millis(300), |request| {
        if request.method == "GET" {
            answer(200, service_row("cmp-1"))
        } else {
            Answer::Hang
        }
    })
    .await;
    let service = cloud.compute_service(&host("cmp-1")).await.unwrap().unwrap();
    let error = cloud.disable(&Freely, &service, "x").await.unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }), "{error}");
    assert!(error.to_string().contains("cmp-1"), "{error}");
    assert_eq!(error.next(), Next::Look, "nova may have done it");
}

#[tokio::test]
async fn what_a_service_asks_for_beyond_the_call_is_told_to_the_caller() {
    // More than is waited for within a call; less than that, and more than is left of this one.
    for asked in [25, 5] {
        let (server, cloud) = cloud_at("2.93", Duration::from_secs(3), move |_| {
            Answer::Http(429, vec![("Retry-After", asked.to_string())], String::new())
        })
        .await;
        let begin = std::time::Instant::now();
        let error = cloud.compute_services().await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(asked)), "{error}");
        assert_eq!(error.next(), Next::Again);
        assert_eq!(server.count("GET /v2.1/os-services"), 1);
        assert!(
            begin.elapsed() < Duration::from_secs(3),
            "nothing is waited for in vain"
        );
    }
}

#[tokio::test]
async fn a_body_without_end_is_refused() {
    let (_server, cloud) = cloud_that(|_| answer(200, "x".repeat(17 * 1024 * 1024))).await;
    let error = cloud.compute_services().await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_403_names_the_missing_right_and_the_request() {
    let (_server, cloud) = cloud_that(|_| {
        Answer::Http(
            403,
            vec![("x-openstack-request-id", "req-1".to_owned())],
            r#"{"forbidden": {"code": 403, "message": "Policy doesn't allow it."}}"#.to_owned(),
        )
    })
    .await;
    let error = cloud.compute_services().await.unwrap_err();
    let words = error.to_string();
    for part in [
        "os_compute_api:os-services:list",
        "req-1",
        "Policy doesn't allow it.",
        "role admin",
    ] {
        assert!(words.contains(part), "{words}");
    }
    assert_eq!(error.next(), Next::Stop);
}

#[tokio::test]
async fn too_old_a_nova_says_which_version_is_needed() {
    let (_server, cloud) = cloud_at("2.72", Duration::from_secs(5), |_| {
        answer(200, service_row("cmp-1"))
    })
    .await;
    let error = cloud.compute_services().await.unwrap_err();
    assert!(matches!(error, Error::VersionTooLow { .. }), "{error}");
    assert!(
        error.to_string().contains("2.80") && error.to_string().contains("2.72"),
        "{error}"
    );
}
