//! What each byte of a log is, and which fields the TPM's digests do not cover, with the reason.
//!
//! Read off the bytes by a parser of the tests' own, so that a mistake of the core's parser cannot excuse itself.

use std::collections::BTreeSet;
use std::ops::Range;

use lazaret_forge::bootlog::BootLog;
use lazaret_forge::bootlog::event::EventType;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Bytes and their meaning.
#[derive(Debug, Clone)]
pub struct Field {
    pub bytes: Range<usize>,
    pub name: &'static str,
    /// An entry begins here.
    pub begins: bool,
}

/// What a change of a free field does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// None at all: verdict and claims stay equal, whatever the value.
    None,
    /// The log is refused, or verdict and claims stay equal: some values would make it another log.
    RefusedOrNone,
    /// A finding, or verdict and claims stay equal: some values contradict what is proven.
    FoundOrNone,
    /// A finding and fewer claims, or verdict and claims stay equal: it is believed as long as its digest covers it.
    DisbelievedOrNone,
}

/// The fields that may change while the verdict stays Affirming, what else may happen, and why.
pub const FREE: &[(&str, Effect, &str)] = &[
    (
        "header, PCR index",
        Effect::None,
        "EV_NO_ACTION is not extended, so its PCR index means nothing",
    ),
    (
        "header, digest",
        Effect::None,
        "EV_NO_ACTION is not extended; the standard asks for zeros, and nothing reads them",
    ),
    (
        "header, platform class, version, errata, pointer size",
        Effect::None,
        "they describe the writer; the form of what follows is told by the signature and the list of banks alone",
    ),
    (
        "event, type",
        Effect::FoundOrNone,
        "digests do not cover types: no claim believes one, and no finding asks for one. EV_NO_ACTION would leave out \
         the event, which the replay notices",
    ),
    (
        "event, data beside its digest",
        Effect::FoundOrNone,
        "the digest covers something else, such as an image: a remark that nothing believes. Or it covers a part, such \
         as a variable's value or a command without its prefix: changed, the part is believed no longer",
    ),
    (
        "event, data that its digest covers",
        Effect::DisbelievedOrNone,
        "once changed it lies beside its digest, and nothing believes it: what it said is no longer claimed. It is a \
         finding in PCR 7, and where the digest is that of a separator or of a well-known action",
    ),
    (
        "digest of a bank that is not quoted",
        Effect::FoundOrNone,
        "the quote does not say what was extended into that bank; it is a finding where the data of a bound type \
         disagrees with it",
    ),
    (
        "event that is not extended",
        Effect::RefusedOrNone,
        "EV_NO_ACTION is a remark in the log; other values of its sizes and banks make it another log",
    ),
    (
        "entry, SHA-1 of the template data",
        Effect::RefusedOrNone,
        "the kernel prints SHA-1 in every list; what was extended is computed from the template data instead. All \
         zeros would make it a violation, which does not replay; as text it must stay hexadecimal",
    ),
    (
        "entry behind the quote",
        Effect::RefusedOrNone,
        "the list is read after the quote: what is behind it is not appraised until a quote covers it, only counted",
    ),
];

/// How a free field's change may end.
pub fn effect(name: &str) -> Option<Effect> {
    FREE.iter().find(|row| row.0 == name).map(|row| row.1)
}

/// The name of the field at an offset.
pub fn name_at(fields: &[Field], at: usize) -> &'static str {
    let index = fields.partition_point(|field| field.bytes.end <= at);
    fields[index].name
}

/// Adds events until the log has more than a hundred, among them some that are not extended.
pub fn lengthen(boot: &mut BootLog) {
    for n in 0..16_u8 {
        boot.measure_as(1, EventType(0x8000_0002), &[b'B', n], &[n]);
        boot.measure(5, EventType(0x8000_0006), &[n; 24]);
        boot.measure(9, EventType(0x0D), format!("file {n}\0").as_bytes());
        if n % 8 == 0 {
            boot.measure(4, EventType::NO_ACTION, b"a remark");
        }
    }
    assert!(boot.events.len() > 100, "{}", boot.events.len());
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    fields: Vec<Field>,
    begins: bool,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            fields: Vec::new(),
            begins: false,
        }
    }

    fn entry(&mut self) -> usize {
        self.begins = true;
        self.fields.len()
    }

    fn take(&mut self, length: usize, name: &'static str) -> &'a [u8] {
        let bytes = self.at..self.at + length;
        self.at = bytes.end;
        if length > 0 {
            self.fields.push(Field {
                bytes: bytes.clone(),
                name,
                begins: std::mem::take(&mut self.begins),
            });
        }
        &self.bytes[bytes]
    }

    fn le32(&mut self, name: &'static str) -> u32 {
        u32::from_le_bytes(self.take(4, name).try_into().unwrap())
    }

    fn le16(&mut self, name: &'static str) -> u16 {
        u16::from_le_bytes(self.take(2, name).try_into().unwrap())
    }

    fn rename(&mut self, from: usize, name: &'static str) {
        self.fields[from..].iter_mut().for_each(|field| field.name = name);
    }
}

