//! One entry of the list: its template, its fields, and what it extends.

use aws_lc_rs::digest::{self, Digest};

use super::template::{Field, Template};
use crate::pcr::HashAlg;
use crate::reader::{ReadError, Reader};

/// Size of the name in the old `ima` template's digest: IMA_EVENT_NAME_LEN_MAX + 1, padded with zeros.
pub(super) const OLD_NAME: usize = 256;
const OLD_PADDING: [u8; OLD_NAME] = [0; OLD_NAME];
/// Longest path: PATH_MAX.
const MAX_PATH: usize = 4096;
/// Longest digest field: `verity:`, a name of an algorithm (CRYPTO_MAX_ALG_NAME is 128), `:`, NUL and SHA-512's 64 bytes.
const MAX_DIGEST: usize = 256;
/// Longest signature and longest sum of extended attributes: an attribute holds 64 KiB, and a handful is protected.
const MAX_ATTRIBUTES: usize = 1024 * 1024;
/// Longest template data: a path of 4 KiB and extended attributes of 64 KiB; `ima-buf` entries carry kexec command
/// lines, keys and policies, and 1 MiB leaves room for all.
pub(super) const MAX_DATA: usize = 1024 * 1024;

/// What a digest is of. Only the templates `ima-ngv2` and `ima-sigv2` tell; the older ones measure contents only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestKind {
    /// The file's content.
    Content,
    /// The root of fs-verity's Merkle tree: another digest of the same file, by another computation.
    Verity,
    /// A kind that is not known here.
    Unknown,
}

/// A signature appended to the file itself (kernel modules, kexec images), as `ima-modsig` logs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended<'a> {
    /// Algorithm of the digest without the signature.
    pub algorithm: &'a [u8],
    /// Digest of the file without the signature.
    pub digest: &'a [u8],
    /// PKCS#7 SignedData, unverified.
    pub signature: &'a [u8],
}

/// The file's metadata, as `evm-sig` logs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metadata<'a> {
    /// EVM's portable signature, unverified: it covers the inode's filesystem as well, which no list tells.
    pub signature: &'a [u8],
    /// Names of the protected attributes, joined by `|`.
    pub xattr_names: &'a [u8],
    /// Their lengths, four bytes each.
    pub xattr_lengths: &'a [u8],
    /// Their values, one behind the other.
    pub xattr_values: &'a [u8],
    /// The owner.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
    /// The mode.
    pub mode: Option<u16>,
}

/// What an understood entry says was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields<'a> {
    /// What the digest is of.
    pub kind: DigestKind,
    /// Name of the digest's algorithm, as the kernel writes it; `sha1` or `md5` by its length for the field `d`.
    pub algorithm: &'a [u8],
    /// Digest of the file or buffer.
    pub digest: &'a [u8],
    /// Path as the kernel saw it, or the name of an event: bytes, not always UTF-8.
    pub path: &'a [u8],
    /// The file's signature attribute, empty if it has none.
    pub signature: &'a [u8],
    /// The data itself, where the template has it: a key, a command line, critical data.
    pub buffer: Option<&'a [u8]>,
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
    /// The kernel's printed digest of the template data: SHA-1, or another bank's in `..._measurements_sha256` and its like.
    /// Only used where there is no data.
    pub(super) printed: &'a [u8],
    /// The template data as the kernel writes it in the binary list; none for an unknown template in a text list.
    pub(super) data: Option<&'a [u8]>,
    /// Its fields, if the template is understood and has a digest and a name.
    pub fields: Option<Fields<'a>>,
}

