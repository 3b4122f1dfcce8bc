//! Findings and holds in one line, as cases and people are told them; pure.

use lazaret_attest::finding::Finding;
use lazaret_attest::verdict::Verdict;

use crate::ids::{CaseId, CaseKind, HostName};
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

/// Why a case waits for a person, with the command that lets it go on, where the reason does not have it yet.
pub(super) fn for_a_person(kind: CaseKind, case: &CaseId, host: &HostName, reason: String) -> String {
    let approve = format!("`lazaret quarantine approve {case}`");
    let release = format!("`lazaret quarantine release {host}`");
    let (known, command) = match kind {
        CaseKind::Release => (format!("quarantine release {host}"), release),
        CaseKind::Quarantine | CaseKind::Unschedule | CaseKind::Reschedule => {
            (format!("quarantine approve {case}"), approve)
        }
    };
    if reason.contains(&known) {
        return reason;
    }
    format!("{reason}; once that is mended or decided, {command} lets it go on")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond::saga::{self, Outcome, Settled, Step};

    /// Whatever step of whatever case stops, in whatever way: what it was at, why, and the command.
    #[test]
    fn every_case_that_stops_says_why_and_what_a_person_does() {
        let host: HostName = "cmp-1".parse().unwrap();
        let mut seen = 0;
        for kind in CaseKind::ALL {
            let case: CaseId = format!("{}-20261121-7f3a2c", kind.letter()).parse().unwrap();
            let command = match kind {
                CaseKind::Release => "`lazaret quarantine release cmp-1`".to_owned(),
                _ => format!("`lazaret quarantine approve {case}`"),
            };
            for step in saga::steps(kind, false) {
                let why = || "nova says 403: os-services:update is missing".to_owned();
                let again = |why| Outcome::Again { after: None, why };
                for (outcome, attempt) in [
                    (Outcome::<()>::Held(why()), 1),
                    (Outcome::Stuck(why()), 1),
                    (again(why()), 5),
                    (Outcome::Skipped(why()), 1),
                ] {
                    let held = matches!(outcome, Outcome::Held(_));
                    let reason = match saga::settle(step, outcome, attempt, 5) {
                        Settled::Held(reason) | Settled::Stuck(reason) => reason,
                        Settled::Finished(..) => continue,
                        Settled::Rest(..) => {
                            assert_eq!(step, Step::Plan, "only a plan waits for as long as it takes");
                            continue;
                        }
                    };
                    seen += 1;
                    let says = for_a_person(kind, &case, &host, reason);
                    assert!(says.contains("os-services:update is missing"), "{says}");
                    assert!(says.contains(&command), "{says}");
                    let what = says.contains(step.meaning()) || says.contains(step.as_str());
                    assert!(held || what, "{step}: {says}");
                    assert_eq!(
                        for_a_person(kind, &case, &host, says.clone()),
                        says,
                        "once is enough"
                    );
                }
            }
        }
        assert!(seen > 60, "{seen}");
    }
}
