//! Public keys of SSH and their signatures (RFC 4253, 5656, 8332, 8709; PROTOCOL.u2f).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

use super::envelope::string;
use crate::pcr::HashAlg;
use crate::reader::{ReadError, Reader};

/// Smallest RSA modulus in bytes: 2048 bits.
const MIN_RSA: usize = 256;

/// A person touched the security key (PROTOCOL.u2f, "flags").
const USER_PRESENT: u8 = 0x01;

/// A key that may sign, with its form understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Ed25519(Vec<u8>),
    Ecdsa(Curve, Vec<u8>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// A key in a security token: it signs a digest with its name, flags and a counter.
    Token {
        inner: Box<Key>,
        application: Vec<u8>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// Why bytes are no key that may sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeyError {
    #[error("the key cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error(
        "keys of type \"{0}\" are not accepted; use ssh-ed25519, ecdsa-sha2-nistp256, rsa or their sk- forms"
    )]
    Kind(String),
    #[error("the key's parts do not belong to its type")]
    Form,
    #[error("an RSA key of {0} bits is too short; 2048 is the least")]
    Short(usize),
}

impl Key {
    /// Reads a key in SSH's form, and says its type.
    pub(super) fn parse(blob: &[u8]) -> Result<(String, Self), KeyError> {
        let mut r = Reader::new(blob);
        let kind = string(&mut r, "the key's type")?;
        let key = match kind {
            b"ssh-ed25519" => ed25519(&mut r)?,
            b"ecdsa-sha2-nistp256" => ecdsa(&mut r, Curve::P256, b"nistp256")?,
            b"ecdsa-sha2-nistp384" => ecdsa(&mut r, Curve::P384, b"nistp384")?,
            b"ecdsa-sha2-nistp521" => ecdsa(&mut r, Curve::P521, b"nistp521")?,
            b"ssh-rsa" => {
                let e = positive(string(&mut r, "the RSA exponent")?)
                    .ok_or(KeyError::Form)?
                    .to_vec();
                let n = positive(string(&mut r, "the RSA modulus")?)
                    .ok_or(KeyError::Form)?
                    .to_vec();
                if n.len() < MIN_RSA {
                    return Err(KeyError::Short(n.len().saturating_mul(8)));
                }
                Self::Rsa { n, e }
            }
            b"sk-ssh-ed25519@openssh.com" => {
                let inner = Box::new(ed25519(&mut r)?);
                let application = string(&mut r, "the application")?.to_vec();
                Self::Token { inner, application }
            }
            b"sk-ecdsa-sha2-nistp256@openssh.com" => {
                let inner = Box::new(ecdsa(&mut r, Curve::P256, b"nistp256")?);
                let application = string(&mut r, "the application")?.to_vec();
                Self::Token { inner, application }
            }
            other => {
                return Err(KeyError::Kind(
                    String::from_utf8_lossy(other).escape_debug().to_string(),
                ));
            }
        };
        r.finish("the public key")?;
        Ok((String::from_utf8_lossy(kind).into_owned(), key))
    }

