//! One entry of `ascii_runtime_measurements`, turned into the entry of `binary_runtime_measurements` that it was printed
//! from. Everything behind this reads the binary form: what was hashed is what is appraised.
//!
//! The kernel prints each field behind one space and escapes nothing. Spaces in a path were measured as underscores, so
//! fields can be told apart; kernels before 3.13 printed them, which is understood as well, since only a path can hold
//! them. A newline in a path is printed as it is: a line that does not begin like an entry therefore belongs to the one
//! before it. An empty field leaves its space. Whatever this guesses wrongly does not replay.

use super::entry;
use super::template::{Field, Template};
use crate::digits;
use crate::pcr::HashAlg;
use crate::reader::Reader;

/// What should have stood where in an entry's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Bytes from the entry's beginning.
    pub(super) at: usize,
    pub(super) expected: &'static str,
}

/// What stands before an entry's fields.
pub(super) struct Header<'a> {
    pub(super) pcr: u32,
    /// The template digest, in digits.
    pub(super) digits: &'a [u8],
    /// From the template's name on.
    rest: &'a [u8],
}

/// Reads one entry and writes it behind `binary`; an unknown template has no data there. `printed`: bytes of the template
/// digests in this list.
///
/// Gives where its fields stand, in bytes from the entry's beginning.
pub(super) fn convert(
    reader: &mut Reader<'_>,
    printed: usize,
    lines: &mut u64,
    binary: &mut Vec<u8>,
) -> Result<usize, Wrong> {
    let rest = reader.clone().rest();
    let header = split(rest).ok_or(NO_HEADER)?;
    if header.digits.len() / 2 != printed {
        return Err(NO_HEADER);
    }
    let (length, newlines) = extent(rest).ok_or(Wrong {
        at: rest.len(),
        expected: "a newline behind the entry",
    })?;
    *lines = lines.saturating_add(newlines);
    let whole = reader.take(length, "").map_err(|_| Wrong {
        at: 0,
        expected: "a line",
    })?;
    let _newline = reader.take(1, "");

    // What stands before the name is as long as what `header` took of the whole rest.
    let front = rest.len().saturating_sub(header.rest.len());
    let body = whole.get(front..).unwrap_or_default();
    let (name, text) = entry::split_once(body, b' ').map_or((body, None), |(name, text)| (name, Some(text)));
    let template = Template::of(name);
    let at = |part: &[u8]| whole.len().saturating_sub(part.len());
    let wrong = |at| move |expected| Wrong { at, expected };

    binary.extend_from_slice(&header.pcr.to_le_bytes());
    push_hex(binary, header.digits, "").map_err(|_| NO_HEADER)?;
    sized(binary, |binary| {
        binary.extend_from_slice(name);
        Ok(())
    })
    .map_err(wrong(at(body)))?;
    if !template.is_known() {
        binary.extend_from_slice(&[0; 4]);
        return Ok(at(body));
    }
    let text = text.ok_or(Wrong {
        at: whole.len(),
        expected: "the template's fields, each behind a space",
    })?;
    if template.is_old() {
        fill(binary, &template, text, at(text))?;
    } else {
        let mut misfit = None;
        let filled = sized(binary, |binary| {
            fill(binary, &template, text, at(text)).map_err(|wrong| {
                misfit = Some(wrong);
                wrong.expected
            })
        });
        filled.map_err(|expected| {
            misfit.unwrap_or(Wrong {
                at: at(text),
                expected,
            })
        })?;
    }
    Ok(at(body))
}

/// Where an entry's bytes end that could not be read back: a field longer than the kernel makes it.
pub(super) const TOO_LONG: &str = "fields no longer than the kernel makes them";

const NO_HEADER: Wrong = Wrong {
    at: 0,
    expected: "a PCR index, a template digest in hexadecimal digits (as many as in the first entry), and a template's name",
};

/// What an entry begins with: `%2d `, the digest in hexadecimal digits, a space.
pub(super) fn header(line: &[u8]) -> Option<Header<'_>> {
    split(line).filter(|header| digits::are_lower(header.digits))
}

/// The same, by its spaces alone.
fn split(line: &[u8]) -> Option<Header<'_>> {
    let line = line.strip_prefix(b" ").unwrap_or(line);
    // Two digits at most, so that no search for the space runs far: this is tried behind every newline.
    let (pcr, line) = match line {
        [ones, b' ', rest @ ..] => (decimal_digit(*ones)?, rest),
        [tens, ones, b' ', rest @ ..] => {
            let tens = decimal_digit(*tens)?.saturating_mul(10);
            (tens.saturating_add(decimal_digit(*ones)?), rest)
        }
        _ => return None,
    };
    for bank in HashAlg::ALL {
        let (digits, rest) = line.split_at_checked(bank.digest_len().saturating_mul(2))?;
        if let [b' ', rest @ ..] = rest {
            return Some(Header { pcr, digits, rest });
        }
    }
    None
}

fn decimal_digit(digit: u8) -> Option<u32> {
    digit
        .is_ascii_digit()
        .then(|| u32::from(digit.wrapping_sub(b'0')))
}

