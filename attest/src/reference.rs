//! Reference values, called golden values on the command line: written down from a host that the operator trusts.
//!
//! The text is made to be read, diffed and edited: stable order, one digest a line, each with what the log says it is.
//! Only what the quote proves is written.

mod addition;

pub use addition::{Added, Addition, add};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::appraise::{self, shown};
use crate::boot_log::ReplayedBootLog;
use crate::challenge::Challenge;
use crate::claims::SecureBoot;
use crate::evidence::Evidence;
use crate::finding::{Code, Finding, FindingList};
use crate::ima::{BOOT_AGGREGATE, DigestKind, IMA_PCR, ReplayedImaLog};
use crate::key::AttestationKey;
use crate::pcr::HashAlg;
use crate::policy::{self, Policy, Standing};
use crate::quote::QuotedPcrs;
use crate::result::SeenKeys;
use crate::verdict::Verdict;
use crate::verify::{prove_boot_log, prove_ima, prove_quote};

/// What to capture from.
#[derive(Debug, Clone, Copy)]
pub struct Capture<'a> {
    /// What the trusted host answered.
    pub evidence: &'a Evidence,
    /// What it was asked; `ima_first` must be 0.
    pub challenge: &'a Challenge,
    /// Its attestation key, as it was pinned.
    pub key: &'a AttestationKey,
    /// Name to give the policy.
    pub policy_name: &'a str,
    /// File name of the digest list, as the policy shall write it.
    pub list_name: &'a str,
}

/// A policy and its digest list, as text to put into two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// The policy, TOML.
    pub policy_toml: String,
    /// File name that the policy uses for the list.
    pub list_name: String,
    /// The list, in the format of `sha256sum`.
    pub list: String,
    /// IMA entries that were behind the quote and are therefore not in the list: capture again until it is 0,
    /// or the next round will call them unknown.
    pub uncovered: u64,
}

/// Evidence that proves itself, and what was found without golden values.
struct Proven<'a> {
    quoted: QuotedPcrs<'a>,
    boot_log: Option<ReplayedBootLog<'a>>,
    ima: Option<ReplayedImaLog<'a>>,
    secure_boot: Option<SecureBoot>,
    uncovered: u64,
    warnings: Vec<Finding>,
}

fn proven<'a>(from: &Capture<'a>) -> Result<Proven<'a>, Vec<Finding>> {
    let one = |finding| vec![finding];
    let quoted = prove_quote(from.evidence, from.challenge, from.key).map_err(one)?;
    let boot_log = prove_boot_log(from.evidence, &quoted).map_err(one)?;
    let ima = prove_ima(from.evidence, from.challenge, None, &quoted).map_err(one)?;
    if boot_log.is_none() && ima.is_none() {
        return Err(one(
            Finding::new(Code::PcrNotQuoted, "PCR 0 to 10 and 14").found("none of them was quoted")
        ));
    }

    // What needs no golden values is appraised before any are written: unextended PCRs, boot_aggregate, kexec.
    let bare = Policy::bare();
    let mut findings = FindingList::new(&bare);
    let mut standing = Standing::new(&bare, 0, &[]);
    appraise::pcrs(&quoted, &bare, &mut standing, &mut findings);
    let secure_boot = boot_log
        .as_ref()
        .map(|log| appraise::boot_log(log, &bare, &mut standing, &mut findings).secure_boot);
    let claims = ima.as_ref().map(|log| {
        let memory = appraise::Memory {
            standing: &mut standing,
            seen: &mut SeenKeys::default(),
        };
        appraise::ima(log, &quoted, &bare, 0, memory, &mut findings)
    });
    let (verdict, warnings) = findings.finish();
    if verdict.worst(Verdict::Warning) != Verdict::Warning {
        return Err(warnings);
    }
    Ok(Proven {
        quoted,
        boot_log,
        ima: ima.filter(|log| log.covered() > 0),
        secure_boot,
        uncovered: claims.map_or(0, |claims| claims.uncovered),
        warnings,
    })
}

