//! A list in either form, read entry by entry.

use super::entry::{self, ImaEntry, MAX_DATA};
use super::template::Template;
use super::text;
use crate::pcr::HashAlg;
use crate::reader::{ReadError, Reader};

/// Longest template name: nine fields of `evm-sig` written out stay below it, and so does every format of 15 fields that
/// a kernel takes (IMA_TEMPLATE_FIELD_ID_MAX_LEN is 16).
const MAX_TEMPLATE_NAME: usize = 255;

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `binary_runtime_measurements`, little-endian.
    Binary,
    /// `ascii_runtime_measurements`.
    Text,
    /// `binary_runtime_measurements` of a big-endian machine without `ima_canonical_fmt`. It is not read.
    BigEndian,
}

/// Why bytes are no IMA list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImaError {
    /// A binary entry ends early or declares too much.
    #[error("IMA list, entry {entry} of the slice: {source}")]
    Read {
        /// The entry.
        entry: u64,
        /// What was wrong, with its offset.
        #[source]
        source: ReadError,
    },
    /// A line is not what the kernel prints.
    #[error("IMA list, entry {entry} of the slice, line {line}, offset {offset}: expected {expected}")]
    Line {
        /// The entry.
        entry: u64,
        /// The line, counted from 1; a path may hold newlines, so there can be more lines than entries.
        line: u64,
        /// Bytes from the list's start.
        offset: usize,
        /// What should have stood there.
        expected: &'static str,
    },
    /// A big-endian list.
    #[error(
        "IMA list, offset 0: expected a little-endian PCR index; this list is big-endian. Boot with ima_canonical_fmt, or read the text list"
    )]
    BigEndian,
}

impl ImaError {
    /// Where it was, in bytes from the slice's start.
    pub fn offset(&self) -> usize {
        match self {
            Self::Read { source, .. } => match source {
                ReadError::Truncated { offset, .. }
                | ReadError::TooLarge { offset, .. }
                | ReadError::Trailing { offset, .. } => *offset,
            },
            Self::Line { offset, .. } => *offset,
            Self::BigEndian => 0,
        }
    }
}

/// A list, unproven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImaList<'a> {
    bytes: &'a [u8],
    form: Form,
    /// Bytes of the printed template digests: 20, or another bank's.
    printed: usize,
}

impl<'a> ImaList<'a> {
    /// Takes the bytes and sees which form they have, from the first entry alone: a text list begins with a PCR index in
    /// decimal and a digest in hexadecimal digits, a binary list with a PCR index below 24, a digest, and a template's
    /// name behind its length. The digest is SHA-1, or that of another bank in the lists that kernels have for each bank
    /// (`ascii_runtime_measurements_sha256`).
    pub fn new(bytes: &'a [u8]) -> Self {
        let (form, printed) = detect(bytes);
        Self { bytes, form, printed }
    }

    /// The form it has.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Starts reading.
    pub fn cursor(&self) -> Cursor<'a> {
        Cursor {
            reader: Reader::new(self.bytes),
            form: self.form,
            printed: self.printed,
            number: 0,
            line: 1,
            binary: Vec::new(),
            kept: 0,
        }
    }

    /// Reads entries once more that a cursor read before.
    pub(super) fn again<'k>(&'k self, kept: &'k Kept) -> Again<'k> {
        let bytes = match self.form {
            Form::Text => &kept.binary,
            Form::Binary | Form::BigEndian => self.bytes.get(kept.offset..).unwrap_or_default(),
        };
        Again {
            reader: Reader::new(bytes),
            form: self.form,
            printed: self.printed,
            number: kept.number,
        }
    }
}

fn detect(bytes: &[u8]) -> (Form, usize) {
    let sha1 = HashAlg::Sha1.digest_len();
    if let Some(header) = text::header(bytes) {
        return (Form::Text, header.digits.len() / 2);
    }
    for order in [Form::Binary, Form::BigEndian] {
        for bank in HashAlg::ALL {
            if looks_like_an_entry(bytes, order, bank.digest_len()) {
                return (order, bank.digest_len());
            }
        }
    }
    // Neither: the error that follows shall fit what it looks most like.
    match bytes.first() {
        Some(byte) if *byte >= b' ' => (Form::Text, sha1),
        _ => (Form::Binary, sha1),
    }
}

fn looks_like_an_entry(bytes: &[u8], order: Form, digest: usize) -> bool {
    let mut reader = Reader::new(bytes);
    let mut integer = |skip: usize| {
        reader.take(skip, "").ok()?;
        match order {
            Form::BigEndian => reader.u32_be("").ok(),
            Form::Binary | Form::Text => reader.u32_le("").ok(),
        }
    };
    let pcr = integer(0).is_some_and(|pcr| pcr < 24);
    let name = integer(digest).and_then(|length| usize::try_from(length).ok());
    let Some(name) = name.filter(|length| pcr && (1..=MAX_TEMPLATE_NAME).contains(length)) else {
        return false;
    };
    reader
        .take(name, "")
        .is_ok_and(|name| name.iter().all(u8::is_ascii_graphic))
}

