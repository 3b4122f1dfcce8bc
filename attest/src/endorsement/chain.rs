//! From an EK certificate to an anchor: issuers are found by their key, never by their name alone.

use super::EndorsementError;
use super::certificate::{Certificate, ExtendedUsage, SignedBy};
use super::roots::{Listed, Roots};
use crate::key::KeyMaterial;

/// The longest maker's chain known has four authorities (ST: intermediate, root, GlobalSign's root).
const MAX_AUTHORITIES: usize = 6;

/// The authorities above `certificate`, from its issuer to an anchor, all valid at `now` and entitled to issue.
pub(super) fn build<'r>(
    certificate: &Certificate,
    roots: &'r Roots,
    now: i64,
) -> Result<Vec<&'r Certificate>, EndorsementError> {
    for_endorsement(certificate, now)?;
    let mut path = Vec::new();
    climb(certificate, roots, now, &mut path)?;
    Ok(path)
}

/// The rules for the EK's own certificate (TCG EK Credential Profile).
fn for_endorsement(certificate: &Certificate, now: i64) -> Result<(), EndorsementError> {
    let subject = || certificate.subject.clone();
    if certificate.is_authority {
        return Err(EndorsementError::IsAuthority { subject: subject() });
    }
    valid_at(certificate, now)?;
    if let Some(oid) = certificate.unknown_critical.first() {
        return Err(EndorsementError::CriticalExtension {
            subject: subject(),
            oid: oid.clone(),
        });
    }
    if certificate.critical_policies {
        return Err(EndorsementError::CriticalExtension {
            subject: subject(),
            oid: "2.5.29.32".to_owned(),
        });
    }
    if certificate.extended_usage != ExtendedUsage::Endorsement {
        return Err(EndorsementError::Usage {
            subject: subject(),
            usage: "the extended key usage of an EK certificate (2.23.133.8.1)",
        });
    }
    let usage = certificate.key_usage;
    match certificate.key {
        KeyMaterial::Rsa { .. } if !usage.is_some_and(|usage| usage.key_encipherment) => {
            Err(EndorsementError::Usage {
                subject: subject(),
                usage: "the key usage keyEncipherment",
            })
        }
        KeyMaterial::Ec { .. } if !usage.is_some_and(|usage| usage.key_agreement) => {
            Err(EndorsementError::Usage {
                subject: subject(),
                usage: "the key usage keyAgreement",
            })
        }
        KeyMaterial::Rsa { .. } | KeyMaterial::Ec { .. } => Ok(()),
    }
}

fn climb<'r>(
    certificate: &Certificate,
    roots: &'r Roots,
    now: i64,
    path: &mut Vec<&'r Certificate>,
) -> Result<(), EndorsementError> {
    let subject = || certificate.subject.clone();
    match certificate.signed_by {
        SignedBy::Rsa(_) | SignedBy::Ecdsa(_) => {}
        SignedBy::Sha1 | SignedBy::Unknown => {
            return Err(EndorsementError::SignatureAlgorithm {
                subject: subject(),
                algorithm: certificate.signed_by_oid.clone(),
            });
        }
    }
    if path.len() >= MAX_AUTHORITIES {
        return Err(EndorsementError::TooLong {
            subject: subject(),
            limit: MAX_AUTHORITIES,
        });
    }
    // What stopped the most promising candidate.
    let mut stopped = None;
    for listed in roots
        .iter()
        .filter(|listed| may_be_issuer(certificate, &listed.certificate))
    {
        let Some(issuer) = certificate.signed_with(&listed.certificate) else {
            if certificate.authority_key_id.is_some()
                && listed.certificate.key_id == certificate.authority_key_id
            {
                let issuer = listed.certificate.subject.clone();
                stopped.get_or_insert(EndorsementError::SignatureInvalid {
                    subject: subject(),
                    issuer,
                });
            }
            continue;
        };
        if path.iter().any(|above| above.same_as(issuer)) {
            continue;
        }
        match step(listed, issuer, roots, now, path) {
            Ok(()) => return Ok(()),
            Err(error) => stopped = Some(error),
        }
    }
    Err(stopped.unwrap_or_else(|| EndorsementError::MissingIssuer {
        subject: subject(),
        issuer: certificate.issuer.clone(),
        key_id: certificate
            .authority_key_id
            .as_ref()
            .map_or_else(|| "none".to_owned(), hex::encode),
    }))
}

fn step<'r>(
    listed: &'r Listed,
    issuer: &'r Certificate,
    roots: &'r Roots,
    now: i64,
    path: &mut Vec<&'r Certificate>,
) -> Result<(), EndorsementError> {
    for_issuing(issuer, path.len(), now)?;
    path.push(issuer);
    if listed.anchor {
        return Ok(());
    }
    let climbed = climb(issuer, roots, now, path);
    if climbed.is_err() {
        path.pop();
    }
    climbed
}

/// By key identifiers where both certificates have them; otherwise every authority is tried. The signature decides.
fn may_be_issuer(certificate: &Certificate, candidate: &Certificate) -> bool {
    match (&certificate.authority_key_id, &candidate.key_id) {
        (Some(wanted), Some(id)) => wanted == id,
        (Some(_), None) | (None, Some(_)) | (None, None) => true,
    }
}

/// The rules for an authority that has `below` other authorities between itself and the EK (RFC 5280, 6.1.4).
fn for_issuing(issuer: &Certificate, below: usize, now: i64) -> Result<(), EndorsementError> {
    let refused = |reason| EndorsementError::NotAuthority {
        subject: issuer.subject.clone(),
        reason,
    };
    if !issuer.is_authority {
        return Err(refused(
            "its basic constraints do not make it a certificate authority",
        ));
    }
    if issuer.key_usage.is_some_and(|usage| !usage.key_cert_sign) {
        return Err(refused("its key usage does not include keyCertSign"));
    }
    if issuer.extended_usage == ExtendedUsage::Other {
        return Err(refused(
            "its extended key usage does not include EK certificates (2.23.133.8.1)",
        ));
    }
    if issuer
        .path_len
        .is_some_and(|limit| usize::try_from(limit).is_ok_and(|limit| below > limit))
    {
        return Err(refused(
            "its path length constraint allows fewer authorities below it",
        ));
    }
    // Certificate policies are critical in Infineon's, ST's and Intel's authorities. They say by which of the maker's
    // rules a certificate was issued, and narrow nothing for a verifier that asks for no policy (RFC 5280, 6.1.1 (d)).
    if let Some(oid) = issuer.unknown_critical.first() {
        return Err(EndorsementError::CriticalExtension {
            subject: issuer.subject.clone(),
            oid: oid.clone(),
        });
    }
    valid_at(issuer, now)
}

fn valid_at(certificate: &Certificate, now: i64) -> Result<(), EndorsementError> {
    if certificate.not_before <= now && now <= certificate.not_after {
        return Ok(());
    }
    Err(EndorsementError::NotValidNow {
        subject: certificate.subject.clone(),
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        now,
    })
}
