//! The daemon's own things: secrets, key, roots, database.

use std::sync::Arc;

use super::{Check, Report};
use crate::{
    cli::context,
    config::Config,
    store::{Chain, Host, Store},
    verifier::roots,
};

/// Secrets, key, roots, log.
pub async fn checks(config: &Config, report: &mut Report) {
    for (key, source) in config.secrets() {
        let name = format!("secret {key}");
        match (source.read(), source.weakness()) {
            (Err(error), _) => report.say(Check::fail(
                name,
                error.to_string(),
                "put the secret into that file, readable by the daemon's user only",
            )),
            (Ok(_), Some(weakness)) => {
                report.say(Check::warn(
                    name,
                    weakness,
                    "chown it to the daemon's user and chmod 600",
                ));
            }
            (Ok(_), None) => report.say(Check::pass(name, "can be read by this user only")),
        }
    }
    if config.log.filter.contains("debug") || config.log.filter.contains("trace") {
        report.say(Check::warn(
            "log",
            format!("log.filter is {:?}: a lot is written", config.log.filter),
            "go back to info when you have seen what you wanted",
        ));
    }
    match context::identity(config) {
        Ok(identity) => report.say(Check::pass(
            "verifier's key",
            format!("{}; agents need this in verifier_pins", identity.pin()),
        )),
        Err(trouble) => report.say(Check::fail(
            "verifier's key",
            format!("{:#}", trouble.cause),
            "let identity.directory belong to the daemon's user",
        )),
    }
    match roots::read(&config.enrolment.roots) {
        Ok(found) => report.say(Check::pass(
            "TPM makers' roots",
            format!(
                "{} certificates and {} revocation lists in {}",
                found.roots.len(),
                found.roots.lists(),
                config.enrolment.roots.display()
            ),
        )),
        Err(error) => report.say(Check::fail(
            "TPM makers' roots",
            error.to_string(),
            "put your TPM makers' certificates there, and nothing else",
        )),
    }
}

/// The database, and who is enrolled.
pub async fn database(config: &Arc<Config>, report: &mut Report) -> Vec<Host> {
    const NAME: &str = "database";
    let opened = async {
        let store = Store::open(&config.store.path).await?;
        store.sound().await?;
        let chain = store.verify_chain().await?;
        let dead = store.dead_letters().await?;
        Ok::<_, crate::store::StoreError>((store.hosts().await?, chain, dead.len()))
    };
    match opened.await {
        Ok((hosts, chain, dead)) => {
            report.say(Check::pass(
                NAME,
                format!(
                    "{} is sound; {} hosts are enrolled",
                    config.store.path.display(),
                    hosts.len()
                ),
            ));
            match chain {
                Chain::Intact { .. } => report.say(Check::pass("audit trail", "unbroken")),
                broken => report.say(Check::fail(
                    "audit trail",
                    format!("{broken:?}"),
                    "somebody changed the database behind Lazaret's back; compare with a backup",
                )),
            }
            if dead > 0 {
                report.say(Check::warn(
                    "notifications",
                    format!("{dead} could not be delivered and were given up"),
                    "lazaret notifications --dead says why; then lazaret notifications retry --all",
                ));
            }
            if hosts.is_empty() {
                report.say(Check::warn(
                    "enrolment",
                    "no host is enrolled",
                    "lazaret enroll HOST, or --all",
                ));
            }
            hosts
        }
        Err(error) => {
            report.say(Check::fail(NAME, error.to_string(), "see the message"));
            Vec::new()
        }
    }
}
