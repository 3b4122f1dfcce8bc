//! A TPM in software that only quotes: an attestation key and counters, all of them open to be changed by a test.

pub mod attest;
pub mod key;

use crate::bank::Bank;
use crate::pcrs::Pcrs;

pub use attest::Attest;
pub use key::{AttestationKey, KeyError};

/// Banks and the PCRs of each, in the order in which they are quoted.
pub type Selection<'a> = [(Bank, &'a [u8])];

/// A TPM that quotes.
#[derive(Debug, Clone)]
pub struct SoftTpm {
    /// The attestation key.
    pub key: AttestationKey,
    /// Milliseconds on the TPM's clock; moves by one second with each quote.
    pub clock: u64,
    /// Resets since TPM2_Clear.
    pub reset_count: u32,
    /// Restarts and resumes since the last reset.
    pub restart_count: u32,
    /// Whether no greater clock value was ever reported.
    pub safe: bool,
    /// The maker's firmware version.
    pub firmware_version: u64,
}

/// A quote as it leaves a TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// TPMS_ATTEST, the bytes that were signed.
    pub attest: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
}

impl SoftTpm {
    /// A TPM with this key, after its first start.
    pub fn new(key: AttestationKey) -> SoftTpm {
        SoftTpm {
            key,
            clock: 60_000,
            reset_count: 1,
            restart_count: 0,
            safe: true,
            firmware_version: 0x2019_1023_0016_3636,
        }
    }

    /// A TPM whose P-256 key follows from `seed`: the same seed gives the same key.
    pub fn p256(seed: &str) -> SoftTpm {
        SoftTpm::new(AttestationKey::p256(seed))
    }

    /// A TPM with a new RSA-2048 key.
    pub fn rsa2048() -> Result<SoftTpm, KeyError> {
        Ok(SoftTpm::new(AttestationKey::rsa2048()?))
    }

    /// The honest content of a quote; change its fields and `sign` it to forge.
    pub fn attest(&self, qualifying_data: &[u8], selection: &Selection<'_>, pcrs: &Pcrs) -> Attest {
        Attest {
            magic: Attest::GENERATED,
            kind: Attest::QUOTE,
            qualified_signer: self.key.qualified_name(),
            extra_data: qualifying_data.to_vec(),
            clock: self.clock,
            reset_count: self.reset_count,
            restart_count: self.restart_count,
            safe: u8::from(self.safe),
            firmware_version: self.firmware_version,
            selection: selection
                .iter()
                .map(|&(bank, indexes)| (bank.id(), attest::bitmap(indexes)))
                .collect(),
            pcr_digest: pcr_digest(selection, pcrs),
            trailing: Vec::new(),
        }
    }

    /// An honest quote.
    pub fn quote(
        &mut self,
        qualifying_data: &[u8],
        selection: &Selection<'_>,
        pcrs: &Pcrs,
    ) -> Result<Quote, KeyError> {
        self.clock += 1000;
        self.sign(&self.attest(qualifying_data, selection, pcrs))
    }

    /// Signs whatever `attest` says.
    pub fn sign(&self, attest: &Attest) -> Result<Quote, KeyError> {
        let attest = attest.bytes();
        let signature = self.key.sign(&attest)?;
        Ok(Quote { attest, signature })
    }

    /// Power off and on again: the reset counter moves, as with TPM2_Startup(CLEAR).
    pub fn reset(&mut self) {
        self.reset_count += 1;
        self.restart_count = 0;
        self.clock += 30_000;
    }
}

/// SHA-256 over the selected values: by bank as selected, by ascending index within it. Absent ones are passed over.
pub fn pcr_digest(selection: &Selection<'_>, pcrs: &Pcrs) -> Vec<u8> {
    let values: Vec<&[u8]> = selected(selection, pcrs).map(|(_, _, value)| value).collect();
    Bank::Sha256.hash(&values)
}

/// The selected values in the order of the quote.
pub fn selected<'a>(
    selection: &'a Selection<'_>,
    pcrs: &'a Pcrs,
) -> impl Iterator<Item = (Bank, u8, &'a [u8])> + 'a {
    selection.iter().flat_map(move |&(bank, indexes)| {
        let mut sorted = indexes.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        sorted
            .into_iter()
            .filter_map(move |index| Some((bank, index, pcrs.value(bank, index)?)))
    })
}
