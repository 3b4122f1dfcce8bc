//! The structures inside event data: UEFI variables, signature lists, boot entries, partition tables.
//!
//! Nothing here proves anything: the callers hand in bytes whose digest they compared.

use crate::reader::Reader;

/// A GUID as it lies in memory, its first three fields little-endian.
pub(crate) type Guid = [u8; 16];

/// EFI_GLOBAL_VARIABLE, 8be4df61-93ca-11d2-aa0d-00e098032b8c: SecureBoot, PK, KEK, Boot####.
pub(crate) const GLOBAL: Guid = [
    0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
];
/// EFI_IMAGE_SECURITY_DATABASE_GUID, d719b2cb-3d3a-4596-a3bc-dad00e67656f: db, dbx.
pub(crate) const IMAGE_SECURITY: Guid = [
    0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f,
];
/// SHIM_LOCK_GUID, 605dab50-e046-4300-abb6-3dd810dd8b23: SbatLevel, MokListRT, Shim.
pub(crate) const SHIM_LOCK: Guid = [
    0x50, 0xab, 0x5d, 0x60, 0x46, 0xe0, 0x00, 0x43, 0xab, 0xb6, 0x3d, 0xd8, 0x10, 0xdd, 0x8b, 0x23,
];
/// EFI_CERT_SHA256_GUID, c1c41626-504c-4092-aca9-41f936934328.
const CERT_SHA256: Guid = [
    0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28,
];
/// EFI_CERT_X509_GUID, a5c059a1-94e4-4aa7-87b5-ab155c2bf072.
const CERT_X509: Guid = [
    0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72,
];

/// Longest name of a variable that is looked at, in bytes: those that matter have a dozen characters.
const MAX_NAME: usize = 1024;

/// Most bytes of padding behind a variable: that of a structure aligned to 8 bytes.
const MAX_PADDING: usize = 7;

/// UEFI_VARIABLE_DATA: GUID, name length in characters, value length, name in UTF-16, value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variable<'a> {
    /// Whose variable it is.
    pub(crate) guid: Guid,
    /// UTF-16, little-endian, without a terminator.
    name: &'a [u8],
    /// Its value.
    pub(crate) value: &'a [u8],
}

impl<'a> Variable<'a> {
    /// Reads one; none if the data is no such structure to its last byte.
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        Self::with_padding(data, 0)
    }

    /// Reads one behind which a few bytes of the same structure's padding may stand.
    pub(crate) fn padded(data: &'a [u8]) -> Option<Self> {
        Self::with_padding(data, MAX_PADDING)
    }

    fn with_padding(data: &'a [u8], most: usize) -> Option<Self> {
        let mut reader = Reader::new(data);
        let guid = reader.array::<16>("a GUID").ok()?;
        let name_chars = usize::try_from(reader.u64_le("a name's length").ok()?).ok()?;
        let value_len = usize::try_from(reader.u64_le("a value's length").ok()?).ok()?;
        let name_len = name_chars.checked_mul(2).filter(|len| *len <= MAX_NAME)?;
        let name = reader.take(name_len, "a name").ok()?;
        let value = reader.take(value_len, "a value").ok()?;
        (reader.remaining() <= most).then_some(Self { guid, name, value })
    }

    /// Whether its name is this one.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        let (units, _) = self.name.as_chunks::<2>();
        units
            .iter()
            .map(|unit| u16::from_le_bytes(*unit))
            .eq(name.encode_utf16())
    }

    /// Its name, if it is printable.
    pub(crate) fn name(&self) -> Option<String> {
        wide(self.name).filter(|name| !name.is_empty())
    }
}

/// The name of the variable that event data describes; for people.
pub(super) fn name_for_people(data: &[u8]) -> Option<String> {
    Variable::read(data)?.name()
}

/// UTF-16, little-endian, to its end or to zeros that fill the rest; none if it is not printable ASCII and white space. A zero
/// with something behind it would hide that from whoever reads the text.
pub(crate) fn wide(bytes: &[u8]) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let end = units
        .iter()
        .position(|unit| *unit == [0, 0])
        .unwrap_or(units.len());
    let (text, zeros) = units.split_at_checked(end)?;
    let quiet = rest.is_empty() && zeros.iter().all(|unit| *unit == [0, 0]);
    let text: Option<String> = text
        .iter()
        .map(|unit| match unit {
            [byte @ (b' '..=b'~' | b'\t' | b'\n' | b'\r'), 0] => Some(char::from(*byte)),
            _ => None,
        })
        .collect();
    text.filter(|_| quiet)
}

/// Text as firmware logs it: UTF-16 or ASCII, with or without a zero at its end; none if it is not printable ASCII.
pub(crate) fn text(bytes: &[u8]) -> Option<String> {
    let is_wide = bytes.len() >= 2
        && bytes.len().is_multiple_of(2)
        && bytes.iter().skip(1).step_by(2).all(|byte| *byte == 0);
    if is_wide {
        return wide(bytes);
    }
    let mut bytes = bytes;
    while let Some(shorter) = bytes.strip_suffix(b"\0") {
        bytes = shorter;
    }
    let plain = bytes
        .iter()
        .all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n'));
    let text = std::str::from_utf8(bytes).ok()?;
    plain.then(|| text.to_owned())
}

