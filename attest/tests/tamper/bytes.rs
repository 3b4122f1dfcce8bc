//! Every byte changed in turn.

use std::collections::BTreeSet;

use lazaret_attest::evidence::Evidence;
use lazaret_attest::finding::{Code, Finding};
use lazaret_attest::pcr::HashAlg;
use lazaret_attest::result::AttestationResult;
use lazaret_attest::verdict::Verdict;
use lazaret_forge::ima::Template;
use serde_json::Value;

use crate::fields::{self, Effect, Field};
use crate::subject::{Make, SHA256_ONLY, Subject, claims_nothing_new, comparable, without_count_behind};

/// What a byte is changed to. 0x20 turns capital letters into small ones, in text lists the change most likely to pass.
const CHANGES: [fn(u8) -> u8; 6] = [
    |byte| byte ^ 0x01,
    |byte| byte ^ 0x80,
    |byte| byte ^ 0xff,
    |_| 0,
    |byte| byte ^ 0x20,
    |byte| byte.wrapping_add(1),
];

type Part = fn(&mut Evidence) -> &mut Vec<u8>;

/// A change after which the verdict was Affirming or the claims were others.
#[derive(Debug)]
struct Outcome {
    at: usize,
    value: u8,
    affirming: bool,
    claims: Value,
}

/// Changes byte after byte of a part, each by all of [`CHANGES`] where `all`, else by one or two of them in turn.
fn changed(subject: &Subject, part: Part, all: bool) -> Vec<Outcome> {
    let length = part(&mut subject.evidence.clone()).len();
    let each = if all { CHANGES.len() } else { 1 };
    subject.each(length * each, |evidence, n| {
        let at = n / each;
        let change = CHANGES[if all { n % each } else { at % CHANGES.len() }];
        let was = part(evidence)[at];
        let value = change(was);
        if value == was {
            return None;
        }
        part(evidence)[at] = value;
        let result = subject.judge(evidence);
        part(evidence)[at] = was;
        let affirming = result.verdict == Verdict::Affirming;
        let claims = comparable(&result.claims);
        (affirming || claims != subject.claims).then_some(Outcome {
            at,
            value,
            affirming,
            claims,
        })
    })
}

fn equal(name: &str, claims: Value, subject: &Subject) -> bool {
    let honest = subject.claims.clone();
    if name == "entry behind the quote" {
        without_count_behind(claims) == without_count_behind(honest)
    } else if name.starts_with("event, data") {
        claims["boot_log"].is_object() && claims_nothing_new(claims, honest)
    } else {
        claims == honest
    }
}

fn exhaustive() -> bool {
    cfg!(feature = "exhaustive")
}

/// Affirming only where the field is free, and then with equal claims. Returns the names of the fields met so.
#[track_caller]
fn refused_or_named(subject: &Subject, part: Part, fields: &[Field]) -> BTreeSet<&'static str> {
    let mut met = BTreeSet::new();
    let length = part(&mut subject.evidence.clone()).len();
    assert_eq!(fields.last().map(|field| field.bytes.end), Some(length));
    for outcome in changed(subject, part, exhaustive()) {
        if !outcome.affirming {
            continue;
        }
        let name = fields::name_at(fields, outcome.at);
        let told = format!(
            "{}: byte {} ({name}) as {:#04x}",
            subject.name, outcome.at, outcome.value
        );
        assert!(fields::effect(name).is_some(), "{told} is still Affirming");
        assert!(equal(name, outcome.claims, subject), "{told} changes a claim");
        met.insert(name);
    }
    met
}

#[test]
fn no_changed_byte_of_quote_or_signature_affirms() {
    for rsa in [false, true] {
        let subject = Make {
            name: if rsa { "RSA" } else { "ECDSA" },
            rsa,
            boot_events: Some(1),
            files: 1,
            ..Make::default()
        }
        .subject();
        let parts: [Part; 2] = [|evidence| &mut evidence.quote, |evidence| &mut evidence.signature];
        for (name, part) in ["quote", "signature"].into_iter().zip(parts) {
            let passed: Vec<Outcome> = changed(&subject, part, true)
                .into_iter()
                .filter(|outcome| outcome.affirming)
                .collect();
            assert!(passed.is_empty(), "{} {name}: {passed:?}", subject.name);
        }
    }
}

/// The order in which values are sent is free: the quote tells theirs. Nothing else of them is.
#[test]
fn no_changed_pcr_value_affirms() {
    let subject = Make {
        boot_events: Some(1),
        files: 1,
        ..Make::default()
    }
    .subject();
    let affirms = |change: &dyn Fn(&mut Evidence)| {
        let mut evidence = subject.evidence.clone();
        change(&mut evidence);
        let result = subject.judge(&evidence);
        assert!(result.verdict != Verdict::Affirming || comparable(&result.claims) == subject.claims);
        result.verdict == Verdict::Affirming
    };
    for n in 0..subject.evidence.pcrs.len() {
        for at in 0..subject.evidence.pcrs[n].digest.len() {
            for change in CHANGES {
                let was = subject.evidence.pcrs[n].digest[at];
                assert!(
                    change(was) == was || !affirms(&|evidence| evidence.pcrs[n].digest[at] = change(was)),
                    "value {n}, byte {at}"
                );
            }
        }
        for index in 0..=255 {
            let same = index == subject.evidence.pcrs[n].index;
            assert_eq!(
                affirms(&|evidence| evidence.pcrs[n].index = index),
                same,
                "value {n}, PCR {index}"
            );
        }
        for bank in HashAlg::ALL {
            let same = bank == subject.evidence.pcrs[n].bank;
            assert_eq!(
                affirms(&|evidence| evidence.pcrs[n].bank = bank),
                same,
                "value {n}, {bank}"
            );
        }
        assert!(
            !affirms(&|evidence| drop(evidence.pcrs.remove(n))),
            "value {n} dropped"
        );
        assert!(
            !affirms(&|evidence| evidence.pcrs.push(evidence.pcrs[n].clone())),
            "value {n} repeated"
        );
        assert!(
            !affirms(&|evidence| evidence.pcrs[n].digest.truncate(19)),
            "value {n} cut"
        );
        assert!(
            !affirms(&|evidence| evidence.pcrs[n].digest.push(0)),
            "value {n} longer"
        );
        for other in 0..n {
            assert!(
                affirms(&|evidence| evidence.pcrs.swap(n, other)),
                "values {n} and {other}"
            );
        }
    }
    for first in [1, 2, u64::MAX] {
        assert!(
            !affirms(&|evidence| evidence.ima_first = first),
            "slice from {first}"
        );
    }
}

