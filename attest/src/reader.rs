//! The only place that splits untrusted bytes.
//!
//! It proves that every byte handed out was there, that no declared length was believed before it was compared with
//! what is left and with the caller's bound, and (by [`Reader::finish`]) that nothing was left over.

use thiserror::Error;

/// Why bytes could not be split as the format asks. Offsets count from the start of the whole input.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The input ends inside a field.
    #[error("at byte {offset}: expected {expected} ({needed} bytes), but only {left} bytes are left")]
    Truncated {
        /// Where the field begins.
        offset: usize,
        /// What the field is.
        expected: &'static str,
        /// How many bytes it takes.
        needed: usize,
        /// How many there are.
        left: usize,
    },
    /// A declared length or count is above what the caller allows.
    #[error("at byte {offset}: {expected} declares {declared}, more than the {limit} allowed")]
    TooLarge {
        /// Where the length stands.
        offset: usize,
        /// What the field is.
        expected: &'static str,
        /// The length as declared.
        declared: u64,
        /// The bound.
        limit: usize,
    },
    /// Bytes follow where the structure should have ended.
    #[error("at byte {offset}: {left} bytes follow the end of {structure}")]
    Trailing {
        /// Where the structure ended.
        offset: usize,
        /// Which structure.
        structure: &'static str,
        /// How many bytes follow.
        left: usize,
    },
}

/// A cursor over hostile bytes.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Reader {
            rest: input,
            offset: 0,
        }
    }

    /// How many bytes were taken so far, counted from the start of the whole input.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether all bytes were taken.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes exactly `n` bytes; `expected` names the field in errors.
    pub fn take(&mut self, n: usize, expected: &'static str) -> Result<&'a [u8], ReadError> {
        let Some((taken, rest)) = self.rest.split_at_checked(n) else {
            return Err(ReadError::Truncated {
                offset: self.offset,
                expected,
                needed: n,
                left: self.rest.len(),
            });
        };
        self.rest = rest;
        // The sum never exceeds the input's own length.
        self.offset = self.offset.saturating_add(n);
        Ok(taken)
    }

    /// Takes all that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        let taken = self.rest;
        self.offset = self.offset.saturating_add(taken.len());
        self.rest = &[];
        taken
    }

    /// Takes `n` bytes as a reader of their own, which keeps counting offsets from the start of the whole input.
    pub fn sub(&mut self, n: usize, expected: &'static str) -> Result<Reader<'a>, ReadError> {
        let offset = self.offset;
        Ok(Reader {
            rest: self.take(n, expected)?,
            offset,
        })
    }

    /// Takes a fixed number of bytes as an array.
    pub fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], ReadError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(ReadError::Truncated {
                offset: self.offset,
                expected,
                needed: N,
                left: self.rest.len(),
            });
        };
        self.rest = rest;
        self.offset = self.offset.saturating_add(N);
        Ok(*taken)
    }

    /// One byte.
    pub fn u8(&mut self, expected: &'static str) -> Result<u8, ReadError> {
        let [byte] = self.array(expected)?;
        Ok(byte)
    }

    /// Two bytes, big-endian (TPM structures).
    pub fn u16_be(&mut self, expected: &'static str) -> Result<u16, ReadError> {
        self.array(expected).map(u16::from_be_bytes)
    }

    /// Four bytes, big-endian.
    pub fn u32_be(&mut self, expected: &'static str) -> Result<u32, ReadError> {
        self.array(expected).map(u32::from_be_bytes)
    }

    /// Eight bytes, big-endian.
    pub fn u64_be(&mut self, expected: &'static str) -> Result<u64, ReadError> {
        self.array(expected).map(u64::from_be_bytes)
    }

    /// Two bytes, little-endian (event logs, IMA lists).
    pub fn u16_le(&mut self, expected: &'static str) -> Result<u16, ReadError> {
        self.array(expected).map(u16::from_le_bytes)
    }

    /// Four bytes, little-endian.
    pub fn u32_le(&mut self, expected: &'static str) -> Result<u32, ReadError> {
        self.array(expected).map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    pub fn u64_le(&mut self, expected: &'static str) -> Result<u64, ReadError> {
        self.array(expected).map(u64::from_le_bytes)
    }

    /// A buffer behind a big-endian 16-bit length (TPM2B), at most `limit` bytes.
    pub fn sized_u16_be(&mut self, limit: usize, expected: &'static str) -> Result<&'a [u8], ReadError> {
        let offset = self.offset;
        let declared = self.u16_be(expected)?;
        self.bounded(u64::from(declared), limit, offset, expected)
    }

    /// A buffer behind a little-endian 32-bit length, at most `limit` bytes.
    pub fn sized_u32_le(&mut self, limit: usize, expected: &'static str) -> Result<&'a [u8], ReadError> {
        let offset = self.offset;
        let declared = self.u32_le(expected)?;
        self.bounded(u64::from(declared), limit, offset, expected)
    }

    /// A big-endian 16-bit length of at most `limit` bytes, without what it counts.
    pub fn count_u16_be(&mut self, limit: usize, expected: &'static str) -> Result<usize, ReadError> {
        let offset = self.offset;
        let declared = u64::from(self.u16_be(expected)?);
        within(declared, limit, offset, expected)
    }

    /// A big-endian 32-bit count of at most `limit` items.
    pub fn count_u32_be(&mut self, limit: usize, expected: &'static str) -> Result<usize, ReadError> {
        let offset = self.offset;
        let declared = u64::from(self.u32_be(expected)?);
        within(declared, limit, offset, expected)
    }

    /// A little-endian 32-bit length or count of at most `limit`.
    pub fn count_u32_le(&mut self, limit: usize, expected: &'static str) -> Result<usize, ReadError> {
        let offset = self.offset;
        let declared = u64::from(self.u32_le(expected)?);
        within(declared, limit, offset, expected)
    }

    /// Ends the reading of `structure`; bytes that are left are an error.
    pub fn finish(self, structure: &'static str) -> Result<(), ReadError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(ReadError::Trailing {
            offset: self.offset,
            structure,
            left: self.rest.len(),
        })
    }

    fn bounded(
        &mut self,
        declared: u64,
        limit: usize,
        offset: usize,
        expected: &'static str,
    ) -> Result<&'a [u8], ReadError> {
        let n = within(declared, limit, offset, expected)?;
        self.take(n, expected)
    }
}

