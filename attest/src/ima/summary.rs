//! A list by itself, for people who look at it: what is in it, and what PCR 10 it leads to. Nothing here is proven.

use std::collections::BTreeMap;

use serde::Serialize;

use super::bank::{Extended, Measured, Running};
use super::entry::{DigestKind, ImaEntry};
use super::keyring::MeasuredKey;
use super::list::{Form, ImaError, ImaList};
use super::replay::IMA_PCR;
use super::signature::{FileSignature, KeyId, SignatureKind};
use super::subject::Subject;
use crate::appraise::shown;
use crate::pcr::HashAlg;

/// What is in a list. The names are those of `lazaret inspect ima --json` and stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImaSummary {
    /// `text` or `binary`.
    pub form: &'static str,
    /// Entries, those for other PCRs included.
    pub entries: u64,
    /// Entries without an authentic digest.
    pub violations: u64,
    /// Entries by template.
    pub templates: BTreeMap<String, u64>,
    /// Entries by what they are about.
    pub subjects: BTreeMap<&'static str, u64>,
    /// Entries by the algorithm of the measured digest, with `verity:` before that of a Merkle tree.
    pub algorithms: BTreeMap<String, u64>,
    /// PCR 10 after all entries for it, by bank; hex. A bank is absent where a text list does not tell (unknown template).
    pub pcr10: BTreeMap<HashAlg, String>,
    /// The same as kernels before 5.8 extend it: padded SHA-1 in every bank.
    pub pcr10_padded_sha1: BTreeMap<HashAlg, String>,
    /// Entries for other PCRs than 10, by PCR; they are not in `pcr10`.
    pub other_pcrs: BTreeMap<u32, u64>,
    /// Entries whose signature was read, by the id of its key.
    pub signatures: BTreeMap<KeyId, u64>,
    /// Every boot_aggregate: more than one means a kexec.
    pub boot_aggregates: Vec<ListedEntry>,
    /// Keys, policies, kernels and critical data; at most [`MAX_NOTES`].
    pub events: Vec<ListedEntry>,
    /// Violations; at most [`MAX_NOTES`].
    pub violation_labels: Vec<ListedEntry>,
    /// The first entry.
    pub first: Option<ListedEntry>,
    /// The last entry.
    pub last: Option<ListedEntry>,
    /// Where the values asked for are reached; absent if none was asked for.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub reached: Option<Match>,
}

/// Entries that a summary names one by one.
pub const MAX_NOTES: usize = 1000;

/// A value of PCR 10 that somebody looks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sought {
    /// The bank.
    pub bank: HashAlg,
    /// The value, hex.
    pub value: String,
    /// Entries of the shortest prefix that leads to it; none if none does.
    pub entries: Option<u64>,
    /// How that prefix extends the bank: `own-digest`, or `padded-sha1` as kernels before 5.8 do.
    pub extended: Option<&'static str>,
}

/// Where all sought values are reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Match {
    /// The first sought value's bank.
    pub bank: HashAlg,
    /// The first sought value, hex.
    pub value: String,
    /// Entries of the shortest prefix that leads to all sought values at once; none if none does.
    pub entries: Option<u64>,
    /// Each sought value by itself.
    pub values: Vec<Sought>,
}

/// One entry in words and hex, safe to print.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedEntry {
    /// Position, counted from 0.
    pub entry: u64,
    /// The PCR that it extends.
    pub pcr: u32,
    /// Its template.
    pub template: String,
    /// What it is about.
    pub subject: &'static str,
    /// Path, keyring or event; none if the template is not understood.
    pub path: Option<String>,
    /// `content` or `verity`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Algorithm of the digest.
    pub algorithm: Option<String>,
    /// The digest, hex.
    pub digest: Option<String>,
    /// The file's signature attribute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<ListedSignature>,
    /// The appended signature's length in bytes. It is not verified here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appended_signature_bytes: Option<usize>,
    /// Of a key that was measured: the ids that signatures call it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyId>,
    /// Measured data that is text; hex otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// A signature attribute as it stands, unverified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedSignature {
    /// `file`, `verity`, `evm-portable`, or a number.
    pub kind: String,
    /// Version of its form.
    pub version: u8,
    /// Its hash algorithm.
    pub hash: String,
    /// What it calls its key by.
    pub key: KeyId,
}