impl<'a> ImaEntry<'a> {
    /// A signature appended to the file, of an entry that is understood.
    pub fn appended(&self) -> Option<Appended<'a>> {
        let mut appended = Appended {
            algorithm: &[],
            digest: &[],
            signature: &[],
        };
        self.each_field(|field, value| match field {
            Field::DigestModsig => (appended.algorithm, appended.digest) = split_digest(value),
            Field::Modsig => appended.signature = value,
            _ => {}
        });
        (!appended.signature.is_empty()).then_some(appended)
    }

    /// The file's metadata, of an entry that is understood.
    pub fn metadata(&self) -> Option<Metadata<'a>> {
        let mut metadata = Metadata::default();
        let number = |value: &[u8]| value.try_into().ok().map(u32::from_le_bytes);
        self.each_field(|field, value| match field {
            Field::EvmSignature => metadata.signature = value,
            Field::XattrNames => metadata.xattr_names = value.strip_suffix(b"\0").unwrap_or(value),
            Field::XattrLengths => metadata.xattr_lengths = value,
            Field::XattrValues => metadata.xattr_values = value,
            Field::Uid => metadata.uid = number(value),
            Field::Gid => metadata.gid = number(value),
            Field::Mode => metadata.mode = value.try_into().ok().map(u16::from_le_bytes),
            _ => {}
        });
        (metadata != Metadata::default()).then_some(metadata)
    }

    /// The fields once more, for what few ask for.
    fn each_field(&self, mut look: impl FnMut(Field, &'a [u8])) {
        let (Some(data), Some(_), false) = (self.data, self.fields, self.template.is_old()) else {
            return;
        };
        let mut reader = Reader::new(data);
        for field in self.template.fields() {
            // They were read before, so none fails.
            let Ok(value) = field.take(&mut reader) else {
                return;
            };
            look(field, value);
        }
    }

    /// The digest of its template data, for a violation as well; none if a text list does not tell (an unknown template,
    /// in a bank other than the printed digest's).
    pub(super) fn digest(&self, bank: HashAlg) -> Option<Digest> {
        match self.data {
            Some(data) if self.template.is_old() => {
                // The name is hashed with zeros to its greatest length, and without the length before it.
                let path = self.fields.map_or(&[][..], |fields| fields.path);
                let front = data.len().checked_sub(path.len())?.checked_sub(4)?;
                let mut context = digest::Context::new(bank.algorithm());
                context.update(data.get(..front)?);
                context.update(path);
                context.update(OLD_PADDING.get(path.len()..)?);
                Some(context.finish())
            }
            Some(data) => Some(digest::digest(bank.algorithm(), data)),
            None => Digest::import_less_safe(self.printed, bank.algorithm()).ok(),
        }
    }

    /// What it extends into a bank, as kernels do since 5.8; none where `digest` has none.
    pub fn measured(&self, bank: HashAlg) -> Option<Vec<u8>> {
        if self.violation {
            return Some(vec![0xff; bank.digest_len()]);
        }
        self.digest(bank).map(|digest| digest.as_ref().to_vec())
    }
}

/// Splits template data. The forms are the kernel's (security/integrity/ima/ima_template_lib.c): each field behind its
/// length, the digest as `algorithm:` NUL digest, names with their NUL.
pub(super) fn fields<'a>(
    template: &Template<'_>,
    mut reader: Reader<'a>,
) -> Result<Option<Fields<'a>>, ReadError> {
    if template.is_old() {
        let size = old_digest_len(&reader);
        let digest = reader.take(size, "the file's digest")?;
        let path = reader.sized_u32_le(OLD_NAME, "the file's name")?;
        reader.finish("the entry's template data")?;
        return Ok(Some(Fields {
            algorithm: weak_algorithm(digest),
            digest,
            ..nameless(path)
        }));
    }
    let (mut found, mut named, mut digested) = (nameless(&[]), false, false);
    for field in template.fields() {
        let value = field.take(&mut reader)?;
        match field {
            Field::Digest => (found.algorithm, found.digest) = (weak_algorithm(value), value),
            Field::DigestNg => (found.algorithm, found.digest) = split_digest(value),
            Field::DigestNgV2 => {
                let (front, digest) = split_digest(value);
                let (kind, algorithm) = split_once(front, b':').unwrap_or((&[], front));
                found.kind = match kind {
                    b"ima" => DigestKind::Content,
                    b"verity" => DigestKind::Verity,
                    _ => DigestKind::Unknown,
                };
                (found.algorithm, found.digest) = (algorithm, digest);
            }
            Field::Name | Field::NameNg => found.path = value.strip_suffix(b"\0").unwrap_or(value),
            Field::Signature => found.signature = value,
            Field::Buffer => found.buffer = Some(value),
            // Told by `appended` and `metadata`.
            Field::DigestModsig
            | Field::Modsig
            | Field::EvmSignature
            | Field::XattrNames
            | Field::XattrLengths
            | Field::XattrValues
            | Field::Uid
            | Field::Gid
            | Field::Mode => {}
        }
        named |= field.is_name();
        digested |= matches!(field, Field::Digest | Field::DigestNg | Field::DigestNgV2);
    }
    if !template.is_known() {
        return Ok(None);
    }
    reader.finish("the entry's template data")?;
    Ok((named && digested).then_some(found))
}

