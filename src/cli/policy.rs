//! `lazaret policy`: appraisal policies read by hand, and the findings explained.

use std::{fmt::Write as _, path::PathBuf};

use clap::{Args, Subcommand};
use lazaret_attest::{
    finding::{Bounds, Code},
    policy::{Review, ReviewStanding, signed::Signer},
    verdict::Verdict,
};
use serde::Serialize;

use super::{
    exit::{Exit, Trouble},
    out,
};
use crate::{
    clock::{Clock as _, SystemClock},
    verifier::policies::{PolicyFileError, PolicyText, Wanted, signers_at},
};

/// Arguments of `lazaret policy`.
#[derive(Debug, Args)]
pub struct Policy {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Read a policy and everything it names, and say what is wrong with line and reason.
    Check(Check),
    /// What a finding means and what to do about it.
    Explain(Explain),
}

/// Arguments of `lazaret policy check`.
#[derive(Debug, Args)]
struct Check {
    /// The policy.
    file: PathBuf,

    /// As it is for hosts of this model; without, every model is read.
    #[arg(long)]
    model: Option<String>,

    /// An allowed_signers file: the policy must be signed by one of them.
    #[arg(long, value_name = "FILE")]
    signers: Option<PathBuf>,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Arguments of `lazaret policy explain`.
#[derive(Debug, Args)]
struct Explain {
    /// The finding's code; without, all of them.
    #[arg(conflicts_with = "all")]
    code: Option<String>,

