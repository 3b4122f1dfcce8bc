//! What an authority signed: the bytes, the algorithm and the signature, of certificates and of revocation lists alike.

use aws_lc_rs::signature::{self as aws, VerificationAlgorithm};
use x509_parser::asn1_rs::BitString;
use x509_parser::signature_algorithm::RsaSsaPssParams;
use x509_parser::x509::AlgorithmIdentifier;

use crate::key::{KeyMaterial, der, ecdsa, rsassa};
use crate::pcr::HashAlg;

/// By what something was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSASSA-PKCS1-v1_5.
    Pkcs1(HashAlg),
    /// RSASSA-PSS whose mask and salt are those of its hash (RFC 4055, 3.1).
    Pss(HashAlg),
    /// ECDSA.
    Ecdsa(HashAlg),
    /// Anything else.
    Unknown,
}

impl Algorithm {
    fn of(identifier: &AlgorithmIdentifier<'_>) -> Algorithm {
        match identifier.algorithm.to_id_string().as_str() {
            "1.2.840.113549.1.1.5" => Algorithm::Pkcs1(HashAlg::Sha1),
            "1.2.840.113549.1.1.11" => Algorithm::Pkcs1(HashAlg::Sha256),
            "1.2.840.113549.1.1.12" => Algorithm::Pkcs1(HashAlg::Sha384),
            "1.2.840.113549.1.1.13" => Algorithm::Pkcs1(HashAlg::Sha512),
            "1.2.840.113549.1.1.10" => pss(identifier).map_or(Algorithm::Unknown, Algorithm::Pss),
            "1.2.840.10045.4.1" => Algorithm::Ecdsa(HashAlg::Sha1),
            "1.2.840.10045.4.3.2" => Algorithm::Ecdsa(HashAlg::Sha256),
            "1.2.840.10045.4.3.3" => Algorithm::Ecdsa(HashAlg::Sha384),
            "1.2.840.10045.4.3.4" => Algorithm::Ecdsa(HashAlg::Sha512),
            _ => Algorithm::Unknown,
        }
    }

    /// Whether collisions of its hash can be had.
    pub(super) fn is_sha1(self) -> bool {
        matches!(
            self,
            Algorithm::Pkcs1(HashAlg::Sha1) | Algorithm::Pss(HashAlg::Sha1) | Algorithm::Ecdsa(HashAlg::Sha1)
        )
    }
}

fn pss(identifier: &AlgorithmIdentifier<'_>) -> Option<HashAlg> {
    let parameters = RsaSsaPssParams::try_from(identifier.parameters.as_ref()?).ok()?;
    let hash = |oid: String| match oid.as_str() {
        "2.16.840.1.101.3.4.2.1" => Some(HashAlg::Sha256),
        "2.16.840.1.101.3.4.2.2" => Some(HashAlg::Sha384),
        "2.16.840.1.101.3.4.2.3" => Some(HashAlg::Sha512),
        _ => None,
    };
    let of_message = hash(parameters.hash_algorithm_oid().to_id_string())?;
    let mask = parameters.mask_gen_algorithm().ok()?;
    let usual = mask.mgf.to_id_string() == "1.2.840.113549.1.1.8"
        && hash(mask.hash.to_id_string()) == Some(of_message)
        && usize::try_from(parameters.salt_length()) == Ok(of_message.digest_len())
        && parameters.trailer_field() == 1;
    usual.then_some(of_message)
}

/// Bytes with a signature of which nothing is known yet.
#[derive(Debug, Clone)]
pub(super) struct Signed {
    pub(super) algorithm: Algorithm,
    /// The algorithm's name or, where it has none here, its identifier.
    pub(super) algorithm_name: String,
    bytes: Vec<u8>,
    signature: Vec<u8>,
}

impl Signed {
    pub(super) fn new(identifier: &AlgorithmIdentifier<'_>, bytes: &[u8], signature: &[u8]) -> Signed {
        let algorithm = Algorithm::of(identifier);
        let algorithm_name = match algorithm {
            Algorithm::Pkcs1(hash) => format!("RSA with {hash}"),
            Algorithm::Pss(hash) => format!("RSA-PSS with {hash}"),
            Algorithm::Ecdsa(hash) => format!("ECDSA with {hash}"),
            Algorithm::Unknown => identifier.algorithm.to_id_string(),
        };
        Signed {
            algorithm,
            algorithm_name,
            bytes: bytes.to_vec(),
            signature: signature.to_vec(),
        }
    }

    /// The bytes, if `key` signed them by an algorithm that proves something.
    pub(super) fn open(&self, key: &KeyMaterial) -> Option<&[u8]> {
        key.open(self.verification(key)?, &self.bytes, &self.signature)
    }

    /// The bytes, if `key` signed them by RSA with SHA-1. It proves nothing about a certificate that anybody could have
    /// brought; it tells which authority one belongs to that the operator listed.
    pub(super) fn open_legacy(&self, key: &KeyMaterial) -> Option<&[u8]> {
        if self.algorithm != Algorithm::Pkcs1(HashAlg::Sha1) {
            return None;
        }
        let algorithm = &aws::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;
        match key {
            KeyMaterial::Rsa { .. } => key.open(algorithm, &self.bytes, &self.signature),
            KeyMaterial::Ec { .. } => None,
        }
    }

    fn verification(&self, key: &KeyMaterial) -> Option<&'static dyn VerificationAlgorithm> {
        match (self.algorithm, key) {
            (Algorithm::Pkcs1(hash), KeyMaterial::Rsa { .. }) => Some(rsassa(hash)?),
            (Algorithm::Pss(HashAlg::Sha256), KeyMaterial::Rsa { .. }) => {
                Some(&aws::RSA_PSS_2048_8192_SHA256)
            }
            (Algorithm::Pss(HashAlg::Sha384), KeyMaterial::Rsa { .. }) => {
                Some(&aws::RSA_PSS_2048_8192_SHA384)
            }
            (Algorithm::Pss(HashAlg::Sha512), KeyMaterial::Rsa { .. }) => {
                Some(&aws::RSA_PSS_2048_8192_SHA512)
            }
            (Algorithm::Ecdsa(hash), KeyMaterial::Ec { curve, .. }) => Some(ecdsa(*curve, hash)?),
            (Algorithm::Pkcs1(_) | Algorithm::Pss(_) | Algorithm::Ecdsa(_) | Algorithm::Unknown, _) => None,
        }
    }
}

/// Whether the frame around the signed part, which nothing signs, has its one canonical form: the parser is lenient
/// there. The outer algorithm must be, byte for byte, what stands in the signed part.
pub(super) fn frame_is_canonical(raw: &[u8], signed: &[u8], signature: &BitString<'_>) -> bool {
    if signature.unused_bits != 0 {
        return false;
    }
    let signature = der(0x03, &[&[0], &signature.data]);
    let Some(front) = raw.strip_suffix(signature.as_slice()) else {
        return false;
    };
    // A tag and one to five bytes of length stand before the signed part.
    let Some(algorithm) = (2..=6).find_map(|header| front.get(header..)?.strip_prefix(signed)) else {
        return false;
    };
    let repeated = !algorithm.is_empty() && signed.windows(algorithm.len()).any(|part| part == algorithm);
    repeated && der(0x30, &[signed, algorithm, &signature]) == raw
}