    /// Whether it signed the bytes. The signature is in SSH's form.
    pub(super) fn signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        self.opens(bytes, signature).unwrap_or(false)
    }

    fn opens(&self, bytes: &[u8], signature: &[u8]) -> Result<bool, ReadError> {
        let mut r = Reader::new(signature);
        let kind = string(&mut r, "the signature's type")?;
        let raw = string(&mut r, "the signature")?;
        let good = match self {
            Self::Token { inner, application } => {
                let flags = r.u8("the flags")?;
                let counter = r.u32_be("the counter")?;
                let mut told = HashAlg::Sha256.digest(application);
                told.push(flags);
                told.extend(counter.to_be_bytes());
                told.extend(HashAlg::Sha256.digest(bytes));
                flags & USER_PRESENT != 0 && inner.opens_raw(kind.strip_prefix(b"sk-"), &told, raw)
            }
            plain => plain.opens_raw(Some(kind), bytes, raw),
        };
        r.finish("the signature")?;
        Ok(good)
    }

    fn opens_raw(&self, kind: Option<&[u8]>, bytes: &[u8], raw: &[u8]) -> bool {
        let kind = kind.map(|kind| kind.strip_suffix(b"@openssh.com").unwrap_or(kind));
        let by = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8], raw: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(bytes, raw).is_ok()
        };
        match (self, kind) {
            (Self::Ed25519(key), Some(b"ssh-ed25519")) => by(&ED25519, key, raw),
            (Self::Ecdsa(Curve::P256, key), Some(b"ecdsa-sha2-nistp256")) => {
                fixed(Curve::P256, raw).is_some_and(|raw| by(&ECDSA_P256_SHA256_FIXED, key, &raw))
            }
            (Self::Ecdsa(Curve::P384, key), Some(b"ecdsa-sha2-nistp384")) => {
                fixed(Curve::P384, raw).is_some_and(|raw| by(&ECDSA_P384_SHA384_FIXED, key, &raw))
            }
            (Self::Ecdsa(Curve::P521, key), Some(b"ecdsa-sha2-nistp521")) => {
                fixed(Curve::P521, raw).is_some_and(|raw| by(&ECDSA_P521_SHA512_FIXED, key, &raw))
            }
            // SHA-1 ("ssh-rsa") is not among them.
            (Self::Rsa { n, e }, Some(b"rsa-sha2-256")) => rsa(&RSA_PKCS1_2048_8192_SHA256, n, e, bytes, raw),
            (Self::Rsa { n, e }, Some(b"rsa-sha2-512")) => rsa(&RSA_PKCS1_2048_8192_SHA512, n, e, bytes, raw),
            (Self::Ed25519(_) | Self::Ecdsa(..) | Self::Rsa { .. } | Self::Token { .. }, _) => false,
        }
    }
}

fn ed25519(r: &mut Reader<'_>) -> Result<Key, KeyError> {
    let key = string(r, "the Ed25519 key")?;
    if key.len() != 32 {
        return Err(KeyError::Form);
    }
    Ok(Key::Ed25519(key.to_vec()))
}

fn ecdsa(r: &mut Reader<'_>, curve: Curve, name: &[u8]) -> Result<Key, KeyError> {
    let named = string(r, "the curve")?;
    let point = string(r, "the point")?;
    // Uncompressed (SEC 1, 2.3.3): 04, x, y.
    let length = curve.field_len().saturating_mul(2).saturating_add(1);
    if named != name || point.len() != length || point.first() != Some(&4) {
        return Err(KeyError::Form);
    }
    Ok(Key::Ecdsa(curve, point.to_vec()))
}

fn rsa(parameters: &'static RsaParameters, n: &[u8], e: &[u8], bytes: &[u8], raw: &[u8]) -> bool {
    // RFC 8332: without leading zeros a signature may be shorter than the modulus.
    let Some(missing) = n.len().checked_sub(raw.len()) else {
        return false;
    };
    let mut signature = vec![0; missing];
    signature.extend(raw);
    RsaPublicKeyComponents { n, e }
        .verify(parameters, bytes, &signature)
        .is_ok()
}

/// r and s as two numbers of the field's length.
fn fixed(curve: Curve, raw: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(raw);
    let mut both = Vec::new();
    for name in ["r", "s"] {
        let number = positive(string(&mut reader, name).ok()?)?;
        both.extend(std::iter::repeat_n(
            0,
            curve.field_len().checked_sub(number.len())?,
        ));
        both.extend(number);
    }
    reader.finish("the ECDSA signature").ok()?;
    Some(both)
}

/// An mpint (RFC 4251, 5) above zero, without its leading zero; none for anything else.
fn positive(mpint: &[u8]) -> Option<&[u8]> {
    match mpint {
        [0, rest @ ..] if rest.first().is_some_and(|first| *first >= 0x80) => Some(rest),
        [0, ..] | [] => None,
        [first, ..] if *first >= 0x80 => None,
        plain => Some(plain),
    }
}
