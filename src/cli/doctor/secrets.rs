//! Secrets: that each can be had, who else could have it, and where one might leak.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::{Check, Report};
use crate::{
    cli::state,
    config::{Config, SecretSource, secret::Keeper},
    ids::Sha256Digest,
    secrets::Secrets,
};

/// Every secret, the BMCs' compared with one another, the webhooks' addresses, and the log.
pub async fn checks(config: &Config, secrets: &Secrets, report: &mut Report) {
    let keeper = keeper(config);
    let mut bmcs: BTreeMap<Sha256Digest, Vec<String>> = BTreeMap::new();
    for (key, source) in config.secrets() {
        let name = format!("secret {key}");
        let secret = match secrets.read(source).await {
            Ok(secret) => secret,
            Err(error) => {
                report.say(Check::fail(name, error.to_string(), remedy(source)));
                continue;
            }
        };
        let weaknesses = source.weaknesses(&keeper);
        if weaknesses.is_empty() {
            report.say(Check::pass(
                name.clone(),
                format!("{source} can be read, and by nobody else"),
            ));
        }
        for (weakness, remedy) in weaknesses {
            report.say(Check::warn(name.clone(), weakness, remedy));
        }
        if let Some((host, _)) = key.strip_prefix("host ").and_then(|rest| rest.split_once(',')) {
            let same = bmcs
                .entry(Sha256Digest::of(secret.expose().as_bytes()))
                .or_default();
            if same.last().is_none_or(|last| last != host) {
                same.push(host.to_owned());
            }
        }
    }
    for hosts in bmcs.values().filter(|hosts| hosts.len() > 1) {
        report.say(Check::warn(
            "BMC passwords",
            format!("{} hosts share one: {}", hosts.len(), hosts.join(", ")),
            "give each BMC its own: who takes one host's password can switch off all of these",
        ));
    }
    for webhook in config
        .notify
        .iter()
        .filter(|webhook| webhook.url.scheme() == "http")
    {
        report.say(Check::warn(
            format!("webhook {}", webhook.name),
            "its address is plain http: whoever is on the way reads and drops notifications",
            "write an https address",
        ));
    }
    for webhook in config.notify.iter().filter(|webhook| webhook.secret.is_none()) {
        report.say(Check::warn(
            format!("webhook {}", webhook.name),
            "its notifications are not signed: its receiver cannot tell ours from anybody's",
            "give it a secret_file, and have the receiver compare the signature",
        ));
    }
    log(config, report);
}

/// Who the daemon is, as far as can be told: the owner of the directory that its database is in.
fn keeper(config: &Config) -> Keeper {
    let directory = config
        .store
        .path
        .parent()
        .and_then(|parent| fs::metadata(parent).ok());
    let own = fs::metadata("/proc/self").ok();
    let group = |found: Option<fs::Metadata>| found.map(|found| (found.uid(), found.gid()));
    let known: Vec<(u32, u32)> = [group(directory), group(own)].into_iter().flatten().collect();
    Keeper {
        users: known
            .iter()
            .map(|(user, _)| *user)
            .chain([0, state::own_uid()])
            .collect(),
        groups: known.iter().map(|(_, group)| *group).chain([0]).collect(),
    }
}

fn remedy(source: &SecretSource) -> &'static str {
    match source {
        SecretSource::File(_) | SecretSource::Inline(_) => {
            "put the secret into that file, readable by the daemon's user only"
        }
        SecretSource::Credential(_) => {
            "see the unit; outside of it a systemd credential is not there to be checked"
        }
        SecretSource::Barbican(_) => "see the message; the daemon's account needs to read it in barbican",
    }
}

fn log(config: &Config, report: &mut Report) {
    let filter = &config.log.filter;
    if ["debug", "trace"]
        .iter()
        .any(|level| filter.to_ascii_lowercase().contains(level))
    {
        report.say(Check::warn(
            "log",
            format!("log.filter is {filter:?}: a lot is written, also what other programs' libraries say"),
            "go back to info when you have seen what you wanted",
        ));
    }
    for name in ["RUST_LOG", "LAZARET_LOG"] {
        if let Ok(value) = std::env::var(name) {
            report.say(Check::warn(
                "log",
                format!("{name} is {value:?} in this environment, and is read by nobody"),
                "the daemon logs by log.filter alone: unset it",
            ));
        }
    }
}