/// Reads a list entry by entry, with one buffer for all of them.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    reader: Reader<'a>,
    form: Form,
    printed: usize,
    number: u64,
    line: u64,
    /// What entries of a text list were turned into: those that are kept, and the last one.
    binary: Vec<u8>,
    /// How much of it is kept.
    kept: usize,
}

impl Cursor<'_> {
    /// The next entry; none at the end.
    ///
    /// # Errors
    /// The bytes are no entry.
    pub fn next_entry(&mut self) -> Result<Option<ImaEntry<'_>>, ImaError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let number = self.number;
        self.number = self.number.saturating_add(1);
        match self.form {
            Form::Binary => match binary(&mut self.reader, number, self.printed, false) {
                Ok(entry) => Ok(Some(entry)),
                Err(source) => Err(ImaError::Read {
                    entry: number,
                    source,
                }),
            },
            Form::Text => self.text(number),
            Form::BigEndian => Err(ImaError::BigEndian),
        }
    }

    fn text(&mut self, number: u64) -> Result<Option<ImaEntry<'_>>, ImaError> {
        let (start, line) = (self.reader.offset(), self.line);
        let wrong = |wrong: text::Wrong| ImaError::Line {
            entry: number,
            line,
            offset: start.saturating_add(wrong.at),
            expected: wrong.expected,
        };
        self.binary.truncate(self.kept);
        let fields = text::convert(&mut self.reader, self.printed, &mut self.line, &mut self.binary);
        let at = fields.map_err(wrong)?;
        let mut reader = Reader::new(self.binary.get(self.kept..).unwrap_or_default());
        match binary(&mut reader, number, self.printed, true) {
            Ok(entry) if reader.is_empty() => Ok(Some(entry)),
            _ => Err(wrong(text::Wrong {
                at,
                expected: text::TOO_LONG,
            })),
        }
    }

    /// Bytes that were read so far.
    pub fn offset(&self) -> usize {
        self.reader.offset()
    }

    /// From here on entries can be kept, to be read [`again`](ImaList::again).
    pub(super) fn keeper(mut self) -> (Self, Kept) {
        let kept = Kept {
            offset: self.reader.offset(),
            number: self.number,
            binary: Vec::new(),
        };
        if self.form == Form::Text {
            // A text is longer than what it was printed from by a quarter, unless most of its fields are empty.
            let text = self.reader.remaining();
            self.binary = Vec::with_capacity(text.saturating_sub(text / 8));
        }
        self.kept = 0;
        (self, kept)
    }

    /// Keeps the last entry that was read.
    pub(super) fn keep(&mut self) {
        self.kept = self.binary.len();
    }

    /// Ends the reading.
    pub(super) fn into_kept(mut self, kept: &mut Kept) {
        self.binary.truncate(self.kept);
        kept.binary = self.binary;
    }
}

/// Entries that a cursor read and kept, beginning at one place of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    /// The first one: bytes from the list's start.
    offset: usize,
    /// The first one: entries from the list's start.
    number: u64,
    /// What a text list's entries were turned into.
    binary: Vec<u8>,
}

/// Reads entries that were read before, so that nothing can fail. Several can be held at a time.
pub(super) struct Again<'k> {
    reader: Reader<'k>,
    form: Form,
    printed: usize,
    number: u64,
}

impl<'k> Iterator for Again<'k> {
    type Item = ImaEntry<'k>;

    fn next(&mut self) -> Option<ImaEntry<'k>> {
        let number = self.number;
        self.number = number.saturating_add(1);
        binary(&mut self.reader, number, self.printed, self.form == Form::Text).ok()
    }
}

/// `converted`: it was made of a text entry, which does not tell an unknown template's data.
fn binary<'a>(
    reader: &mut Reader<'a>,
    number: u64,
    printed: usize,
    converted: bool,
) -> Result<ImaEntry<'a>, ReadError> {
    let pcr = reader.u32_le("the PCR index")?;
    let printed = reader.take(printed, "the template digest")?;
    let template = Template::of(reader.sized_u32_le(MAX_TEMPLATE_NAME, "the template's name")?);
    let mut inner = if template.is_old() {
        // The old template has no length before its data: a bare digest, then the name behind its length.
        let mut ahead = reader.clone();
        ahead.take(entry::old_digest_len(reader), "the file's digest")?;
        ahead.sized_u32_le(entry::OLD_NAME, "the file's name")?;
        let size = ahead.offset().saturating_sub(reader.offset());
        reader.sub(size, "the template data")?
    } else {
        let size = reader.count_u32_le(MAX_DATA, "the template data")?;
        reader.sub(size, "the template data")?
    };
    let fields = entry::fields(&template, inner.clone())?;
    Ok(ImaEntry {
        number,
        pcr,
        template,
        violation: entry::is_zero(printed),
        printed,
        data: (!converted || template.is_known()).then(|| inner.rest()),
        fields,
    })
}
