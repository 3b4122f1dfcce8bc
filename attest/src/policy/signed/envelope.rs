//! SSHSIG: the armour and the fields of an OpenSSH signature (PROTOCOL.sshsig).

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::pcr::HashAlg;
use crate::reader::{ReadError, Reader};

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";

/// Longest armoured text: a signature by RSA-16384, with room for a long name of a security key.
const MAX_TEXT: usize = 16 * 1024;

/// Longest field.
const MAX_FIELD: usize = 8 * 1024;

/// Why a text is no OpenSSH signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// No armour, or something else within it.
    #[error("expected a block from \"{BEGIN}\" to \"{END}\" with base64 between")]
    Armour,
    /// Fields that are cut, too long or left over.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Other bytes than SSHSIG begins with.
    #[error("at byte 0: expected SSHSIG")]
    Magic,
    /// A version that is not known here.
    #[error("version {0}; only 1 is known here")]
    Version(u32),
    /// A hash that OpenSSH does not use, or no longer.
    #[error("the hash algorithm \"{0}\"; sha256 and sha512 are used here")]
    Hash(String),
}

/// A signature, split; nothing in it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    /// The signer's public key, in SSH's form.
    pub(super) key: Vec<u8>,
    /// What it was made for.
    pub(super) namespace: Vec<u8>,
    reserved: Vec<u8>,
    hash_name: Vec<u8>,
    hash: HashAlg,
    /// The signature itself, in SSH's form.
    pub(super) signature: Vec<u8>,
}

impl Envelope {
    pub(super) fn parse(text: &str) -> Result<Self, EnvelopeError> {
        let bytes = dearmour(text).ok_or(EnvelopeError::Armour)?;
        let mut r = Reader::new(&bytes);
        if r.take(6, "SSHSIG")? != b"SSHSIG" {
            return Err(EnvelopeError::Magic);
        }
        let version = r.u32_be("the version")?;
        if version != 1 {
            return Err(EnvelopeError::Version(version));
        }
        let key = string(&mut r, "the public key")?.to_vec();
        let namespace = string(&mut r, "the namespace")?.to_vec();
        let reserved = string(&mut r, "the reserved field")?.to_vec();
        let hash_name = string(&mut r, "the hash algorithm")?.to_vec();
        let signature = string(&mut r, "the signature")?.to_vec();
        r.finish("the signature (SSHSIG)")?;
        let hash = match hash_name.as_slice() {
            b"sha256" => HashAlg::Sha256,
            b"sha512" => HashAlg::Sha512,
            other => {
                return Err(EnvelopeError::Hash(
                    String::from_utf8_lossy(other).escape_debug().to_string(),
                ));
            }
        };
        Ok(Self {
            key,
            namespace,
            reserved,
            hash_name,
            hash,
            signature,
        })
    }

    /// The bytes that the key signed, if it signed `message`.
    pub(super) fn signed_bytes(&self, message: &[u8]) -> Vec<u8> {
        let mut bytes = b"SSHSIG".to_vec();
        for field in [
            self.namespace.as_slice(),
            &self.reserved,
            &self.hash_name,
            &self.hash.digest(message),
        ] {
            bytes.extend(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend(field);
        }
        bytes
    }
}

/// A field behind its length.
pub(super) fn string<'a>(r: &mut Reader<'a>, expected: &'static str) -> Result<&'a [u8], ReadError> {
    let length = r.count_u32_be(MAX_FIELD, expected)?;
    r.take(length, expected)
}

fn dearmour(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let inner = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let digits: String = inner.split_ascii_whitespace().collect();
    STANDARD.decode(digits).ok()
}
