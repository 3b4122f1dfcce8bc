//! Entries to PCR 10, and the proof that a prefix of them is what the TPM signed.

use super::bank::{Extended, Measured, Running};
use super::boot_aggregate::BOOT_AGGREGATE;
use super::entry::ImaEntry;
use super::list::{Cursor, ImaError, ImaList, Kept};
use crate::pcr::{self, HashAlg, PcrValue};
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
    /// SHA-256 of the last one's template data; zeros where there is none.
    pub last_entry: [u8; 32],
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
    /// The list's head is not there, and no earlier round covers it.
    #[error(
        "the list's head is missing: it is said to begin at entry {first}, and its first entry is not boot_aggregate or does not stand at 0"
    )]
    Headless {
        /// Where whoever sent it says that it begins.
        first: u64,
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
    /// Where the covered entries of the slice are.
    kept: Kept,
    last_entry: [u8; 32],
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
            last_entry: [0; 32],
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
        let signed = Signed::new(start, quoted)?;
        let mut native = signed.running(&[Extended::Native]);
        let mut walk = self.walk(self.cursor(), &mut native, &signed.banks(), start)?;
        let mut by_sha1_alone = signed.banks().iter().all(|bank| *bank == HashAlg::Sha1);
        if walk.covered.is_none() && start.entries == 0 && !by_sha1_alone {
            let forms = [Extended::Native, Extended::Padded, Extended::PaddedButViolations];
            let mut padded = signed.running(&forms);
            walk = self.walk(self.cursor(), &mut padded, &signed.banks(), start)?;
            by_sha1_alone = walk.covered.is_some() && signed.only_padded(&padded);
        }
        let Some(covered) = walk.covered else {
            return Err(signed.mismatch(&native, &walk));
        };
        Ok(self.proven(start, &signed, walk, covered, by_sha1_alone))
    }

    /// The same for a list whose head the kernel trimmed, at a place that nobody told: the entries behind the one that the
    /// start ended with lead from the start's value to the quoted one. What stands before that place is not looked at; it
    /// was covered before.
    ///
    /// # Errors
    /// It does not parse to its end, or no prefix behind such a place leads there.
    pub fn replay_behind(
        self,
        start: &Start,
        quoted: &QuotedPcrs,
    ) -> Result<ReplayedImaLog<'a>, ImaReplayError> {
        let signed = Signed::new(start, quoted)?;
        let by_sha1_alone = signed.banks().iter().all(|bank| *bank == HashAlg::Sha1);
        let mut places = 0_usize;
        let mut cursor = self.cursor();
        let mut skipped = 0_u64;
        let mut mismatch = None;
        loop {
            // Before the first entry, for a list that was trimmed up to the start exactly; then behind each candidate.
            if places > 0 || skipped == 0 {
                let mut running = signed.running(&[Extended::Native]);
                let walk = self.walk(cursor.clone(), &mut running, &signed.banks(), start)?;
                if let Some(covered) = walk.covered {
                    return Ok(self.proven(start, &signed, walk, covered, by_sha1_alone));
                }
                mismatch.get_or_insert_with(|| signed.mismatch(&running, &walk));
            }
            loop {
                let Some(entry) = cursor.next_entry()? else {
                    return Err(mismatch.unwrap_or(ImaReplayError::NotQuoted));
                };
                skipped = skipped.saturating_add(1);
                if entry.pcr == u32::from(IMA_PCR) && fingerprint(&entry) == start.last_entry {
                    break;
                }
            }
            places = places.saturating_add(1);
            if places > MAX_PLACES {
                return Err(mismatch.unwrap_or(ImaReplayError::NotQuoted));
            }
        }
    }

    /// Whether it begins with something else than `boot_aggregate`, as every whole list does.
    pub fn is_headless(&self) -> bool {
        let mut cursor = self.cursor();
        while let Ok(Some(entry)) = cursor.next_entry() {
            if entry.pcr == u32::from(IMA_PCR) {
                return entry.fields.is_none_or(|fields| fields.path != BOOT_AGGREGATE);
            }
        }
        false
    }

    fn proven(
        self,
        start: &Start,
        signed: &Signed<'_>,
        walk: Walk,
        covered: u64,
        by_sha1_alone: bool,
    ) -> ReplayedImaLog<'a> {
        ReplayedImaLog {
            list: self,
            first: start.entries,
            covered: start.entries.saturating_add(covered),
            uncovered: walk.read.saturating_sub(covered),
            listed: start.entries.saturating_add(walk.listed.max(covered)),
            pcr10: signed.0.iter().map(|(value, _)| (*value).clone()).collect(),
            by_sha1_alone,
            kept: walk.kept,
            last_entry: walk.last_entry,
        }
    }

    /// Extends until every bank is where it was signed in one of its forms; reads on to the end, so that what follows
    /// parses as well.
    fn walk(
        &self,
        cursor: Cursor<'_>,
        running: &mut [Running<'_>],
        banks: &[HashAlg],
        start: &Start,
    ) -> Result<Walk, ImaReplayError> {
        let there = |running: &[Running<'_>]| {
            banks.iter().all(|bank| {
                running
                    .iter()
                    .any(|running| running.bank == *bank && running.is_there())
            })
        };
        let (mut cursor, kept) = cursor.keeper();
        let mut walk = Walk {
            kept,
            covered: there(running).then_some(0),
            read: 0,
            listed: 0,
            last_entry: start.last_entry,
        };
        while let Some(entry) = cursor.next_entry()? {
            walk.read = walk.read.saturating_add(1);
            let extends = entry.pcr == u32::from(IMA_PCR);
            if extends {
                walk.listed = walk.read;
            }
            if walk.covered.is_some() {
                continue;
            }
            if !extends {
                cursor.keep();
                continue;
            }
            let mut measured = Measured::new(&entry);
            for running in running.iter_mut() {
                if running.extend(&mut measured).is_none() {
                    return Err(ImaReplayError::UnknownInText {
                        entry: start.entries.saturating_add(walk.read).saturating_sub(1),
                        template: String::from_utf8_lossy(entry.template.name()).into_owned(),
                        bank: running.bank,
                    });
                }
            }
            walk.covered = there(running).then_some(walk.read);
            if walk.covered.is_some() {
                walk.last_entry = fingerprint(&entry);
            }
            cursor.keep();
        }
        cursor.into_kept(&mut walk.kept);
        Ok(walk)
    }
}

