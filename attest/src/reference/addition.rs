//! Golden values added to a policy after an update, as one more alternative of a component.
//!
//! The text is put at the file's end: a component's name may stand there again, so that comments and order stay as a person
//! left them, and `diff` shows nothing but what is new.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{Capture, Files, Proven, meaning, proven, quoted_text};
use crate::appraise::shown;
use crate::finding::Finding;
use crate::pcr::HashAlg;
use crate::policy::{Alternative, Component, Policy};

/// What to add.
#[derive(Debug, Clone, Copy)]
pub struct Addition<'a> {
    /// The policy that the host is compared with.
    pub policy: &'a Policy,
    /// The component's name; a new one where the policy has none of it.
    pub component: &'a str,
    /// The alternative's name.
    pub name: &'a str,
    /// Its first day, as TOML writes dates; none: since ever.
    pub from: Option<&'a str>,
}

/// Text to put at a policy's end, and a digest list beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The alternative, TOML; none if the policy knows everything that the host shows.
    pub toml: Option<String>,
    /// The list, in the format of `sha256sum`; empty if no file is new.
    pub list: String,
    /// Values and digests that are in it.
    pub values: usize,
    /// PCRs that differ and belong to other components.
    pub elsewhere: Vec<String>,
    /// IMA entries that were behind the quote.
    pub uncovered: u64,
}

/// Writes what a host shows beyond what the policy always allows, from evidence, which is verified first.
///
/// # Errors
/// The findings that keep the evidence from being proven.
pub fn add(from: &Capture<'_>, to: &Addition<'_>) -> Result<Added, Vec<Finding>> {
    let Proven {
        quoted,
        boot_log,
        ima,
        uncovered,
        ..
    } = proven(from)?;
    let mut toml = String::new();
    let mut added = Added {
        toml: None,
        list: String::new(),
        values: 0,
        elsewhere: Vec::new(),
        uncovered,
    };
    let (own, others): (Vec<&Component>, Vec<&Component>) = to
        .policy
        .components()
        .iter()
        .partition(|component| component.name() == to.component);
    let own: Vec<&Alternative> = own
        .iter()
        .flat_map(|component| component.alternatives())
        .collect();
    let others: Vec<&Alternative> = others
        .iter()
        .flat_map(|component| component.alternatives())
        .collect();

    // Writing into a String cannot fail.
    for ((bank, index), always) in to.policy.pcrs() {
        let Some(value) = quoted.value(*bank, *index) else {
            continue;
        };
        let key = (*bank, *index);
        let needed = own
            .iter()
            .any(|alternative| alternative.pcrs().contains_key(&key));
        if !needed && always.contains(value) {
            continue;
        }
        let theirs = others
            .iter()
            .filter_map(|alternative| alternative.pcrs().get(&key));
        let theirs: Vec<_> = theirs.collect();
        if theirs.iter().any(|values| values.contains(value)) {
            continue;
        }
        // Other alternatives of the component leave this PCR open, or it is another component's.
        if !theirs.is_empty() || (!own.is_empty() && !needed) {
            added.elsewhere.push(format!("PCR {bank}:{index}"));
            continue;
        }
        added.values = added.values.saturating_add(1);
        let _ = writeln!(
            toml,
            "pcrs.{bank}.{index} = [\"{}\"]  # {}",
            hex::encode(value),
            meaning(*index)
        );
    }
    for ((bank, index), always) in to.policy.boot_log() {
        let Some(log) = &boot_log else { break };
        let mut seen: BTreeSet<&[u8]> = BTreeSet::new();
        let mut lines = String::new();
        for event in log.events_of(*bank, *index) {
            let digest = event.digest(*bank).unwrap_or_default();
            let key = (*bank, *index);
            let theirs = others.iter().any(|alternative| {
                alternative
                    .boot_log()
                    .get(&key)
                    .is_some_and(|set| set.contains(digest))
            });
            if always.contains(digest) || theirs || !seen.insert(digest) {
                continue;
            }
            let _ = writeln!(lines, "    \"{}\",  # {}", hex::encode(digest), event.describe());
        }
        if !lines.is_empty() {
            added.values = added.values.saturating_add(seen.len());
            let _ = writeln!(toml, "boot_log.{bank}.{index} = [\n{lines}]");
        }
    }
    if let (Some(reference), Some(log)) = (to.policy.ima(), &ima) {
        let mut files = Files::of(log, &Policy::bare())?;
        files.digests.retain(|(path, alg), digests| {
            digests.retain(|digest| !reference.always(path.as_bytes(), *alg, digest));
            !digests.is_empty()
                && !reference
                    .exclude()
                    .iter()
                    .any(|pattern| pattern.covers(path.as_bytes()))
        });
        added.list = files.list();
        added.values = added.values.saturating_add(added.list.lines().count());
    }
    if !added.list.is_empty() {
        let _ = writeln!(
            toml,
            "lists = [{{ file = {}, sha256 = \"{}\" }}]",
            quoted_text(from.list_name),
            hex::encode(HashAlg::Sha256.digest(added.list.as_bytes()))
        );
    }
    if !toml.is_empty() {
        let mut head = format!("\n# Added from host {}.\n", shown(from.challenge.host.as_bytes()));
        let _ = writeln!(head, "[[component]]\nname = {}", quoted_text(to.component));
        let _ = writeln!(head, "[[component.alternative]]\nname = {}", quoted_text(to.name));
        if let Some(day) = to.from {
            let _ = writeln!(head, "from = {day}");
        }
        added.toml = Some(head + &toml);
    }
    Ok(added)
}
