//! TPMS_ATTEST of a quote, with every field free to be wrong.

/// The fields of TPMS_ATTEST (TPM 2.0 Part 2, 10.12.8 and 10.12.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attest {
    /// TPM_GENERATED_VALUE.
    pub magic: u32,
    /// TPMI_ST_ATTEST.
    pub kind: u16,
    /// Qualified name of the signing key.
    pub qualified_signer: Vec<u8>,
    /// The caller's qualifying data.
    pub extra_data: Vec<u8>,
    /// Clock in milliseconds.
    pub clock: u64,
    /// Resets since TPM2_Clear.
    pub reset_count: u32,
    /// Restarts since the last reset.
    pub restart_count: u32,
    /// TPMI_YES_NO.
    pub safe: u8,
    /// The maker's firmware version.
    pub firmware_version: u64,
    /// TPM_ALG_ID and bitmap for each bank.
    pub selection: Vec<(u16, Vec<u8>)>,
    /// Digest over the selected PCRs.
    pub pcr_digest: Vec<u8>,
    /// Bytes after the structure; a TPM writes none.
    pub trailing: Vec<u8>,
}

impl Attest {
    /// TPM_GENERATED_VALUE.
    pub const GENERATED: u32 = 0xFF54_4347;
    /// TPM_ST_ATTEST_QUOTE.
    pub const QUOTE: u16 = 0x8018;

    /// The structure as a TPM writes it: big-endian.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.magic.to_be_bytes().to_vec();
        out.extend(self.kind.to_be_bytes());
        out.extend(sized(&self.qualified_signer));
        out.extend(sized(&self.extra_data));
        out.extend(self.clock.to_be_bytes());
        out.extend(self.reset_count.to_be_bytes());
        out.extend(self.restart_count.to_be_bytes());
        out.push(self.safe);
        out.extend(self.firmware_version.to_be_bytes());
        out.extend(
            u32::try_from(self.selection.len())
                .expect("a handful of banks")
                .to_be_bytes(),
        );
        for (bank, bitmap) in &self.selection {
            out.extend(bank.to_be_bytes());
            out.push(u8::try_from(bitmap.len()).expect("a short bitmap"));
            out.extend_from_slice(bitmap);
        }
        out.extend(sized(&self.pcr_digest));
        out.extend_from_slice(&self.trailing);
        out
    }
}

/// The 24-bit bitmap of TPMS_PCR_SELECTION.
pub fn bitmap(indexes: &[u8]) -> Vec<u8> {
    let mut bits = 0_u32;
    for &index in indexes.iter().filter(|&&index| index < 24) {
        bits |= 1 << index;
    }
    bits.to_le_bytes().into_iter().take(3).collect()
}

/// A TPM2B: 16-bit size, then the bytes.
pub fn sized(bytes: &[u8]) -> Vec<u8> {
    let size = u16::try_from(bytes.len()).expect("a TPM2B holds less than 64 KiB");
    [&size.to_be_bytes(), bytes].concat()
}
