//! Whoever signs files: a key, and the attributes that `evmctl` would write with it.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RsaKeyPair,
};

use crate::bank::Bank;
use crate::softtpm::KeyError;

/// Kinds of signature attributes (`enum evm_ima_xattr_type`): over a file's content.
pub const KIND_FILE: u8 = 3;
/// Over a file's metadata.
pub const KIND_EVM: u8 = 5;
/// Over a fs-verity digest.
pub const KIND_VERITY: u8 = 6;

/// A key that signs files.
#[derive(Clone)]
pub struct FileSigner {
    secret: Arc<Secret>,
    /// What its signatures call it; honest: of [`FileSigner::key_digest`], or of the certificate.
    pub key_id: [u8; 4],
}

enum Secret {
    P256(EcdsaKeyPair, Vec<u8>),
    Rsa2048(RsaKeyPair, Vec<u8>),
}

impl FileSigner {
    /// A new P-256 key. It signs SHA-256 only.
    pub fn p256() -> Result<FileSigner, KeyError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| KeyError::Generate)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyError::Generate)?;
        Ok(FileSigner::of(Secret::P256(pair, pkcs8.as_ref().to_vec())))
    }

    /// A new RSA-2048 key.
    pub fn rsa2048() -> Result<FileSigner, KeyError> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Generate)?;
        let pkcs8 = pair.as_der().map_err(|_| KeyError::Generate)?;
        Ok(FileSigner::of(Secret::Rsa2048(pair, pkcs8.as_ref().to_vec())))
    }

    fn of(secret: Secret) -> FileSigner {
        let mut signer = FileSigner {
            secret: Arc::new(secret),
            key_id: [0; 4],
        };
        let digest = signer.key_digest();
        signer.key_id.copy_from_slice(&digest[16..]);
        signer
    }

    /// SHA-1 of the public key's bits: an RSAPublicKey, or a point.
    pub fn key_digest(&self) -> Vec<u8> {
        Bank::Sha1.hash(&[&self.public_bits()])
    }

    fn public_bits(&self) -> Vec<u8> {
        match &*self.secret {
            Secret::P256(pair, _) => pair.public_key().as_ref().to_vec(),
            Secret::Rsa2048(pair, _) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// The private key, PKCS#8 DER, for whoever makes a certificate.
    pub fn pkcs8(&self) -> &[u8] {
        match &*self.secret {
            Secret::P256(_, pkcs8) | Secret::Rsa2048(_, pkcs8) => pkcs8,
        }
    }

    /// The signature attribute of a file with this content, as `evmctl ima_sign` writes it (version 2).
    pub fn file(&self, hash: Bank, content: &[u8]) -> Vec<u8> {
        self.attribute(KIND_FILE, 2, hash, content)
    }

    /// The signature attribute over a typed digest (version 3): the kind, the algorithm and the digest are hashed and
    /// signed together (`struct ima_file_id`).
    pub fn typed(&self, kind: u8, hash: Bank, digest: &[u8]) -> Vec<u8> {
        let signed = [&[kind, kernel_number(hash)], digest].concat();
        self.attribute(kind, 3, hash, &signed)
    }

    /// Any attribute: the header, and a signature over the hash of `signed`.
    pub fn attribute(&self, kind: u8, version: u8, hash: Bank, signed: &[u8]) -> Vec<u8> {
        let signature = self.sign(hash, signed);
        let size = u16::try_from(signature.len()).expect("signatures are short");
        let mut out = vec![kind, version, kernel_number(hash)];
        out.extend(self.key_id);
        out.extend(size.to_be_bytes());
        out.extend(signature);
        out
    }

    fn sign(&self, hash: Bank, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &*self.secret {
            Secret::P256(pair, _) => {
                let signature = pair.sign(&random, message).expect("a P-256 key signs");
                signature.as_ref().to_vec()
            }
            Secret::Rsa2048(pair, _) => {
                let padding = match hash {
                    Bank::Sha384 => &RSA_PKCS1_SHA384,
                    Bank::Sha512 => &RSA_PKCS1_SHA512,
                    Bank::Sha1 | Bank::Sha256 => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature)
                    .expect("an RSA key signs");
                signature
            }
        }
    }
}

impl fmt::Debug for FileSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileSigner({})", hex::encode(self.key_id))
    }
}

/// `enum hash_algo` of include/uapi/linux/hash_info.h.
fn kernel_number(hash: Bank) -> u8 {
    match hash {
        Bank::Sha1 => 2,
        Bank::Sha256 => 4,
        Bank::Sha384 => 5,
        Bank::Sha512 => 6,
    }
}
