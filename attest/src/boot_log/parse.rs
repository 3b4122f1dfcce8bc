//! Bytes to events.

use super::event::{BootEvent, Digests, EventType};
use crate::pcr::HashAlg;
use crate::reader::{ReadError, Reader};

/// Most events in a log. Real servers log 50 to 300; firmware's log areas hold at most a few thousand.
const MAX_EVENTS: usize = 16_384;
/// Most banks in a log: the TPM library's TPML_DIGEST_VALUES has room for HASH_COUNT, which no implementation sets above 16.
const MAX_BANKS: usize = 16;
/// Most bytes of one event's data. The largest that we know are signature databases (dbx) below 64 KiB and ACPI tables.
const MAX_DATA: usize = 4 * 1024 * 1024;
/// Largest digest that a bank may declare: SHA-512's, the largest in the TCG's registry.
const MAX_DIGEST: u16 = 64;
/// The highest PCR of the PC Client profile.
const LAST_PCR: u32 = 23;

/// Where the first event's data begins: behind PCR index, type, SHA-1 digest and size.
const HEADER_DATA: usize = 32;
/// Fewest bytes that are taken for unused log memory: less than this may be the beginning of a cut event of PCR 0.
const MIN_PADDING: usize = 16;
/// Bytes of a log for each event that room is made for at once.
const TYPICAL_EVENT: usize = 128;

const SPEC_ID_03: &[u8; 16] = b"Spec ID Event03\0";

/// Which of the TCG's two forms a log has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// TCG 1.2: SHA-1 digests only.
    Sha1,
    /// TCG 2.0: a header, then a digest for each bank.
    CryptoAgile,
}

/// Why bytes are no boot log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BootLogError {
    /// The log is empty.
    #[error("at byte 0: expected the first event of a boot log, but the log is empty")]
    Empty,
    /// The bytes end early or declare too much.
    #[error("boot log, event {event}: {source}")]
    Read {
        /// The event being read.
        event: usize,
        /// What was wrong.
        #[source]
        source: ReadError,
    },
    /// The header lists a bank twice, or none, or one with an impossible digest size.
    #[error(
        "boot log header: at byte {offset}: expected a bank, but {alg:#06x} with digests of {size} bytes is impossible or listed twice"
    )]
    Bank {
        /// Where it stands.
        offset: usize,
        /// The algorithm.
        alg: u16,
        /// Its digest size as declared.
        size: u16,
    },
    /// The header lists no bank.
    #[error("boot log header: at byte 56: expected at least one bank, none is listed")]
    NoBanks,
    /// An event has a digest for a bank that the header does not list, or two for one bank.
    #[error(
        "boot log, event {event}: at byte {offset}: expected a digest of another bank that the header lists, not {alg:#06x}"
    )]
    Digest {
        /// The event.
        event: usize,
        /// Where the algorithm stands.
        offset: usize,
        /// The algorithm.
        alg: u16,
    },
    /// An event was extended into a PCR that does not exist.
    #[error("boot log, event {event}: at byte {offset}: expected a PCR index of 0 to {LAST_PCR}, not {pcr}")]
    Pcr {
        /// The event.
        event: usize,
        /// Where it begins.
        offset: usize,
        /// As logged.
        pcr: u32,
    },
    /// More events than any firmware logs.
    #[error("boot log: more than {MAX_EVENTS} events")]
    TooManyEvents,
}

/// A whole log, unproven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootLog<'a> {
    form: Form,
    banks: Vec<Bank>,
    events: Vec<BootEvent<'a>>,
    padding: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bank {
    alg: u16,
    size: u16,
}

impl<'a> BootLog<'a> {
    /// Reads a log to its last byte.
    ///
    /// # Errors
    /// The first thing that is not as the TCG's profile says.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BootLogError> {
        if bytes.is_empty() {
            return Err(BootLogError::Empty);
        }
        let mut reader = Reader::new(bytes);
        // The first event has the old form in both kinds of log; its data tells which kind it is.
        let first = sha1_event(&mut reader, 0)?;
        let (form, banks) = match banks(&first, bytes)? {
            Some(banks) => (Form::CryptoAgile, banks),
            None => {
                let sha1 = Bank {
                    alg: HashAlg::Sha1.id(),
                    size: 20,
                };
                (Form::Sha1, vec![sha1])
            }
        };
        let mut log = Self {
            form,
            banks,
            events: Vec::with_capacity(bytes.len().div_euclid(TYPICAL_EVENT).min(MAX_EVENTS)),
            padding: 0,
        };
        log.push(first)?;
        let fill = fill(bytes);
        while !reader.is_empty() {
            if (MIN_PADDING..=fill).contains(&reader.remaining()) {
                log.padding = reader.remaining();
                break;
            }
            let number = log.events.len();
            let event = match log.form {
                Form::Sha1 => sha1_event(&mut reader, number)?,
                Form::CryptoAgile => agile_event(&mut reader, number, &log.banks)?,
            };
            log.push(event)?;
        }
        Ok(log)
    }

    fn push(&mut self, event: BootEvent<'a>) -> Result<(), BootLogError> {
        if self.events.len() >= MAX_EVENTS {
            return Err(BootLogError::TooManyEvents);
        }
        if event.is_extended() && event.pcr > LAST_PCR {
            return Err(BootLogError::Pcr {
                event: event.number,
                offset: event.offset,
                pcr: event.pcr,
            });
        }
        self.events.push(event);
        Ok(())
    }

    /// The form it has.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Its events in order, the header included.
    pub fn events(&self) -> &[BootEvent<'a>] {
        &self.events
    }

    /// Bytes behind the last event, all zero or all ones: unused log memory. They say nothing.
    pub fn padding(&self) -> usize {
        self.padding
    }

    /// The banks that it has digests for, as far as they are known here.
    pub fn known_banks(&self) -> impl Iterator<Item = HashAlg> {
        HashAlg::ALL.into_iter().filter(|bank| self.has_bank(*bank))
    }

    /// The TPM_ALG_ID of banks that are not known here; their digests were passed over by the size that the header declares.
    pub fn unknown_banks(&self) -> impl Iterator<Item = u16> {
        self.banks
            .iter()
            .map(|bank| bank.alg)
            .filter(|alg| HashAlg::from_id(*alg).is_none())
    }

    /// Whether it has digests for a bank.
    pub fn has_bank(&self, bank: HashAlg) -> bool {
        self.banks.iter().any(|known| known.alg == bank.id())
    }
}

