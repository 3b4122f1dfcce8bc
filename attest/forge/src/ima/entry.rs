//! One IMA entry in its template: the data that is hashed, and the line and record of the kernel's two lists.

use serde::{Deserialize, Serialize};

use crate::bank::Bank;
use crate::ima::IMA_PCR;
use crate::pcrs::Digests;

/// The longest name of the `ima` template, which is hashed padded to one byte more (IMA_EVENT_NAME_LEN_MAX).
const OLD_NAME_MAX: usize = 255;

/// A template format, as on the kernel's command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format(pub &'static str);

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
    /// With the signature appended to a module or a kernel.
    ImaModsig,
    /// `d-ngv2|n-ng`: the digest says what it is of.
    ImaNgv2,
    /// `d-ngv2|n-ng|sig`.
    ImaSigv2,
    /// With the file's metadata and EVM's signature over it.
    EvmSig,
    /// A kernel that was started with `ima_template_fmt=`: the format is the name.
    #[serde(skip)]
    Custom(Format),
}

impl Template {
    /// The kernel's own ones.
    pub const ALL: [Self; 8] = [
        Self::Ima,
        Self::ImaNg,
        Self::ImaSig,
        Self::ImaBuf,
        Self::ImaModsig,
        Self::ImaNgv2,
        Self::ImaSigv2,
        Self::EvmSig,
    ];

    /// The name in the lists.
    pub fn name(self) -> &'static str {
        match self {
            Template::Ima => "ima",
            Template::ImaNg => "ima-ng",
            Template::ImaSig => "ima-sig",
            Template::ImaBuf => "ima-buf",
            Template::ImaModsig => "ima-modsig",
            Template::ImaNgv2 => "ima-ngv2",
            Template::ImaSigv2 => "ima-sigv2",
            Template::EvmSig => "evm-sig",
            Template::Custom(format) => format.0,
        }
    }

    /// The fields, as `ima_template_fmt=` would have them (Documentation/security/IMA-templates.rst).
    pub fn format(self) -> &'static str {
        match self {
            Template::Ima => "d|n",
            Template::ImaNg => "d-ng|n-ng",
            Template::ImaSig => "d-ng|n-ng|sig",
            Template::ImaBuf => "d-ng|n-ng|buf",
            Template::ImaModsig => "d-ng|n-ng|sig|d-modsig|modsig",
            Template::ImaNgv2 => "d-ngv2|n-ng",
            Template::ImaSigv2 => "d-ngv2|n-ng|sig",
            Template::EvmSig => "d-ng|n-ng|evmsig|xattrnames|xattrlengths|xattrvalues|iuid|igid|imode",
            Template::Custom(format) => format.0,
        }
    }
}

/// What a file's inode adds to `evm-sig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inode {
    /// The protected attributes: name and value.
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// Owner, group and mode.
    pub owner: (u32, u32, u16),
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
    /// Whether that is fs-verity's; only the v2 templates tell.
    pub verity: bool,
    /// The path, with spaces as the kernel writes them.
    pub path: String,
    /// The signature (`sig`), the buffer (`buf`) or EVM's signature (`evmsig`).
    pub attachment: Vec<u8>,
    /// Digest without the appended signature, and that signature; the digest is of `hash`.
    pub modsig: Option<(Vec<u8>, Vec<u8>)>,
    /// The inode, for templates that look at it; a buffer has none.
    pub inode: Option<Inode>,
    /// A violation: zeros in the list, ones into the PCR.
    pub violation: bool,
}

/// A field as the binary list has it, and as the text prints it.
type Field = (Vec<u8>, String);

impl Entry {
    /// An entry without a signature. The kernel writes underscores for the spaces of a name.
    pub fn new(template: Template, hash: Bank, path: &str, file_digest: Vec<u8>) -> Entry {
        let path = path.replace(' ', "_");
        Entry {
            pcr: IMA_PCR,
            template,
            hash,
            file_digest,
            verity: false,
            path,
            attachment: Vec::new(),
            modsig: None,
            inode: None,
            violation: false,
        }
    }

    /// A violation. The kernel leaves room for a SHA-1 digest, whatever the algorithm's name before it is.
    pub fn violation(template: Template, hash: Bank, path: &str) -> Entry {
        Entry {
            violation: true,
            ..Entry::new(template, hash, path, vec![0; 20])
        }
    }

