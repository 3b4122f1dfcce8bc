//! The numbers of a public key: their strength, their SubjectPublicKeyInfo, and verification with them.

use aws_lc_rs::signature as aws;
use aws_lc_rs::signature::{ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};
use thiserror::Error;
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::roca;
use crate::pcr::HashAlg;

/// The curves whose keys are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    /// The curve of a TCG identifier (TPM_ECC_CURVE).
    pub fn from_id(id: u16) -> Option<Curve> {
        match id {
            0x0003 => Some(Curve::P256),
            0x0004 => Some(Curve::P384),
            0x0005 => Some(Curve::P521),
            _ => None,
        }
    }

    /// How many bytes a coordinate has.
    pub fn field_len(self) -> usize {
        match self {
            Curve::P256 => 32,
            Curve::P384 => 48,
            Curve::P521 => 66,
        }
    }

    /// The order of the group, big-endian (SEC 2).
    pub(crate) fn order(self) -> &'static [u8] {
        match self {
            Curve::P256 => &[
                0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63,
                0x25, 0x51,
            ],
            Curve::P384 => &[
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37,
                0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc,
                0xc5, 0x29, 0x73,
            ],
            Curve::P521 => &[
                0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                0xff, 0xff, 0xff, 0xfa, 0x51, 0x86, 0x87, 0x83, 0xbf, 0x2f, 0x96, 0x6b, 0x7f, 0xcc, 0x01,
                0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b, 0xb5, 0xc9, 0xb8, 0x89, 0x9c, 0x47, 0xae, 0xbb, 0x6f,
                0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09,
            ],
        }
    }

    /// The AlgorithmIdentifier of a key on this curve, in DER (RFC 5480).
    fn algorithm_identifier(self) -> &'static [u8] {
        match self {
            Curve::P256 => &[
                0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
                0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
            ],
            Curve::P384 => &[
                0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
                0x04, 0x00, 0x22,
            ],
            Curve::P521 => &[
                0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
                0x04, 0x00, 0x23,
            ],
        }
    }
}

/// rsaEncryption with NULL parameters (RFC 3279).
const RSA_ENCRYPTION: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// Smallest RSA modulus, in bytes: 2048 bits (NIST SP 800-131A).
const MIN_MODULUS: usize = 256;
/// Smallest RSA exponent (FIPS 186-5, A.1.1).
const MIN_EXPONENT: u32 = 65537;

/// Why numbers are no key to rely on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MaterialError {
    /// Too short.
    #[error("an RSA key of {found} bits is too short; 2048 is the least")]
    ShortModulus {
        /// Its length.
        found: usize,
    },
    /// The highest or the lowest bit is zero: no product of two primes of a TPM looks so.
    #[error("the RSA modulus is even or has leading zeros")]
    OddModulus,
    /// Even or small.
    #[error("the RSA exponent {found} is even or below {MIN_EXPONENT}")]
    Exponent {
        /// The exponent.
        found: u32,
    },
    /// The fingerprint of CVE-2017-15361.
    #[error(
        "the RSA modulus was made by Infineon's faulty generator (ROCA, CVE-2017-15361): its private key can be computed"
    )]
    Roca,
    /// The point does not lie on its curve.
    #[error("the public point does not lie on its curve")]
    OffCurve,
    /// Numbers that the signature library does not take for an RSA key, or a hash that it does not verify with.
    #[error("the signature library refuses the key's numbers")]
    Refused,
    /// A SubjectPublicKeyInfo that does not parse, or of a kind that is not known here.
    #[error(
        "the SubjectPublicKeyInfo cannot be read, or its algorithm is neither RSA nor EC on P-256, P-384 or P-521"
    )]
    Spki,
    /// A PEM text without a public key.
    #[error("the text has no PEM block of a PUBLIC KEY")]
    Pem,
}

/// The numbers of a public key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyMaterial {
    /// RSA.
    Rsa {
        /// The modulus, big-endian, without leading zeros.
        modulus: Vec<u8>,
        /// The public exponent.
        exponent: u32,
    },
    /// A point of an elliptic curve.
    Ec {
        /// Its curve.
        curve: Curve,
        /// Its x, as long as the field.
        x: Vec<u8>,
        /// Its y, as long as the field.
        y: Vec<u8>,
    },
}

impl KeyMaterial {
    /// Reads a DER SubjectPublicKeyInfo.
    pub fn from_spki(der: &[u8]) -> Result<KeyMaterial, MaterialError> {
        let (rest, spki) = SubjectPublicKeyInfo::from_der(der).map_err(|_| MaterialError::Spki)?;
        if !rest.is_empty() {
            return Err(MaterialError::Spki);
        }
        KeyMaterial::from_parsed(&spki)
    }

