//! Certificate revocation lists, put beside the roots by the operator: none is ever fetched.
//!
//! A list counts only if an authority among the roots signed it, and only for certificates of that authority's key. Delta
//! and indirect lists are refused by name: they say something only together with what is not here.

use std::collections::BTreeMap;

use x509_parser::extensions::{IssuingDistributionPoint, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::{CertificateRevocationList, RevokedCertificate};

use super::EndorsementError;
use super::certificate::Certificate;
use super::signed::{Algorithm, Signed, frame_is_canonical};
use crate::key::{KeyMaterial, strip_zeros};

/// Above any maker's list: 100,000 entries take about 4 MB.
const MAX_LIST: usize = 8 * 1024 * 1024;

/// A list that parsed; [`RevocationList::signed_by`] proves whose it is.
#[derive(Debug, Clone)]
pub(super) struct RevocationList {
    pub(super) file: String,
    pub(super) this_update: i64,
    pub(super) next_update: i64,
    /// The issuer's name in DER, and its key identifier where the list has one.
    issuer: Vec<u8>,
    issuer_text: String,
    authority_key_id: Option<Vec<u8>>,
    scope: Scope,
    /// Serial number to time of revocation.
    revoked: BTreeMap<Vec<u8>, i64>,
    signed: Signed,
    /// The keys of the listed authorities that signed it.
    signers: Vec<KeyMaterial>,
}

/// Which of its issuer's certificates a list speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    EndEntities,
    Authorities,
}

impl RevocationList {
    /// Reads one list in DER; bytes behind it are refused.
    pub(super) fn from_der(der: &[u8], file: &str) -> Result<RevocationList, EndorsementError> {
        let refused = |reason: String| EndorsementError::RevocationList {
            file: file.to_owned(),
            reason,
        };
        if der.len() > MAX_LIST {
            return Err(refused(format!("{} bytes are more than any list has", der.len())));
        }
        let (rest, list) =
            CertificateRevocationList::from_der(der).map_err(|error| refused(error.to_string()))?;
        if !rest.is_empty() {
            return Err(refused(format!("{} bytes follow it", rest.len())));
        }
        if list.tbs_cert_list.signature != list.signature_algorithm {
            return Err(refused("it names two different signature algorithms".to_owned()));
        }
        if !frame_is_canonical(list.as_raw(), list.tbs_cert_list.as_ref(), &list.signature_value) {
            return Err(refused(
                "what stands around its signed part is not canonical DER".to_owned(),
            ));
        }
        let Some(next_update) = list.next_update() else {
            return Err(refused(
                "it does not say when the next one is due (nextUpdate, RFC 5280, 5.1.2.5)".to_owned(),
            ));
        };
        let (scope, authority_key_id) = read_extensions(&list).map_err(refused)?;
        let mut revoked = BTreeMap::new();
        for entry in list.iter_revoked_certificates() {
            entry_is_plain(entry).map_err(refused)?;
            revoked.insert(
                strip_zeros(entry.raw_serial()).to_vec(),
                entry.revocation_date.timestamp(),
            );
        }
        let signed = Signed::new(
            &list.signature_algorithm,
            list.tbs_cert_list.as_ref(),
            &list.signature_value.data,
        );
        if signed.algorithm.is_sha1() || signed.algorithm == Algorithm::Unknown {
            return Err(refused(format!(
                "it is signed by {}, which proves nothing",
                signed.algorithm_name
            )));
        }
        Ok(RevocationList {
            file: file.to_owned(),
            this_update: list.last_update().timestamp(),
            next_update: next_update.timestamp(),
            issuer: list.issuer().as_raw().to_vec(),
            issuer_text: list.issuer().to_string(),
            authority_key_id,
            scope,
            revoked,
            signed,
            signers: Vec::new(),
        })
    }

