//! Digest lists in the format of `sha256sum`: one text, kept as it is, with an index of paths over it.
//!
//! Ten thousand hosts share one list: it is known by the SHA-256 of its text, and [`DigestLists`] hands out the copy that
//! is in use already. The text is what a bundle stores and what a lookup reads; beside it there is one table of eight
//! bytes for each slot, at most seven tenths full.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _};
use std::hint::black_box;
use std::sync::{Arc, Weak};

use foldhash::quality::FixedState;

use super::file::sha256;
use crate::digits;
use crate::pcr::HashAlg;

/// Largest list, in bytes: 150 000 digests with long paths are under 32 MiB, and offsets have 32 bits.
pub const MAX_LIST: usize = 64 * 1024 * 1024;

/// Digests of one path, such as of all versions of a package that were ever allowed. A lookup walks over all of them.
const MAX_PER_PATH: usize = 256;

/// Slots that a lookup may walk over. In an honest list it is a few, beyond those of the path itself; more means paths
/// that were made to collide.
const MAX_WALK: usize = 8 * MAX_PER_PATH;

/// Slots among which a fetch seeks a path's line; most stand in the first or the second.
const FETCH_WALK: usize = 4;

/// Golden file digests, by path.
pub struct DigestList {
    text: Box<[u8]>,
    digest: [u8; 32],
    slots: Box<[Slot]>,
    len: usize,
    relative: usize,
}

/// Where a line begins, and bits of its path's hash. A line at `u32::MAX` cannot be: the slot is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    line: u32,
    tag: u32,
}

const FREE: Slot = Slot {
    line: u32::MAX,
    tag: 0,
};

/// A path's hash, computed once for all lists that it is looked up in.
#[derive(Debug, Clone, Copy)]
pub struct PathHash(u64);

impl PathHash {
    /// Hashes a path. Whoever makes paths collide gains little: a lookup compares the whole path, and lists are bounded so
    /// that collisions cost little.
    pub fn of(path: &[u8]) -> Self {
        let mut hasher = FixedState::with_seed(0).build_hasher();
        hasher.write(path);
        Self(hasher.finish())
    }

    fn of_line(line: &Line<'_>) -> Self {
        if line.escaped {
            let plain: Vec<u8> = unescaped(line.path).collect();
            Self::of(&plain)
        } else {
            Self::of(line.path)
        }
    }

    fn tag(self) -> u32 {
        u32::try_from(self.0 >> 32).unwrap_or(0)
    }
}

/// How a measured file stands to a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The path is listed with this digest.
    Golden,
    /// The path is listed, with other digests of this algorithm.
    OtherDigest,
    /// The path is listed, with digests of other algorithms only.
    OtherAlgorithm,
    /// The path is not listed.
    Unlisted,
}

