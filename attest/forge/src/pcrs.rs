//! The platform configuration registers of a TPM, bank by bank.

use std::collections::BTreeMap;

use crate::bank::Bank;

/// Number of PCRs of a PC client TPM.
pub const PCR_COUNT: u8 = 24;

/// One digest for each bank: what one extend feeds a TPM.
pub type Digests = BTreeMap<Bank, Vec<u8>>;

/// All PCRs of all banks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pcrs {
    banks: BTreeMap<Bank, Vec<Vec<u8>>>,
}

impl Pcrs {
    /// PCRs as after TPM2_Startup(CLEAR): all zero, except 17 to 22 which are all ones (PC Client Platform TPM
    /// Profile, "PCR Attributes"). `locality` is the last byte of PCR 0: 3 or 4 where the firmware started the TPM there.
    pub fn at_startup(banks: &[Bank], locality: u8) -> Pcrs {
        let bank_at_startup = |bank: Bank| {
            (0..PCR_COUNT)
                .map(|index| {
                    let fill = if (17..=22).contains(&index) { 0xFF } else { 0 };
                    let mut value = vec![fill; bank.digest_len()];
                    if index == 0
                        && let Some(last) = value.last_mut()
                    {
                        *last = locality;
                    }
                    value
                })
                .collect()
        };
        Pcrs {
            banks: banks.iter().map(|&bank| (bank, bank_at_startup(bank))).collect(),
        }
    }

    /// The banks, in the order of their TCG numbers.
    pub fn banks(&self) -> Vec<Bank> {
        self.banks.keys().copied().collect()
    }

    /// The value of one PCR; `None` for an absent bank or index.
    pub fn value(&self, bank: Bank, index: u8) -> Option<&[u8]> {
        Some(self.banks.get(&bank)?.get(usize::from(index))?.as_slice())
    }

    /// Extends one PCR in each bank that `digests` has; banks that this TPM does not have are passed over, as TPMs do.
    pub fn extend(&mut self, index: u8, digests: &Digests) {
        for (&bank, digest) in digests {
            if let Some(value) = self
                .banks
                .get_mut(&bank)
                .and_then(|all| all.get_mut(usize::from(index)))
            {
                *value = bank.hash(&[value, digest]);
            }
        }
    }

    /// Overwrites one PCR: for tests that need a TPM whose values no log explains.
    pub fn force(&mut self, bank: Bank, index: u8, digest: Vec<u8>) {
        if let Some(value) = self
            .banks
            .get_mut(&bank)
            .and_then(|all| all.get_mut(usize::from(index)))
        {
            *value = digest;
        }
    }

    /// Every value, ordered by bank and index.
    pub fn iter(&self) -> impl Iterator<Item = (Bank, u8, &[u8])> {
        self.banks.iter().flat_map(|(&bank, values)| {
            (0..PCR_COUNT)
                .zip(values)
                .map(move |(index, value)| (bank, index, value.as_slice()))
        })
    }
}
