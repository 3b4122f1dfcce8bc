//! `lazaret golden`: what a host is compared with.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use lazaret_attest::{
    challenge::Challenge,
    finding::Finding,
    policy::DigestForm,
    reference::{Addition, Capture, Captured, add, capture},
};

use super::{
    context,
    exit::{Exit, Trouble},
    golden_add::GoldenAdd,
    out,
    who::who,
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
    /// Add the value that a group of held cases fails for.
    Add(GoldenAdd),
}

#[derive(Debug, Args)]
struct CaptureArgs {
    /// The host.
    host: HostName,

    /// The policy file to write; the digest list is put beside it.
    #[arg(long, value_name = "FILE", required_unless_present = "add_to")]
    policy: Option<PathBuf>,

    /// A policy that is there: what the host shows beyond it is added at its end, as one more alternative of a component.
    #[arg(long, value_name = "FILE", conflicts_with = "policy", requires_all = ["component", "name"])]
    add_to: Option<PathBuf>,

    /// With --add-to: the component that was updated, such as kernel.
    #[arg(long, requires = "add_to")]
    component: Option<String>,

    /// With --add-to: the alternative's name, such as its version.
    #[arg(long, requires = "add_to")]
    name: Option<String>,

    /// With --add-to: the first day on which it is valid, in UTC; without, it is valid at once.
    #[arg(long, value_name = "DATE", requires = "add_to")]
    from: Option<chrono::NaiveDate>,

    /// Overwrite what is there.
    #[arg(long)]
    force: bool,
}

/// Files that are read for the first time meanwhile land behind the quote; ask again a few times.
const TRIES: usize = 5;

impl Golden {
    /// Captures.
    pub async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        let args = match self.command {
            Command::Capture(args) => args,
            Command::Add(args) => return args.run(config).await,
        };
        if let (Some(file), Some(component), Some(name)) = (&args.add_to, &args.component, &args.name) {
            return args.added(config, file, component, name).await;
        }
        let Some(policy) = &args.policy else {
            return Err(Trouble::say(Exit::Usage, "name a file with --policy or --add-to"));
        };
        let list = policy.with_extension("sha256");
        for file in [policy, &list] {
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
        out::create(policy, captured.policy_toml.as_bytes(), args.force)?;
        // What was written must be what will be read.
        let (_, read) = PolicyText::read(policy, &Wanted::default())?;
        out::print(&format!(
            "{}: golden values captured\n  policy       {} ({})\n  digest list  {}, {} files\n",
            args.host,
            policy.display(),
            hex::encode(read.digest()),
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

impl CaptureArgs {
    /// Adds what the host shows beyond the policy. The policy is written anew only if the whole can be read.
    async fn added(&self, config: &Path, file: &Path, component: &str, name: &str) -> Result<Exit, Trouble> {
        let config = context::config(config)?;
        let settings = config.hosts.get(&self.host);
        let wanted = Wanted {
            model: settings.and_then(|settings| settings.model.as_deref()),
            ..Wanted::default()
        };
        let (mut text, policy) = PolicyText::read(file, &wanted)?;
        let tidy: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || "._-".contains(c) {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        let list = file.with_extension(format!("{component}-{tidy}.sha256").replace('/', "-"));
        let list_name = list
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let rounds = context::rounds(&config).await?;
        let from = self.from.map(|day| day.to_string());
        let to = Addition {
            policy: &policy,
            component,
            name,
            from: from.as_deref(),
        };
        let added = asked(&rounds, &self.host, &list_name, |from| {
            add(from, &to).map(|added| (added.uncovered, added))
        })
        .await?;
        for pcr in &added.elsewhere {
            out::print(&format!(
                "  note         {pcr} differs too, and is not {component}'s: add it to its own component\n"
            ));
        }
        let Some(toml) = &added.toml else {
            out::print(&format!(
                "{}: {} knows all of it already; nothing was added\n",
                self.host,
                file.display()
            ));
            return Ok(Exit::Ok);
        };
        if !text.toml.ends_with('\n') {
            text.toml.push('\n');
        }
        text.toml.push_str(toml);
        if !added.list.is_empty() {
            text.lists.insert(list_name, added.list.clone().into());
        }
        text.parse(DigestForm::Files).map_err(|error| {
            Trouble::new(
                Exit::Data,
                anyhow::Error::new(error)
                    .context(format!("with what would be added, {} is wrong", file.display())),
            )
        })?;
        if !added.list.is_empty() {
            out::create(&list, added.list.as_bytes(), self.force)?;
        }
        out::create(file, text.toml.as_bytes(), true)?;
        out::print(&format!(
            "{}: {} values added to {} as {component} {name}\n  next         count version up, give the alternative before it an until, sign again if policies are signed,\n               and read what was added: lazaret policy check {}\n",
            self.host,
            added.values,
            file.display(),
            file.display()
        ));
        Ok(Exit::Ok)
    }
}

async fn evidence(rounds: &Rounds, name: &HostName, list_name: &str) -> Result<Captured, Trouble> {
    asked(rounds, name, list_name, |from| {
        capture(from).map(|captured| (captured.uncovered, captured))
    })
    .await
}

/// Asks the host, some times if need be, until nothing stands behind the quote; what `take` makes of the last answer.
async fn asked<T>(
    rounds: &Rounds,
    name: &HostName,
    list_name: &str,
    take: impl Fn(&Capture<'_>) -> Result<(u64, T), Vec<Finding>>,
) -> Result<T, Trouble> {
    let host = context::host(&rounds.store, name).await?;
    let source = rounds.source(&host)?;
    let key = rounds.keys.of(&host).map_err(|error| {
        Trouble::say(
            Exit::Data,
            format_args!("the attestation key of host {name}, as it was enrolled: {error}"),
        )
    })?;
    let mut best: Option<T> = None;
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
        let (uncovered, taken) = take(&from).map_err(|findings| {
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
        let done = uncovered == 0;
        best = Some(taken);
        if done {
            break;
        }
    }
    let now = rounds.clock.now();
    rounds
        .store
        .audit(
            &crate::store::AuditEntry {
                who: who(),
                what: "capture golden values".to_owned(),
                subject: format!("host {name}"),
                outcome: "done".to_owned(),
            },
            now,
        )
        .await?;
    best.ok_or_else(|| Trouble::say(Exit::Software, "no evidence was asked for"))
}