fn within(declared: u64, limit: usize, offset: usize, expected: &'static str) -> Result<usize, ReadError> {
    match usize::try_from(declared) {
        Ok(n) if n <= limit => Ok(n),
        _ => Err(ReadError::TooLarge {
            offset,
            expected,
            declared,
            limit,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_both_orders_are_read_and_counted() {
        let mut r = Reader::new(&[1, 0, 2, 2, 0, 0, 0, 0, 3, 3, 0, 0, 0]);
        assert_eq!(r.u8("a"), Ok(1));
        assert_eq!(r.u16_be("b"), Ok(2));
        assert_eq!(r.u16_le("c"), Ok(2));
        assert_eq!(r.u32_be("d"), Ok(3));
        assert_eq!((r.offset(), r.remaining(), r.is_empty()), (9, 4, false));
        assert_eq!(r.u32_le("e"), Ok(3));
        assert_eq!(r.finish("x"), Ok(()));
        assert_eq!(Reader::new(&[0, 0, 0, 0, 0, 0, 1, 2]).u64_be("f"), Ok(258));
        assert_eq!(Reader::new(&[2, 1, 0, 0, 0, 0, 0, 0]).u64_le("f"), Ok(258));
    }

    #[test]
    fn case_16_trailing_bytes_are_refused_with_their_offset() {
        let mut r = Reader::new(&[1, 2, 3]);
        r.u8("a").unwrap();
        assert_eq!(
            r.finish("thing"),
            Err(ReadError::Trailing {
                offset: 1,
                structure: "thing",
                left: 2
            })
        );
    }

    #[test]
    fn case_17_a_length_above_what_is_left_or_allowed_is_refused() {
        let mut r = Reader::new(&[0xff, 0xff, 1]);
        let error = r.sized_u16_be(10, "buffer").unwrap_err();
        assert_eq!(
            error,
            ReadError::TooLarge {
                offset: 0,
                expected: "buffer",
                declared: 0xffff,
                limit: 10
            }
        );
        let mut r = Reader::new(&[0, 5, 1]);
        let error = r.sized_u16_be(10, "buffer").unwrap_err();
        assert_eq!(
            error,
            ReadError::Truncated {
                offset: 2,
                expected: "buffer",
                needed: 5,
                left: 1
            }
        );
        assert!(Reader::new(&[0xff; 4]).sized_u32_le(usize::MAX, "x").is_err());
        assert!(Reader::new(&[0xff; 4]).count_u32_be(100, "x").is_err());
        assert!(Reader::new(&[1, 0, 0, 0]).count_u32_le(1, "x").is_ok());
    }

    #[test]
    fn a_sub_reader_keeps_the_outer_offsets() {
        let mut r = Reader::new(&[1, 2, 3, 4]);
        r.u8("a").unwrap();
        let mut inner = r.sub(2, "inner").unwrap();
        assert_eq!(r.offset(), 3);
        inner.u8("b").unwrap();
        assert_eq!(
            inner.u16_le("c"),
            Err(ReadError::Truncated {
                offset: 2,
                expected: "c",
                needed: 2,
                left: 1
            })
        );
        assert_eq!(r.rest(), &[4]);
        assert!(r.is_empty());
    }
}
