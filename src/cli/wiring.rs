//! From the configuration to the parts that touch the world. The only place that knows both sides.

use std::{fs, path::Path, sync::Arc, time::Duration};

use super::exit::{Exit, Trouble};
use crate::{
    config::{self, Config, FenceMethod, FenceTimes, ServerTrust},
    fence::{self, Method, Methods, Trust, Watch},
    ids::HostName,
    openstack::{self, Cloud, Connection, Credential},
    respond::webhook::Receiver,
    secrets::{Secrets, Vault},
};

/// One request to a BMC. Some take seconds for a login.
const BMC_TIMEOUT: Duration = Duration::from_secs(20);

/// The largest certificate file.
const CA_LIMIT: u64 = 4 * 1024 * 1024;

/// A connection to the cloud; nothing is sent yet.
pub fn cloud(config: &config::OpenStack) -> Result<Cloud, Trouble> {
    let credential = match &config.login {
        config::Login::Password {
            username,
            user_domain,
            project,
            project_domain,
            password,
        } => Credential::Password {
            username: username.clone(),
            user_domain: user_domain.clone(),
            project: project.clone(),
            project_domain: project_domain.clone(),
            password: password.clone(),
        },
        config::Login::ApplicationCredential { id, secret } => Credential::ApplicationCredential {
            id: id.clone(),
            secret: secret.clone(),
        },
    };
    let connection = Connection {
        auth_url: config.auth_url.clone(),
        credential,
        region: config.region.clone(),
        interface: match config.interface {
            config::Interface::Public => openstack::Interface::Public,
            config::Interface::Internal => openstack::Interface::Internal,
            config::Interface::Admin => openstack::Interface::Admin,
        },
        ca_pem: config.ca_file.as_deref().map(certificates).transpose()?,
        timeout: config.timeout,
        endpoints: openstack::Endpoints {
            compute: config.endpoints.compute.clone(),
            instance_ha: config.endpoints.instance_ha.clone(),
            key_manager: config.endpoints.key_manager.clone(),
            placement: config.endpoints.placement.clone(),
            block_storage: config.endpoints.block_storage.clone(),
            bare_metal: config.endpoints.bare_metal.clone(),
        },
        page_size: None,
        limits: openstack::RequestLimits {
            per_second: config.max_requests_per_s,
            in_flight: config.max_requests_at_once,
        },
    };
    Cloud::connect(connection).map_err(|cause| Trouble::new(Exit::Config, cause))
}

/// How secrets are read: with the cloud's barbican where there is a cloud.
pub fn secrets(cloud: Option<&Arc<Cloud>>) -> Secrets {
    cloud.map_or_else(Secrets::default, |cloud| {
        Secrets::from(Arc::clone(cloud) as Arc<dyn Vault>)
    })
}

/// Who is told.
pub fn receivers(config: &Config, secrets: &Secrets) -> Result<Vec<Receiver>, Trouble> {
    let made = config.notify.iter().map(|webhook| {
        let authorities = webhook.ca_file.as_deref().map(certificates).transpose()?;
        Receiver::new(webhook.clone(), authorities.as_deref(), secrets.clone()).map_err(|why| {
            let name = &webhook.name;
            Trouble::say(
                Exit::Config,
                format_args!("preparing the webhook \"{name}\": {why}"),
            )
        })
    });
    made.collect()
}

/// How this host is powered off. A fence-agent's options are compared with its metadata here.
pub async fn methods(config: &Config, host: &HostName, secrets: &Secrets) -> Result<Methods, Trouble> {
    let mut methods = Vec::new();
    for wanted in config.fence_methods(host) {
        methods.push(method(config, host, wanted, secrets).await?);
    }
    Ok(Methods::new(host.clone(), methods))
}

/// One way to power this host off.
pub async fn method(
    config: &Config,
    host: &HostName,
    wanted: &FenceMethod,
    secrets: &Secrets,
) -> Result<Method, Trouble> {
    let made = match wanted {
        FenceMethod::Redfish {
            url,
            system,
            system_uuid,
            username,
            password,
            trust,
        } => {
            let target = fence::redfish::Target {
                url: url.clone(),
                system: Some(system.clone()),
                system_uuid: *system_uuid,
                username: username.clone(),
                password: password.clone(),
                trust: match trust {
                    ServerTrust::Pin(pin) => Trust::Pin(*pin),
                    ServerTrust::CaFile(file) => Trust::Ca(certificates(file)?),
                    ServerTrust::System => Trust::System,
                },
                timeout: BMC_TIMEOUT,
            };
            fence::redfish::Redfish::new(target)
                .map(|redfish| Method::Redfish(redfish.with_secrets(secrets.clone())))
        }
        FenceMethod::Agent {
            program,
            options,
            password,
        } => {
            let spec = fence::agent::Spec {
                program: program.display().to_string(),
                options: options.clone(),
                password: password.clone(),
                timeout: config.fence.off_deadline,
            };
            fence::agent::FenceAgent::load(spec)
                .await
                .map(|agent| Method::FenceAgent(agent.with_secrets(secrets.clone())))
        }
    };
    made.map_err(|cause| {
        let cause = anyhow::Error::new(cause).context(format!("preparing to fence host {host}"));
        Trouble::new(Exit::Config, cause)
    })
}

/// How long fencing looks.
pub fn watch(times: &FenceTimes) -> Watch {
    Watch {
        off_polls: times.off_polls,
        poll_interval: times.off_poll_interval,
        heartbeat_silence: times.heartbeat_silence,
        deadline: times.off_deadline,
    }
}

fn certificates(file: &Path) -> Result<Vec<u8>, Trouble> {
    let read = || {
        if fs::metadata(file)?.len() > CA_LIMIT {
            return Err(std::io::Error::new(
                std::io::ErrorKind::FileTooLarge,
                "it is too large for certificates",
            ));
        }
        fs::read(file)
    };
    read().map_err(|error| {
        let cause =
            anyhow::Error::new(error).context(format!("reading the certificates in {}", file.display()));
        Trouble::new(Exit::Config, cause)
    })
}
