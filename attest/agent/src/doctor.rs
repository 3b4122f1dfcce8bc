//! `lazaret-agent check`: whether the agent would work here, and what to do if not. Makes nothing but the TLS key.

use std::fmt;

use crate::{config::Config, logs, tpm};

/// One line of the report.
#[derive(Debug)]
pub struct Line {
    /// What was looked at.
    pub subject: &'static str,
    /// What was found, or the error with its remedy.
    pub result: Result<String, String>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.result {
            Ok(found) => write!(f, "PASS  {:<9} {found}", self.subject),
            Err(why) => write!(f, "FAIL  {:<9} {why}", self.subject),
        }
    }
}

/// Looks at everything that the agent depends on.
pub fn examine(config: &Config, settings: &tpm::Settings) -> Vec<Line> {
    let tls = config
        .tls_identity()
        .map_err(|error| error.to_string())
        .map(|identity| format!("own key {}", identity.pin()));
    let clients = config.clients().map_err(|error| error.to_string()).map(|_| {
        let ca = config.verifier_ca.as_ref().map_or(String::new(), |path| {
            format!(", and any under {}", path.display())
        });
        format!("{} pinned{ca}", config.verifier_pins.len())
    });
    let tpm = tpm::look(settings)
        .map_err(|error| error.to_string())
        .and_then(|kinds| match kinds.as_slice() {
            [] => Err(
                "the TPM is there, but its NV holds no endorsement key certificate; get one from its maker"
                    .to_owned(),
            ),
            kinds => Ok(format!(
                "{} with EK certificates: {}",
                settings.tcti,
                kinds.join(", ")
            )),
        });
    let boot_log = logs::boot(&config.boot_log).map_err(|error| error.to_string()).and_then(|log| match log.len() {
        0 => Err(format!(
            "{} is empty: the boot loader did not pass the log on; boot through the EFI stub (Secure Boot, or grub's chainloader)",
            config.boot_log.display()
        )),
        bytes => Ok(format!("{bytes} bytes in {}", config.boot_log.display())),
    });
    let ima_log = logs::ima(&config.ima_log, 0)
        .map_err(|error| error.to_string())
        .and_then(|log| match &config.ima_log {
            crate::config::ImaLog::None => Ok("none, as configured".to_owned()),
            crate::config::ImaLog::File(path) if log.is_empty() => Err(format!(
                "{} is empty: not even boot_aggregate; start the kernel with ima_policy=tcb or load a policy",
                path.display()
            )),
            crate::config::ImaLog::File(path) => Ok(format!("{} bytes in {}", log.len(), path.display())),
        });
    vec![
        Line {
            subject: "tls",
            result: tls,
        },
        Line {
            subject: "verifiers",
            result: clients,
        },
        Line {
            subject: "tpm",
            result: tpm,
        },
        Line {
            subject: "boot log",
            result: boot_log,
        },
        Line {
            subject: "ima list",
            result: ima_log,
        },
    ]
}
