//! TPMT_PUBLIC: the public area of an asymmetric TPM key, as the TPM describes it.

use std::fmt;

use super::material::pad_left;
use super::{Curve, KeyError, KeyMaterial, Name};
use crate::pcr::HashAlg;
use crate::reader::Reader;

/// TPM_ALG_RSA and the others that a public area can name.
mod alg {
    pub(super) const RSA: u16 = 0x0001;
    pub(super) const AES: u16 = 0x0006;
    pub(super) const NULL: u16 = 0x0010;
    pub(super) const RSASSA: u16 = 0x0014;
    pub(super) const ECDSA: u16 = 0x0018;
    pub(super) const ECC: u16 = 0x0023;
    pub(super) const CFB: u16 = 0x0043;
}

/// What the TCG's registry calls an algorithm that is met but not accepted.
pub(super) fn alg_name(what: &str, id: u16) -> &'static str {
    match (what, id) {
        ("curve", 0x0001) => "NIST P-192",
        ("curve", 0x0002) => "NIST P-224",
        ("curve", 0x0010) => "BN P-256",
        ("curve", 0x0011) => "BN P-638",
        ("curve", 0x0020) => "SM2 P-256",
        ("curve", _) => "of no name",
        (_, 0x0003) => "TDES",
        (_, 0x0008) => "KEYEDHASH",
        (_, 0x0012) => "SM3-256",
        (_, 0x0013) => "SM4",
        (_, 0x0015) => "RSAES",
        (_, 0x0016) => "RSAPSS",
        (_, 0x0017) => "OAEP",
        (_, 0x001A) => "ECDAA",
        (_, 0x001B) => "SM2",
        (_, 0x001C) => "ECSCHNORR",
        (_, 0x0025) => "SYMCIPHER",
        (_, 0x0026) => "CAMELLIA",
        (_, 0x0027) => "SHA3-256",
        (_, 0x0028) => "SHA3-384",
        (_, 0x0029) => "SHA3-512",
        (_, 0x0040) => "CTR",
        (_, 0x0041) => "OFB",
        (_, 0x0042) => "CBC",
        (_, 0x0044) => "ECB",
        _ => "of no name",
    }
}

/// Above any TPM2B_PUBLIC: an RSA-4096 key with a policy takes about 600 bytes.
const MAX_PUBLIC: usize = 2048;
/// The largest digest.
const MAX_DIGEST: usize = 64;
/// RSA-4096.
const MAX_MODULUS: usize = 512;
/// P-521's field, rounded up.
const MAX_COORDINATE: usize = 66;
/// What an exponent of zero stands for.
const DEFAULT_EXPONENT: u32 = 65537;

/// A signing scheme with its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5.
    Rsassa(HashAlg),
    /// ECDSA.
    Ecdsa(HashAlg),
}

impl Scheme {
    /// The hash.
    pub fn hash(self) -> HashAlg {
        match self {
            Scheme::Rsassa(hash) | Scheme::Ecdsa(hash) => hash,
        }
    }

    /// The scheme of a TCG identifier, if it is one of ours.
    pub(crate) fn from_id(id: u16, hash: HashAlg) -> Option<Scheme> {
        match id {
            alg::RSASSA => Some(Scheme::Rsassa(hash)),
            alg::ECDSA => Some(Scheme::Ecdsa(hash)),
            _ => None,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scheme::Rsassa(hash) => write!(f, "RSASSA with {hash}"),
            Scheme::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
        }
    }
}

/// The symmetric algorithm that protects what a storage key wraps; always in CFB mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symmetric {
    /// AES-128-CFB.
    Aes128,
    /// AES-256-CFB.
    Aes256,
}

impl fmt::Display for Symmetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Symmetric::Aes128 => "AES-128 in CFB mode",
            Symmetric::Aes256 => "AES-256 in CFB mode",
        })
    }
}

/// TPMA_OBJECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes(pub u32);

impl Attributes {
    /// The key cannot be duplicated.
    pub const FIXED_TPM: Attributes = Attributes(1 << 1);
    /// The key cannot get another parent.
    pub const FIXED_PARENT: Attributes = Attributes(1 << 4);
    /// The TPM made the private part itself.
    pub const SENSITIVE_DATA_ORIGIN: Attributes = Attributes(1 << 5);
    /// The key works only on data that the TPM made or structured.
    pub const RESTRICTED: Attributes = Attributes(1 << 16);
    /// The key decrypts.
    pub const DECRYPT: Attributes = Attributes(1 << 17);
    /// The key signs.
    pub const SIGN: Attributes = Attributes(1 << 18);

    /// Whether every bit of `other` is set.
    pub fn contains(self, other: Attributes) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A TPMT_PUBLIC as it was read; nothing is said of its strength or purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicArea {
    /// The hash that makes the Name.
    pub name_alg: HashAlg,
    /// What the key may do.
    pub attributes: Attributes,
    /// The policy that authorises its use; empty if there is none.
    pub auth_policy: Vec<u8>,
    /// For storage keys.
    pub symmetric: Option<Symmetric>,
    /// For signing keys.
    pub scheme: Option<Scheme>,
    /// The key's numbers.
    pub material: KeyMaterial,
    /// The TPMT_PUBLIC itself, over which the Name is made.
    bytes: Vec<u8>,
}

impl PublicArea {
    /// Reads a TPM2B_PUBLIC; bytes behind it are refused.
    pub fn parse(tpm2b_public: &[u8]) -> Result<PublicArea, KeyError> {
        let mut outer = Reader::new(tpm2b_public);
        let length = outer.count_u16_be(MAX_PUBLIC, "a public area")?;
        let area = outer.sub(length, "a public area")?;
        outer.finish("the public key (TPM2B_PUBLIC)")?;
        PublicArea::parse_inner(area)
    }