fn size(value: u32) -> usize {
    usize::try_from(value).unwrap()
}

fn digest_len(alg: u16) -> usize {
    match alg {
        4 => 20,
        0xB => 32,
        0xC => 48,
        _ => 64,
    }
}

/// A crypto-agile boot log.
pub fn boot_log(bytes: &[u8], selection: &str) -> Vec<Field> {
    let quoted: BTreeSet<u16> = [("sha1", 4), ("sha256", 0xB)]
        .into_iter()
        .filter(|(name, _)| selection.contains(&format!("{name}:")))
        .map(|(_, alg)| alg)
        .collect();
    let mut walk = Walk::new(bytes);
    walk.entry();
    walk.take(4, "header, PCR index");
    walk.take(4, "header, type");
    walk.take(20, "header, digest");
    walk.take(4, "header, data size");
    walk.take(16, "header, signature");
    walk.take(8, "header, platform class, version, errata, pointer size");
    let banks = walk.le32("header, number of banks");
    walk.take(size(banks) * 4, "header, banks");
    let vendor = usize::from(walk.take(1, "header, size of the vendor's data")[0]);
    walk.take(vendor, "header, vendor's data");
    while walk.at < bytes.len() {
        let start = walk.entry();
        walk.le32("event, PCR index");
        let kind = walk.le32("event, type");
        let mut covered = false;
        let mut digests = Vec::new();
        for _ in 0..walk.le32("event, number of digests") {
            let alg = walk.le16("event, bank");
            let name = if quoted.contains(&alg) {
                "event, digest"
            } else {
                "digest of a bank that is not quoted"
            };
            digests.push((alg, walk.take(digest_len(alg), name)));
        }
        let length = walk.le32("event, data size");
        let data = &bytes[walk.at..walk.at + size(length)];
        for (alg, digest) in digests {
            covered |= match alg {
                4 => Sha1::digest(data)[..] == *digest,
                _ => Sha256::digest(data)[..] == *digest,
            };
        }
        let name = if covered {
            "event, data that its digest covers"
        } else {
            "event, data beside its digest"
        };
        walk.take(size(length), name);
        if kind == EventType::NO_ACTION.0 {
            walk.rename(start, "event that is not extended");
        }
    }
    walk.fields
}

/// A binary IMA list of which `covered` entries are proven.
pub fn ima_binary(bytes: &[u8], covered: usize) -> Vec<Field> {
    let mut walk = Walk::new(bytes);
    let mut entry = 0;
    while walk.at < bytes.len() {
        let start = walk.entry();
        walk.take(4, "entry, PCR index");
        walk.take(20, "entry, SHA-1 of the template data");
        let length = walk.le32("entry, size of the template's name");
        let template = walk.take(size(length), "entry, template");
        if template == b"ima" {
            walk.take(20, "entry, template data");
        }
        let length = walk.le32("entry, size of the template data");
        walk.take(size(length), "entry, template data");
        if entry >= covered {
            walk.rename(start, "entry behind the quote");
        }
        entry += 1;
    }
    walk.fields
}

/// A text IMA list of which `covered` entries are proven; the paths in it hold no spaces or newlines.
pub fn ima_text(bytes: &[u8], covered: usize) -> Vec<Field> {
    let mut walk = Walk::new(bytes);
    for (entry, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let start = walk.entry();
        let mut words: Vec<&[u8]> = line[..line.len() - 1].split(|byte| *byte == b' ').collect();
        if words[0].is_empty() {
            words.remove(0);
            walk.take(1, "entry, form");
        }
        for (n, word) in words.iter().enumerate() {
            let name = match n {
                0 => "entry, PCR index",
                1 => "entry, SHA-1 of the template data",
                2 => "entry, template",
                4 => "entry, path",
                _ => "entry, hexadecimal digits",
            };
            let mark = word.iter().position(|byte| *byte == b':').filter(|_| n == 3);
            if let Some(mark) = mark {
                walk.take(mark + 1, "entry, algorithm");
                walk.take(word.len() - mark - 1, name);
            } else {
                walk.take(word.len(), name);
            }
            walk.take(1, "entry, form");
        }
        if entry >= covered {
            walk.rename(start, "entry behind the quote");
        }
    }
    walk.fields
}

/// The bytes of each entry of a boot log (the header first) or an IMA list, as its fields tell.
pub fn split(bytes: &[u8], fields: &[Field]) -> Vec<Vec<u8>> {
    let begins = fields.iter().filter(|field| field.begins);
    let mut begins: Vec<usize> = begins.map(|field| field.bytes.start).collect();
    begins.push(bytes.len());
    begins
        .windows(2)
        .map(|pair| bytes[pair[0]..pair[1]].to_vec())
        .collect()
}
