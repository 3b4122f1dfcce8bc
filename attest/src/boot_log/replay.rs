//! Events to PCR values, and the proof that they are the quoted ones.

use std::collections::BTreeMap;

use super::event::{BootEvent, EventType};
use super::parse::BootLog;
use crate::pcr::HashAlg;
use crate::quote::QuotedPcrs;

/// The PCRs that a boot log explains: 0 to 7 are the firmware's, 8 and 9 the boot loader's and the kernel's EFI stub's,
/// 14 shim's. Others are extended later by the running system (10 by IMA, 11 to 13 and 15 by systemd), which does not
/// write into this log, so the log's events for them decide nothing.
pub const COVERED: [u8; 11] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14];

/// EV_NO_ACTION data that tells from which locality TPM2_Startup came, which is PCR 0's first value.
const STARTUP_LOCALITY: &[u8; 16] = b"StartupLocality\0";

/// Why a log does not explain the quoted PCRs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The log, or one of its events, has no digest for a quoted bank.
    #[error("the boot log has no {bank} digests{}", .event.map(|n| format!(" in event {n}")).unwrap_or_default())]
    BankMissing {
        /// The quoted bank.
        bank: HashAlg,
        /// The event without one, if others have it.
        event: Option<usize>,
    },
    /// The events lead somewhere else.
    #[error("PCR {bank}:{index} replays to {replayed}, but {quoted} was signed")]
    Mismatch {
        /// The bank.
        bank: HashAlg,
        /// The register.
        index: u8,
        /// Where the log leads, hex.
        replayed: String,
        /// What the TPM signed, hex.
        quoted: String,
    },
    /// The quote covers no PCR that a boot log explains.
    #[error("none of the PCRs that a boot log explains was quoted")]
    NothingQuoted,
}

/// A log that leads to exactly the quoted values of every quoted PCR in [`COVERED`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedBootLog<'a> {
    log: BootLog<'a>,
    covered: Vec<(HashAlg, u8)>,
}

impl<'a> BootLog<'a> {
    /// Where the log leads, for every PCR that it extends (and PCR 0, which may start elsewhere than at zero).
    ///
    /// # Errors
    /// An extended event has no digest for the bank.
    pub fn values(&self, bank: HashAlg) -> Result<BTreeMap<u8, Vec<u8>>, ReplayError> {
        let mut values: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
        for event in self.events() {
            if !event.is_extended() {
                let first = !values.contains_key(&0);
                if let (true, Some(locality)) = (first, startup_locality(event)) {
                    values.insert(0, initial(bank, locality));
                }
                continue;
            }
            // The parser lets no extended event through whose PCR is above 23.
            let Ok(index) = u8::try_from(event.pcr) else {
                continue;
            };
            let Some(digest) = event.digest(bank) else {
                return Err(ReplayError::BankMissing {
                    bank,
                    event: Some(event.number),
                });
            };
            let value = values.entry(index).or_insert_with(|| initial(bank, 0));
            bank.extend(value, digest);
        }
        Ok(values)
    }

    /// Goes on only if the log explains the quoted PCRs.
    ///
    /// # Errors
    /// The first quoted PCR that it does not explain.
    pub fn replay(self, quoted: &QuotedPcrs) -> Result<ReplayedBootLog<'a>, ReplayError> {
        let covered: Vec<(HashAlg, u8)> = quoted
            .values()
            .iter()
            .map(|value| (value.bank, value.index))
            .filter(|(_, index)| COVERED.contains(index))
            .collect();
        if covered.is_empty() {
            return Err(ReplayError::NothingQuoted);
        }
        for bank in HashAlg::ALL {
            let of_bank = || covered.iter().filter(|(alg, _)| *alg == bank);
            if of_bank().next().is_none() {
                continue;
            }
            if !self.has_bank(bank) {
                return Err(ReplayError::BankMissing { bank, event: None });
            }
            let values = self.values(bank)?;
            for (_, index) in of_bank() {
                let replayed = values.get(index).cloned().unwrap_or_else(|| initial(bank, 0));
                let signed = quoted.value(bank, *index).unwrap_or_default();
                if replayed != signed {
                    return Err(ReplayError::Mismatch {
                        bank,
                        index: *index,
                        replayed: hex::encode(replayed),
                        quoted: hex::encode(signed),
                    });
                }
            }
        }
        Ok(ReplayedBootLog { log: self, covered })
    }
}

impl<'a> ReplayedBootLog<'a> {
    /// Every event, proven or not.
    pub fn all_events(&self) -> &[BootEvent<'a>] {
        self.log.events()
    }

    /// The events whose digests the quoted value of a PCR proves; none if that PCR was not quoted.
    pub fn events_of(&self, bank: HashAlg, index: u8) -> impl Iterator<Item = &BootEvent<'a>> {
        let proven = self.covers(bank, index);
        self.log
            .events()
            .iter()
            .filter(move |event| proven && event.is_extended() && event.pcr == u32::from(index))
    }

    /// Whether the quote proves what the log says of a PCR in a bank.
    pub fn covers(&self, bank: HashAlg, index: u8) -> bool {
        self.covered.contains(&(bank, index))
    }

    /// What the quote proves of the log, in the order of the selection.
    pub fn covered(&self) -> &[(HashAlg, u8)] {
        &self.covered
    }
}

/// The value of a PCR after TPM2_Startup: zero, and for PCR 0 the locality in the last byte.
fn initial(bank: HashAlg, locality: u8) -> Vec<u8> {
    let mut value = vec![0; bank.digest_len()];
    if let Some(last) = value.last_mut() {
        *last = locality;
    }
    value
}

/// A forged locality is no danger: PCR 0 then replays to another value.
fn startup_locality(event: &BootEvent<'_>) -> Option<u8> {
    if event.kind != EventType::NO_ACTION {
        return None;
    }
    match event.data.strip_prefix(STARTUP_LOCALITY) {
        Some([locality]) => Some(*locality),
        _ => None,
    }
}
