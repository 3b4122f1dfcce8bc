//! One entry of the list: its template, its fields, and what it extends.

use crate::pcr::HashAlg;
use crate::reader::{ReadError, Reader};

/// Size of the name in the old `ima` template's digest: IMA_EVENT_NAME_LEN_MAX + 1, padded with zeros.
const OLD_NAME: [u8; 256] = [0; 256];
/// Longest path: PATH_MAX.
const MAX_PATH: usize = 4096;
/// Longest digest field: a name of an algorithm, `:`, NUL and SHA-512's 64 bytes.
const MAX_DIGEST: usize = 128;
/// Longest signature: a Linux extended attribute holds 64 KiB.
const MAX_SIGNATURE: usize = 64 * 1024;

/// How an entry is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template<'a> {
    /// `ima`: SHA-1 or MD5 digest and name.
    Ima,
    /// `ima-ng`: digest with its algorithm, and path.
    ImaNg,
    /// `ima-sig`: the same, and the file's signature.
    ImaSig,
    /// Another one; its name as written. It extends, but what it says is not understood.
    Unknown(&'a [u8]),
}

impl<'a> Template<'a> {
    pub(super) fn of(name: &'a [u8]) -> Self {
        match name {
            b"ima" => Self::Ima,
            b"ima-ng" => Self::ImaNg,
            b"ima-sig" => Self::ImaSig,
            other => Self::Unknown(other),
        }
    }
}

/// What an understood entry says was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields<'a> {
    /// Name of the digest's algorithm, as the kernel writes it; `sha1` for the template `ima`.
    pub algorithm: &'a [u8],
    /// Digest of the file.
    pub digest: &'a [u8],
    /// Path as the kernel saw it: bytes, not always UTF-8.
    pub path: &'a [u8],
    /// The file's signature, empty if it has none.
    pub signature: &'a [u8],
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImaEntry<'a> {
    /// Position, counted from 0 at the slice's beginning.
    pub number: u64,
    /// The PCR that it was extended into.
    pub pcr: u32,
    /// Its template.
    pub template: Template<'a>,
    /// The kernel could not know what it measured: every bank was extended with ones. Nothing in it is authentic.
    pub violation: bool,
    /// The kernel's SHA-1 of the template data. Only used where there is no data.
    pub(super) sha1: [u8; 20],
    /// The template data as the kernel writes it in the binary list; none for an unknown template in a text list.
    pub(super) data: Option<&'a [u8]>,
    /// Its fields, if the template is understood.
    pub fields: Option<Fields<'a>>,
}

impl ImaEntry<'_> {
    /// What it extends into a bank; none if a text list does not tell (an unknown template, in a bank other than SHA-1).
    pub fn measured(&self, bank: HashAlg) -> Option<Vec<u8>> {
        if self.violation {
            return Some(vec![0xff; bank.digest_len()]);
        }
        match (self.template, &self.fields, self.data) {
            (Template::Ima, Some(fields), _) => {
                let padding = OLD_NAME.get(fields.path.len()..).unwrap_or_default();
                Some(bank.digest_parts(&[fields.digest, fields.path, padding]))
            }
            (_, _, Some(data)) => Some(bank.digest(data)),
            (_, _, None) => (bank == HashAlg::Sha1).then(|| self.sha1.to_vec()),
        }
    }
}

/// Splits template data. The forms are the kernel's (security/integrity/ima/ima_template_lib.c): each field behind its
/// length, the digest as `algorithm:` NUL digest, the path with its NUL.
pub(super) fn fields<'a>(template: Template<'_>, data: &'a [u8]) -> Result<Option<Fields<'a>>, ReadError> {
    let mut reader = Reader::new(data);
    let found = match template {
        Template::Unknown(_) => return Ok(None),
        Template::Ima => {
            let digest = reader.take(20, "the file's digest")?;
            let path = reader.sized_u32_le(OLD_NAME.len(), "the file's name")?;
            Fields {
                algorithm: b"sha1",
                digest,
                path,
                signature: &[],
            }
        }
        Template::ImaNg | Template::ImaSig => {
            let digest = reader.sized_u32_le(MAX_DIGEST, "the file's digest")?;
            let path = reader.sized_u32_le(MAX_PATH, "the file's path")?;
            let signature = if template == Template::ImaSig {
                reader.sized_u32_le(MAX_SIGNATURE, "the file's signature")?
            } else {
                &[]
            };
            let (algorithm, digest) = split_digest(digest);
            Fields {
                algorithm,
                digest,
                path: path.strip_suffix(b"\0").unwrap_or(path),
                signature,
            }
        }
    };
    reader.finish("an IMA entry")?;
    Ok(Some(found))
}

/// `sha256:` NUL digest. Without the mark there is no algorithm, and nothing can be compared with it.
fn split_digest(field: &[u8]) -> (&[u8], &[u8]) {
    let mark = field.windows(2).position(|pair| pair == b":\0");
    match mark.and_then(|at| field.split_at_checked(at)) {
        Some((algorithm, rest)) => (algorithm, rest.get(2..).unwrap_or_default()),
        None => (&[], field),
    }
}
