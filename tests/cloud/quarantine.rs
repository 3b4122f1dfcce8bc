//! What a quarantine does to a host, step by step, each step twice: on real nova, Masakari and BMCs.

use std::collections::BTreeSet;
use std::time::Duration;

use lazaret::clock::{Clock, SystemClock, Timestamp};
use lazaret::fence::{AgentSignal, Fenced, HeartbeatSignal, Power, PowerSignal, Watch};
use lazaret::ids::HostName;
use lazaret::openstack::{
    Arrival, Cloud, Error, Evacuation, Joined, MigrationKind, NotificationStatus, Notified, Phase,
};

use crate::world::{Admin, ByHand, WATCH, World, until};

/// A BMC, a nova and an agent that all lie: for what nova itself must refuse.
struct Liar;

impl PowerSignal for Liar {
    fn method(&self) -> String {
        "liar".to_owned()
    }

    async fn power(&self) -> Result<Power, lazaret::fence::Error> {
        Ok(Power::Off)
    }
}

impl HeartbeatSignal for Liar {
    type Error = String;

    async fn last_heartbeat(&self, _within: Duration) -> Result<Option<Timestamp>, String> {
        Ok(Some(Timestamp::from_millis(0)))
    }
}

impl AgentSignal for Liar {
    async fn answers(&self) -> Result<bool, String> {
        Ok(false)
    }
}

async fn lied(host: &HostName) -> Fenced {
    let watch = Watch {
        off_polls: 1,
        poll_interval: Duration::from_millis(1),
        heartbeat_silence: Duration::ZERO,
        deadline: Duration::from_secs(5),
    };
    Fenced::observe(host, &Liar, &Liar, &Liar, &watch, &SystemClock)
        .await
        .unwrap()
}

