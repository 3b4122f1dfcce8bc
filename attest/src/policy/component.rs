//! Components: what changes together, such as a kernel with its initrd, and the alternatives of each.
//!
//! What it proves at the end of an appraisal: for every component, *one* alternative that is valid now explains all that
//! only this component explains. Values joined into one set would let an old kernel run beside a new initrd; and a value
//! whose time is over would pass because a newer alternative happens to list it too.

use std::sync::Arc;

use super::list::{DigestList, Lookup, PathHash};
use super::window::{When, Window, shown};
use super::{ByPcr, ImaReference, Judgement, Policy};
use crate::finding::{Code, Finding, FindingList};
use crate::pcr::HashAlg;

/// Alternatives of a component: one bit each.
pub(super) const MAX_ALTERNATIVES: usize = 64;

/// What changes together.
#[derive(Debug, Clone)]
pub struct Component {
    pub(super) name: String,
    pub(super) alternatives: Vec<Alternative>,
}

/// One way that a component may be.
#[derive(Debug, Clone)]
pub struct Alternative {
    pub(super) name: String,
    pub(super) window: Window,
    pub(super) pcrs: ByPcr,
    pub(super) boot_log: ByPcr,
    pub(super) lists: Vec<Arc<DigestList>>,
}

impl Component {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its alternatives, in the order of the policy.
    pub fn alternatives(&self) -> &[Alternative] {
        &self.alternatives
    }

    /// Alternatives for which something holds, a bit each.
    fn those(&self, holds: impl Fn(&Alternative) -> bool) -> u64 {
        self.alternatives
            .iter()
            .enumerate()
            .filter(|(_, alternative)| holds(alternative))
            .fold(0, |mask, (at, _)| mask | bit(at))
    }

    fn named(&self, mask: u64) -> String {
        let names: Vec<String> = self
            .alternatives
            .iter()
            .enumerate()
            .filter(|(at, _)| mask & bit(*at) != 0)
            .map(|(_, alternative)| format!("{} ({})", alternative.name, alternative.window.describe()))
            .collect();
        if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(" or ")
        }
    }
}

impl Alternative {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it is valid.
    pub fn window(&self) -> Window {
        self.window
    }

    pub(crate) fn pcrs(&self) -> &ByPcr {
        &self.pcrs
    }

    pub(crate) fn boot_log(&self) -> &ByPcr {
        &self.boot_log
    }

    /// How many values and list entries it has.
    pub fn len(&self) -> usize {
        let of_pcrs = |values: &ByPcr| {
            values
                .values()
                .map(std::collections::BTreeSet::len)
                .sum::<usize>()
        };
        let listed: usize = self.lists.iter().map(|list| list.len()).sum();
        of_pcrs(&self.pcrs)
            .saturating_add(of_pcrs(&self.boot_log))
            .saturating_add(listed)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

pub(super) fn bit(at: usize) -> u64 {
    u32::try_from(at)
        .ok()
        .and_then(|at| 1_u64.checked_shl(at))
        .unwrap_or(0)
}

/// A list, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct ListUse {
    pub(super) list: Arc<DigestList>,
    /// Component and alternatives; empty: valid always.
    pub(super) of: Vec<(usize, u64)>,
}

/// What is always valid and what each component could be, while one host is appraised.
#[derive(Debug)]
pub(crate) struct Standing<'p> {
    policy: &'p Policy,
    now: i64,
    each: Vec<Candidates>,
}

#[derive(Debug)]
struct Candidates {
    /// Alternatives that are valid now.
    active: u64,
    /// Alternatives that explain everything so far.
    left: u64,
    /// What was seen first and what ruled others out, each with the alternatives that explain it.
    by: Vec<(String, u64)>,
}