impl ImaSummary {
    /// Reads a whole list. `look` is called with each entry.
    ///
    /// # Errors
    /// It does not parse to its end.
    pub fn of(
        list: &ImaList<'_>,
        sought: &[(HashAlg, Vec<u8>)],
        look: &mut dyn FnMut(&ImaEntry<'_>),
    ) -> Result<Self, ImaError> {
        let mut summary = Self {
            form: match list.form() {
                Form::Text => "text",
                Form::Binary | Form::BigEndian => "binary",
            },
            entries: 0,
            violations: 0,
            templates: BTreeMap::new(),
            subjects: BTreeMap::new(),
            algorithms: BTreeMap::new(),
            pcr10: BTreeMap::new(),
            pcr10_padded_sha1: BTreeMap::new(),
            other_pcrs: BTreeMap::new(),
            signatures: BTreeMap::new(),
            boot_aggregates: Vec::new(),
            events: Vec::new(),
            violation_labels: Vec::new(),
            first: None,
            last: None,
            reached: None,
        };
        let mut banks = Banks::new(sought);
        let mut cursor = list.cursor();
        let mut last_start = 0_u64;
        while let Some(entry) = cursor.next_entry()? {
            summary.entries = summary.entries.saturating_add(1);
            last_start = entry.number;
            summary.count(&entry);
            if entry.pcr == u32::from(IMA_PCR) {
                banks.extend(&entry, summary.entries);
            }
            look(&entry);
        }
        // The last entry is told once, not each time that one is the last so far.
        let mut cursor = list.cursor();
        while let Some(entry) = cursor.next_entry()? {
            if entry.number == last_start {
                summary.last = Some(ListedEntry::of(&entry));
            }
        }
        banks.tell(&mut summary);
        Ok(summary)
    }

    fn count(&mut self, entry: &ImaEntry<'_>) {
        let add = |count: &mut u64| *count = count.saturating_add(1);
        if entry.violation {
            add(&mut self.violations);
        }
        match self.templates.get_mut(lossless(entry.template.name())) {
            Some(count) => add(count),
            None => add(self.templates.entry(shown(entry.template.name())).or_default()),
        }
        let subject = entry.subject();
        add(self.subjects.entry(subject.as_str()).or_default());
        if entry.pcr != u32::from(IMA_PCR) {
            add(self.other_pcrs.entry(entry.pcr).or_default());
        }
        if let Some(fields) = entry.fields.filter(|_| !entry.violation) {
            let plain = matches!(fields.kind, DigestKind::Content);
            match self.algorithms.get_mut(lossless(fields.algorithm)) {
                Some(count) if plain => add(count),
                _ => {
                    let mark = match fields.kind {
                        DigestKind::Content => "",
                        DigestKind::Verity => "verity:",
                        DigestKind::Unknown => "unknown:",
                    };
                    let name = format!("{mark}{}", shown(fields.algorithm));
                    add(self.algorithms.entry(name).or_default());
                }
            }
            if let Ok(signature) = FileSignature::parse(fields.signature) {
                add(self.signatures.entry(signature.key).or_default());
            }
        }
        if self.first.is_none() {
            self.first = Some(ListedEntry::of(entry));
        }
        let notes = match subject {
            Subject::BootAggregate => &mut self.boot_aggregates,
            Subject::Violation => &mut self.violation_labels,
            Subject::Kexec
            | Subject::Key(_)
            | Subject::ImaPolicy
            | Subject::Trimmed
            | Subject::CriticalData
            | Subject::Misnamed
            | Subject::Unknown => &mut self.events,
            Subject::File => return,
        };
        if notes.len() < MAX_NOTES {
            notes.push(ListedEntry::of(entry));
        }
    }
}

/// Names that need no escaping find their count without an allocation.
fn lossless(name: &[u8]) -> &str {
    std::str::from_utf8(name).unwrap_or_default()
}

/// Every bank in both forms, and where the sought values were met.
struct Banks {
    running: Vec<(Running<'static>, bool)>,
    sought: Vec<(HashAlg, Vec<u8>, Sought)>,
    all: Option<u64>,
}

impl Banks {
    fn new(sought: &[(HashAlg, Vec<u8>)]) -> Self {
        let running = HashAlg::ALL.into_iter().flat_map(|bank| {
            let forms: &[Extended] = match bank {
                HashAlg::Sha1 => &[Extended::Native],
                _ => &[Extended::Native, Extended::Padded],
            };
            forms
                .iter()
                .map(move |form| (Running::new(bank, *form, &[], &[]), true))
        });
        let sought = sought.iter().map(|(bank, value)| {
            let told = Sought {
                bank: *bank,
                value: hex::encode(value),
                entries: None,
                extended: None,
            };
            (*bank, value.clone(), told)
        });
        let mut banks = Self {
            running: running.collect(),
            sought: sought.collect(),
            all: None,
        };
        banks.compare(0);
        banks
    }

