//! TPM public keys: what they say of themselves, and which may attest or endorse.
//!
//! [`AttestationKey`] and [`EndorsementKey`] prove that a public area obeys the rules for its purpose. That the key lives
//! in a TPM, and in which, is proven by [`crate::endorsement`] and [`crate::credential`].

mod material;
mod public;
mod roca;
#[cfg(test)]
pub(crate) mod vectors;

use std::fmt;

use aws_lc_rs::signature::ParsedPublicKey;
use thiserror::Error;

use crate::pcr::{HashAlg, sha256};
use crate::reader::ReadError;

pub use material::{Curve, KeyMaterial, MaterialError};
pub(crate) use material::{der, der_integer, ecdsa, pad_left, rsassa, strip_zeros};
use public::alg_name;
pub use public::{Attributes, PublicArea, Scheme, Symmetric};

/// TPM_RH_ENDORSEMENT: the handle, and so the Name, of the endorsement hierarchy.
const RH_ENDORSEMENT: u32 = 0x4000_000B;

/// Why a public area is not the key that it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The bytes do not parse.
    #[error("the public key cannot be read: {0}")]
    Read(#[from] ReadError),
    /// The inner length of a TPM2B_PUBLIC is not that of what follows.
    #[error("at byte {offset}: the public key declares {declared} bytes, but {found} follow")]
    Length {
        /// Where the length stands.
        offset: usize,
        /// As declared.
        declared: usize,
        /// As found.
        found: usize,
    },
    /// An algorithm, curve, mode or scheme that is not known here.
    #[error(
        "at byte {offset}: the public key names the {what} {} ({found:#06x}), which is not accepted here",
        alg_name(what, *.found)
    )]
    Unknown {
        /// Where it stands.
        offset: usize,
        /// What it stands for.
        what: &'static str,
        /// Its identifier.
        found: u16,
    },
    /// The key itself is weak or no key at all.
    #[error("{0}")]
    Material(#[from] MaterialError),
    /// An attribute that must be set is clear.
    #[error("{purpose} must be {attribute}, and this one is not")]
    AttributeClear {
        /// Which key it should be.
        purpose: Purpose,
        /// The attribute's name in the TPM specification.
        attribute: &'static str,
    },
    /// An attribute that must be clear is set.
    #[error("{purpose} must not be {attribute}, and this one is")]
    AttributeSet {
        /// Which key it should be.
        purpose: Purpose,
        /// The attribute's name in the TPM specification.
        attribute: &'static str,
    },
    /// The scheme is none, or not one of those allowed.
    #[error("{purpose} cannot have {found}")]
    Scheme {
        /// Which key it should be.
        purpose: Purpose,
        /// What it has.
        found: String,
    },
    /// A Name that was computed is not the one that was expected.
    #[error("the public key's Name is {found}, not {expected}")]
    Name {
        /// As expected.
        expected: Name,
        /// As computed from the public area.
        found: Name,
    },
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To sign quotes.
    Attestation,
    /// To be the TPM's identity.
    Endorsement,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Purpose::Attestation => "an attestation key",
            Purpose::Endorsement => "an endorsement key",
        })
    }
}

/// A key's Name: the hash algorithm and the hash of its whole public area. Two keys with one Name are one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// A name as received, of which nothing is known yet.
    pub fn from_bytes(bytes: &[u8]) -> Name {
        Name(bytes.to_vec())
    }

    /// The bytes as a TPM writes them: algorithm, then digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn of(alg: HashAlg, parts: &[&[u8]]) -> Name {
        let mut bytes = alg.id().to_be_bytes().to_vec();
        bytes.extend(alg.digest_parts(parts));
        Name(bytes)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

/// A key whose public area obeys the rules of an attestation key: fixed to its TPM, born there, restricted to sign only
/// what the TPM itself made, unable to decrypt, strong, with one scheme and hash.
///
/// The rules say what the key is *if* it lives in a TPM; that it does is proven by [`crate::credential`].
///
/// Made once for each host and kept: the numbers are parsed for the signature library here, and not for every quote.
#[derive(Debug, Clone)]
pub struct AttestationKey {
    public: Vec<u8>,
    digest: [u8; 32],
    area: PublicArea,
    name: Name,
    scheme: Scheme,
    verifier: ParsedPublicKey,
}

/// Everything else is made from the public area.
impl PartialEq for AttestationKey {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl Eq for AttestationKey {}

impl AttestationKey {
    /// Reads a TPM2B_PUBLIC and holds it to the rules.
    pub fn from_public(tpm2b_public: &[u8]) -> Result<AttestationKey, KeyError> {
        AttestationKey::from_area(PublicArea::parse(tpm2b_public)?, tpm2b_public.to_vec())
    }

    /// Reads a bare TPMT_PUBLIC and holds it to the rules.
    pub fn from_bare_public(tpmt_public: &[u8]) -> Result<AttestationKey, KeyError> {
        let area = PublicArea::parse_bare(tpmt_public)?;
        let length = u16::try_from(tpmt_public.len()).unwrap_or(u16::MAX);
        AttestationKey::from_area(area, [&length.to_be_bytes(), tpmt_public].concat())
    }

