//! The directory of TPM makers' certificates, as an operator fills it.

use x509_parser::pem::Pem;

use super::EndorsementError;
use super::certificate::{Certificate, SignedBy};

/// The certificates of TPM makers that an operator trusts.
///
/// Some are anchors, where a chain may end: a certificate that signed itself, and one whose own signature is by SHA-1.
/// The latter's signature proves nothing any more, so it is the operator who vouches for it by listing it; several
/// makers' authorities exist in no other form. Every other certificate is an intermediate: it must chain to an anchor,
/// and never stands for one.
#[derive(Debug, Clone)]
pub struct Roots {
    certificates: Vec<Listed>,
}

#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) certificate: Certificate,
    pub(super) anchor: bool,
}

impl Roots {
    /// Reads certificates, each file in PEM (one or many) or DER. The names are for messages.
    pub fn from_pem_or_der<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Roots, EndorsementError> {
        let mut roots = Roots {
            certificates: Vec::new(),
        };
        for (name, bytes) in files {
            if bytes.windows(PEM_BEGIN.len()).any(|window| window == PEM_BEGIN) {
                for pem in Pem::iter_from_buffer(bytes) {
                    let pem = pem.map_err(|error| EndorsementError::Unreadable {
                        file: name.to_owned(),
                        reason: format!("its PEM form is broken: {error}"),
                    })?;
                    if pem.label == "CERTIFICATE" {
                        roots.list(Certificate::from_der(&pem.contents, Some(name))?);
                    }
                }
            } else {
                roots.list(Certificate::from_der(bytes, Some(name))?);
            }
        }
        Ok(roots)
    }

    /// How many different certificates there are.
    pub fn len(&self) -> usize {
        self.certificates.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Listed> {
        self.certificates.iter()
    }

    fn list(&mut self, certificate: Certificate) {
        if self
            .certificates
            .iter()
            .any(|listed| listed.certificate.same_as(&certificate))
        {
            return;
        }
        let anchor =
            certificate.signed_by == SignedBy::Sha1 || certificate.signed_with(&certificate).is_some();
        self.certificates.push(Listed { certificate, anchor });
    }
}

const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