    fn extend(&mut self, entry: &ImaEntry<'_>, entries: u64) {
        let mut measured = Measured::new(entry);
        for (running, told) in &mut self.running {
            *told = *told && running.extend(&mut measured).is_some();
        }
        self.compare(entries);
    }

    fn compare(&mut self, entries: u64) {
        let mut here = !self.sought.is_empty();
        for (bank, value, sought) in &mut self.sought {
            let met = self.running.iter().find(|(running, told)| {
                *told && running.bank == *bank && running.value() == value.as_slice()
            });
            here &= met.is_some();
            if let (Some((running, _)), None) = (met, sought.entries) {
                sought.entries = Some(entries);
                sought.extended = Some(match running.form {
                    Extended::Native => "own-digest",
                    Extended::Padded | Extended::PaddedButViolations => "padded-sha1",
                });
            }
        }
        if here && self.all.is_none() {
            self.all = Some(entries);
        }
    }

    fn tell(self, summary: &mut ImaSummary) {
        for (running, _) in self.running.iter().filter(|(_, told)| *told) {
            let values = match running.form {
                Extended::Native => &mut summary.pcr10,
                Extended::Padded | Extended::PaddedButViolations => &mut summary.pcr10_padded_sha1,
            };
            values.insert(running.bank, running.hex());
        }
        let values: Vec<Sought> = self.sought.into_iter().map(|(_, _, sought)| sought).collect();
        summary.reached = values.first().cloned().map(|first| Match {
            bank: first.bank,
            value: first.value,
            entries: self.all,
            values,
        });
    }
}

impl ListedEntry {
    /// In words and hex.
    pub fn of(entry: &ImaEntry<'_>) -> Self {
        let fields = entry.fields;
        let subject = entry.subject();
        let keys = match &subject {
            Subject::Key(key) => MeasuredKey::ids(key),
            _ => Vec::new(),
        };
        Self {
            entry: entry.number,
            pcr: entry.pcr,
            template: shown(entry.template.name()),
            subject: subject.as_str(),
            path: fields.map(|fields| shown(fields.path)),
            kind: fields.and_then(|fields| match fields.kind {
                DigestKind::Content => None,
                DigestKind::Verity => Some("verity"),
                DigestKind::Unknown => Some("unknown"),
            }),
            algorithm: fields.map(|fields| shown(fields.algorithm)),
            digest: fields.map(|fields| hex::encode(fields.digest)),
            signature: fields
                .and_then(|fields| FileSignature::parse(fields.signature).ok())
                .map(|signature| ListedSignature::of(&signature)),
            appended_signature_bytes: entry.appended().map(|appended| appended.signature.len()),
            keys,
            data: fields.and_then(|fields| fields.buffer).map(readable),
        }
    }
}

impl ListedSignature {
    fn of(signature: &FileSignature<'_>) -> Self {
        Self {
            kind: match signature.kind {
                SignatureKind::FILE => "file".to_owned(),
                SignatureKind::VERITY => "verity".to_owned(),
                SignatureKind::EVM_PORTABLE => "evm-portable".to_owned(),
                SignatureKind(other) => other.to_string(),
            },
            version: signature.version,
            hash: signature.hash.to_string(),
            key: signature.key,
        }
    }
}

/// Text as text, anything else as hex.
fn readable(data: &[u8]) -> String {
    let printable = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    if !data.is_empty() && data.iter().all(printable) {
        shown(data)
    } else {
        hex::encode(data)
    }
}
