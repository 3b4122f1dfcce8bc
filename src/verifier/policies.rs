//! Golden values from files: the policy, its signature, and the files beside it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
    string::FromUtf8Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use lazaret_attest::policy::{
    DigestForm, DigestList, DigestLists, FileError, Files, MAX_LIST, Policy, PolicyError, Reading,
    signed::{SignedError, Signers, SignersError},
};
use thiserror::Error;

pub use super::policy_text::{FileText, PolicyText};

/// The largest file that a policy is read from.
const LIMIT: u64 = MAX_LIST as u64;

/// Why golden values cannot be used.
#[derive(Debug, Error)]
pub enum PolicyFileError {
    /// The policy file is not there.
    #[error(
        "there are no golden values at {path}; capture them from a trusted host with `lazaret golden capture HOST --policy {path}`"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The policy, its signature or the allowed signers cannot be read.
    #[error("reading the golden values at {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error("the golden values at {path}: {source}")]
    Wrong {
        /// The policy file.
        path: PathBuf,
        /// Line and reason.
        source: PolicyError,
    },
    /// The allowed signers are wrong.
    #[error("the allowed signers at {path}: {source}")]
    Signers {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        source: SignersError,
    },
    /// A signature is demanded, and there is none.
    #[error(
        "the golden values at {path} are not signed, and appraisal.signers demands it; sign them: \
         ssh-keygen -Y sign -n lazaret-policy -f KEY {path}"
    )]
    Unsigned {
        /// The policy file.
        path: PathBuf,
    },
    /// The signature is none that counts.
    #[error("the golden values at {path}: {source}")]
    Signature {
        /// The policy file.
        path: PathBuf,
        /// Why not.
        source: SignedError,
    },
}

/// Golden values, ready for use.
#[derive(Debug)]
pub struct Golden {
    /// Parsed.
    pub policy: Policy,
    /// As text.
    pub text: PolicyText,
    /// Who may sign, where a signature is demanded.
    signers: Option<Signers>,
}

impl Golden {
    /// Whether the policy is signed by an allowed signer.
    pub fn is_signed(&self) -> bool {
        self.signers.is_some()
    }
}

/// How a policy file is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The host's model.
    pub model: Option<&'a str>,
    /// A base for other policies is wanted too, to look at.
    pub base: bool,
    /// Who must have signed it, and when that is asked, Unix seconds.
    pub signers: Option<(&'a Signers, i64)>,
}

impl PolicyText {
    /// Reads a policy file and the files that it names, which lie in its folder or below.
    ///
    /// # Errors
    /// The file that cannot be read, or the line that is wrong.
    pub fn read(path: &Path, wanted: &Wanted<'_>) -> Result<(Self, Policy), PolicyFileError> {
        read(path, wanted, &Shared::default()).map(|(text, policy, _)| (text, policy))
    }
}

/// The signature of a policy file: beside it, with `.sig` at its end.
pub fn signature_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// Reads an `allowed_signers` file.
///
/// # Errors
/// It cannot be read, or the line that is wrong.
pub fn signers_at(path: &Path) -> Result<Signers, PolicyFileError> {
    let text = text_of(path).map_err(|source| PolicyFileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    Signers::parse(&text).map_err(|source| PolicyFileError::Signers {
        path: path.to_owned(),
        source,
    })
}

fn read(
    path: &Path,
    wanted: &Wanted<'_>,
    shared: &Shared,
) -> Result<(PolicyText, Policy, Stamp), PolicyFileError> {
    // Each file's stamp is taken before it is read: one that is replaced meanwhile then has another, and is read again.
    let mut stamp = vec![one_stamp(path.to_owned())];
    let bytes = bytes_of(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => PolicyFileError::Missing {
            path: path.to_owned(),
        },
        _ => PolicyFileError::Unreadable {
            path: path.to_owned(),
            source,
        },
    })?;
    let toml = String::from_utf8(bytes).map_err(|error| PolicyFileError::Wrong {
        path: path.to_owned(),
        source: not_utf8(&error),
    })?;
    // The signature over the bytes first; what it does not cover is not parsed.
    let signature = match wanted.signers {
        Some((signers, now)) => {
            stamp.push(one_stamp(signature_of(path)));
            Some(signature(path, &toml, signers, now)?)
        }
        None => None,
    };
    let mut files = Beside {
        folder: path.parent().unwrap_or(Path::new(".")),
        shared,
        taken: BTreeMap::new(),
        stamp,
    };
    let reading = Reading {
        model: wanted.model,
        signed: signature.is_some(),
        base: wanted.base,
        form: DigestForm::Files,
    };
    let policy = Policy::read(&toml, &reading, &mut files).map_err(|source| PolicyFileError::Wrong {
        path: path.to_owned(),
        source,
    })?;
    let text = PolicyText {
        toml,
        lists: files.taken,
        model: wanted.model.map(str::to_owned),
        signature,
    };
    Ok((text, policy, files.stamp))
}

