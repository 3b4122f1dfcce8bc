//! The endorsement key certificate and its chain.
//!
//! [`EndorsedKey`] proves that a TPM maker whom the operator trusts issued a certificate, valid now and for an
//! endorsement key, over exactly the key in question. Revocation is not looked at: makers publish lists seldom, and the
//! core has no network.

mod certificate;
mod chain;
mod roots;

use thiserror::Error;

use crate::key::{EndorsementKey, KeyError};
use certificate::Certificate;

pub use roots::Roots;

/// Why an endorsement key is not endorsed by a TPM maker.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndorsementError {
    /// The EK's own public area.
    #[error("the endorsement key's public area: {0}")]
    Key(#[from] KeyError),
    /// A file among the roots, or the EK's certificate, is no certificate.
    #[error("{file} is no X.509 certificate: {reason}")]
    Unreadable {
        /// The file, or what the agent sent.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file among the roots whose key is of a kind that is not known here.
    #[error("the certificate of {subject} has a key that is neither RSA nor EC on P-256 or P-384")]
    UnknownKey {
        /// Whom it names.
        subject: String,
    },
    /// The certificate is not over the key that the TPM shows.
    #[error("the EK certificate of {subject} certifies another key than the one that the TPM shows")]
    OtherKey {
        /// Whom it names.
        subject: String,
    },
    /// Before or after its time.
    #[error(
        "the certificate of {subject} is valid from {not_before} to {not_after} (Unix seconds), and it is {now}"
    )]
    NotValidNow {
        /// Whom it names.
        subject: String,
        /// From.
        not_before: i64,
        /// To.
        not_after: i64,
        /// The time it was held against.
        now: i64,
    },
    /// The EK's certificate is a CA's.
    #[error("the EK certificate of {subject} is that of a certificate authority")]
    IsAuthority {
        /// Whom it names.
        subject: String,
    },
    /// A certificate that issued another is not a CA's, may not sign certificates, or stands too high in the chain.
    #[error("{subject} must not issue this certificate: {reason}")]
    NotAuthority {
        /// Whom it names.
        subject: String,
        /// Which rule says so.
        reason: &'static str,
    },
    /// The EK's certificate does not allow what an endorsement key is for.
    #[error("the EK certificate of {subject} lacks {usage}")]
    Usage {
        /// Whom it names.
        subject: String,
        /// What is missing.
        usage: &'static str,
    },
    /// A critical extension that nothing here understands.
    #[error("the certificate of {subject} has the critical extension {oid}, which is not known here")]
    CriticalExtension {
        /// Whom it names.
        subject: String,
        /// Which.
        oid: String,
    },
    /// Signed by SHA-1 or by an algorithm that is not known here.
    #[error(
        "the certificate of {subject} is signed by {algorithm}, which proves nothing; a maker's CA signed so is accepted only as an anchor from the roots directory"
    )]
    SignatureAlgorithm {
        /// Whom it names.
        subject: String,
        /// The algorithm, as an OID.
        algorithm: String,
    },
    /// An issuer has the right key identifier, but its key did not sign.
    #[error("the certificate of {subject} names {issuer} by key, but that key did not sign it")]
    SignatureInvalid {
        /// Whom it names.
        subject: String,
        /// Whose key it names.
        issuer: String,
    },
    /// The issuer's certificate is not in the roots directory.
    #[error(
        "the certificate of {subject} was issued by \"{issuer}\" (authority key identifier {key_id}), and no such certificate is among the roots; if you trust this TPM maker, put its certificate there"
    )]
    MissingIssuer {
        /// Whom the certificate names that lacks its issuer.
        subject: String,
        /// Whom it says issued it.
        issuer: String,
        /// The issuer's key identifier, hex, or "none".
        key_id: String,
    },
    /// More certificates than any maker's chain has.
    #[error("the certificate chain above {subject} is longer than {limit}")]
    TooLong {
        /// Where it was given up.
        subject: String,
        /// The bound.
        limit: usize,
    },
}

/// One certificate of a chain, for people to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainLink {
    /// Whom it names; an EK's is often empty.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Its serial number, hex.
    pub serial: String,
    /// First second of its validity (Unix).
    pub not_before: i64,
    /// Last second of its validity (Unix).
    pub not_after: i64,
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
    /// The file it came from; none for the EK's own.
    pub file: Option<String>,
}

/// An endorsement key whose certificate chains to a TPM maker that the operator trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndorsedKey {
    key: EndorsementKey,
    chain: Vec<ChainLink>,
}

impl EndorsedKey {
    /// Holds `certificate` (DER, NV padding allowed) and `ek_public` (TPM2B_PUBLIC) against each other and against the
    /// roots, at `now` (Unix seconds).
    pub fn open(
        certificate: &[u8],
        ek_public: &[u8],
        roots: &Roots,
        now: i64,
    ) -> Result<EndorsedKey, EndorsementError> {
        let key = EndorsementKey::from_public(ek_public)?;
        let certificate = Certificate::from_der(certificate, None)?;
        if certificate.key != *key.material() {
            return Err(EndorsementError::OtherKey {
                subject: certificate.subject,
            });
        }
        let issuers = chain::build(&certificate, roots, now)?;
        let mut links = vec![certificate.link()];
        links.extend(issuers.into_iter().map(Certificate::link));
        Ok(EndorsedKey { key, chain: links })
    }

    /// The key.
    pub fn key(&self) -> &EndorsementKey {
        &self.key
    }

    /// The chain, from the EK's certificate to the anchor.
    pub fn chain(&self) -> &[ChainLink] {
        &self.chain
    }
}

#[cfg(test)]
mod tests;