impl<'p> Standing<'p> {
    /// At the beginning of an appraisal. `before`: what earlier rounds of this boot left, as [`Standing::left`] gave it.
    pub(crate) fn new(policy: &'p Policy, now: i64, before: &[u64]) -> Self {
        let mut before = before.iter();
        let each = policy.components.iter().map(|component| {
            let all = component.those(|_| true);
            let left = before.next().copied().unwrap_or(all) & all;
            Candidates {
                active: component.those(|alternative| alternative.window.at(now) == When::Within),
                left,
                by: if left == all {
                    Vec::new()
                } else {
                    vec![("what earlier rounds saw".to_owned(), left)]
                },
            }
        });
        Self {
            policy,
            now,
            each: each.collect(),
        }
    }

    /// Whether a PCR's value is golden, by an alternative whose time may be over: that is told at the end.
    pub(crate) fn pcr(&mut self, bank: HashAlg, index: u8, value: &[u8]) -> bool {
        let of = |values: &ByPcr| values.get(&(bank, index)).is_some_and(|set| set.contains(value));
        if of(&self.policy.pcrs) {
            return true;
        }
        let by = self.policy.components.iter();
        let by = by.map(|component| component.those(|alternative| of(&alternative.pcrs)));
        let by: Vec<u64> = by.collect();
        self.explained(&by, || format!("PCR {bank}:{index}"))
    }

    /// Whether a boot event is golden, likewise.
    pub(crate) fn event(
        &mut self,
        bank: HashAlg,
        index: u8,
        digest: &[u8],
        what: impl FnOnce() -> String,
    ) -> bool {
        let of = |values: &ByPcr| values.get(&(bank, index)).is_some_and(|set| set.contains(digest));
        if of(&self.policy.boot_log) {
            return true;
        }
        let by = self.policy.components.iter();
        let by = by.map(|component| component.those(|alternative| of(&alternative.boot_log)));
        let by: Vec<u64> = by.collect();
        self.explained(&by, what)
    }

    /// How a measured file stands to the lists, likewise. Nothing is allocated for one that a list holds at all times.
    ///
    /// A path that is not in a list is unknown whatever its digest's algorithm: root chooses that for each file by an
    /// extended attribute, so it must not be a way out.
    pub(crate) fn file(
        &mut self,
        reference: &ImaReference,
        hash: PathHash,
        path: &[u8],
        algorithm: &[u8],
        digest: &[u8],
    ) -> Judgement {
        let algorithm = std::str::from_utf8(algorithm)
            .ok()
            .and_then(|name| name.parse::<HashAlg>().ok());
        let (mut listed, mut listed_alike) = (false, false);
        let mut by: Vec<u64> = Vec::new();
        for held in &reference.lists {
            match held.list.find(hash, path, algorithm, digest) {
                Lookup::Golden if held.of.is_empty() => return Judgement::Golden,
                Lookup::Golden => {
                    by.resize(self.each.len(), 0);
                    for (component, alternatives) in &held.of {
                        if let Some(mask) = by.get_mut(*component) {
                            *mask |= alternatives;
                        }
                    }
                }
                Lookup::OtherDigest => (listed, listed_alike) = (true, true),
                Lookup::OtherAlgorithm => listed = true,
                Lookup::Unlisted => {}
            }
        }
        if reference.exclude.iter().any(|pattern| pattern.covers(path)) {
            return Judgement::Excluded;
        }
        if self.explained(&by, || crate::appraise::shown(path)) {
            return Judgement::Golden;
        }
        match (listed, listed_alike) {
            (_, true) => Judgement::NotGolden(reference.digests_of(path, algorithm)),
            (true, false) => Judgement::Unsuitable,
            (false, false) => Judgement::Unknown,
        }
    }

