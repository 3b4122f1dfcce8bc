//! The replayed boot log against golden digests and required claims.

mod rules;

use crate::boot_log::{Facts, ReplayedBootLog};
use crate::claims::boot::{Detail, read};
use crate::claims::{BootLogClaims, SecureBoot};
use crate::finding::{Code, Finding, FindingList};
use crate::policy::{Policy, Standing};

/// The replayed boot log against golden digests.
pub(crate) fn boot_log(
    log: &ReplayedBootLog<'_>,
    policy: &Policy,
    standing: &mut Standing<'_>,
    findings: &mut FindingList<'_>,
) -> BootLogClaims {
    let facts = Facts::of(log);
    let claims = read(&facts, log.boot_phases(), Detail::STORED);
    for (bank, index) in policy.boot_log().keys() {
        if !log.covers(*bank, *index) {
            findings.add(Finding::new(Code::PcrNotQuoted, format!("PCR {bank}:{index}")));
            continue;
        }
        let golden = standing.golden_events(*bank, *index);
        let mut events = 0_usize;
        for event in log.events_of(*bank, *index) {
            events = events.saturating_add(1);
            let digest = event.digest(*bank).unwrap_or_default();
            let what = || format!("PCR {bank}:{index}, event {}: {}", event.number, event.describe());
            if standing.event(*bank, *index, digest, what) {
                continue;
            }
            findings.add_with(Code::BootEventNotGolden, |finding| Finding {
                subject: what(),
                expected: Some(format!("one of {golden} golden digests")),
                found: Some(hex::encode(digest)),
                ..finding
            });
        }
        if events == 0 {
            findings.add(
                Finding::new(Code::BootLogPcrWithoutEvents, format!("PCR {bank}:{index}"))
                    .expected(format!("some of {golden} golden digests"))
                    .found("no event"),
            );
        }
    }
    for event in facts.contradictions() {
        findings.add_with(Code::BootEventDataDiffers, |finding| Finding {
            subject: format!("PCR {}, event {}: {}", event.pcr, event.number, event.kind),
            ..finding
        });
    }
    secure_boot(claims.secure_boot, policy, findings);
    rules::appraise(&facts, policy.boot(), findings);
    claims
}

/// No PCR was quoted that a boot log explains: what the policy asks of it is missing.
pub(crate) fn no_boot_log(policy: &Policy, findings: &mut FindingList<'_>) {
    for (bank, index) in policy.boot_log().keys() {
        findings.add(Finding::new(Code::PcrNotQuoted, format!("PCR {bank}:{index}")));
    }
    secure_boot(SecureBoot::Unproven, policy, findings);
    rules::unproven(policy.boot(), findings);
}

fn secure_boot(state: SecureBoot, policy: &Policy, findings: &mut FindingList<'_>) {
    if !policy.secure_boot_required() {
        return;
    }
    match state {
        SecureBoot::On => {}
        SecureBoot::Off => {
            findings.add(
                Finding::new(Code::SecureBootOff, "Secure Boot")
                    .expected("on")
                    .found("off"),
            );
        }
        SecureBoot::Unproven => {
            findings.add(
                Finding::new(Code::SecureBootUnproven, "Secure Boot")
                    .expected("on")
                    .found("unproven"),
            );
        }
    }
}