/// How far a walk came.
struct Walk {
    /// The entries up to there.
    kept: Kept,
    /// Entries up to where every bank was as signed.
    covered: Option<u64>,
    /// Entries in the slice.
    read: u64,
    /// Entries up to the last one for PCR 10.
    listed: u64,
    /// Of the last covered entry.
    last_entry: [u8; 32],
}

/// The quoted values of PCR 10, each with where its bank starts.
struct Signed<'q>(Vec<(&'q PcrValue, &'q PcrValue)>);

impl<'q> Signed<'q> {
    fn new(start: &'q Start, quoted: &'q QuotedPcrs) -> Result<Self, ImaReplayError> {
        let mut signed = Vec::new();
        for value in quoted.values().iter().filter(|value| value.index == IMA_PCR) {
            let from = start
                .pcr10
                .iter()
                .find(|from| from.bank == value.bank && from.index == IMA_PCR);
            signed.push((value, from.ok_or(ImaReplayError::NoStart(value.bank))?));
        }
        if signed.is_empty() {
            return Err(ImaReplayError::NotQuoted);
        }
        Ok(Self(signed))
    }

    fn banks(&self) -> Vec<HashAlg> {
        self.0.iter().map(|(value, _)| value.bank).collect()
    }

    fn running(&self, forms: &[Extended]) -> Vec<Running<'q>> {
        let mut all = Vec::new();
        for (to, from) in &self.0 {
            let of = |form: &Extended| Running::new(to.bank, *form, &from.digest, &to.digest);
            all.extend(forms.iter().map(of));
        }
        all
    }

    /// Whether no bank but SHA-1 came there by its own digests.
    fn only_padded(&self, running: &[Running<'_>]) -> bool {
        running
            .iter()
            .filter(|running| running.bank != HashAlg::Sha1 && running.form == Extended::Native)
            .all(|running| !running.is_there())
    }

    fn mismatch(&self, running: &[Running<'_>], walk: &Walk) -> ImaReplayError {
        match (self.0.first(), running.first()) {
            (Some((value, _)), Some(running)) => ImaReplayError::Mismatch {
                bank: value.bank,
                quoted: hex::encode(&value.digest),
                replayed: running.hex(),
                entries: walk.read,
            },
            _ => ImaReplayError::NotQuoted,
        }
    }
}

/// Places where a trimmed list may go on: the kernel lists an entry once (its hash table), but for violations.
const MAX_PLACES: usize = 8;

/// An entry with its number, counted from the list's start.
pub(crate) type Numbered<'e> = (u64, ImaEntry<'e>);

/// Entries of a block: enough to wait once for all of them, and few enough to stay in the first cache.
const BLOCK: usize = 32;

/// What an entry is known by in a checkpoint.
fn fingerprint(entry: &ImaEntry<'_>) -> [u8; 32] {
    pcr::sha256(&[entry.data.unwrap_or(entry.printed)])
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

    /// SHA-256 of the last covered entry's template data: where a trimmed list goes on.
    pub fn last_entry(&self) -> [u8; 32] {
        self.last_entry
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
        self.each_block(&mut |block| block.iter().for_each(|(number, entry)| look(*number, entry)));
    }

    /// The same, some of them at a time and in their order: what one needs from a memory far away can be fetched together
    /// with what the others need.
    pub(crate) fn each_block(&self, look: &mut dyn FnMut(&[Numbered<'_>])) {
        let mut entries = (self.first..self.covered).zip(self.list.again(&self.kept));
        let mut block = Vec::with_capacity(BLOCK);
        loop {
            block.extend(entries.by_ref().take(BLOCK));
            if block.is_empty() {
                return;
            }
            look(&block);
            block.clear();
        }
    }
}
