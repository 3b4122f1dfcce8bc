//! One call before it is sent: the service, what is asked, in words too, and what it needs.

use std::fmt;

use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::version::Version;

/// nova's microversion for every call: Train's. It has service ids (2.53), the rows of cells that are down
/// (2.69), flavors in servers (2.47), `locked_reason` (2.73) and users in migrations (2.80); it is below 2.95,
/// from which on evacuated instances stay off, and below 2.88, which takes the capacity out of hypervisors.
const COMPUTE: Version = Version::new(2, 80);

/// Masakari's microversion where nothing newer is asked for.
const INSTANCE_HA: Version = Version::new(1, 0);

/// placement's microversion: Rocky's, from which on the summaries of providers hold every resource.
const PLACEMENT: Version = Version::new(1, 27);

/// Ironic's microversion: Newton's, which takes a reason with the maintenance.
const BARE_METAL: Version = Version::new(1, 22);

/// A service of the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// keystone.
    Identity,
    /// nova.
    Compute,
    /// Masakari.
    InstanceHa,
    /// barbican.
    KeyManager,
    /// placement.
    Placement,
    /// cinder.
    BlockStorage,
    /// Ironic.
    BareMetal,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 7] = [
        Self::Identity,
        Self::Compute,
        Self::InstanceHa,
        Self::KeyManager,
        Self::Placement,
        Self::BlockStorage,
        Self::BareMetal,
    ];

    /// Its type in keystone's catalogue.
    pub fn catalogue_type(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Compute => "compute",
            Self::InstanceHa => "instance-ha",
            Self::KeyManager => "key-manager",
            Self::Placement => "placement",
            Self::BlockStorage => "block-storage",
            Self::BareMetal => "baremetal",
        }
    }

    /// Whether a type of the catalogue means this service; cinder has had several.
    pub(super) fn is_called(self, kind: &str) -> bool {
        kind == self.catalogue_type()
            || (self == Self::BlockStorage && matches!(kind, "volumev3" | "block-store"))
    }

    /// The microversion of its calls where none is named.
    pub(super) fn default_version(self) -> Option<Version> {
        match self {
            Self::Compute => Some(COMPUTE),
            Self::InstanceHa => Some(INSTANCE_HA),
            Self::Placement => Some(PLACEMENT),
            Self::BareMetal => Some(BARE_METAL),
            Self::Identity | Self::KeyManager | Self::BlockStorage => None,
        }
    }

    /// The root that paths are appended to: with the API's version for nova and Masakari, without for barbican and
    /// Ironic. placement has none, and cinder's names the project after it.
    pub(super) fn root(self, mut url: Url) -> Url {
        let path = url.path().trim_end_matches('/').to_owned();
        let path = match self {
            Self::Compute if path.is_empty() => "/v2.1".to_owned(),
            Self::InstanceHa if path.is_empty() => "/v1".to_owned(),
            Self::KeyManager | Self::BareMetal => path.strip_suffix("/v1").unwrap_or(&path).to_owned(),
            Self::Identity | Self::Compute | Self::InstanceHa | Self::Placement | Self::BlockStorage => path,
        };
        url.set_path(&path);
        url
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identity => "keystone",
            Self::Compute => "nova",
            Self::InstanceHa => "Masakari",
            Self::KeyManager => "barbican",
            Self::Placement => "placement",
            Self::BlockStorage => "cinder",
            Self::BareMetal => "Ironic",
        })
    }
}

/// One call, before it is sent.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) service: Service,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    pub(super) version: Option<Version>,
    pub(super) doing: String,
    pub(super) right: &'static str,
    pub(super) accept: &'static str,
    pub(super) harmless_twice: bool,
    pub(super) slow: bool,
}

impl Call {
    fn new(service: Service, method: Method, path: &str, doing: &str) -> Self {
        let harmless_twice = method != Method::POST;
        Self {
            service,
            method,
            path: path.to_owned(),
            query: Vec::new(),
            body: None,
            version: service.default_version(),
            doing: doing.to_owned(),
            right: "the call",
            accept: "application/json",
            harmless_twice,
            slow: false,
        }
    }

    pub(super) fn get(service: Service, path: &str, doing: &str) -> Self {
        Self::new(service, Method::GET, path, doing)
    }

    pub(super) fn put(service: Service, path: &str, doing: &str) -> Self {
        Self::new(service, Method::PUT, path, doing)
    }

    pub(super) fn delete(service: Service, path: &str, doing: &str) -> Self {
        Self::new(service, Method::DELETE, path, doing)
    }

    pub(super) fn post(service: Service, path: &str, doing: &str) -> Self {
        Self::new(service, Method::POST, path, doing)
    }

    pub(super) fn query(mut self, key: &'static str, value: &str) -> Self {
        self.query.push((key, value.to_owned()));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn version(mut self, version: Version) -> Self {
        self.version = Some(version);
        self
    }

    /// The policy rules that the call needs, for the words of a 403.
    pub(super) fn right(mut self, right: &'static str) -> Self {
        self.right = right;
        self
    }

    pub(super) fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    /// This POST may be sent again when it is unknown whether it arrived.
    pub(super) fn harmless_twice(mut self) -> Self {
        self.harmless_twice = true;
        self
    }

    /// The service is known to answer late.
    pub(super) fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    /// Whether it changes something in the cloud.
    pub(super) fn writes(&self) -> bool {
        self.method != Method::GET && self.service != Service::Identity
    }
}
