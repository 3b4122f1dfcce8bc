//! PCR 11: the sections of a unified kernel image, as its stub measures them.

use super::event::BootEvent;
use super::facts::Facts;

/// Sections that systemd-stub measures (systemd, uki.h), each first by its name and then by its content. `.pcrsig` is left
/// out there, as it holds signatures over the outcome.
const SECTIONS: [&str; 14] = [
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat", ".pcrpkey",
    ".profile", ".dtbauto", ".hwids", ".efifw",
];

/// A section whose name was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section<'l, 'a> {
    /// Its name: the digest before covers it.
    pub(crate) name: &'static str,
    /// Which measurement of PCR 11 its content is.
    pub(crate) position: usize,
    /// The event whose digest is that of the content.
    pub(crate) content: &'l BootEvent<'a>,
}

impl<'l, 'a> Facts<'l, 'a> {
    /// Sections of the unified kernel image, in the order in which they were measured.
    ///
    /// The stub measures a section's name with its zero, and then its content. The name is known by its digest, whatever the
    /// log calls it; the content's digest is the next one.
    pub(crate) fn sections(&self) -> Vec<Section<'l, 'a>> {
        let mut sections = Vec::new();
        let mut events = self.events(11).enumerate();
        while let Some((_, event)) = events.next() {
            let Some(name) = self.section_name(event) else {
                continue;
            };
            let Some((position, content)) = events.next() else {
                break;
            };
            sections.push(Section {
                name,
                position,
                content,
            });
        }
        sections
    }

    fn section_name(&self, event: &BootEvent<'_>) -> Option<&'static str> {
        // Which one to try first is told by the log; that it is the one is told by the digest.
        let called: Vec<u8> = event
            .data
            .iter()
            .copied()
            .filter(|byte| *byte != 0)
            .take(16)
            .collect();
        let likely = SECTIONS.into_iter().find(|name| name.as_bytes() == called)?;
        let mut with_zero = likely.as_bytes().to_vec();
        with_zero.push(0);
        self.covers(event, &with_zero).then_some(likely)
    }
}