    /// Goes on only if one of the authorities signed the list, and may sign lists.
    pub(super) fn signed_by<'c>(
        mut self,
        authorities: impl Iterator<Item = &'c Certificate>,
    ) -> Result<RevocationList, EndorsementError> {
        let candidates = authorities.filter(|authority| self.may_be_from(authority));
        let signers: Vec<KeyMaterial> = candidates
            .filter(|authority| self.signed.open(&authority.key).is_some())
            .map(|authority| authority.key.clone())
            .collect();
        if signers.is_empty() {
            return Err(EndorsementError::RevocationList {
                reason: format!(
                    "no certificate authority among the roots that may sign lists signed it; it names \"{}\" (authority key identifier {})",
                    self.issuer_text,
                    self.authority_key_id
                        .as_ref()
                        .map_or_else(|| "none".to_owned(), hex::encode)
                ),
                file: self.file,
            });
        }
        self.signers = signers;
        Ok(self)
    }

    /// Whether the list speaks of this certificate, which `issuer` issued.
    pub(super) fn covers(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        let in_scope = match self.scope {
            Scope::All => true,
            Scope::EndEntities => !certificate.is_authority,
            Scope::Authorities => certificate.is_authority,
        };
        in_scope && self.signers.contains(&issuer.key)
    }

    /// When the certificate was revoked, if it was.
    pub(super) fn revoked_at(&self, certificate: &Certificate) -> Option<i64> {
        self.revoked.get(certificate.raw_serial.as_slice()).copied()
    }

    fn may_be_from(&self, authority: &Certificate) -> bool {
        let by_key = match (&self.authority_key_id, &authority.key_id) {
            (Some(wanted), Some(id)) => wanted == id,
            (Some(_), None) | (None, Some(_)) | (None, None) => self.issuer == authority.subject_der,
        };
        // RFC 5280, 4.2.1.3: where the key usage is there, it must include cRLSign.
        by_key && authority.key_usage.is_none_or(|usage| usage.crl_sign)
    }
}

fn read_extensions(list: &CertificateRevocationList<'_>) -> Result<(Scope, Option<Vec<u8>>), String> {
    let (mut scope, mut authority_key_id) = (Scope::All, None);
    for extension in list.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(authority) => {
                authority_key_id = authority.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            ParsedExtension::IssuingDistributionPoint(point) => scope = scope_of(point)?,
            ParsedExtension::CRLNumber(_) => {}
            _ if extension.oid.to_id_string() == DELTA_INDICATOR => {
                return Err(
                    "it is a delta list, which says only what changed; put the complete list there"
                        .to_owned(),
                );
            }
            _ if extension.critical => {
                return Err(format!(
                    "it has the critical extension {}, which is not known here",
                    extension.oid
                ));
            }
            _ => {}
        }
    }
    Ok((scope, authority_key_id))
}

/// deltaCRLIndicator (RFC 5280, 5.2.4).
const DELTA_INDICATOR: &str = "2.5.29.27";

fn scope_of(point: &IssuingDistributionPoint<'_>) -> Result<Scope, String> {
    let partial = "which says nothing of all certificates; put the complete list there";
    if point.indirect_crl {
        return Err(format!(
            "it is an indirect list, with entries of other issuers, {partial}"
        ));
    }
    if point.only_some_reasons.is_some() {
        return Err(format!(
            "it is a list for some reasons of revocation only, {partial}"
        ));
    }
    if point.only_contains_attribute_certs {
        return Err(format!("it is a list of attribute certificates only, {partial}"));
    }
    match (point.only_contains_user_certs, point.only_contains_ca_certs) {
        (false, false) => Ok(Scope::All),
        (true, false) => Ok(Scope::EndEntities),
        (false, true) => Ok(Scope::Authorities),
        (true, true) => Err("its scope contradicts itself".to_owned()),
    }
}

/// An entry may have a reason and a date. One that is critical beyond that belongs to an indirect list (RFC 5280, 5.3.3).
fn entry_is_plain(entry: &RevokedCertificate<'_>) -> Result<(), String> {
    match entry.extensions().iter().find(|extension| extension.critical) {
        None => Ok(()),
        Some(extension) => Err(format!(
            "its entry for serial {} has the critical extension {}: an indirect list, or one not known here",
            entry.raw_serial_as_string(),
            extension.oid
        )),
    }
}
