//! Findings as they are made: weighed by the policy, bounded in number.

use std::collections::BTreeMap;

use super::{Code, Finding};
use crate::policy::Policy;
use crate::verdict::Verdict;

/// Findings of one code that are listed one by one: what a person reads on a page. A host with a foreign operating
/// system has tens of thousands of unknown files, and the report is stored and sent.
pub const MAX_LISTED_PER_CODE: u64 = 50;

/// Findings in the order of the ladder.
#[derive(Debug)]
pub(crate) struct FindingList<'p> {
    policy: &'p Policy,
    listed: Vec<Finding>,
    counts: BTreeMap<Code, u64>,
    verdict: Verdict,
}

impl<'p> FindingList<'p> {
    pub(crate) fn new(policy: &'p Policy) -> Self {
        Self {
            policy,
            listed: Vec::new(),
            counts: BTreeMap::new(),
            verdict: Verdict::Affirming,
        }
    }

    /// Adds one; the text is only made if it will be listed.
    pub(crate) fn add_with(&mut self, code: Code, text: impl FnOnce(Finding) -> Finding) {
        let count = self.counts.entry(code).or_default();
        *count = count.saturating_add(1);
        let listed = *count <= MAX_LISTED_PER_CODE;
        let finding = self.policy.weigh(Finding::new(code, ""));
        self.verdict = self.verdict.worst(finding.gravity);
        if listed {
            self.listed.push(text(finding));
        }
    }

    /// Adds one that is made already.
    pub(crate) fn add(&mut self, finding: Finding) {
        self.add_with(finding.code, |weighed| Finding {
            gravity: weighed.gravity,
            ..finding
        });
    }

    /// How many were made, listed or not.
    pub(crate) fn made(&self) -> u64 {
        self.counts
            .values()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The verdict and the list, with one line for what was not listed.
    pub(crate) fn finish(mut self) -> (Verdict, Vec<Finding>) {
        for (code, count) in &self.counts {
            let more = count.saturating_sub(MAX_LISTED_PER_CODE);
            if more > 0 {
                let subject = format!("and {more} more, not listed");
                self.listed.push(self.policy.weigh(Finding::new(*code, subject)));
            }
        }
        (self.verdict, self.listed)
    }
}
