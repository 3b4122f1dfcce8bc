//! Entries to PCR 10, and the proof that a prefix of them is what the TPM signed.

use super::entry::ImaEntry;
use super::list::{ImaError, ImaList};
use crate::pcr::{HashAlg, PcrValue};
use crate::quote::QuotedPcrs;

/// The PCR that IMA extends (CONFIG_IMA_MEASURE_PCR_IDX, 10 in every distribution).
pub const IMA_PCR: u8 = 10;

/// Where a slice of the list starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Entries before the slice.
    pub entries: u64,
    /// PCR 10 after those, in every bank that is quoted.
    pub pcr10: Vec<PcrValue>,
}

/// Why a list does not explain the quoted PCR 10.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImaReplayError {
    /// The bytes are no list.
    #[error("{0}")]
    Form(#[from] ImaError),
    /// PCR 10 was not quoted.
    #[error("PCR 10 was not quoted")]
    NotQuoted,
    /// The start has no value for a quoted bank.
    #[error("there is no earlier value of PCR 10 in the {0} bank to go on from")]
    NoStart(HashAlg),
    /// A text list does not tell what an entry of an unknown template extends into this bank.
    #[error("entry {entry} has the template {template}, whose {bank} digest a text list does not tell")]
    UnknownInText {
        /// The entry, counted from the list's start.
        entry: u64,
        /// Its template.
        template: String,
        /// The bank.
        bank: HashAlg,
    },
    /// No prefix leads to the quoted value.
    #[error(
        "PCR {bank}:10 is {quoted}, which none of the {entries} prefixes of the list leads to; all of it leads to {replayed}"
    )]
    Mismatch {
        /// A quoted bank.
        bank: HashAlg,
        /// What the TPM signed, hex.
        quoted: String,
        /// Where the whole list leads, hex.
        replayed: String,
        /// Entries in the slice.
        entries: u64,
    },
}

/// A list of which a prefix leads to exactly the quoted PCR 10, in every quoted bank at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayedImaLog<'a> {
    list: ImaList<'a>,
    first: u64,
    covered: u64,
    uncovered: u64,
    listed: u64,
    pcr10: Vec<PcrValue>,
}

impl Start {
    /// The beginning of the list: PCR 10 at its reset value.
    pub fn of_boot(quoted: &QuotedPcrs) -> Self {
        let zero = |value: &PcrValue| PcrValue {
            bank: value.bank,
            index: IMA_PCR,
            digest: vec![0; value.bank.digest_len()],
        };
        Self {
            entries: 0,
            pcr10: quoted
                .values()
                .iter()
                .filter(|value| value.index == IMA_PCR)
                .map(zero)
                .collect(),
        }
    }
}

impl<'a> ImaList<'a> {
    /// Goes on only if a prefix of the list explains the quoted PCR 10.
    ///
    /// # Errors
    /// It does not parse to its end, or no prefix leads there.
    pub fn replay(self, start: &Start, quoted: &QuotedPcrs) -> Result<ReplayedImaLog<'a>, ImaReplayError> {
        let mut banks: Vec<Running<'_>> = Vec::new();
        for signed in quoted.values().iter().filter(|value| value.index == IMA_PCR) {
            let from = start
                .pcr10
                .iter()
                .find(|value| value.bank == signed.bank && value.index == IMA_PCR);
            let from = from.ok_or(ImaReplayError::NoStart(signed.bank))?;
            banks.push(Running {
                bank: signed.bank,
                now: from.digest.clone(),
                signed: &signed.digest,
            });
        }
        let Some(first_bank) = banks.first() else {
            return Err(ImaReplayError::NotQuoted);
        };
        let (bank, signed) = (first_bank.bank, first_bank.signed);

        let mut covered = there(&banks).then_some(0_u64);
        let (mut read, mut listed) = (0_u64, 0_u64);
        let mut cursor = self.cursor();
        while let Some(entry) = cursor.next_entry()? {
            read = read.saturating_add(1);
            if entry.pcr != u32::from(IMA_PCR) {
                continue;
            }
            listed = read;
            if covered.is_some() {
                continue;
            }
            for running in &mut banks {
                running.extend(&entry, start.entries)?;
            }
            covered = there(&banks).then_some(read);
        }
        let Some(covered) = covered else {
            let replayed = banks
                .first()
                .map(|running| hex::encode(&running.now))
                .unwrap_or_default();
            return Err(ImaReplayError::Mismatch {
                bank,
                quoted: hex::encode(signed),
                replayed,
                entries: read,
            });
        };
        Ok(ReplayedImaLog {
            list: self,
            first: start.entries,
            covered: start.entries.saturating_add(covered),
            uncovered: read.saturating_sub(covered),
            listed: start.entries.saturating_add(listed.max(covered)),
            pcr10: quoted
                .values()
                .iter()
                .filter(|value| value.index == IMA_PCR)
                .cloned()
                .collect(),
        })
    }
}

impl ReplayedImaLog<'_> {
    /// Entries before the slice.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Entries from the list's start that the quote covers.
    pub fn covered(&self) -> u64 {
        self.covered
    }

    /// Entries behind those.
    pub fn uncovered(&self) -> u64 {
        self.uncovered
    }

    /// Entries from the list's start to the last one for PCR 10, covered or not.
    pub fn listed(&self) -> u64 {
        self.listed
    }

    /// PCR 10 after the covered entries, as signed.
    pub fn pcr10(&self) -> &[PcrValue] {
        &self.pcr10
    }

    /// Calls `look` for every covered entry of the slice, with its number counted from the list's start. Entries for
    /// other PCRs lie among them; PCR 10 does not prove those.
    pub fn each_covered(&self, look: &mut dyn FnMut(u64, &ImaEntry<'_>)) {
        let mut cursor = self.list.cursor();
        for number in self.first..self.covered {
            // The list was read to its end before, so this neither fails nor ends early.
            let Ok(Some(entry)) = cursor.next_entry() else {
                return;
            };
            look(number, &entry);
        }
    }
}

struct Running<'q> {
    bank: HashAlg,
    now: Vec<u8>,
    signed: &'q [u8],
}

impl Running<'_> {
    fn extend(&mut self, entry: &ImaEntry<'_>, before: u64) -> Result<(), ImaReplayError> {
        let Some(measured) = entry.measured(self.bank) else {
            let template = match entry.template {
                super::Template::Unknown(name) => String::from_utf8_lossy(name).into_owned(),
                _ => String::new(),
            };
            return Err(ImaReplayError::UnknownInText {
                entry: before.saturating_add(entry.number),
                template,
                bank: self.bank,
            });
        };
        self.bank.extend(&mut self.now, &measured);
        Ok(())
    }
}

fn there(banks: &[Running<'_>]) -> bool {
    banks.iter().all(|running| running.now == running.signed)
}
