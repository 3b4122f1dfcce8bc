//! The request function and the calls against scripted answers; the lab's tests run them against the real ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::secret::{Secret, SecretSource};
use crate::fence::{Fenced, HeartbeatSignal as _};
use crate::ids::{HostName, InstanceId};
use crate::permit::{Asked, Denied, Effect, Freely, Permit, Permits};

use super::scripted::{Answer, Request, Server, answer};
use super::*;

const INSTANCE: &str = "b3f1e7a4-5c62-4c1e-9d1d-0a8d6c1f2e3b";

fn host(name: &str) -> HostName {
    name.parse().unwrap()
}

fn instance() -> InstanceId {
    INSTANCE.parse().unwrap()
}

/// Answers the login and the version documents; the rest is the test's.
async fn cloud_that(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> (Server, Cloud) {
    cloud_at("2.93", Duration::from_secs(5), script).await
}

async fn cloud_at(
    newest: &'static str,
    timeout: Duration,
    script: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> (Server, Cloud) {
    let logins = AtomicUsize::new(0);
    let server = Server::start(move |request| match request.path.as_str() {
        "/v3/auth/tokens" => {
            let number = logins.fetch_add(1, Ordering::SeqCst);
            let body = r#"{"token": {"user": {"id": "u", "name": "daemon", "domain": {"name": "Default"}},
                "project": {"id": "p", "name": "service"}, "roles": [{"name": "admin"}],
                "issued_at": "2026-11-21T06:53:49.000000Z", "expires_at": "2026-11-21T10:53:49.000000Z"}}"#;
            Answer::Http(
                201,
                vec![("X-Subject-Token", format!("token-{number}"))],
                body.to_owned(),
            )
        }
        "/v2.1/" => answer(
            200,
            format!(r#"{{"version": {{"version": "{newest}", "min_version": "2.1"}}}}"#),
        ),
        "/v1/" => answer(200, r#"{"version": {"version": "1.2", "min_version": "1.0"}}"#),
        _ => script(request),
    })
    .await;
    let cloud = Cloud::connect(Connection {
        auth_url: server.url.parse().unwrap(),
        credential: Credential::Password {
            username: "daemon".to_owned(),
            user_domain: "Default".to_owned(),
            project: "service".to_owned(),
            project_domain: "Default".to_owned(),
            password: SecretSource::Inline(Secret::new("hunter2".to_owned())),
        },
        region: None,
        interface: Interface::Public,
        ca_pem: None,
        timeout,
        endpoints: Endpoints {
            compute: Some(format!("{}/v2.1", server.url).parse().unwrap()),
            instance_ha: Some(format!("{}/v1", server.url).parse().unwrap()),
            key_manager: Some(server.url.parse().unwrap()),
        },
        page_size: None,
    })
    .unwrap();
    (server, cloud)
}

fn service_row(name: &str) -> String {
    format!(
        r#"{{"services": [{{"binary": "nova-compute", "host": "{name}", "id": "eb16b4e6-9661-4c7f-a847-b00f79322cbd",
            "zone": "nova", "status": "enabled", "state": "up", "updated_at": "2026-11-21T06:53:47.000000",
            "disabled_reason": null, "forced_down": false}}]}}"#
    )
}

fn server_row(id: &str, on: &str, task: &str) -> String {
    format!(
        r#"{{"id": "{id}", "status": "ACTIVE", "tenant_id": "p", "user_id": "u", "name": "web",
            "OS-EXT-SRV-ATTR:host": "{on}", "OS-EXT-SRV-ATTR:hypervisor_hostname": "{on}",
            "OS-EXT-STS:vm_state": "active", "OS-EXT-STS:task_state": {task}, "OS-EXT-STS:power_state": 1,
            "OS-EXT-AZ:availability_zone": "nova", "os-extended-volumes:volumes_attached": [],
            "locked": false, "locked_reason": null, "tags": ["gold"], "image": {{"id": "i", "links": []}},
            "flavor": {{"original_name": "lab.tiny", "vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0, "swap": 0,
            "extra_specs": {{}}}}, "created": "2026-11-21T06:53:47Z"}}"#
    )
}

fn migration_row(status: &str, from: &str, to: &str) -> String {
    format!(
        r#"{{"migrations": [{{"id": 1, "uuid": "m", "instance_uuid": "{INSTANCE}", "status": "{status}",
            "migration_type": "evacuation", "source_compute": "{from}", "dest_compute": {to},
            "user_id": "u", "project_id": "p", "created_at": "2026-11-21T06:53:47.000000", "updated_at": null}}]}}"#
    )
}

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

/// Gives leave so many times, and counts what it is told.
struct Times(AtomicUsize, std::sync::Mutex<Vec<String>>);

