//! From an EK certificate to an anchor: issuers are found by their key, never by their name alone.

use super::certificate::{Certificate, ExtendedUsage};
use super::roots::{Listed, Roots};
use super::signed::Algorithm;
use super::{EndorsementError, Revocation, Standing};
use crate::key::KeyMaterial;

/// The longest maker's chain known has four authorities (ST: intermediate, root, GlobalSign's root).
const MAX_AUTHORITIES: usize = 6;
/// Duplicate, cross-signed and looping authorities multiply the ways up. Enough for every way that is right, as in
/// rustls-webpki (`verify_cert.rs`, `Budget`).
const MAX_SIGNATURE_CHECKS: usize = 100;

/// An authority of a chain.
#[derive(Debug, Clone)]
pub(super) struct Step<'r> {
    pub(super) certificate: &'r Certificate,
    pub(super) standing: Standing,
}

/// What was found on the way up, and how it ended.
#[derive(Debug)]
pub(super) struct Climb<'r> {
    /// Whether the first certificate was revoked; known once its issuer is.
    pub(super) revocation: Revocation,
    /// From the issuer upwards; where the climb failed, as far as it got.
    pub(super) path: Vec<Step<'r>>,
    pub(super) ended: Result<(), EndorsementError>,
}

/// The authorities above `certificate`, from its issuer to an anchor, all valid at `now` and entitled to issue.
pub(super) fn build<'r>(certificate: &Certificate, roots: &'r Roots, now: i64) -> Climb<'r> {
    let mut way = Way {
        roots,
        now,
        first_is_listed: roots.listed(certificate).is_some(),
        checks_left: MAX_SIGNATURE_CHECKS,
        first: Revocation::NotLookedAt,
        path: Vec::new(),
        best: None,
    };
    match way.climb(certificate) {
        Ok(()) => Climb {
            revocation: way.first,
            path: way.path,
            ended: Ok(()),
        },
        Err(Failed::ThisWay | Failed::Altogether) => way.best.unwrap_or_else(|| Climb {
            revocation: Revocation::NotLookedAt,
            path: Vec::new(),
            ended: Err(missing_issuer(certificate)),
        }),
    }
}

/// The rules for the EK's own certificate (TCG EK Credential Profile).
pub(super) fn for_endorsement(certificate: &Certificate, now: i64) -> Result<(), EndorsementError> {
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

/// The search, depth first.
struct Way<'r> {
    roots: &'r Roots,
    now: i64,
    first_is_listed: bool,
    checks_left: usize,
    first: Revocation,
    path: Vec<Step<'r>>,
    /// How the way that got farthest ended.
    best: Option<Climb<'r>>,
}

/// No way up; why is noted in [`Way::best`].
enum Failed {
    /// Another way may lead there.
    ThisWay,
    /// Nothing more is tried.
    Altogether,
}

impl<'r> Way<'r> {
    fn climb(&mut self, certificate: &Certificate) -> Result<(), Failed> {
        let subject = || certificate.subject.clone();
        let algorithm = certificate.signed.algorithm;
        // What the operator listed may be signed by SHA-1; what came from elsewhere may not.
        let listed = !self.path.is_empty() || self.first_is_listed;
        if algorithm == Algorithm::Unknown || (algorithm.is_sha1() && !listed) {
            return Err(self.stop(EndorsementError::SignatureAlgorithm {
                subject: subject(),
                algorithm: certificate.signed.algorithm_name.clone(),
            }));
        }
        if self.path.len() >= MAX_AUTHORITIES {
            return Err(self.stop(EndorsementError::TooLong {
                subject: subject(),
                limit: MAX_AUTHORITIES,
            }));
        }
        // An issuer that is named is likelier the right one; the signature decides.
        let (named, others): (Vec<&Listed>, Vec<&Listed>) = self
            .roots
            .iter()
            .filter(|listed| certificate.may_be_issued_by(&listed.certificate))
            .partition(|listed| listed.certificate.subject_der == certificate.issuer_der);
        let mut tried = false;
        for candidate in named.into_iter().chain(others) {
            let loops = |above: &Step<'_>| above.certificate.same_as(&candidate.certificate);
            if self.path.iter().any(loops) || certificate.same_as(&candidate.certificate) {
                continue;
            }
            match self.signed(certificate, &candidate.certificate)? {
                Some(issuer) => {
                    tried = true;
                    match self.step(certificate, candidate, issuer) {
                        Err(Failed::ThisWay) => {}
                        ended @ (Ok(()) | Err(Failed::Altogether)) => return ended,
                    }
                }
                None if certificate.names_by_key(&candidate.certificate) => {
                    tried = true;
                    self.stop(EndorsementError::SignatureInvalid {
                        subject: subject(),
                        issuer: candidate.certificate.subject.clone(),
                    });
                }
                None => {}
            }
        }
        if !tried {
            self.stop(missing_issuer(certificate));
        }
        Err(Failed::ThisWay)
    }