impl Field {
    /// A field's bytes, from behind their length.
    fn take<'a>(self, reader: &mut Reader<'a>) -> Result<&'a [u8], ReadError> {
        let (limit, expected) = match self {
            Self::Digest | Self::DigestNg | Self::DigestNgV2 => (MAX_DIGEST, "the file's digest"),
            Self::Name | Self::NameNg => (MAX_PATH, "the file's path"),
            Self::Signature => (MAX_ATTRIBUTES, "the file's signature"),
            Self::Buffer => (MAX_DATA, "the measured data"),
            Self::DigestModsig => (MAX_DIGEST, "the digest without the appended signature"),
            Self::Modsig => (MAX_DATA, "the appended signature"),
            Self::EvmSignature => (MAX_ATTRIBUTES, "the EVM signature"),
            Self::XattrNames => (MAX_ATTRIBUTES, "the names of extended attributes"),
            Self::XattrLengths => (MAX_ATTRIBUTES, "the lengths of extended attributes"),
            Self::XattrValues => (MAX_ATTRIBUTES, "the values of extended attributes"),
            Self::Uid => return number::<4>(reader, "the file's owner"),
            Self::Gid => return number::<4>(reader, "the file's group"),
            Self::Mode => return number::<2>(reader, "the file's mode"),
        };
        reader.sized_u32_le(limit, expected)
    }
}

/// The template digest of a violation.
pub(super) fn is_zero(digest: &[u8]) -> bool {
    digest.iter().all(|byte| *byte == 0)
}

fn nameless(path: &[u8]) -> Fields<'_> {
    Fields {
        kind: DigestKind::Content,
        algorithm: &[],
        digest: &[],
        path,
        signature: &[],
        buffer: None,
    }
}

/// The digest of the old template has no length before it: 20 bytes, or 16 with `ima_hash=md5`. Behind it stands the
/// name's length, which four bytes of a path never look like.
pub(super) fn old_digest_len(reader: &Reader<'_>) -> usize {
    let fits = |size: usize| {
        let mut ahead = reader.clone();
        let digest = ahead.take(size, "");
        digest.and_then(|_| ahead.sized_u32_le(OLD_NAME, ""))
    };
    if fits(20).is_err() && fits(16).is_ok_and(|name| !name.is_empty()) {
        16
    } else {
        20
    }
}

/// A number of an inode: of its own size, or absent where the kernel had no file.
fn number<'a, const N: usize>(
    reader: &mut Reader<'a>,
    expected: &'static str,
) -> Result<&'a [u8], ReadError> {
    let size = reader.count_u32_le(N, expected)?;
    let mut inner = reader.sub(size, expected)?;
    if inner.is_empty() {
        return Ok(&[]);
    }
    inner.take(N, expected)
}

fn weak_algorithm(digest: &[u8]) -> &'static [u8] {
    if digest.len() == 16 { b"md5" } else { b"sha1" }
}

/// `sha256:` NUL digest. Without the mark there is no algorithm, and nothing can be compared with it.
fn split_digest(field: &[u8]) -> (&[u8], &[u8]) {
    // The first NUL: no name of an algorithm holds one.
    let mark = field
        .iter()
        .position(|byte| *byte == 0)
        .and_then(|nul| nul.checked_sub(1));
    match mark.and_then(|at| field.split_at_checked(at)) {
        Some((algorithm, rest)) if rest.starts_with(b":") => (algorithm, rest.get(2..).unwrap_or_default()),
        _ => (&[], field),
    }
}

pub(super) fn split_once(bytes: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == mark)?;
    let (before, behind) = bytes.split_at_checked(at)?;
    Some((before, behind.get(1..)?))
}
