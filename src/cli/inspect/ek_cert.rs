//! `lazaret inspect ek-cert`: the chain from an endorsement key's certificate to a TPM maker's root, or what is missing.
//!
//! Exit 0: it chains to a root and every certificate on the way holds at that time. 20: it does not; the reason is told.
//! 65: the file, or one among the roots, is no certificate. 66: it cannot be read.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use chrono::NaiveDate;
use clap::Args;
use lazaret_attest::{
    endorsement::{ChainLink, EndorsementError, Looked, Revocation, Standing, look},
    verdict::Verdict,
};
use serde::Serialize;

use super::file;
use crate::{
    cli::{
        exit::{Exit, Trouble},
        out,
    },
    clock::{Clock as _, SystemClock, Timestamp},
    verifier::roots::{self, RootsError},
};

/// NV indexes hold 2 KiB in most TPMs; with text around a PEM block it is still far less.
const LIMIT: u64 = 1024 * 1024;

/// Arguments of `lazaret inspect ek-cert`.
#[derive(Debug, Args)]
pub struct EkCert {
    /// The certificate: PEM, or DER as read from the TPM, with what pads it.
    file: PathBuf,
    /// A directory with makers' certificates (roots and intermediates) and, where wanted, their revocation lists; PEM or DER.
    #[arg(long, value_name = "DIR")]
    roots: PathBuf,
    /// Look at it as of this day (2026-11-21) or time (2026-11-21T06:43:10Z) instead of now.
    #[arg(long, value_name = "DATE", value_parser = date)]
    at: Option<Timestamp>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// What is shown. The names of the JSON keys are stable.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    chained: bool,
    /// `endorsement-key`, or `authority` for a certificate that is itself among the roots.
    kind: &'static str,
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<Missing<'a>>,
    at: Timestamp,
    chain: Vec<Link<'a>>,
    roots: Directory<'a>,
}

#[derive(Debug, Serialize)]
struct Missing<'a> {
    issuer: &'a str,
    authority_key_id: &'a str,
    /// Where the certificate says that its issuer's can be had. Nothing is fetched.
    url: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Link<'a> {
    subject: &'a str,
    issuer: &'a str,
    serial: &'a str,
    not_before: Timestamp,
    not_after: Timestamp,
    signature_algorithm: &'a str,
    sha1: bool,
    anchor: bool,
    revocation: Option<Checked<'a>>,
    sha256: String,
    file: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
enum Checked<'a> {
    NotLookedAt,
    NotRevoked {
        file: &'a str,
        this_update: Timestamp,
        next_update: Timestamp,
    },
}

#[derive(Debug, Serialize)]
struct Directory<'a> {
    directory: &'a Path,
    certificates: usize,
    revocation_lists: usize,
    /// Files that are neither, such as a README.
    passed_over: &'a [String],
}

impl EkCert {
    /// Runs it.
    ///
    /// # Errors
    /// The file cannot be read, or is not what it should be.
    pub fn run(self) -> Result<Exit, Trouble> {
        let bytes = file::read(&self.file, LIMIT)?;
        let found = roots::read(&self.roots).map_err(unusable_roots)?;
        let roots = &found.roots;
        let at = self.at.unwrap_or_else(|| SystemClock.now());
        let name = self.file.display().to_string();
        let looked = look(&name, &bytes, roots, at.unix_seconds())
            .map_err(|error| Trouble::say(Exit::Data, out::plain(&error.to_string())))?;
        let shown = shown(&looked, at, &self.roots, &found);
        if self.json {
            out::json(&shown);
        } else {
            out::print(&text(&name, &shown));
        }
        Ok(if shown.chained {
            Exit::Ok
        } else {
            Exit::Verdict(Verdict::Contraindicated)
        })
    }
}

fn date(text: &str) -> Result<Timestamp, String> {
    let midnight = text
        .parse::<NaiveDate>()
        .ok()
        .and_then(|day| day.and_hms_opt(0, 0, 0));
    match midnight {
        Some(midnight) => Ok(Timestamp::from(midnight.and_utc())),
        None => text
            .parse()
            .map_err(|error| format!("{error}, or a day, such as 2026-11-21")),
    }
}

