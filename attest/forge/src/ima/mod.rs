//! An IMA measurement list: what the kernel measured since boot, and the PCR 10 that follows.

pub mod entry;
pub mod signer;
pub mod system;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::bank::Bank;
use crate::pcrs::Pcrs;

pub use entry::{Entry, Format, Inode, Template};
pub use signer::FileSigner;
pub use system::typical_host;

/// The PCR that IMA extends (CONFIG_IMA_MEASURE_PCR_IDX).
pub const IMA_PCR: u8 = 10;

/// What IMA measures while a host comes up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Description {
    /// The template of the entries.
    pub template: Template,
    /// The hash of the files (`ima_hash=`).
    pub hash: Bank,
    /// How many files of a typical system are measured.
    pub files: usize,
    /// Further files, after those.
    #[serde(rename = "file", skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<File>,
}

/// A measured file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its path.
    pub path: String,
    /// Its content.
    pub text: String,
}

impl Default for Description {
    fn default() -> Description {
        Description {
            template: Template::ImaSig,
            hash: Bank::Sha256,
            files: 300,
            extra: Vec::new(),
        }
    }
}

impl Description {
    /// The list after a boot that led to `boot_pcrs`.
    pub fn boot(&self, boot_pcrs: &Pcrs) -> List {
        let mut list = List::new(self.template, self.hash, boot_pcrs);
        for (path, content) in typical_host(self.files) {
            list.measure(&path, content.as_bytes());
        }
        for file in &self.extra {
            list.measure(&file.path, file.text.as_bytes());
        }
        list
    }
}

/// A measurement list.
#[derive(Debug, Clone)]
pub struct List {
    /// The template of new entries.
    pub template: Template,
    /// The hash of measured files.
    pub hash: Bank,
    /// The entries in order.
    pub entries: Vec<Entry>,
    known: HashSet<Vec<u8>>,
}

impl List {
    /// A list that holds the boot aggregate over `boot_pcrs`, as the kernel begins every list.
    pub fn new(template: Template, hash: Bank, boot_pcrs: &Pcrs) -> List {
        let mut list = List::empty(template, hash);
        list.measure_digest("boot_aggregate", boot_aggregate(hash, boot_pcrs));
        list
    }

    /// A list without any entry; no kernel makes one.
    pub fn empty(template: Template, hash: Bank) -> List {
        List {
            template,
            hash,
            entries: Vec::new(),
            known: HashSet::new(),
        }
    }

    /// Measures a file by its content. `None` when the kernel would not add an entry, as the same one is there already.
    pub fn measure(&mut self, path: &str, content: &[u8]) -> Option<&Entry> {
        self.measure_digest(path, self.hash.hash(&[content]))
    }

    /// Measures a file by its digest.
    pub fn measure_digest(&mut self, path: &str, digest: Vec<u8>) -> Option<&Entry> {
        self.push(Entry::new(self.template, self.hash, path, digest))
    }

    /// Records that a measured file was open for writing at the same time (ToMToU or open writers).
    pub fn violation(&mut self, path: &str) -> Option<&Entry> {
        self.push(Entry::violation(self.template, self.hash, path))
    }

    /// Adds an entry, unless the kernel's hash table has the same one. Violations are always added.
    pub fn push(&mut self, entry: Entry) -> Option<&Entry> {
        if !entry.violation && !self.known.insert(entry.digest(Bank::Sha256)) {
            return None;
        }
        self.entries.push(entry);
        self.entries.last()
    }

    /// The list as `ascii_runtime_measurements`.
    pub fn text(&self) -> Vec<u8> {
        self.text_from(0)
    }

    /// The text list from an entry on.
    pub fn text_from(&self, first: usize) -> Vec<u8> {
        self.entries.iter().skip(first).flat_map(Entry::text).collect()
    }

    /// The list as `binary_runtime_measurements`.
    pub fn binary(&self) -> Vec<u8> {
        self.binary_from(0)
    }

    /// The binary list from an entry on.
    pub fn binary_from(&self, first: usize) -> Vec<u8> {
        self.entries.iter().skip(first).flat_map(Entry::binary).collect()
    }

    /// The measured files in the format of `sha256sum` (or of the tool of the list's hash), one line for each digest,
    /// without the boot aggregate: golden values for this very list.
    pub fn digest_list(&self) -> String {
        let files = self
            .entries
            .iter()
            .filter(|entry| !entry.violation && entry.path != "boot_aggregate");
        files
            .map(|entry| format!("{}  {}\n", hex::encode(&entry.file_digest), entry.path))
            .collect()
    }

    /// Extends `pcrs` by the whole list.
    pub fn extend(&self, pcrs: &mut Pcrs) {
        self.extend_first(self.entries.len(), pcrs);
    }

    /// Extends `pcrs` by the first `count` entries, as kernels before 5.8 do: SHA-1 and zeros in every bank.
    pub fn extend_padded(&self, count: usize, pcrs: &mut Pcrs) {
        let banks = pcrs.banks();
        for entry in self.entries.iter().take(count) {
            pcrs.extend(entry.pcr, &entry.extends_padded(&banks));
        }
    }

    /// Extends `pcrs` by the first `count` entries.
    pub fn extend_first(&self, count: usize, pcrs: &mut Pcrs) {
        let banks = pcrs.banks();
        for entry in self.entries.iter().take(count) {
            pcrs.extend(entry.pcr, &entry.extends(&banks));
        }
    }
}

/// The digest that ties the list to the boot: over PCR 0 to 9 of the bank of the file hash, or with SHA-1 over PCR 0
/// to 7 (ima_calc_boot_aggregate_tfm). Zeros when the TPM lacks that bank.
pub fn boot_aggregate(hash: Bank, pcrs: &Pcrs) -> Vec<u8> {
    let last = if hash == Bank::Sha1 { 7 } else { 9 };
    let values: Option<Vec<&[u8]>> = (0..=last).map(|index| pcrs.value(hash, index)).collect();
    values.map_or_else(|| vec![0; hash.digest_len()], |values| hash.hash(&values))
}