    /// The issuer, if its key signed the certificate.
    fn signed(
        &mut self,
        certificate: &Certificate,
        candidate: &'r Certificate,
    ) -> Result<Option<&'r Certificate>, Failed> {
        let Some(left) = self.checks_left.checked_sub(1) else {
            // However far another way got: this is why it was not found.
            self.best = None;
            self.stop(EndorsementError::TooMuchWork {
                subject: certificate.subject.clone(),
                limit: MAX_SIGNATURE_CHECKS,
            });
            return Err(Failed::Altogether);
        };
        self.checks_left = left;
        Ok(if certificate.signed.algorithm.is_sha1() {
            certificate.signed_by_sha1_with(candidate)
        } else {
            certificate.signed_with(candidate)
        })
    }

    fn step(
        &mut self,
        certificate: &Certificate,
        listed: &'r Listed,
        issuer: &'r Certificate,
    ) -> Result<(), Failed> {
        let entitled = for_issuing(issuer, self.path.len(), self.now)
            .and_then(|()| revoked(certificate, issuer, self.roots, self.now));
        let revocation = entitled.map_err(|error| self.stop(error))?;
        match self.path.last_mut() {
            Some(top) => top.standing = Standing::Issued(revocation),
            None => self.first = revocation,
        }
        let standing = if listed.anchor {
            Standing::Anchor
        } else {
            Standing::Issued(Revocation::NotLookedAt)
        };
        self.path.push(Step {
            certificate: issuer,
            standing,
        });
        if listed.anchor {
            return Ok(());
        }
        let climbed = self.climb(issuer);
        if climbed.is_err() {
            self.path.pop();
        }
        climbed
    }

    /// Notes how this way ended, if none got farther.
    fn stop(&mut self, error: EndorsementError) -> Failed {
        let farther = |best: &Climb<'_>| best.path.len() >= self.path.len();
        if !self.best.as_ref().is_some_and(farther) {
            self.best = Some(Climb {
                revocation: self.first.clone(),
                path: self.path.clone(),
                ended: Err(error),
            });
        }
        Failed::ThisWay
    }
}

fn missing_issuer(certificate: &Certificate) -> EndorsementError {
    EndorsementError::MissingIssuer {
        subject: certificate.subject.clone(),
        issuer: certificate.issuer.clone(),
        key_id: certificate
            .authority_key_id
            .as_ref()
            .map_or_else(|| "none".to_owned(), hex::encode),
        url: certificate.issuer_url.clone(),
    }
}

/// What the lists of its issuer say of a certificate. No list says nothing, and that is shown; one that is out of date
/// says nothing that could be relied on, and that is an error: whoever put it there wants it looked at.
fn revoked(
    certificate: &Certificate,
    issuer: &Certificate,
    roots: &Roots,
    now: i64,
) -> Result<Revocation, EndorsementError> {
    let lists: Vec<_> = roots
        .revocation_lists()
        .filter(|list| list.covers(certificate, issuer))
        .collect();
    // Also a list of yesterday is right about what it says was revoked.
    for list in &lists {
        if let Some(revoked_at) = list.revoked_at(certificate) {
            return Err(EndorsementError::Revoked {
                subject: certificate.subject.clone(),
                serial: certificate.serial.clone(),
                revoked_at,
                file: list.file.clone(),
            });
        }
    }
    let Some(newest) = lists.iter().max_by_key(|list| list.this_update) else {
        return Ok(Revocation::NotLookedAt);
    };
    if newest.this_update <= now && now <= newest.next_update {
        return Ok(Revocation::NotRevoked {
            file: newest.file.clone(),
            this_update: newest.this_update,
            next_update: newest.next_update,
        });
    }
    Err(EndorsementError::RevocationListNotValidNow {
        subject: certificate.subject.clone(),
        file: newest.file.clone(),
        this_update: newest.this_update,
        next_update: newest.next_update,
        now,
    })
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

/// Within its validity, both ends included (RFC 5280, 4.1.2.5).
pub(super) fn valid_at(certificate: &Certificate, now: i64) -> Result<(), EndorsementError> {
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
