//! A quote that a person looks at: any key, any nonce, with the reason in words. Nothing is decided by it.
//!
//! It is genuine exactly if the ladder of proofs says so ([`VerifiedQuote`], [`super::AnsweredQuote`],
//! [`super::QuotedPcrs`]); all else here is for showing. Input that does not even have the form of what it should be is
//! told apart from a quote that is none: [`Malformed`].

use std::fmt;

use thiserror::Error;

use super::{ATTEST_QUOTE, Attest, Clock, Head, MAGIC, QuoteError, VerifiedQuote, kind_name};
use crate::key::{AttestationKey, KeyError, KeyMaterial, MaterialError, Name, Scheme};
use crate::pcr::{HashAlg, PcrValue};
use crate::reader::Reader;
use crate::signature::{self, SignatureError, SignedBytes};

/// Input that has not the form of what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the {input} is malformed: {reason}")]
pub struct Malformed {
    /// Which one.
    pub input: Input,
    /// At which byte, and what was expected there.
    pub reason: String,
}

/// One of the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The attestation key.
    Key,
    /// The TPMS_ATTEST.
    Message,
    /// The TPMT_SIGNATURE.
    Signature,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Input::Key => "attestation key",
            Input::Message => "message (TPMS_ATTEST)",
            Input::Signature => "signature (TPMT_SIGNATURE)",
        })
    }
}

/// What a quote is asked for, in this order; the first that fails is the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The key may sign quotes.
    Key,
    /// The key signed these bytes.
    Signature,
    /// The TPM made what was signed.
    Mark,
    /// It is a quote.
    Kind,
    /// It carries the nonce.
    Nonce,
    /// Its PCR selection is one, and the values given are those of it.
    Selection,
    /// The values given have the signed digest.
    PcrDigest,
}

impl Check {
    /// A stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            Check::Key => "key",
            Check::Signature => "signature",
            Check::Mark => "magic",
            Check::Kind => "kind",
            Check::Nonce => "nonce",
            Check::Selection => "pcr-selection",
            Check::PcrDigest => "pcr-digest",
        }
    }
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Genuine, or the first check that failed and why.
    pub ended: Result<(), (Check, String)>,
    /// What the message says; whether that is true is said by `ended`. None where it is no quote.
    pub quote: Option<Quote>,
    /// The key's Name; none for bare numbers.
    pub key_name: Option<Name>,
    /// Whether the key's attributes were there to be checked: restricted, and so on. Bare numbers have none.
    pub attributes_checked: bool,
    /// The scheme of the signature, where it has the form of one.
    pub signed_by: Option<Scheme>,
    /// Whether PCR values were given to be compared.
    pub pcrs_compared: bool,
}

/// The fields of a quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// The signing key's qualified name.
    pub qualified_signer: Name,
    /// The qualifying data.
    pub extra_data: Vec<u8>,
    /// The clock.
    pub clock: Clock,
    /// The TPM firmware's version.
    pub firmware_version: u64,
    /// The signed selection, as text.
    pub selection: String,
    /// The signed digest of the PCR values.
    pub pcr_digest: Vec<u8>,
}

/// A key as it was given.
enum AnyKey {
    Attestation(AttestationKey),
    /// A SubjectPublicKeyInfo: whether the key is restricted is not known.
    Bare(KeyMaterial),
    /// A TPM's key, but none that may sign quotes.
    Refused(KeyError),
}

