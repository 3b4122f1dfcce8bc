//! What newer boots measure: unified kernel images and systemd-boot, reference manifests, unused log memory.

use crate::bank::Bank;
use crate::bootlog::BootLog;
use crate::bootlog::data::{Out, SHIM_LOCK, efi_variable, image_load};
use crate::bootlog::event::{Event, EventType, Measured};
use crate::pcrs::{Digests, Pcrs};

/// What `systemd-pcrphase` says in PCR 11 after the firmware's log has ended.
pub const PHASES: [&str; 4] = ["enter-initrd", "leave-initrd", "sysinit", "ready"];

impl BootLog {
    /// systemd-boot starts a unified kernel image: the image in PCR 4, the command line in PCR 12 (UTF-16, as logged), and
    /// each section in PCR 11 by its name and then by its content.
    pub fn unified_kernel(&mut self, command_line: &str, sections: &[(&str, &[u8])]) -> &mut BootLog {
        self.measure_as(
            4,
            EventType::EFI_BOOT_SERVICES_APPLICATION,
            &image_load(0x19DB_88A0, 0x007D_D7C0, &[]),
            b"unified kernel image",
        );
        for (name, content) in sections {
            let mut shown = Out::new();
            shown.utf16(name).u16(0);
            let shown = shown.into_bytes();
            let name = [name.as_bytes(), &[0]].concat();
            self.measure_as(11, EventType::IPL, &shown, &name);
            self.measure_as(11, EventType::IPL, &shown, content);
        }
        let mut line = Out::new();
        line.utf16(command_line).u16(0);
        self.measure(12, EventType::IPL, &line.into_bytes())
    }

    /// shim's revocation level, in PCR 7 behind the separator and before the authority that let the next image start.
    pub fn sbat_level(&mut self, level: &str) -> &mut BootLog {
        let data = efi_variable(SHIM_LOCK, "SbatLevel", level.as_bytes());
        let authority = efi_variable(SHIM_LOCK, "MokListRT", &[]);
        let named = authority.len();
        let event = Event::of(7, EventType::EFI_VARIABLE_AUTHORITY, &data);
        // All but the value's length are alike.
        self.insert_before(event, |event| {
            event.pcr == 7
                && event.data.get(..24) == authority.get(..24)
                && event.data.get(32..named) == authority.get(32..named)
        })
    }

    /// An authority as shim before 15.3 wrote it: five bytes of padding, all but the last of them measured.
    pub fn old_shim_authority(&mut self, certificate: &[u8]) -> &mut BootLog {
        let mut data = efi_variable(SHIM_LOCK, "Shim", certificate);
        data.extend([0; 5]);
        let measured = data
            .split_last()
            .map(|(_, shorter)| shorter.to_vec())
            .unwrap_or_default();
        self.measure_as(7, EventType::EFI_VARIABLE_AUTHORITY, &data, &measured)
    }

    /// A command line as systemd-boot before 251 logged it into PCR 8: one byte short of what it measured.
    pub fn old_systemd_boot(&mut self, command_line: &str) -> &mut BootLog {
        let mut line = Out::new();
        line.utf16(command_line).u16(0);
        let line = line.into_bytes();
        let logged = line
            .split_last()
            .map(|(_, shorter)| shorter.to_vec())
            .unwrap_or_default();
        self.measure_as(8, EventType::IPL, &logged, &line)
    }

    /// An event with another position: before the first event for which `at` holds, or last.
    pub fn insert_before(&mut self, event: Event, at: impl Fn(&Event) -> bool) -> &mut BootLog {
        let place = self.events.iter().position(at).unwrap_or(self.events.len());
        self.events.insert(place, event);
        self
    }
}

impl Event {
    /// An event whose digest covers its own data.
    pub fn of(pcr: u8, kind: EventType, data: &[u8]) -> Event {
        Event {
            pcr,
            kind,
            measured: Measured::Data,
            data: data.to_vec(),
        }
    }
}

/// `SP800-155 Event3`: where the platform's reference manifest is; not extended.
pub fn sp800_155_event() -> Event {
    let mut data = Out::new();
    data.raw(b"SP800-155 Event3").u32(0x0000_2b79);
    data.guid("5e4c7c99-4c38-4732-8f2f-9b2f47176f6f");
    let text = |out: &mut Out, text: &str| {
        out.raw(&[u8::try_from(text.len() + 1).expect("a short text")])
            .raw(text.as_bytes())
            .raw(&[0]);
    };
    text(&mut data, "Example, Inc.");
    text(&mut data, "R640");
    Event::of(0, EventType::NO_ACTION, &data.into_bytes())
}

/// Extends PCR 11 with boot phases, as systemd does without writing into the firmware's log.
pub fn announce(phases: &[&str], pcrs: &mut Pcrs) {
    for phase in phases {
        let digests: Digests = pcrs
            .banks()
            .into_iter()
            .map(|bank: Bank| (bank, bank.hash(&[phase.as_bytes()])))
            .collect();
        pcrs.extend(11, &digests);
    }
}
