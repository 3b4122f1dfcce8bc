//! TPM2_MakeCredential without a TPM.

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{self, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512, OaepAlgorithm,
    OaepPublicEncryptingKey, PublicEncryptingKey,
};

use super::kdf::{hmac, kdfa, kdfe};
use super::{CredentialError, Offer, Random};
use crate::key::{Curve, EndorsementKey, KeyMaterial, Name, Symmetric};
use crate::pcr::HashAlg;

/// The label of every key derivation and of the OAEP padding here.
const IDENTITY: &str = "IDENTITY";
/// The same, as OAEP's label: with its terminating zero (part 1, annex B.4).
const IDENTITY_Z: &[u8] = b"IDENTITY\0";
/// A random scalar is not below the order of its curve once in 2^32 draws or fewer.
const SCALAR_DRAWS: usize = 4;

/// Wraps `secret` for the TPM that owns `ek`, bound to the Name of a key that must be loaded there.
pub fn make_credential(
    ek: &EndorsementKey,
    name: &Name,
    secret: &[u8],
    random: &mut Random<'_>,
) -> Result<Offer, CredentialError> {
    let hash = ek.name_alg();
    if secret.len() > hash.digest_len() {
        return Err(CredentialError::SecretSize {
            found: secret.len(),
            limit: hash.digest_len(),
        });
    }
    let (seed, encrypted_seed) = match ek.material() {
        KeyMaterial::Rsa { .. } => seed_by_rsa(ek, hash, random)?,
        KeyMaterial::Ec { curve, x, y } => seed_by_ecdh(*curve, x, y, hash, random)?,
    };
    let mut identity = sized(secret);
    let key_len = match ek.symmetric() {
        Symmetric::Aes128 => 16,
        Symmetric::Aes256 => 32,
    };
    let key = kdfa(hash, &seed, "STORAGE", name.as_bytes(), &[], key_len);
    encrypt(ek.symmetric(), &key, &mut identity)?;
    let hmac_key = kdfa(hash, &seed, "INTEGRITY", &[], &[], hash.digest_len());
    let integrity = hmac(hash, &hmac_key, &[&identity, name.as_bytes()]);
    let id_object = [sized(&integrity), identity].concat();
    Ok(Offer {
        credential: sized(&id_object),
        secret: sized(&encrypted_seed),
    })
}

/// A random seed, encrypted with OAEP by the EK's name algorithm (part 1, annex B.10.4).
fn seed_by_rsa(
    ek: &EndorsementKey,
    hash: HashAlg,
    random: &mut Random<'_>,
) -> Result<(Vec<u8>, Vec<u8>), CredentialError> {
    let failed = |_| CredentialError::Crypto {
        operation: "RSA-OAEP encryption to the endorsement key",
    };
    let algorithm: &'static OaepAlgorithm = match hash {
        HashAlg::Sha256 => &OAEP_SHA256_MGF1SHA256,
        HashAlg::Sha384 => &OAEP_SHA384_MGF1SHA384,
        HashAlg::Sha512 => &OAEP_SHA512_MGF1SHA512,
        HashAlg::Sha1 => {
            return Err(CredentialError::Crypto {
                operation: "RSA-OAEP encryption with SHA-1",
            });
        }
    };
    let mut seed = vec![0; hash.digest_len()];
    random(&mut seed)?;
    let public =
        PublicEncryptingKey::from_der(&ek.material().to_spki()).map_err(|_| CredentialError::Crypto {
            operation: "reading the endorsement key's RSA numbers",
        })?;
    let public = OaepPublicEncryptingKey::new(public).map_err(failed)?;
    let mut ciphertext = vec![0; public.ciphertext_size()];
    let ciphertext = public
        .encrypt(algorithm, &seed, &mut ciphertext, Some(IDENTITY_Z))
        .map_err(failed)?;
    let ciphertext = ciphertext.to_vec();
    Ok((seed, ciphertext))
}

/// An ephemeral key; the seed is derived from the shared point (part 1, annex C.6.4).
fn seed_by_ecdh(
    curve: Curve,
    x: &[u8],
    y: &[u8],
    hash: HashAlg,
    random: &mut Random<'_>,
) -> Result<(Vec<u8>, Vec<u8>), CredentialError> {
    let failed = CredentialError::Crypto {
        operation: "ECDH with the endorsement key",
    };
    let algorithm = match curve {
        Curve::P256 => &agreement::ECDH_P256,
        Curve::P384 => &agreement::ECDH_P384,
        Curve::P521 => &agreement::ECDH_P521,
    };
    let ephemeral = ephemeral(algorithm, curve, random)?;
    let own = ephemeral.compute_public_key().map_err(|_| failed.clone())?;
    // Uncompressed: a tag and both coordinates.
    let Some((own_x, own_y)) = own
        .as_ref()
        .split_first()
        .and_then(|(_, xy)| xy.split_at_checked(curve.field_len()))
    else {
        return Err(failed);
    };
    let point = [&[0x04], x, y].concat();
    let peer = UnparsedPublicKey::new(algorithm, point);
    let seed = agreement::agree(&ephemeral, peer, failed, |z| {
        Ok(kdfe(hash, z, IDENTITY, own_x, x, hash.digest_len()))
    })?;
    Ok((seed, [sized(own_x), sized(own_y)].concat()))
}

fn ephemeral(
    algorithm: &'static agreement::Algorithm,
    curve: Curve,
    random: &mut Random<'_>,
) -> Result<PrivateKey, CredentialError> {
    for _ in 0..SCALAR_DRAWS {
        let mut scalar = vec![0; curve.field_len()];
        random(&mut scalar)?;
        if let (Curve::P521, Some(top)) = (curve, scalar.first_mut()) {
            // 521 bits are one more than 65 bytes.
            *top &= 1;
        }
        if let Ok(key) = PrivateKey::from_private_key(algorithm, &scalar) {
            return Ok(key);
        }
    }
    Err(CredentialError::Crypto {
        operation: "making an ephemeral key from the caller's randomness",
    })
}

/// AES-CFB with an IV of zeros, as the standard has it: every key is derived from a fresh seed and used once.
fn encrypt(symmetric: Symmetric, key: &[u8], data: &mut [u8]) -> Result<(), CredentialError> {
    let failed = |_| CredentialError::Crypto {
        operation: "AES-CFB encryption",
    };
    let algorithm = match symmetric {
        Symmetric::Aes128 => &cipher::AES_128,
        Symmetric::Aes256 => &cipher::AES_256,
    };
    let key = UnboundCipherKey::new(algorithm, key).map_err(failed)?;
    let key = EncryptingKey::cfb128(key).map_err(failed)?;
    let zeros = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    key.less_safe_encrypt(data, zeros).map_err(failed)?;
    Ok(())
}

/// A TPM2B: a 16-bit length before the bytes. Everything here is far shorter than 65536 bytes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), bytes].concat()
}
