//! Which bytes a measured digest covers.

use aws_lc_rs::digest::digest;

use super::event::BootEvent;
use super::registers::Mask;
use crate::pcr::HashAlg;

/// The registers, bank by bank, whose events are proven.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Coverage([Mask; HashAlg::ALL.len()]);

impl Coverage {
    pub(super) fn add(&mut self, bank: HashAlg, index: u8) {
        if let Some((_, mask)) = HashAlg::ALL
            .into_iter()
            .zip(&mut self.0)
            .find(|(alg, _)| *alg == bank)
        {
            *mask = mask.with(Mask::of(index));
        }
    }

    /// Whether a register is proven in a bank.
    pub(crate) fn has(&self, bank: HashAlg, index: u8) -> bool {
        self.banks(index).any(|covered| covered == bank)
    }

    /// The banks in which a register is proven, strongest first: what does not match fails early.
    pub(crate) fn banks(&self, index: u8) -> impl Iterator<Item = HashAlg> + use<> {
        HashAlg::ALL
            .into_iter()
            .zip(self.0)
            .rev()
            .filter(move |(_, mask)| mask.has(index))
            .map(|(bank, _)| bank)
    }

    /// The bank that claims name digests in: SHA-256 where it is proven, as that is what people compare; else the
    /// strongest.
    pub(crate) fn shown_bank(&self, index: u8) -> Option<HashAlg> {
        if self.has(HashAlg::Sha256, index) {
            return Some(HashAlg::Sha256);
        }
        self.banks(index).next()
    }

    /// Whether an event's digest in every proven bank is the digest of exactly these bytes. One bank is not enough: an
    /// event whose banks cover different things says nothing.
    pub(crate) fn covers(&self, event: &BootEvent<'_>, bytes: &[u8]) -> bool {
        let Ok(index) = u8::try_from(event.pcr) else {
            return false;
        };
        let mut banks = self.banks(index).peekable();
        banks.peek().is_some()
            && banks.all(|bank| {
                event
                    .digest(bank)
                    .is_some_and(|measured| digest(bank.algorithm(), bytes).as_ref() == measured)
            })
    }
}