    /// All codes.
    #[arg(long)]
    all: bool,

    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Policy {
    /// Runs it.
    ///
    /// # Errors
    /// The policy or one of its files is wrong, or the code is unknown.
    pub fn run(self) -> Result<Exit, Trouble> {
        match self.what {
            What::Check(check) => check.run(),
            What::Explain(explain) => explain.run(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Checked {
    file: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<SignedBy>,
    #[serde(flatten)]
    review: Review,
}

#[derive(Debug, Serialize)]
struct SignedBy {
    principals: String,
    key: String,
}

#[derive(Debug, Serialize)]
struct Refused<'a> {
    file: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    reason: &'a str,
}

impl Check {
    fn run(self) -> Result<Exit, Trouble> {
        match self.checked() {
            Ok(checked) if self.json => out::json(&checked),
            Ok(checked) => out::print(&text(&checked)),
            Err(error) => {
                if self.json {
                    self.tell(&error);
                }
                return Err(trouble(error));
            }
        }
        Ok(Exit::Ok)
    }

    fn checked(&self) -> Result<Checked, PolicyFileError> {
        let now = SystemClock.now().unix_seconds();
        let signers = self.signers.as_deref().map(signers_at).transpose()?;
        let wanted = Wanted {
            model: self.model.as_deref(),
            base: self.model.is_none(),
            signers: signers.as_ref().map(|signers| (signers, now)),
        };
        let (read, policy) = PolicyText::read(&self.file, &wanted)?;
        let mut review = policy.review(now);
        if self.model.is_none() {
            // What a model adds is read as for a host of it.
            for model in policy.models() {
                let of_model = Wanted {
                    model: Some(model),
                    base: policy.is_base(),
                    ..wanted
                };
                PolicyText::read(&self.file, &of_model)?;
            }
            let strict = Wanted {
                base: false,
                ..wanted
            };
            if let (false, Err(PolicyFileError::Wrong { source, .. })) =
                (policy.is_base(), PolicyText::read(&self.file, &strict))
            {
                review
                    .notes
                    .push(format!("a host without model is refused: {source}"));
            }
        }
        let signed_by = signers.zip(read.signature).and_then(|(signers, signature)| {
            let signer: Option<Signer> = signers.verify(read.toml.as_bytes(), &signature, now).ok();
            signer.map(|signer| SignedBy {
                principals: signer.principals,
                key: signer.fingerprint,
            })
        });
        Ok(Checked {
            file: self.file.clone(),
            model: self.model.clone(),
            signed_by,
            review,
        })
    }

    /// The same for machines: which file, which line, why.
    fn tell(&self, error: &PolicyFileError) {
        let (file, line, reason) = match error {
            PolicyFileError::Wrong { path, source } => (
                match &source.file {
                    Some(name) => path.with_file_name(name),
                    None => path.clone(),
                },
                Some(source.line),
                source.reason.clone(),
            ),
            PolicyFileError::Signers { path, source } => {
                (path.clone(), Some(source.line), source.reason.clone())
            }
            PolicyFileError::Missing { path }
            | PolicyFileError::Unreadable { path, .. }
            | PolicyFileError::Unsigned { path }
            | PolicyFileError::Signature { path, .. } => (path.clone(), None, error.to_string()),
        };
        out::json(&Refused {
            file,
            line,
            reason: &reason,
        });
    }
}

/// A file named on the command line that cannot be read is no input; everything else as elsewhere.
fn trouble(error: PolicyFileError) -> Trouble {
    let exit = match &error {
        PolicyFileError::Unreadable { source, .. }
            if matches!(
                source.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::FileTooLarge
            ) =>
        {
            Exit::Data
        }
        PolicyFileError::Missing { .. } | PolicyFileError::Unreadable { .. } => Exit::NoInput,
        PolicyFileError::Wrong { .. } | PolicyFileError::Signers { .. } => Exit::Data,
        PolicyFileError::Unsigned { .. } | PolicyFileError::Signature { .. } => Exit::NoPermission,
    };
    Trouble::new(exit, error)
}

fn text(checked: &Checked) -> String {
    let review = &checked.review;
    let mut text = String::new();
    let kind = if review.base { ", a base for others" } else { "" };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{}: \"{}\", version {}{kind}",
        checked.file.display(),
        out::plain(&review.name),
        review.version
    );
    let _ = writeln!(text, "  digest      {}", review.digest);
    if let Some(signer) = &checked.signed_by {
        let _ = writeln!(
            text,
            "  signed by   {} ({})",
            out::plain(&signer.principals),
            signer.key
        );
    }
    if !review.models.is_empty() {
        let _ = writeln!(text, "  models      {}", out::plain(&review.models.join(", ")));
    }
    let _ = writeln!(
        text,
        "  compares    {} PCR values, {} boot digests, {} files in {} lists; {} paths excluded",
        review.pcr_values, review.boot_digests, review.file_digests, review.lists, review.excluded
    );
    for component in &review.components {
        let _ = writeln!(text, "  component   {}", out::plain(&component.name));
        for alternative in &component.alternatives {
            let window = match (&alternative.from, &alternative.until) {
                (None, None) => "always".to_owned(),
                (Some(from), None) => format!("from {from}"),
                (None, Some(until)) => format!("until {until}"),
                (Some(from), Some(until)) => format!("from {from} until {until}"),
            };
            let standing = match alternative.standing {
                ReviewStanding::Valid if alternative.ends_soon => ": ENDS WITHIN 30 DAYS",
                ReviewStanding::Valid => "",
                ReviewStanding::Expired => ": EXPIRED",
                ReviewStanding::NotYetValid => ": not valid yet",
            };
            let _ = writeln!(
                text,
                "    {}  {} values, {window}{standing}",
                out::plain(&alternative.name),
                alternative.values
            );
        }
    }
    for note in &review.notes {
        let _ = writeln!(text, "  note        {}", out::plain(note));
    }
    text
}

/// A code for machines.
#[derive(Debug, Serialize)]
struct Explained {
    code: Code,
    meaning: &'static str,
    remedy: &'static str,
    gravity: Verdict,
    bounds: &'static str,
    related: Vec<Code>,
}

/// Related codes that are named: a line has room for some.
const RELATED: usize = 6;

impl From<Code> for Explained {
    fn from(code: Code) -> Self {
        let family = |code: Code| code.as_str().split('-').next().unwrap_or_default();
        Self {
            code,
            meaning: code.meaning(),
            remedy: code.remedy(),
            gravity: code.gravity(),
            bounds: match code.bounds() {
                Bounds::Fixed => "fixed: nothing is proven by it, so a policy cannot change it",
                Bounds::RaiseOnly => "a policy may take it graver, never lighter",
                Bounds::Free => "a policy may take it as warning, indeterminate or contraindicated",
            },
            related: Code::ALL
                .iter()
                .copied()
                .filter(|other| *other != code && family(*other) == family(code))
                .take(RELATED)
                .collect(),
        }
    }
}

impl Explain {
    fn run(self) -> Result<Exit, Trouble> {
        let Some(name) = &self.code else {
            let all: Vec<Explained> = Code::ALL.iter().copied().map(Explained::from).collect();
            if self.json {
                out::json(&all);
            } else {
                let rows = all.iter().map(|code| {
                    [
                        code.code.to_string(),
                        code.gravity.to_string(),
                        code.meaning.to_owned(),
                    ]
                });
                out::print(&out::table(["code", "gravity", "meaning"], rows));
            }
            return Ok(Exit::Ok);
        };
        let code: Code = name.parse().map_err(|_| {
            Trouble::say(
                Exit::Usage,
                format_args!(
                    "{:?} is no finding code; do you mean {}? `lazaret policy explain` lists all",
                    name,
                    nearest(name).join(" or ")
                ),
            )
        })?;
        let explained = Explained::from(code);
        if self.json {
            out::json(&explained);
            return Ok(Exit::Ok);
        }
        let related: Vec<_> = explained.related.iter().map(ToString::to_string).collect();
        let mut text = format!(
            "{code}\n\n  means    {}\n  do       {}\n  gravity  {} ({})\n",
            explained.meaning, explained.remedy, explained.gravity, explained.bounds
        );
        if !related.is_empty() {
            let _ = writeln!(text, "  related  {}", related.join(", "));
        }
        out::print(&text);
        Ok(Exit::Ok)
    }
}

/// The three codes that are typed most alike.
fn nearest(name: &str) -> Vec<&'static str> {
    let name: String = name.chars().take(100).collect();
    let mut all: Vec<_> = Code::ALL
        .iter()
        .map(|code| (distance(&name, code.as_str()), code.as_str()))
        .collect();
    all.sort();
    all.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Letters to insert, leave out or replace (Levenshtein); half of it where one contains the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = at;
        row[0] = at + 1;
        for (column, wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    let contained = !one.is_empty() && other.iter().collect::<String>().contains(one);
    let steps = row.last().copied().unwrap_or_default();
    if contained { steps / 2 } else { steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_is_misspelt_is_answered_with_those_like_it() {
        assert_eq!(nearest("ima-file-unknow")[0], "ima-file-unknown");
        assert_eq!(nearest("pcr-not-goldn")[0], "pcr-not-golden");
        assert!(
            nearest("golden").iter().any(|name| name.contains("golden")),
            "{:?}",
            nearest("golden")
        );
        assert_eq!(nearest("").len(), 3);
        assert_eq!(
            (
                distance("", "abc"),
                distance("abc", "abc"),
                distance("abd", "abc")
            ),
            (3, 0, 1)
        );
    }

    #[test]
    fn every_code_is_explained_with_its_kin() {
        for code in Code::ALL {
            let explained = Explained::from(*code);
            assert!(!explained.related.contains(code), "{code}");
            assert!(!explained.meaning.is_empty() && !explained.remedy.is_empty());
        }
        let related = Explained::from(Code::GoldenValueExpired).related;
        assert_eq!(related, [Code::GoldenValueNotYetValid]);
    }
}
