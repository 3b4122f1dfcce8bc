//! PCR 10 of one bank on its way through the list.

use aws_lc_rs::digest::{self, Digest};

use super::entry::ImaEntry;
use crate::pcr::HashAlg;

/// The largest digest.
const MAX_DIGEST: usize = 64;

/// What a kernel extends a bank with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extended {
    /// The bank's own digest of the template data; ones for a violation (since 5.8).
    Native,
    /// The SHA-1 digest and zeros; for a violation 20 bytes of ones and zeros (before 5.8).
    Padded,
    /// The SHA-1 digest and zeros, but a violation's ones over the whole width (since 5.8, in a bank whose algorithm the
    /// kernel lacks).
    PaddedButViolations,
}

/// An entry's digests, each made once for all banks and forms that need it.
pub(super) struct Measured<'e> {
    entry: &'e ImaEntry<'e>,
    sha1: Option<Digest>,
}

impl<'e> Measured<'e> {
    pub(super) fn new(entry: &'e ImaEntry<'e>) -> Self {
        Self { entry, sha1: None }
    }

    fn digest(&mut self, alg: HashAlg) -> Option<Digest> {
        if alg != HashAlg::Sha1 {
            return self.entry.digest(alg);
        }
        if self.sha1.is_none() {
            self.sha1 = self.entry.digest(alg);
        }
        self.sha1
    }

    /// What is extended into `bank`; none where a text list does not tell.
    pub(super) fn extend(&mut self, bank: HashAlg, form: Extended, to: &mut [u8]) -> Option<()> {
        let sha1 = HashAlg::Sha1.digest_len();
        let (padded, ones) = match form {
            Extended::Native => (false, to.len()),
            Extended::Padded => (true, sha1),
            Extended::PaddedButViolations => (true, to.len()),
        };
        to.fill(0);
        if self.entry.violation {
            to.iter_mut().take(ones).for_each(|byte| *byte = 0xff);
            return Some(());
        }
        let digest = self.digest(if padded { HashAlg::Sha1 } else { bank })?;
        to.get_mut(..digest.as_ref().len())?
            .copy_from_slice(digest.as_ref());
        Some(())
    }
}

/// One bank, one form: where PCR 10 is now, and where it shall come to.
#[derive(Debug, Clone)]
pub(super) struct Running<'q> {
    pub(super) bank: HashAlg,
    pub(super) form: Extended,
    /// The value, and behind it the room for what is extended: one piece to hash.
    state: [u8; 2 * MAX_DIGEST],
    signed: &'q [u8],
}

impl<'q> Running<'q> {
    pub(super) fn new(bank: HashAlg, form: Extended, from: &[u8], signed: &'q [u8]) -> Self {
        let mut state = [0; 2 * MAX_DIGEST];
        for (to, byte) in state.iter_mut().take(bank.digest_len()).zip(from) {
            *to = *byte;
        }
        Self {
            bank,
            form,
            state,
            signed,
        }
    }

    pub(super) fn is_there(&self) -> bool {
        self.value() == self.signed
    }

    pub(super) fn value(&self) -> &[u8] {
        self.state.get(..self.bank.digest_len()).unwrap_or_default()
    }

    pub(super) fn hex(&self) -> String {
        hex::encode(self.value())
    }

    /// Extends by an entry; none where a text list does not tell what by.
    pub(super) fn extend(&mut self, measured: &mut Measured<'_>) -> Option<()> {
        let size = self.bank.digest_len();
        let both = self.state.get_mut(..size.checked_mul(2)?)?;
        measured.extend(self.bank, self.form, both.get_mut(size..)?)?;
        let now = digest::digest(self.bank.algorithm(), both);
        both.get_mut(..size)?.copy_from_slice(now.as_ref());
        Some(())
    }
}
