//! `[[host]]` and `[[host.fence]]`: from as typed to in use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use uuid::Uuid;

use super::file::{HostFenceTable, HostTable};
use super::resolve::Resolver;
use super::{ConfigError, FenceMethod, HostSettings, ServerTrust};
use crate::ids::HostName;

pub(super) fn hosts(
    resolver: &Resolver<'_>,
    tables: Vec<HostTable>,
) -> Result<BTreeMap<HostName, HostSettings>, ConfigError> {
    let mut hosts = BTreeMap::new();
    let mut certificates = BTreeMap::new();
    for (index, table) in tables.into_iter().enumerate() {
        let at = format!("host[{}]", index + 1);
        let key = format!("{at}.name");
        let name: HostName =
            resolver
                .required(&key, Some(&table.name))?
                .parse()
                .map_err(|error: crate::ids::IdError| {
                    resolver.place.refuse(&key, "no host name", error.to_string())
                })?;
        let agent = table
            .agent
            .as_deref()
            .map(|text| {
                let key = format!("{at}.agent");
                let url = resolver.http_url(&key, text)?;
                if url.scheme() != "https" {
                    return Err(resolver.place.refuse(
                        &key,
                        format!("\"{text}\""),
                        "write an https address: agents speak nothing else",
                    ));
                }
                Ok(url)
            })
            .transpose()?;
        let policy = resolver.optional_absolute(&format!("{at}.policy"), table.policy.as_ref())?;
        let mut endorsement_certificates = Vec::with_capacity(table.endorsement_certificates.len());
        for text in &table.endorsement_certificates {
            let key = format!("{at}.endorsement_certificates");
            let digest = sha256_pin(text).ok_or_else(|| {
                resolver.place.refuse(
                    &key,
                    format!("\"{text}\" is no digest"),
                    "write sha256: and 64 hexadecimal digits, as `lazaret inspect ek-cert` shows them",
                )
            })?;
            if let Some(other) = certificates.insert(digest, name.clone()) {
                return Err(resolver.place.refuse(
                    &key,
                    format!("\"{text}\" stands at {other} already"),
                    "one TPM is one host: keep it where it belongs",
                ));
            }
            endorsement_certificates.push(digest);
        }
        let mut fence = Vec::with_capacity(table.fence.len());
        for (index, method) in table.fence.iter().enumerate() {
            fence.push(
                Method {
                    resolver,
                    at: format!("{at}.fence[{}]", index + 1),
                    table: method,
                }
                .resolve()?,
            );
        }
        if hosts
            .insert(
                name.clone(),
                HostSettings {
                    agent,
                    model: table.model,
                    endorsement_certificates,
                    policy,
                    fence,
                },
            )
            .is_some()
        {
            return Err(resolver.place.refuse(
                &key,
                format!("\"{name}\" stands twice"),
                "keep one [[host]] for each host",
            ));
        }
    }
    Ok(hosts)
}

/// The nodes of the hosts that Ironic manages.
pub(super) fn ironic_nodes(
    resolver: &Resolver<'_>,
    tables: &[HostTable],
) -> Result<BTreeMap<HostName, Uuid>, ConfigError> {
    let mut nodes = BTreeMap::new();
    for (index, table) in tables.iter().enumerate() {
        let Some(text) = &table.ironic_node else { continue };
        let node = text.parse().map_err(|_| {
            resolver.place.refuse(
                &format!("host[{}].ironic_node", index + 1),
                format!("\"{text}\" is no UUID"),
                "write the UUID that `openstack baremetal node list` shows",
            )
        })?;
        // A name that is none is refused where the hosts are resolved.
        if let Ok(name) = table.name.parse() {
            nodes.insert(name, node);
        }
    }
    Ok(nodes)
}

struct Method<'a> {
    resolver: &'a Resolver<'a>,
    at: String,
    table: &'a HostFenceTable,
}

