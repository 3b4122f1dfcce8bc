//! One IMA entry in its template: the data that is hashed, and the line and record of the kernel's two lists.

use serde::{Deserialize, Serialize};

use crate::bank::Bank;
use crate::ima::IMA_PCR;
use crate::pcrs::Digests;

/// The longest name of the `ima` template, which is hashed padded to one byte more (IMA_EVENT_NAME_LEN_MAX).
const OLD_NAME_MAX: usize = 255;

/// How an entry is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Template {
    /// `d|n`: the first one; digests of 20 bytes, names padded for the hash.
    Ima,
    /// `d-ng|n-ng`: the digest names its algorithm.
    ImaNg,
    /// `d-ng|n-ng|sig`: with the file's signature; Debian's default.
    ImaSig,
    /// `d-ng|n-ng|buf`: critical data and keys, with their content.
    ImaBuf,
}

impl Template {
    /// The name in the lists.
    pub fn name(self) -> &'static str {
        match self {
            Template::Ima => "ima",
            Template::ImaNg => "ima-ng",
            Template::ImaSig => "ima-sig",
            Template::ImaBuf => "ima-buf",
        }
    }
}

/// One entry. Every field may be set to make a lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The PCR it extends.
    pub pcr: u8,
    /// Its template.
    pub template: Template,
    /// The algorithm of the file digest.
    pub hash: Bank,
    /// The file digest.
    pub file_digest: Vec<u8>,
    /// The path, with spaces as the kernel writes them.
    pub path: String,
    /// The signature (`ima-sig`) or the buffer (`ima-buf`).
    pub attachment: Vec<u8>,
    /// A violation: zeros in the list, ones into the PCR.
    pub violation: bool,
}

impl Entry {
    /// An entry without a signature. The kernel writes underscores for the spaces of a name.
    pub fn new(template: Template, hash: Bank, path: &str, file_digest: Vec<u8>) -> Entry {
        let path = path.replace(' ', "_");
        Entry {
            pcr: IMA_PCR,
            template,
            hash,
            file_digest,
            path,
            attachment: Vec::new(),
            violation: false,
        }
    }

    /// A violation.
    pub fn violation(template: Template, hash: Bank, path: &str) -> Entry {
        Entry {
            violation: true,
            ..Entry::new(template, hash, path, vec![0; hash.digest_len()])
        }
    }

    /// The template data as it is hashed.
    pub fn hashed_data(&self) -> Vec<u8> {
        if self.template == Template::Ima {
            let mut data = self.old_digest();
            data.extend_from_slice(self.old_name());
            data.resize(20 + OLD_NAME_MAX + 1, 0);
            return data;
        }
        self.fields().iter().flat_map(|field| prefixed(field)).collect()
    }

    /// The digest of the entry in a bank; zeros for a violation.
    pub fn digest(&self, bank: Bank) -> Vec<u8> {
        if self.violation {
            vec![0; bank.digest_len()]
        } else {
            bank.hash(&[&self.hashed_data()])
        }
    }

    /// What is extended in each bank: the digest, or ones for a violation.
    pub fn extends(&self, banks: &[Bank]) -> Digests {
        let digest = |bank: Bank| {
            if self.violation {
                vec![0xFF; bank.digest_len()]
            } else {
                self.digest(bank)
            }
        };
        banks.iter().map(|&bank| (bank, digest(bank))).collect()
    }

    /// The record of `binary_runtime_measurements`: PCR, SHA-1 of the template data, template name, template data.
    pub fn binary(&self) -> Vec<u8> {
        let mut out = u32::from(self.pcr).to_le_bytes().to_vec();
        out.extend(self.digest(Bank::Sha1));
        out.extend(prefixed(self.template.name().as_bytes()));
        if self.template == Template::Ima {
            // The oldest template has no length of its own, and only its name has one.
            out.extend(self.old_digest());
            out.extend(prefixed(self.old_name()));
        } else {
            out.extend(prefixed(&self.hashed_data()));
        }
        out
    }

    /// The line of `ascii_runtime_measurements`. A field that is empty still has its separating space.
    pub fn text(&self) -> Vec<u8> {
        let digest = hex::encode(self.digest(Bank::Sha1));
        let mut line = format!("{:2} {digest} {}", self.pcr, self.template.name());
        match self.template {
            Template::Ima => line += &format!(" {} {}", hex::encode(self.old_digest()), self.path),
            _ => line += &format!(" {}:{} {}", self.hash, hex::encode(&self.file_digest), self.path),
        }
        if self.has_attachment() {
            line += &format!(" {}", hex::encode(&self.attachment));
        }
        line.push('\n');
        line.into_bytes()
    }

    fn fields(&self) -> Vec<Vec<u8>> {
        let digest = [self.hash.name().as_bytes(), b":\0", &self.file_digest].concat();
        let name = [self.path.as_bytes(), &[0]].concat();
        let mut fields = vec![digest, name];
        if self.has_attachment() {
            fields.push(self.attachment.clone());
        }
        fields
    }

    fn has_attachment(&self) -> bool {
        matches!(self.template, Template::ImaSig | Template::ImaBuf)
    }

    fn old_digest(&self) -> Vec<u8> {
        let mut digest = self.file_digest.clone();
        digest.resize(20, 0);
        digest
    }

    fn old_name(&self) -> &[u8] {
        let name = self.path.as_bytes();
        name.get(..OLD_NAME_MAX).unwrap_or(name)
    }
}

/// A field behind its length.
fn prefixed(field: &[u8]) -> Vec<u8> {
    let len = u32::try_from(field.len()).expect("forged fields stay below 4 GiB");
    [&len.to_le_bytes(), field].concat()
}
