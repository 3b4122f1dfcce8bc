//! Facts of a log, made into claims that may be stored: bounded, hex, owned.

use super::{
    Authority, BootLogClaims, Disk, Fact, Handover, KeyStore, Listed, Measured, Section, SecureBoot,
    Separator, SeparatorState,
};
use crate::boot_log::{BootEvent, Closing, Exit, Facts, Seen, Signatures, guid_text};
use crate::pcr::sha256;

/// How much of a log its claims repeat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detail {
    /// Most entries of a list.
    entries: usize,
    /// Most bytes of a text.
    text: usize,
    /// Most kernel command lines, and most bytes of one.
    lines: usize,
    line: usize,
    /// Whether image digests of db and dbx are listed.
    image_digests: bool,
}

impl Detail {
    /// For results that are stored for every host and round: a host's state stays below 16 KiB.
    pub(crate) const STORED: Self = Self {
        entries: 8,
        text: 128,
        lines: 2,
        line: 1024,
        image_digests: false,
    };
    /// For a person who looks at one log: whole, within what a log can hold.
    pub(crate) const WHOLE: Self = Self {
        entries: 16_384,
        text: 16 * 1024,
        lines: 16_384,
        line: 64 * 1024,
        image_digests: true,
    };

    fn list<T>(self, items: impl Iterator<Item = T>) -> Listed<T> {
        Self::first(self.entries, items)
    }

    fn first<T>(most: usize, mut items: impl Iterator<Item = T>) -> Listed<T> {
        let listed: Vec<T> = items.by_ref().take(most).collect();
        Listed {
            listed,
            more: count(items.count()),
        }
    }

    fn cut(self, text: String) -> String {
        cut_to(self.text, text)
    }
}

fn cut_to(most: usize, mut text: String) -> String {
    if text.len() > most {
        let end = (0..=most)
            .rev()
            .find(|end| text.is_char_boundary(*end))
            .unwrap_or(0);
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// The claims of a log.
pub(crate) fn read(facts: &Facts<'_, '_>, phases: &[&str], detail: Detail) -> BootLogClaims {
    let pcr7 = facts.secure_boot();
    let absent_if_whole = |seen: bool, if_seen: Fact, if_not: Fact| match seen {
        true => if_seen,
        false if pcr7.is_whole() => if_not,
        false => Fact::Unproven,
    };
    let store = |seen: Seen<&[u8]>| key_store(seen, pcr7.closed, detail);
    let measured = |(position, event): (usize, &BootEvent<'_>)| measured(facts, position, event);
    BootLogClaims {
        events: count(facts.proven_events()),
        secure_boot: match pcr7.secure_boot.once() {
            Some([1]) if pcr7.closed => SecureBoot::On,
            Some([0]) if pcr7.closed => SecureBoot::Off,
            _ => SecureBoot::Unproven,
        },
        deployed_mode: facts.mode("DeployedMode"),
        audit_mode: facts.mode("AuditMode"),
        debug_mode: absent_if_whole(pcr7.debug_mode, Fact::On, Fact::Off),
        dma_protection: absent_if_whole(pcr7.dma_protection_disabled, Fact::Off, Fact::On),
        firmware: detail.list(facts.firmware_words().map(|word| detail.cut(word))),
        firmware_blobs: count(facts.firmware_blobs()),
        pk: store(pcr7.pk),
        kek: store(pcr7.kek),
        db: store(pcr7.db),
        dbx: store(pcr7.dbx),
        authorities: detail.list(pcr7.authorities.iter().map(|(variable, content)| Authority {
            variable: detail.cut(variable.name().unwrap_or_default()),
            sha256: hex::encode(sha256(&[content])),
        })),
        sbat_level: sbat_level(pcr7.sbat_level).map(|text| cut_to(detail.line, text)),
        boot_loaders: detail.list(facts.code(4).filter_map(measured)),
        drivers: detail.list(facts.code(2).filter_map(measured)),
        kernel_command_lines: Detail::first(
            detail.lines,
            facts.command_lines().map(|line| cut_to(detail.line, line.text)),
        ),
        grub_texts: count(facts.grub_commands()),
        files: detail.list(facts.events(9).enumerate().filter_map(measured)),
        machine_owner_keys: detail.list(facts.events(14).enumerate().filter_map(measured)),
        sections: detail.list(facts.sections().into_iter().filter_map(|section| {
            Some(Section {
                name: section.name.to_owned(),
                content: measured((section.position, section.content))?,
            })
        })),
        phases: phases.iter().map(|phase| (*phase).to_owned()).collect(),
        boot_entries: detail.list(facts.boot_entries().map(|entry| detail.cut(entry))),
        disks: detail.list(facts.disks().map(|(guid, partitions)| Disk {
            guid: guid_text(&guid),
            partitions,
        })),
        actions: detail.list(facts.actions().map(|(_, action)| detail.cut(action))),
        exit_boot_services: match facts.exit_boot_services() {
            Exit::NotQuoted => Handover::Unproven,
            Exit::NotSeen => Handover::NotSeen,
            Exit::Invoked => Handover::Invoked,
            Exit::Failed => Handover::Failed,
            Exit::Succeeded => Handover::Succeeded,
        },
        separators: (0..=7)
            .filter_map(|pcr| {
                Some(Separator {
                    pcr,
                    state: separator_state(facts.closing(pcr))?,
                })
            })
            .collect(),
    }
}

/// The claim of a PCR's closing; none where the PCR was not quoted.
pub(crate) fn separator_state(closing: Closing) -> Option<SeparatorState> {
    match closing {
        Closing::NotQuoted => None,
        Closing::Once => Some(SeparatorState::Once),
        Closing::Missing => Some(SeparatorState::Missing),
        Closing::Several => Some(SeparatorState::Several),
        Closing::Error => Some(SeparatorState::Error),
    }
}

/// shim's SbatLevel, if it was measured exactly once and is a text.
pub(crate) fn sbat_level(seen: Seen<&[u8]>) -> Option<String> {
    let value = seen.once()?;
    let text = std::str::from_utf8(value.strip_suffix(b"\0").unwrap_or(value)).ok()?;
    let plain = text
        .chars()
        .all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic());
    (plain && text.starts_with("sbat,")).then(|| text.to_owned())
}

fn key_store(seen: Seen<&[u8]>, closed: bool, detail: Detail) -> Option<KeyStore> {
    let value = seen.once().filter(|_| closed)?;
    let list = Signatures::read(value);
    let digests = list.filter(|_| detail.image_digests).map(|list| {
        let digests: Vec<String> = list.sha256_hashes().map(hex::encode).collect();
        digests
    });
    Some(KeyStore {
        sha256: hex::encode(sha256(&[value])),
        certificates: list.map_or(0, |list| list.certificates),
        hashes: list.map_or(0, |list| list.hashes),
        others: list.map_or(0, |list| list.others),
        image_digests: digests.unwrap_or_default(),
    })
}

fn measured(facts: &Facts<'_, '_>, position: usize, event: &BootEvent<'_>) -> Option<Measured> {
    let index = u8::try_from(event.pcr).ok()?;
    let bank = facts.coverage().shown_bank(index)?;
    Some(Measured {
        position: count(position),
        bank,
        digest: hex::encode(event.digest(bank)?),
    })
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
