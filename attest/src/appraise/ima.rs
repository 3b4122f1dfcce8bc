//! The covered IMA entries against golden digests.

use super::{shown, some_of};
use crate::claims::{BootAggregate, ImaClaims};
use crate::finding::{Code, Finding, FindingList};
use crate::ima::{self, BOOT_AGGREGATE, IMA_PCR, ImaEntry, ReplayedImaLog};
use crate::policy::{ImaReference, Judgement, Policy, Standing};
use crate::quote::QuotedPcrs;

/// The covered IMA entries against golden digests.
pub(crate) fn ima(
    log: &ReplayedImaLog<'_>,
    quoted: &QuotedPcrs,
    policy: &Policy,
    standing: &mut Standing<'_>,
    findings: &mut FindingList<'_>,
) -> ImaClaims {
    let mut claims = ImaClaims {
        first: log.first(),
        covered: log.covered(),
        uncovered: log.uncovered(),
        violations: 0,
        boot_aggregate: if log.first() == 0 {
            BootAggregate::Missing
        } else {
            BootAggregate::SeenBefore
        },
    };
    let mut beyond_the_first = false;
    log.each_covered(&mut |number, entry| {
        beyond_the_first |= number > 0 && entry.pcr == u32::from(IMA_PCR);
        if entry.violation {
            claims.violations = claims.violations.saturating_add(1);
        }
        if number == 0
            && entry.pcr == u32::from(IMA_PCR)
            && !entry.violation
            && let Some(fields) = &entry.fields
        {
            claims.boot_aggregate = ima::compare_boot_aggregate(fields, quoted);
            if claims.boot_aggregate != BootAggregate::Missing {
                return;
            }
        }
        ima_entry(number, entry, policy.ima(), standing, findings);
    });
    if claims.covered == 0 {
        if policy.ima().is_some() {
            findings.add(
                Finding::new(Code::ImaNothingMeasured, format!("PCR {IMA_PCR}"))
                    .expected("at least boot_aggregate")
                    .found(format!("PCR {IMA_PCR} at its reset value")),
            );
        }
        return claims;
    }
    // Every kernel with IMA measures boot_aggregate; only one with an IMA policy measures more, its first program at least.
    if policy.ima().is_some() && log.first() == 0 && !beyond_the_first {
        findings.add(
            Finding::new(Code::ImaNothingMeasured, format!("PCR {IMA_PCR}"))
                .expected("measured files")
                .found("boot_aggregate only"),
        );
    }
    let subject = "IMA entry 0: boot_aggregate";
    match claims.boot_aggregate {
        BootAggregate::Matches | BootAggregate::SeenBefore => {}
        BootAggregate::Differs => findings.add(Finding::new(Code::ImaBootAggregateDiffers, subject)),
        BootAggregate::NotComparable => findings.add(Finding::new(Code::ImaBootAggregateUnproven, subject)),
        BootAggregate::Missing => findings.add(Finding::new(Code::ImaBootAggregateMissing, subject)),
    }
    claims
}

/// Entries that an earlier round of this boot saw behind its quote, and that this quote still does not cover.
pub(crate) fn ima_lag(
    log: &ReplayedImaLog<'_>,
    listed_before: u64,
    policy: &Policy,
    findings: &mut FindingList<'_>,
) {
    if policy.ima().is_some() && log.covered() < listed_before {
        findings.add(
            Finding::new(Code::ImaLag, format!("PCR {IMA_PCR}"))
                .expected(format!(
                    "the {listed_before} entries covered that an earlier round saw listed"
                ))
                .found(format!("{} entries covered", log.covered())),
        );
    }
}

/// PCR 10 was not quoted: what the policy asks of IMA is missing.
pub(crate) fn no_ima(policy: &Policy, findings: &mut FindingList<'_>) {
    if policy.ima().is_some() {
        findings.add(Finding::new(Code::PcrNotQuoted, format!("PCR {IMA_PCR}")));
    }
}

/// One covered entry. Without golden file digests the operator does not ask what was measured, only that it is proven;
/// another kernel is told all the same, for it takes the ground from under the boot PCRs.
fn ima_entry(
    number: u64,
    entry: &ImaEntry<'_>,
    reference: Option<&ImaReference>,
    standing: &mut Standing<'_>,
    findings: &mut FindingList<'_>,
) {
    let mut add = |code, path: &[u8], expected: Option<String>, found: Option<String>| {
        findings.add_with(code, |finding| Finding {
            subject: if path.is_empty() {
                format!("IMA entry {number}")
            } else {
                shown(path)
            },
            expected,
            found,
            ..finding
        });
    };
    if entry.pcr != u32::from(IMA_PCR) {
        if reference.is_some() {
            add(
                Code::ImaEntryOtherPcr,
                b"",
                Some(format!("PCR {IMA_PCR}")),
                Some(format!("PCR {}", entry.pcr)),
            );
        }
        return;
    }
    if entry.violation {
        if reference.is_some() {
            let label = entry
                .fields
                .map(|fields| format!("labelled {}", shown(fields.path)));
            add(Code::ImaViolation, b"", None, label);
        }
        return;
    }
    let Some(fields) = entry.fields else {
        if reference.is_some() {
            add(
                Code::ImaTemplateUnknown,
                b"",
                Some("ima, ima-ng or ima-sig".to_owned()),
                Some(shown(entry.template.name())),
            );
        }
        return;
    };
    if fields.path == BOOT_AGGREGATE {
        add(
            Code::ImaKexec,
            b"",
            None,
            Some("a second boot_aggregate".to_owned()),
        );
        return;
    }
    let Some(reference) = reference else { return };
    let found = || {
        Some(format!(
            "{}:{}",
            shown(fields.algorithm),
            hex::encode(fields.digest)
        ))
    };
    match standing.file(reference, fields.path, fields.algorithm, fields.digest) {
        Judgement::Golden | Judgement::Excluded => {}
        Judgement::Unknown => add(Code::ImaFileUnknown, fields.path, None, found()),
        Judgement::NotGolden(golden) => {
            add(
                Code::ImaFileNotGolden,
                fields.path,
                Some(some_of(golden.iter().cloned(), golden.len())),
                found(),
            );
        }
        Judgement::Unsuitable => add(Code::ImaAlgorithmUnsuitable, fields.path, None, found()),
    }
}
