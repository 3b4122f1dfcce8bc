//! Evidence as received: nothing in it is proven.

use crate::pcr::PcrValue;

/// What a host answered to a challenge. Bytes as they came; sizes were bounded by whoever received them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// TPMS_ATTEST, the structure that the TPM signed.
    pub quote: Vec<u8>,
    /// TPMT_SIGNATURE over it.
    pub signature: Vec<u8>,
    /// The PCR values that the agent read with the quote.
    pub pcrs: Vec<PcrValue>,
    /// The kernel's `binary_bios_measurements`, whole.
    pub boot_log: Vec<u8>,
    /// The IMA measurement list from entry `ima_first` on, text or binary.
    pub ima_log: Vec<u8>,
    /// Index of the first entry in `ima_log`, counted from 0.
    pub ima_first: u64,
}
