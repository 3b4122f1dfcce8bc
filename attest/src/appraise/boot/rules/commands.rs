//! Rules about kernel command lines (PCR 8, 12 and 9) and about what was loaded (PCR 9).

use super::{digest_of, is_comparable, is_listed, missing};
use crate::appraise::{shown, some_of};
use crate::boot_log::{BootEvent, Facts, Reading};
use crate::finding::{Code, Finding, FindingList};
use crate::policy::BootRules;
use crate::policy::boot_rules::{Allowed, Line};

pub(super) fn appraise(facts: &Facts<'_, '_>, rules: &BootRules, findings: &mut FindingList<'_>) {
    let options: Vec<usize> = match &rules.command_lines {
        Some(allowed) => load_options(facts, allowed),
        None => Vec::new(),
    };
    if rules.about_command_lines() {
        lines(facts, rules, &options, findings);
    }
    files(facts, rules, &options, findings);
}

fn lines(facts: &Facts<'_, '_>, rules: &BootRules, options: &[usize], findings: &mut FindingList<'_>) {
    if !facts.quotes(8) {
        findings.add(missing("kernel command line", "PCR 8 quoted"));
        return;
    }
    // An allowed line that the EFI stub measured is known as a whole; its words are not looked for in a digest.
    let about_words = rules.command_line_requires.is_some() || rules.command_line_forbids.is_some();
    let mut any = !options.is_empty() && !about_words;
    for (event, reading) in facts.loader_readings() {
        match reading {
            // What cannot be read could be a command line.
            Reading::Unreadable => findings.add_with(Code::BootClaimUnproven, |finding| Finding {
                subject: format!("kernel command line: PCR {}, event {}", event.pcr, event.number),
                expected: Some("the text that was measured".to_owned()),
                found: Some("other bytes".to_owned()),
                ..finding
            }),
            Reading::Text(text) if text.is_command_line => {
                any = true;
                line(&text.text, event, rules, findings);
            }
            Reading::Text(_) => {}
        }
    }
    if !any {
        let needed = "a command line in PCR 8, or in PCR 12 where it is quoted";
        findings.add(missing("kernel command line", needed));
    }
}

fn line(text: &str, event: &BootEvent<'_>, rules: &BootRules, findings: &mut FindingList<'_>) {
    let subject = || format!("PCR {}, event {}", event.pcr, event.number);
    if let Some(allowed) = rules
        .command_lines
        .as_ref()
        .filter(|allowed| !allowed.contains(text))
    {
        findings.add_with(Code::BootCommandLineNotAllowed, |finding| {
            let listed = allowed.iter().map(|line| shown(line.as_str().as_bytes()));
            Finding {
                subject: subject(),
                expected: Some(some_of(listed, allowed.iter().len())),
                found: Some(shown(text.as_bytes())),
                ..finding
            }
        });
    }
    for word in rules.command_line_requires.iter().flat_map(|list| list.iter()) {
        if !words(text).any(|found| word.matches(&found)) {
            findings.add_with(Code::BootCommandLineLacksWord, |finding| Finding {
                subject: subject(),
                expected: Some(word.to_string()),
                found: Some(shown(text.as_bytes())),
                ..finding
            });
        }
    }
    for word in rules.command_line_forbids.iter().flat_map(|list| list.iter()) {
        if let Some(found) = words(text).find(|found| word.matches(found)) {
            findings.add_with(Code::BootCommandLineForbiddenWord, |finding| Finding {
                subject: subject(),
                expected: Some(format!("no {word}")),
                found: Some(shown(found.as_bytes())),
                ..finding
            });
        }
    }
}

/// The words of a command line. The kernel splits at white space and takes double quotes away (lib/cmdline.c, next_arg);
/// grub writes a backslash before quotes and backslashes. Words are compared without any of them, and split inside quotes
/// too, so that no spelling hides one.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace()
        .map(|word| word.chars().filter(|c| !matches!(c, '"' | '\'' | '\\')).collect())
}

/// Events of PCR 9 that are an allowed line as the kernel's EFI stub measures it: in UTF-16, with its zero or without. The
/// log does not hold the text.
fn load_options(facts: &Facts<'_, '_>, allowed: &Allowed<Line>) -> Vec<usize> {
    let forms: Vec<Vec<u8>> = allowed
        .iter()
        .flat_map(|line| {
            let bare: Vec<u8> = line.as_str().encode_utf16().flat_map(u16::to_le_bytes).collect();
            let mut with_zero = bare.clone();
            with_zero.extend([0, 0]);
            [with_zero, bare]
        })
        .collect();
    facts
        .events(9)
        .filter(|event| forms.iter().any(|form| facts.covers(event, form)))
        .map(|event| event.number)
        .collect()
}

/// PCR 9: every measurement must be known, and one of them an initrd that is listed. Which event is the initrd is not
/// asked: the log's names are covered by nothing.
fn files(facts: &Facts<'_, '_>, rules: &BootRules, options: &[usize], findings: &mut FindingList<'_>) {
    let Some(initrds) = &rules.initrds else { return };
    let lists: Vec<_> = std::iter::once(initrds).chain(&rules.files).collect();
    if !is_comparable(facts, 9, &lists) {
        findings.add(missing(
            "initrd",
            "PCR 9 quoted in a bank that the listed digests have",
        ));
        return;
    }
    let mut found = false;
    for event in facts.events(9) {
        if is_listed(facts, event, initrds) {
            found = true;
            continue;
        }
        let known = options.contains(&event.number)
            || rules
                .files
                .as_ref()
                .is_some_and(|files| is_listed(facts, event, files));
        if !known {
            findings.add_with(Code::BootFileNotAllowed, |finding| Finding {
                subject: format!("PCR 9, event {}", event.number),
                expected: Some("a listed initrd, file or command line".to_owned()),
                found: digest_of(facts, event),
                ..finding
            });
        }
    }
    if !found {
        findings.add(
            Finding::new(Code::BootInitrdNotMeasured, "PCR 9")
                .expected(format!("one of {} listed initrds", initrds.iter().len()))
                .found("none of them"),
        );
    }
}