fn unusable_roots(error: RootsError) -> Trouble {
    let exit = match &error {
        RootsError::Unreadable { .. } | RootsError::Empty { .. } => Exit::NoInput,
        RootsError::Wrong { .. } => Exit::Data,
    };
    Trouble::new(exit, error)
}

fn shown<'a>(
    looked: &'a Looked,
    at: Timestamp,
    directory: &'a Path,
    found: &'a roots::Directory,
) -> Shown<'a> {
    let error = looked.ended.as_ref().err();
    let missing = match error {
        Some(EndorsementError::MissingIssuer {
            issuer, key_id, url, ..
        }) => Some(Missing {
            issuer,
            authority_key_id: key_id,
            url: url.as_deref(),
        }),
        _ => None,
    };
    Shown {
        chained: error.is_none(),
        kind: if looked.is_listed_authority {
            "authority"
        } else {
            "endorsement-key"
        },
        reason: error.map(ToString::to_string),
        missing,
        at,
        chain: looked.chain.iter().map(link).collect(),
        roots: Directory {
            directory,
            certificates: found.roots.len(),
            revocation_lists: found.roots.lists(),
            passed_over: &found.passed_over,
        },
    }
}

fn link(link: &ChainLink) -> Link<'_> {
    Link {
        subject: &link.subject,
        issuer: &link.issuer,
        serial: &link.serial,
        not_before: seconds(link.not_before),
        not_after: seconds(link.not_after),
        signature_algorithm: &link.signed_by,
        sha1: link.sha1,
        anchor: link.standing == Standing::Anchor,
        revocation: match &link.standing {
            Standing::Anchor => None,
            Standing::Issued(Revocation::NotLookedAt) => Some(Checked::NotLookedAt),
            Standing::Issued(Revocation::NotRevoked {
                file,
                this_update,
                next_update,
            }) => Some(Checked::NotRevoked {
                file,
                this_update: seconds(*this_update),
                next_update: seconds(*next_update),
            }),
        },
        sha256: hex::encode(link.sha256),
        file: link.file.as_deref(),
    }
}

fn seconds(unix: i64) -> Timestamp {
    Timestamp::from_millis(unix.saturating_mul(1000))
}

/// What a person reads. Everything in a certificate is somebody else's text.
fn text(name: &str, shown: &Shown<'_>) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = match (&shown.reason, shown.kind) {
        (Some(reason), _) => writeln!(text, "{name}: NOT CHAINED\n  {}", out::plain(reason)),
        (None, "authority") => writeln!(
            text,
            "{name}: chained, but it is one of the roots' own certificates: an authority's, which endorses no TPM"
        ),
        (None, _) => writeln!(text, "{name}: chained to a root"),
    };
    for (at, link) in shown.chain.iter().enumerate() {
        let _ = writeln!(text, "\n  {at}  {}", out::plain(link.subject));
        let mut row = |name: &str, value: &str| {
            let _ = writeln!(text, "     {name:<12}{}", out::plain(value));
        };
        row("issuer", link.issuer);
        row("serial", link.serial);
        row("valid", &format!("{} to {}", link.not_before, link.not_after));
        let weak = if link.sha1 {
            ", which proves nothing by itself: you vouch for this certificate by listing it"
        } else {
            ""
        };
        row("signed by", &format!("{}{weak}", link.signature_algorithm));
        match &link.revocation {
            None => row("standing", "a root, since it is in the directory"),
            Some(Checked::NotLookedAt) => row("revocation", "not looked at: no list of its issuer is there"),
            Some(Checked::NotRevoked {
                file, next_update, ..
            }) => row(
                "revocation",
                &format!("not revoked, as {file} says until {next_update}"),
            ),
        }
        if let Some(file) = link.file {
            row("file", file);
        }
        row("sha256", &link.sha256);
    }
    let Directory {
        directory,
        certificates,
        revocation_lists,
        passed_over,
    } = &shown.roots;
    let _ = writeln!(
        text,
        "\n  looked at as of {}, with {certificates} certificates and {revocation_lists} revocation lists of {}",
        shown.at,
        directory.display()
    );
    if !passed_over.is_empty() {
        let _ = writeln!(
            text,
            "  passed over, since they are neither: {}",
            out::plain(&passed_over.join(", "))
        );
    }
    text
}