/// Looks at a quote. `key` is a PEM or DER SubjectPublicKeyInfo, a TPM2B_PUBLIC or a TPMT_PUBLIC; `nonce` is the whole
/// extraData that is expected; `pcrs` are the values to compare, where there are any.
///
/// # Errors
/// An input that has not the form of what it should be.
pub fn look(
    key: &[u8],
    message: &[u8],
    signature: &[u8],
    nonce: &[u8],
    pcrs: Option<&[PcrValue]>,
) -> Result<Looked, Malformed> {
    let key = read_key(key)?;
    let signed_by = scheme_of(signature)?;
    let quote = outline(message)?;
    let mut looked = Looked {
        ended: Ok(()),
        quote,
        key_name: None,
        attributes_checked: true,
        signed_by,
        pcrs_compared: pcrs.is_some(),
    };
    let opened = match &key {
        AnyKey::Refused(error) => {
            looked.ended = Err((Check::Key, error.to_string()));
            return Ok(looked);
        }
        AnyKey::Attestation(key) => {
            looked.key_name = Some(key.name().clone());
            VerifiedQuote::open(message, signature, key)
        }
        AnyKey::Bare(material) => {
            looked.attributes_checked = false;
            signature::open_bare(message, signature, material)
                .map_err(QuoteError::Signature)
                .and_then(|SignedBytes { bytes, hash }| Attest::read(bytes, hash))
                .map(VerifiedQuote)
        }
    };
    looked.ended = match opened.and_then(|quote| proven(quote, nonce, pcrs)) {
        Ok(()) => Ok(()),
        Err(QuoteError::Signature(SignatureError::Read(error))) => {
            return Err(malformed(Input::Signature, error));
        }
        Err(QuoteError::Read(error)) => return Err(malformed(Input::Message, error)),
        Err(error) => Err((check_of(&error), error.to_string())),
    };
    Ok(looked)
}

fn proven(quote: VerifiedQuote, nonce: &[u8], pcrs: Option<&[PcrValue]>) -> Result<(), QuoteError> {
    let selection = quote.0.selection.clone();
    let answered = quote.answers_data(nonce, &selection)?;
    match pcrs {
        Some(values) => answered.with_pcrs(values).map(|_| ()),
        None => Ok(()),
    }
}

fn check_of(error: &QuoteError) -> Check {
    match error {
        QuoteError::Signature(_) => Check::Signature,
        QuoteError::Magic { .. } => Check::Mark,
        QuoteError::Kind { .. } => Check::Kind,
        QuoteError::Challenge { .. } => Check::Nonce,
        QuoteError::SelectionForm(_) | QuoteError::Selection { .. } | QuoteError::Values(_) => {
            Check::Selection
        }
        QuoteError::Read(_)
        | QuoteError::SafeFlag { .. }
        | QuoteError::Signer { .. }
        | QuoteError::DigestSize { .. }
        | QuoteError::Digest { .. } => Check::PcrDigest,
    }
}

fn malformed(input: Input, reason: impl fmt::Display) -> Malformed {
    Malformed {
        input,
        reason: reason.to_string(),
    }
}

/// TPMT_PUBLIC begins with the key's type, TPM2B_PUBLIC with a length that is never so small.
const TYPES: [[u8; 2]; 4] = [[0x00, 0x01], [0x00, 0x08], [0x00, 0x23], [0x00, 0x25]];

fn read_key(bytes: &[u8]) -> Result<AnyKey, Malformed> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let spki = |found: Result<KeyMaterial, MaterialError>| {
        let material = found.map_err(|error| malformed(Input::Key, format_args!("at byte 0: {error}")))?;
        Ok(match material.strong() {
            Ok(()) => AnyKey::Bare(material),
            Err(weak) => AnyKey::Refused(weak.into()),
        })
    };
    if bytes.windows(BEGIN.len()).any(|window| window == BEGIN) {
        return spki(KeyMaterial::from_pem(bytes));
    }
    let read = match bytes.first_chunk::<2>() {
        Some([0x30, _]) => return spki(KeyMaterial::from_spki(bytes)),
        Some(kind) if TYPES.contains(kind) => AttestationKey::from_bare_public(bytes),
        _ => AttestationKey::from_public(bytes),
    };
    match read {
        Ok(key) => Ok(AnyKey::Attestation(key)),
        Err(error @ (KeyError::Read(_) | KeyError::Length { .. })) => {
            Err(malformed(Input::Key, expecting_a_key(&error)))
        }
        Err(
            error @ KeyError::Unknown {
                what: "key type" | "hash algorithm of the Name",
                ..
            },
        ) => Err(malformed(Input::Key, expecting_a_key(&error))),
        Err(
            error @ (KeyError::Unknown { .. }
            | KeyError::Material(_)
            | KeyError::AttributeClear { .. }
            | KeyError::AttributeSet { .. }
            | KeyError::Scheme { .. }
            | KeyError::Name { .. }),
        ) => Ok(AnyKey::Refused(error)),
    }
}

