//! PCR 7: the state of Secure Boot, its keys, and what let images start.

use super::event::BootEvent;
use super::facts::Facts;
use super::separator::Separator;
use super::variable::{GLOBAL, IMAGE_SECURITY, SHIM_LOCK, Variable, authority, text};

/// Something that is measured once where all is well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Seen<T> {
    /// Not at all.
    #[default]
    Never,
    /// Once.
    Once(T),
    /// More than once: which of them holds, nobody can say.
    Several,
}

impl<T> Seen<T> {
    fn add(&mut self, value: T) {
        *self = match self {
            Self::Never => Self::Once(value),
            Self::Once(_) | Self::Several => Self::Several,
        };
    }

    /// The one, if there is exactly one.
    pub(crate) fn once(self) -> Option<T> {
        match self {
            Self::Once(value) => Some(value),
            Self::Never | Self::Several => None,
        }
    }
}

/// What PCR 7 says, read in one pass. Its firmware part ends at the first separator, which is known by its digest; what runs
/// later can only append behind it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pcr7<'a> {
    /// Whether the firmware closed the register with a normal separator first.
    pub(crate) closed: bool,
    /// The value of `SecureBoot`.
    pub(crate) secure_boot: Seen<&'a [u8]>,
    /// The platform key.
    pub(crate) pk: Seen<&'a [u8]>,
    /// Key exchange keys.
    pub(crate) kek: Seen<&'a [u8]>,
    /// What may start.
    pub(crate) db: Seen<&'a [u8]>,
    /// What may not.
    pub(crate) dbx: Seen<&'a [u8]>,
    /// `UEFI Debug Mode` was measured.
    pub(crate) debug_mode: bool,
    /// `DMA Protection Disabled` was measured.
    pub(crate) dma_protection_disabled: bool,
    /// Behind the separator: what let images start.
    pub(crate) authorities: Vec<(Variable<'a>, &'a [u8])>,
    /// There were more of them than are looked at.
    crowded: bool,
    /// shim's SbatLevel, as text.
    pub(crate) sbat_level: Seen<&'a [u8]>,
    /// Events of the register that no known rule explains: their digest covers something else than their data.
    pub(crate) unexplained: Vec<usize>,
}

/// Most authorities that are looked at: an image has one, and a boot starts a handful of images.
const MAX_AUTHORITIES: usize = 256;

/// shim's variables that are settings, not keys (shim, mok.c).
const SETTINGS: [&str; 6] = [
    "MokListTrusted",
    "MokSBState",
    "MokDBState",
    "MokPolicy",
    "MokIgnoreDB",
    "HSIStatus",
];

impl<'a> Pcr7<'a> {
    pub(super) fn read(facts: &Facts<'_, 'a>) -> Self {
        let mut all = Self::default();
        let mut firmware = true;
        for event in facts.events(7) {
            if let Some(separator) = facts.separator(event) {
                all.closed |= firmware && separator == Separator::Normal;
                firmware = false;
            } else {
                all.take(facts, event, firmware);
            }
        }
        all
    }

    fn take(&mut self, facts: &Facts<'_, 'a>, event: &BootEvent<'a>, firmware: bool) {
        // shim before 15.3 counts the padding of its structure: it measures a few bytes behind the value and logs one more.
        let shorter = event
            .data
            .split_last()
            .map(|(_, shorter)| shorter)
            .filter(|_| !firmware);
        let whole = facts.covers(event, event.data);
        let covered = whole || shorter.is_some_and(|shorter| facts.covers(event, shorter));
        // The last byte is read only where it was measured.
        let variable = Variable::read(event.data)
            .filter(|_| whole || !covered)
            .or_else(|| Variable::padded(shorter?));
        match variable {
            Some(variable) if covered && firmware => self.firmware_variable(variable),
            Some(variable) if covered => self.later_variable(variable),
            None if whole || facts.word(event).is_some() => self.word(event),
            _ => self.unexplained.push(event.number),
        }
    }

    fn firmware_variable(&mut self, variable: Variable<'a>) {
        let known = [
            (GLOBAL, "SecureBoot", &mut self.secure_boot),
            (GLOBAL, "PK", &mut self.pk),
            (GLOBAL, "KEK", &mut self.kek),
            (IMAGE_SECURITY, "db", &mut self.db),
            (IMAGE_SECURITY, "dbx", &mut self.dbx),
        ];
        for (guid, name, seen) in known {
            if variable.guid == guid && variable.is_named(name) {
                seen.add(variable.value);
                return;
            }
        }
    }

    fn later_variable(&mut self, variable: Variable<'a>) {
        if variable.guid == SHIM_LOCK {
            if variable.is_named("SbatLevel") {
                // shim measures its level before it lets anything start. Whoever runs later can measure one as well.
                let late = self
                    .authorities
                    .iter()
                    .any(|(before, _)| before.guid == SHIM_LOCK);
                match late {
                    true => self.sbat_level = Seen::Several,
                    false => self.sbat_level.add(variable.value),
                }
                return;
            }
            if SETTINGS.iter().any(|name| variable.is_named(name)) {
                return;
            }
        }
        if self.authorities.len() < MAX_AUTHORITIES {
            self.authorities.push((variable, authority(&variable)));
        } else {
            self.crowded = true;
        }
    }

    fn word(&mut self, event: &BootEvent<'a>) {
        match text(event.data).as_deref() {
            Some("UEFI Debug Mode") => self.debug_mode = true,
            Some("DMA Protection Disabled") => self.dma_protection_disabled = true,
            _ => {}
        }
    }

    /// Whether something that was *not* measured can be told: PCR 7 was closed, and every event of it is explained and kept. An
    /// event whose data was rewritten could otherwise be the one that is missing.
    pub(crate) fn is_whole(&self) -> bool {
        self.closed && self.unexplained.is_empty() && !self.crowded
    }
}
