//! Keys that may sign files, and the proof that one of them signed a measured digest.
//!
//! A keyring is PEM text: X.509 certificates (as `evmctl` and distributions make them) or bare public keys. The operator
//! lists the very keys that sign; no chain is built, and a certificate's own signature is not looked at, for the policy
//! that names the keyring vouches for it. What is proven of a file:
//! - one of these keys made the signature, over this digest, with this algorithm (no SHA-1, no MD5);
//! - the signature's own form says the same kind of digest: a signature of a fs-verity digest is none of a file's digest;
//! - at the time of the round the key's certificate was valid.

use aws_lc_rs::digest::Digest;
use aws_lc_rs::signature::ParsedPublicKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::signature::{FileSignature, KeyId, SignedDigest};
use crate::key::KeyMaterial;
use crate::pcr::HashAlg;

/// Keys in one keyring: the kernel's own are a handful; each signature is tried with those of its key id only.
const MAX_KEYS: usize = 64;

/// Why a text is no keyring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct KeyringError {
    /// Line of the PEM block's beginning, counted from 1.
    pub line: usize,
    /// What is wrong with it, and what to write instead.
    pub reason: String,
}

/// Keys that may sign files.
#[derive(Debug, Clone)]
pub struct Keyring {
    name: String,
    keys: Vec<SigningKey>,
}

/// One key of a keyring.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The certificate's subject, or `public key 2` for the second block of a keyring.
    subject: String,
    ids: Vec<KeyId>,
    /// The public key's bits: an RSAPublicKey, or a point.
    bits: Vec<u8>,
    /// Not before and not after, Unix seconds; none for a bare key.
    validity: Option<(i64, i64)>,
    parsed: Vec<(HashAlg, ParsedPublicKey)>,
}

/// Why a signature proves nothing about a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// No key of the keyring has the signature's key id.
    #[error("no key {0} in the keyring")]
    UnknownKey(KeyId),
    /// The key's certificate is not valid yet or no longer.
    #[error("the certificate of key {key} ({subject}) is {when}")]
    Expired {
        /// The key's id.
        key: KeyId,
        /// The certificate's subject.
        subject: String,
        /// `expired` or `not valid yet`.
        when: &'static str,
    },
    /// The signature's hash algorithm is not that of the measured digest, or proves nothing.
    #[error(
        "the signature is over a digest of another algorithm ({found}) than the one measured, or of a weak one"
    )]
    Algorithm {
        /// As the signature names it.
        found: String,
    },
    /// EVM's portable signature is over the file's metadata, which the list does not hold whole.
    #[error("an EVM signature covers the file's metadata, which the list does not hold whole")]
    Metadata,
    /// The attribute is no signature, or of a version that is not known here.
    #[error("{0}")]
    Form(String),
    /// A signature of a file's digest beside a fs-verity digest, or the other way round.
    #[error(
        "the signature is for a digest of another kind: a file's and a fs-verity digest are not interchangeable"
    )]
    Kind,
    /// The key did not sign this digest.
    #[error("key {0} did not sign this digest")]
    Invalid(KeyId),
}

impl Keyring {
    /// Reads PEM blocks: `CERTIFICATE` and `PUBLIC KEY`. Text between them is ignored, as everywhere in PEM.
    ///
    /// # Errors
    /// The first block that cannot be used, with its line; or a text without any.
    pub fn parse(name: &str, text: &str) -> Result<Self, KeyringError> {
        let mut keys = Vec::new();
        let mut blocks = pem_blocks(text);
        while let Some(block) = blocks.next_block()? {
            let refuse = |reason: String| KeyringError {
                line: block.line,
                reason,
            };
            if keys.len() >= MAX_KEYS {
                return Err(refuse(format!(
                    "a keyring holds at most {MAX_KEYS} keys; split it into several"
                )));
            }
            let key = match block.label {
                "CERTIFICATE" => SigningKey::from_certificate(&block.contents),
                "PUBLIC KEY" => SigningKey::from_spki(&block.contents, keys.len().saturating_add(1)),
                other => Err(format!(
                    "a PEM block of \"{other}\"; a keyring holds CERTIFICATE and PUBLIC KEY blocks only"
                )),
            };
            keys.push(key.map_err(refuse)?);
        }
        if keys.is_empty() {
            return Err(KeyringError {
                line: 1,
                reason: "there is no PEM block in it; convert DER with openssl x509 -inform der".to_owned(),
            });
        }
        Ok(Self {
            name: name.to_owned(),
            keys,
        })
    }