    /// Data that the kernel measured: a key, a command line, critical data. The template is `ima-buf` whatever that of
    /// files is, and the digest is the buffer's.
    pub fn buffer(hash: Bank, name: &str, data: &[u8]) -> Entry {
        Entry {
            attachment: data.to_vec(),
            ..Entry::new(Template::ImaBuf, hash, name, hash.hash(&[data]))
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
        self.fields()
            .iter()
            .flat_map(|(data, _)| prefixed(data))
            .collect()
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

    /// What a kernel before 5.8 extends in each bank: SHA-1 and zeros, or 20 bytes of ones and zeros.
    pub fn extends_padded(&self, banks: &[Bank]) -> Digests {
        let sha1 = if self.violation {
            vec![0xFF; 20]
        } else {
            self.digest(Bank::Sha1)
        };
        let padded = |bank: Bank| {
            let mut digest = sha1.clone();
            digest.resize(bank.digest_len(), 0);
            digest
        };
        banks.iter().map(|&bank| (bank, padded(bank))).collect()
    }

    /// The record of `binary_runtime_measurements`: PCR, SHA-1 of the template data, template name, template data.
    pub fn binary(&self) -> Vec<u8> {
        self.binary_of(Bank::Sha1)
    }

    /// The record of `binary_runtime_measurements_sha256` and its like: the same with another bank's template digest.
    pub fn binary_of(&self, bank: Bank) -> Vec<u8> {
        let mut out = u32::from(self.pcr).to_le_bytes().to_vec();
        out.extend(self.digest(bank));
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
        self.text_of(Bank::Sha1)
    }

    /// The line of `ascii_runtime_measurements_sha256` and its like.
    pub fn text_of(&self, bank: Bank) -> Vec<u8> {
        let digest = hex::encode(self.digest(bank));
        let mut line = format!("{:2} {digest} {}", self.pcr, self.template.name());
        if self.template == Template::Ima {
            line += &format!(" {} {}", hex::encode(self.old_digest()), self.path);
        } else {
            for (_, text) in self.fields() {
                line += &format!(" {text}");
            }
        }
        line.push('\n');
        line.into_bytes()
    }

    fn fields(&self) -> Vec<Field> {
        self.template
            .format()
            .split('|')
            .map(|id| self.field(id))
            .collect()
    }

    /// One field, as `ima_template_lib.c` makes and shows it.
    fn field(&self, id: &str) -> Field {
        let hexed = |data: &[u8]| (data.to_vec(), hex::encode(data));
        let digest = |label: String, digest: &[u8]| {
            let data = [label.as_bytes(), b":\0", digest].concat();
            (data, format!("{label}:{}", hex::encode(digest)))
        };
        let string = |text: &str| ([text.as_bytes(), &[0]].concat(), text.to_owned());
        let (inode, owner) = match &self.inode {
            Some(inode) => (inode.xattrs.as_slice(), Some(inode.owner)),
            None => (&[][..], None),
        };
        let number = |value: Option<(Vec<u8>, String)>| value.unwrap_or_default();
        match id {
            "d" => hexed(&self.file_digest),
            "d-ng" => digest(self.hash.name().to_owned(), &self.file_digest),
            "d-ngv2" => {
                let kind = if self.verity { "verity" } else { "ima" };
                digest(format!("{kind}:{}", self.hash), &self.file_digest)
            }
            "n" | "n-ng" => string(&self.path),
            "sig" | "buf" | "evmsig" => hexed(&self.attachment),
            "d-modsig" => match &self.modsig {
                Some((without, _)) => digest(self.hash.name().to_owned(), without),
                None => Field::default(),
            },
            "modsig" => self
                .modsig
                .as_ref()
                .map(|(_, signature)| hexed(signature))
                .unwrap_or_default(),
            "xattrnames" if inode.is_empty() => Field::default(),
            "xattrnames" => {
                let names: Vec<&str> = inode.iter().map(|(name, _)| name.as_str()).collect();
                string(&names.join("|"))
            }
            "xattrlengths" => {
                let lengths: Vec<u8> = inode.iter().flat_map(|(_, value)| length(value)).collect();
                hexed(&lengths)
            }
            "xattrvalues" => {
                let values: Vec<u8> = inode.iter().flat_map(|(_, value)| value.clone()).collect();
                hexed(&values)
            }
            "iuid" => number(owner.map(|(uid, _, _)| (uid.to_le_bytes().to_vec(), uid.to_string()))),
            "igid" => number(owner.map(|(_, gid, _)| (gid.to_le_bytes().to_vec(), gid.to_string()))),
            "imode" => number(owner.map(|(_, _, mode)| (mode.to_le_bytes().to_vec(), mode.to_string()))),
            // A field that no kernel has: nothing is known of its form.
            other => hexed(other.as_bytes()),
        }
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
    [&length(field), field].concat()
}

fn length(field: &[u8]) -> [u8; 4] {
    u32::try_from(field.len())
        .expect("forged fields stay below 4 GiB")
        .to_le_bytes()
}