/// Unused log memory: the kernel ends a log there by its own, a dump of the firmware's log area has it. An event cannot be
/// mistaken for it: its type would be EV_PREBOOT_CERT, which nobody extends, without a digest, or one that does not exist.
/// Returned is how many equal bytes, all zero or all ones, the log ends with; looked at once, for a log of zeros is also
/// one of many events.
fn fill(bytes: &[u8]) -> usize {
    match bytes.last() {
        Some(last) if matches!(last, 0 | 0xff) => bytes.iter().rev().take_while(|byte| *byte == last).count(),
        _ => 0,
    }
}

fn sha1_event<'a>(reader: &mut Reader<'a>, number: usize) -> Result<BootEvent<'a>, BootLogError> {
    let read = |source| BootLogError::Read {
        event: number,
        source,
    };
    let offset = reader.offset();
    let pcr = reader.u32_le("the PCR index").map_err(read)?;
    let kind = EventType(reader.u32_le("the event type").map_err(read)?);
    let mut digests = Digests::default();
    digests.set(HashAlg::Sha1, reader.take(20, "a SHA-1 digest").map_err(read)?);
    let data = reader.sized_u32_le(MAX_DATA, "the event data").map_err(read)?;
    Ok(BootEvent {
        number,
        offset,
        pcr,
        kind,
        digests,
        data,
    })
}

fn agile_event<'a>(
    reader: &mut Reader<'a>,
    number: usize,
    banks: &[Bank],
) -> Result<BootEvent<'a>, BootLogError> {
    let read = |source| BootLogError::Read {
        event: number,
        source,
    };
    let offset = reader.offset();
    let pcr = reader.u32_le("the PCR index").map_err(read)?;
    let kind = EventType(reader.u32_le("the event type").map_err(read)?);
    let count = reader
        .count_u32_le(banks.len(), "the number of digests")
        .map_err(read)?;
    let mut digests = Digests::default();
    // Banks that had their digest, as bits; MAX_BANKS has room in them.
    let mut seen = 0_u32;
    for _ in 0..count {
        let at = reader.offset();
        let alg = reader.u16_le("a digest's algorithm").map_err(read)?;
        let bank = (0_u32..)
            .zip(banks)
            .find(|(place, bank)| bank.alg == alg && seen & 1_u32.wrapping_shl(*place) == 0);
        let Some((place, bank)) = bank else {
            return Err(BootLogError::Digest {
                event: number,
                offset: at,
                alg,
            });
        };
        let digest = reader.take(usize::from(bank.size), "a digest").map_err(read)?;
        seen |= 1_u32.wrapping_shl(place);
        if let Some(known) = HashAlg::from_id(alg) {
            digests.set(known, digest);
        }
    }
    let data = reader.sized_u32_le(MAX_DATA, "the event data").map_err(read)?;
    Ok(BootEvent {
        number,
        offset,
        pcr,
        kind,
        digests,
        data,
    })
}

/// The banks that a TCG_EfiSpecIDEvent lists; none if the event is no such header.
fn banks(first: &BootEvent<'_>, bytes: &[u8]) -> Result<Option<Vec<Bank>>, BootLogError> {
    let is_header = first.kind == EventType::NO_ACTION && first.data.starts_with(SPEC_ID_03);
    if !is_header {
        return Ok(None);
    }
    let read = |source| BootLogError::Read { event: 0, source };
    // Read again from the log's first byte, so that offsets in errors count from there.
    let mut outer = Reader::new(bytes);
    outer.take(HEADER_DATA, "the header").map_err(read)?;
    let mut reader = outer.sub(first.data.len(), "the header").map_err(read)?;
    reader
        .take(SPEC_ID_03.len(), "the header's signature")
        .map_err(read)?;
    // platformClass, specVersionMinor, specVersionMajor, specErrata, uintnSize: nothing depends on them.
    reader.take(8, "the header's version").map_err(read)?;
    let count = reader
        .count_u32_le(MAX_BANKS, "the number of banks")
        .map_err(read)?;
    let mut banks: Vec<Bank> = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = reader.offset();
        let alg = reader.u16_le("a bank's algorithm").map_err(read)?;
        let size = reader.u16_le("a bank's digest size").map_err(read)?;
        let wrong_size = HashAlg::from_id(alg).is_some_and(|known| known.digest_len() != usize::from(size));
        if wrong_size || size == 0 || size > MAX_DIGEST || banks.iter().any(|bank| bank.alg == alg) {
            return Err(BootLogError::Bank { offset, alg, size });
        }
        banks.push(Bank { alg, size });
    }
    let vendor = reader.u8("the size of the vendor's data").map_err(read)?;
    reader
        .take(usize::from(vendor), "the vendor's data")
        .map_err(read)?;
    reader.finish("the header").map_err(read)?;
    if banks.is_empty() {
        Err(BootLogError::NoBanks)
    } else {
        Ok(Some(banks))
    }
}
