//! Entries to PCR 10, and the proof that a prefix of them is what the TPM signed.

use super::bank::{Extended, Measured, Running};
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
    by_sha1_alone: bool,
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
    /// Kernels since 5.8 extend each bank with that bank's own digest of the template data. Older ones, and newer ones in
    /// a bank whose algorithm they lack, extend it with the SHA-1 digest and zeros. That is understood as well, for a
    /// whole list only and for each bank from its first entry to its last; [`ReplayedImaLog::by_sha1_alone`] then says that
    /// nothing better than SHA-1 proves the list. Taking both forms gives an attacker nothing: a value that was extended
    /// with a bank's own digests is explained by padded ones only if each of those digests ends in zeros.
    ///
    /// # Errors
    /// It does not parse to its end, or no prefix leads there.
    pub fn replay(self, start: &Start, quoted: &QuotedPcrs) -> Result<ReplayedImaLog<'a>, ImaReplayError> {
        let mut signed: Vec<(&PcrValue, &PcrValue)> = Vec::new();
        for value in quoted.values().iter().filter(|value| value.index == IMA_PCR) {
            let from = start
                .pcr10
                .iter()
                .find(|from| from.bank == value.bank && from.index == IMA_PCR);
            signed.push((value, from.ok_or(ImaReplayError::NoStart(value.bank))?));
        }
        let Some((first, _)) = signed.first() else {
            return Err(ImaReplayError::NotQuoted);
        };
        let forms = |forms: &'static [Extended]| -> Vec<Running<'_>> {
            let mut all = Vec::new();
            for (to, from) in &signed {
                let of = |form: &Extended| Running::new(to.bank, *form, &from.digest, &to.digest);
                all.extend(forms.iter().map(of));
            }
            all
        };
        let banks: Vec<HashAlg> = signed.iter().map(|(value, _)| value.bank).collect();
        let mut native = forms(&[Extended::Native]);
        let mut walk = self.walk(&mut native, &banks, start.entries)?;
        let mut by_sha1_alone = banks.iter().all(|bank| *bank == HashAlg::Sha1);
        if walk.covered.is_none() && start.entries == 0 && !by_sha1_alone {
            let mut padded = forms(&[Extended::Native, Extended::Padded, Extended::PaddedButViolations]);
            walk = self.walk(&mut padded, &banks, start.entries)?;
            by_sha1_alone = walk.covered.is_some()
                && banks.iter().all(|bank| {
                    let native =
                        |running: &&Running<'_>| running.bank == *bank && running.form == Extended::Native;
                    *bank == HashAlg::Sha1 || !padded.iter().filter(native).any(Running::is_there)
                });
        }
        let Some(covered) = walk.covered else {
            return Err(ImaReplayError::Mismatch {
                bank: first.bank,
                quoted: hex::encode(&first.digest),
                replayed: native.first().map(Running::hex).unwrap_or_default(),
                entries: walk.read,
            });
        };
        Ok(ReplayedImaLog {
            list: self,
            first: start.entries,
            covered: start.entries.saturating_add(covered),
            uncovered: walk.read.saturating_sub(covered),
            listed: start.entries.saturating_add(walk.listed.max(covered)),
            pcr10: signed.iter().map(|(value, _)| (*value).clone()).collect(),
            by_sha1_alone,
        })
    }

    /// Extends until every bank is where it was signed in one of its forms; reads on to the end, so that what follows
    /// parses as well.
    fn walk(
        &self,
        running: &mut [Running<'_>],
        banks: &[HashAlg],
        before: u64,
    ) -> Result<Walk, ImaReplayError> {
        let there = |running: &[Running<'_>]| {
            banks.iter().all(|bank| {
                running
                    .iter()
                    .any(|running| running.bank == *bank && running.is_there())
            })
        };
        let mut walk = Walk {
            covered: there(running).then_some(0),
            read: 0,
            listed: 0,
        };
        let mut cursor = self.cursor();
        while let Some(entry) = cursor.next_entry()? {
            walk.read = walk.read.saturating_add(1);
            if entry.pcr != u32::from(IMA_PCR) {
                continue;
            }
            walk.listed = walk.read;
            if walk.covered.is_some() {
                continue;
            }
            let mut measured = Measured::new(&entry);
            for running in running.iter_mut() {
                if running.extend(&mut measured).is_none() {
                    return Err(ImaReplayError::UnknownInText {
                        entry: before.saturating_add(entry.number),
                        template: String::from_utf8_lossy(entry.template.name()).into_owned(),
                        bank: running.bank,
                    });
                }
            }
            walk.covered = there(running).then_some(walk.read);
        }
        Ok(walk)
    }
}

/// How far a walk came.
struct Walk {
    /// Entries up to where every bank was as signed.
    covered: Option<u64>,
    /// Entries in the slice.
    read: u64,
    /// Entries up to the last one for PCR 10.
    listed: u64,
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

    /// Whether only SHA-1 ties the list to the quote: no other bank was quoted, or the kernel extended the others with
    /// padded SHA-1 digests. Two entries can be made that share one.
    pub fn by_sha1_alone(&self) -> bool {
        self.by_sha1_alone
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
