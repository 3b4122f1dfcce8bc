//! The rules of `[boot]`: each either holds, or makes a finding that says what was measured instead, or one that says what
//! is not proven. None of them can be passed by leaving something out.

mod commands;
mod keys;

use crate::appraise::some_of;
use crate::boot_log::{BootEvent, Facts};
use crate::claims::SeparatorState;
use crate::claims::boot::separator_state;
use crate::finding::{Code, Finding, FindingList};
use crate::pcr::HashAlg;
use crate::policy::BootRules;
use crate::policy::boot_rules::{Allowed, BankHex, OptionRoms};

/// Every rule of the policy.
pub(super) fn appraise(facts: &Facts<'_, '_>, rules: &BootRules, findings: &mut FindingList<'_>) {
    if rules.is_empty() {
        return;
    }
    keys::appraise(facts.secure_boot(), rules, findings);
    commands::appraise(facts, rules, findings);
    firmware(facts, rules, findings);
    code(facts, rules, findings);
    separators(facts, rules, findings);
}

/// No boot log at all: every rule is unproven.
pub(super) fn unproven(rules: &BootRules, findings: &mut FindingList<'_>) {
    if !rules.is_empty() {
        findings.add(missing("[boot]", "a boot log for quoted PCRs"));
    }
}

/// What a rule needs and is not proven.
fn missing(subject: &str, needed: impl Into<String>) -> Finding {
    Finding::new(Code::BootClaimUnproven, subject)
        .expected(needed)
        .found("unproven")
}

fn firmware(facts: &Facts<'_, '_>, rules: &BootRules, findings: &mut FindingList<'_>) {
    let Some(allowed) = &rules.firmware_versions else {
        return;
    };
    let words: Vec<String> = facts.firmware_words().collect();
    if words.iter().any(|word| allowed.contains(word.as_str())) {
        return;
    }
    if words.is_empty() {
        findings.add(missing(
            "firmware version",
            "a version in PCR 0 that its digest covers",
        ));
        return;
    }
    findings.add(
        Finding::new(Code::BootFirmwareVersionNotAllowed, "firmware version")
            .expected(some_of(allowed.iter().cloned(), allowed.iter().len()))
            .found(some_of(
                words.iter().map(|word| crate::appraise::shown(word.as_bytes())),
                words.len(),
            )),
    );
}

/// PCR 2 and 4: code that the firmware loaded.
fn code(facts: &Facts<'_, '_>, rules: &BootRules, findings: &mut FindingList<'_>) {
    if let Some(allowed) = &rules.boot_loaders {
        // A boot without a boot loader is none: the register must have one.
        images(facts, 4, allowed, Code::BootLoaderNotAllowed, findings);
        if facts.quotes(4) && facts.code(4).next().is_none() {
            findings.add(missing("boot loaders", "an image in PCR 4"));
        }
    }
    if let Some(allowed) = &rules.drivers {
        images(facts, 2, allowed, Code::BootDriverNotAllowed, findings);
    }
    if rules.option_roms == OptionRoms::None {
        if !facts.quotes(2) {
            findings.add(missing("option ROMs", "PCR 2 quoted"));
        }
        for (_, event) in facts.code(2) {
            findings.add_with(Code::BootOptionRom, |finding| Finding {
                subject: format!("PCR 2, event {}", event.number),
                expected: Some("nothing but the separator".to_owned()),
                found: digest_of(facts, event),
                ..finding
            });
        }
    }
}

fn images(
    facts: &Facts<'_, '_>,
    index: u8,
    allowed: &Allowed<BankHex>,
    code: Code,
    findings: &mut FindingList<'_>,
) {
    if !is_comparable(facts, index, &[allowed]) {
        findings.add(missing(
            &format!("PCR {index}"),
            "the register quoted in a bank that the listed digests have",
        ));
        return;
    }
    for (_, event) in facts
        .code(index)
        .filter(|(_, event)| !is_listed(facts, event, allowed))
    {
        findings.add_with(code, |finding| Finding {
            subject: format!("PCR {index}, event {}", event.number),
            expected: Some(format!("one of {} listed digests", allowed.iter().len())),
            found: digest_of(facts, event),
            ..finding
        });
    }
}

/// Whether a register is proven in a bank in which digests are listed.
fn is_comparable(facts: &Facts<'_, '_>, index: u8, lists: &[&Allowed<BankHex>]) -> bool {
    lists
        .iter()
        .flat_map(|list| list.iter())
        .any(|listed| facts.coverage().has(listed.bank, index))
}

/// Whether an event's digest in a proven bank is listed.
fn is_listed(facts: &Facts<'_, '_>, event: &BootEvent<'_>, list: &Allowed<BankHex>) -> bool {
    let Ok(index) = u8::try_from(event.pcr) else {
        return false;
    };
    facts
        .coverage()
        .banks(index)
        .filter(|bank| *bank != HashAlg::Sha1)
        .any(|bank| {
            event.digest(bank).is_some_and(|digest| {
                list.contains(&BankHex {
                    bank,
                    digest: digest.to_vec(),
                })
            })
        })
}

fn digest_of(facts: &Facts<'_, '_>, event: &BootEvent<'_>) -> Option<String> {
    let bank = facts.coverage().shown_bank(u8::try_from(event.pcr).ok()?)?;
    event.digest(bank).map(hex::encode)
}

fn separators(facts: &Facts<'_, '_>, rules: &BootRules, findings: &mut FindingList<'_>) {
    for pcr in rules.separators.iter().flat_map(|required| required.iter()) {
        match separator_state(facts.closing(pcr)) {
            Some(SeparatorState::Once) => {}
            None => findings.add(missing(
                &format!("separator of PCR {pcr}"),
                format!("PCR {pcr} quoted"),
            )),
            Some(state) => findings.add(
                Finding::new(Code::BootSeparatorWrong, format!("PCR {pcr}"))
                    .expected(SeparatorState::Once.to_string())
                    .found(state.to_string()),
            ),
        }
    }
}