/// Writes golden values from evidence, which is verified first.
///
/// # Errors
/// The findings that keep the evidence from being proven.
pub fn capture(from: &Capture<'_>) -> Result<Captured, Vec<Finding>> {
    let proven = proven(from)?;
    let mut toml = String::new();
    head(&mut toml, from, &proven.warnings, proven.secure_boot);
    if let Some(log) = &proven.boot_log {
        boot(&mut toml, log, &proven.quoted);
    }
    let mut list = String::new();
    if let Some(log) = &proven.ima {
        let files = Files::of(log, &Policy::bare())?;
        files.section(&mut toml, from.list_name);
        list = files.list();
    }
    Ok(Captured {
        policy_toml: toml,
        list_name: from.list_name.to_owned(),
        list,
        uncovered: proven.uncovered,
    })
}

// Writing into a String cannot fail; the results of `write!` are dropped for that reason only.

fn head(toml: &mut String, from: &Capture<'_>, warnings: &[Finding], secure_boot: Option<SecureBoot>) {
    let _ = writeln!(
        toml,
        "# Golden values, captured from host {}.",
        shown(from.challenge.host.as_bytes())
    );
    let _ = writeln!(
        toml,
        "# Before a planned update: lazaret golden capture HOST --add-to THIS-FILE --component kernel --name VERSION on the"
    );
    let _ = writeln!(
        toml,
        "# first host that has it; remove what is old when every host has moved on."
    );
    for warning in warnings {
        let _ = writeln!(toml, "# At capture: {}", shown(warning.to_string().as_bytes()));
    }
    let _ = writeln!(toml, "name = {}", quoted_text(from.policy_name));
    let _ = writeln!(toml, "version = 1");
    match secure_boot {
        Some(SecureBoot::On) => {
            let _ = writeln!(toml, "secure_boot = \"required\"");
        }
        Some(SecureBoot::Off) => {
            let _ = writeln!(toml, "secure_boot = \"any\"            # it was off at capture");
        }
        Some(SecureBoot::Unproven) | None => {
            let _ = writeln!(
                toml,
                "secure_boot = \"any\"            # its state was not proven at capture"
            );
        }
    }
}

fn boot(toml: &mut String, log: &ReplayedBootLog<'_>, quoted: &QuotedPcrs) {
    // SHA-1 banks are written only where nothing better was quoted.
    let has_better = log.covered().iter().any(|(bank, _)| *bank != HashAlg::Sha1);
    let banks = || {
        HashAlg::ALL
            .into_iter()
            .filter(move |bank| !has_better || *bank != HashAlg::Sha1)
    };
    let of_bank = |bank: HashAlg| {
        log.covered()
            .iter()
            .filter(move |(alg, _)| *alg == bank)
            .map(|(_, index)| *index)
    };
    for bank in banks() {
        if of_bank(bank).next().is_none() {
            continue;
        }
        let _ = writeln!(toml, "\n[pcrs.{bank}]");
        for index in of_bank(bank) {
            let value = hex::encode(quoted.value(bank, index).unwrap_or_default());
            let _ = writeln!(toml, "{index} = [\"{value}\"]  # {}", meaning(index));
        }
    }
    for bank in banks() {
        if of_bank(bank).all(|index| log.events_of(bank, index).next().is_none()) {
            continue;
        }
        let _ = writeln!(
            toml,
            "\n# What may be measured into each PCR, in any order. The text behind a digest is what the log calls it."
        );
        let _ = writeln!(toml, "[boot_log.{bank}]");
        for index in of_bank(bank) {
            let mut seen: BTreeSet<&[u8]> = BTreeSet::new();
            let mut lines = String::new();
            for event in log.events_of(bank, index) {
                let digest = event.digest(bank).unwrap_or_default();
                if seen.insert(digest) {
                    let _ = writeln!(lines, "    \"{}\",  # {}", hex::encode(digest), event.describe());
                }
            }
            if !lines.is_empty() {
                let _ = writeln!(toml, "{index} = [\n{lines}]");
            }
        }
    }
}

