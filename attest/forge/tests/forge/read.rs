//! Small readers and replays, written apart from the code that writes.

use std::collections::BTreeMap;

use sha1::{Digest, Sha1};
use sha2::{Sha256, Sha384, Sha512};

/// PCRs by TPM_ALG_ID and index; only those that were extended, or that begin with a locality.
pub type Replayed = BTreeMap<(u16, u32), Vec<u8>>;

pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len);
        self.0 = rest;
        taken
    }

    pub fn le32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    pub fn le16(&mut self) -> u16 {
        u16::from_le_bytes(self.take(2).try_into().unwrap())
    }

    pub fn be(&mut self, len: usize) -> u64 {
        self.take(len)
            .iter()
            .fold(0, |value, &byte| value << 8 | u64::from(byte))
    }

    pub fn sized(&mut self) -> &'a [u8] {
        let len = self.be(2) as usize;
        self.take(len)
    }
}

pub fn hash(alg: u16, data: &[u8]) -> Vec<u8> {
    match alg {
        4 => Sha1::digest(data).to_vec(),
        0xB => Sha256::digest(data).to_vec(),
        0xC => Sha384::digest(data).to_vec(),
        0xD => Sha512::digest(data).to_vec(),
        other => panic!("algorithm {other:#x}"),
    }
}

pub fn extend(pcrs: &mut Replayed, alg: u16, pcr: u32, digest: &[u8]) {
    let value = pcrs.entry((alg, pcr)).or_insert_with(|| vec![0; digest.len()]);
    *value = hash(alg, &[value.as_slice(), digest].concat());
}

/// Replays a crypto-agile boot log, or one without a Spec ID event. Number of records and PCRs.
pub fn boot_log(bytes: &[u8]) -> (usize, Replayed) {
    let mut input = Cursor(bytes);
    let mut pcrs = Replayed::new();
    let agile = bytes[32..].starts_with(b"Spec ID Event03\0");
    let mut banks = vec![(4_u16, 20_usize)];
    let mut records = 0;
    while !input.0.is_empty() {
        records += 1;
        let (pcr, kind) = (input.le32(), input.le32());
        let mut digests = Vec::new();
        if !agile || records == 1 {
            digests.push((4, input.take(20)));
        } else {
            for _ in 0..input.le32() {
                let alg = input.le16();
                let (_, len) = banks
                    .iter()
                    .find(|(known, _)| *known == alg)
                    .expect("a bank of the Spec ID event");
                digests.push((alg, input.take(*len)));
            }
            assert_eq!(digests.len(), banks.len());
        }
        let len = input.le32() as usize;
        let data = input.take(len);
        if agile && records == 1 {
            let mut spec = Cursor(&data[24..]);
            banks = (0..spec.le32())
                .map(|_| (spec.le16(), usize::from(spec.le16())))
                .collect();
            assert_eq!(spec.0, [0], "no vendor information");
        } else if kind == 3 {
            if let Some(locality) = data.strip_prefix(b"StartupLocality\0") {
                for &(alg, len) in &banks {
                    let mut start = vec![0; len];
                    start[len - 1] = locality[0];
                    pcrs.insert((alg, 0), start);
                }
            }
        } else {
            for (alg, digest) in digests {
                extend(&mut pcrs, alg, pcr, digest);
            }
        }
    }
    (records, pcrs)
}

/// Replays a binary IMA list into `pcrs` (SHA-1 and SHA-256). Names in order.
pub fn ima_binary(bytes: &[u8], pcrs: &mut Replayed) -> Vec<String> {
    let mut input = Cursor(bytes);
    let mut names = Vec::new();
    while !input.0.is_empty() {
        let pcr = input.le32();
        let sha1 = input.take(20);
        let len = input.le32() as usize;
        let template = input.take(len);
        let (hashed, name) = if template == b"ima" {
            let digest = input.take(20);
            let len = input.le32() as usize;
            let name = input.take(len);
            let mut hashed = [digest, name].concat();
            hashed.resize(276, 0);
            (hashed, name)
        } else {
            let len = input.le32() as usize;
            let data = input.take(len);
            let mut fields = Cursor(data);
            let len = fields.le32() as usize;
            fields.take(len);
            let len = fields.le32() as usize;
            let name = fields.take(len);
            (data.to_vec(), name.strip_suffix(b"\0").unwrap())
        };
        for alg in [4, 0xB] {
            let digest = hash(alg, &hashed);
            if sha1 == [0; 20] {
                extend(pcrs, alg, pcr, &vec![0xFF; digest.len()]);
            } else {
                assert!(
                    alg != 4 || sha1 == digest,
                    "the list's digest is the SHA-1 of the template data"
                );
                extend(pcrs, alg, pcr, &digest);
            }
        }
        names.push(String::from_utf8(name.to_vec()).unwrap());
    }
    names
}

/// Replays a text IMA list of templates ima-ng and ima-sig.
pub fn ima_text(bytes: &[u8], pcrs: &mut Replayed) -> Vec<String> {
    let mut names = Vec::new();
    for line in std::str::from_utf8(bytes).unwrap().lines() {
        let columns: Vec<&str> = line.split(' ').collect();
        let (alg, digest) = columns[3].split_once(':').unwrap();
        let digest = [alg.as_bytes(), b":\0", &hex::decode(digest).unwrap()].concat();
        let name = [columns[4].as_bytes(), &[0]].concat();
        let mut fields = vec![digest, name];
        if columns[2] == "ima-sig" {
            fields.push(hex::decode(columns[5]).unwrap());
        }
        let hashed: Vec<u8> = fields
            .iter()
            .flat_map(|field| [&(field.len() as u32).to_le_bytes(), field.as_slice()].concat())
            .collect();
        for alg in [4, 0xB] {
            let digest = hash(alg, &hashed);
            if columns[1].bytes().all(|digit| digit == b'0') {
                extend(pcrs, alg, 10, &vec![0xFF; digest.len()]);
            } else {
                assert!(
                    alg != 4 || hex::encode(&digest) == columns[1],
                    "SHA-1 of the template data in {line}"
                );
                extend(pcrs, alg, 10, &digest);
            }
        }
        names.push(columns[4].to_owned());
    }
    names
}
