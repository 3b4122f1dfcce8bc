//! From the configuration as typed to the configuration in use: every value is turned into what it means, or refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use url::Url;

use super::file::{ConfigFile, OpenStackTable};
use super::place::Place;
use super::secret::SecretSource;
use super::values::DAY_S;
use super::{
    Agents, Appraisal, Config, ConfigError, Endpoints, Enrolment, FenceTimes, Identity, Interface, Log,
    LogFormat, Login, OpenStack, ResponseMode, Schedule, Store, resolve_hosts,
};
use crate::ids::HostName;

pub(super) fn resolve(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let (file, place) = Place::read(text, path)?;
    let resolver = Resolver {
        place,
        inline_allowed: file.allow_inline_secrets,
        has_cloud: file.openstack.is_some(),
    };
    resolver.config(file, path)
}

/// The address that a template gives for a host.
pub(super) fn filled_url(template: &str, host: &HostName) -> Result<Url, ConfigError> {
    Url::parse(&template.replace("{host}", host.as_str())).map_err(|error| ConfigError::Template {
        template: template.to_owned(),
        host: host.to_string(),
        reason: error.to_string(),
    })
}

/// A file being resolved.
pub(super) struct Resolver<'a> {
    pub(super) place: Place<'a>,
    pub(super) inline_allowed: bool,
    /// Whether there is a cloud, and with it a barbican.
    pub(super) has_cloud: bool,
}