/// Bytes before the newline that ends the entry, and the newlines up to it: the first one behind which nothing or
/// another entry begins.
fn extent(rest: &[u8]) -> Option<(usize, u64)> {
    let mut newlines = 0_u64;
    memchr::memchr_iter(b'\n', rest)
        .find(|at| {
            newlines = newlines.saturating_add(1);
            let behind = at
                .checked_add(1)
                .and_then(|next| rest.get(next..))
                .unwrap_or_default();
            behind.is_empty() || header(behind).is_some()
        })
        .map(|at| (at, newlines))
}

/// Rebuilds the template data. The name takes what the fields around it leave.
fn fill(data: &mut Vec<u8>, template: &Template<'_>, text: &[u8], start: usize) -> Result<(), Wrong> {
    let mut left = template.fields().count();
    let (mut text, mut at) = (text, start);
    for field in template.fields() {
        left = left.saturating_sub(1);
        let end = if left == 0 {
            Some(text.len())
        } else if field.is_name() {
            last_spaces(text, left)
        } else {
            memchr::memchr(b' ', text)
        };
        let end = end.ok_or(Wrong {
            at: at.saturating_add(text.len()),
            expected: "another field behind a space",
        })?;
        let (value, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
        push(data, template, field, value).map_err(|expected| Wrong { at, expected })?;
        text = rest.get(1..).unwrap_or_default();
        at = at.saturating_add(end).saturating_add(1);
    }
    Ok(())
}

/// Where the last `count` spaces of a text begin.
fn last_spaces(text: &[u8], count: usize) -> Option<usize> {
    memchr::memrchr_iter(b' ', text).nth(count.checked_sub(1)?)
}

fn push(data: &mut Vec<u8>, template: &Template<'_>, field: Field, text: &[u8]) -> Result<(), &'static str> {
    match field {
        Field::Digest if template.is_old() => {
            if text.len() != 40 && text.len() != 32 {
                return Err("a digest of 40 hexadecimal digits (32 with MD5)");
            }
            push_hex(data, text, "a digest in hexadecimal digits")
        }
        Field::Name if template.is_old() => sized(data, |data| {
            data.extend_from_slice(text);
            Ok(())
        }),
        Field::Digest => sized(data, |data| {
            push_hex(data, text, "a digest in hexadecimal digits")
        }),
        Field::DigestModsig if text.is_empty() => sized(data, |_| Ok(())),
        Field::DigestNg | Field::DigestNgV2 | Field::DigestModsig => sized(data, |data| {
            // `sha256:` hex was measured as `sha256:` NUL digest; without an algorithm as `:` NUL digest.
            let colon = memchr::memrchr(b':', text);
            let (algorithm, digits) = match colon.and_then(|at| text.split_at_checked(at)) {
                Some((algorithm, rest)) => (algorithm, rest.get(1..).unwrap_or_default()),
                None => (&[][..], text),
            };
            data.extend_from_slice(algorithm);
            data.extend_from_slice(b":\0");
            push_hex(
                data,
                digits,
                "a digest: an algorithm, a colon, hexadecimal digits",
            )
        }),
        Field::Name | Field::NameNg => sized(data, |data| {
            data.extend_from_slice(text);
            data.push(0);
            Ok(())
        }),
        Field::XattrNames => sized(data, |data| {
            if !text.is_empty() {
                data.extend_from_slice(text);
                data.push(0);
            }
            Ok(())
        }),
        Field::Signature | Field::Modsig | Field::EvmSignature => sized(data, |data| {
            push_hex(data, text, "a signature in hexadecimal digits, or nothing")
        }),
        Field::Buffer | Field::XattrLengths | Field::XattrValues => sized(data, |data| {
            push_hex(data, text, "data in hexadecimal digits, or nothing")
        }),
        Field::Uid | Field::Gid => sized(data, |data| {
            if let Some(number) = decimal(text, u64::from(u32::MAX))? {
                data.extend(number.to_le_bytes().into_iter().take(4));
            }
            Ok(())
        }),
        Field::Mode => sized(data, |data| {
            if let Some(number) = decimal(text, u64::from(u16::MAX))? {
                data.extend(number.to_le_bytes().into_iter().take(2));
            }
            Ok(())
        }),
    }
}

/// A field behind its length.
fn sized(
    data: &mut Vec<u8>,
    fill: impl FnOnce(&mut Vec<u8>) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    let start = data.len();
    data.extend_from_slice(&[0; 4]);
    let from = data.len();
    fill(data)?;
    let length = data.len().saturating_sub(from);
    let length = u32::try_from(length).map_err(|_| "a shorter field")?;
    for (to, byte) in data.iter_mut().skip(start).zip(length.to_le_bytes()) {
        *to = byte;
    }
    Ok(())
}

/// A number as `%u` prints it; nothing for a field that is absent.
fn decimal(text: &[u8], most: u64) -> Result<Option<u64>, &'static str> {
    let expected = "a number in decimal digits, or nothing";
    if text.is_empty() {
        return Ok(None);
    }
    let canonical = text.iter().all(u8::is_ascii_digit) && (text == b"0" || !text.starts_with(b"0"));
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse::<u64>().ok())
        .filter(|number| canonical && *number <= most)
        .map(Some)
        .ok_or(expected)
}

/// Lower-case digits straight behind what is there already.
fn push_hex(data: &mut Vec<u8>, digits: &[u8], expected: &'static str) -> Result<(), &'static str> {
    if !digits.len().is_multiple_of(2) || !digits::are_lower(digits) {
        return Err(expected);
    }
    digits::decode(digits, data);
    Ok(())
}