/// What the PC Client profile, shim and grub put into a PCR.
fn meaning(index: u8) -> &'static str {
    match index {
        0 => "firmware code",
        1 => "firmware settings, boot order",
        2 => "option ROM code",
        3 => "option ROM settings",
        4 => "boot loader and boot attempts",
        5 => "partition table, boot loader settings",
        6 => "maker's own",
        7 => "Secure Boot state and keys",
        8 => "grub: commands, kernel command line",
        9 => "files that grub read; the EFI stub's command line and initrd",
        14 => "shim: machine owner's keys",
        _ => "other",
    }
}

/// Measured files, in the order of their paths.
struct Files {
    digests: BTreeMap<(String, HashAlg), BTreeSet<Vec<u8>>>,
    violations: u64,
    left_out: u64,
}

impl Files {
    /// Reads them off the list. A file that no list can hold (a weak hash, a path that is not UTF-8) is an error: golden
    /// values without it would condemn the very host that they were captured from.
    fn of(log: &ReplayedImaLog<'_>, bare: &Policy) -> Result<Self, Vec<Finding>> {
        let mut files = Self {
            digests: BTreeMap::new(),
            violations: 0,
            left_out: 0,
        };
        let mut refused = FindingList::new(bare);
        log.each_covered(&mut |_, entry| {
            if entry.violation {
                files.violations = files.violations.saturating_add(1);
                return;
            }
            let Some(fields) = entry.fields.filter(|_| entry.pcr == u32::from(IMA_PCR)) else {
                files.left_out = files.left_out.saturating_add(1);
                return;
            };
            if fields.path == BOOT_AGGREGATE {
                return;
            }
            if fields.kind != DigestKind::Content {
                // A list of contents' digests cannot say of what kind another is.
                refused.add_with(Code::ImaDigestKind, |finding| Finding {
                    subject: shown(fields.path),
                    expected: Some("a digest of the file's content".to_owned()),
                    ..finding
                });
                return;
            }
            let alg = std::str::from_utf8(fields.algorithm)
                .ok()
                .and_then(|name| name.parse::<HashAlg>().ok());
            let alg = alg.filter(|alg| *alg != HashAlg::Sha1 && fields.digest.len() == alg.digest_len());
            match (std::str::from_utf8(fields.path), alg) {
                (Ok(path), Some(alg)) if !path.is_empty() => {
                    files
                        .digests
                        .entry((path.to_owned(), alg))
                        .or_default()
                        .insert(fields.digest.to_vec());
                }
                (_, None) => refused.add_with(Code::ImaAlgorithmUnsuitable, |finding| Finding {
                    subject: shown(fields.path),
                    expected: Some("sha256, sha384 or sha512".to_owned()),
                    found: Some(shown(fields.algorithm)),
                    ..finding
                }),
                _ => refused.add_with(Code::ImaFileUnknown, |finding| Finding {
                    subject: shown(fields.path),
                    expected: Some("a path in UTF-8, as a list can hold it".to_owned()),
                    ..finding
                }),
            }
        });
        match refused.finish() {
            (Verdict::Affirming, _) => Ok(files),
            (_, findings) => Err(findings),
        }
    }

    fn section(&self, toml: &mut String, list_name: &str) {
        let count: usize = self.digests.values().map(BTreeSet::len).sum();
        let _ = writeln!(
            toml,
            "\n# {count} digests of files that the kernel measured. sha256sum writes such lists as well."
        );
        if self.violations > 0 {
            let _ = writeln!(
                toml,
                "# {} violations (files open for writing while measured) have no digest.",
                self.violations
            );
        }
        if self.left_out > 0 {
            let _ = writeln!(
                toml,
                "# {} entries were left out: another template or PCR than can be compared.",
                self.left_out
            );
        }
        let _ = writeln!(toml, "[ima]");
        let _ = writeln!(toml, "lists = [{}]", quoted_text(list_name));
        let _ = writeln!(
            toml,
            "# /opt/x/ excludes everything below it, /opt/x that file; * is any run within a name, ** any directories."
        );
        let _ = writeln!(toml, "exclude = []");
    }

    fn list(&self) -> String {
        let mut list = String::new();
        for ((path, _), digests) in &self.digests {
            for digest in digests {
                list.push_str(&String::from_utf8_lossy(&policy::line(digest, path.as_bytes())));
            }
        }
        list
    }
}

/// A TOML string.
fn quoted_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