fn signature(path: &Path, toml: &str, signers: &Signers, now: i64) -> Result<String, PolicyFileError> {
    let beside = signature_of(path);
    let signature = text_of(&beside).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => PolicyFileError::Unsigned {
            path: path.to_owned(),
        },
        _ => PolicyFileError::Unreadable { path: beside, source },
    })?;
    signers
        .verify(toml.as_bytes(), &signature, now)
        .map_err(|source| PolicyFileError::Signature {
            path: path.to_owned(),
            source,
        })?;
    Ok(signature)
}

/// Policies by file and model, read again when a file has changed. Hosts that share a file share one copy, and policies
/// that share a digest list share that.
#[derive(Debug, Default)]
pub struct Policies {
    signers: Option<PathBuf>,
    read: Mutex<HashMap<FileAndModel, (Stamp, Arc<Golden>)>>,
    shared: Shared,
}

type FileAndModel = (PathBuf, Option<String>);

/// What every file that a policy was read from was.
type Stamp = Vec<OneStamp>;

/// A file as it is now, by what changes with its content: another file of the same name has another number, and a time
/// of writing that was set back leaves its trace in the time of change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OneStamp {
    path: PathBuf,
    /// None: it is not there.
    file: Option<Stat>,
    written: Option<SystemTime>,
}

/// Length, device, number, and time of change in seconds and nanoseconds.
type Stat = (u64, u64, u64, i64, i64);

impl Policies {
    /// Policies that must be signed by those of a file, if one is given.
    pub fn new(signers: Option<PathBuf>) -> Self {
        Self {
            signers,
            ..Self::default()
        }
    }

    /// The golden values at `path` for hosts of a model, at `now` (Unix seconds).
    ///
    /// # Errors
    /// The file that cannot be read, the line that is wrong, or why the signature does not count. A wrong file is never
    /// replaced by an older copy.
    pub fn at(&self, path: &Path, model: Option<&str>, now: i64) -> Result<Arc<Golden>, PolicyFileError> {
        let key = (path.to_owned(), model.map(str::to_owned));
        let known = lock(&self.read).get(&key).cloned();
        if let Some((stamp, golden)) = known
            && stamp.iter().all(|one| *one == one_stamp(one.path.clone()))
        {
            still_signed(path, &golden, now)?;
            return Ok(golden);
        }
        let of_signers = self.signers.clone().map(one_stamp);
        let signers = self.signers.as_deref().map(signers_at).transpose()?;
        let wanted = Wanted {
            model,
            base: false,
            signers: signers.as_ref().map(|signers| (signers, now)),
        };
        let (text, policy, mut stamp) = read(path, &wanted, &self.shared)?;
        stamp.extend(of_signers);
        let golden = Arc::new(Golden {
            policy,
            text,
            signers,
        });
        // A file that was written just now may be written again under the same stamp, or was while it was read: it is
        // used, and read again next time.
        if stamp.iter().all(is_settled) {
            lock(&self.read).insert(key, (stamp, Arc::clone(&golden)));
        }
        Ok(golden)
    }
}

