//! Each enrolled host: golden values, agent, BMC. And the BMCs of those that are yet to be enrolled: where one cannot be
//! used, the others are looked at all the same.

use std::sync::Arc;

use super::{Check, Report};
use crate::{
    cli::{context, wiring},
    config::Config,
    fence::Power,
    ids::HostName,
    secrets::Secrets,
    store::Host,
};

/// Golden values, agent and BMC of each host.
pub async fn checks(config: &Arc<Config>, hosts: &[Host], secrets: &Secrets, report: &mut Report) {
    if !hosts.is_empty() {
        attested(config, hosts, report).await;
    }
    for host in hosts {
        bmc(config, host.name(), secrets, report).await;
    }
    let enrolled = |name: &HostName| hosts.iter().any(|host| host.name() == name);
    for (name, settings) in &config.hosts {
        if !enrolled(name) && !settings.fence.is_empty() {
            bmc(config, name, secrets, report).await;
        }
    }
}

/// Golden values and agent of each host.
async fn attested(config: &Arc<Config>, hosts: &[Host], report: &mut Report) {
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
    }
}

async fn bmc(config: &Config, host: &HostName, secrets: &Secrets, report: &mut Report) {
    let name = format!("fence {host}");
    let wanted = config.fence_methods(host);
    for wanted in wanted {
        let method = match wiring::method(config, host, wanted, secrets).await {
            Ok(method) => method,
            Err(trouble) => {
                report.say(Check::fail(
                    name.clone(),
                    format!("{:#}", trouble.cause),
                    "correct this host's [[host.fence]]: the daemon does not start with it",
                ));
                continue;
            }
        };
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
    if wanted.is_empty() {
        report.say(Check::needed_to_act(
            config,
            &name,
            "no way to power it off is configured".to_owned(),
            "add [[host]] and [[host.fence]] for it",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Outcome;

    /// Nothing listens where the BMCs are said to be.
    #[tokio::test]
    async fn a_fence_that_cannot_be_made_keeps_doctor_from_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("password"), "hunter2").unwrap();
        let redfish = format!(
            "[[host.fence]]\nkind = \"redfish\"\nurl = \"https://127.0.0.1:9\"\nsystem = \"1\"\nusername = \"u\"\n\
             password_file = \"{}\"\n",
            at("password").display()
        );
        let broken = format!(
            "[[host.fence]]\nkind = \"agent\"\nprogram = \"{}\"\npassword_file = \"{}\"\n",
            at("no-such-agent").display(),
            at("password").display()
        );
        let text = format!(
            "[[host]]\nname = \"cmp-1\"\n{broken}{redfish}[[host]]\nname = \"cmp-2\"\n{redfish}[[host]]\nname = \"cmp-3\"\n"
        );
        let config = Arc::new(Config::parse(&text, &at("lazaret.toml")).unwrap());
        let mut report = Report {
            json: true,
            checks: Vec::new(),
        };
        checks(&config, &[], &Secrets::default(), &mut report).await;
        let found: Vec<_> = report
            .checks
            .iter()
            .map(|check| (check.check.as_str(), check.outcome))
            .collect();
        // The daemon only watches: what cannot be reached is no failure.
        let wanted = [
            ("fence cmp-1", Outcome::Fail),
            ("fence cmp-1", Outcome::Warn),
            ("fence cmp-2", Outcome::Warn),
        ];
        assert_eq!(found, wanted, "{:?}", report.checks);
        assert!(
            report.checks[0].detail.contains("no-such-agent"),
            "{:?}",
            report.checks
        );
    }
}
