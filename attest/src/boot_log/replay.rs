//! Events to PCR values, and the proof that they are the quoted ones.

use std::collections::BTreeMap;

use super::coverage::Coverage;
use super::event::BootEvent;
use super::parse::BootLog;
use super::registers::{Mask, Registers};
use crate::pcr::HashAlg;
use crate::quote::QuotedPcrs;

/// The PCRs that a boot log explains: 0 to 7 are the firmware's, 8 and 9 the boot loader's and the kernel's EFI stub's,
/// 14 shim's. A log that does not lead to the quoted value of one of these is no proof of anything.
pub const COVERED: [u8; 11] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14];

/// PCRs that boot loaders measure into and log (a unified kernel image and its stub, systemd-boot), and that the running
/// system may extend later without writing into this log. The log proves its events for them where it leads to the quoted
/// value, or for PCR 11 to that value after systemd's announced boot phases. Where it does not, nothing is said of them.
pub const OPTIONAL: [u8; 3] = [11, 12, 13];

/// What `systemd-pcrphase` extends PCR 11 with after the firmware's log has ended, in the order of a boot; a boot without
/// an initrd leaves out the first two (systemd, units/systemd-pcrphase*.service).
static PHASES: [&str; 6] = [
    "enter-initrd",
    "leave-initrd",
    "sysinit",
    "ready",
    "shutdown",
    "final",
];
const PHASES_OF_INITRD: usize = 2;

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
    coverage: Coverage,
    phases: &'static [&'static str],
}

impl<'a> BootLog<'a> {
    /// Where the log leads, for every PCR that it extends (and PCR 0, where it tells of its start).
    ///
    /// # Errors
    /// An extended event has no digest for the bank.
    pub fn values(&self, bank: HashAlg) -> Result<BTreeMap<u8, Vec<u8>>, ReplayError> {
        Ok(Registers::replay(self, bank, Mask::ALL)?.touched())
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
        let mut coverage = Coverage::default();
        let mut optional = Vec::new();
        for bank in HashAlg::ALL {
            let mut must = Mask::default();
            for (_, index) in covered.iter().filter(|(alg, _)| *alg == bank) {
                must = must.with(Mask::of(*index));
            }
            if must.is_empty() {
                continue;
            }
            if !self.has_bank(bank) {
                return Err(ReplayError::BankMissing { bank, event: None });
            }
            let registers = Registers::replay(&self, bank, must)?;
            for (_, index) in covered.iter().filter(|(alg, _)| *alg == bank) {
                let (replayed, signed) = (
                    registers.value(*index),
                    quoted.value(bank, *index).unwrap_or_default(),
                );
                if replayed != signed {
                    return Err(ReplayError::Mismatch {
                        bank,
                        index: *index,
                        replayed: hex::encode(replayed),
                        quoted: hex::encode(signed),
                    });
                }
                coverage.add(bank, *index);
            }
            optional.extend(OPTIONAL.into_iter().filter_map(|index| {
                let signed = quoted.value(bank, index)?;
                Some((index, phases_to(&self, bank, index, signed)?))
                    .map(|(index, phases)| (bank, index, phases))
            }));
        }
        // A register counts only if every quoted bank of it agrees, phases included.
        let mut phases: &'static [&'static str] = &[];
        for index in OPTIONAL {
            let quoted_banks = HashAlg::ALL
                .into_iter()
                .filter(|bank| quoted.value(*bank, index).is_some());
            let proven = || optional.iter().filter(move |(_, of, _)| *of == index);
            let mut reached = proven().map(|(_, _, phases)| *phases);
            let Some(first) = reached.next() else { continue };
            if proven().count() != quoted_banks.count() || reached.any(|other| other != first) {
                continue;
            }
            for (bank, _, _) in proven() {
                coverage.add(*bank, index);
            }
            if !first.is_empty() {
                phases = first;
            }
        }
        Ok(ReplayedBootLog {
            log: self,
            covered,
            coverage,
            phases,
        })
    }
}

/// The phases after which the log leads to the signed value, none of them if it does so by itself; `None` if it never does,
/// or says nothing of the register.
fn phases_to(log: &BootLog<'_>, bank: HashAlg, index: u8, signed: &[u8]) -> Option<&'static [&'static str]> {
    let registers = Registers::replay(log, bank, Mask::of(index)).ok()?;
    if !registers.is_touched(index) {
        return None;
    }
    if registers.value(index) == signed {
        return Some(&[]);
    }
    if index != 11 {
        return None;
    }
    let all: &'static [&'static str] = &PHASES;
    for path in [all, all.get(PHASES_OF_INITRD..)?] {
        let mut registers = registers.clone();
        for (count, phase) in (1_usize..).zip(path) {
            registers.extend(index, &bank.digest(phase.as_bytes()));
            if registers.value(index) == signed {
                return path.get(..count);
            }
        }
    }
    None
}

impl<'a> ReplayedBootLog<'a> {
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
        self.coverage.has(bank, index)
    }

    /// What the quote proves of the log, in the order of the selection; without the [`OPTIONAL`] registers.
    pub fn covered(&self) -> &[(HashAlg, u8)] {
        &self.covered
    }

    /// The phases that systemd announced in PCR 11 after this log had ended.
    pub fn boot_phases(&self) -> &'static [&'static str] {
        self.phases
    }

    pub(super) fn log(&self) -> &BootLog<'a> {
        &self.log
    }

    pub(crate) fn coverage(&self) -> &Coverage {
        &self.coverage
    }
}