fn expecting_a_key(error: &KeyError) -> String {
    format!("{error}; expected a PEM PUBLIC KEY, a TPM2B_PUBLIC or a TPMT_PUBLIC")
}

/// The scheme of a signature that has the form of one; none if it is one of a TPM's that is not accepted.
fn scheme_of(signature: &[u8]) -> Result<Option<Scheme>, Malformed> {
    let mut r = Reader::new(signature);
    let unreadable = |error| malformed(Input::Signature, error);
    let id = r.u16_be("the signature's scheme").map_err(unreadable)?;
    let hash_id = r.u16_be("the signature's hash algorithm").map_err(unreadable)?;
    // RSASSA to ECSCHNORR (TCG Algorithm Registry).
    if !(0x0014..=0x001C).contains(&id) {
        return Err(malformed(
            Input::Signature,
            format_args!(
                "at byte 0: expected a signature's scheme, such as 0x0014 or 0x0018, found {id:#06x}"
            ),
        ));
    }
    // SHA-1 to SM3, and SHA-3.
    if !matches!(hash_id, 0x0004 | 0x000B..=0x000D | 0x0012 | 0x0027..=0x0029) {
        return Err(malformed(
            Input::Signature,
            format_args!("at byte 2: expected a hash algorithm, such as 0x000b, found {hash_id:#06x}"),
        ));
    }
    let Some(scheme) = HashAlg::from_id(hash_id).and_then(|hash| Scheme::from_id(id, hash)) else {
        return Ok(None);
    };
    let parts = match scheme {
        Scheme::Rsassa(_) => 1,
        Scheme::Ecdsa(_) => 2,
    };
    for _ in 0..parts {
        r.sized_u16_be(usize::from(u16::MAX), "a part of the signature")
            .map_err(unreadable)?;
    }
    r.finish("the signature (TPMT_SIGNATURE)").map_err(unreadable)?;
    Ok(Some(scheme))
}

/// What the message says, if it is a quote; none if it is another attestation, or a quote of another TPM's registers.
fn outline(message: &[u8]) -> Result<Option<Quote>, Malformed> {
    let unreadable = |error: QuoteError| match error {
        QuoteError::Read(error) => malformed(Input::Message, error),
        other => malformed(Input::Message, other),
    };
    let mut r = Reader::new(message);
    let magic = r
        .u32_be("the TPM's mark")
        .map_err(|error| malformed(Input::Message, error))?;
    let kind = r
        .u16_be("the kind of attestation")
        .map_err(|error| malformed(Input::Message, error))?;
    let behind = r.clone();
    // The hash says only how long the digest should be, which is not asked here.
    match Attest::read_on(behind.clone(), HashAlg::Sha256) {
        Ok(attest) => Ok(Some(Quote {
            qualified_signer: attest.signer,
            extra_data: attest.extra_data,
            clock: attest.clock,
            firmware_version: attest.firmware_version,
            selection: attest.selection.to_string(),
            pcr_digest: attest.pcr_digest,
        })),
        Err(_) if magic != MAGIC => Err(malformed(
            Input::Message,
            format_args!("at byte 0: expected the TPM's own mark {MAGIC:#010x}, found {magic:#010x}"),
        )),
        Err(_) if kind != ATTEST_QUOTE => {
            Head::read(&mut behind.clone()).map_err(unreadable)?;
            if kind_name(kind) == kind_name(0) {
                return Err(malformed(
                    Input::Message,
                    format_args!("at byte 4: expected a quote's tag {ATTEST_QUOTE:#06x}, found {kind:#06x}"),
                ));
            }
            Ok(None)
        }
        Err(QuoteError::SelectionForm(_)) => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}

#[cfg(test)]
mod tests;