/// A list that cannot be used: line, counted from 1, and reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ListError {
    /// Line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl DigestList {
    /// Reads a list.
    ///
    /// # Errors
    /// The first line that is not as `sha256sum` writes it.
    pub fn parse(text: Vec<u8>) -> Result<Self, ListError> {
        let digest = sha256(&text);
        Self::build(text, digest)
    }

    fn build(text: Vec<u8>, digest: [u8; 32]) -> Result<Self, ListError> {
        let at = |line: usize, reason: String| ListError { line, reason };
        if text.len() > MAX_LIST {
            return Err(at(
                1,
                format!("the list is larger than {MAX_LIST} bytes; split it into several"),
            ));
        }
        let wanted = lines(&text).filter(|(_, _, line)| is_entry(line)).count();
        // At most seven tenths full.
        let size = wanted
            .saturating_mul(10)
            .div_euclid(7)
            .saturating_add(1)
            .next_power_of_two();
        let mut list = Self {
            slots: vec![FREE; size].into(),
            text: text.into(),
            digest,
            len: 0,
            relative: 0,
        };
        let text = std::mem::take(&mut list.text);
        for (number, offset, bytes) in lines(&text).filter(|(_, _, line)| is_entry(line)) {
            let line = Line::parse(bytes).map_err(|reason| at(number, reason))?;
            let offset = u32::try_from(offset).map_err(|_| at(number, "beyond 4 GiB".to_owned()))?;
            list.insert(&text, &line, offset)
                .map_err(|reason| at(number, reason.to_owned()))?;
        }
        list.text = text;
        Ok(list)
    }

    fn insert(&mut self, text: &[u8], line: &Line<'_>, offset: u32) -> Result<(), &'static str> {
        let hash = PathHash::of_line(line);
        let mut same_path = 0_usize;
        let start = self.start(hash);
        for step in 0..MAX_WALK {
            let place = start.wrapping_add(step) & self.mask();
            let Some(slot) = self.slots.get_mut(place) else {
                break;
            };
            if *slot == FREE {
                *slot = Slot {
                    line: offset,
                    tag: hash.tag(),
                };
                self.len = self.len.saturating_add(1);
                if !line.path.starts_with(b"/") {
                    self.relative = self.relative.saturating_add(1);
                }
                return Ok(());
            }
            if slot.tag != hash.tag() {
                continue;
            }
            let Some(other) = line_at(text, *slot) else {
                continue;
            };
            if other.same_path(line) {
                if other.same_digest(line) {
                    return Ok(());
                }
                same_path = same_path.saturating_add(1);
                if same_path >= MAX_PER_PATH {
                    return Err(
                        "this path is listed more than 256 times; remove digests that are no longer in use",
                    );
                }
            }
        }
        Err("too many paths share one hash; no honest list has such paths")
    }

    /// Looks one measured file up. Nothing is allocated.
    pub fn find(&self, hash: PathHash, path: &[u8], algorithm: Option<HashAlg>, digest: &[u8]) -> Lookup {
        let mut best = Lookup::Unlisted;
        for line in self.lines_of(hash, path) {
            if Some(line.alg) != algorithm {
                if best == Lookup::Unlisted {
                    best = Lookup::OtherAlgorithm;
                }
            } else if line.is(digest) {
                return Lookup::Golden;
            } else {
                best = Lookup::OtherDigest;
            }
        }
        best
    }

    /// Has the processor fetch what lookups of these paths will read, for all of them at once: each lies elsewhere in a text
    /// of many megabytes, and waiting for one after the other costs more than hashing the entries. It decides nothing.
    pub fn fetch(&self, hashes: &[PathHash]) {
        let slots = hashes.iter().map(|hash| self.slots.get(self.start(*hash)));
        black_box(slots.fold(0, |all, slot| all ^ slot.map_or(0, |slot| slot.tag)));
        let lines = hashes.iter().map(|hash| {
            let walk = (0..FETCH_WALK).map(|step| self.start(*hash).wrapping_add(step) & self.mask());
            let mut tagged =
                walk.filter_map(|place| self.slots.get(place).filter(|slot| slot.tag == hash.tag()));
            tagged.next().and_then(|slot| usize::try_from(slot.line).ok())
        });
        // A line of a SHA-256 digest and a path takes two or three cache lines of 64 bytes.
        black_box(lines.flatten().fold(0, |all, line| {
            let byte = |at: usize| self.text.get(line.wrapping_add(at)).copied().unwrap_or(0);
            all ^ byte(0) ^ byte(64) ^ byte(128)
        }));
    }

    /// The digests that a path is listed with, as `sha256:...`.
    pub fn digests_of<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = (HashAlg, String)> + use<'a> {
        self.lines_of(PathHash::of(path), path)
            .map(|line| (line.alg, String::from_utf8_lossy(line.hex).to_ascii_lowercase()))
    }

    fn lines_of<'a>(&'a self, hash: PathHash, path: &'a [u8]) -> impl Iterator<Item = Line<'a>> + use<'a> {
        let start = self.start(hash);
        (0..MAX_WALK)
            .map_while(move |step| self.slots.get(start.wrapping_add(step) & self.mask()))
            .take_while(|slot| **slot != FREE)
            .filter(move |slot| slot.tag == hash.tag())
            .filter_map(|slot| line_at(&self.text, *slot))
            .filter(move |line| line.has_path(path))
    }

    fn start(&self, hash: PathHash) -> usize {
        usize::try_from(hash.0 & 0xffff_ffff).unwrap_or(0) & self.mask()
    }

    /// The table's size is a power of two.
    fn mask(&self) -> usize {
        self.slots.len().saturating_sub(1)
    }

    /// SHA-256 of its text.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Its text, byte for byte as it was read.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// How many digests it holds; a line that is there twice counts once.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lines whose path does not begin with `/`: the kernel measures by absolute path, so they match nothing but the
    /// odd file without one.
    pub fn relative_paths(&self) -> usize {
        self.relative
    }

    /// Bytes that it takes in memory.
    pub fn memory(&self) -> usize {
        self.text
            .len()
            .saturating_add(std::mem::size_of_val(&*self.slots))
            .saturating_add(std::mem::size_of::<Self>())
    }
}

