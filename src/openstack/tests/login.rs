//! Tokens, logins and the catalogue's addresses.

use super::*;

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_the_same_request_sent_again() {
    let (server, cloud) = cloud_that(|request| match request.header("x-auth-token") {
        Some("token-0") => answer(
            401,
            r#"{"error": {"message": "The request you have made requires authentication."}}"#,
        ),
        _ => answer(200, service_row("cmp-1")),
    })
    .await;
    assert_eq!(cloud.compute_services().await.unwrap().known.len(), 1);
    assert_eq!(server.count("POST /v3/auth/tokens"), 2);
    assert_eq!(
        server.last().header("openstack-api-version"),
        Some("compute 2.80")
    );
}

#[tokio::test]
async fn a_token_that_is_refused_again_is_not_renewed_for_ever() {
    let (server, cloud) = cloud_that(|_| answer(401, "{}")).await;
    let error = cloud.compute_services().await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized(_)), "{error}");
    assert_eq!(server.count("POST /v3/auth/tokens"), 2);
}

#[tokio::test]
async fn a_right_that_a_person_gives_counts_at_the_next_call() {
    let (server, cloud) = cloud_that(|request| match request.header("x-auth-token") {
        // Its rights were taken, which makes tokens void; the next has one right less.
        Some("token-0") => answer(401, "{}"),
        Some("token-1") => answer(403, r#"{"forbidden": {"message": "Policy doesn't allow it"}}"#),
        _ => answer(200, service_row("cmp-1")),
    })
    .await;
    let error = cloud.compute_services().await.unwrap_err();
    assert!(matches!(error, Error::Forbidden { .. }), "{error}");
    assert_eq!(
        server.count("POST /v3/auth/tokens"),
        2,
        "a refusal is not argued with"
    );
    assert_eq!(cloud.compute_services().await.unwrap().known.len(), 1);
    assert_eq!(server.count("POST /v3/auth/tokens"), 3);
}

#[tokio::test]
async fn a_refused_login_is_not_repeated_at_once_and_shows_no_password() {
    let server = Server::start(|_| answer(401, r#"{"error": {"code": 401, "message": "no"}}"#)).await;
    let (_, mut cloud) = cloud_that(|_| answer(500, "")).await;
    cloud.connection.auth_url = server.url.parse().unwrap();
    for _ in 0..3 {
        let error = cloud.whoami().await.unwrap_err();
        assert!(
            matches!(error, Error::Login(_)) && error.next() == Next::Stop,
            "{error}"
        );
        assert!(
            error.to_string().contains("daemon@Default") && !error.to_string().contains("hunter2"),
            "{error}"
        );
    }
    assert_eq!(
        server.count("POST"),
        1,
        "an account with a lock-out would be locked"
    );
    assert!(!format!("{cloud:?}").contains("hunter2"));
}

#[tokio::test]
async fn an_endpoint_is_never_guessed_between_regions() {
    let catalogue = r#"{"token": {"user": {"id": "u", "name": "daemon"}, "catalog": [{"type": "compute", "endpoints": [
        {"interface": "public", "region_id": "one", "url": "http://one.invalid/v2.1"},
        {"interface": "public", "region_id": "two", "url": "http://two.invalid/v2.1"},
        {"interface": "admin", "region_id": "one", "url": "http://admin.invalid/v2.1"}]}]}}"#;
    let server = Server::start(move |_| {
        Answer::Http(
            201,
            vec![("X-Subject-Token", "t".to_owned())],
            catalogue.to_owned(),
        )
    })
    .await;
    let (_, mut cloud) = cloud_that(|_| answer(500, "")).await;
    cloud.connection.auth_url = server.url.parse().unwrap();
    cloud.connection.endpoints = Endpoints::default();
    let error = cloud.endpoint(Service::Compute).await.unwrap_err();
    assert!(
        error.to_string().contains("public in one, public in two"),
        "{error}"
    );
    cloud.connection.region = Some("two".to_owned());
    assert_eq!(
        cloud.endpoint(Service::Compute).await.unwrap().host_str(),
        Some("two.invalid")
    );
    assert!(!cloud.has_masakari().await.unwrap());
}

#[tokio::test]
async fn a_keystone_that_quotes_the_login_does_not_put_the_password_into_our_words() {
    for status in [400, 401] {
        let words = format!(
            r#"{{"error": {{"message": "{{'user': {{'password': 'hunter2'}}}} is not valid", "code": {status}}}}}"#
        );
        let server = Server::start(move |_| answer(status, words.clone())).await;
        let (_, mut cloud) = cloud_that(|_| answer(500, "")).await;
        cloud.connection.auth_url = server.url.parse().unwrap();
        for _ in 0..2 {
            let error = cloud.whoami().await.unwrap_err();
            let words = format!("{error} {error:?}");
            assert!(
                words.contains("(hidden)") && !words.contains("hunter2"),
                "{words}"
            );
        }
    }
}

#[tokio::test]
async fn a_secret_is_found_by_its_name_and_the_newest_active_one_counts() {
    use crate::config::secret::BarbicanRef;
    use crate::secrets::Vault as _;
    let row = |name: &str, status: &str, created: &str, id: u8| {
        format!(
            r#"{{"name": "{name}", "status": "{status}", "created": "2026-11-21T{created}", "algorithm": null,
                "secret_ref": "http://key-manager/v1/secrets/{id:08x}-0000-4000-8000-000000000000"}}"#
        )
    };
    let rows = [
        row("bmc", "ACTIVE", "06:00:00", 1),
        row("bmc", "ERROR", "09:00:00", 2),
        row("bmc", "ACTIVE", "08:00:00", 3),
        row("bmc-2", "ACTIVE", "10:00:00", 4),
    ];
    let listing = format!(r#"{{"secrets": [{}], "total": 4}}"#, rows.join(","));
    let (server, mut cloud) = cloud_that(move |request| match request.path.split('?').next().unwrap() {
        "/v1/secrets" if request.path.contains("name=none") => answer(200, r#"{"secrets": [], "total": 0}"#),
        "/v1/secrets" => answer(200, listing.clone()),
        "/v1/secrets/00000003-0000-4000-8000-000000000000/payload" => answer(200, "hunter3"),
        _ => answer(404, r#"{"title": "Not Found"}"#),
    })
    .await;
    cloud.connection.endpoints.key_manager = Some(server.url.parse().unwrap());
    let fetched = cloud.fetch(&BarbicanRef::Name("bmc".into())).await.unwrap();
    assert_eq!(fetched.expose(), "hunter3");
    let none = cloud.fetch(&BarbicanRef::Name("none".into())).await.unwrap_err();
    assert!(none.contains("no active secret"), "{none}");
    let gone = cloud
        .fetch(&BarbicanRef::Id(uuid::Uuid::nil()))
        .await
        .unwrap_err();
    assert!(gone.contains("404"), "{gone}");
}
