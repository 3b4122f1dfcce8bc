//! The daemon's own things: state, key, roots, database.

use std::sync::Arc;

use super::{Check, Report};
use crate::{
    cli::{context, state},
    config::Config,
    respond::orphans::STRAY,
    store::{Chain, Host, Store},
    verifier::roots,
};

/// State, key, roots.
pub fn checks(config: &Config, report: &mut Report) {
    let faults = state::faults(config);
    if faults.is_empty() {
        report.say(Check::pass(
            "state",
            "only the daemon can change its database and its key",
        ));
    }
    for fault in faults {
        let detail = format!("{}: {}", fault.path.display(), fault.what);
        report.say(if fault.refused {
            Check::fail(
                "state",
                format!("{detail}; the daemon does not begin"),
                fault.remedy,
            )
        } else {
            Check::warn("state", detail, fault.remedy)
        });
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
        let orphans = store.orphans().await?;
        Ok::<_, crate::store::StoreError>((store.hosts().await?, chain, dead.len(), orphans))
    };
    match opened.await {
        Ok((hosts, chain, dead, orphans)) => {
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
            for orphan in orphans {
                report.say(Check::warn(
                    "quarantine",
                    format!(
                        "no case of host {} is known, and nova shows one: {}",
                        orphan.host, orphan.words
                    ),
                    match orphan.words.contains(STRAY) {
                        true => STRAY.to_owned(),
                        false => format!("lazaret quarantine adopt {}, or clear it by hand", orphan.host),
                    },
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
