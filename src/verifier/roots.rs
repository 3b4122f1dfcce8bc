//! The TPM makers' certificates that the operator trusts, from a directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use lazaret_attest::endorsement::{EndorsementError, Roots};
use thiserror::Error;

/// The largest certificate file; a bundle of every maker's roots is under 200 KiB.
const LIMIT: u64 = 4 * 1024 * 1024;

/// Why the roots cannot be used.
#[derive(Debug, Error)]
pub enum RootsError {
    /// The directory or a file in it.
    #[error("reading the TPM makers' certificates at {path}: {source}")]
    Unreadable {
        /// Directory or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is no certificate.
    #[error("the TPM makers' certificates in {directory}: {source}")]
    Wrong {
        /// The directory.
        directory: PathBuf,
        /// Which file, and why.
        source: EndorsementError,
    },
    /// No certificate at all.
    #[error(
        "there is no certificate in {directory}; put your TPM makers' root and intermediate certificates there (PEM or DER)"
    )]
    Empty {
        /// The directory.
        directory: PathBuf,
    },
}

/// Reads every file of the directory whose name does not begin with a dot.
///
/// # Errors
/// A file that cannot be read or is no certificate: a directory of roots with a surprise in it is not used at all.
pub fn read(directory: &Path) -> Result<Roots, RootsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| RootsError::Unreadable { path, source }
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable(directory))? {
        let path = entry.map_err(unreadable(directory))?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.starts_with('.') || path.is_dir() {
            continue;
        }
        let known = fs::metadata(&path).map_err(unreadable(&path))?;
        if known.len() > LIMIT {
            let source = io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it is larger than {LIMIT} bytes"),
            );
            return Err(RootsError::Unreadable { path, source });
        }
        files.push((name, fs::read(&path).map_err(unreadable(&path))?));
    }
    files.sort();
    let roots = Roots::from_pem_or_der(
        files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
    )
    .map_err(|source| RootsError::Wrong {
        directory: directory.to_owned(),
        source,
    })?;
    if roots.is_empty() {
        return Err(RootsError::Empty {
            directory: directory.to_owned(),
        });
    }
    Ok(roots)
}
