//! What a replayed log says about the boot, where its digests cover it.

use super::event::BootEvent;
use super::replay::ReplayedBootLog;
use crate::claims::{BootLogClaims, SecureBoot};
use crate::pcr::HashAlg;
use crate::reader::Reader;

/// EFI_GLOBAL_VARIABLE, 8be4df61-93ca-11d2-aa0d-00e098032b8c, as it lies in memory.
const GLOBAL_VARIABLE: [u8; 16] = [
    0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
];
/// Tag of the EFI stub's measurement of the kernel's load options (Linux, `LOAD_OPTIONS_EVENT_TAG_ID`).
const LOAD_OPTIONS_TAG: u32 = 0x8F3B_22ED;
/// Longest name of a UEFI variable that is looked at, in characters: the names that matter here have ten or fewer.
const MAX_NAME: usize = 512;

impl ReplayedBootLog<'_> {
    /// The log's typed facts.
    pub fn claims(&self) -> BootLogClaims {
        BootLogClaims {
            events: u64::try_from(self.all_events().len()).unwrap_or(u64::MAX),
            secure_boot: self.secure_boot(),
            command_lines: u64::try_from(self.command_lines()).unwrap_or(u64::MAX),
        }
    }

    /// The state of Secure Boot that the firmware measured.
    ///
    /// Decided without event types, which nothing proves. The firmware measures the variable into PCR 7 before that
    /// PCR's separator, and whatever runs later can only append behind the separator: so the state is that of the one
    /// event in PCR 7 before the first separator whose data is the variable `SecureBoot` and has the measured digest, in
    /// every quoted bank. A doubled one, or a PCR 7 without a separator, proves nothing.
    pub fn secure_boot(&self) -> SecureBoot {
        let mut agreed = None;
        for bank in HashAlg::ALL.into_iter().filter(|bank| self.covers(*bank, 7)) {
            let state = self.secure_boot_in(bank);
            if agreed.is_some_and(|before| before != state) {
                return SecureBoot::Unproven;
            }
            agreed = Some(state);
        }
        agreed.unwrap_or(SecureBoot::Unproven)
    }

    fn secure_boot_in(&self, bank: HashAlg) -> SecureBoot {
        let separators = [bank.digest(&[0; 4]), bank.digest(&[0xff; 4])];
        let mut state = None;
        for event in self.events_of(bank, 7) {
            let digest = event.digest(bank).unwrap_or_default();
            if separators.iter().any(|separator| separator == digest) {
                return state.unwrap_or(SecureBoot::Unproven);
            }
            let Some(value) = efi_variable(event.data, "SecureBoot") else {
                continue;
            };
            if bank.digest(event.data) != digest {
                continue;
            }
            if state.is_some() {
                return SecureBoot::Unproven;
            }
            state = Some(match value {
                [1] => SecureBoot::On,
                [0] => SecureBoot::Off,
                _ => SecureBoot::Unproven,
            });
        }
        SecureBoot::Unproven
    }

    /// Events of a quoted bank's PCR 8 and 9 that describe a kernel command line (grub's text, the EFI stub's tag).
    fn command_lines(&self) -> usize {
        let Some(bank) = HashAlg::ALL
            .into_iter()
            .rev()
            .find(|bank| self.covers(*bank, 8) || self.covers(*bank, 9))
        else {
            return 0;
        };
        let describes =
            |event: &&BootEvent<'_>| event.data.starts_with(b"kernel_cmdline") || is_load_options(event.data);
        self.events_of(bank, 8)
            .chain(self.events_of(bank, 9))
            .filter(describes)
            .count()
    }

    /// Events whose data does not have the measured digest though their type says it should.
    pub fn data_mismatches(&self) -> impl Iterator<Item = &BootEvent<'_>> {
        self.all_events().iter().filter(|event| {
            event.is_extended()
                && event.kind.binds_data()
                && event
                    .digests
                    .iter()
                    .any(|(bank, digest)| bank.digest(event.data) != *digest)
        })
    }
}

fn is_load_options(data: &[u8]) -> bool {
    Reader::new(data)
        .u32_le("a tag")
        .is_ok_and(|tag| tag == LOAD_OPTIONS_TAG)
}

/// The value of a UEFI_VARIABLE_DATA, if it is that global variable and nothing follows it.
fn efi_variable<'a>(data: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (guid, found, value) = split_efi_variable(data)?;
    (guid == GLOBAL_VARIABLE && found == name).then_some(value)
}

/// The name of the variable that event data describes, if it describes one.
pub(super) fn efi_variable_name(data: &[u8]) -> Option<String> {
    let (_, name, _) = split_efi_variable(data)?;
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    plain.then_some(name)
}

/// UEFI_VARIABLE_DATA: GUID, name length in characters, value length, name in UTF-16, value.
fn split_efi_variable(data: &[u8]) -> Option<([u8; 16], String, &[u8])> {
    let mut reader = Reader::new(data);
    let guid = reader.array::<16>("a GUID").ok()?;
    let name_chars = usize::try_from(reader.u64_le("a name's length").ok()?)
        .ok()
        .filter(|n| *n <= MAX_NAME)?;
    let value_len = usize::try_from(reader.u64_le("a value's length").ok()?).ok()?;
    let name = reader.take(name_chars.checked_mul(2)?, "a name").ok()?;
    let value = reader.take(value_len, "a value").ok()?;
    reader.finish("a UEFI variable").ok()?;
    let (pairs, _) = name.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    Some((guid, String::from_utf16(&units).ok()?, value))
}