impl Method<'_> {
    fn resolve(&self) -> Result<FenceMethod, ConfigError> {
        match self.table.kind.as_str() {
            "redfish" => self.redfish(),
            "agent" => self.agent(),
            other => Err(self.refuse(
                "kind",
                if other.is_empty() {
                    "missing".to_owned()
                } else {
                    format!("\"{other}\" is not known")
                },
                "write \"redfish\" or \"agent\"",
            )),
        }
    }

    fn redfish(&self) -> Result<FenceMethod, ConfigError> {
        let table = self.table;
        self.foreign(
            "redfish",
            &[
                ("program", table.program.is_some()),
                ("options", !table.options.is_empty()),
            ],
        )?;
        let url = self.required("url", table.url.as_deref())?;
        let system_uuid = table
            .system_uuid
            .as_deref()
            .map(|text| {
                text.parse().map_err(|_| {
                    self.refuse(
                        "system_uuid",
                        format!("\"{text}\" is no UUID"),
                        "write it as the BMC shows it",
                    )
                })
            })
            .transpose()?;
        let trust = match (&table.tls_pin, &table.ca_file) {
            (Some(_), Some(_)) => {
                return Err(self.refuse("tls_pin", "two ways to trust at once", "keep tls_pin or ca_file"));
            }
            (Some(pin), None) => ServerTrust::Pin(self.pin(pin)?),
            (None, Some(path)) => ServerTrust::CaFile(self.resolver.absolute(&self.key("ca_file"), path)?),
            (None, None) => ServerTrust::System,
        };
        let password = self.password()?;
        Ok(FenceMethod::Redfish {
            url: self.resolver.https_url(&self.key("url"), url)?,
            system: self.required("system", table.system.as_deref())?.to_owned(),
            system_uuid,
            username: self.required("username", table.username.as_deref())?.to_owned(),
            password: self.resolver.required_secret(&self.key("password"), password)?,
            trust,
        })
    }

    fn agent(&self) -> Result<FenceMethod, ConfigError> {
        let table = self.table;
        self.foreign(
            "agent",
            &[
                ("url", table.url.is_some()),
                ("system", table.system.is_some()),
                ("system_uuid", table.system_uuid.is_some()),
                ("username", table.username.is_some()),
                ("tls_pin", table.tls_pin.is_some()),
                ("ca_file", table.ca_file.is_some()),
            ],
        )?;
        let program = table.program.as_ref().ok_or_else(|| {
            self.refuse(
                "program",
                "missing",
                "write the fence-agent, such as \"fence_ipmilan\"",
            )
        })?;
        let bare = program.components().count() == 1 && !program.is_absolute();
        if !program.is_absolute() && !bare {
            return Err(self.refuse(
                "program",
                format!("\"{}\"", program.display()),
                "write a name that is found in PATH, or an absolute path",
            ));
        }
        for (name, value) in &table.options {
            let plain = name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
            if name.is_empty() || !plain || value.contains('\n') {
                return Err(self.refuse(
                    "options",
                    format!("\"{name}\" is no option"),
                    "write name = \"value\" on one line, as the fence-agent's manual names them",
                ));
            }
            if matches!(name.as_str(), "action" | "password" | "passwd") {
                return Err(self.refuse(
                    "options",
                    format!("\"{name}\" is set by lazaret"),
                    "remove it; a password belongs in password_file",
                ));
            }
        }
        Ok(FenceMethod::Agent {
            program: PathBuf::from(program),
            options: table.options.clone(),
            password: self.password()?,
        })
    }

    fn password(&self) -> Result<Option<super::SecretSource>, ConfigError> {
        let table = self.table;
        self.resolver.secret_or_barbican(
            &self.key("password"),
            table.password.as_ref(),
            table.password_file.as_ref(),
            table.password_credential.as_ref(),
            table.password_barbican.as_ref(),
        )
    }

    fn pin(&self, text: &str) -> Result<[u8; 32], ConfigError> {
        sha256_pin(text).ok_or_else(|| {
            self.refuse(
                "tls_pin",
                format!("\"{text}\" is no pin"),
                "write sha256: and 64 hexadecimal digits",
            )
        })
    }

    /// Keys that belong to another kind are refused: they would be without effect.
    fn foreign(&self, kind: &str, keys: &[(&str, bool)]) -> Result<(), ConfigError> {
        match keys.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((key, _)) => Err(self.refuse(
                key,
                format!("has no meaning for kind \"{kind}\""),
                "remove it, or change the kind",
            )),
        }
    }

    fn required<'t>(&self, key: &str, text: Option<&'t str>) -> Result<&'t str, ConfigError> {
        self.resolver.required(&self.key(key), text)
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.at)
    }

    fn refuse(&self, key: &str, found: impl Into<String>, allowed: impl Into<String>) -> ConfigError {
        self.resolver.place.refuse(&self.key(key), found, allowed)
    }
}

fn sha256_pin(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("sha256:")?;
    digits
        .parse::<crate::ids::Sha256Digest>()
        .ok()
        .map(|digest| digest.0)
}
