//! One entry of `ascii_runtime_measurements`, turned into the template data that it was printed from.
//!
//! The kernel prints each field behind one space and escapes nothing. Spaces in a path were measured as underscores, so
//! fields can be told apart; kernels before 3.13 printed them, which is understood as well, since only a path can hold
//! them. A newline in a path is printed as it is: a line that does not begin like an entry therefore belongs to the one
//! before it. An empty field leaves its space. Whatever this guesses wrongly does not replay.

use super::entry::{self, ImaEntry};
use super::template::{Field, Template};
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
    /// The template digest, in digits that were not looked at yet.
    pub(super) digits: &'a [u8],
    /// From the template's name on.
    rest: &'a [u8],
}

/// Reads one entry; `scratch` holds its template data.
pub(super) fn entry<'a: 's, 's>(
    reader: &mut Reader<'a>,
    number: u64,
    lines: &mut u64,
    scratch: &'s mut Vec<u8>,
) -> Result<ImaEntry<'s>, Wrong> {
    let rest = reader.clone().rest();
    let header = header(rest).ok_or(NO_HEADER)?;
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
    scratch.clear();
    push_hex(scratch, header.digits, "").map_err(|_| NO_HEADER)?;
    let printed_len = scratch.len();
    if template.is_known() {
        let text = text.ok_or(Wrong {
            at: whole.len(),
            expected: "the template's fields, each behind a space",
        })?;
        fill(scratch, &template, text, at(text))?;
    }
    let (printed, data) = scratch.split_at_checked(printed_len).ok_or(NO_HEADER)?;
    let data = template.is_known().then_some(data);
    let fields = match data {
        Some(data) => entry::fields(&template, Reader::new(data)).map_err(|_| Wrong {
            at: at(body),
            expected: "fields no longer than the kernel makes them",
        })?,
        None => None,
    };
    Ok(ImaEntry {
        number,
        pcr: header.pcr,
        template,
        violation: entry::is_zero(printed),
        printed,
        data,
        fields,
    })
}

const NO_HEADER: Wrong = Wrong {
    at: 0,
    expected: "a PCR index, a template digest in hexadecimal digits, and a template's name",
};

/// `%2d `, the digest in hexadecimal digits, a space.
pub(super) fn header(line: &[u8]) -> Option<Header<'_>> {
    let line = line.strip_prefix(b" ").unwrap_or(line);
    // Two digits at most, so that no search for the space runs far: this is tried behind every newline.
    let (pcr, _) = entry::split_once(line.get(..3)?, b' ')?;
    if pcr.is_empty() || !pcr.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let line = line.get(pcr.len().checked_add(1)?..)?;
    let pcr: u32 = std::str::from_utf8(pcr).ok()?.parse().ok()?;
    for bank in HashAlg::ALL {
        let digits = bank.digest_len().saturating_mul(2);
        if line.get(digits) != Some(&b' ') {
            continue;
        }
        let (digits, rest) = line.split_at_checked(digits)?;
        let hex = digits.iter().fold(0, |seen, digit| seen | value(*digit));
        return (hex < NO_DIGIT).then_some(Header {
            pcr,
            digits,
            rest: rest.get(1..)?,
        });
    }
    None
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
            let colon = text.iter().rposition(|byte| *byte == b':');
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
    if !digits.len().is_multiple_of(2) {
        return Err(expected);
    }
    let from = data.len();
    data.resize(from.saturating_add(digits.len() / 2), 0);
    let bytes = data.get_mut(from..).unwrap_or_default();
    decode(digits, bytes).ok_or(expected)
}

/// Only what the kernel prints: lower case.
fn decode(digits: &[u8], bytes: &mut [u8]) -> Option<()> {
    let mut seen = 0;
    for (pair, byte) in digits.chunks_exact(2).zip(bytes) {
        let &[high, low] = pair else { return None };
        let (high, low) = (value(high), value(low));
        seen |= high | low;
        *byte = high.wrapping_shl(4) | low;
    }
    (seen < NO_DIGIT).then_some(())
}

/// More than any digit's value, and kept by a bitwise or.
const NO_DIGIT: u8 = 0x80;

fn value(digit: u8) -> u8 {
    VALUES.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT)
}

/// Values of the bytes as hexadecimal digits: a table, since lists are mostly digits.
const VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let digits = *b"0123456789abcdef";
    let mut rest: &[u8] = &digits;
    let mut number = 0;
    while let [digit, behind @ ..] = rest {
        let mut left: &mut [u8] = &mut values;
        let mut skip = *digit;
        while let [slot, others @ ..] = left {
            if skip == 0 {
                *slot = number;
                break;
            }
            skip = skip.wrapping_sub(1);
            left = others;
        }
        number = u8::wrapping_add(number, 1);
        rest = behind;
    }
    values
};
