//! `[openstack]`, resolved: which cloud, and as whom.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::secret::SecretSource;

/// Which cloud, and as whom.
#[derive(Debug, Clone)]
pub struct OpenStack {
    /// Keystone, version 3.
    pub auth_url: Url,
    /// The region in the catalogue; needed only where there are several.
    pub region: Option<String>,
    /// Which of the catalogue's addresses are used.
    pub interface: Interface,
    /// The cloud's own certificate authority, besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// For each request.
    pub timeout: Duration,
    /// Requests to each service in a second.
    pub max_requests_per_s: u32,
    /// Requests to each service that wait for their answer.
    pub max_requests_at_once: u32,
    /// As whom.
    pub login: Login,
    /// Addresses that outrank the catalogue.
    pub endpoints: Endpoints,
}

/// Which of the catalogue's addresses are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// For everybody.
    Public,
    /// For services.
    Internal,
    /// For administrators.
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

/// As whom the cloud is used.
#[derive(Debug, Clone)]
pub enum Login {
    /// A user with a role on a project.
    Password {
        /// The user's name.
        username: String,
        /// The domain that the user is in, by name.
        user_domain: String,
        /// The project, by name.
        project: String,
        /// The domain that the project is in, by name.
        project_domain: String,
        /// Where the password is.
        password: SecretSource,
    },
    /// An application credential.
    ApplicationCredential {
        /// Its id.
        id: String,
        /// Where its secret is.
        secret: SecretSource,
    },
}

/// Addresses that outrank the catalogue.
#[derive(Debug, Clone, Default)]
pub struct Endpoints {
    /// nova.
    pub compute: Option<Url>,
    /// Masakari.
    pub instance_ha: Option<Url>,
    /// placement.
    pub placement: Option<Url>,
    /// barbican.
    pub key_manager: Option<Url>,
    /// cinder.
    pub block_storage: Option<Url>,
    /// Ironic.
    pub bare_metal: Option<Url>,
}
