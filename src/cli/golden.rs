//! `lazaret golden`: what a host is compared with.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lazaret_attest::{
    challenge::Challenge,
    reference::{Capture, Captured, capture},
};

use super::{
    context,
    exit::{Exit, Trouble},
    out,
};
use crate::{
    ids::HostName,
    verifier::{
        enroll::nonce,
        policies::{PolicyText, Wanted},
        round::Rounds,
    },
};

/// Arguments of `lazaret golden`.
#[derive(Debug, Args)]
pub struct Golden {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write golden values from a host that you trust now.
    Capture(CaptureArgs),
}

#[derive(Debug, Args)]
struct CaptureArgs {
    /// The host.
    host: HostName,

    /// The policy file to write; the digest list is put beside it.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,

    /// Overwrite what is there.
    #[arg(long)]
    force: bool,
}

/// Files that are read for the first time meanwhile land behind the quote; ask again a few times.
const TRIES: usize = 5;

impl Golden {
    /// Captures.
    pub async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let Command::Capture(args) = self.command;
        let list = args.policy.with_extension("sha256");
        for file in [&args.policy, &list] {
            if !args.force && file.exists() {
                return Err(Trouble::say(
                    Exit::CannotCreate,
                    format_args!(
                        "{} is there already; compare first, then say --force",
                        file.display()
                    ),
                ));
            }
        }
        let config = context::config(config)?;
        let rounds = context::rounds(&config).await?;
        let list_name = list
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let captured = evidence(&rounds, &args.host, &list_name).await?;
        out::create(&list, captured.list.as_bytes(), args.force)?;
        out::create(&args.policy, captured.policy_toml.as_bytes(), args.force)?;
        // What was written must be what will be read.
        let (_, policy) = PolicyText::read(&args.policy, &Wanted::default())?;
        out::print(&format!(
            "{}: golden values captured\n  policy       {} ({})\n  digest list  {}, {} files\n",
            args.host,
            args.policy.display(),
            hex::encode(policy.digest()),
            list.display(),
            captured
                .list
                .lines()
                .filter(|line| !line.starts_with('#'))
                .count()
        ));
        if captured.uncovered > 0 {
            out::print(&format!(
                "  note         {} files were measured after the quote and are not in the list; capture again when the host is quiet\n",
                captured.uncovered
            ));
        }
        Ok(Exit::Ok)
    }
}

async fn evidence(rounds: &Rounds, name: &HostName, list_name: &str) -> Result<Captured, Trouble> {
    let host = context::host(&rounds.store, name).await?;
    let source = rounds.source(&host)?;
    let key = rounds.keys.of(&host).map_err(|error| {
        Trouble::say(
            Exit::Data,
            format_args!("the attestation key of host {name}, as it was enrolled: {error}"),
        )
    })?;
    let mut best: Option<Captured> = None;
    for _ in 0..TRIES {
        let challenge = Challenge {
            nonce: nonce()?,
            host: name.as_str().to_owned(),
            agent_key: host.enrolled.agent_key.0,
            selection: rounds.config.appraisal.pcrs.clone(),
            ima_first: 0,
        };
        let evidence = source.attest(&challenge).await?;
        let from = Capture {
            evidence: &evidence,
            challenge: &challenge,
            key: &key,
            policy_name: name.as_str(),
            list_name,
        };
        let captured = capture(&from).map_err(|findings| {
            let reasons: Vec<_> = findings
                .iter()
                .map(|finding| out::plain(&finding.to_string()))
                .collect();
            Trouble::say(
                Exit::Protocol,
                format_args!(
                    "the evidence of host {name} does not prove itself, so it cannot be a reference: {}",
                    reasons.join("; ")
                ),
            )
        })?;
        let done = captured.uncovered == 0;
        best = Some(captured);
        if done {
            break;
        }
    }
    let now = rounds.clock.now();
    rounds
        .store
        .audit(
            &crate::store::AuditEntry {
                who: context::who(),
                what: "capture golden values".to_owned(),
                subject: format!("host {name}"),
                outcome: "done".to_owned(),
            },
            now,
        )
        .await?;
    best.ok_or_else(|| Trouble::say(Exit::Software, "no evidence was asked for"))
}
