//! `lazaret verify-host`: one host, now; or a bundle, offline.

use std::{
    fmt::Write as _,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use lazaret_attest::result::AttestationResult;
use serde::Serialize;

use super::{
    context,
    exit::{Exit, Trouble},
    out,
};
use crate::{
    clock::Timestamp,
    ids::{HostName, RoundId, Sha256Digest},
    verifier::{
        bundle::{self, Bundle},
        policies::{PolicyText, Wanted},
        round::Timings,
    },
};

/// Arguments of `lazaret verify-host`.
#[derive(Debug, Args)]
pub struct VerifyHost {
    /// The host's name in nova.
    #[arg(required_unless_present = "replay")]
    host: Option<HostName>,

    /// Print JSON.
    #[arg(long)]
    json: bool,

    /// Keep the whole evidence in this file, to be appraised again offline.
    #[arg(long, value_name = "BUNDLE", conflicts_with = "replay")]
    save: Option<PathBuf>,

    /// Appraise the evidence in this file again. Nothing is asked of any host, and nothing is recorded.
    #[arg(long, value_name = "BUNDLE", conflicts_with = "host")]
    replay: Option<PathBuf>,

    /// With --replay: use these golden values instead of those in the bundle.
    #[arg(long, value_name = "FILE", requires = "replay")]
    policy: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    host: &'a HostName,
    #[serde(skip_serializing_if = "Option::is_none")]
    round: Option<RoundId>,
    at: Timestamp,
    #[serde(flatten)]
    result: &'a AttestationResult,
    #[serde(skip_serializing_if = "Option::is_none")]
    timings: Option<Timings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Sha256Digest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<&'a Path>,
}

impl VerifyHost {
    /// Attests, records and prints; or appraises a bundle and prints.
    pub async fn run(self, config: &Path) -> Result<Exit, Trouble> {
        if let Some(file) = &self.replay {
            return self.replay(file);
        }
        let Some(name) = &self.host else {
            return Err(Trouble::say(
                Exit::Usage,
                "name a host, or a bundle with --replay",
            ));
        };
        let config = context::config(config)?;
        let rounds = context::rounds(&config).await?;
        let host = context::host(&rounds.store, name).await?;
        // A bundle stands by itself: it needs the whole list.
        let whole = self.save.is_some();
        let judged = rounds.manual(&host, whole).await?;
        if let (Some(file), Some(bundle)) = (&self.save, &judged.bundle) {
            save(file, bundle)?;
        }
        let shown = Shown {
            host: name,
            round: Some(judged.round.id),
            at: judged.round.finished_at,
            result: &judged.result,
            timings: Some(judged.timings),
            policy: judged.round.policy,
            saved: self.save.as_deref().filter(|_| judged.bundle.is_some()),
        };
        self.show(&shown);
        if self.save.is_some() && judged.bundle.is_none() {
            out::error("lazaret: no bundle was saved, since the host gave no evidence\n");
        }
        Ok(Exit::of(judged.result.verdict))
    }

    fn replay(&self, file: &Path) -> Result<Exit, Trouble> {
        let bundle = Bundle::from_bytes(&read(file)?).map_err(|error| {
            Trouble::new(
                Exit::Data,
                anyhow::Error::new(error).context(format!("reading the bundle {}", file.display())),
            )
        })?;
        let wanted = Wanted {
            model: bundle.model(),
            ..Wanted::default()
        };
        let other = self
            .policy
            .as_deref()
            .map(|path| PolicyText::read(path, &wanted))
            .transpose()?;
        let result = bundle.replay(other.as_ref().map(|(text, _)| text))?;
        let shown = Shown {
            host: &bundle.host,
            round: None,
            at: bundle.received_at,
            result: &result,
            timings: None,
            policy: None,
            saved: None,
        };
        self.show(&shown);
        if result.verdict != bundle.result.verdict {
            out::error(&format!(
                "lazaret: at the time it was {}\n",
                bundle.result.verdict
            ));
        }
        Ok(Exit::of(result.verdict))
    }

    fn show(&self, shown: &Shown<'_>) {
        if self.json {
            out::json(shown);
        } else {
            out::print(&text(shown));
        }
    }
}

/// What a person reads.
fn text(shown: &Shown<'_>) -> String {
    let result = shown.result;
    let mut text = format!("{}: {}\n", shown.host, result.verdict.to_string().to_uppercase());
    // Writing to a String cannot fail.
    for finding in &result.findings {
        let _ = writeln!(text, "\n  {} ({})", finding.code.as_str(), finding.gravity);
        let _ = writeln!(text, "    where     {}", out::plain(&finding.subject));
        if let Some(expected) = &finding.expected {
            let _ = writeln!(text, "    expected  {}", out::plain(expected));
        }
        if let Some(found) = &finding.found {
            let _ = writeln!(text, "    found     {}", out::plain(found));
        }
        let _ = writeln!(text, "    means     {}", finding.code.meaning());
        let _ = writeln!(text, "    do        {}", finding.code.remedy());
    }
    text.push('\n');
    if let Some(quote) = &result.claims.quote {
        let _ = writeln!(
            text,
            "  quote     {} PCRs signed by the pinned key; boot {} of this TPM",
            quote.pcrs.len(),
            quote.reset_count
        );
    }
    if let Some(log) = &result.claims.boot_log {
        let secure_boot = format!("{:?}", log.secure_boot).to_lowercase();
        let _ = writeln!(
            text,
            "  boot log  {} events, Secure Boot {secure_boot}",
            log.events
        );
    }
    if let Some(ima) = &result.claims.ima {
        let _ = write!(text, "  IMA list  {} entries attested", ima.covered);
        if ima.first > 0 {
            let _ = write!(text, " ({} in earlier rounds)", ima.first);
        }
        if ima.uncovered > 0 {
            let _ = write!(
                text,
                ", {} measured after the quote and left to the next round",
                ima.uncovered
            );
        }
        text.push('\n');
    }
    if let Some(timings) = &shown.timings {
        let _ = writeln!(
            text,
            "  took      {:.0} ms: evidence {:.0} ms, quote {:.2} ms, boot log {:.2} ms, IMA {:.2} ms, appraisal {:.2} ms",
            timings.total_ms,
            timings.collect_ms,
            timings.quote_ms,
            timings.boot_log_ms,
            timings.ima_ms,
            timings.appraisal_ms
        );
    }
    match (shown.round, shown.saved) {
        (Some(round), Some(file)) => {
            let _ = writeln!(
                text,
                "  recorded  round {round}; the evidence is in {}",
                file.display()
            );
        }
        (Some(round), None) => {
            let _ = writeln!(text, "  recorded  round {round}");
        }
        (None, _) => {
            let _ = writeln!(text, "  replayed  evidence of {}", shown.at);
        }
    }
    text
}

fn save(file: &Path, bundle: &Bundle) -> Result<(), Trouble> {
    let bytes = bundle.to_bytes()?;
    out::create(file, &bytes, true)
}

fn read(file: &Path) -> Result<Vec<u8>, Trouble> {
    let trouble = |error: std::io::Error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound {
            Exit::NoInput
        } else {
            Exit::Io
        };
        Trouble::new(
            exit,
            anyhow::Error::new(error).context(format!("reading the bundle {}", file.display())),
        )
    };
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .map_err(trouble)?
        .take(bundle::LIMIT)
        .read_to_end(&mut bytes)
        .map_err(trouble)?;
    Ok(bytes)
}
