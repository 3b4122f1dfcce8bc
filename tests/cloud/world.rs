//! The lab as a test sees it: its description, connections, an administrator's own requests, and the way back.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lazaret::config::secret::SecretSource;
use lazaret::fence::redfish::{Redfish, Target};
use lazaret::fence::{AgentPort, Method, Methods, Trust, Watch};
use lazaret::ids::{HostName, InstanceId};
use lazaret::openstack::{Cloud, Connection, Credential, Endpoints, Interface, RequestLimits};
use lazaret::permit::{Asked, Denied, Effect, Permit, Permits};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::LocalSet;

/// Hosts are shared by all tests of this program.
static HOSTS: Mutex<()> = Mutex::const_new(());

/// How often a heartbeat stands still by chance: the lab's nova reports every 2 s.
pub const WATCH: Watch = Watch {
    off_polls: 3,
    poll_interval: Duration::from_millis(500),
    heartbeat_silence: Duration::from_secs(6),
    deadline: Duration::from_secs(60),
};

/// The lab.
#[derive(Clone)]
pub struct World {
    lab: Arc<Value>,
}

impl World {
    pub fn load() -> Self {
        let path = std::env::var("LAZARET_LAB")
            .expect("LAZARET_LAB must name the lab's lab.json: start the lab first");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self {
            lab: Arc::new(serde_json::from_str(&text).unwrap()),
        }
    }

    /// The hosts, for this test alone.
    pub async fn alone(&self) -> MutexGuard<'static, ()> {
        HOSTS.lock().await
    }

    pub fn text(&self, pointer: &str) -> String {
        self.lab
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("lab.json has no {pointer}"))
            .to_owned()
    }

    fn host_entry(&self, host: &HostName) -> Value {
        let hosts = self.lab["hosts"].as_array().unwrap();
        hosts
            .iter()
            .find(|entry| entry["name"] == host.as_str())
            .unwrap()
            .clone()
    }

    pub fn host(&self, index: usize) -> HostName {
        self.text(&format!("/hosts/{index}/name")).parse().unwrap()
    }

    pub fn connection(&self, user: &str) -> Connection {
        let of = |key: &str| self.text(&format!("/users/{user}/{key}"));
        Connection {
            auth_url: self.text("/auth_url").parse().unwrap(),
            credential: Credential::Password {
                username: of("username"),
                user_domain: of("user_domain"),
                project: of("project"),
                project_domain: of("project_domain"),
                password: SecretSource::File(of("password_file").into()),
            },
            region: Some(self.text("/region")),
            interface: Interface::Public,
            ca_pem: None,
            timeout: Duration::from_secs(30),
            endpoints: Endpoints::default(),
            page_size: None,
            limits: RequestLimits::default(),
        }
    }

    /// Logged in as the daemon's user.
    pub fn cloud(&self) -> Cloud {
        Cloud::connect(self.connection("lazaret")).unwrap()
    }

    pub fn redfish(&self, host: &HostName) -> Target {
        let entry = self.host_entry(host);
        let of = |key: &str| {
            entry[key]
                .as_str()
                .unwrap_or_else(|| panic!("no {key} of {host}"))
                .to_owned()
        };
        Target {
            url: of("redfish_url").parse().unwrap(),
            system: Some(of("redfish_system")),
            system_uuid: Some(of("system_uuid").parse().unwrap()),
            username: of("bmc_username"),
            password: SecretSource::File(of("bmc_password_file").into()),
            trust: Trust::Ca(std::fs::read(of("redfish_ca_file")).unwrap()),
            timeout: Duration::from_secs(30),
        }
    }

    pub fn methods(&self, host: &HostName) -> Methods {
        Methods::new(
            host.clone(),
            vec![Method::Redfish(Redfish::new(self.redfish(host)).unwrap())],
        )
    }

    pub fn agent(&self, host: &HostName) -> AgentPort {
        let port = self.host_entry(host)["agent_port"]
            .as_u64()
            .unwrap()
            .try_into()
            .unwrap();
        AgentPort {
            host: "127.0.0.1".to_owned(),
            port,
            timeout: Duration::from_secs(2),
        }
    }

    pub fn ipmi(&self, host: &HostName) -> (String, String, SecretSource) {
        let entry = self.host_entry(host);
        let password = SecretSource::File(entry["bmc_password_file"].as_str().unwrap().into());
        (
            entry["ipmi_port"].to_string(),
            entry["bmc_username"].as_str().unwrap().to_owned(),
            password,
        )
    }

    /// Runs a test body with the hosts for itself, and puts a host back whatever becomes of it.
    pub async fn borrowing<F>(self, host: HostName, body: F)
    where
        F: Future<Output = ()> + 'static,
    {
        let _alone = self.alone().await;
        // As a task of its own, so that its panic can be caught.
        let local = LocalSet::new();
        let task = local.spawn_local(body);
        let outcome = local.run_until(task).await;
        self.put_back(&host).await;
        if let Err(error) = outcome {
            std::panic::resume_unwind(error.into_panic());
        }
    }

    /// On, up, not forced down, enabled, in no aggregate of ours, not under Masakari's maintenance.
    async fn put_back(&self, host: &HostName) {
        let cloud = self.cloud();
        self.methods(host)
            .iter()
            .next()
            .unwrap()
            .ask_on(&ByHand)
            .await
            .unwrap();
        let service = cloud.compute_service(host).await.unwrap().unwrap();
        // Refused until the host's nova-compute has started and its evacuations are completed.
        until("forced_down is taken back", async || {
            cloud.clear_forced_down(&ByHand, &service).await.ok()
        })
        .await;
        cloud.enable(&ByHand, &service).await.unwrap();
        until("the compute service is up", async || {
            cloud
                .compute_service(host)
                .await
                .unwrap()
                .filter(|service| service.up && service.enabled)
        })
        .await;
        if let Some(known) = cloud
            .recovery_host(host)
            .await
            .unwrap()
            .filter(|known| known.on_maintenance)
        {
            until("Masakari lets the host go", async || {
                cloud.set_maintenance(&ByHand, &known, false).await.ok()
            })
            .await;
        }
    }
}

