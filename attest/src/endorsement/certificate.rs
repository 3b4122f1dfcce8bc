//! One X.509 certificate, with the facts that a chain of TPM makers' certificates needs.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

use super::signed::{Signed, frame_is_canonical};
use super::{ChainLink, EndorsementError, Standing, outline, roots};
use crate::key::{KeyMaterial, strip_zeros};
use crate::pcr::sha256;

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
    /// Both names in DER.
    pub(super) subject_der: Vec<u8>,
    pub(super) issuer_der: Vec<u8>,
    pub(super) signed: Signed,
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
    /// Where it says that its issuer's certificate can be had.
    pub(super) issuer_url: Option<String>,
    pub(super) raw_serial: Vec<u8>,
    pub(super) serial: String,
    pub(super) sha256: [u8; 32],
    pub(super) file: Option<String>,
}

/// The KeyUsage bits that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyUsage {
    pub(super) key_encipherment: bool,
    pub(super) key_agreement: bool,
    pub(super) key_cert_sign: bool,
    pub(super) crl_sign: bool,
}

/// tcg-kp-EKCertificate (TCG EK Credential Profile).
const EK_CERTIFICATE: &str = "2.23.133.8.1";

/// id-ad-caIssuers (RFC 5280, 4.2.2.1).
const CA_ISSUERS: &str = "1.3.6.1.5.5.7.48.2";
/// Longer than any maker's address; nobody reads more.
const MAX_URL: usize = 256;

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
        let unreadable_at = |offset, reason: String| EndorsementError::Unreadable {
            file: name(),
            offset,
            reason,
        };
        let unreadable = |reason: String| unreadable_at(0, reason);
        if der.len() > MAX_CERTIFICATE {
            return Err(unreadable(format!(
                "{} bytes are more than any certificate has",
                der.len()
            )));
        }
        // The outer SEQUENCE's own length says where the certificate ends.
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|error| {
            let place = outline::first_fault(der);
            unreadable_at(place.offset, format!("expected {} ({error})", place.expected))
        })?;
        if !is_padding(rest) {
            let end = der.len().saturating_sub(rest.len());
            return Err(unreadable_at(
                end,
                format!(
                    "expected the end, or padding by 0xff or 0x00 only; {} other bytes follow",
                    rest.len()
                ),
            ));
        }
        if !frame_is_canonical(
            parsed.as_raw(),
            parsed.tbs_certificate.as_ref(),
            &parsed.signature_value,
        ) {
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
        let Ok(key) = KeyMaterial::from_parsed(tbs.public_key()) else {
            return Err(EndorsementError::UnknownKey { subject });
        };
        let mut certificate = Certificate {
            subject,
            issuer: tbs.issuer().to_string(),
            key,
            subject_der: tbs.subject().as_raw().to_vec(),
            issuer_der: tbs.issuer().as_raw().to_vec(),
            signed: Signed::new(
                &parsed.signature_algorithm,
                tbs.as_ref(),
                &parsed.signature_value.data,
            ),
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
            issuer_url: None,
            raw_serial: strip_zeros(parsed.raw_serial()).to_vec(),
            serial: parsed.raw_serial_as_string(),
            sha256: sha256(&[parsed.as_raw()]),
            file: file.map(str::to_owned),
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

    /// Reads the one certificate of a file. Text may stand around a PEM block, as `openssl x509 -text` writes it.
    pub(super) fn from_pem_or_der(bytes: &[u8], file: &str) -> Result<Certificate, EndorsementError> {
        if !roots::is_pem(bytes) {
            return Certificate::from_der(bytes, Some(file));
        }
        for pem in Pem::iter_from_buffer(bytes) {
            let pem = pem.map_err(|error| roots::broken_pem(file, &error.to_string()))?;
            if pem.label == "CERTIFICATE" {
                return Certificate::from_der(&pem.contents, Some(file));
            }
        }
        Err(roots::broken_pem(file, "it has no block CERTIFICATE"))
    }

    /// Goes on only if `issuer`'s key signed this certificate by an algorithm that proves something.
    pub(super) fn signed_with<'i>(&self, issuer: &'i Certificate) -> Option<&'i Certificate> {
        self.signed.open(&issuer.key).map(|_| issuer)
    }

    /// The same by SHA-1, for certificates that the operator listed: see [`Signed::open_legacy`].
    pub(super) fn signed_by_sha1_with<'i>(&self, issuer: &'i Certificate) -> Option<&'i Certificate> {
        self.signed.open_legacy(&issuer.key).map(|_| issuer)
    }

    /// Whether `candidate` may have issued it: by key identifiers where both have them; otherwise every authority is
    /// tried. The signature decides.
    pub(super) fn may_be_issued_by(&self, candidate: &Certificate) -> bool {
        match (&self.authority_key_id, &candidate.key_id) {
            (Some(wanted), Some(id)) => wanted == id,
            (Some(_), None) | (None, Some(_)) | (None, None) => true,
        }
    }

    /// Whether it names the key of `candidate` as its issuer's.
    pub(super) fn names_by_key(&self, candidate: &Certificate) -> bool {
        self.authority_key_id.is_some() && self.authority_key_id == candidate.key_id
    }

    /// Whether it says that it issued itself.
    pub(super) fn names_itself(&self) -> bool {
        self.issuer_der == self.subject_der
    }

    /// Whether this is the same certificate, byte for byte.
    pub(super) fn same_as(&self, other: &Certificate) -> bool {
        self.sha256 == other.sha256
    }

    /// What people are shown of it.
    pub(super) fn link(&self, standing: Standing) -> ChainLink {
        ChainLink {
            signed_by: self.signed.algorithm_name.clone(),
            sha1: self.signed.algorithm.is_sha1(),
            standing,
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
                    crl_sign: usage.crl_sign(),
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
            ParsedExtension::AuthorityInfoAccess(access) => {
                self.issuer_url = access
                    .iter()
                    .filter(|entry| entry.access_method.to_id_string() == CA_ISSUERS)
                    .find_map(|entry| match &entry.access_location {
                        GeneralName::URI(url) => shown_url(url),
                        _ => None,
                    });
            }
            ParsedExtension::CertificatePolicies(_) => self.critical_policies = critical,
            _ if critical => self.unknown_critical.push(oid()),
            _ => {}
        }
    }
}

/// Erased NV memory reads as 0xFF, unwritten as 0x00.
fn is_padding(rest: &[u8]) -> bool {
    rest.iter().all(|byte| *byte == 0xff) || rest.iter().all(|byte| *byte == 0x00)
}

/// An address as people may be shown it: it comes from a certificate that nobody has vouched for yet.
fn shown_url(url: &str) -> Option<String> {
    let plain = url.len() <= MAX_URL && url.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then(|| url.to_owned())
}

fn printable(subject: String, serial: String) -> String {
    match subject.is_empty() {
        true => format!("(no subject, serial {serial})"),
        false => subject,
    }
}