    /// Reads a bare TPMT_PUBLIC, as some tools write it.
    pub fn parse_bare(tpmt_public: &[u8]) -> Result<PublicArea, KeyError> {
        PublicArea::parse_inner(Reader::new(tpmt_public))
    }

    fn parse_inner(mut r: Reader<'_>) -> Result<PublicArea, KeyError> {
        let bytes = r.clone().rest().to_vec();
        let start = r.offset();
        let kind = r.u16_be("the key's type")?;
        let name_alg = read_hash(
            &mut r,
            "the hash algorithm of the Name",
            "hash algorithm of the Name",
        )?;
        let attributes = Attributes(r.u32_be("the object attributes")?);
        let auth_policy = r.sized_u16_be(MAX_DIGEST, "the authorisation policy")?.to_vec();
        let symmetric = read_symmetric(&mut r)?;
        let scheme = read_scheme(&mut r)?;
        let material = match kind {
            alg::RSA => read_rsa(&mut r)?,
            alg::ECC => read_ecc(&mut r)?,
            found => {
                return Err(KeyError::Unknown {
                    offset: start,
                    what: "key type",
                    found,
                });
            }
        };
        r.finish("the public area (TPMT_PUBLIC)")?;
        Ok(PublicArea {
            name_alg,
            attributes,
            auth_policy,
            symmetric,
            scheme,
            material,
            bytes,
        })
    }

    /// The key's Name, computed here and not believed from anyone.
    pub fn name(&self) -> Name {
        Name::of(self.name_alg, &[&self.bytes])
    }
}

fn read_hash(r: &mut Reader<'_>, expected: &'static str, what: &'static str) -> Result<HashAlg, KeyError> {
    let offset = r.offset();
    let found = r.u16_be(expected)?;
    HashAlg::from_id(found).ok_or(KeyError::Unknown { offset, what, found })
}

fn read_symmetric(r: &mut Reader<'_>) -> Result<Option<Symmetric>, KeyError> {
    let offset = r.offset();
    let unknown = |offset, what, found| KeyError::Unknown { offset, what, found };
    match r.u16_be("the symmetric algorithm")? {
        alg::NULL => Ok(None),
        alg::AES => {
            let size_at = r.offset();
            let bits = r.u16_be("the symmetric key's size")?;
            let mode_at = r.offset();
            let mode = r.u16_be("the symmetric mode")?;
            if mode != alg::CFB {
                return Err(unknown(mode_at, "symmetric mode", mode));
            }
            match bits {
                128 => Ok(Some(Symmetric::Aes128)),
                256 => Ok(Some(Symmetric::Aes256)),
                found => Err(unknown(size_at, "size of an AES key", found)),
            }
        }
        found => Err(unknown(offset, "symmetric algorithm", found)),
    }
}

fn read_scheme(r: &mut Reader<'_>) -> Result<Option<Scheme>, KeyError> {
    let offset = r.offset();
    let id = r.u16_be("the signing scheme")?;
    if id == alg::NULL {
        return Ok(None);
    }
    let unknown = KeyError::Unknown {
        offset,
        what: "signing scheme",
        found: id,
    };
    if Scheme::from_id(id, HashAlg::Sha256).is_none() {
        return Err(unknown);
    }
    let hash = read_hash(r, "the hash of the signing scheme", "hash of a signing scheme")?;
    Scheme::from_id(id, hash).map(Some).ok_or(unknown)
}

fn read_rsa(r: &mut Reader<'_>) -> Result<KeyMaterial, KeyError> {
    let bits = r.u16_be("the modulus' size in bits")?;
    let exponent = match r.u32_be("the public exponent")? {
        0 => DEFAULT_EXPONENT,
        other => other,
    };
    let offset = r.offset();
    let modulus = r.sized_u16_be(MAX_MODULUS, "the modulus")?;
    if usize::from(bits) != modulus.len().saturating_mul(8) {
        return Err(KeyError::Length {
            offset,
            declared: usize::from(bits >> 3),
            found: modulus.len(),
        });
    }
    Ok(KeyMaterial::Rsa {
        modulus: modulus.to_vec(),
        exponent,
    })
}

fn read_ecc(r: &mut Reader<'_>) -> Result<KeyMaterial, KeyError> {
    let offset = r.offset();
    let id = r.u16_be("the curve")?;
    let curve = Curve::from_id(id).ok_or(KeyError::Unknown {
        offset,
        what: "curve",
        found: id,
    })?;
    let offset = r.offset();
    let kdf = r.u16_be("the key derivation scheme")?;
    if kdf != alg::NULL {
        return Err(KeyError::Unknown {
            offset,
            what: "key derivation scheme",
            found: kdf,
        });
    }
    // Some TPMs leave out the leading zeros of a coordinate.
    let mut coordinate = |what| -> Result<Vec<u8>, KeyError> {
        let offset = r.offset();
        let bytes = r.sized_u16_be(MAX_COORDINATE, what)?;
        let found = bytes.len();
        pad_left(bytes, curve.field_len()).ok_or(KeyError::Length {
            offset,
            declared: curve.field_len(),
            found,
        })
    };
    Ok(KeyMaterial::Ec {
        curve,
        x: coordinate("the point's x")?,
        y: coordinate("the point's y")?,
    })
}
