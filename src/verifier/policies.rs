//! Golden values from files: the policy and the digest lists beside it.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use lazaret_attest::policy::{Policy, PolicyError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The largest policy file or digest list: 150 000 digests with long paths are under 32 MiB.
const LIMIT: u64 = 64 * 1024 * 1024;

/// A policy and its lists as text: what a bundle carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyText {
    /// The TOML.
    pub toml: String,
    /// The digest lists by the name that the TOML uses.
    pub lists: BTreeMap<String, String>,
}

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
    /// The policy file or a list cannot be read.
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
}

/// Golden values, ready for use.
#[derive(Debug)]
pub struct Golden {
    /// Parsed.
    pub policy: Policy,
    /// As text.
    pub text: PolicyText,
}

impl PolicyText {
    /// Reads a policy file and the lists that it names, which lie in its folder or below.
    ///
    /// # Errors
    /// The file that cannot be read, or the line that is wrong.
    pub fn read(path: &Path) -> Result<(Self, Policy), PolicyFileError> {
        let toml = read_text(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => PolicyFileError::Missing {
                path: path.to_owned(),
            },
            _ => PolicyFileError::Unreadable {
                path: path.to_owned(),
                source,
            },
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut lists = BTreeMap::new();
        let policy = Policy::parse(&toml, &mut |name| {
            let list = beside(folder, name).and_then(|path| {
                read_text(&path).map_err(|error| format!("reading {}: {error}", path.display()))
            })?;
            lists.insert(name.to_owned(), list.clone());
            Ok(list)
        })
        .map_err(|source| PolicyFileError::Wrong {
            path: path.to_owned(),
            source,
        })?;
        Ok((Self { toml, lists }, policy))
    }

    /// Parses the text.
    ///
    /// # Errors
    /// The line that is wrong.
    pub fn parse(&self) -> Result<Policy, PolicyError> {
        Policy::parse(&self.toml, &mut |name| {
            self.lists
                .get(name)
                .cloned()
                .ok_or_else(|| format!("there is no list {name:?} here"))
        })
    }
}

/// Policies by file, read again when a file has changed. Hosts that share a file share one copy.
#[derive(Debug, Default)]
pub struct Policies {
    read: Mutex<HashMap<PathBuf, (Stamp, Arc<Golden>)>>,
}

/// Name, length and time of change of every file that a policy was read from.
type Stamp = Vec<(PathBuf, u64, Option<SystemTime>)>;

impl Policies {
    /// The golden values at `path`.
    ///
    /// # Errors
    /// The file that cannot be read, or the line that is wrong. A wrong file is never replaced by an older copy.
    pub fn at(&self, path: &Path) -> Result<Arc<Golden>, PolicyFileError> {
        let known = self.lock().get(path).cloned();
        if let Some((stamp, golden)) = known
            && stamp == stamp_of(stamp.iter().map(|(path, ..)| path.clone()))
        {
            return Ok(golden);
        }
        let (text, policy) = PolicyText::read(path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let files = std::iter::once(path.to_owned()).chain(text.lists.keys().map(|name| folder.join(name)));
        let stamp = stamp_of(files);
        let golden = Arc::new(Golden { policy, text });
        // A file that was written just now may be written again under the same stamp, or was while it was read: it is
        // used, and read again next time.
        if stamp.iter().all(|(_, _, changed)| changed.is_some_and(settled)) {
            self.lock().insert(path.to_owned(), (stamp, Arc::clone(&golden)));
        }
        Ok(golden)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, (Stamp, Arc<Golden>)>> {
        // Nothing panics while it is held, and a whole entry is put in at once.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a file must have been left alone. Reading takes less, and file systems count time in steps of less.
const SETTLED: Duration = Duration::from_secs(5);

fn settled(changed: SystemTime) -> bool {
    changed.elapsed().is_ok_and(|since| since > SETTLED)
}

fn stamp_of(files: impl Iterator<Item = PathBuf>) -> Stamp {
    files
        .map(|path| match fs::metadata(&path) {
            Ok(known) => (path, known.len(), known.modified().ok()),
            Err(_) => (path, u64::MAX, None),
        })
        .collect()
}

/// The path of a list, which a policy may only name in its own folder or below.
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

fn read_text(path: &Path) -> io::Result<String> {
    let file = fs::File::open(path)?;
    let mut text = String::new();
    if file.take(LIMIT + 1).read_to_string(&mut text)? as u64 > LIMIT {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it is larger than {LIMIT} bytes"),
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_outside_the_policys_folder_is_refused() {
        for name in ["../secret", "/etc/shadow", "a/../../b", ""] {
            assert!(beside(Path::new("/etc/lazaret/golden"), name).is_err(), "{name}");
        }
        assert_eq!(
            beside(Path::new("/g"), "lists/a.sha256"),
            Ok(PathBuf::from("/g/lists/a.sha256"))
        );
    }

    #[test]
    fn a_policy_that_changes_within_a_tick_of_its_clock_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cmp-1.toml");
        let write = |digit: &str| {
            let text = format!(
                "name = \"x\"\nversion = 1\n[pcrs.sha256]\n0 = [\"{}\"]\n",
                digit.repeat(64)
            );
            fs::write(&path, text).unwrap();
            // As two writings within one tick have it.
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(1))
                .unwrap();
        };
        let policies = Policies::default();
        write("a");
        let first = policies.at(&path).unwrap().policy.digest();
        write("b");
        assert_ne!(policies.at(&path).unwrap().policy.digest(), first);

        let old = SystemTime::now() - SETTLED - Duration::from_secs(60);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(old)
            .unwrap();
        let kept = policies.at(&path).unwrap();
        assert!(
            Arc::ptr_eq(&kept, &policies.at(&path).unwrap()),
            "read once when it has settled"
        );
    }

    #[test]
    fn a_missing_policy_says_how_to_make_one() {
        let error = Policies::default()
            .at(Path::new("/nonexistent/cmp-1.toml"))
            .unwrap_err();
        assert!(error.to_string().contains("golden capture"), "{error}");
    }
}