    /// Reads the first PUBLIC KEY of a PEM text.
    pub fn from_pem(pem: &[u8]) -> Result<KeyMaterial, MaterialError> {
        let (_, pem) = x509_parser::pem::parse_x509_pem(pem).map_err(|_| MaterialError::Pem)?;
        if pem.label != "PUBLIC KEY" {
            return Err(MaterialError::Pem);
        }
        KeyMaterial::from_spki(&pem.contents)
    }

    pub(crate) fn from_parsed(spki: &SubjectPublicKeyInfo<'_>) -> Result<KeyMaterial, MaterialError> {
        use x509_parser::public_key::PublicKey;
        match spki.parsed() {
            Ok(PublicKey::RSA(rsa)) => {
                let exponent = rsa.try_exponent().ok().and_then(|e| u32::try_from(e).ok());
                let modulus = strip_zeros(rsa.modulus).to_vec();
                Ok(KeyMaterial::Rsa {
                    modulus,
                    exponent: exponent.ok_or(MaterialError::Spki)?,
                })
            }
            Ok(PublicKey::EC(point)) => {
                let curve = [Curve::P256, Curve::P384, Curve::P521]
                    .into_iter()
                    .find(|curve| spki.algorithm.parameters.is_some() && names_curve(spki, *curve))
                    .ok_or(MaterialError::Spki)?;
                // Uncompressed points only (RFC 5480, 2.2).
                let Some((0x04, xy)) = point.data().split_first() else {
                    return Err(MaterialError::Spki);
                };
                let Some((x, y)) = xy.split_at_checked(curve.field_len()) else {
                    return Err(MaterialError::Spki);
                };
                if y.len() != curve.field_len() {
                    return Err(MaterialError::Spki);
                }
                Ok(KeyMaterial::Ec {
                    curve,
                    x: x.to_vec(),
                    y: y.to_vec(),
                })
            }
            _ => Err(MaterialError::Spki),
        }
    }

    /// The key as a DER SubjectPublicKeyInfo.
    pub fn to_spki(&self) -> Vec<u8> {
        let (algorithm, key) = match self {
            KeyMaterial::Rsa { .. } => (RSA_ENCRYPTION, self.verifying_bytes()),
            KeyMaterial::Ec { curve, .. } => (curve.algorithm_identifier(), self.verifying_bytes()),
        };
        let mut bits = vec![0];
        bits.extend(key);
        der(0x30, &[algorithm, &der(0x03, &[&bits])])
    }

    /// How many bits the modulus or the field has.
    pub fn bits(&self) -> usize {
        match self {
            KeyMaterial::Rsa { modulus, .. } => modulus.len().saturating_mul(8),
            KeyMaterial::Ec {
                curve: Curve::P521, ..
            } => 521,
            KeyMaterial::Ec { curve, .. } => curve.field_len().saturating_mul(8),
        }
    }

    /// RSA: long enough, odd, a sound exponent, not ROCA. EC: on its curve.
    pub(crate) fn strong(&self) -> Result<(), MaterialError> {
        match self {
            KeyMaterial::Rsa { modulus, exponent } => {
                if modulus.len() < MIN_MODULUS {
                    return Err(MaterialError::ShortModulus { found: self.bits() });
                }
                let top = modulus.first().is_some_and(|byte| byte & 0x80 != 0);
                let odd = modulus.last().is_some_and(|byte| byte & 1 == 1);
                if !top || !odd {
                    return Err(MaterialError::OddModulus);
                }
                if *exponent < MIN_EXPONENT || exponent & 1 == 0 {
                    return Err(MaterialError::Exponent { found: *exponent });
                }
                if roca::is_fingerprint(modulus) {
                    return Err(MaterialError::Roca);
                }
                Ok(())
            }
            KeyMaterial::Ec { .. } => self.parsed(HashAlg::Sha256).map(|_| ()),
        }
    }

    /// The key as the signature library holds it, to verify with one hash. Parsing is a third of a verification's cost,
    /// so a key that verifies more than once is parsed once.
    pub(crate) fn parsed(&self, hash: HashAlg) -> Result<ParsedPublicKey, MaterialError> {
        let bytes = self.verifying_bytes();
        match self {
            KeyMaterial::Rsa { .. } => {
                let algorithm = rsassa(hash).ok_or(MaterialError::Refused)?;
                ParsedPublicKey::new(algorithm, bytes).map_err(|_| MaterialError::Refused)
            }
            KeyMaterial::Ec { curve, .. } => {
                let algorithm = ecdsa(*curve, hash).ok_or(MaterialError::Refused)?;
                ParsedPublicKey::new(algorithm, bytes).map_err(|_| MaterialError::OffCurve)
            }
        }
    }

