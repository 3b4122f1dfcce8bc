//! Bytes to events.

use super::event::{BootEvent, EventType};
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
    #[error("the boot log is empty")]
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
    #[error("boot log header: bank {alg:#06x} with digests of {size} bytes is impossible or listed twice")]
    Bank {
        /// The algorithm.
        alg: u16,
        /// Its digest size as declared.
        size: u16,
    },
    /// The header lists no bank.
    #[error("boot log header: no bank is listed")]
    NoBanks,
    /// An event has a digest for a bank that the header does not list, or two for one bank.
    #[error(
        "boot log, event {event}: a digest for bank {alg:#06x}, which the header does not list or which came before"
    )]
    Digest {
        /// The event.
        event: usize,
        /// The algorithm.
        alg: u16,
    },
    /// An event was extended into a PCR that does not exist.
    #[error("boot log, event {event}: there is no PCR {pcr}")]
    Pcr {
        /// The event.
        event: usize,
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
        let mut log = match banks(&first)? {
            Some(banks) => Self {
                form: Form::CryptoAgile,
                banks,
                events: Vec::new(),
            },
            None => Self {
                form: Form::Sha1,
                banks: vec![Bank {
                    alg: HashAlg::Sha1.id(),
                    size: 20,
                }],
                events: Vec::new(),
            },
        };
        log.events.push(first);
        while !reader.is_empty() {
            let number = log.events.len();
            if number >= MAX_EVENTS {
                return Err(BootLogError::TooManyEvents);
            }
            let event = match log.form {
                Form::Sha1 => sha1_event(&mut reader, number)?,
                Form::CryptoAgile => agile_event(&mut reader, number, &log.banks)?,
            };
            log.events.push(event);
        }
        for event in &log.events {
            if event.is_extended() && event.pcr > LAST_PCR {
                return Err(BootLogError::Pcr {
                    event: event.number,
                    pcr: event.pcr,
                });
            }
        }
        Ok(log)
    }

    /// The form it has.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Its events in order, the header included.
    pub fn events(&self) -> &[BootEvent<'a>] {
        &self.events
    }

    /// Whether it has digests for a bank.
    pub fn has_bank(&self, bank: HashAlg) -> bool {
        self.banks.iter().any(|known| known.alg == bank.id())
    }
}

fn sha1_event<'a>(reader: &mut Reader<'a>, number: usize) -> Result<BootEvent<'a>, BootLogError> {
    let read = |source| BootLogError::Read {
        event: number,
        source,
    };
    let pcr = reader.u32_le("the PCR index").map_err(read)?;
    let kind = EventType(reader.u32_le("the event type").map_err(read)?);
    let digest = reader.take(20, "a SHA-1 digest").map_err(read)?;
    let data = reader.sized_u32_le(MAX_DATA, "the event data").map_err(read)?;
    Ok(BootEvent {
        number,
        pcr,
        kind,
        digests: vec![(HashAlg::Sha1, digest)],
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
    let pcr = reader.u32_le("the PCR index").map_err(read)?;
    let kind = EventType(reader.u32_le("the event type").map_err(read)?);
    let count = reader
        .count_u32_le(banks.len(), "the number of digests")
        .map_err(read)?;
    let mut digests = Vec::with_capacity(count);
    let mut seen: Vec<u16> = Vec::with_capacity(count);
    for _ in 0..count {
        let alg = reader.u16_le("a digest's algorithm").map_err(read)?;
        let bank = banks.iter().find(|bank| bank.alg == alg && !seen.contains(&alg));
        let Some(bank) = bank else {
            return Err(BootLogError::Digest { event: number, alg });
        };
        let digest = reader.take(usize::from(bank.size), "a digest").map_err(read)?;
        seen.push(alg);
        if let Some(known) = HashAlg::from_id(alg) {
            digests.push((known, digest));
        }
    }
    let data = reader.sized_u32_le(MAX_DATA, "the event data").map_err(read)?;
    Ok(BootEvent {
        number,
        pcr,
        kind,
        digests,
        data,
    })
}

/// The banks that a TCG_EfiSpecIDEvent lists; none if the event is no such header.
fn banks(first: &BootEvent<'_>) -> Result<Option<Vec<Bank>>, BootLogError> {
    let is_header = first.kind == EventType::NO_ACTION && first.data.starts_with(SPEC_ID_03);
    if !is_header {
        return Ok(None);
    }
    let read = |source| BootLogError::Read { event: 0, source };
    let mut reader = Reader::new(first.data);
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
        let alg = reader.u16_le("a bank's algorithm").map_err(read)?;
        let size = reader.u16_le("a bank's digest size").map_err(read)?;
        let wrong_size = HashAlg::from_id(alg).is_some_and(|known| known.digest_len() != usize::from(size));
        if wrong_size || size == 0 || size > MAX_DIGEST || banks.iter().any(|bank| bank.alg == alg) {
            return Err(BootLogError::Bank { alg, size });
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
