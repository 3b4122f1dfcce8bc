//! Redfish: reads and switches the power of one system of one BMC.

use std::time::Duration;

use url::Url;
use uuid::Uuid;

use crate::config::secret::SecretSource;

use super::power::{Error, Power};
use super::trust::Trust;

/// One system of one BMC.
#[derive(Debug, Clone)]
pub struct Target {
    /// The BMC, such as `https://10.0.0.7`; the path `/redfish/v1` may be left out. Plain HTTP only when it
    /// says so.
    pub url: Url,
    /// Id of the system below `/redfish/v1/Systems`. May be left out where the BMC has one system, or where
    /// `system_uuid` tells which.
    pub system: Option<String>,
    /// The machine's UUID in the inventory. When given, a BMC that reports another is refused.
    pub system_uuid: Option<Uuid>,
    /// The BMC's user.
    pub username: String,
    /// Where the password is kept; read at each use.
    pub password: SecretSource,
    /// Whom to believe at the other end.
    pub trust: Trust,
    /// The longest that one request may take.
    pub timeout: Duration,
}

/// A client for one system.
#[derive(Debug)]
pub struct Redfish {
    target: Target,
    name: String,
}

impl Redfish {
    /// Sets the client up; nothing is sent yet.
    pub fn new(target: Target) -> Result<Self, Error> {
        let name = format!("redfish {}", target.url.host_str().unwrap_or_default());
        Ok(Self { target, name })
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The power state now, after the machine's UUID was compared with the inventory's.
    pub async fn power_state(&self) -> Result<Power, Error> {
        todo!("{:?}", self.target)
    }

    /// Asks for `ForceOff`, after the machine's UUID was compared with the inventory's.
    pub async fn ask_off(&self) -> Result<(), Error> {
        todo!()
    }

    /// Asks for the power to be switched on.
    pub async fn ask_on(&self) -> Result<(), Error> {
        todo!()
    }
}
