//! The bytes inside a boot log: records and the event data structures of the TCG PC Client Platform Firmware Profile.

use crate::bank::Bank;
use crate::bootlog::event::EventType;
use crate::pcrs::Digests;

/// Variables of the UEFI specification itself: SecureBoot, PK, KEK, Boot####.
pub const EFI_GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// The image security databases: db, dbx.
pub const EFI_IMAGE_SECURITY: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";
/// The variables of shim: SbatLevel, MokListRT.
pub const SHIM_LOCK: &str = "605dab50-e046-4300-abb6-3dd810dd8b23";

/// Little-endian output, as boot logs are written.
#[derive(Debug, Default)]
pub struct Out(Vec<u8>);

impl Out {
    /// Nothing yet.
    pub fn new() -> Out {
        Out::default()
    }

    /// All that was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Out {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A 16-bit number.
    pub fn u16(&mut self, value: u16) -> &mut Out {
        self.raw(&value.to_le_bytes())
    }

    /// A 32-bit number.
    pub fn u32(&mut self, value: u32) -> &mut Out {
        self.raw(&value.to_le_bytes())
    }

    /// A 64-bit number.
    pub fn u64(&mut self, value: u64) -> &mut Out {
        self.raw(&value.to_le_bytes())
    }

    /// A length, as 32 bits.
    pub fn len32(&mut self, bytes: &[u8]) -> &mut Out {
        self.u32(u32::try_from(bytes.len()).expect("forged data stays below 4 GiB"))
    }

    /// UTF-16 without a terminator.
    pub fn utf16(&mut self, text: &str) -> &mut Out {
        for unit in text.encode_utf16() {
            self.u16(unit);
        }
        self
    }

    /// A GUID in the mixed-endian form of UEFI.
    pub fn guid(&mut self, guid: &str) -> &mut Out {
        let digits: String = guid.chars().filter(|&c| c != '-').collect();
        let bytes: [u8; 16] = hex::decode(digits)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .expect("a GUID has 32 hexadecimal digits");
        let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
        self.raw(&[d, c, b, a, f, e, h, g]).raw(&rest)
    }

    /// A `TCG_PCClientPCREvent` record.
    pub fn sha1_record(&mut self, pcr: u8, kind: EventType, digest: &[u8], data: &[u8]) {
        self.u32(pcr.into()).u32(kind.0).raw(digest).len32(data).raw(data);
    }

    /// A `TCG_PCR_EVENT2` record.
    pub fn event2_record(&mut self, pcr: u8, kind: EventType, digests: &Digests, data: &[u8]) {
        self.u32(pcr.into()).u32(kind.0);
        self.u32(u32::try_from(digests.len()).expect("a handful of banks"));
        for (bank, digest) in digests {
            self.u16(bank.id()).raw(digest);
        }
        self.len32(data).raw(data);
    }
}

/// `TCG_EfiSpecIDEvent`: the algorithms of a crypto-agile log.
pub fn spec_id_event(banks: &[Bank]) -> Vec<u8> {
    let mut out = Out::new();
    out.raw(b"Spec ID Event03\0").u32(0); // platform class: client
    out.raw(&[0, 2, 0, 2]); // version 2.0, errata 0, UINTN of 64 bits
    out.u32(u32::try_from(banks.len()).expect("a handful of banks"));
    let mut sorted = banks.to_vec();
    sorted.sort();
    for bank in sorted {
        out.u16(bank.id())
            .u16(u16::try_from(bank.digest_len()).expect("at most 64"));
    }
    out.raw(&[0]); // no vendor information
    out.into_bytes()
}

/// `TCG_EfiStartupLocalityEvent`: where TPM2_Startup came from.
pub fn startup_locality_event(locality: u8) -> Vec<u8> {
    let mut data = b"StartupLocality\0".to_vec();
    data.push(locality);
    data
}

/// `UEFI_VARIABLE_DATA`: a named EFI variable.
pub fn efi_variable(guid: &str, name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Out::new();
    out.guid(guid);
    out.u64(u64::try_from(name.encode_utf16().count()).expect("a short name"));
    out.u64(u64::try_from(value.len()).expect("a short value"));
    out.utf16(name).raw(value);
    out.into_bytes()
}

