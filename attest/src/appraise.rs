//! Claims against reference values: proofs in, findings out.

use crate::boot_log::ReplayedBootLog;
use crate::claims::{BootAggregate, BootLogClaims, ImaClaims, SecureBoot};
use crate::finding::{Code, Finding, FindingList};
use crate::ima::{self, BOOT_AGGREGATE, IMA_PCR, ImaEntry, ReplayedImaLog, Template};
use crate::pcr::HashAlg;
use crate::policy::{ImaReference, Judgement, Policy};
use crate::quote::QuotedPcrs;
use crate::result::History;

/// The TPM's counters against those of the last genuine quote. True if one fell, which means a TPM's state was put back.
pub(crate) fn counters(
    quoted: &QuotedPcrs,
    history: Option<&History>,
    findings: &mut FindingList<'_>,
) -> bool {
    let Some(before) = history else { return false };
    let now = quoted.clock();
    let same_boot = now.reset_count == before.reset_count;
    let mut fell = |code, subject: &str, was: u64, is: u64| {
        findings.add_with(code, |finding| {
            let finding = finding.expected(format!("{was} or more")).found(is.to_string());
            Finding {
                subject: subject.to_owned(),
                ..finding
            }
        });
        true
    };
    let rolled_back = if now.reset_count < before.reset_count {
        fell(
            Code::ResetCountFell,
            "TPM reset count",
            before.reset_count.into(),
            now.reset_count.into(),
        )
    } else if same_boot && now.restart_count < before.restart_count {
        fell(
            Code::RestartCountFell,
            "TPM restart count",
            before.restart_count.into(),
            now.restart_count.into(),
        )
    } else if same_boot && now.restart_count == before.restart_count && now.clock_ms < before.clock_ms {
        fell(Code::ClockFell, "TPM clock (ms)", before.clock_ms, now.clock_ms)
    } else {
        false
    };
    if quoted.firmware_version() != before.firmware_version {
        findings.add_with(Code::FirmwareVersionChanged, |finding| {
            let hex = |version: u64| format!("{version:#018x}");
            let finding = finding
                .expected(hex(before.firmware_version))
                .found(hex(quoted.firmware_version()));
            Finding {
                subject: "TPM firmware".to_owned(),
                ..finding
            }
        });
    }
    rolled_back
}

/// Signed PCR values against golden ones.
pub(crate) fn pcrs(quoted: &QuotedPcrs, policy: &Policy, findings: &mut FindingList<'_>) {
    for bank in HashAlg::ALL {
        let boot: Vec<_> = quoted
            .values()
            .iter()
            .filter(|value| value.bank == bank && value.index <= 7)
            .collect();
        let all = |fill: u8| {
            boot.iter()
                .all(|value| value.digest.iter().all(|byte| *byte == fill))
        };
        if !boot.is_empty() && (all(0) || all(0xff)) {
            findings.add(
                Finding::new(Code::BootPcrsUnextended, format!("bank {bank}"))
                    .found("every quoted boot PCR has its reset value"),
            );
        }
    }
    for ((bank, index), golden) in policy.pcrs() {
        let subject = || format!("PCR {bank}:{index}");
        match quoted.value(*bank, *index) {
            None => findings.add(Finding::new(Code::PcrNotQuoted, subject())),
            Some(value) if golden.contains(value) => {}
            Some(value) => findings.add(
                Finding::new(Code::PcrNotGolden, subject())
                    .expected(alternatives(golden.iter()))
                    .found(hex::encode(value)),
            ),
        }
    }
}

/// The replayed boot log against golden digests.
pub(crate) fn boot_log(
    log: &ReplayedBootLog<'_>,
    policy: &Policy,
    findings: &mut FindingList<'_>,
) -> BootLogClaims {
    let claims = log.claims();
    for ((bank, index), golden) in policy.boot_log() {
        if !log.covers(*bank, *index) {
            findings.add(Finding::new(Code::PcrNotQuoted, format!("PCR {bank}:{index}")));
            continue;
        }
        let mut events = 0_usize;
        for event in log.events_of(*bank, *index) {
            events = events.saturating_add(1);
            let digest = event.digest(*bank).unwrap_or_default();
            if golden.contains(digest) {
                continue;
            }
            findings.add_with(Code::BootEventNotGolden, |finding| Finding {
                subject: format!("PCR {bank}:{index}, event {}: {}", event.number, event.describe()),
                expected: Some(format!("one of {} golden digests", golden.len())),
                found: Some(hex::encode(digest)),
                ..finding
            });
        }
        if events == 0 {
            findings.add(
                Finding::new(Code::BootLogPcrWithoutEvents, format!("PCR {bank}:{index}"))
                    .expected(format!("some of {} golden digests", golden.len()))
                    .found("no event"),
            );
        }
    }
    for event in log.data_mismatches() {
        findings.add_with(Code::BootEventDataDiffers, |finding| Finding {
            subject: format!("PCR {}, event {}: {}", event.pcr, event.number, event.kind),
            ..finding
        });
    }
    secure_boot(claims.secure_boot, policy, findings);
    claims
}

/// No PCR was quoted that a boot log explains: what the policy asks of it is missing.
pub(crate) fn no_boot_log(policy: &Policy, findings: &mut FindingList<'_>) {
    for (bank, index) in policy.boot_log().keys() {
        findings.add(Finding::new(Code::PcrNotQuoted, format!("PCR {bank}:{index}")));
    }
    secure_boot(SecureBoot::Unproven, policy, findings);
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

/// The covered IMA entries against golden digests.
pub(crate) fn ima(
    log: &ReplayedImaLog<'_>,
    quoted: &QuotedPcrs,
    policy: &Policy,
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
        ima_entry(number, entry, policy.ima(), findings);
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
            let Template::Unknown(name) = entry.template else {
                return;
            };
            add(
                Code::ImaTemplateUnknown,
                b"",
                Some("ima, ima-ng or ima-sig".to_owned()),
                Some(shown(name)),
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
    match reference.judge(fields.path, fields.algorithm, fields.digest) {
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

/// Longest path or name in a finding, in characters: PATH_MAX would fill screens.
const SHOWN_CHARS: usize = 512;

/// Bytes that the host chose, made safe for terminals and reports.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text: String = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                text.extend(c.escape_default())
            } else {
                text.push(c)
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if text.chars().count() > SHOWN_CHARS {
        text = text.chars().take(SHOWN_CHARS).collect();
        text.push_str("...");
    }
    text
}

fn alternatives<'a>(golden: impl ExactSizeIterator<Item = &'a Vec<u8>>) -> String {
    let count = golden.len();
    some_of(golden.map(hex::encode), count)
}

/// Golden alternatives that a finding names: a line has room for a few.
const ALTERNATIVES: usize = 3;

fn some_of(golden: impl Iterator<Item = String>, count: usize) -> String {
    let named: Vec<String> = golden.take(ALTERNATIVES).collect();
    let more = count.saturating_sub(named.len());
    let more = if more > 0 {
        format!(" or {more} others")
    } else {
        String::new()
    };
    format!("{}{more}", named.join(" or "))
}
