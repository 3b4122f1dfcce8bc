//! One boot event: its PCR, type, digests and data.

use crate::bank::Bank;
use crate::pcrs::Digests;

/// The number of an event type (TCG PC Client Platform Firmware Profile, "Event Types").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventType(pub u32);

#[expect(
    missing_docs,
    reason = "the names are the specification's own, without their EV_ prefix"
)]
impl EventType {
    pub const POST_CODE: EventType = EventType(0x0000_0001);
    pub const NO_ACTION: EventType = EventType(0x0000_0003);
    pub const SEPARATOR: EventType = EventType(0x0000_0004);
    pub const ACTION: EventType = EventType(0x0000_0005);
    pub const EVENT_TAG: EventType = EventType(0x0000_0006);
    pub const S_CRTM_CONTENTS: EventType = EventType(0x0000_0007);
    pub const S_CRTM_VERSION: EventType = EventType(0x0000_0008);
    pub const PLATFORM_CONFIG_FLAGS: EventType = EventType(0x0000_000A);
    pub const TABLE_OF_DEVICES: EventType = EventType(0x0000_000B);
    pub const IPL: EventType = EventType(0x0000_000D);
    pub const NONHOST_INFO: EventType = EventType(0x0000_0011);
    pub const EFI_VARIABLE_DRIVER_CONFIG: EventType = EventType(0x8000_0001);
    pub const EFI_VARIABLE_BOOT: EventType = EventType(0x8000_0002);
    pub const EFI_BOOT_SERVICES_APPLICATION: EventType = EventType(0x8000_0003);
    pub const EFI_BOOT_SERVICES_DRIVER: EventType = EventType(0x8000_0004);
    pub const EFI_RUNTIME_SERVICES_DRIVER: EventType = EventType(0x8000_0005);
    pub const EFI_GPT_EVENT: EventType = EventType(0x8000_0006);
    pub const EFI_ACTION: EventType = EventType(0x8000_0007);
    pub const EFI_PLATFORM_FIRMWARE_BLOB: EventType = EventType(0x8000_0008);
    pub const EFI_HANDOFF_TABLES: EventType = EventType(0x8000_0009);
    pub const EFI_PLATFORM_FIRMWARE_BLOB2: EventType = EventType(0x8000_000A);
    pub const EFI_HANDOFF_TABLES2: EventType = EventType(0x8000_000B);
    pub const EFI_VARIABLE_BOOT2: EventType = EventType(0x8000_000C);
    pub const EFI_VARIABLE_AUTHORITY: EventType = EventType(0x8000_00E0);
}

/// What the digest of an event covers.
#[derive(Debug, Clone)]
pub enum Measured {
    /// The event's own data.
    Data,
    /// Other bytes, such as the image that the data only names.
    Content(Vec<u8>),
    /// Digests given as they are: for digests taken from real machines, and for lies.
    Given(Digests),
}

/// One boot event.
#[derive(Debug, Clone)]
pub struct Event {
    /// The PCR that is extended.
    pub pcr: u8,
    /// The event type.
    pub kind: EventType,
    /// What the digest covers.
    pub measured: Measured,
    /// The data in the log.
    pub data: Vec<u8>,
}

impl Event {
    /// The digest for each of `banks`; a bank without a given digest gets zeros.
    pub fn digests(&self, banks: &[Bank]) -> Digests {
        let digest = |bank: Bank| match &self.measured {
            _ if self.kind == EventType::NO_ACTION => vec![0; bank.digest_len()],
            Measured::Data => bank.hash(&[&self.data]),
            Measured::Content(content) => bank.hash(&[content]),
            Measured::Given(given) => given
                .get(&bank)
                .cloned()
                .unwrap_or_else(|| vec![0; bank.digest_len()]),
        };
        banks.iter().map(|&bank| (bank, digest(bank))).collect()
    }
}
