//! Second readers, written from the standards and not from the core: short, and without its bounds.

use std::collections::BTreeMap;

use lazaret_forge::bank::Bank;
use lazaret_forge::softtpm::Attest;

/// Takes from the front of bytes.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn be16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn be32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn be64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn le16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn le32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn sized_be16(&mut self) -> Option<&'a [u8]> {
        let length = self.be16()?;
        self.take(usize::from(length))
    }

    pub(crate) fn sized_le32(&mut self) -> Option<&'a [u8]> {
        let length = self.le32()?;
        self.take(usize::try_from(length).ok()?)
    }
}

/// TPMS_ATTEST of a quote (TPM 2.0 Part 2, 10.12.8), whatever its magic and type say; what follows it is `trailing`.
pub(crate) fn attest(bytes: &[u8]) -> Option<Attest> {
    let mut r = Bytes(bytes);
    let (magic, kind) = (r.be32()?, r.be16()?);
    let qualified_signer = r.sized_be16()?.to_vec();
    let extra_data = r.sized_be16()?.to_vec();
    let clock = r.be64()?;
    let (reset_count, restart_count) = (r.be32()?, r.be32()?);
    let [safe] = r.array()?;
    let firmware_version = r.be64()?;
    let mut selection = Vec::new();
    for _ in 0..r.be32()? {
        let bank = r.be16()?;
        let [size] = r.array()?;
        selection.push((bank, r.take(usize::from(size))?.to_vec()));
    }
    let pcr_digest = r.sized_be16()?.to_vec();
    Some(Attest {
        magic,
        kind,
        qualified_signer,
        extra_data,
        clock,
        reset_count,
        restart_count,
        safe,
        firmware_version,
        selection,
        pcr_digest,
        trailing: r.0.to_vec(),
    })
}

/// One boot event: PCR, type, digests by TPM_ALG_ID, data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) pcr: u32,
    pub(crate) kind: u32,
    pub(crate) digests: Vec<(u16, Vec<u8>)>,
    pub(crate) data: Vec<u8>,
    /// Where its type lies in the log.
    pub(crate) kind_at: usize,
}

const NO_ACTION: u32 = 3;

/// A boot log's events (TCG PC Client Platform Firmware Profile, 10.2.1 and 10.2.2), the Spec ID header among them.
pub(crate) fn boot_log(bytes: &[u8]) -> Option<Vec<Event>> {
    let mut r = Bytes(bytes);
    let mut events = Vec::new();
    let mut sizes: Option<BTreeMap<u16, usize>> = None;
    while !r.0.is_empty() {
        // Unused log memory behind the last event; as an event it would have no digest or a type that does not exist.
        let unused = |fill: u8| r.0.iter().all(|byte| *byte == fill);
        if !events.is_empty() && r.0.len() >= 16 && (unused(0) || unused(0xff)) {
            break;
        }
        let kind_at = bytes.len().checked_sub(r.0.len())?.checked_add(4)?;
        let (pcr, kind) = (r.le32()?, r.le32()?);
        let mut digests = Vec::new();
        match &sizes {
            None => digests.push((4, r.take(20)?.to_vec())),
            Some(sizes) => {
                for _ in 0..r.le32()? {
                    let alg = r.le16()?;
                    digests.push((alg, r.take(*sizes.get(&alg)?)?.to_vec()));
                }
            }
        }
        let data = r.sized_le32()?.to_vec();
        if events.is_empty() && kind == NO_ACTION && data.starts_with(b"Spec ID Event03\0") {
            let mut header = Bytes(data.get(24..)?);
            let mut listed = BTreeMap::new();
            for _ in 0..header.le32()? {
                listed.insert(header.le16()?, usize::from(header.le16()?));
            }
            sizes = Some(listed);
        }
        events.push(Event {
            pcr,
            kind,
            digests,
            data,
            kind_at,
        });
    }
    Some(events)
}

/// Where a log leads: PCR values of a bank, from their reset values. None where an event has no digest for it.
pub(crate) fn replay(events: &[Event], bank: Bank) -> Option<BTreeMap<u32, Vec<u8>>> {
    let mut values: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for event in events {
        if event.kind == NO_ACTION {
            // The locality stands in PCR 0 before anything is extended into it.
            if let Some([locality]) = event.data.strip_prefix(b"StartupLocality\0")
                && !values.contains_key(&0)
            {
                let mut value = vec![0; bank.digest_len()];
                *value.last_mut()? = *locality;
                values.insert(0, value);
            }
            continue;
        }
        let (_, digest) = event.digests.iter().find(|(alg, _)| *alg == bank.id())?;
        let value = values
            .entry(event.pcr)
            .or_insert_with(|| vec![0; bank.digest_len()]);
        *value = bank.hash(&[value, digest]);
    }
    Some(values)
}

/// One entry of a binary IMA list as the kernel writes it (ima_fs.c, ima_measurements_show): PCR, digest, template name,
/// template data; for the template `ima` a digest and a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) pcr: u32,
    pub(crate) printed: Vec<u8>,
    pub(crate) template: Vec<u8>,
    /// Size of the file digest in the template `ima`.
    pub(crate) old_digest: usize,
    /// What is hashed.
    pub(crate) data: Vec<u8>,
}

/// What is hashed of an `ima` entry's digest and name: the name padded with zeros to 256 bytes (IMA_EVENT_NAME_LEN_MAX + 1).
fn old_data<'a>(r: &mut Bytes<'a>, digest: usize) -> Option<Vec<u8>> {
    let (digest, name) = (r.take(digest)?, r.sized_le32()?);
    let padding = vec![0; 256_usize.checked_sub(name.len())?];
    Some([digest, name, &padding].concat())
}

/// A binary list whose printed template digests have this size.
pub(crate) fn ima_binary(bytes: &[u8], printed: usize) -> Option<Vec<Entry>> {
    let mut r = Bytes(bytes);
    let mut entries = Vec::new();
    while !r.0.is_empty() {
        let pcr = r.le32()?;
        let printed = r.take(printed)?.to_vec();
        let template = r.sized_le32()?.to_vec();
        let mut old_digest = 0;
        let data = if template == b"ima" {
            // SHA-1 or MD5, which nothing tells but the sizes.
            let here = r.0;
            old_digest = 20;
            match old_data(&mut r, 20) {
                Some(data) => data,
                None => {
                    r = Bytes(here);
                    old_digest = 16;
                    old_data(&mut r, 16)?
                }
            }
        } else {
            r.sized_le32()?.to_vec()
        };
        entries.push(Entry {
            pcr,
            printed,
            template,
            old_digest,
            data,
        });
    }
    Some(entries)
}

impl Entry {
    /// What it extends.
    pub(crate) fn measured(&self, bank: Bank) -> Vec<u8> {
        if self.printed.iter().all(|byte| *byte == 0) {
            vec![0xff; bank.digest_len()]
        } else {
            bank.hash(&[&self.data])
        }
    }

    /// As in the binary list.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = self.pcr.to_le_bytes().to_vec();
        out.extend_from_slice(&self.printed);
        out.extend(sized_le32(&self.template));
        if self.template == b"ima" {
            let name = self.data.get(self.old_digest..).unwrap_or_default();
            let end = name.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            out.extend_from_slice(self.data.get(..self.old_digest).unwrap_or_default());
            out.extend(sized_le32(name.get(..end).unwrap_or_default()));
        } else {
            out.extend(sized_le32(&self.data));
        }
        out
    }
}

pub(crate) fn sized_le32(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), bytes].concat()
}
