//! What is needed to reach a cloud; the configuration converts into it.

use std::time::Duration;

use url::Url;

use crate::config::secret::SecretSource;

/// How to reach and log in to one cloud.
///
/// Plain data: `config` fills it from its `[openstack]` table. The secret is read at each login, so a rotated
/// password needs no restart.
#[derive(Debug, Clone)]
pub struct Connection {
    /// Keystone, with or without `/v3`.
    pub auth_url: Url,
    /// Who logs in.
    pub credential: Credential,
    /// The region whose endpoints are used; needed where the catalogue has more than one.
    pub region: Option<String>,
    /// Which of the catalogue's endpoints are used.
    pub interface: Interface,
    /// The operator's own certificate authorities (PEM, one or more). When given, *only* these are trusted;
    /// otherwise the system's store is.
    pub ca_pem: Option<Vec<u8>>,
    /// The longest that one call may take, repeats and a new login included. Masakari's `POST` sleeps up to
    /// 5 s by default, so it is given at least 30 s.
    pub timeout: Duration,
    /// Endpoints that replace the catalogue's.
    pub endpoints: Endpoints,
    /// How many rows of a listing are asked for at a time; `None` leaves it to the service (nova: 1000).
    pub page_size: Option<u32>,
    /// How much is asked of each service at a time.
    pub limits: RequestLimits,
}

/// How much is asked of each service at a time, however many cases run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Requests in a second.
    pub per_second: u32,
    /// Requests that wait for their answer; as many again that change something.
    pub in_flight: u32,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            per_second: 40,
            in_flight: 16,
        }
    }
}

/// Who logs in. Needs role `admin` on a project (a system scope is refused by nova).
#[derive(Debug, Clone)]
pub enum Credential {
    /// A user with a password, scoped to a project.
    Password {
        /// User name.
        username: String,
        /// Name of the user's domain.
        user_domain: String,
        /// Project name.
        project: String,
        /// Name of the project's domain.
        project_domain: String,
        /// Where the password is kept.
        password: SecretSource,
    },
    /// An application credential; it brings its own project.
    ApplicationCredential {
        /// Id of the application credential.
        id: String,
        /// Where its secret is kept.
        secret: SecretSource,
    },
}

/// Which of a service's endpoints is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// For everybody.
    #[default]
    Public,
    /// Inside the operator's network.
    Internal,
    /// For administration.
    Admin,
}

impl Interface {
    /// As the catalogue writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Internal => "internal",
            Self::Admin => "admin",
        }
    }
}

/// Endpoints that replace the catalogue's, by service.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// nova, such as `http://controller:8774/v2.1`.
    pub compute: Option<Url>,
    /// Masakari, such as `http://controller:15868/v1`.
    pub instance_ha: Option<Url>,
    /// barbican, such as `http://controller:9311`.
    pub key_manager: Option<Url>,
    /// placement, such as `http://controller:8778`.
    pub placement: Option<Url>,
    /// cinder, such as `http://controller:8776/v3/PROJECT-ID`.
    pub block_storage: Option<Url>,
    /// Ironic, such as `http://controller:6385`.
    pub bare_metal: Option<Url>,
}
