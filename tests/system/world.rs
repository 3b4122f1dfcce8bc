//! The cloud as it is, asked with a client of the tests' own: the product's word about itself proves nothing.

use serde_json::{Value, json};

use super::lab::{Lab, until};

pub struct World {
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    token: String,
    endpoints: Value,
}

impl World {
    pub fn of(lab: &Lab) -> Self {
        Self::of_project(lab, "admin")
    }

    /// As the administrator in another project.
    pub fn of_project(lab: &Lab, project: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let admin = &lab.about["users"]["admin"];
        let file = admin["password_file"].as_str().expect("password_file");
        let password = std::fs::read_to_string(file).expect("the password");
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": "admin", "domain": {"id": "default"}, "password": password.trim()}}},
            "scope": {"project": {"name": project, "domain": {"id": "default"}}}}});
        let url = format!(
            "{}/auth/tokens",
            lab.about["auth_url"].as_str().expect("auth_url")
        );
        let answer = runtime
            .block_on(http.post(url).json(&body).send())
            .expect("keystone");
        assert!(answer.status().is_success(), "keystone: {}", answer.status());
        let token = answer.headers()["x-subject-token"]
            .to_str()
            .expect("a token")
            .to_owned();
        Self {
            http,
            runtime,
            token,
            endpoints: lab.about["endpoints"].clone(),
        }
    }

    #[track_caller]
    pub fn ask(&self, service: &str, path: &str, version: &str) -> Value {
        let url = format!("{}{path}", self.endpoints[service].as_str().expect("an endpoint"));
        self.runtime.block_on(async {
            let answer = self
                .http
                .get(&url)
                .header("x-auth-token", &self.token)
                .header("openstack-api-version", format!("{service} {version}"))
                .send()
                .await
                .unwrap_or_else(|error| panic!("GET {url}: {error}"));
            let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
            assert!(status.is_success(), "GET {url}: {status} {text}");
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("GET {url}: {error} in {text}"))
        })
    }

    /// Does something as an administrator, or as another tool would; the status and the answer.
    pub fn act(&self, method: &str, service: &str, path: &str, version: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.endpoints[service].as_str().expect("an endpoint"));
        let method: reqwest::Method = method.parse().expect("a method");
        self.runtime.block_on(async {
            let mut request = self
                .http
                .request(method, &url)
                .header("x-auth-token", &self.token)
                .header("openstack-api-version", format!("{service} {version}"));
            if !body.is_null() {
                request = request.json(body);
            }
            let answer = request
                .send()
                .await
                .unwrap_or_else(|error| panic!("{url}: {error}"));
            let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap_or_default());
            (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
        })
    }

    /// Enables or disables a compute service, as another tool would.
    #[track_caller]
    pub fn update_service(&self, host: &str, body: &Value) {
        let path = format!("/os-services/{}", self.service(host)["id"].as_str().expect("id"));
        let (status, answer) = self.act("PUT", "compute", &path, "2.53", body);
        assert_eq!(status, 200, "{answer}");
    }

    pub fn service(&self, host: &str) -> Value {
        let path = format!("/os-services?binary=nova-compute&host={host}");
        self.ask("compute", &path, "2.53")["services"][0].clone()
    }

    pub fn aggregates(&self) -> Vec<Value> {
        self.ask("compute", "/os-aggregates", "2.53")["aggregates"]
            .as_array()
            .expect("a list")
            .clone()
    }

    pub fn servers(&self) -> Vec<Value> {
        self.ask("compute", "/servers/detail?all_tenants=1", "2.53")["servers"]
            .as_array()
            .expect("a list")
            .clone()
    }

    pub fn server(&self, id: &str) -> Value {
        self.ask("compute", &format!("/servers/{id}"), "2.53")["server"].clone()
    }

    /// Boots an instance on a host, and waits until it runs.
    #[track_caller]
    pub fn boot(&self, name: &str, host: &str, flavor: &str) -> String {
        let images = self.ask("image", "/v2/images?name=lab", "2");
        let server = json!({"server": {"name": name, "host": host, "flavorRef": flavor, "networks": "none",
            "imageRef": images["images"][0]["id"]}});
        let (status, answer) = self.act("POST", "compute", "/servers", "2.74", &server);
        assert_eq!(status, 202, "{answer}");
        let id = answer["server"]["id"].as_str().expect("id").to_owned();
        until(&format!("{name} runs on {host}"), 60, || {
            let server = self.server(&id);
            assert_ne!(server["status"], "ERROR", "{server:#}");
            (server["status"] == "ACTIVE").then_some(())
        });
        id
    }

    pub fn servers_on(&self, host: &str) -> Vec<Value> {
        let mut servers = self.servers();
        servers.retain(|server| server["OS-EXT-SRV-ATTR:host"] == host);
        servers
    }

    /// Evacuations away from a host, whatever became of them.
    pub fn evacuations(&self, host: &str) -> Vec<Value> {
        let path = format!("/os-migrations?migration_type=evacuation&source_compute={host}");
        self.ask("compute", &path, "2.80")["migrations"]
            .as_array()
            .expect("a list")
            .clone()
    }

    /// Masakari's notifications about hosts, newest first.
    pub fn notifications(&self) -> Vec<Value> {
        self.ask(
            "instance-ha",
            "/notifications?sort_key=created_at&sort_dir=desc",
            "1.0",
        )["notifications"]
            .as_array()
            .expect("a list")
            .clone()
    }
}