impl Resolver<'_> {
    fn config(&self, file: ConfigFile, path: &Path) -> Result<Config, ConfigError> {
        let openstack = file
            .openstack
            .as_ref()
            .map(|table| self.openstack(table))
            .transpose()?;
        let nodes = resolve_hosts::ironic_nodes(self, &file.host)?;
        let response = self.response(&file.response, &file.release, nodes)?;
        if response.mode == ResponseMode::Enforce && openstack.is_none() {
            return Err(self.place.refuse(
                "response.mode",
                "\"enforce\" without a cloud",
                "add a table [openstack], or write \"observe\"",
            ));
        }
        let cron_text = &file.schedule.cron;
        Ok(Config {
            path: path.to_owned(),
            store: Store {
                path: self.absolute("store.path", &file.store.path)?,
                evidence_retention: Duration::from_secs(
                    self.between(
                        "store.evidence_retention_days",
                        file.store.evidence_retention_days,
                        1,
                        36_500,
                    )? * DAY_S,
                ),
            },
            identity: Identity {
                directory: self.absolute("identity.directory", &file.identity.directory)?,
            },
            openstack,
            agents: self.agents(&file)?,
            enrolment: Enrolment {
                roots: self.absolute("enrolment.roots", &file.enrolment.roots)?,
            },
            schedule: Schedule {
                cron: cron::Schedule::from_str(cron_text).map_err(|_| {
                    self.place.refuse(
                        "schedule.cron",
                        format!("\"{cron_text}\" is no schedule"),
                        "write six fields: second minute hour day month weekday, such as \"0 */10 * * * *\"",
                    )
                })?,
                jitter: self.seconds("schedule.jitter_s", file.schedule.jitter_s, 0)?,
                concurrency: usize::try_from(self.between(
                    "schedule.concurrency",
                    u64::try_from(file.schedule.concurrency).unwrap_or(u64::MAX),
                    1,
                    1024,
                )?)
                .unwrap_or(1),
                round_deadline: self.seconds(
                    "schedule.round_deadline_s",
                    file.schedule.round_deadline_s,
                    1,
                )?,
                confirm_after: self.seconds("schedule.confirm_after_s", file.schedule.confirm_after_s, 0)?,
            },
            appraisal: Appraisal {
                policy_template: self.policy_template(&file.appraisal.policy)?,
                signers: self.optional_absolute("appraisal.signers", file.appraisal.signers.as_ref())?,
                pcrs: file.appraisal.pcrs.parse().map_err(|error| {
                    self.place.refuse(
                        "appraisal.pcrs",
                        format!("\"{}\": {error}", file.appraisal.pcrs),
                        "write banks and registers, such as \"sha256:0,1,7+sha1:10\"",
                    )
                })?,
            },
            response,
            fence: FenceTimes {
                off_polls: self.count("fence.off_polls", file.fence.off_polls, 1, 100)?,
                off_poll_interval: self.seconds(
                    "fence.off_poll_interval_s",
                    file.fence.off_poll_interval_s,
                    1,
                )?,
                off_deadline: self.seconds("fence.off_deadline_s", file.fence.off_deadline_s, 1)?,
                heartbeat_silence: self.seconds(
                    "fence.heartbeat_silence_s",
                    file.fence.heartbeat_silence_s,
                    1,
                )?,
            },
            hosts: resolve_hosts::hosts(self, file.host)?,
            notify: self.webhooks(&file.notify)?,
            log: Log {
                format: self.one_of(
                    "log.format",
                    &file.log.format,
                    &[("text", LogFormat::Text), ("json", LogFormat::Json)],
                )?,
                filter: {
                    let filter = &file.log.filter;
                    tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| {
                        self.place.refuse(
                            "log.filter",
                            format!("\"{filter}\": {error}"),
                            "write a level, or levels by module: \"info,lazaret::respond=debug\"",
                        )
                    })?;
                    filter.clone()
                },
            },
        })
    }

    fn openstack(&self, table: &OpenStackTable) -> Result<OpenStack, ConfigError> {
        let auth_url = self.required("openstack.auth_url", table.auth_url.as_deref())?;
        let endpoint = |service: &str, text: &Option<String>| {
            text.as_deref()
                .map(|text| self.http_url(&format!("openstack.endpoints.{service}"), text))
                .transpose()
        };
        Ok(OpenStack {
            auth_url: self.http_url("openstack.auth_url", auth_url)?,
            region: table.region.clone(),
            interface: self.one_of(
                "openstack.interface",
                &table.interface,
                &[
                    ("public", Interface::Public),
                    ("internal", Interface::Internal),
                    ("admin", Interface::Admin),
                ],
            )?,
            ca_file: self.optional_absolute("openstack.ca_file", table.ca_file.as_ref())?,
            timeout: self.seconds("openstack.timeout_s", table.timeout_s, 1)?,
            max_requests_per_s: self.count(
                "openstack.max_requests_per_s",
                table.max_requests_per_s,
                4,
                1000,
            )?,
            max_requests_at_once: self.count(
                "openstack.max_requests_at_once",
                table.max_requests_at_once,
                1,
                1000,
            )?,
            login: self.login(table)?,
            endpoints: Endpoints {
                compute: endpoint("compute", &table.endpoints.compute)?,
                instance_ha: endpoint("instance-ha", &table.endpoints.instance_ha)?,
                placement: endpoint("placement", &table.endpoints.placement)?,
                key_manager: endpoint("key-manager", &table.endpoints.key_manager)?,
                block_storage: endpoint("block-storage", &table.endpoints.block_storage)?,
                bare_metal: endpoint("baremetal", &table.endpoints.baremetal)?,
            },
        })
    }

    fn login(&self, table: &OpenStackTable) -> Result<Login, ConfigError> {
        let password = self.secret(
            "openstack.password",
            table.password.as_ref(),
            table.password_file.as_ref(),
            table.password_credential.as_ref(),
        )?;
        let secret = self.secret(
            "openstack.application_credential_secret",
            table.application_credential_secret.as_ref(),
            table.application_credential_secret_file.as_ref(),
            table.application_credential_secret_credential.as_ref(),
        )?;
        match (&table.username, &table.application_credential_id) {
            (Some(_), Some(_)) => Err(self.place.refuse(
                "openstack.application_credential_id",
                "two logins at once",
                "keep either username or application_credential_id",
            )),
            (None, None) => Err(self.place.refuse(
                "openstack",
                "no login",
                "add username, project and password_file, or application_credential_id and \
                 application_credential_secret_file",
            )),
            (Some(username), None) => Ok(Login::Password {
                username: username.clone(),
                user_domain: table.user_domain.clone(),
                project: self
                    .required("openstack.project", table.project.as_deref())?
                    .to_owned(),
                project_domain: table.project_domain.clone(),
                password: self.required_secret("openstack.password", password)?,
            }),
            (None, Some(id)) => Ok(Login::ApplicationCredential {
                id: id.clone(),
                secret: self.required_secret("openstack.application_credential_secret", secret)?,
            }),
        }
    }

    fn agents(&self, file: &ConfigFile) -> Result<Agents, ConfigError> {
        let template = &file.agents.url_template;
        let allowed = "write an https address with {host} in it, such as \"https://{host}:7990\"";
        let sample = Url::parse(&template.replace("{host}", "h"));
        let https = sample.is_ok_and(|url| url.scheme() == "https" && url.has_host());
        if !https || !template.contains("{host}") {
            return Err(self
                .place
                .refuse("agents.url_template", format!("\"{template}\""), allowed));
        }
        Ok(Agents {
            url_template: template.clone(),
            connect_timeout: self.seconds("agents.connect_timeout_s", file.agents.connect_timeout_s, 1)?,
            answer_timeout: self.seconds("agents.answer_timeout_s", file.agents.answer_timeout_s, 1)?,
            ca_file: self.optional_absolute("agents.ca_file", file.agents.ca_file.as_ref())?,
        })
    }

    fn policy_template(&self, template: &str) -> Result<String, ConfigError> {
        let rest = template.replace("{host}", "h");
        if rest.contains(['{', '}']) || !Path::new(&rest).is_absolute() {
            return Err(self.place.refuse(
                "appraisal.policy",
                format!("\"{template}\""),
                "write an absolute path; {host} in it stands for the host's name, and nothing else in braces is known",
            ));
        }
        Ok(template.to_owned())
    }
}

/// Every secret that is referred to, with the key that names it.
pub(super) fn secrets(config: &Config) -> Vec<(String, &SecretSource)> {
    let mut all = Vec::new();
    match config.openstack.as_ref().map(|cloud| &cloud.login) {
        Some(Login::Password { password, .. }) => all.push(("openstack.password".to_owned(), password)),
        Some(Login::ApplicationCredential { secret, .. }) => {
            all.push(("openstack.application_credential_secret".to_owned(), secret));
        }
        None => {}
    }
    for webhook in &config.notify {
        if let Some(secret) = &webhook.secret {
            all.push((format!("notify.webhook {}", webhook.name), secret));
        }
    }
    let fences: BTreeMap<_, _> = config
        .hosts
        .iter()
        .map(|(host, settings)| (host, &settings.fence))
        .collect();
    for (host, methods) in fences {
        for (index, method) in methods.iter().enumerate() {
            if let Some(secret) = method.password() {
                all.push((format!("host {host}, fence[{}].password", index + 1), secret));
            }
        }
    }
    all
}