impl Permits for Times {
    fn ask<'a>(&'a self, effect: &'a Effect) -> Asked<'a, Result<Permit, Denied>> {
        Box::pin(async move {
            let left = self.0.load(Ordering::SeqCst);
            self.0.store(left.saturating_sub(1), Ordering::SeqCst);
            if left == 0 {
                return Err(Denied {
                    why: format!("{effect}: the lease is lost"),
                });
            }
            Freely.ask(effect).await
        })
    }

    fn answered<'a>(&'a self, effect: &'a Effect, answer: &'a str) -> Asked<'a, ()> {
        self.1.lock().unwrap().push(format!("{effect}: {answer}"));
        Box::pin(async {})
    }
}

#[tokio::test]
async fn leave_is_asked_for_each_time_that_a_change_is_sent() {
    for (times, sent) in [(0, 0), (1, 1), (2, 2), (9, 3)] {
        let busy = AtomicUsize::new(2);
        let (server, cloud) = cloud_that(move |request| match request.method.as_str() {
            "GET" => answer(200, service_row("cmp-1")),
            _ if busy.load(Ordering::SeqCst) > 0 => {
                busy.fetch_sub(1, Ordering::SeqCst);
                Answer::Http(503, vec![("Retry-After", "0".to_owned())], String::new())
            }
            _ => answer(400, "{}"),
        })
        .await;
        let service = cloud.compute_service(&host("cmp-1")).await.unwrap().unwrap();
        let leave = Times(AtomicUsize::new(times), Default::default());
        let error = cloud.disable(&leave, &service, "x").await.unwrap_err();
        assert_eq!(server.count("PUT"), sent, "{error}");
        let told = leave.1.into_inner().unwrap();
        if times < 9 {
            assert!(matches!(error, Error::NotPermitted { .. }), "{error}");
            assert_eq!(error.next(), Next::Stop);
            assert_eq!(told, Vec::<String>::new(), "what came of it is not known");
        } else {
            assert!(
                matches!(&*told, [answer] if answer.starts_with("disable cmp-1: it was not accepted")),
                "{told:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_change_without_a_named_effect_is_not_sent() {
    let (server, cloud) = cloud_that(|_| answer(200, "{}")).await;
    let call = super::call::Call::put(Service::Compute, "/os-services/1", "disable it unseen");
    let error = cloud.send(call).await.unwrap_err();
    assert!(matches!(error, Error::NotPermitted { .. }), "{error}");
    assert_eq!(server.count("PUT"), 0);
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
async fn an_evacuation_is_sent_once_and_only_for_the_fenced_host() {
    let fenced = Fenced::for_tests(host("cmp-1"));
    for (server, migrations, wanted) in [
        (
            server_row(INSTANCE, "cmp-1", "null"),
            r#"{"migrations": []}"#.to_owned(),
            "Asked",
        ),
        (
            server_row(INSTANCE, "cmp-1", "null"),
            migration_row("failed", "cmp-1", "null"),
            "Asked",
        ),
        (
            server_row(INSTANCE, "cmp-1", "null"),
            migration_row("accepted", "cmp-1", "null"),
            "Underway",
        ),
        (
            server_row(INSTANCE, "cmp-1", "null"),
            migration_row("a-new-word", "cmp-1", "null"),
            "Underway",
        ),
        (
            server_row(INSTANCE, "cmp-1", "null"),
            migration_row("done", "cmp-1", "\"cmp-2\""),
            "Underway",
        ),
        (
            server_row(INSTANCE, "cmp-1", "\"rebuilding\""),
            r#"{"migrations": []}"#.to_owned(),
            "NotNow",
        ),
        (
            server_row(INSTANCE, "cmp-2", "null"),
            migration_row("done", "cmp-1", "\"cmp-2\""),
            "Elsewhere",
        ),
        (
            server_row(INSTANCE, "cmp-2", "null"),
            r#"{"migrations": []}"#.to_owned(),
            "NotOnFencedHost",
        ),
    ] {
        let told = format!("{server} {migrations}");
        let (nova, cloud) = cloud_that(move |request| match request.path.as_str() {
            path if path.ends_with("/action") => answer(200, ""),
            path if path.contains("os-migrations") => answer(200, migrations.clone()),
            _ => answer(200, format!(r#"{{"server": {server}}}"#)),
        })
        .await;
        let outcome = format!("{:?}", cloud.evacuate(&Freely, &fenced, instance(), None).await);
        assert!(outcome.contains(wanted), "{wanted}: {outcome}");
        assert_eq!(
            nova.count("POST /v2.1/servers"),
            usize::from(wanted == "Asked"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn an_evacuation_that_met_a_503_or_a_closed_line_is_not_sent_again() {
    for reply in [|| answer(503, ""), || Answer::Close] {
        let (nova, cloud) = cloud_that(move |request| match request.path.as_str() {
            path if path.ends_with("/action") => reply(),
            path if path.contains("os-migrations") => answer(200, r#"{"migrations": []}"#),
            _ => answer(
                200,
                format!(r#"{{"server": {}}}"#, server_row(INSTANCE, "cmp-1", "null")),
            ),
        })
        .await;
        let error = cloud
            .evacuate(&Freely, &Fenced::for_tests(host("cmp-1")), instance(), None)
            .await
            .unwrap_err();
        assert_eq!(error.next(), Next::Look, "{error}");
        assert_eq!(
            nova.count("POST /v2.1/servers"),
            1,
            "two evacuations destroy the instance"
        );
    }
}

#[tokio::test]
async fn force_down_needs_the_proof_of_the_same_host_and_sends_both_flags() {
    let row = service_row("cmp-1")
        .replace("\"services\": [", "\"service\": ")
        .replace("}]}", "}}");
    let (nova, cloud) = cloud_that(move |request| {
        if request.method == "PUT" {
            answer(200, row.clone())
        } else {
            answer(200, service_row("cmp-1"))
        }
    })
    .await;
    let service = cloud.compute_service(&host("cmp-1")).await.unwrap().unwrap();
    let other = cloud
        .force_down(&Freely, &Fenced::for_tests(host("cmp-2")), &service, "case")
        .await
        .unwrap_err();
    assert!(matches!(other, Error::NotOnFencedHost { .. }), "{other}");
    assert_eq!(nova.count("PUT"), 0);
    cloud
        .force_down(&Freely, &Fenced::for_tests(host("cmp-1")), &service, "case")
        .await
        .unwrap();
    let body: serde_json::Value = serde_json::from_str(&nova.last().body).unwrap();
    let wanted = serde_json::json!({"status": "disabled", "disabled_reason": "case", "forced_down": true});
    assert_eq!(body, wanted);
    let long = cloud
        .disable(&Freely, &service, &"x".repeat(256))
        .await
        .unwrap_err();
    assert!(matches!(long, Error::Reason { found: 256, .. }), "{long}");
}

#[tokio::test]
async fn a_duplicate_notification_is_adopted_the_newest_that_stops() {
    let (_server, cloud) = cloud_that(|request| {
        let row = |uuid: &str, at: &str, status: &str| {
            format!(
                r#"{{"id": 1, "notification_uuid": "{uuid}", "status": "running", "type": "COMPUTE_HOST",
                "generated_time": "{at}", "payload": {{"event": "STOPPED", "host_status": "{status}"}}}}"#
            )
        };
        let old = row("00000000-0000-4000-8000-000000000001", "2026-11-21T06:00:00.000000", "NORMAL");
        let new = row("00000000-0000-4000-8000-000000000002", "2026-11-21T07:00:00.000000", "NORMAL");
        let ignored = row("00000000-0000-4000-8000-000000000003", "2026-11-21T08:00:00.000000", "UNKNOWN");
        let segment = "30782563-4888-4c76-b34e-08d1dc5d06af";
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", _) => answer(409, r#"{"conflictingRequest": {"code": 409, "message": "duplicate"}}"#),
            (_, path) if path.starts_with("/v1/notifications") => {
                answer(200, format!(r#"{{"notifications": [{old}, {new}, {ignored}]}}"#))
            }
            (_, path) if path.ends_with("/hosts") => answer(
                200,
                format!(r#"{{"hosts": [{{"uuid": "{segment}", "name": "cmp-1", "on_maintenance": false, "reserved": false}}]}}"#),
            ),
            _ => answer(
                200,
                format!(r#"{{"segments": [{{"uuid": "{segment}", "name": "lab", "recovery_method": "auto", "enabled": true}}]}}"#),
            ),
        }
    })
    .await;
    let at = "2026-11-21T07:00:00Z".parse().unwrap();
    let notified = cloud
        .notify_stopped(&Freely, &Fenced::for_tests(host("cmp-1")), at)
        .await
        .unwrap();
    let Notified::Adopted(notification) = notified else {
        panic!("{notified:?}")
    };
    assert_eq!(
        notification.id.to_string(),
        "00000000-0000-4000-8000-000000000002"
    );
    assert_eq!(
        cloud.vm_moves(notification.id).await.unwrap(),
        None,
        "1.2 has no vmoves"
    );
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

/// The driver runs cases as tasks: what it awaits must be able to move between threads.
#[test]
fn calls_can_be_awaited_in_a_task() {
    fn task<T: Send>(_: T) {}
    fn all(
        cloud: &'static Cloud,
        fenced: &'static Fenced,
        service: &'static ComputeService,
        host: &'static HostName,
    ) {
        task(cloud.disable(&Freely, service, ""));
        task(cloud.force_down(&Freely, fenced, service, ""));
        task(cloud.evacuate(&Freely, fenced, instance(), None));
        task(cloud.notify_stopped(&Freely, fenced, "2026-11-21T07:00:00Z".parse().unwrap()));
        task(cloud.servers_on(host));
        task(cloud.heartbeat(host).last_heartbeat(Duration::ZERO));
    }
    let _ = all;
}
