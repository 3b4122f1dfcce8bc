//! The request function and the calls against scripted answers; the lab's tests run them against the real ones.

mod acts;
mod answers;
mod around;
mod listings;
mod login;

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
            placement: Some(format!("{}/placement", server.url).parse().unwrap()),
            ..Endpoints::default()
        },
        page_size: None,
        limits: crate::openstack::RequestLimits::default(),
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
        task(cloud.evacuate(&Freely, fenced, instance(), None, Arrival::AsItWas));
        task(cloud.notify_stopped(&Freely, fenced, "2026-11-21T07:00:00Z".parse().unwrap()));
        task(cloud.servers_on(host));
        task(cloud.heartbeat(host).last_heartbeat(Duration::ZERO));
    }
    let _ = all;
}
