//! A policy looked over as a whole: what it holds, what ends soon, and what its author may not have meant.

use serde::Serialize;

use super::window::{When, shown};
use super::{Alternative, Policy};
use crate::finding::Code;
use crate::pcr::HashAlg;

/// An alternative that ends within this many seconds is told: thirty days.
const SOON_S: i64 = 30 * 86_400;

/// What a policy holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Review {
    /// The policy's name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// SHA-256 over all its content, in hex.
    pub digest: String,
    /// A base for others, and no policy for a host.
    pub base: bool,
    /// Models that it has values of.
    pub models: Vec<String>,
    /// PCR values that are valid always.
    pub pcr_values: usize,
    /// Boot digests that are valid always.
    pub boot_digests: usize,
    /// Digests of files, all lists together.
    pub file_digests: usize,
    /// Lists, each content once.
    pub lists: usize,
    /// Patterns of paths that are not compared.
    pub excluded: usize,
    /// What changes together.
    pub components: Vec<ComponentReview>,
    /// What its author may not have meant, in sentences.
    pub notes: Vec<String>,
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentReview {
    /// Its name.
    pub name: String,
    /// Its alternatives.
    pub alternatives: Vec<AlternativeReview>,
}

/// One alternative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlternativeReview {
    /// Its name.
    pub name: String,
    /// From when it is valid, in UTC; none: since ever.
    pub from: Option<String>,
    /// Until when, that moment excluded; none: for ever.
    pub until: Option<String>,
    /// Whether it is valid now.
    pub standing: Standing,
    /// Whether it ends within thirty days.
    pub ends_soon: bool,
    /// Values and list entries.
    pub values: usize,
}

/// How an alternative stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Its time has not come.
    NotYetValid,
    /// Valid.
    Valid,
    /// Its time is over.
    Expired,
}

impl Policy {
    /// Looks the policy over, at `now` (Unix seconds).
    pub fn review(&self, now: i64) -> Review {
        let count = |values: &super::ByPcr| {
            values
                .values()
                .map(std::collections::BTreeSet::len)
                .fold(0, usize::saturating_add)
        };
        let components = self.components.iter().map(|component| ComponentReview {
            name: component.name.clone(),
            alternatives: component
                .alternatives
                .iter()
                .map(|alternative| of_alternative(alternative, now))
                .collect(),
        });
        Review {
            name: self.name.clone(),
            version: self.version,
            digest: hex::encode(self.content),
            base: self.base,
            models: self.models.iter().cloned().collect(),
            pcr_values: count(&self.pcrs),
            boot_digests: count(&self.boot_log),
            file_digests: self.ima.as_ref().map_or(0, super::ImaReference::len),
            lists: self.ima.as_ref().map_or(0, |ima| ima.lists.len()),
            excluded: self.ima.as_ref().map_or(0, |ima| ima.exclude.len()),
            components: components.collect(),
            notes: self.notes(now),
        }
    }

    fn notes(&self, now: i64) -> Vec<String> {
        let mut notes = Vec::new();
        for component in &self.components {
            let at = |when| move |alternative: &&Alternative| alternative.window.at(now) == when;
            if !component
                .alternatives
                .iter()
                .any(|alternative| at(When::Within)(&alternative))
            {
                notes.push(format!(
                    "component {}: no alternative is valid now, so no host can be affirming by it",
                    component.name
                ));
            }
            for alternative in component.alternatives.iter().filter(at(When::TooLate)) {
                notes.push(format!(
                    "component {}: alternative {} ended {}; remove it when no host runs it",
                    component.name,
                    alternative.name,
                    alternative.window.until.map(shown).unwrap_or_default()
                ));
            }
            let shared = |values: fn(&Alternative) -> &super::ByPcr, always: &super::ByPcr| {
                component
                    .alternatives
                    .iter()
                    .flat_map(values)
                    .any(|(key, digests)| always.get(key).is_some_and(|always| !always.is_disjoint(digests)))
            };
            if shared(|alternative| &alternative.pcrs, &self.pcrs)
                || shared(|alternative| &alternative.boot_log, &self.boot_log)
            {
                notes.push(format!(
                    "component {}: some of its values stand under [pcrs] or [boot_log] too, where they are valid always",
                    component.name
                ));
            }
        }
        for (code, gravity) in &self.gravity {
            if gravity.rank() < code.gravity().rank() {
                notes.push(format!(
                    "gravity: {code} is taken as {gravity}, lighter than {}",
                    code.gravity()
                ));
            }
        }
        self.notes_on_files(&mut notes);
        let silent: Vec<String> = (0..=9)
            .chain([14])
            .filter(|index| {
                let compared = |key: &(HashAlg, u8)| key.1 == *index;
                !self.pcrs.keys().any(compared) && !self.boot_log.keys().any(compared)
            })
            .map(|index| index.to_string())
            .collect();
        if !silent.is_empty() {
            notes.push(format!(
                "PCR {}: nothing is compared with golden values; rules under [boot] may still look at them",
                silent.join(", ")
            ));
        }
        notes
    }

    fn notes_on_files(&self, notes: &mut Vec<String>) {
        let Some(ima) = &self.ima else {
            notes.push("there is no [ima]: which files run is not looked at".to_owned());
            return;
        };
        for held in &ima.lists {
            let name = format!("the list with SHA-256 {}", hex::encode(held.list.digest()));
            if held.list.is_empty() {
                notes.push(format!("{name} holds no digest; it is of no use"));
            }
            if held.list.relative_paths() > 0 {
                notes.push(format!(
                    "{name}: {} paths do not begin with /; the kernel measures by absolute path",
                    held.list.relative_paths()
                ));
            }
            let of_component = self.components.iter().any(|component| {
                component.alternatives.iter().any(|alternative| {
                    alternative
                        .lists
                        .iter()
                        .any(|list| list.digest() == held.list.digest())
                })
            });
            if held.of.is_empty() && of_component {
                notes.push(format!(
                    "{name} stands under [ima] and in an alternative, whose dates are of no use: it is valid always"
                ));
            }
        }
        if self
            .gravity
            .get(&Code::ImaFileUnknown)
            .is_some_and(|gravity| gravity.rank() < 2)
            && ima.is_empty()
        {
            notes
                .push("no file has a golden digest, and unknown files are no more than a warning".to_owned());
        }
    }
}

fn of_alternative(alternative: &Alternative, now: i64) -> AlternativeReview {
    let window = alternative.window;
    AlternativeReview {
        name: alternative.name.clone(),
        from: window.from.map(shown),
        until: window.until.map(shown),
        standing: match window.at(now) {
            When::TooEarly => Standing::NotYetValid,
            When::Within => Standing::Valid,
            When::TooLate => Standing::Expired,
        },
        ends_soon: window.at(now) == When::Within && window.at(now.saturating_add(SOON_S)) == When::TooLate,
        values: alternative.len(),
    }
}