/// A signer's time may have ended since the file was read.
fn still_signed(path: &Path, golden: &Golden, now: i64) -> Result<(), PolicyFileError> {
    let Golden { text, signers, .. } = golden;
    if let Some(signers) = signers {
        let signature = text.signature.as_deref().unwrap_or_default();
        signers
            .verify(text.toml.as_bytes(), signature, now)
            .map_err(|source| PolicyFileError::Signature {
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(())
}

/// Digest lists that are in use, by content and by file.
#[derive(Debug, Default)]
struct Shared {
    lists: Mutex<DigestLists>,
    by_file: Mutex<HashMap<PathBuf, (OneStamp, Weak<DigestList>)>>,
}

impl Shared {
    fn list(&self, path: &Path) -> Result<Arc<DigestList>, FileError> {
        let stamp = one_stamp(path.to_owned());
        let known = lock(&self.by_file).get(path).cloned();
        if let Some((before, list)) = known
            && before == stamp
            && let Some(list) = list.upgrade()
        {
            return Ok(list);
        }
        let bytes = bytes_of(path).map_err(|error| FileError {
            line: None,
            reason: format!("reading {}: {error}", path.display()),
        })?;
        let list = lock(&self.lists).intern(bytes)?;
        let mut by_file = lock(&self.by_file);
        by_file.retain(|_, (_, list)| list.strong_count() > 0);
        if is_settled(&stamp) {
            by_file.insert(path.to_owned(), (stamp, Arc::downgrade(&list)));
        }
        Ok(list)
    }
}

/// The files in a policy's folder and below.
struct Beside<'a> {
    folder: &'a Path,
    shared: &'a Shared,
    taken: BTreeMap<String, FileText>,
    stamp: Stamp,
}

impl Files for Beside<'_> {
    fn bytes(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let path = beside(self.folder, name)?;
        self.stamp.push(one_stamp(path.clone()));
        let bytes = bytes_of(&path).map_err(|error| format!("reading {}: {error}", path.display()))?;
        self.taken
            .insert(name.to_owned(), FileText::Bytes(bytes.clone().into()));
        Ok(bytes)
    }

    fn list(&mut self, name: &str) -> Result<Arc<DigestList>, FileError> {
        let path = beside(self.folder, name).map_err(|reason| FileError { line: None, reason })?;
        self.stamp.push(one_stamp(path.clone()));
        let list = self.shared.list(&path)?;
        self.taken
            .insert(name.to_owned(), FileText::List(Arc::clone(&list)));
        Ok(list)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held, and a whole entry is put in at once.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a file must have been left alone. Reading takes less, and file systems count time in steps of less.
const SETTLED: Duration = Duration::from_secs(5);

fn is_settled(stamp: &OneStamp) -> bool {
    stamp
        .written
        .is_some_and(|written| written.elapsed().is_ok_and(|since| since > SETTLED))
}

fn one_stamp(path: PathBuf) -> OneStamp {
    let known = fs::metadata(&path).ok();
    OneStamp {
        path,
        file: known.as_ref().map(|known| {
            (
                known.len(),
                known.dev(),
                known.ino(),
                known.ctime(),
                known.ctime_nsec(),
            )
        }),
        written: known.and_then(|known| known.modified().ok()),
    }
}

/// The path of a file, which a policy may only name in its own folder or below.
fn beside(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let path = Path::new(name);
    if path.components().all(|part| matches!(part, Component::Normal(_))) && !name.is_empty() {
        Ok(folder.join(path))
    } else {
        Err(format!(
            "{name:?} must be a file in the policy's own folder or below it"
        ))
    }
}

fn not_utf8(error: &FromUtf8Error) -> PolicyError {
    let good = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
    PolicyError {
        file: None,
        line: good.filter(|byte| **byte == b'\n').count() + 1,
        reason: "there are bytes here that are no UTF-8, so this is no policy".to_owned(),
    }
}

fn text_of(path: &Path) -> io::Result<String> {
    let bytes = bytes_of(path)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    let mut bytes = Vec::new();
    if file.take(LIMIT + 1).read_to_end(&mut bytes)? as u64 > LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {LIMIT} bytes"),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