impl std::fmt::Debug for DigestList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "DigestList({}, {} digests)",
            hex::encode(self.digest),
            self.len
        )
    }
}

/// The lists that are in use, each once. Whoever holds it shares them; what nobody uses any more goes.
#[derive(Debug, Default)]
pub struct DigestLists {
    known: HashMap<[u8; 32], Weak<DigestList>>,
}

impl DigestLists {
    /// The list with this text: the copy that is in use, or a new one.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn intern(&mut self, text: Vec<u8>) -> Result<Arc<DigestList>, ListError> {
        let digest = sha256(&text);
        if let Some(list) = self.known.get(&digest).and_then(Weak::upgrade) {
            return Ok(list);
        }
        let list = Arc::new(DigestList::build(text, digest)?);
        self.known.retain(|_, list| list.strong_count() > 0);
        self.known.insert(digest, Arc::downgrade(&list));
        Ok(list)
    }

    /// How many are in use.
    pub fn in_use(&self) -> usize {
        self.known.values().filter(|list| list.strong_count() > 0).count()
    }
}

/// One line, split.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    escaped: bool,
    hex: &'a [u8],
    alg: HashAlg,
    path: &'a [u8],
}

const FORM: &str = "a line is a digest in hexadecimal digits, two spaces and a path, as sha256sum writes it";

impl<'a> Line<'a> {
    /// Splits a line at its fixed places; everything about it is checked.
    fn parse(line: &'a [u8]) -> Result<Self, String> {
        let digits = line.iter().skip_while(|byte| **byte == b'\\');
        let digits = digits.take_while(|byte| byte.is_ascii_hexdigit()).count();
        let line = match Self::split(line) {
            Some(split) => split,
            None if digits == 40 => {
                return Err(
                    "SHA-1 digests are not accepted: two files can share one; measure with ima_hash=sha256"
                        .to_owned(),
                );
            }
            None => {
                return Err(match digits.is_multiple_of(2).then(|| digits.div_euclid(2)) {
                    Some(bytes) if bytes >= 16 && !matches!(bytes, 32 | 48 | 64) => {
                        format!("a digest of {bytes} bytes is of no algorithm known here (sha256 has 32)")
                    }
                    _ => FORM.to_owned(),
                });
            }
        };
        if !line.hex.iter().all(u8::is_ascii_hexdigit) {
            return Err(FORM.to_owned());
        }
        if line.path.ends_with(b"\r") {
            return Err(
                "the line ends with a carriage return; write lines as Unix does (dos2unix)".to_owned(),
            );
        }
        if line.escaped && !well_escaped(line.path) {
            return Err(
                "after a leading backslash, a backslash in the path stands before \\, n or r".to_owned(),
            );
        }
        Ok(line)
    }

