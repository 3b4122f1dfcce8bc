//! `[fence]` and `[[host.fence]]`, resolved: how a host is made sure to be off.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;
use uuid::Uuid;

use super::secret::SecretSource;

/// One way to power a host off.
#[derive(Debug, Clone)]
pub enum FenceMethod {
    /// A BMC that speaks Redfish.
    Redfish {
        /// The BMC's address, without `/redfish/v1`.
        url: Url,
        /// The system's id, or its whole path (`/redfish/v1/Systems/1`).
        system: String,
        /// The UUID that the system must have; another one is never powered off.
        system_uuid: Option<Uuid>,
        /// The BMC's user.
        username: String,
        /// Where the password is.
        password: SecretSource,
        /// How the BMC's certificate is trusted.
        trust: ServerTrust,
    },
    /// A ClusterLabs fence-agent, driven over its standard input.
    Agent {
        /// The program: `fence_ipmilan`, or an absolute path.
        program: PathBuf,
        /// What it is told besides the action, as `name=value` lines.
        options: BTreeMap<String, String>,
        /// Where the value of its `password` option is.
        password: Option<SecretSource>,
    },
}

impl FenceMethod {
    /// Where its password is.
    pub fn password(&self) -> Option<&SecretSource> {
        match self {
            Self::Redfish { password, .. } => Some(password),
            Self::Agent { password, .. } => password.as_ref(),
        }
    }
}

/// How a server's certificate is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerTrust {
    /// By the SHA-256 of its public key (SubjectPublicKeyInfo), whoever signed it.
    Pin([u8; 32]),
    /// By a certificate authority of the operator's own.
    CaFile(PathBuf),
    /// By the system's certificate authorities.
    System,
}

/// How long fencing looks before it believes.
#[derive(Debug, Clone)]
pub struct FenceTimes {
    /// Off must be seen this many times in a row.
    pub off_polls: u32,
    /// Between two looks.
    pub off_poll_interval: Duration,
    /// After this the method has failed and the next one is tried.
    pub off_deadline: Duration,
    /// nova's heartbeat of the host must have stood still for this long.
    pub heartbeat_silence: Duration,
}