    /// Its name, as the policy writes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its keys, in the order of the text.
    pub fn keys(&self) -> &[SigningKey] {
        &self.keys
    }

    /// Goes on only if a key of this keyring signed the digest and is valid at `now` (Unix seconds).
    ///
    /// # Errors
    /// The best reason why not: a key that was found and refused says more than one that was not.
    pub fn signer(
        &self,
        signature: &FileSignature<'_>,
        measured: &SignedDigest<'_>,
        now: i64,
    ) -> Result<&SigningKey, NotSigned> {
        let mut refusal = NotSigned::UnknownKey(signature.key);
        for key in self.keys.iter().filter(|key| key.ids.contains(&signature.key)) {
            match key.signed(signature, measured, now) {
                Ok(()) => return Ok(key),
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal)
    }
}

impl SigningKey {
    /// The certificate's subject, or the key's place in the keyring.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The ids that signatures call it by.
    pub fn ids(&self) -> &[KeyId] {
        &self.ids
    }

    fn from_certificate(der: &[u8]) -> Result<Self, String> {
        let (rest, certificate) = X509Certificate::from_der(der)
            .map_err(|error| format!("the certificate cannot be read: {error}"))?;
        if !rest.is_empty() {
            return Err(format!("{} bytes follow the certificate", rest.len()));
        }
        let tbs = &certificate.tbs_certificate;
        let mut ids = vec![KeyId::of_key(&tbs.public_key().subject_public_key.data)];
        for extension in tbs.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => ids.extend(KeyId::of_identifier(id.0)),
                ParsedExtension::KeyUsage(usage) if !usage.digital_signature() => {
                    return Err(format!(
                        "the key usage of {} does not allow digital signatures",
                        tbs.subject()
                    ));
                }
                _ => {}
            }
        }
        ids.dedup();
        let validity = tbs.validity();
        Ok(Self {
            subject: tbs.subject().to_string(),
            ids,
            bits: tbs.public_key().subject_public_key.data.to_vec(),
            validity: Some((validity.not_before.timestamp(), validity.not_after.timestamp())),
            parsed: parsed(tbs.public_key())?,
        })
    }

    fn from_spki(der: &[u8], place: usize) -> Result<Self, String> {
        let (rest, spki) = SubjectPublicKeyInfo::from_der(der)
            .map_err(|error| format!("the public key cannot be read: {error}"))?;
        if !rest.is_empty() {
            return Err(format!("{} bytes follow the public key", rest.len()));
        }
        Ok(Self {
            subject: format!("public key {place}"),
            ids: vec![KeyId::of_key(&spki.subject_public_key.data)],
            bits: spki.subject_public_key.data.to_vec(),
            validity: None,
            parsed: parsed(&spki)?,
        })
    }

    fn signed(
        &self,
        signature: &FileSignature<'_>,
        measured: &SignedDigest<'_>,
        now: i64,
    ) -> Result<(), NotSigned> {
        let (hash, digest) = signature.covers(measured)?;
        let (_, key) =
            self.parsed
                .iter()
                .find(|(alg, _)| *alg == hash)
                .ok_or_else(|| NotSigned::Algorithm {
                    found: signature.hash.to_string(),
                })?;
        let invalid = NotSigned::Invalid(signature.key);
        let digest = Digest::import_less_safe(&digest, hash.algorithm()).map_err(|_| invalid.clone())?;
        key.verify_digest_sig(&digest, signature.bytes)
            .map_err(|_| invalid)?;
        let expired = |when| NotSigned::Expired {
            key: signature.key,
            subject: self.subject.clone(),
            when,
        };
        match self.validity {
            Some((from, _)) if now < from => Err(expired("not valid yet")),
            Some((_, until)) if now > until => Err(expired("expired")),
            _ => Ok(()),
        }
    }
}

/// A key that the kernel measured when it was added to a keyring (`measure func=KEY_CHECK`): `ima-buf` with the keyring's
/// name and the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeasuredKey<'a> {
    /// The keyring, such as `.ima`.
    pub keyring: &'a [u8],
    /// The certificate, DER.
    pub certificate: &'a [u8],
}

impl<'a> MeasuredKey<'a> {
    /// The kernel's own keyrings begin with a dot (`_ima` and `_evm` with an underscore in old ones); others are known by
    /// what they hold. Anything in DER is taken for a key there: it begins with a SEQUENCE of two bytes' length.
    pub(super) fn parse(name: &'a [u8], data: &'a [u8]) -> Option<Self> {
        let keyring = name.starts_with(b".") || matches!(name, b"_ima" | b"_evm");
        (keyring || data.starts_with(&[0x30, 0x82])).then_some(Self {
            keyring: name,
            certificate: data,
        })
    }