pub async fn fence(world: &World, cloud: &Cloud, host: &HostName) -> Fenced {
    let methods = world.methods(host);
    let off = methods
        .power_off(&ByHand, &WATCH, &BTreeSet::new())
        .await
        .unwrap();
    Fenced::observe(
        host,
        off.by,
        &cloud.heartbeat(host),
        &world.agent(host),
        &WATCH,
        &SystemClock,
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn disabling_twice_keeps_the_reason_and_the_heartbeat() {
    let world = World::load();
    let host = world.host(0);
    let body = {
        let (world, host) = (world.clone(), host.clone());
        async move {
            let cloud = world.cloud();
            let service = cloud.compute_service(&host).await.unwrap().unwrap();
            assert!(service.enabled && service.up, "{service:?}");
            for _ in 0..2 {
                let disabled = cloud
                    .disable(&ByHand, &service, "lazaret case q-20261121-7f3a2c: test")
                    .await
                    .unwrap();
                assert_eq!(
                    disabled.disabled_reason.as_deref(),
                    Some("lazaret case q-20261121-7f3a2c: test")
                );
                assert!(!disabled.enabled && !disabled.forced_down);
            }
            let enabled = cloud.enable(&ByHand, &service).await.unwrap();
            assert!(
                enabled.enabled && enabled.disabled_reason.is_none(),
                "{enabled:?}"
            );
        }
    };
    world.borrowing(host, body).await;
}

#[tokio::test]
async fn the_aggregate_is_made_once_joined_once_and_left_once() {
    let world = World::load();
    let _alone = world.alone().await;
    let (cloud, host) = (world.cloud(), world.host(0));
    let name = format!("quarantine-test-{}", std::process::id());
    let made = cloud.ensure_aggregate(&ByHand, &name).await.unwrap();
    assert_eq!(cloud.ensure_aggregate(&ByHand, &name).await.unwrap().id, made.id);
    assert_eq!(made.availability_zone, None);
    assert!(matches!(
        cloud.join_aggregate(&ByHand, &made, &host).await.unwrap(),
        Joined::Now(_)
    ));
    let again = cloud.join_aggregate(&ByHand, &made, &host).await.unwrap();
    let unknown = cloud
        .join_aggregate(&ByHand, &made, &"nope".parse().unwrap())
        .await;
    assert!(matches!(
        cloud.leave_aggregate(&ByHand, &made, &host).await.unwrap(),
        Joined::Now(_)
    ));
    let left = cloud.leave_aggregate(&ByHand, &made, &host).await.unwrap();
    let admin = Admin::of(&world).await;
    admin
        .ask(
            "DELETE",
            "compute",
            &format!("/os-aggregates/{}", made.id),
            serde_json::Value::Null,
        )
        .await;

    assert!(
        matches!(&again, Joined::Already(aggregate) if aggregate.has(&host)),
        "{again:?}"
    );
    assert!(
        matches!(&left, Joined::Already(aggregate) if !aggregate.has(&host)),
        "{left:?}"
    );
    let error = unknown.unwrap_err();
    assert!(
        matches!(error, Error::NotFound(_)) && error.to_string().contains("nope"),
        "{error}"
    );
}

#[tokio::test]
async fn nova_refuses_to_evacuate_from_a_host_that_is_up() {
    let world = World::load();
    let host = world.host(0);
    let _alone = world.alone().await;
    let (cloud, admin) = (world.cloud(), Admin::of(&world).await);
    let instance = admin.boot("up", &host).await;
    let error = cloud
        .evacuate(&ByHand, &lied(&host).await, instance, None, Arrival::AsItWas)
        .await
        .unwrap_err();
    let elsewhere = cloud
        .evacuate(
            &ByHand,
            &lied(&world.host(1)).await,
            instance,
            None,
            Arrival::AsItWas,
        )
        .await
        .unwrap_err();
    let server = cloud.server(instance).await.unwrap().unwrap();
    admin.delete(instance).await;
    assert!(
        matches!(error, Error::Refused(_)) && error.to_string().contains("still in use"),
        "{error}"
    );
    assert!(matches!(elsewhere, Error::NotOnFencedHost { .. }), "{elsewhere}");
    assert_eq!(
        (server.host.as_ref(), server.status.as_str()),
        (Some(&host), "ACTIVE")
    );
}

#[tokio::test]
async fn a_host_that_runs_is_not_proven_off() {
    let world = World::load();
    let _alone = world.alone().await;
    let (cloud, host) = (world.cloud(), world.host(0));
    let methods = world.methods(&host);
    let watch = Watch {
        deadline: Duration::from_secs(8),
        ..WATCH
    };
    let bmc = methods.iter().next().unwrap();
    let heartbeat = cloud.heartbeat(&host);
    let error = Fenced::observe(&host, bmc, &heartbeat, &Liar, &watch, &SystemClock)
        .await
        .unwrap_err();
    assert!(!error.power.is_off() && !error.heartbeat.is_off(), "{error}");
    let error = Fenced::observe(&host, &Liar, &heartbeat, &Liar, &watch, &SystemClock)
        .await
        .unwrap_err();
    assert!(
        error.contradicts(),
        "a BMC that says Off while the heart beats: {error}"
    );
}

#[tokio::test]
async fn fenced_forced_down_and_evacuated_by_nova_each_step_twice() {
    let world = World::load();
    let host = world.host(2);
    let body = {
        let (world, host) = (world.clone(), host.clone());
        async move {
            let (cloud, admin) = (world.cloud(), Admin::of(&world).await);
            let instance = admin.boot("moves", &host).await;
            let service = cloud.compute_service(&host).await.unwrap().unwrap();
            cloud.disable(&ByHand, &service, "case").await.unwrap();
            fence(&world, &cloud, &host).await;
            let fenced = fence(&world, &cloud, &host).await;
            assert_eq!(fenced.off_seen().len(), 3);
            for _ in 0..2 {
                let down = cloud
                    .force_down(&ByHand, &fenced, &service, "case")
                    .await
                    .unwrap();
                assert!(down.forced_down && !down.enabled && !down.up, "{down:?}");
                assert_eq!(down.disabled_reason.as_deref(), Some("case"));
            }
            assert_eq!(
                cloud
                    .evacuate(&ByHand, &fenced, instance, None, Arrival::AsItWas)
                    .await
                    .unwrap(),
                Evacuation::Asked
            );
            // Asking again at once, while it moves and when it has moved, sends nothing.
            let again = cloud
                .evacuate(&ByHand, &fenced, instance, None, Arrival::AsItWas)
                .await
                .unwrap();
            assert!(
                matches!(
                    again,
                    Evacuation::Underway(_) | Evacuation::Elsewhere(_) | Evacuation::NotNow(_)
                ),
                "{again:?}"
            );
            let migration = until("the instance has arrived", async || {
                let migrations = cloud.migrations_of(instance).await.unwrap();
                assert_eq!(migrations.len(), 1, "asked for more than once: {migrations:?}");
                let server = cloud.server(instance).await.unwrap().unwrap();
                migrations.into_iter().find(|migration| {
                    migration.phase() == Phase::Arrived
                        && server.status == "ACTIVE"
                        && server.task_state.is_none()
                })
            })
            .await;
            assert_eq!(
                (migration.kind.clone(), migration.source.as_ref()),
                (MigrationKind::Evacuation, Some(&host))
            );
            let from = cloud
                .migrations_from(&host, Some(&MigrationKind::Evacuation))
                .await
                .unwrap();
            let server = cloud.server(instance).await.unwrap().unwrap();
            let still = cloud
                .evacuate(&ByHand, &fenced, instance, None, Arrival::AsItWas)
                .await
                .unwrap();
            admin.delete(instance).await;
            assert!(from.contains(&migration), "{from:?}");
            assert_ne!(server.host.as_ref(), Some(&host));
            assert_eq!(server.host, migration.destination);
            assert_eq!(still, Evacuation::Elsewhere(server.host.unwrap()));
        }
    };
    world.borrowing(host, body).await;
}

#[tokio::test]
async fn masakari_recovers_a_fenced_host_and_a_second_notification_is_adopted() {
    let world = World::load();
    let host = world.host(1);
    let body = {
        let (world, host) = (world.clone(), host.clone());
        async move {
            let (cloud, admin) = (world.cloud(), Admin::of(&world).await);
            let instance = admin.boot("recovered", &host).await;
            let service = cloud.compute_service(&host).await.unwrap().unwrap();
            cloud.disable(&ByHand, &service, "case").await.unwrap();
            let fenced = fence(&world, &cloud, &host).await;
            cloud
                .force_down(&ByHand, &fenced, &service, "case")
                .await
                .unwrap();
            // Long ago by its own word, so that no later notification of this host is taken for a duplicate.
            let at = SystemClock.now().minus(Duration::from_secs(6 * 3600));
            let sent = cloud.notify_stopped(&ByHand, &fenced, at).await.unwrap();
            assert!(matches!(sent, Notified::Sent(_)), "{sent:?}");
            let id = sent.notification().id;
            let again = cloud.notify_stopped(&ByHand, &fenced, at).await.unwrap();
            assert!(
                matches!(again, Notified::Adopted(_)) && again.notification().id == id,
                "{again:?}"
            );
            let ended = until("Masakari is done", async || {
                Some(cloud.notification(id).await.unwrap())
                    .filter(|notification| notification.status.is_final())
            })
            .await;
            let moves = cloud.vm_moves(id).await.unwrap();
            let server = cloud.server(instance).await.unwrap().unwrap();
            let reason = cloud
                .compute_service(&host)
                .await
                .unwrap()
                .unwrap()
                .disabled_reason;
            let ours = cloud
                .force_down(&ByHand, &fenced, &service, "case")
                .await
                .unwrap();
            admin.delete(instance).await;
            assert_eq!(ended.status, NotificationStatus::Finished);
            assert_ne!(server.host.as_ref(), Some(&host), "{server:?}");
            if let Some(moves) = moves {
                assert!(
                    moves
                        .iter()
                        .any(|row| row.instance == instance && row.status == "succeeded"),
                    "{moves:?}"
                );
            }
            assert_ne!(reason.as_deref(), Some("case"), "Masakari overwrites the reason");
            assert_eq!(
                ours.disabled_reason.as_deref(),
                Some("case"),
                "and forcing down again puts it back"
            );
        }
    };
    world.borrowing(host, body).await;
}