/// Looks until there is something to see.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(120),
            "waited two minutes: {what}"
        );
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Requests that the product does not make: an administrator's, to set a scene.
pub struct Admin {
    world: World,
    http: reqwest::Client,
    token: String,
}

impl Admin {
    pub async fn of(world: &World) -> Self {
        Self::as_user(world, "admin").await
    }

    pub async fn as_user(world: &World, user: &str) -> Self {
        let of = |key: &str| world.text(&format!("/users/{user}/{key}"));
        let password = std::fs::read_to_string(of("password_file")).unwrap();
        let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": of("username"), "domain": {"name": of("user_domain")}, "password": password.trim_end()}}},
            "scope": {"project": {"name": of("project"), "domain": {"name": of("project_domain")}}}}});
        let http = reqwest::Client::new();
        let url = format!("{}/auth/tokens", world.text("/auth_url"));
        let answer = http.post(url).json(&body).send().await.unwrap();
        let token = answer.headers()["x-subject-token"].to_str().unwrap().to_owned();
        Self {
            world: world.clone(),
            http,
            token,
        }
    }

    /// One request; panics unless it succeeds.
    pub async fn ask(&self, method: &str, service: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.world.text(&format!("/endpoints/{service}")));
        let mut request = self
            .http
            .request(method.parse().unwrap(), &url)
            .header("X-Auth-Token", &self.token)
            .header("OpenStack-API-Version", "compute 2.80");
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {url}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Boots an instance on a host and waits until it runs.
    pub async fn boot(&self, name: &str, host: &HostName) -> InstanceId {
        self.boot_with(name, host, json!({})).await
    }

    /// The same, with more keys beside `server` in the request.
    pub async fn boot_with(&self, name: &str, host: &HostName, more: Value) -> InstanceId {
        let (flavor, image) = (self.world.text("/flavor"), self.world.text("/image"));
        let flavors = self.ask("GET", "compute", "/flavors", Value::Null).await;
        let flavor = &flavors["flavors"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["name"] == flavor)
            .unwrap()["id"];
        let images = self
            .ask("GET", "image", &format!("/v2/images?name={image}"), Value::Null)
            .await;
        let mut body = json!({"server": {"name": name, "flavorRef": flavor, "imageRef": images["images"][0]["id"],
            "networks": "none", "host": host}});
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        let made = self.ask("POST", "compute", "/servers", body).await;
        let id: InstanceId = made["server"]["id"].as_str().unwrap().parse().unwrap();
        until("the instance is ACTIVE", async || {
            let server = self
                .ask("GET", "compute", &format!("/servers/{id}"), Value::Null)
                .await;
            (server["server"]["status"] == "ACTIVE").then_some(())
        })
        .await;
        id
    }

    pub async fn delete(&self, id: InstanceId) {
        self.ask("DELETE", "compute", &format!("/servers/{id}"), Value::Null)
            .await;
    }
}

/// Leave for these tests: they act as a person would.
pub struct ByHand;

impl Permits for ByHand {
    fn ask<'a>(&'a self, _: &'a Effect) -> Asked<'a, Result<Permit, Denied>> {
        Box::pin(async {
            Ok(Permit::until(
                tokio::time::Instant::now() + Duration::from_secs(60),
            ))
        })
    }

    fn answered<'a>(&'a self, _: &'a Effect, _: &'a str) -> Asked<'a, ()> {
        Box::pin(async {})
    }
}
