//! One line of `ascii_runtime_measurements`, turned into the template data that it was printed from.
//!
//! The kernel prints each field behind one space and escapes nothing. Spaces in a path were measured as underscores
//! (except in the old `ima` template, where the path is the last field anyway). A newline in a path is printed as it is:
//! a line that does not begin like an entry therefore belongs to the one before it. Whatever this guesses wrongly does
//! not replay.

use super::entry::{self, ImaEntry, Template};
use crate::reader::Reader;

/// Reads one entry; `scratch` holds its template data. The error says what was expected.
pub(super) fn line<'a: 's, 's>(
    reader: &mut Reader<'a>,
    number: u64,
    scratch: &'s mut Vec<u8>,
) -> Result<ImaEntry<'s>, &'static str> {
    let rest = reader.clone().rest();
    let length = line_length(rest).ok_or("a line with a newline at its end")?;
    let line = reader.take(length, "a line").map_err(|_| "a line")?;
    reader.take(1, "a newline").map_err(|_| "a newline")?;

    let (pcr, sha1, line) =
        header(line).ok_or("a PCR index, a SHA-1 template digest in hex, and a template's name")?;
    let (name, line) = split_once(line, b' ').unwrap_or((line, &[]));
    let template = Template::of(name);
    scratch.clear();
    let data: Option<&[u8]> = match template {
        Template::Unknown(_) => None,
        Template::Ima => {
            let (digest, path) = split_once(line, b' ').ok_or("a digest and a path")?;
            push_hex(scratch, digest).ok_or("a digest in hex")?;
            push_sized(scratch, &[path]).ok_or("a shorter path")?;
            Some(scratch)
        }
        Template::ImaNg => {
            let (digest, path) = split_once(line, b' ').ok_or("a digest and a path")?;
            push_digest(scratch, digest)?;
            push_sized(scratch, &[path, b"\0"]).ok_or("a shorter path")?;
            Some(scratch)
        }
        Template::ImaSig => {
            let (digest, rest) = split_once(line, b' ').ok_or("a digest, a path and a signature")?;
            let at = rest
                .iter()
                .rposition(|byte| *byte == b' ')
                .ok_or("a space before the signature")?;
            let (path, signature) = rest.split_at_checked(at).ok_or("a path")?;
            push_digest(scratch, digest)?;
            push_sized(scratch, &[path, b"\0"]).ok_or("a shorter path")?;
            let signature =
                hex::decode(signature.get(1..).unwrap_or_default()).map_err(|_| "a signature in hex")?;
            push_sized(scratch, &[&signature]).ok_or("a shorter signature")?;
            Some(scratch)
        }
    };
    let fields = match data {
        Some(data) => entry::fields(template, data).map_err(|_| "fields of the template's form")?,
        None => None,
    };
    Ok(ImaEntry {
        number,
        pcr,
        template,
        violation: sha1 == [0; 20],
        sha1,
        data,
        fields,
    })
}

/// Bytes before the newline that ends the entry: the first one behind which nothing or another entry begins.
fn line_length(rest: &[u8]) -> Option<usize> {
    rest.iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at)
        .find(|at| {
            let behind = at
                .checked_add(1)
                .and_then(|next| rest.get(next..))
                .unwrap_or_default();
            behind.is_empty() || header(behind).is_some()
        })
}

/// `%2d `, 40 hex digits, a space.
fn header(line: &[u8]) -> Option<(u32, [u8; 20], &[u8])> {
    let line = line.strip_prefix(b" ").unwrap_or(line);
    // Two digits at most, so that no search for the space runs far: this is tried behind every newline.
    let (pcr, _) = split_once(line.get(..3)?, b' ').filter(|(pcr, _)| pcr.iter().all(u8::is_ascii_digit))?;
    let line = line.get(pcr.len().checked_add(1)?..)?;
    let pcr: u32 = std::str::from_utf8(pcr).ok()?.parse().ok()?;
    let (digest, line) = line.split_at_checked(40)?;
    let mut sha1 = [0; 20];
    hex::decode_to_slice(digest, &mut sha1).ok()?;
    Some((pcr, sha1, line.strip_prefix(b" ")?))
}

/// `sha256:` hex, as the kernel measures it: `sha256:` NUL digest.
fn push_digest(data: &mut Vec<u8>, field: &[u8]) -> Result<(), &'static str> {
    let (algorithm, digits) = split_once(field, b':').ok_or("an algorithm and a colon before the digest")?;
    let digest = hex::decode(digits).map_err(|_| "a digest in hex")?;
    push_sized(data, &[algorithm, b":\0", &digest]).ok_or("a shorter digest")
}

fn push_hex(data: &mut Vec<u8>, digits: &[u8]) -> Option<()> {
    data.extend_from_slice(&hex::decode(digits).ok()?);
    Some(())
}

fn push_sized(data: &mut Vec<u8>, parts: &[&[u8]]) -> Option<()> {
    let length = parts
        .iter()
        .try_fold(0_usize, |sum, part| sum.checked_add(part.len()))?;
    data.extend_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
    parts.iter().for_each(|part| data.extend_from_slice(part));
    Some(())
}

fn split_once(bytes: &[u8], mark: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == mark)?;
    let (before, behind) = bytes.split_at_checked(at)?;
    Some((before, behind.get(1..)?))
}
