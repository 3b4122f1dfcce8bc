//! KDFa and KDFe (TPM 2.0 library, part 1, sections 11.4.10.2 and 11.4.10.3).

use aws_lc_rs::hmac;

use crate::pcr::HashAlg;

/// KDFa: key derivation in counter mode by HMAC (NIST SP 800-108). `length` is in bytes.
pub(super) fn kdfa(
    hash: HashAlg,
    key: &[u8],
    label: &str,
    context_u: &[u8],
    context_v: &[u8],
    length: usize,
) -> Vec<u8> {
    let key = hmac::Key::new(algorithm(hash), key);
    let mut derived = Vec::new();
    for counter in 1_u32.. {
        if derived.len() >= length {
            break;
        }
        let mut context = hmac::Context::with_key(&key);
        context.update(&counter.to_be_bytes());
        context.update(label.as_bytes());
        context.update(&[0]);
        context.update(context_u);
        context.update(context_v);
        context.update(&bits(length));
        derived.extend_from_slice(context.sign().as_ref());
    }
    derived.truncate(length);
    derived
}

/// KDFe: key derivation from an ECDH secret (NIST SP 800-56A). All coordinates are as long as the field.
pub(super) fn kdfe(
    hash: HashAlg,
    z: &[u8],
    label: &str,
    party_u: &[u8],
    party_v: &[u8],
    length: usize,
) -> Vec<u8> {
    let mut derived = Vec::new();
    for counter in 1_u32.. {
        if derived.len() >= length {
            break;
        }
        let counter = counter.to_be_bytes();
        derived.extend(hash.digest_parts(&[&counter, z, label.as_bytes(), &[0], party_u, party_v]));
    }
    derived.truncate(length);
    derived
}

/// HMAC in one call.
pub(super) fn hmac(hash: HashAlg, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm(hash), key));
    for part in parts {
        context.update(part);
    }
    context.sign().as_ref().to_vec()
}

/// A length in bytes as 32 bits of bits. Lengths here are those of keys and digests.
fn bits(length: usize) -> [u8; 4] {
    u32::try_from(length.saturating_mul(8))
        .unwrap_or(u32::MAX)
        .to_be_bytes()
}

fn algorithm(hash: HashAlg) -> hmac::Algorithm {
    match hash {
        HashAlg::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        HashAlg::Sha256 => hmac::HMAC_SHA256,
        HashAlg::Sha384 => hmac::HMAC_SHA384,
        HashAlg::Sha512 => hmac::HMAC_SHA512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_have_the_length_asked_for_and_depend_on_every_input() {
        let base = kdfa(HashAlg::Sha256, b"key", "STORAGE", b"u", b"v", 80);
        assert_eq!(base.len(), 80);
        assert_ne!(base, kdfa(HashAlg::Sha256, b"key", "INTEGRITY", b"u", b"v", 80));
        assert_ne!(base, kdfa(HashAlg::Sha256, b"key", "STORAGE", b"", b"v", 80));
        assert_ne!(base, kdfa(HashAlg::Sha256, b"kez", "STORAGE", b"u", b"v", 80));
        // The length itself is an input of KDFa, and is none of KDFe.
        assert_ne!(
            base.get(..16),
            Some(kdfa(HashAlg::Sha256, b"key", "STORAGE", b"u", b"v", 16).as_slice())
        );
        let long = kdfe(HashAlg::Sha256, b"z", "IDENTITY", b"u", b"v", 48);
        assert_eq!(
            long.get(..32),
            Some(kdfe(HashAlg::Sha256, b"z", "IDENTITY", b"u", b"v", 32).as_slice())
        );
        assert_eq!(kdfe(HashAlg::Sha256, b"z", "IDENTITY", b"u", b"v", 32), {
            HashAlg::Sha256.digest(b"\0\0\0\x01zIDENTITY\0uv")
        });
    }
}
