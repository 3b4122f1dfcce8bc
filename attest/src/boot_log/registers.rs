//! Events to PCR values.

use std::collections::BTreeMap;

use aws_lc_rs::digest::digest;

use super::event::{BootEvent, EventType};
use super::parse::BootLog;
use super::replay::ReplayError;
use crate::pcr::HashAlg;

/// PCRs of the PC Client profile.
const PCRS: usize = 24;
/// Longest digest of a bank that is known here: SHA-512's.
const LONGEST: usize = 64;

/// EV_NO_ACTION data that tells from which locality TPM2_Startup came, which is PCR 0's first value.
const STARTUP_LOCALITY: &[u8; 16] = b"StartupLocality\0";

/// The registers of one bank, from TPM2_Startup on. No event needs memory of its own.
#[derive(Debug, Clone)]
pub(super) struct Registers {
    bank: HashAlg,
    values: [[u8; LONGEST]; PCRS],
    /// A bit for each register that was extended, or that starts elsewhere than at zero.
    touched: u32,
}

impl Registers {
    /// Where the log leads in a bank, register by register.
    ///
    /// # Errors
    /// An event that one of the `wanted` registers needs has no digest for the bank.
    pub(super) fn replay(log: &BootLog<'_>, bank: HashAlg, wanted: Mask) -> Result<Self, ReplayError> {
        let mut all = Self {
            bank,
            values: [[0; LONGEST]; PCRS],
            touched: 0,
        };
        for event in log.events() {
            if !event.is_extended() {
                if let Some(locality) = startup_locality(event) {
                    all.start_at(locality);
                }
                continue;
            }
            // The parser lets no extended event through whose PCR is above 23.
            let Ok(index) = u8::try_from(event.pcr) else {
                continue;
            };
            if !wanted.has(index) {
                continue;
            }
            let Some(digest) = event.digest(bank) else {
                return Err(ReplayError::BankMissing {
                    bank,
                    event: Some(event.number),
                });
            };
            all.extend(index, digest);
        }
        Ok(all)
    }

    /// The value of a register.
    pub(super) fn value(&self, index: u8) -> &[u8] {
        self.values
            .get(usize::from(index))
            .and_then(|value| value.get(..self.bank.digest_len()))
            .unwrap_or_default()
    }

    /// Whether the log says anything of a register.
    pub(super) fn is_touched(&self, index: u8) -> bool {
        Mask(self.touched).has(index)
    }

    /// Extends a register.
    pub(super) fn extend(&mut self, index: u8, measured: &[u8]) {
        let length = self.bank.digest_len();
        let Some(value) = self
            .values
            .get_mut(usize::from(index))
            .and_then(|value| value.get_mut(..length))
        else {
            return;
        };
        let mut both = [0; 2 * LONGEST];
        let Some((old, rest)) = both.split_at_mut_checked(length) else {
            return;
        };
        let Some(new) = rest.get_mut(..measured.len()) else {
            return;
        };
        old.copy_from_slice(value);
        new.copy_from_slice(measured);
        let used = both
            .get(..length.saturating_add(measured.len()))
            .unwrap_or_default();
        value.copy_from_slice(digest(self.bank.algorithm(), used).as_ref());
        self.touched |= Mask::of(index).0;
    }

    /// A forged locality is no danger: PCR 0 then replays to another value.
    fn start_at(&mut self, locality: u8) {
        if self.is_touched(0) {
            return;
        }
        let last = self.bank.digest_len().saturating_sub(1);
        if let Some(byte) = self.values.first_mut().and_then(|value| value.get_mut(last)) {
            *byte = locality;
        }
        self.touched |= Mask::of(0).0;
    }

    /// Every register that the log says something of.
    pub(super) fn touched(&self) -> BTreeMap<u8, Vec<u8>> {
        (0..=23)
            .filter(|index| self.is_touched(*index))
            .map(|index| (index, self.value(index).to_vec()))
            .collect()
    }
}

/// A set of registers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mask(u32);

impl Mask {
    /// Every register.
    pub(super) const ALL: Self = Self(0x00ff_ffff);

    /// One register.
    pub(super) fn of(index: u8) -> Self {
        Self(1_u32.checked_shl(u32::from(index)).unwrap_or(0) & Self::ALL.0)
    }

    /// Both.
    pub(super) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a register is in it.
    pub(super) fn has(self, index: u8) -> bool {
        self.0 & Self::of(index).0 != 0
    }

    /// Whether none is.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

fn startup_locality(event: &BootEvent<'_>) -> Option<u8> {
    if event.kind != EventType::NO_ACTION {
        return None;
    }
    match event.data.strip_prefix(STARTUP_LOCALITY) {
        Some([locality]) => Some(*locality),
        _ => None,
    }
}