    fn from_area(area: PublicArea, public: Vec<u8>) -> Result<AttestationKey, KeyError> {
        let purpose = Purpose::Attestation;
        fixed(&area, purpose)?;
        must_be_set(&area, purpose, Attributes::SIGN, "a signing key")?;
        must_be_clear(&area, purpose, Attributes::DECRYPT, "a decryption key")?;
        if let Some(symmetric) = area.symmetric {
            return Err(KeyError::Scheme {
                purpose,
                found: symmetric.to_string(),
            });
        }
        let scheme = match (&area.material, area.scheme) {
            (KeyMaterial::Rsa { .. }, Some(scheme @ Scheme::Rsassa(hash))) if hash != HashAlg::Sha1 => scheme,
            (KeyMaterial::Ec { .. }, Some(scheme @ Scheme::Ecdsa(hash))) if hash != HashAlg::Sha1 => scheme,
            (_, Some(other)) => {
                return Err(KeyError::Scheme {
                    purpose,
                    found: other.to_string(),
                });
            }
            (_, None) => {
                return Err(KeyError::Scheme {
                    purpose,
                    found: "no signing scheme".to_owned(),
                });
            }
        };
        sound_name(&area, purpose)?;
        area.material.strong()?;
        let verifier = area.material.parsed(scheme.hash())?;
        Ok(AttestationKey {
            digest: sha256(&[&public]),
            public,
            name: area.name(),
            area,
            scheme,
            verifier,
        })
    }

    /// Goes on only if the key's computed Name is `expected`.
    pub fn named(self, expected: &Name) -> Result<AttestationKey, KeyError> {
        if self.name == *expected {
            return Ok(self);
        }
        Err(KeyError::Name {
            expected: expected.clone(),
            found: self.name,
        })
    }

    /// The TPM2B_PUBLIC as it was read.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// SHA-256 of the TPM2B_PUBLIC: what is remembered of the key.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// The Name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The key's numbers.
    pub fn material(&self) -> &KeyMaterial {
        &self.area.material
    }

    /// Verifies a signature in the form of X.509 by the key's own scheme and hash; the message comes back if it does.
    pub(crate) fn open<'m>(&self, message: &'m [u8], signature: &[u8]) -> Option<&'m [u8]> {
        let verified = self.verifier.verify_sig(message, signature);
        verified.ok().map(|()| message)
    }

    /// The qualified name of this key as a child of `parent`, itself a primary key of the endorsement hierarchy: what a
    /// quote by this key must carry as its qualifiedSigner.
    pub fn qualified_name_under(&self, parent: &EndorsementKey) -> Name {
        let hierarchy = RH_ENDORSEMENT.to_be_bytes();
        let parent = Name::of(parent.area.name_alg, &[&hierarchy, parent.name.as_bytes()]);
        Name::of(self.area.name_alg, &[parent.as_bytes(), self.name.as_bytes()])
    }
}

/// A key whose public area obeys the rules of an endorsement key: a restricted decryption key fixed to its TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndorsementKey {
    public: Vec<u8>,
    area: PublicArea,
    name: Name,
    symmetric: Symmetric,
}

impl EndorsementKey {
    /// Reads a TPM2B_PUBLIC and holds it to the rules.
    pub fn from_public(tpm2b_public: &[u8]) -> Result<EndorsementKey, KeyError> {
        let area = PublicArea::parse(tpm2b_public)?;
        let purpose = Purpose::Endorsement;
        fixed(&area, purpose)?;
        must_be_set(&area, purpose, Attributes::DECRYPT, "a decryption key")?;
        must_be_clear(&area, purpose, Attributes::SIGN, "a signing key")?;
        if let Some(scheme) = area.scheme {
            return Err(KeyError::Scheme {
                purpose,
                found: scheme.to_string(),
            });
        }
        let Some(symmetric) = area.symmetric else {
            return Err(KeyError::Scheme {
                purpose,
                found: "no symmetric algorithm".to_owned(),
            });
        };
        sound_name(&area, purpose)?;
        area.material.strong()?;
        Ok(EndorsementKey {
            public: tpm2b_public.to_vec(),
            name: area.name(),
            area,
            symmetric,
        })
    }

    /// The TPM2B_PUBLIC as it was read.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The Name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The key's numbers.
    pub fn material(&self) -> &KeyMaterial {
        &self.area.material
    }

    pub(crate) fn name_alg(&self) -> HashAlg {
        self.area.name_alg
    }

    pub(crate) fn symmetric(&self) -> Symmetric {
        self.symmetric
    }
}

/// The attributes that both kinds share: the key cannot leave its TPM, did not come from outside, and is restricted.
fn fixed(area: &PublicArea, purpose: Purpose) -> Result<(), KeyError> {
    must_be_set(area, purpose, Attributes::FIXED_TPM, "fixedTPM")?;
    must_be_set(area, purpose, Attributes::FIXED_PARENT, "fixedParent")?;
    must_be_set(
        area,
        purpose,
        Attributes::SENSITIVE_DATA_ORIGIN,
        "sensitiveDataOrigin",
    )?;
    must_be_set(area, purpose, Attributes::RESTRICTED, "restricted")
}

/// A Name is what a TPM activates a credential for: whoever has two public areas with one Name shows the TPM one of them
/// and us the other.
fn sound_name(area: &PublicArea, purpose: Purpose) -> Result<(), KeyError> {
    if area.name_alg != HashAlg::Sha1 {
        return Ok(());
    }
    Err(KeyError::Scheme {
        purpose,
        found: "a Name by sha1".to_owned(),
    })
}

fn must_be_set(
    area: &PublicArea,
    purpose: Purpose,
    bit: Attributes,
    attribute: &'static str,
) -> Result<(), KeyError> {
    if area.attributes.contains(bit) {
        return Ok(());
    }
    Err(KeyError::AttributeClear { purpose, attribute })
}

fn must_be_clear(
    area: &PublicArea,
    purpose: Purpose,
    bit: Attributes,
    attribute: &'static str,
) -> Result<(), KeyError> {
    if area.attributes.contains(bit) {
        return Err(KeyError::AttributeSet { purpose, attribute });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
