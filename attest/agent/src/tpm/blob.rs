//! The attestation key's blob in the state directory. The TPM wraps the private part: only this TPM can load it.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use lazaret_wire::EkKind;
use serde::{Deserialize, Serialize};

use super::TpmError;

const FILE: &str = "ak.cbor";

/// The form of the file below.
const VERSION: u16 = 1;

/// A blob is a public area and a wrapped private one: under 2 KiB.
const LARGEST: u64 = 64 * 1024;

/// What is needed to load the key again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Blob {
    version: u16,
    /// Which EK is its parent.
    pub(super) parent: EkKind,
    /// That EK, TPM2B_PUBLIC: tells a replaced TPM from a damaged file.
    #[serde(with = "serde_bytes")]
    pub(super) parent_public: Vec<u8>,
    /// TPM2B_PUBLIC.
    #[serde(with = "serde_bytes")]
    pub(super) public: Vec<u8>,
    /// The wrapped private part.
    #[serde(with = "serde_bytes")]
    pub(super) private: Vec<u8>,
}

impl Blob {
    pub(super) fn new(parent: EkKind, parent_public: Vec<u8>, public: Vec<u8>, private: Vec<u8>) -> Self {
        Self {
            version: VERSION,
            parent,
            parent_public,
            public,
            private,
        }
    }

    pub(super) fn path(directory: &Path) -> PathBuf {
        directory.join(FILE)
    }

    /// The saved key, if there is one.
    pub(super) fn load(directory: &Path) -> Result<Option<Self>, TpmError> {
        let path = Self::path(directory);
        let fail = |source| TpmError::Blob {
            attempt: "read",
            path: path.clone(),
            source,
        };
        let damaged = |reason: String| TpmError::BlobDamaged {
            path: path.clone(),
            reason,
        };
        let size = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        if size > LARGEST {
            return Err(damaged(format!("it has {size} bytes")));
        }
        let bytes = fs::read(&path).map_err(fail)?;
        let blob: Self =
            ciborium::from_reader(&bytes[..]).map_err(|_| damaged("it does not parse".to_owned()))?;
        if blob.version != VERSION {
            return Err(damaged(format!("it has version {}", blob.version)));
        }
        Ok(Some(blob))
    }

    /// Replaces the saved key: after a crash there is the old one or the new one, whole.
    pub(super) fn save(&self, directory: &Path) -> Result<(), TpmError> {
        let path = Self::path(directory);
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes).map_err(|error| TpmError::BlobDamaged {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        replace(directory, &path, &bytes).map_err(|source| TpmError::Blob {
            attempt: "write",
            path,
            source,
        })
    }
}

fn replace(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let draft = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_key_comes_back_and_damage_is_named() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Blob::load(directory.path()).unwrap(), None);
        let blob = Blob::new(EkKind::Rsa2048, vec![1], vec![2, 3], vec![4]);
        blob.save(directory.path()).unwrap();
        assert_eq!(Blob::load(directory.path()).unwrap(), Some(blob));
        let path = Blob::path(directory.path());
        let whole = fs::read(&path).unwrap();
        for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            let error = Blob::load(directory.path()).unwrap_err();
            assert!(
                matches!(error, TpmError::BlobDamaged { .. }),
                "cut at {cut}: {error}"
            );
            assert!(error.to_string().contains("--new-identity"), "{error}");
        }
    }
}
