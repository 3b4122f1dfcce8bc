//! From the configuration as typed to the configuration in use.

use std::path::Path;

use url::Url;

use super::secret::SecretSource;
use super::{Config, ConfigError};
use crate::ids::HostName;

pub(super) fn resolve(_text: &str, _path: &Path) -> Result<Config, ConfigError> {
    todo!()
}

pub(super) fn filled_url(_template: &str, _host: &HostName) -> Result<Url, ConfigError> {
    todo!()
}

pub(super) fn secrets(_config: &Config) -> Vec<(String, &SecretSource)> {
    todo!()
}