/// The hosts whose logs are changed: each kind of key, list, template, selection and slice.
fn subjects() -> Vec<Subject> {
    let mut makes = vec![
        Make {
            name: "boot log of more than a hundred events, both banks",
            rsa: true,
            boot_events: None,
            files: 1,
            ..Make::default()
        },
        Make {
            name: "boot log, SHA-256 alone",
            selection: SHA256_ONLY,
            files: 1,
            ..Make::default()
        },
        Make {
            name: "binary list",
            rsa: true,
            boot_events: Some(1),
            files: 90,
            ..Make::default()
        },
        Make {
            name: "text list",
            rsa: true,
            boot_events: Some(1),
            text: true,
            files: 60,
            ..Make::default()
        },
    ];
    for text in [false, true] {
        makes.push(Make {
            name: "slice from a checkpoint, with entries behind the quote",
            text,
            boot_events: Some(1),
            files: 24,
            first: 8,
            behind: 6,
            ..Make::default()
        });
        for template in [
            Template::Ima,
            Template::ImaNg,
            Template::ImaBuf,
            Template::ImaModsig,
            Template::ImaNgv2,
            Template::ImaSigv2,
            Template::EvmSig,
        ] {
            makes.push(Make {
                name: template.name(),
                text,
                template,
                boot_events: Some(1),
                files: 5,
                ..Make::default()
            });
        }
    }
    makes.into_iter().map(Make::subject).collect()
}

#[test]
fn every_changed_byte_of_the_logs_is_refused_or_named() {
    let mut met = BTreeSet::new();
    for subject in subjects() {
        met.extend(refused_or_named(
            &subject,
            |evidence| &mut evidence.boot_log,
            &subject.boot_fields(),
        ));
        met.extend(refused_or_named(
            &subject,
            |evidence| &mut evidence.ima_log,
            &subject.ima_fields(),
        ));
    }
    let listed: BTreeSet<&str> = fields::FREE.iter().map(|row| row.0).collect();
    assert_eq!(met, listed, "a row that nothing needs is no reason");
}

/// The other half: what is free is free because nobody reads it, not because nobody noticed. Whatever the change leads
/// to, the claims are those of the honest log, or the log is refused as a whole.
#[test]
fn no_claim_reads_a_free_field() {
    let mut seen = BTreeSet::new();
    for subject in subjects() {
        let parts: [(Part, Vec<Field>); 2] = [
            (|evidence| &mut evidence.boot_log, subject.boot_fields()),
            (|evidence| &mut evidence.ima_log, subject.ima_fields()),
        ];
        for (part, fields) in parts {
            let free: Vec<(usize, &'static str, Effect)> = fields
                .iter()
                .filter_map(|field| Some((field, fields::effect(field.name)?)))
                .flat_map(|(field, effect)| field.bytes.clone().map(move |at| (at, field.name, effect)))
                .collect();
            let each = if exhaustive() { CHANGES.len() } else { 1 };
            let outcomes = subject.each(free.len() * each, |evidence, n| {
                let (at, name, effect) = free[n / each];
                let was = part(evidence)[at];
                // Other changes than those of the first test.
                part(evidence)[at] = CHANGES[(n + at / 7) % CHANGES.len()](was);
                let result = subject.judge(evidence);
                part(evidence)[at] = was;
                let told = format!("{}: {name}, byte {at}: {:?}", subject.name, result.findings);
                let claims = comparable(&result.claims);
                if effect == Effect::None {
                    assert_eq!(result.verdict, Verdict::Affirming, "{told}");
                }
                if equal(name, claims.clone(), &subject) {
                    return Some(name);
                }
                if effect == Effect::DisbelievedOrNone {
                    assert_ne!(result.verdict, Verdict::Affirming, "{told}");
                    return Some(name);
                }
                for part in ["quote", "boot_log", "ima"] {
                    let refused = claims[part].is_null() && result.verdict != Verdict::Affirming;
                    let may = effect == Effect::RefusedOrNone || left_out(&result);
                    assert!(claims[part] == subject.claims[part] || (refused && may), "{told}");
                }
                Some(name)
            });
            seen.extend(outcomes);
        }
    }
    assert_eq!(seen.len(), fields::FREE.len());
}

/// EV_NO_ACTION in place of a type leaves an event out of the replay: the log then leads elsewhere and is refused whole.
fn left_out(result: &AttestationResult) -> bool {
    let mismatch = |finding: &Finding| finding.code == Code::BootLogReplayMismatch;
    result.claims.boot_log.is_none() && result.findings.iter().any(mismatch)
}
