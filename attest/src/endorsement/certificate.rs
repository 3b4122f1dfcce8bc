//! One X.509 certificate, with the facts that a chain of TPM makers' certificates needs.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use super::{ChainLink, EndorsementError};
use crate::key::{KeyMaterial, der};
use crate::pcr::{HashAlg, sha256};

/// What signed a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignedBy {
    /// RSASSA-PKCS1-v1_5 with a hash that still proves something.
    Rsa(HashAlg),
    /// ECDSA with such a hash.
    Ecdsa(HashAlg),
    /// SHA-1: collisions can be had.
    Sha1,
    /// Anything else.
    Unknown,
}

/// A certificate's extended key usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExtendedUsage {
    /// The extension is absent.
    Unlimited,
    /// It names tcg-kp-EKCertificate.
    Endorsement,
    /// It allows any usage, without naming that one.
    Any,
    /// It allows only other usages.
    Other,
}

/// A certificate that parsed; nothing about it is proven.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) subject: String,
    pub(super) issuer: String,
    pub(super) key: KeyMaterial,
    pub(super) signed_by: SignedBy,
    pub(super) signed_by_oid: String,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// Subject and authority key identifiers, where the certificate has them.
    pub(super) key_id: Option<Vec<u8>>,
    pub(super) authority_key_id: Option<Vec<u8>>,
    pub(super) is_authority: bool,
    pub(super) path_len: Option<u32>,
    /// The KeyUsage bits; none where the extension is absent.
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) extended_usage: ExtendedUsage,
    /// Critical extensions that nothing here understands; dotted.
    pub(super) unknown_critical: Vec<String>,
    /// Certificate policies marked critical, as Infineon's, ST's and Intel's authorities have them.
    pub(super) critical_policies: bool,
    serial: String,
    sha256: [u8; 32],
    file: Option<String>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// The KeyUsage bits that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyUsage {
    pub(super) key_encipherment: bool,
    pub(super) key_agreement: bool,
    pub(super) key_cert_sign: bool,
}

/// tcg-kp-EKCertificate (TCG EK Credential Profile).
const EK_CERTIFICATE: &str = "2.23.133.8.1";

/// Bytes of a certificate with its padding. NV indexes hold 2 KiB in most TPMs; makers' own certificates are no larger.
const MAX_CERTIFICATE: usize = 16 * 1024;

