//! Skips entries of an IMA list, text or binary, in bounded memory.
//!
//! The list is split only to skip what the daemon has seen; nothing is judged here.

use std::io::{self, BufRead, Read};

/// A line of the text form: the kernel's paths are at most 4 KiB; signatures and modsigs are larger.
const LONGEST_LINE: u64 = 1024 * 1024;

/// Template names are up to 64 letters; descriptors as names (`d-ng|n-ng|sig`) are longer.
const LONGEST_NAME: u32 = 1024;

/// Template data: ima-buf carries key blobs and policies.
const LONGEST_DATA: u32 = 16 * 1024 * 1024;

/// Why the rest of a list cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// Reading failed.
    #[error("reading failed: {0}")]
    Read(#[from] io::Error),
    /// More bytes than may be sent.
    #[error("more than {limit} bytes")]
    TooLong {
        /// The most.
        limit: usize,
    },
    /// An entry that had to be skipped is none.
    #[error("entry {entry}: {reason}")]
    Malformed {
        /// Counted from 0.
        entry: u64,
        /// What is wrong.
        reason: &'static str,
    },
}

/// The bytes from entry `first` on. A list with fewer entries gives none.
pub fn tail(list: &mut impl BufRead, first: u64, limit: usize) -> Result<Vec<u8>, TailError> {
    let text = is_text(list)?;
    for entry in 0..first {
        let more = if text {
            skip_line(list, entry)?
        } else {
            skip_entry(list, entry)?
        };
        if !more {
            return Ok(Vec::new());
        }
    }
    let mut rest = Vec::new();
    list.take(limit as u64 + 1).read_to_end(&mut rest)?;
    if rest.len() > limit {
        Err(TailError::TooLong { limit })
    } else {
        Ok(rest)
    }
}

/// Text begins with the PCR in decimal, padded with a space; binary with the PCR (below 24) as a little-endian number.
fn is_text(list: &mut impl BufRead) -> Result<bool, TailError> {
    Ok(list
        .fill_buf()?
        .first()
        .is_some_and(|byte| byte.is_ascii_digit() || *byte == b' '))
}

/// Skips one line; false at the end of the list.
fn skip_line(list: &mut impl BufRead, entry: u64) -> Result<bool, TailError> {
    let mut skipped = 0u64;
    loop {
        let buffer = list.fill_buf()?;
        if buffer.is_empty() {
            return Ok(skipped > 0);
        }
        let (length, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        list.consume(length);
        skipped += length as u64;
        if skipped > LONGEST_LINE {
            return Err(TailError::Malformed {
                entry,
                reason: "a line longer than 1 MiB",
            });
        }
        if ended {
            return Ok(true);
        }
    }
}

/// Skips one binary entry (`ima_measurements_show` in the kernel); false at the end of the list.
fn skip_entry(list: &mut impl BufRead, entry: u64) -> Result<bool, TailError> {
    if list.fill_buf()?.is_empty() {
        return Ok(false);
    }
    let malformed = |reason| TailError::Malformed { entry, reason };
    skip(list, 4 + 20, entry)?; // PCR, SHA-1 of the template data
    let length = number(list, entry)?;
    if length > LONGEST_NAME {
        return Err(malformed("its template name is too long"));
    }
    let mut name = Vec::new();
    list.take(u64::from(length)).read_to_end(&mut name)?;
    if name.len() as u64 != u64::from(length) {
        return Err(malformed("it is cut short"));
    }
    if name == b"ima" {
        // The oldest template has no length in front: a SHA-1 digest, then the path with its length.
        skip(list, 20, entry)?;
    }
    let length = number(list, entry)?;
    if length > LONGEST_DATA {
        return Err(malformed("its template data is too long"));
    }
    skip(list, u64::from(length), entry)?;
    Ok(true)
}

fn skip(list: &mut impl BufRead, length: u64, entry: u64) -> Result<(), TailError> {
    let skipped = io::copy(&mut list.take(length), &mut io::sink())?;
    if skipped == length {
        Ok(())
    } else {
        Err(TailError::Malformed {
            entry,
            reason: "it is cut short",
        })
    }
}

fn number(list: &mut impl BufRead, entry: u64) -> Result<u32, TailError> {
    let mut bytes = [0; 4];
    list.read_exact(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => TailError::Malformed {
            entry,
            reason: "it is cut short",
        },
        _ => TailError::Read(error),
    })?;
    Ok(u32::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    /// A reader with a small buffer, so that every boundary is met.
    fn from(list: &[u8], first: u64) -> Result<Vec<u8>, TailError> {
        tail(&mut BufReader::with_capacity(7, list), first, 1 << 20)
    }

    fn line(number: usize) -> Vec<u8> {
        format!(
            "10 {:040x} ima-ng sha256:{:064x} /usr/bin/x{number}\n",
            number, number
        )
        .into_bytes()
    }

    fn entry(name: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = 10u32.to_le_bytes().to_vec();
        bytes.extend([7; 20]);
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend(name.as_bytes());
        if name == "ima" {
            bytes.extend([9; 20]);
        }
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        bytes
    }

    fn every_cut(entries: &[Vec<u8>]) {
        let whole = entries.concat();
        for first in 0..=entries.len() {
            assert_eq!(
                from(&whole, first as u64).unwrap(),
                entries[first..].concat(),
                "from {first}"
            );
        }
        assert_eq!(from(&whole, entries.len() as u64 + 1).unwrap(), b"");
        assert_eq!(from(&whole, u64::MAX).unwrap(), b"");
    }

    #[test]
    fn text_is_cut_at_every_entry() {
        every_cut(&(0..5).map(line).collect::<Vec<_>>());
        let low_pcr = b" 9 0000 ima-ng x /y\n".to_vec();
        every_cut(&[low_pcr, line(1)]);
    }

    #[test]
    fn binary_is_cut_at_every_entry_of_every_template() {
        every_cut(&[
            entry("ima-sig", b"boot_aggregate and its digest"),
            entry("ima", b"/etc/passwd"),
            entry("ima-ng", b""),
            entry("d-ng|n-ng|sig", &[10; 300]),
        ]);
    }

    #[test]
    fn an_empty_list_is_empty() {
        assert_eq!(from(b"", 0).unwrap(), b"");
        assert_eq!(from(b"", 9).unwrap(), b"");
    }

    #[test]
    fn an_entry_cut_short_is_refused_wherever_it_is_cut() {
        let whole = entry("ima", b"/bin/true");
        for cut in 1..whole.len() {
            let error = from(&whole[..cut], 1).unwrap_err();
            assert!(
                matches!(error, TailError::Malformed { entry: 0, .. }),
                "cut at {cut}: {error}"
            );
        }
    }

    #[test]
    fn declared_lengths_are_not_believed() {
        let mut huge = 10u32.to_le_bytes().to_vec();
        huge.extend([0; 20]);
        huge.extend(u32::MAX.to_le_bytes());
        assert!(matches!(from(&huge, 1), Err(TailError::Malformed { .. })));
    }

    #[test]
    fn a_rest_beyond_the_limit_is_refused_not_cut() {
        let whole = [line(0), line(1)].concat();
        let limit = line(1).len();
        assert!(matches!(
            tail(&mut &whole[..], 0, limit),
            Err(TailError::TooLong { .. })
        ));
        assert_eq!(tail(&mut &whole[..], 1, limit).unwrap(), line(1));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic_and_the_rest_is_always_a_suffix(bytes: Vec<u8>, first in 0u64..20) {
            if let Ok(rest) = from(&bytes, first) {
                prop_assert!(bytes.ends_with(&rest));
            }
        }
    }
}