/// A list of EFI_SIGNATURE_LISTs: db, dbx, KEK, PK, MokList.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Signatures<'a> {
    value: &'a [u8],
    /// X.509 certificates.
    pub(crate) certificates: u32,
    /// SHA-256 image digests.
    pub(crate) hashes: u32,
    /// Entries of other kinds: RSA keys, digests of certificates, other hashes.
    pub(crate) others: u32,
}

impl<'a> Signatures<'a> {
    /// Reads a variable's value to its last byte; none if it is no such list. An empty value is an empty list.
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let mut all = Self {
            value,
            certificates: 0,
            hashes: 0,
            others: 0,
        };
        let mut reader = Reader::new(value);
        while let Some((kind, _, count)) = signature_list(&mut reader)? {
            let counter = match kind {
                CERT_X509 => &mut all.certificates,
                CERT_SHA256 => &mut all.hashes,
                _ => &mut all.others,
            };
            *counter = counter.saturating_add(count);
        }
        Some(all)
    }

    /// The SHA-256 image digests, in the order of the list. It was read once, so nothing fails here.
    pub(crate) fn sha256_hashes(&self) -> impl Iterator<Item = [u8; 32]> + use<'a> {
        let mut reader = Reader::new(self.value);
        std::iter::from_fn(move || signature_list(&mut reader).flatten())
            .filter(|(kind, _, _)| *kind == CERT_SHA256)
            .flat_map(|(_, entries, _)| {
                let (entries, _) = entries.as_chunks::<SHA256_ENTRY>();
                entries
                    .iter()
                    .filter_map(|entry| entry.last_chunk::<32>().copied())
            })
    }
}

/// Owner GUID and digest.
const SHA256_ENTRY: usize = 48;

/// One EFI_SIGNATURE_LIST: its kind, its entries' bytes and their number. Inner none at the end, outer none if it is none.
fn signature_list<'a>(reader: &mut Reader<'a>) -> Option<Option<(Guid, &'a [u8], u32)>> {
    if reader.is_empty() {
        return Some(None);
    }
    let kind = reader.array::<16>("a signature type").ok()?;
    let list_size = reader.u32_le("a list's size").ok()?;
    let header_size = reader.u32_le("a header's size").ok()?;
    let entry_size = reader.u32_le("an entry's size").ok()?;
    // The list's size counts its own 28 bytes of head; an entry has at least its owner.
    let entries_size = list_size.checked_sub(28)?.checked_sub(header_size)?;
    reader.take(usize::try_from(header_size).ok()?, "a header").ok()?;
    let entries = reader
        .take(usize::try_from(entries_size).ok()?, "the entries")
        .ok()?;
    let count = entries_size.checked_div(entry_size)?;
    let whole = entry_size >= 16 && entries_size.checked_rem(entry_size)? == 0;
    let sized = kind != CERT_SHA256 || usize::try_from(entry_size).ok()? == SHA256_ENTRY;
    (whole && sized).then_some(Some((kind, entries, count)))
}

/// The description of an EFI_LOAD_OPTION (a Boot#### variable's value).
pub(crate) fn load_option(value: &[u8]) -> Option<String> {
    let mut reader = Reader::new(value);
    reader.u32_le("attributes").ok()?;
    let path_len = usize::from(reader.u16_le("the path's length").ok()?);
    let rest = reader.rest();
    let text = wide_prefix(rest)?;
    // Behind the text and its zero lies at least the device path.
    let behind = text
        .encode_utf16()
        .count()
        .checked_add(1)?
        .checked_mul(2)?
        .checked_add(path_len)?;
    (rest.len() >= behind && path_len > 0 && !text.is_empty()).then_some(text)
}

/// UTF-16 up to its zero, which must be there; printable ASCII.
fn wide_prefix(bytes: &[u8]) -> Option<String> {
    let (units, _) = bytes.as_chunks::<2>();
    let end = units.iter().position(|unit| *unit == [0, 0])?;
    wide(bytes.get(..end.checked_mul(2)?)?)
}

/// UEFI_GPT_DATA: the disk's GUID and the number of partitions in use.
pub(crate) fn gpt(data: &[u8]) -> Option<(Guid, u64)> {
    let mut reader = Reader::new(data);
    if reader.array::<8>("a signature").ok()? != *b"EFI PART" {
        return None;
    }
    reader.take(48, "the header up to the disk's GUID").ok()?;
    let disk = reader.array::<16>("the disk's GUID").ok()?;
    reader.take(20, "the rest of the header").ok()?;
    Some((disk, reader.u64_le("the number of partitions").ok()?))
}

/// A GUID as people write it.
pub(crate) fn guid_text(guid: &Guid) -> String {
    let [a, b, c, d, e, f, g, h, rest @ ..] = *guid;
    let (clock, node) = rest.split_at(2);
    format!(
        "{}-{}-{}-{}-{}",
        hex::encode([d, c, b, a]),
        hex::encode([f, e]),
        hex::encode([h, g]),
        hex::encode(clock),
        hex::encode(node)
    )
}

/// The certificate or digest inside what EV_EFI_VARIABLE_AUTHORITY logs: db's entries have their owner in front, shim's own
/// certificate has none.
pub(crate) fn authority<'a>(variable: &Variable<'a>) -> &'a [u8] {
    let der = |bytes: &[u8]| matches!(bytes, [0x30, 0x80..=0x84, ..]);
    match variable.value.split_at_checked(16) {
        Some((_, entry)) if variable.guid == IMAGE_SECURITY || (der(entry) && !der(variable.value)) => entry,
        _ => variable.value,
    }
}