    /// Golden values of a PCR that are valid now, for findings.
    pub(crate) fn golden_pcrs(&self, bank: HashAlg, index: u8) -> Vec<&'p Vec<u8>> {
        let policy = self.policy;
        let mut all: Vec<&Vec<u8>> = policy.pcrs.get(&(bank, index)).into_iter().flatten().collect();
        all.extend(
            self.active()
                .flat_map(|alternative| alternative.pcrs.get(&(bank, index)).into_iter().flatten()),
        );
        all
    }

    /// How many digests may be measured into a PCR now, for findings.
    pub(crate) fn golden_events(&self, bank: HashAlg, index: u8) -> usize {
        let count = |values: &ByPcr| {
            values
                .get(&(bank, index))
                .map_or(0, std::collections::BTreeSet::len)
        };
        self.active()
            .map(|alternative| count(&alternative.boot_log))
            .fold(count(&self.policy.boot_log), usize::saturating_add)
    }

    fn active(&self) -> impl Iterator<Item = &'p Alternative> {
        let now = self.now;
        self.policy
            .components
            .iter()
            .flat_map(|component| &component.alternatives)
            .filter(move |alternative| alternative.window.at(now) == When::Within)
    }

    /// Notes which alternatives, by component, explain something. What two components explain narrows neither, for
    /// either may be right: but it must be valid by one of them.
    fn explained(&mut self, by: &[u64], what: impl FnOnce() -> String) -> bool {
        let mut explaining = by.iter().enumerate().filter(|(_, mask)| **mask != 0);
        let Some((first, mask)) = explaining.next() else {
            return false;
        };
        let active = |(at, mask): (usize, &u64)| {
            self.each
                .get(at)
                .is_some_and(|candidates| candidates.active & mask != 0)
        };
        if explaining.next().is_some() && by.iter().enumerate().any(active) {
            return true;
        }
        // The first is noted even where it rules nothing out: something of this component was seen.
        if let Some(candidates) = self.each.get_mut(first)
            && (candidates.by.is_empty() || candidates.left & mask != candidates.left)
        {
            candidates.left &= mask;
            candidates.by.push((what(), *mask));
        }
        true
    }

    /// Which alternatives each component could still be, for a later round of the same boot and policy.
    pub(crate) fn left(&self) -> Vec<u64> {
        self.each.iter().map(|candidates| candidates.left).collect()
    }

    /// Tells what no valid alternative explains whole.
    pub(crate) fn tell(&self, findings: &mut FindingList<'_>) {
        for (component, candidates) in self.policy.components.iter().zip(&self.each) {
            if candidates.left & candidates.active != 0 || candidates.by.is_empty() {
                continue;
            }
            let subject = format!("component {}", crate::appraise::shown(component.name.as_bytes()));
            let Some(mixed) = candidates.by.last().filter(|_| candidates.left == 0) else {
                findings.add(self.out_of_time(component, candidates).subject(subject));
                continue;
            };
            let others = candidates.by.iter().take(candidates.by.len().saturating_sub(1));
            let before = others
                .map(|(_, mask)| mask)
                .fold(u64::MAX, |left, mask| left & mask);
            let first = candidates
                .by
                .first()
                .map(|(what, _)| what.as_str())
                .unwrap_or_default();
            findings.add(
                Finding::new(Code::ComponentMixed, subject)
                    .expected("everything from one alternative")
                    .found(format!(
                        "{first} of {}, but {} of {}",
                        component.named(before),
                        mixed.0,
                        component.named(mixed.1)
                    )),
            );
        }
    }

    fn out_of_time(&self, component: &Component, candidates: &Candidates) -> Finding {
        let late = component.those(|alternative| alternative.window.at(self.now) == When::TooLate);
        let code = if candidates.left & late != 0 {
            Code::GoldenValueExpired
        } else {
            Code::GoldenValueNotYetValid
        };
        let seen = candidates
            .by
            .last()
            .map(|(what, _)| what.as_str())
            .unwrap_or_default();
        Finding::new(code, "")
            .expected(format!(
                "an alternative valid at {}: {}",
                shown(self.now),
                component.named(candidates.active)
            ))
            .found(format!("{}, by {seen}", component.named(candidates.left)))
    }
}
