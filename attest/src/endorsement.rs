//! The endorsement key certificate and its chain.
//!
//! [`EndorsedKey`] proves that a TPM maker whom the operator trusts issued a certificate, valid now and for an
//! endorsement key, over exactly the key in question. Whether a certificate was revoked is looked at where the operator
//! put its issuer's list beside the roots; the core has no network. Each [`ChainLink`] says which it was.

mod certificate;
mod chain;
mod crl;
mod error;
mod outline;
mod roots;
mod signed;

use crate::key::EndorsementKey;
use certificate::Certificate;
use chain::Climb;

pub use error::EndorsementError;
pub use roots::Roots;

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
    /// By what algorithm it is signed: a name such as `ECDSA with sha384`, or an OID.
    pub signed_by: String,
    /// Whether that is SHA-1, of which collisions can be had. Only a certificate from the roots directory may be.
    pub sha1: bool,
    /// Why it is relied on.
    pub standing: Standing,
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
    /// The file it came from; none for the EK's own.
    pub file: Option<String>,
}

/// Why a certificate of a chain is relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The operator listed it as a root.
    Anchor,
    /// The next certificate of the chain issued it.
    Issued(Revocation),
}

/// Whether an issuer took a certificate back, as far as is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// No list of its issuer is there.
    NotLookedAt,
    /// Its issuer's list is there, valid now, and does not name it.
    NotRevoked {
        /// The list.
        file: String,
        /// Since when it is valid (Unix seconds).
        this_update: i64,
        /// Until when (Unix seconds).
        next_update: i64,
    },
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
        chain::for_endorsement(&certificate, now)?;
        let climb = chain::build(&certificate, roots, now);
        let chain = links(&certificate, &climb);
        climb.ended.map(|()| EndorsedKey { key, chain })
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

/// What can be said of a certificate alone, without the TPM that shows its key: for people who look at it by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// Whether it is itself among the roots: an authority's certificate, which endorses no key.
    pub is_listed_authority: bool,
    /// The certificate, its issuer and so on, as far as they were found.
    pub chain: Vec<ChainLink>,
    /// Whether the chain ends at an anchor and all that stands in it holds; otherwise why not.
    pub ended: Result<(), EndorsementError>,
}

/// Looks at one certificate (PEM, or DER with NV padding) at `now` (Unix seconds).
///
/// # Errors
/// It is no certificate.
pub fn look(file: &str, bytes: &[u8], roots: &Roots, now: i64) -> Result<Looked, EndorsementError> {
    let certificate = Certificate::from_pem_or_der(bytes, file)?;
    let listed = roots.listed(&certificate);
    if let Some(listed) = listed.filter(|listed| listed.anchor) {
        return Ok(Looked {
            is_listed_authority: true,
            chain: vec![listed.certificate.link(Standing::Anchor)],
            ended: chain::valid_at(&certificate, now),
        });
    }
    let climb = chain::build(&certificate, roots, now);
    let chain = links(&certificate, &climb);
    let own = match listed {
        Some(_) => chain::valid_at(&certificate, now),
        None => chain::for_endorsement(&certificate, now),
    };
    Ok(Looked {
        is_listed_authority: listed.is_some(),
        chain,
        ended: own.and(climb.ended),
    })
}

fn links(certificate: &Certificate, climb: &Climb<'_>) -> Vec<ChainLink> {
    let own = certificate.link(Standing::Issued(climb.revocation.clone()));
    let above = climb
        .path
        .iter()
        .map(|step| step.certificate.link(step.standing.clone()));
    std::iter::once(own).chain(above).collect()
}

#[cfg(test)]
mod tests;