    /// The ids that signatures call it by; none if it is no X.509 certificate.
    pub fn ids(&self) -> Vec<KeyId> {
        self.key().map_or_else(Vec::new, |key| key.0)
    }

    /// The keys of the keyring that are this one: by the whole public key, not by an id, which whoever made the
    /// certificate chose.
    pub fn known_in<'k>(&self, keyring: &'k Keyring) -> impl Iterator<Item = &'k SigningKey> {
        let bits = self.key().map(|(_, bits)| bits);
        keyring
            .keys
            .iter()
            .filter(move |key| Some(&key.bits) == bits.as_ref())
    }

    fn key(&self) -> Option<(Vec<KeyId>, Vec<u8>)> {
        let (_, certificate) = X509Certificate::from_der(self.certificate).ok()?;
        let tbs = &certificate.tbs_certificate;
        let bits = tbs.public_key().subject_public_key.data.to_vec();
        let mut ids = vec![KeyId::of_key(&bits)];
        for extension in tbs.extensions() {
            if let ParsedExtension::SubjectKeyIdentifier(id) = extension.parsed_extension() {
                ids.extend(KeyId::of_identifier(id.0));
            }
        }
        ids.dedup();
        Some((ids, bits))
    }
}

/// The key, ready for each hash that a signature may use.
fn parsed(spki: &SubjectPublicKeyInfo<'_>) -> Result<Vec<(HashAlg, ParsedPublicKey)>, String> {
    let material = KeyMaterial::from_parsed(spki).map_err(|error| error.to_string())?;
    material.strong().map_err(|error| error.to_string())?;
    let mut keys = Vec::new();
    for hash in [HashAlg::Sha256, HashAlg::Sha384, HashAlg::Sha512] {
        let key = material.parsed(hash).map_err(|error| error.to_string())?;
        keys.push((hash, key));
    }
    Ok(keys)
}

struct Blocks<'a> {
    text: &'a str,
    line: usize,
}

struct Block<'a> {
    label: &'a str,
    line: usize,
    contents: Vec<u8>,
}

fn pem_blocks(text: &str) -> Blocks<'_> {
    Blocks { text, line: 0 }
}

impl<'a> Blocks<'a> {
    fn line(&mut self) -> Option<&'a str> {
        if self.text.is_empty() {
            return None;
        }
        let (line, rest) = self.text.split_once('\n').unwrap_or((self.text, ""));
        self.text = rest;
        self.line = self.line.saturating_add(1);
        Some(line.trim_end())
    }

    fn next_block(&mut self) -> Result<Option<Block<'a>>, KeyringError> {
        while let Some(line) = self.line() {
            let Some(label) = line
                .strip_prefix("-----BEGIN ")
                .and_then(|rest| rest.strip_suffix("-----"))
            else {
                continue;
            };
            let (line, mut base64) = (self.line, String::new());
            let refuse = |reason: &str| KeyringError {
                line,
                reason: reason.to_owned(),
            };
            let end = format!("-----END {label}-----");
            loop {
                match self.line() {
                    Some(text) if text == end => break,
                    Some(text) => base64.push_str(text.trim()),
                    None => return Err(refuse("the PEM block has no end")),
                }
            }
            let contents = base64_decoded(&base64).ok_or_else(|| refuse("the PEM block is no base64"))?;
            return Ok(Some(Block {
                label,
                line,
                contents,
            }));
        }
        Ok(None)
    }
}

/// RFC 4648, 4: with padding, without anything else.
fn base64_decoded(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len().checked_sub(digits.len())?;
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len());
    let (mut bits, mut held) = (0_u32, 0_u32);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit.wrapping_sub(b'A'),
            b'a'..=b'z' => digit.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => digit.wrapping_sub(b'0').wrapping_add(52),
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits.wrapping_shl(6) | u32::from(value);
        held = held.wrapping_add(6);
        if held >= 8 {
            held = held.wrapping_sub(8);
            bytes.push(u8::try_from(bits.wrapping_shr(held) & 0xff).ok()?);
        }
    }
    // What is left over of the last digit is zero, so that each key has one spelling.
    (bits & 1_u32.wrapping_shl(held).wrapping_sub(1) == 0).then_some(bytes)
}
