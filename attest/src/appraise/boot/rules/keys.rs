//! Rules about PCR 7: debug mode, DMA protection, Secure Boot's keys, authorities, SBAT.

use super::missing;
use crate::appraise::{shown, some_of};
use crate::boot_log::{Pcr7, Seen, Signatures};
use crate::claims::boot::sbat_level;
use crate::finding::{Code, Finding, FindingList};
use crate::pcr::sha256;
use crate::policy::BootRules;
use crate::policy::boot_rules::{Allowed, Forbidden, Required, Sha256Hex};

/// Most lines of a measured SBAT level that are looked at: shim's own has less than twenty.
const MAX_SBAT_LINES: usize = 1024;

/// What a rule needs that is about something that was not measured, or about all that was.
const WHOLE: &str =
    "PCR 7 quoted, closed by a separator, and every event of it with the data that was measured";

pub(super) fn appraise(pcr7: &Pcr7<'_>, rules: &BootRules, findings: &mut FindingList<'_>) {
    if rules.debug_mode == Forbidden::Forbidden {
        not_measured(
            pcr7,
            pcr7.debug_mode,
            Code::BootDebugMode,
            "UEFI Debug Mode",
            findings,
        );
    }
    if rules.dma_protection == Required::Required {
        let off = pcr7.dma_protection_disabled;
        not_measured(
            pcr7,
            off,
            Code::BootDmaProtectionOff,
            "DMA Protection Disabled",
            findings,
        );
    }
    let stores = [
        ("PK", &rules.pk, pcr7.pk),
        ("KEK", &rules.kek, pcr7.kek),
        ("db", &rules.db, pcr7.db),
        ("dbx", &rules.dbx, pcr7.dbx),
    ];
    for (name, allowed, seen) in stores {
        if let Some(allowed) = allowed {
            store(name, allowed, seen.once().filter(|_| pcr7.closed), findings);
        }
    }
    if let Some(demanded) = &rules.dbx_contains {
        revoked(demanded, pcr7.dbx.once().filter(|_| pcr7.closed), findings);
    }
    if let Some(allowed) = &rules.authorities {
        authorities(pcr7, allowed, findings);
    }
    if !rules.sbat_at_least.is_empty() {
        sbat(rules, pcr7.sbat_level, findings);
    }
}

fn not_measured(pcr7: &Pcr7<'_>, measured: bool, code: Code, action: &str, findings: &mut FindingList<'_>) {
    if measured {
        findings.add(
            Finding::new(code, action)
                .expected("not measured")
                .found("measured"),
        );
    } else if !pcr7.is_whole() {
        findings.add(missing(action, WHOLE));
    }
}

fn store(name: &str, allowed: &Allowed<Sha256Hex>, value: Option<&[u8]>, findings: &mut FindingList<'_>) {
    let Some(value) = value else {
        findings.add(missing(
            name,
            "the variable measured once, before PCR 7's separator",
        ));
        return;
    };
    let digest = sha256(&[value]);
    if !allowed.contains(&digest) {
        let listed = allowed.iter().map(|entry| hex::encode(entry.0));
        findings.add(
            Finding::new(Code::BootKeyNotAllowed, name)
                .expected(some_of(listed, allowed.iter().len()))
                .found(hex::encode(digest)),
        );
    }
}

fn revoked(demanded: &Allowed<Sha256Hex>, dbx: Option<&[u8]>, findings: &mut FindingList<'_>) {
    let Some(list) = dbx.and_then(Signatures::read) else {
        let needed = "the variable measured once, before PCR 7's separator, as a list of signatures";
        findings.add(missing("dbx", needed));
        return;
    };
    let mut held: Vec<[u8; 32]> = list.sha256_hashes().collect();
    held.sort_unstable();
    for hash in demanded
        .iter()
        .filter(|hash| held.binary_search(&hash.0).is_err())
    {
        findings.add_with(Code::BootDbxLacksHash, |finding| Finding {
            subject: "dbx".to_owned(),
            expected: Some(hex::encode(hash.0)),
            found: Some(format!("{} image digests, and not this one", held.len())),
            ..finding
        });
    }
}

fn authorities(pcr7: &Pcr7<'_>, allowed: &Allowed<Sha256Hex>, findings: &mut FindingList<'_>) {
    if !pcr7.is_whole() {
        findings.add(missing("authorities", WHOLE));
    }
    for (variable, content) in &pcr7.authorities {
        let digest = sha256(&[content]);
        if !allowed.contains(&digest) {
            findings.add_with(Code::BootAuthorityNotAllowed, |finding| Finding {
                subject: format!(
                    "authority in {}",
                    shown(variable.name().unwrap_or_default().as_bytes())
                ),
                expected: Some(format!("one of {} listed", allowed.iter().len())),
                found: Some(hex::encode(digest)),
                ..finding
            });
        }
    }
}

fn sbat(rules: &BootRules, seen: Seen<&[u8]>, findings: &mut FindingList<'_>) {
    let Some(level) = sbat_level(seen) else {
        findings.add(missing(
            "SBAT level",
            "SbatLevel measured once into PCR 7, by shim",
        ));
        return;
    };
    for (component, least) in &rules.sbat_at_least {
        let measured = level
            .lines()
            .take(MAX_SBAT_LINES)
            .filter_map(|line| line.split_once(','))
            .find(|(name, _)| name == component)
            .map(|(_, rest)| rest.split(',').next().unwrap_or_default());
        let generation = measured.and_then(|text| text.parse::<u32>().ok());
        if generation.is_some_and(|generation| generation >= *least) {
            continue;
        }
        findings.add(
            Finding::new(
                Code::BootSbatTooOld,
                format!("SBAT level of {}", shown(component.as_bytes())),
            )
            .expected(format!("generation {least} or later"))
            .found(measured.map_or("none".to_owned(), |text| shown(text.as_bytes()))),
        );
    }
}