    /// Verifies a signature in the form of X.509 by one of the library's algorithms. Nothing comes back when it does not
    /// verify; the bytes that are proven signed come back when it does.
    pub(crate) fn open<'m>(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        message: &'m [u8],
        signature: &[u8],
    ) -> Option<&'m [u8]> {
        let key = UnparsedPublicKey::new(algorithm, self.verifying_bytes());
        key.verify(message, signature).ok().map(|()| message)
    }

    /// RSAPublicKey in DER, or the uncompressed point.
    pub(crate) fn verifying_bytes(&self) -> Vec<u8> {
        match self {
            KeyMaterial::Rsa { modulus, exponent } => der(
                0x30,
                &[&der_integer(modulus), &der_integer(&exponent.to_be_bytes())],
            ),
            KeyMaterial::Ec { x, y, .. } => [&[0x04], x.as_slice(), y.as_slice()].concat(),
        }
    }
}

fn names_curve(spki: &SubjectPublicKeyInfo<'_>, curve: Curve) -> bool {
    let oid = spki
        .algorithm
        .parameters
        .as_ref()
        .and_then(|parameters| parameters.as_oid().ok());
    // The last element of the AlgorithmIdentifier is the curve's OID, tag and length first.
    oid.is_some_and(|oid| {
        curve
            .algorithm_identifier()
            .ends_with(&der(0x06, &[oid.as_bytes()]))
    })
}

/// RSASSA-PKCS1-v1_5, never with SHA-1.
pub(crate) fn rsassa(hash: HashAlg) -> Option<&'static aws::RsaParameters> {
    match hash {
        HashAlg::Sha1 => None,
        HashAlg::Sha256 => Some(&aws::RSA_PKCS1_2048_8192_SHA256),
        HashAlg::Sha384 => Some(&aws::RSA_PKCS1_2048_8192_SHA384),
        HashAlg::Sha512 => Some(&aws::RSA_PKCS1_2048_8192_SHA512),
    }
}

/// ECDSA with a DER signature, never with SHA-1.
pub(crate) fn ecdsa(curve: Curve, hash: HashAlg) -> Option<&'static aws::EcdsaVerificationAlgorithm> {
    match (curve, hash) {
        (_, HashAlg::Sha1) => None,
        (Curve::P256, HashAlg::Sha256) => Some(&aws::ECDSA_P256_SHA256_ASN1),
        (Curve::P256, HashAlg::Sha384) => Some(&aws::ECDSA_P256_SHA384_ASN1),
        (Curve::P256, HashAlg::Sha512) => Some(&aws::ECDSA_P256_SHA512_ASN1),
        (Curve::P384, HashAlg::Sha256) => Some(&aws::ECDSA_P384_SHA256_ASN1),
        (Curve::P384, HashAlg::Sha384) => Some(&aws::ECDSA_P384_SHA384_ASN1),
        (Curve::P384, HashAlg::Sha512) => Some(&aws::ECDSA_P384_SHA512_ASN1),
        (Curve::P521, HashAlg::Sha256) => Some(&aws::ECDSA_P521_SHA256_ASN1),
        (Curve::P521, HashAlg::Sha384) => Some(&aws::ECDSA_P521_SHA384_ASN1),
        (Curve::P521, HashAlg::Sha512) => Some(&aws::ECDSA_P521_SHA512_ASN1),
    }
}

/// `bytes` without leading zeros.
pub(crate) fn strip_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// `bytes` with or without leading zeros, to exactly `length`; none if the number is longer.
pub(crate) fn pad_left(bytes: &[u8], length: usize) -> Option<Vec<u8>> {
    let digits = strip_zeros(bytes);
    let zeros = length.checked_sub(digits.len())?;
    let mut padded = vec![0; zeros];
    padded.extend_from_slice(digits);
    Some(padded)
}

/// One DER element.
pub(crate) fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut element = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => element.push(short),
        _ => {
            let length = content.len().to_be_bytes();
            let digits = strip_zeros(&length);
            // At most eight bytes of length.
            element.push(0x80 | u8::try_from(digits.len()).unwrap_or(8));
            element.extend_from_slice(digits);
        }
    }
    element.extend(content);
    element
}

/// A non-negative DER INTEGER.
pub(crate) fn der_integer(number: &[u8]) -> Vec<u8> {
    let digits = strip_zeros(number);
    let sign: &[u8] = match digits.first() {
        Some(byte) if byte & 0x80 == 0 => &[],
        _ => &[0],
    };
    der(0x02, &[sign, digits])
}
