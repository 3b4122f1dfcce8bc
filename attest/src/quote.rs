//! TPMS_ATTEST of a quote, from bytes to proof.
//!
//! Three proofs, each made only from the one before:
//! - [`VerifiedQuote`]: the attestation key signed these very bytes, and they are a whole quote and nothing else;
//! - [`AnsweredQuote`]: it answers this challenge (nonce, host, TLS key) with exactly the PCRs asked for;
//! - [`QuotedPcrs`]: these are the values of those PCRs.

use thiserror::Error;

use crate::challenge::Challenge;
use crate::key::{AttestationKey, Name};
use crate::pcr::{HashAlg, PcrValue, PcrValuesError, Selection, SelectionError};
use crate::reader::ReadError;
use crate::signature::SignatureError;

/// TPM_GENERATED_VALUE: a restricted key signs data from outside only if it does not begin so.
pub const MAGIC: u32 = 0xFF54_4347;
/// TPM_ST_ATTEST_QUOTE.
pub const ATTEST_QUOTE: u16 = 0x8018;

/// Why a quote proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuoteError {
    /// The signature is not the attestation key's over these bytes. Nothing else was looked at.
    #[error("{0}")]
    Signature(#[from] SignatureError),
    /// Signed, but no TPMS_ATTEST, or with bytes behind it.
    #[error("the quote cannot be read: {0}")]
    Read(#[from] ReadError),
    /// Signed, but it does not begin as what a TPM makes itself.
    #[error("the quote begins with {found:#010x}, not with the TPM's own mark {MAGIC:#010x}")]
    Magic {
        /// The first four bytes.
        found: u32,
    },
    /// Signed by a TPM, but another kind of attestation.
    #[error("this is {name} ({found:#06x}), not a quote")]
    Kind {
        /// The structure tag.
        found: u16,
        /// Its name.
        name: &'static str,
    },
    /// The flag "safe" is neither 0 nor 1.
    #[error("the quote's clock has a safe flag of {found}, which is neither yes nor no")]
    SafeFlag {
        /// Its value.
        found: u8,
    },
    /// The signed PCR selection does not parse or is not canonical.
    #[error("the quote's {0}")]
    SelectionForm(SelectionError),
    /// The signed extraData is not what this challenge binds.
    #[error(
        "the quote answers another challenge: its qualifying data is {found}, this challenge's is {expected}"
    )]
    Challenge {
        /// This challenge's, hex.
        expected: String,
        /// The quote's, hex.
        found: String,
    },
    /// The signed selection is not the one asked for.
    #[error("the quote covers {found}, but {expected} was asked for")]
    Selection {
        /// As asked.
        expected: String,
        /// As signed.
        found: String,
    },
    /// The qualified signer is not the pinned one.
    #[error("the quote's qualified signer is {found}, not {expected}")]
    Signer {
        /// As pinned, hex.
        expected: String,
        /// As signed, hex.
        found: String,
    },
    /// The PCR values sent are not exactly those of the selection.
    #[error("{0}")]
    Values(#[from] PcrValuesError),
    /// The PCR values sent are not those that were signed.
    #[error("the PCR values hash to {found}, but the TPM signed {expected}")]
    Digest {
        /// As signed, hex.
        expected: String,
        /// Of the values, hex.
        found: String,
    },
}

/// The TPM's clock at the time of a quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Milliseconds for which the TPM has been powered in its life.
    pub clock_ms: u64,
    /// How often the TPM was reset: one more for each boot.
    pub reset_count: u32,
    /// How often it was restarted or resumed since the last reset.
    pub restart_count: u32,
    /// False after an unorderly shutdown, until the clock has passed its last saved value. Our own fence does that.
    pub safe: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Attest {
    signer: Name,
    extra_data: Vec<u8>,
    clock: Clock,
    firmware_version: u64,
    selection: Selection,
    pcr_digest: Vec<u8>,
    /// The signature's hash, which is also that of the PCR digest.
    hash: HashAlg,
}

/// Bytes that the attestation key signed and that are a whole quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedQuote(Attest);

impl VerifiedQuote {
    /// Verifies `signature` (TPMT_SIGNATURE) over the raw bytes first, and only then reads them.
    pub fn open(raw: &[u8], signature: &[u8], key: &AttestationKey) -> Result<VerifiedQuote, QuoteError> {
        let _ = (raw, signature, key);
        todo!()
    }

    /// Goes on only if the quote's qualified signer is `expected`, where that is known.
    pub fn signed_as(self, expected: &Name) -> Result<VerifiedQuote, QuoteError> {
        let _ = expected;
        todo!()
    }

    /// Goes on only if the quote answers `challenge`: its qualifying data, and the PCR selection exactly as asked.
    pub fn answers(self, challenge: &Challenge) -> Result<AnsweredQuote, QuoteError> {
        let _ = challenge;
        todo!()
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// The TPM firmware's version, as its maker encodes it.
    pub fn firmware_version(&self) -> u64 {
        self.0.firmware_version
    }

    /// The signing key's qualified name.
    pub fn qualified_signer(&self) -> &Name {
        &self.0.signer
    }
}

/// A verified quote that answers a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredQuote(Attest);

impl AnsweredQuote {
    /// Joins the quote with the values sent along: exactly those of the selection, and with the signed digest.
    pub fn with_pcrs(self, values: &[PcrValue]) -> Result<QuotedPcrs, QuoteError> {
        let _ = values;
        todo!()
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        self.0.clock
    }

    /// The TPM firmware's version, as its maker encodes it.
    pub fn firmware_version(&self) -> u64 {
        self.0.firmware_version
    }

    /// The signing key's qualified name.
    pub fn qualified_signer(&self) -> &Name {
        &self.0.signer
    }
}

/// PCR values that a TPM signed in answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotedPcrs {
    attest: Attest,
    values: Vec<PcrValue>,
}

impl QuotedPcrs {
    /// The signed value of a register; none if it was not in the selection.
    pub fn value(&self, bank: HashAlg, index: u8) -> Option<&[u8]> {
        self.values
            .iter()
            .find(|v| v.bank == bank && v.index == index)
            .map(|v| v.digest.as_slice())
    }

    /// Every signed value, in the order of the selection.
    pub fn values(&self) -> &[PcrValue] {
        &self.values
    }

    /// The signed selection.
    pub fn selection(&self) -> &Selection {
        &self.attest.selection
    }

    /// The clock.
    pub fn clock(&self) -> Clock {
        self.attest.clock
    }

    /// The TPM firmware's version, as its maker encodes it.
    pub fn firmware_version(&self) -> u64 {
        self.attest.firmware_version
    }

    /// The signing key's qualified name.
    pub fn qualified_signer(&self) -> &Name {
        &self.attest.signer
    }
}
