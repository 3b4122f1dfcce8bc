//! Findings and holds in one line, as cases and people are told them; pure.

use lazaret_attest::finding::Finding;
use lazaret_attest::verdict::Verdict;

use crate::store::Round;

use super::guard::Hold;
use super::journal::value;

/// Holds in one sentence; `None` when there is none.
pub(super) fn held(holds: &[Hold]) -> Option<String> {
    let words: Vec<String> = holds.iter().map(ToString::to_string).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// The findings of a round.
pub(super) fn findings(round: &Round) -> Vec<Finding> {
    value(&round.findings).unwrap_or_default()
}

/// Findings in one line: the gravest first, three at most.
pub(super) fn words(findings: &[Finding]) -> String {
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.gravity == Verdict::Contraindicated));
    let mut words: Vec<String> = sorted
        .iter()
        .take(3)
        .map(|finding| format!("{} ({})", finding.code.as_str(), finding.subject))
        .collect();
    if sorted.len() > 3 {
        words.push(format!("and {} more", sorted.len() - 3));
    }
    if words.is_empty() {
        "no finding".to_owned()
    } else {
        words.join(", ")
    }
}
