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

/// What a directory of roots holds.
#[derive(Debug)]
pub struct Directory {
    /// The certificates and revocation lists.
    pub roots: Roots,
    /// The files that are neither and do not say that they are: a README, a licence.
    pub passed_over: Vec<String>,
}

/// How the names of files end that hold certificates or revocation lists.
const ENDINGS: [&str; 6] = ["pem", "crt", "cer", "cert", "der", "crl"];

/// Reads every file of the directory whose name does not begin with a dot.
///
/// # Errors
/// A file that cannot be read, and one that should be a certificate or a revocation list by its name or its first bytes
/// and is none: a directory of roots with a surprise in it is not used at all.
pub fn read(directory: &Path) -> Result<Directory, RootsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| RootsError::Unreadable { path, source }
    };
    let (mut files, mut passed_over) = (Vec::new(), Vec::new());
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
        let bytes = fs::read(&path).map_err(unreadable(&path))?;
        if should_be_one(&path, &bytes) {
            files.push((name, bytes));
        } else {
            passed_over.push(name);
        }
    }
    files.sort();
    passed_over.sort();
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
    Ok(Directory { roots, passed_over })
}

/// By name, or by how PEM and DER begin.
fn should_be_one(path: &Path, bytes: &[u8]) -> bool {
    let named = path.extension().is_some_and(|found| {
        let found = found.to_string_lossy().to_ascii_lowercase();
        ENDINGS.contains(&found.as_str())
    });
    const BEGIN: &[u8] = b"-----BEGIN ";
    named || bytes.first() == Some(&0x30) || bytes.windows(BEGIN.len()).any(|window| window == BEGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker() -> Vec<u8> {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn a_licence_beside_the_certificates_is_passed_over_and_a_broken_certificate_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        put("LICENSE.source", b"Apache License\n");
        assert!(matches!(read(dir.path()), Err(RootsError::Empty { .. })));
        let der = maker();
        put("maker.der", &der);
        put(".hidden", b"x");
        let read_dir = read(dir.path()).unwrap();
        assert_eq!(read_dir.roots.len(), 1);
        assert_eq!(read_dir.passed_over, ["LICENSE.source"]);
        // By its name, by how DER begins, by a PEM block.
        let broken: [(&str, &[u8]); 3] = [
            ("empty.PEM", b""),
            ("no ending", &der[..der.len() - 1]),
            (
                "text",
                b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n",
            ),
        ];
        for (name, bytes) in broken {
            put(name, bytes);
            let error = read(dir.path()).unwrap_err();
            assert!(matches!(error, RootsError::Wrong { .. }), "{name}: {error}");
            fs::remove_file(dir.path().join(name)).unwrap();
        }
    }
}
