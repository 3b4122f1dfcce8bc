//! A list in either form, read entry by entry.

use super::entry::{self, ImaEntry, Template};
use super::text;
use crate::reader::{ReadError, Reader};

/// Longest template name: the kernel's IMA_TEMPLATE_NAME and custom formats stay far below its 255-byte buffers.
const MAX_TEMPLATE_NAME: usize = 255;
/// Longest template data: a path of 4 KiB and an extended attribute of 64 KiB; `ima-buf` entries carry kexec command
/// lines and keys, and 1 MiB leaves room for all.
const MAX_DATA: usize = 1024 * 1024;

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `binary_runtime_measurements`, little-endian.
    Binary,
    /// `ascii_runtime_measurements`.
    Text,
}

/// Why bytes are no IMA list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImaError {
    /// A binary entry ends early or declares too much.
    #[error("IMA list, entry {entry} of the slice: {source}")]
    Read {
        /// The entry.
        entry: u64,
        /// What was wrong.
        #[source]
        source: ReadError,
    },
    /// A line is not what the kernel prints.
    #[error("IMA list, entry {entry} of the slice: expected {expected}")]
    Line {
        /// The entry.
        entry: u64,
        /// What should have stood there.
        expected: &'static str,
    },
}

/// A list, unproven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImaList<'a> {
    bytes: &'a [u8],
    form: Form,
}

impl<'a> ImaList<'a> {
    /// Takes the bytes and sees which form they have: a binary list begins with a PCR number below 24, a text list with
    /// a digit or a space.
    pub fn new(bytes: &'a [u8]) -> Self {
        let form = if bytes.first().is_some_and(|byte| *byte >= b' ') {
            Form::Text
        } else {
            Form::Binary
        };
        Self { bytes, form }
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
            number: 0,
            scratch: Vec::new(),
        }
    }
}

/// Reads a list entry by entry, with one buffer for all of them.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    reader: Reader<'a>,
    form: Form,
    number: u64,
    scratch: Vec<u8>,
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
            Form::Binary => binary(&mut self.reader, number).map_err(|source| ImaError::Read {
                entry: number,
                source,
            }),
            Form::Text => {
                text::line(&mut self.reader, number, &mut self.scratch).map_err(|expected| ImaError::Line {
                    entry: number,
                    expected,
                })
            }
        }
        .map(Some)
    }
}

fn binary<'a>(reader: &mut Reader<'a>, number: u64) -> Result<ImaEntry<'a>, ReadError> {
    let pcr = reader.u32_le("the PCR index")?;
    let sha1 = reader.array::<20>("the template digest")?;
    let template = Template::of(reader.sized_u32_le(MAX_TEMPLATE_NAME, "the template's name")?);
    let data = if template == Template::Ima {
        // The old template has no length before its data: a bare digest, then the name behind its length.
        let mut ahead = reader.clone();
        ahead.take(20, "the file's digest")?;
        let name = ahead.sized_u32_le(256, "the file's name")?;
        reader.take(name.len().saturating_add(24), "the template data")?
    } else {
        reader.sized_u32_le(MAX_DATA, "the template data")?
    };
    let violation = sha1 == [0; 20];
    Ok(ImaEntry {
        number,
        pcr,
        template,
        violation,
        sha1,
        data: Some(data),
        fields: entry::fields(template, data)?,
    })
}