impl Certificate {
    /// Reads one certificate. Behind it only padding may follow: a TPM's NV index can be larger than its certificate.
    pub(super) fn from_der(der: &[u8], file: Option<&str>) -> Result<Certificate, EndorsementError> {
        let name = || {
            file.map_or_else(
                || "the EK certificate that the agent sent".to_owned(),
                str::to_owned,
            )
        };
        let unreadable = |reason: String| EndorsementError::Unreadable { file: name(), reason };
        if der.len() > MAX_CERTIFICATE {
            return Err(unreadable(format!(
                "{} bytes are more than any certificate has",
                der.len()
            )));
        }
        // The outer SEQUENCE's own length says where the certificate ends.
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|error| unreadable(error.to_string()))?;
        if !is_padding(rest) {
            return Err(unreadable(format!(
                "{} bytes that are no padding follow it",
                rest.len()
            )));
        }
        if !is_canonical(&parsed) {
            return Err(unreadable(
                "what stands around its signed part is not canonical DER".to_owned(),
            ));
        }
        let tbs = &parsed.tbs_certificate;
        let subject = printable(tbs.subject().to_string(), parsed.raw_serial_as_string());
        if tbs.signature != parsed.signature_algorithm {
            return Err(unreadable(
                "it names two different signature algorithms".to_owned(),
            ));
        }
        if parsed.signature_value.unused_bits != 0 {
            return Err(unreadable(
                "its signature does not end with a whole byte".to_owned(),
            ));
        }
        let Ok(key) = KeyMaterial::from_parsed(tbs.public_key()) else {
            return Err(EndorsementError::UnknownKey { subject });
        };
        let oid = parsed.signature_algorithm.algorithm.to_id_string();
        let mut certificate = Certificate {
            subject,
            issuer: tbs.issuer().to_string(),
            key,
            signed_by: signed_by(&oid),
            signed_by_oid: oid,
            not_before: tbs.validity().not_before.timestamp(),
            not_after: tbs.validity().not_after.timestamp(),
            key_id: None,
            authority_key_id: None,
            is_authority: false,
            path_len: None,
            key_usage: None,
            extended_usage: ExtendedUsage::Unlimited,
            unknown_critical: Vec::new(),
            critical_policies: false,
            serial: parsed.raw_serial_as_string(),
            sha256: sha256(&[parsed.as_raw()]),
            file: file.map(str::to_owned),
            signed: tbs.as_ref().to_vec(),
            signature: parsed.signature_value.data.to_vec(),
        };
        let mut seen = Vec::new();
        for extension in tbs.extensions() {
            if seen.contains(&&extension.oid) {
                return Err(unreadable(format!(
                    "it has the extension {} twice",
                    extension.oid
                )));
            }
            seen.push(&extension.oid);
            if let Some(error) = extension.parsed_extension().error() {
                return Err(unreadable(format!(
                    "its extension {} does not parse: {error}",
                    extension.oid
                )));
            }
            certificate.learn(extension.parsed_extension(), extension.critical, || {
                extension.oid.to_id_string()
            });
        }
        Ok(certificate)
    }

    /// Goes on only if `issuer`'s key signed this certificate by an algorithm that proves something.
    pub(super) fn signed_with<'i>(&self, issuer: &'i Certificate) -> Option<&'i Certificate> {
        let hash = match (self.signed_by, &issuer.key) {
            (SignedBy::Rsa(hash), KeyMaterial::Rsa { .. }) => hash,
            (SignedBy::Ecdsa(hash), KeyMaterial::Ec { .. }) => hash,
            (SignedBy::Rsa(_) | SignedBy::Ecdsa(_) | SignedBy::Sha1 | SignedBy::Unknown, _) => return None,
        };
        issuer
            .key
            .open(hash, &self.signed, &self.signature)
            .map(|_| issuer)
    }

    /// Whether this is the same certificate, byte for byte.
    pub(super) fn same_as(&self, other: &Certificate) -> bool {
        self.sha256 == other.sha256
    }

    /// What people are shown of it.
    pub(super) fn link(&self) -> ChainLink {
        ChainLink {
            subject: self.subject.clone(),
            issuer: self.issuer.clone(),
            serial: self.serial.clone(),
            not_before: self.not_before,
            not_after: self.not_after,
            sha256: self.sha256,
            file: self.file.clone(),
        }
    }

    fn learn(&mut self, extension: &ParsedExtension<'_>, critical: bool, oid: impl Fn() -> String) {
        match extension {
            ParsedExtension::SubjectKeyIdentifier(id) => self.key_id = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(authority) => {
                self.authority_key_id = authority.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            ParsedExtension::BasicConstraints(constraints) => {
                self.is_authority = constraints.ca;
                self.path_len = constraints.path_len_constraint;
            }
            ParsedExtension::KeyUsage(usage) => {
                self.key_usage = Some(KeyUsage {
                    key_encipherment: usage.key_encipherment(),
                    key_agreement: usage.key_agreement(),
                    key_cert_sign: usage.key_cert_sign(),
                });
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let endorsement = usage.other.iter().any(|oid| oid.to_id_string() == EK_CERTIFICATE);
                self.extended_usage = match (endorsement, usage.any) {
                    (true, _) => ExtendedUsage::Endorsement,
                    (false, true) => ExtendedUsage::Any,
                    (false, false) => ExtendedUsage::Other,
                };
            }
            // The TPM's model stands there; it is critical where the subject is empty (RFC 5280, 4.1.2.6).
            ParsedExtension::SubjectAlternativeName(_) => {}
            ParsedExtension::CertificatePolicies(_) => self.critical_policies = critical,
            _ if critical => self.unknown_critical.push(oid()),
            _ => {}
        }
    }
}

fn signed_by(oid: &str) -> SignedBy {
    match oid {
        "1.2.840.113549.1.1.11" => SignedBy::Rsa(HashAlg::Sha256),
        "1.2.840.113549.1.1.12" => SignedBy::Rsa(HashAlg::Sha384),
        "1.2.840.113549.1.1.13" => SignedBy::Rsa(HashAlg::Sha512),
        "1.2.840.10045.4.3.2" => SignedBy::Ecdsa(HashAlg::Sha256),
        "1.2.840.10045.4.3.3" => SignedBy::Ecdsa(HashAlg::Sha384),
        "1.2.840.10045.4.3.4" => SignedBy::Ecdsa(HashAlg::Sha512),
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" => SignedBy::Sha1,
        _ => SignedBy::Unknown,
    }
}

/// Whether the frame around the signed part, which nothing signs, has its one canonical form: the parser is lenient
/// there. The outer algorithm must be, byte for byte, what stands in the signed part.
fn is_canonical(parsed: &X509Certificate<'_>) -> bool {
    let signed = parsed.tbs_certificate.as_ref();
    let signature = der(0x03, &[&[0], &parsed.signature_value.data]);
    let Some(front) = parsed.as_raw().strip_suffix(signature.as_slice()) else {
        return false;
    };
    // A tag and one to five bytes of length stand before the signed part.
    let Some(algorithm) = (2..=6).find_map(|header| front.get(header..)?.strip_prefix(signed)) else {
        return false;
    };
    let repeated = !algorithm.is_empty() && signed.windows(algorithm.len()).any(|part| part == algorithm);
    repeated && der(0x30, &[signed, algorithm, &signature]) == parsed.as_raw()
}

/// Erased NV memory reads as 0xFF, unwritten as 0x00.
fn is_padding(rest: &[u8]) -> bool {
    rest.iter().all(|byte| *byte == 0xff) || rest.iter().all(|byte| *byte == 0x00)
}

fn printable(subject: String, serial: String) -> String {
    match subject.is_empty() {
        true => format!("(no subject, serial {serial})"),
        false => subject,
    }
}
