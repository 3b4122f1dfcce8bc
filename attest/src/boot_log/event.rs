//! One event of the log.

use std::fmt;

use crate::pcr::HashAlg;

/// An event's type as its integer. The log does not prove it; a type without a name here stays what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventType(pub u32);

macro_rules! event_types {
    ($($name:ident = $value:literal;)*) => {
        impl EventType {
            $(#[doc = concat!("`EV_", stringify!($name), "`")] pub const $name: EventType = EventType($value);)*

            fn name(self) -> Option<&'static str> {
                match self { $(Self::$name => Some(concat!("EV_", stringify!($name))),)* _ => None }
            }
        }
    };
}

// TCG PC Client Platform Firmware Profile 1.06, table "Events".
event_types! {
    PREBOOT_CERT = 0x0000_0000;
    POST_CODE = 0x0000_0001;
    NO_ACTION = 0x0000_0003;
    SEPARATOR = 0x0000_0004;
    ACTION = 0x0000_0005;
    EVENT_TAG = 0x0000_0006;
    S_CRTM_CONTENTS = 0x0000_0007;
    S_CRTM_VERSION = 0x0000_0008;
    CPU_MICROCODE = 0x0000_0009;
    PLATFORM_CONFIG_FLAGS = 0x0000_000A;
    TABLE_OF_DEVICES = 0x0000_000B;
    COMPACT_HASH = 0x0000_000C;
    IPL = 0x0000_000D;
    IPL_PARTITION_DATA = 0x0000_000E;
    NONHOST_CODE = 0x0000_000F;
    NONHOST_CONFIG = 0x0000_0010;
    NONHOST_INFO = 0x0000_0011;
    OMIT_BOOT_DEVICE_EVENTS = 0x0000_0012;
    POST_CODE2 = 0x0000_0013;
    EFI_VARIABLE_DRIVER_CONFIG = 0x8000_0001;
    EFI_VARIABLE_BOOT = 0x8000_0002;
    EFI_BOOT_SERVICES_APPLICATION = 0x8000_0003;
    EFI_BOOT_SERVICES_DRIVER = 0x8000_0004;
    EFI_RUNTIME_SERVICES_DRIVER = 0x8000_0005;
    EFI_GPT_EVENT = 0x8000_0006;
    EFI_ACTION = 0x8000_0007;
    EFI_PLATFORM_FIRMWARE_BLOB = 0x8000_0008;
    EFI_HANDOFF_TABLES = 0x8000_0009;
    EFI_PLATFORM_FIRMWARE_BLOB2 = 0x8000_000A;
    EFI_HANDOFF_TABLES2 = 0x8000_000B;
    EFI_VARIABLE_BOOT2 = 0x8000_000C;
    EFI_GPT_EVENT2 = 0x8000_000D;
    EFI_HCRTM_EVENT = 0x8000_0010;
    EFI_VARIABLE_AUTHORITY = 0x8000_00E0;
    EFI_SPDM_FIRMWARE_BLOB = 0x8000_00E1;
    EFI_SPDM_FIRMWARE_CONFIG = 0x8000_00E2;
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "event type {:#010x}", self.0),
        }
    }
}

/// An event's digests: one for each bank whose algorithm is known here, none for the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digests<'a>([Option<&'a [u8]>; HashAlg::ALL.len()]);

impl<'a> Digests<'a> {
    /// The digest for a bank.
    pub fn of(&self, bank: HashAlg) -> Option<&'a [u8]> {
        self.iter()
            .find(|(alg, _)| *alg == bank)
            .map(|(_, digest)| digest)
    }

    /// Every digest with its bank, in the order of [`HashAlg::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (HashAlg, &'a [u8])> {
        HashAlg::ALL
            .into_iter()
            .zip(self.0)
            .filter_map(|(bank, digest)| digest.map(|digest| (bank, digest)))
    }

    pub(super) fn set(&mut self, bank: HashAlg, digest: &'a [u8]) {
        if let Some((_, place)) = HashAlg::ALL
            .into_iter()
            .zip(&mut self.0)
            .find(|(alg, _)| *alg == bank)
        {
            *place = Some(digest);
        }
    }
}

/// One event as logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootEvent<'a> {
    /// Position in the log, counted from 0; the header is event 0.
    pub number: usize,
    /// Where its record begins in the log's bytes.
    pub offset: usize,
    /// The PCR it was extended into; anything where it was not extended (EV_NO_ACTION).
    pub pcr: u32,
    /// What it calls itself.
    pub kind: EventType,
    /// Its digests.
    pub digests: Digests<'a>,
    /// What it says about what was measured.
    pub data: &'a [u8],
}

impl<'a> BootEvent<'a> {
    /// Its digest for a bank.
    pub fn digest(&self, bank: HashAlg) -> Option<&'a [u8]> {
        self.digests.of(bank)
    }

    /// Whether a replay extends it.
    pub fn is_extended(&self) -> bool {
        self.kind != EventType::NO_ACTION
    }

    /// A short text of what it says about itself; for people, proves nothing.
    pub fn describe(&self) -> String {
        let text = super::variable::name_for_people(self.data).unwrap_or_else(|| readable(self.data));
        if text.is_empty() {
            self.kind.to_string()
        } else {
            format!("{} {text}", self.kind)
        }
    }
}

/// Longest description in a finding or in a comment of captured golden values: a line on a screen.
const DESCRIPTION_CHARS: usize = 96;

/// Printable text out of event data, or nothing if it is binary.
fn readable(data: &[u8]) -> String {
    let data = data.strip_suffix(b"\0").unwrap_or(data);
    // UTF-16 text, as the EFI stub logs it, has a zero behind each ASCII character.
    let wide = data.len() >= 4 && data.iter().skip(1).step_by(2).all(|byte| *byte == 0);
    let bytes: Vec<u8> = if wide {
        data.iter()
            .copied()
            .step_by(2)
            .filter(|byte| *byte != 0)
            .collect()
    } else {
        data.to_vec()
    };
    let plain = bytes
        .iter()
        .all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\n'));
    if !plain {
        return String::new();
    }
    let text: String = bytes
        .iter()
        .map(|byte| {
            if byte.is_ascii_graphic() {
                char::from(*byte)
            } else {
                ' '
            }
        })
        .collect();
    let mut short: String = text.trim().chars().take(DESCRIPTION_CHARS).collect();
    if short.len() < text.trim().len() {
        short.push_str("...");
    }
    short
}