/// `EFI_SIGNATURE_LIST` with one X.509 certificate, as in PK, KEK and db.
pub fn certificate_list(owner: &str, certificate: &[u8]) -> Vec<u8> {
    signature_list("a5c059a1-94e4-4aa7-87b5-ab155c2bf072", owner, &[certificate])
}

/// `EFI_SIGNATURE_LIST` with SHA-256 image digests, as in dbx.
pub fn digest_list(owner: &str, digests: &[&[u8]]) -> Vec<u8> {
    signature_list("c1c41626-504c-4092-aca9-41f936934328", owner, digests)
}

fn signature_list(kind: &str, owner: &str, entries: &[&[u8]]) -> Vec<u8> {
    let entry_len = 16 + entries.first().map_or(0, |entry| entry.len());
    let mut out = Out::new();
    out.guid(kind);
    out.u32(u32::try_from(28 + entry_len * entries.len()).expect("a short list"));
    out.u32(0).u32(u32::try_from(entry_len).expect("a short entry"));
    for entry in entries {
        out.guid(owner).raw(entry);
    }
    out.into_bytes()
}

/// `EFI_LOAD_OPTION`: a Boot#### variable.
pub fn load_option(description: &str, device_path: &[u8]) -> Vec<u8> {
    let mut out = Out::new();
    out.u32(1); // active
    out.u16(u16::try_from(device_path.len()).expect("a short device path"));
    out.utf16(description).u16(0).raw(device_path);
    out.into_bytes()
}

/// A device path of one file node and the end node.
pub fn file_path(path: &str) -> Vec<u8> {
    let mut name = Out::new();
    name.utf16(path).u16(0);
    let name = name.into_bytes();
    let mut out = Out::new();
    out.raw(&[4, 4])
        .u16(u16::try_from(name.len() + 4).expect("a short path"))
        .raw(&name);
    out.raw(&[0x7F, 0xFF, 4, 0]);
    out.into_bytes()
}

/// `UEFI_IMAGE_LOAD_EVENT`: an image that was loaded, by its device path.
pub fn image_load(address: u64, length: u64, device_path: &[u8]) -> Vec<u8> {
    let mut out = Out::new();
    out.u64(address).u64(length).u64(0);
    out.u64(u64::try_from(device_path.len()).expect("a short device path"))
        .raw(device_path);
    out.into_bytes()
}

/// `UEFI_PLATFORM_FIRMWARE_BLOB`: where a firmware volume lies.
pub fn firmware_blob(base: u64, length: u64) -> Vec<u8> {
    let mut out = Out::new();
    out.u64(base).u64(length);
    out.into_bytes()
}

/// `UEFI_GPT_DATA`: a partition table header and its entries (type GUID, unique GUID, first and last block, name).
pub fn gpt(disk: &str, partitions: &[(&str, &str, u64, u64, &str)]) -> Vec<u8> {
    let mut entries = Out::new();
    for (kind, unique, first, last, name) in partitions {
        entries.guid(kind).guid(unique).u64(*first).u64(*last).u64(0);
        let mut label = Out::new();
        label.utf16(name);
        let mut label = label.into_bytes();
        label.resize(72, 0);
        entries.raw(&label);
    }
    let mut out = Out::new();
    out.raw(b"EFI PART").u32(0x0001_0000).u32(92).u32(0).u32(0); // checksums are not looked at by anyone here
    out.u64(1).u64(0x0773_FFFF).u64(34).u64(0x0773_FFDE);
    out.guid(disk).u64(2).u32(128).u32(128).u32(0);
    out.u64(u64::try_from(partitions.len()).expect("a few partitions"));
    out.raw(&entries.into_bytes());
    out.into_bytes()
}

/// `TCG_PCClientTaggedEvent`: what the kernel's EFI stub logs.
pub fn tagged(id: u32, text: &str) -> Vec<u8> {
    let mut data = text.as_bytes().to_vec();
    data.push(0);
    let mut out = Out::new();
    out.u32(id).len32(&data).raw(&data);
    out.into_bytes()
}
