//! What changes something: sent once, and only for the fenced host.

use super::*;

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
                    passes: false,
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
            "Asked",
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
        let outcome = format!(
            "{:?}",
            cloud
                .evacuate(&Freely, &fenced, instance(), None, Arrival::AsItWas)
                .await
        );
        assert!(outcome.contains(wanted), "{wanted}: {outcome}");
        assert_eq!(
            nova.count("POST /v2.1/servers"),
            usize::from(wanted == "Asked"),
            "{told}"
        );
    }
}

/// nova tells the new host before it writes `done`: who read the instance before that reads it again.
#[tokio::test]
async fn an_instance_that_was_read_before_it_arrived_is_not_evacuated_again() {
    let read = AtomicUsize::new(0);
    let (nova, cloud) = cloud_that(move |request| match request.path.as_str() {
        path if path.ends_with("/action") => answer(200, ""),
        path if path.contains("os-migrations") => answer(200, migration_row("done", "cmp-1", "\"cmp-2\"")),
        _ => {
            let first = read.fetch_add(1, Ordering::SeqCst) == 0;
            let row = server_row(INSTANCE, if first { "cmp-1" } else { "cmp-2" }, "null");
            answer(200, format!(r#"{{"server": {row}}}"#))
        }
    })
    .await;
    let fenced = Fenced::for_tests(host("cmp-1"));
    let outcome = cloud
        .evacuate(&Freely, &fenced, instance(), None, Arrival::AsItWas)
        .await
        .unwrap();
    assert_eq!(outcome, Evacuation::Elsewhere(host("cmp-2")));
    assert_eq!(nova.count("POST /v2.1/servers"), 0);
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
            .evacuate(
                &Freely,
                &Fenced::for_tests(host("cmp-1")),
                instance(),
                None,
                Arrival::AsItWas,
            )
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
