//! Each enrolled host: golden values, agent, BMC.

use std::sync::Arc;

use super::{Check, Report};
use crate::{
    cli::{context, wiring},
    config::Config,
    fence::Power,
    secrets::Secrets,
    store::Host,
};

/// Golden values, agent and BMC of each host.
pub async fn checks(config: &Arc<Config>, hosts: &[Host], secrets: &Secrets, report: &mut Report) {
    if hosts.is_empty() {
        return;
    }
    let rounds = match context::rounds(config).await {
        Ok(rounds) => rounds,
        Err(trouble) => {
            report.say(Check::fail(
                "hosts",
                format!("{:#}", trouble.cause),
                "see the message",
            ));
            return;
        }
    };
    for host in hosts {
        let name = format!("golden values {}", host.name());
        match rounds.golden(host) {
            Ok(golden) => report.say(Check::pass(
                name,
                format!(
                    "{}, digest {:.16}",
                    golden.policy.name(),
                    hex::encode(golden.policy.digest())
                ),
            )),
            Err(error) => report.say(Check::fail(
                name,
                error.to_string(),
                format!(
                    "lazaret golden capture {} --policy FILE, on a host that you trust",
                    host.name()
                ),
            )),
        }
        let name = format!("agent {}", host.name());
        let asked = match rounds.source(host) {
            Ok(source) => source.identity().await,
            Err(error) => Err(error),
        };
        match asked {
            Ok(identity) if identity.ak_public == host.enrolled.ak_public => {
                report.say(Check::pass(
                    name,
                    format!("{} answers with the pinned keys", host.enrolled.agent_url),
                ));
            }
            Ok(_) => report.say(Check::fail(
                name,
                "it answers with another attestation key than the pinned one".to_owned(),
                "find out why; then lazaret enroll --accept-new-key",
            )),
            Err(error) => report.say(Check::fail(
                name,
                error.to_string(),
                "on that host: lazaret-agent check",
            )),
        }
        bmc(config, host, secrets, report).await;
    }
}

async fn bmc(config: &Config, host: &Host, secrets: &Secrets, report: &mut Report) {
    let name = format!("fence {}", host.name());
    let methods = match wiring::methods(config, host.name(), secrets).await {
        Ok(methods) => methods,
        Err(trouble) => {
            report.say(Check::fail(
                name,
                format!("{:#}", trouble.cause),
                "correct this host's [[host.fence]]",
            ));
            return;
        }
    };
    let mut any = false;
    for method in methods.iter() {
        any = true;
        match method.power_state().await {
            Ok(Power::Off) => report.say(Check::warn(
                name.clone(),
                format!("{}: the host is off", method.name()),
                "nothing, if you know why",
            )),
            Ok(power) => report.say(Check::pass(
                name.clone(),
                format!("{}: power {power}", method.name()),
            )),
            Err(error) => report.say(Check::needed_to_act(
                config,
                &name,
                format!("{}: {error}", method.name()),
                "without its BMC this host cannot be fenced, and nothing on it is evacuated",
            )),
        }
    }
    if !any {
        report.say(Check::needed_to_act(
            config,
            &name,
            "no way to power it off is configured".to_owned(),
            "add [[host]] and [[host.fence]] for it",
        ));
    }
}
