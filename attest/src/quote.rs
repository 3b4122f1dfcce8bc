//! TPMS_ATTEST of a quote, from bytes to proof.
//!
//! Three proofs, each made only from the one before:
//! - [`VerifiedQuote`]: the attestation key signed these very bytes, and they are a whole quote and nothing else;
//! - [`AnsweredQuote`]: it answers this challenge (nonce, host, TLS key) with exactly the PCRs asked for;
//! - [`QuotedPcrs`]: these are the values of those PCRs.

pub mod by_hand;

use std::borrow::Cow;

use thiserror::Error;

use crate::challenge::Challenge;
use crate::key::{AttestationKey, Name};
use crate::pcr::{self, HashAlg, PcrValue, PcrValuesError, Selection, SelectionError};
use crate::reader::{ReadError, Reader};
use crate::signature::{self, SignatureError, SignedBytes};

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
    #[error(
        "at byte {offset}: the quote's clock has a safe flag of {found}, which is neither yes (1) nor no (0)"
    )]
    SafeFlag {
        /// Where it stands.
        offset: usize,
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
    /// The signed PCR digest has not the size of the signature's hash.
    #[error("the quote's PCR digest has {found} bytes, its hash makes {expected}")]
    DigestSize {
        /// The size of the signature's hash.
        expected: usize,
        /// The digest's.
        found: usize,
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

/// TPM2B_NAME: the largest digest behind its algorithm.
const MAX_NAME: usize = 66;
/// TPM2B_DATA: as long as a TPMT_HA.
const MAX_DATA: usize = 66;
/// The largest digest.
const MAX_DIGEST: usize = 64;

impl Attest {
    fn read(bytes: &[u8], hash: HashAlg) -> Result<Attest, QuoteError> {
        let mut r = Reader::new(bytes);
        let magic = r.u32_be("the TPM's mark")?;
        if magic != MAGIC {
            return Err(QuoteError::Magic { found: magic });
        }
        let kind = r.u16_be("the kind of attestation")?;
        if kind != ATTEST_QUOTE {
            return Err(QuoteError::Kind {
                found: kind,
                name: kind_name(kind),
            });
        }
        let attest = Attest::read_on(r, hash)?;
        if attest.pcr_digest.len() != hash.digest_len() {
            return Err(QuoteError::DigestSize {
                expected: hash.digest_len(),
                found: attest.pcr_digest.len(),
            });
        }
        Ok(attest)
    }

    /// What stands behind mark and kind.
    fn read_on(mut r: Reader<'_>, hash: HashAlg) -> Result<Attest, QuoteError> {
        let Head {
            signer,
            extra_data,
            clock,
            firmware_version,
        } = Head::read(&mut r)?;
        let selection = match Selection::read(&mut r) {
            Ok(selection) => selection,
            Err(SelectionError::Read(error)) => return Err(QuoteError::Read(error)),
            Err(other) => return Err(QuoteError::SelectionForm(other)),
        };
        let pcr_digest = r.sized_u16_be(MAX_DIGEST, "the PCR digest")?.to_vec();
        r.finish("the quote (TPMS_ATTEST)")?;
        Ok(Attest {
            signer,
            extra_data,
            clock,
            firmware_version,
            selection,
            pcr_digest,
            hash,
        })
    }
}

/// What every kind of attestation has behind its mark and kind.
struct Head {
    signer: Name,
    extra_data: Vec<u8>,
    clock: Clock,
    firmware_version: u64,
}

impl Head {
    fn read(r: &mut Reader<'_>) -> Result<Head, QuoteError> {
        let signer = Name::from_bytes(r.sized_u16_be(MAX_NAME, "the qualified signer")?);
        let extra_data = r.sized_u16_be(MAX_DATA, "the qualifying data")?.to_vec();
        let clock_ms = r.u64_be("the clock")?;
        let reset_count = r.u32_be("the reset count")?;
        let restart_count = r.u32_be("the restart count")?;
        let offset = r.offset();
        let safe = match r.u8("the clock's safe flag")? {
            0 => false,
            1 => true,
            found => return Err(QuoteError::SafeFlag { offset, found }),
        };
        let firmware_version = r.u64_be("the firmware version")?;
        let clock = Clock {
            clock_ms,
            reset_count,
            restart_count,
            safe,
        };
        Ok(Head {
            signer,
            extra_data,
            clock,
            firmware_version,
        })
    }
}

/// The names of TPM_ST_ATTEST_*.
fn kind_name(kind: u16) -> &'static str {
    match kind {
        0x8014 => "an attestation of an NV index",
        0x8015 => "an attestation of an audited command",
        0x8016 => "an attestation of a session audit",
        0x8017 => "a certification of a key",
        0x8019 => "an attestation of the time",
        0x801A => "a certification of a creation",
        0x801C => "an attestation of an NV digest",
        _ => "an unknown attestation",
    }
}

/// Bytes that the attestation key signed and that are a whole quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedQuote(Attest);

impl VerifiedQuote {
    /// Verifies `signature` (TPMT_SIGNATURE) over the raw bytes first, and only then reads them.
    pub fn open(raw: &[u8], signature: &[u8], key: &AttestationKey) -> Result<VerifiedQuote, QuoteError> {
        let SignedBytes { bytes, hash } = signature::open(raw, signature, key)?;
        Attest::read(bytes, hash).map(VerifiedQuote)
    }

    /// Goes on only if the quote's qualified signer is `expected`, where that is known.
    pub fn signed_as(self, expected: &Name) -> Result<VerifiedQuote, QuoteError> {
        if self.0.signer == *expected {
            return Ok(self);
        }
        Err(QuoteError::Signer {
            expected: expected.to_string(),
            found: self.0.signer.to_string(),
        })
    }

    /// Goes on only if the quote answers `challenge`: its qualifying data, and the PCR selection exactly as asked.
    pub fn answers(self, challenge: &Challenge) -> Result<AnsweredQuote, QuoteError> {
        self.answers_data(&challenge.qualifying_data(), &challenge.selection)
    }

    fn answers_data(self, data: &[u8], selection: &Selection) -> Result<AnsweredQuote, QuoteError> {
        let VerifiedQuote(attest) = self;
        // Compared whole: an empty nonce or a prefix is another challenge.
        if attest.extra_data != data {
            return Err(QuoteError::Challenge {
                expected: hex::encode(data),
                found: hex::encode(&attest.extra_data),
            });
        }
        if attest.selection != *selection {
            return Err(QuoteError::Selection {
                expected: selection.to_string(),
                found: attest.selection.to_string(),
            });
        }
        Ok(AnsweredQuote(attest))
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
    pub fn with_pcrs(self, values: &[PcrValue]) -> Result<QuotedPcrs<'_>, QuoteError> {
        let AnsweredQuote(attest) = self;
        let values = pcr::in_order(&attest.selection, values)?;
        let digest = pcr::digest_in_order(&values, attest.hash);
        if digest != attest.pcr_digest {
            return Err(QuoteError::Digest {
                expected: hex::encode(&attest.pcr_digest),
                found: hex::encode(&digest),
            });
        }
        Ok(QuotedPcrs { attest, values })
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
pub struct QuotedPcrs<'a> {
    attest: Attest,
    values: Cow<'a, [PcrValue]>,
}

impl QuotedPcrs<'_> {
    /// The signed value of a register; none if it was not in the selection.
    pub fn value(&self, bank: HashAlg, index: u8) -> Option<&[u8]> {
        self.values
            .iter()
            .find(|v| v.bank == bank && v.index == index)
            .map(|v| v.digest.as_slice())
    }

    /// The proof, kept longer than the values that were sent along.
    pub fn into_owned(self) -> QuotedPcrs<'static> {
        QuotedPcrs {
            attest: self.attest,
            values: Cow::Owned(self.values.into_owned()),
        }
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

#[cfg(test)]
mod tests;