    fn split(line: &'a [u8]) -> Option<Self> {
        let (escaped, line) = match line.strip_prefix(b"\\") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        [HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512]
            .into_iter()
            .find_map(|alg| {
                let (hex, rest) = line.split_at_checked(alg.digest_len().saturating_mul(2))?;
                // Behind the space comes the mode: another space for text, * for binary.
                match rest {
                    [b' ', b' ' | b'*', path @ ..] if !path.is_empty() => Some(Self {
                        escaped,
                        hex,
                        alg,
                        path,
                    }),
                    _ => None,
                }
            })
    }

    fn has_path(&self, path: &[u8]) -> bool {
        if self.escaped {
            unescaped(self.path).eq(path.iter().copied())
        } else {
            self.path == path
        }
    }

    fn same_path(&self, other: &Line<'_>) -> bool {
        match (self.escaped, other.escaped) {
            (false, false) => self.path == other.path,
            _ => self.plain().eq(other.plain()),
        }
    }

    fn plain(&self) -> impl Iterator<Item = u8> {
        let (escaped, raw): (&[u8], &[u8]) = if self.escaped {
            (self.path, b"")
        } else {
            (b"", self.path)
        };
        unescaped(escaped).chain(raw.iter().copied())
    }

    fn same_digest(&self, other: &Line<'_>) -> bool {
        self.hex.eq_ignore_ascii_case(other.hex)
    }

    fn is(&self, digest: &[u8]) -> bool {
        let (pairs, []) = self.hex.as_chunks::<2>() else {
            return false;
        };
        // They were seen to be digits when the list was read.
        let differ = pairs
            .iter()
            .zip(digest)
            .fold(0, |differ, (pair, byte)| differ | digits::byte(*pair) ^ byte);
        pairs.len() == digest.len() && differ == 0
    }
}

/// Lines with their number from 1 and the offset of their beginning.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, usize, &[u8])> {
    let mut offset = 0_usize;
    text.split(|byte| *byte == b'\n')
        .zip(1..)
        .map(move |(line, number)| {
            let here = offset;
            offset = offset.saturating_add(line.len()).saturating_add(1);
            (number, here, line)
        })
}

fn is_entry(line: &[u8]) -> bool {
    !line.is_empty() && !line.starts_with(b"#")
}

fn line_at(text: &[u8], slot: Slot) -> Option<Line<'_>> {
    let rest = text.get(usize::try_from(slot.line).ok()?..)?;
    let mut line = Line::split(rest)?;
    let end = memchr::memchr(b'\n', line.path);
    line.path = line.path.get(..end.unwrap_or(line.path.len()))?;
    Some(line)
}

/// GNU coreutils: a backslash before the digest says that the path has `\\`, `\n` and `\r`.
fn well_escaped(path: &[u8]) -> bool {
    let mut bytes = path.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'\\' && !matches!(bytes.next(), Some(b'\\' | b'n' | b'r')) {
            return false;
        }
    }
    true
}

fn unescaped(path: &[u8]) -> impl Iterator<Item = u8> {
    let mut bytes = path.iter();
    std::iter::from_fn(move || match bytes.next()? {
        b'\\' => match bytes.next()? {
            b'n' => Some(b'\n'),
            b'r' => Some(b'\r'),
            other => Some(*other),
        },
        byte => Some(*byte),
    })
}

/// One line of a list, as `sha256sum` writes it.
pub(crate) fn line(digest: &[u8], path: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(path.len());
    for byte in path {
        match byte {
            b'\\' => escaped.extend(b"\\\\"),
            b'\n' => escaped.extend(b"\\n"),
            b'\r' => escaped.extend(b"\\r"),
            other => escaped.push(*other),
        }
    }
    let mut line = Vec::new();
    if escaped != path {
        line.push(b'\\');
    }
    line.extend(hex::encode(digest).bytes());
    line.extend(b"  ");
    line.extend(escaped);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests;
