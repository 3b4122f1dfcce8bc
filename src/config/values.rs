//! Single values of the configuration: secrets, addresses, paths, words and numbers, each refused with its key and line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::ConfigError;
use super::file::InlineSecret;
use super::resolve::Resolver;
use super::secret::SecretSource;

/// A day: no single wait is longer.
pub(super) const DAY_S: u64 = 86_400;

impl Resolver<'_> {
    /// Exactly one, or none, of the three ways in which a secret is given.
    pub(super) fn secret(
        &self,
        key: &str,
        inline: Option<&InlineSecret>,
        file: Option<&PathBuf>,
        credential: Option<&String>,
    ) -> Result<Option<SecretSource>, ConfigError> {
        let given =
            usize::from(inline.is_some()) + usize::from(file.is_some()) + usize::from(credential.is_some());
        if given > 1 {
            return Err(self.place.refuse(
                key,
                "given more than once",
                format!("keep one of {key}_file and {key}_credential"),
            ));
        }
        if let Some(InlineSecret(secret)) = inline {
            if !self.inline_allowed {
                return Err(self.place.refuse(
                    key,
                    "a secret in the configuration itself",
                    format!(
                        "put it into a file of its own and name that with {key}_file, or set allow_inline_secrets = true"
                    ),
                ));
            }
            return Ok(Some(SecretSource::Inline(secret.clone())));
        }
        if let Some(path) = file {
            return Ok(Some(SecretSource::File(
                self.absolute(&format!("{key}_file"), path)?,
            )));
        }
        let Some(name) = credential else { return Ok(None) };
        let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || name.starts_with('.') || !name.chars().all(harmless) {
            return Err(self.place.refuse(
                &format!("{key}_credential"),
                format!("\"{name}\" is no name of a systemd credential"),
                "write letters, digits, `.`, `-` and `_`, as in LoadCredential=name:/path",
            ));
        }
        Ok(Some(SecretSource::Credential(name.clone())))
    }

    /// The same, or a fourth way: in barbican. Never for the account that barbican is asked with.
    pub(super) fn secret_or_barbican(
        &self,
        key: &str,
        inline: Option<&InlineSecret>,
        file: Option<&PathBuf>,
        credential: Option<&String>,
        barbican: Option<&String>,
    ) -> Result<Option<SecretSource>, ConfigError> {
        let local = self.secret(key, inline, file, credential)?;
        let Some(text) = barbican else { return Ok(local) };
        if local.is_some() {
            return Err(self.place.refuse(
                key,
                "given more than once",
                format!("keep one of {key}_barbican, {key}_file and {key}_credential"),
            ));
        }
        let key = format!("{key}_barbican");
        match text.parse() {
            Ok(of) if self.has_cloud => Ok(Some(SecretSource::Barbican(of))),
            Ok(_) => Err(self.place.refuse(
                &key,
                "there is no cloud to ask",
                "add a table [openstack], or keep the secret in a file",
            )),
            Err(()) => Err(self.place.refuse(
                &key,
                format!("\"{text}\" names no secret of barbican's"),
                "write its id, its address (https://../v1/secrets/ID), or name: and its name",
            )),
        }
    }

    pub(super) fn required_secret(
        &self,
        key: &str,
        secret: Option<SecretSource>,
    ) -> Result<SecretSource, ConfigError> {
        secret.ok_or_else(|| {
            self.place.refuse(
                key,
                "missing",
                format!("add {key}_file with the path of the file that holds it"),
            )
        })
    }

    pub(super) fn required<'t>(&self, key: &str, text: Option<&'t str>) -> Result<&'t str, ConfigError> {
        text.filter(|text| !text.is_empty()).ok_or_else(|| {
            self.place
                .refuse(key, "missing", "this key has no default: add it")
        })
    }

    /// An address; of another machine only with TLS.
    pub(super) fn https_url(&self, key: &str, text: &str) -> Result<Url, ConfigError> {
        let url = self.http_url(key, text)?;
        let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if url.scheme() != "https" && !local {
            return Err(self.place.refuse(
                key,
                format!("\"{text}\" is not protected"),
                "write an https address; http is for this machine only",
            ));
        }
        Ok(url)
    }

    pub(super) fn http_url(&self, key: &str, text: &str) -> Result<Url, ConfigError> {
        let allowed = "write an address such as \"https://cloud.example:5000/v3\", without user and password";
        let url = Url::parse(text).map_err(|error| {
            self.place
                .refuse(key, format!("\"{text}\" is no address ({error})"), allowed)
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(self.place.refuse(
                key,
                format!("\"{}\" is neither http nor https", url.scheme()),
                allowed,
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(self
                .place
                .refuse(key, "an address with a user or password in it", allowed));
        }
        Ok(url)
    }

    pub(super) fn absolute(&self, key: &str, path: &Path) -> Result<PathBuf, ConfigError> {
        if !path.is_absolute() {
            return Err(self.place.refuse(
                key,
                format!("\"{}\"", path.display()),
                "write an absolute path: the daemon has no directory of its own to begin from",
            ));
        }
        Ok(path.to_owned())
    }

    pub(super) fn optional_absolute(
        &self,
        key: &str,
        path: Option<&PathBuf>,
    ) -> Result<Option<PathBuf>, ConfigError> {
        path.map(|path| self.absolute(key, path)).transpose()
    }

    pub(super) fn one_of<T: Copy>(&self, key: &str, text: &str, all: &[(&str, T)]) -> Result<T, ConfigError> {
        all.iter()
            .find(|(name, _)| *name == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let names: Vec<_> = all.iter().map(|(name, _)| format!("\"{name}\"")).collect();
                self.place.refuse(
                    key,
                    format!("\"{text}\" is not known"),
                    format!("write {}", names.join(" or ")),
                )
            })
    }

    pub(super) fn seconds(&self, key: &str, value: u64, least: u64) -> Result<Duration, ConfigError> {
        self.between(key, value, least, DAY_S).map(Duration::from_secs)
    }

    pub(super) fn count(&self, key: &str, value: u32, least: u64, most: u64) -> Result<u32, ConfigError> {
        self.between(key, value.into(), least, most).map(|_| value)
    }

    pub(super) fn between(&self, key: &str, value: u64, least: u64, most: u64) -> Result<u64, ConfigError> {
        if value < least || value > most {
            return Err(self.place.refuse(
                key,
                value.to_string(),
                format!("write a number from {least} to {most}"),
            ));
        }
        Ok(value)
    }
}
