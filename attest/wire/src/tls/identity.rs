//! One's own TLS key and certificate: made at first use, kept in one private file.

use std::{
    fmt, fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use zeroize::Zeroizing;

use super::pin::{Pin, spki_sha256};

/// Key and certificate in one file, so that the two can never be of different makings.
const FILE: &str = "tls.pem";

/// Tells the drafts of one process apart.
static DRAFTS: AtomicU32 = AtomicU32::new(0);

/// A private key, its certificate (and chain), and the pin by which the other end knows it.
pub struct TlsIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pin: Pin,
}

/// An identity that cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file system refuses.
    #[error("cannot {attempt} {path}: {source}")]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// Where.
        path: PathBuf,
        /// What came back.
        source: io::Error,
    },
    /// Others may read the private key.
    #[error(
        "{path} holds a private key and has mode {mode:04o}; others could read it: chmod 600 {path}, and consider the key known"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not what it should be.
    #[error(
        "{path} does not hold {wanted}: {reason}; restore it, or remove it to make a new identity that must be pinned anew"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
        /// What came back.
        reason: String,
    },
    /// A key could not be made.
    #[error("cannot make a TLS key for {name}: {reason}")]
    NotMade {
        /// The name in the certificate.
        name: String,
        /// What came back.
        reason: String,
    },
}

impl TlsIdentity {
    /// The identity in `directory`, made there (P-256, self-signed for `name`) if there is none. Two processes that make one at the
    /// same time get the same one.
    pub fn load_or_make(directory: &Path, name: &str) -> Result<Self, IdentityError> {
        let path = directory.join(FILE);
        if !path.try_exists().map_err(failed("look for", &path))? {
            make(directory, &path, name)?;
        }
        Self::open(&path, &path, 0o077)
    }

    /// An identity from the operator's own PKI: a PEM chain, leaf first, and its key. A group may read the key; the world may not.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        Self::open(certificate, key, 0o007)
    }

    /// How the other end knows this identity.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// The certificate chain, leaf first.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    fn open(certificate: &Path, key: &Path, forbidden: u32) -> Result<Self, IdentityError> {
        let mode = fs::metadata(key).map_err(failed("read", key))?.mode() & 0o7777;
        if mode & forbidden != 0 {
            return Err(IdentityError::Exposed {
                path: key.to_owned(),
                mode,
            });
        }
        let pem = Zeroizing::new(fs::read(key).map_err(failed("read", key))?);
        let key_der = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|error| malformed(key, "a private key in PEM", &error))?;
        let pem = Zeroizing::new(fs::read(certificate).map_err(failed("read", certificate))?);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|error| malformed(certificate, "a certificate in PEM", &error))?;
        let leaf = chain
            .first()
            .ok_or_else(|| malformed(certificate, "a certificate in PEM", &"there is none"))?;
        let pin =
            spki_sha256(leaf).map_err(|error| malformed(certificate, "an X.509 v3 certificate", &error))?;
        Ok(Self {
            chain,
            key: key_der,
            pin,
        })
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TlsIdentity({}, key hidden)", self.pin)
    }
}

fn make(directory: &Path, path: &Path, name: &str) -> Result<(), IdentityError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed("make directory", directory))?;
    let pem = self_signed(name)?;
    let draft = directory.join(format!(
        "{FILE}.{}-{}",
        std::process::id(),
        DRAFTS.fetch_add(1, Ordering::Relaxed)
    ));
    let drafted = write_private(&draft, pem.as_bytes()).and_then(|()| {
        // A link fails where a rename would replace: whoever is first wins, and the other reads the first one's.
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    });
    let removed = fs::remove_file(&draft);
    drafted.map_err(failed("write", path))?;
    removed.map_err(failed("remove", &draft))?;
    fs::File::open(directory)
        .and_then(|d| d.sync_all())
        .map_err(failed("sync", directory))
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn self_signed(name: &str) -> Result<Zeroizing<String>, IdentityError> {
    let fail = |error: rcgen::Error| IdentityError::NotMade {
        name: name.to_owned(),
        reason: error.to_string(),
    };
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(fail)?;
    let mut params = rcgen::CertificateParams::new(Vec::new()).map_err(fail)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let certificate = params.self_signed(&key).map_err(fail)?;
    let key = Zeroizing::new(key.serialize_pem());
    Ok(Zeroizing::new(format!("{}{}", *key, certificate.pem())))
}

fn failed(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::Io {
        attempt,
        path,
        source,
    }
}

fn malformed(path: &Path, wanted: &'static str, reason: &dyn fmt::Display) -> IdentityError {
    IdentityError::Malformed {
        path: path.to_owned(),
        wanted,
        reason: reason.to_string(),
    }
}
