//! The directory of TPM makers' certificates and revocation lists, as an operator fills it.

use std::collections::HashSet;

use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::EndorsementError;
use super::certificate::Certificate;
use super::crl::RevocationList;

/// The certificates of TPM makers that an operator trusts, and their revocation lists.
///
/// Some are anchors, where a chain may end:
/// - a certificate that signed itself;
/// - one that is signed by SHA-1, may have authorities below it, and whose issuer is not listed. Its signature proves
///   nothing any more, so demanding its issuer would prove nothing either: the operator vouches for it by listing it.
///   Infineon's first root exists in no other form.
///
/// Every other certificate is an intermediate: it must chain to an anchor, and never stands for one.
#[derive(Debug, Clone)]
pub struct Roots {
    certificates: Vec<Listed>,
    lists: Vec<RevocationList>,
}

#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) certificate: Certificate,
    pub(super) anchor: bool,
}

impl Roots {
    /// Reads certificates and revocation lists, each file in PEM (one or many) or DER. The names are for messages.
    pub fn from_pem_or_der<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Roots, EndorsementError> {
        let mut reading = Reading::default();
        for (name, bytes) in files {
            if is_pem(bytes) {
                for pem in Pem::iter_from_buffer(bytes) {
                    let pem = pem.map_err(|error| broken_pem(name, &error.to_string()))?;
                    match pem.label.as_str() {
                        "CERTIFICATE" => {
                            reading.certificate(Certificate::from_der(&pem.contents, Some(name))?)
                        }
                        "X509 CRL" => reading.lists.push(RevocationList::from_der(&pem.contents, name)?),
                        _ => {}
                    }
                }
            } else if is_list(bytes) {
                reading.lists.push(RevocationList::from_der(bytes, name)?);
            } else {
                reading.certificate(Certificate::from_der(bytes, Some(name))?);
            }
        }
        reading.finish()
    }

    /// How many different certificates there are.
    pub fn len(&self) -> usize {
        self.certificates.len()
    }

    /// Whether there is no certificate.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// How many revocation lists there are.
    pub fn lists(&self) -> usize {
        self.lists.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Listed> {
        self.certificates.iter()
    }

    pub(super) fn revocation_lists(&self) -> impl Iterator<Item = &RevocationList> {
        self.lists.iter()
    }

    /// The listed certificate that is this one, byte for byte.
    pub(super) fn listed(&self, certificate: &Certificate) -> Option<&Listed> {
        self.certificates
            .iter()
            .find(|listed| listed.certificate.same_as(certificate))
    }
}

#[derive(Default)]
struct Reading {
    certificates: Vec<Certificate>,
    seen: HashSet<[u8; 32]>,
    lists: Vec<RevocationList>,
}

impl Reading {
    /// One certificate counts once, in however many files it stands.
    fn certificate(&mut self, certificate: Certificate) {
        if self.seen.insert(certificate.sha256) {
            self.certificates.push(certificate);
        }
    }

    fn finish(self) -> Result<Roots, EndorsementError> {
        let all = &self.certificates;
        let lists = self
            .lists
            .into_iter()
            .map(|list| list.signed_by(all.iter()))
            .collect::<Result<_, _>>()?;
        let anchors: Vec<bool> = all
            .iter()
            .map(|certificate| is_anchor(certificate, all))
            .collect();
        let certificates = self.certificates.into_iter().zip(anchors);
        Ok(Roots {
            certificates: certificates
                .map(|(certificate, anchor)| Listed { certificate, anchor })
                .collect(),
            lists,
        })
    }
}

fn is_anchor(certificate: &Certificate, all: &[Certificate]) -> bool {
    if certificate.signed_with(certificate).is_some() {
        return true;
    }
    if !certificate.signed.algorithm.is_sha1() {
        return false;
    }
    let issuer_listed = || {
        all.iter().any(|other| {
            !other.same_as(certificate)
                && certificate.may_be_issued_by(other)
                && certificate.signed_by_sha1_with(other).is_some()
        })
    };
    certificate.names_itself() || (certificate.path_len != Some(0) && !issuer_listed())
}

pub(super) fn broken_pem(name: &str, reason: &str) -> EndorsementError {
    EndorsementError::Unreadable {
        file: name.to_owned(),
        offset: 0,
        reason: format!("its PEM form is broken: {reason}"),
    }
}

/// Whether the bytes are PEM text: text may stand around the blocks.
pub(super) fn is_pem(bytes: &[u8]) -> bool {
    [&b"-----BEGIN CERTIFICATE-----"[..], b"-----BEGIN X509 CRL-----"]
        .iter()
        .any(|begin| bytes.windows(begin.len()).any(|window| window == *begin))
}

/// Whether the bytes have the outline of a revocation list and not that of a certificate.
fn is_list(bytes: &[u8]) -> bool {
    Certificate::from_der(bytes, None).is_err() && CertificateRevocationList::from_der(bytes).is_ok()
}
