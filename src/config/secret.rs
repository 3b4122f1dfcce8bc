//! Secrets: where one is kept, how it is read late, and how it is never shown.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;
use uuid::Uuid;
use zeroize::Zeroizing;

/// No password or token is longer; a larger file is some other file.
const LONGEST_SECRET: u64 = 64 * 1024;

/// The directory that systemd puts a service's credentials into.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// A password or token. Overwritten in memory when dropped, never shown by `Debug`, not serializable.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text as a secret.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Somebody else's words without this secret, also where they were cut in the middle of it.
    pub fn hidden_in(&self, words: &str) -> String {
        let secret = self.expose();
        // Also as it stands in quotes of Rust's libraries.
        let escaped = Zeroizing::new(secret.escape_debug().to_string());
        let mut clean = words
            .replace(secret, "(hidden)")
            .replace(escaped.as_str(), "(hidden)");
        let begun = secret
            .char_indices()
            .map(|(at, _)| at)
            .rev()
            .filter(|at| *at >= 4)
            .find(|at| secret.get(..*at).is_some_and(|half| clean.ends_with(half)));
        if let Some(half) = begun {
            clean.truncate(clean.len() - half);
            clean.push_str("(hidden)");
        }
        clean
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Where a secret is kept. It is read when it is needed, so that a changed password needs no restart.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// A file that holds nothing but the secret; one newline at its end is ignored.
    File(PathBuf),
    /// A credential that systemd passes to the service (`LoadCredential=`), by name.
    Credential(String),
    /// In the configuration itself; only where `allow_inline_secrets` is set.
    Inline(Secret),
    /// In barbican; fetched with the daemon's account ([`crate::secrets::Secrets`]).
    Barbican(BarbicanRef),
}

/// Which of barbican's secrets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BarbicanRef {
    /// By its id. Its payload never changes.
    Id(Uuid),
    /// The newest active one of this name, among those that the daemon's project has.
    Name(String),
}

impl FromStr for BarbicanRef {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(name) = text.strip_prefix("name:") {
            let fits = (1..=255).contains(&name.len()) && !name.chars().any(char::is_control);
            return fits.then(|| Self::Name(name.to_owned())).ok_or(());
        }
        if let Ok(id) = Uuid::parse_str(text) {
            return Ok(Self::Id(id));
        }
        // Of an address only the id counts: our token goes to the catalogue's barbican and nowhere else.
        let url = Url::parse(text).map_err(drop)?;
        let (before, id) = url.path().rsplit_once('/').ok_or(())?;
        let id = Uuid::parse_str(id).map_err(drop)?;
        before.ends_with("/secrets").then_some(Self::Id(id)).ok_or(())
    }
}

impl fmt::Display for BarbicanRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Name(name) => write!(f, "named \"{name}\""),
        }
    }
}

/// Why a secret could not be read. Never holds any part of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("reading the secret in {}: {source}; the file must exist and be readable by the user that runs lazaret", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The file is empty.
    #[error("the secret in {} is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is too large for a secret.
    #[error("{} is larger than {LONGEST_SECRET} bytes: it cannot be a secret", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is not text.
    #[error("the secret in {} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// No credentials were passed by systemd.
    #[error(
        "the systemd credential \"{name}\" is not there: ${CREDENTIALS_DIRECTORY} is not set; \
         add LoadCredential={name}:/path/to/file to the unit, or use a file instead"
    )]
    NoCredentials {
        /// The credential asked for.
        name: String,
    },
    /// barbican does not give it.
    #[error("fetching barbican's secret {of}: {why}")]
    Barbican {
        /// Which one.
        of: BarbicanRef,
        /// What came back.
        why: String,
    },
}

impl SecretSource {
    /// Reads the secret now, where it is on this machine.
    pub fn read(&self) -> Result<Secret, SecretError> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => read_file(path),
            Self::Credential(name) => read_file(&credential_path(name)?),
            // The account that fetches from barbican is not kept in barbican; the configuration refuses that.
            Self::Barbican(of) => Err(SecretError::Barbican {
                of: of.clone(),
                why: "it cannot be read without the cloud".to_owned(),
            }),
        }
    }

    /// What is wrong with how the secret is kept, each with what to do about it.
    pub fn weaknesses(&self, keeper: &Keeper) -> Vec<(String, String)> {
        match self {
            Self::Inline(_) => vec![(
                "it is written in the configuration itself".to_owned(),
                "keep it in a file of its own, readable by the daemon only, and name that as .._file"
                    .to_owned(),
            )],
            Self::File(path) => file_weaknesses(path, keeper),
            Self::Credential(_) | Self::Barbican(_) => Vec::new(),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Credential(name) => write!(f, "systemd credential {name}"),
            Self::Inline(_) => f.write_str("the configuration itself"),
            Self::Barbican(of) => write!(f, "barbican's secret {of}"),
        }
    }
}

fn credential_path(name: &str) -> Result<PathBuf, SecretError> {
    let directory = std::env::var_os(CREDENTIALS_DIRECTORY).ok_or_else(|| SecretError::NoCredentials {
        name: name.to_owned(),
    })?;
    Ok(Path::new(&directory).join(name))
}

fn read_file(path: &Path) -> Result<Secret, SecretError> {
    let read = |source| SecretError::Read {
        path: path.to_owned(),
        source,
    };
    // One allocation of the final size, so that growing leaves no copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(LONGEST_SECRET + 1).unwrap_or(0),
    ));
    File::open(path)
        .map_err(read)?
        .take(LONGEST_SECRET + 1)
        .read_to_end(&mut bytes)
        .map_err(read)?;
    if bytes.len() as u64 > LONGEST_SECRET {
        return Err(SecretError::TooLong {
            path: path.to_owned(),
        });
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NotText {
        path: path.to_owned(),
    })?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(SecretError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(Secret::new(text.to_owned()))
}

/// Who may keep the daemon's secrets: its user and root, and their groups.
#[derive(Debug, Clone, Default)]
pub struct Keeper {
    /// User ids.
    pub users: Vec<u32>,
    /// Group ids.
    pub groups: Vec<u32>,
}

/// A file that the daemon's own group reads is common (root:lazaret 0640) and allowed.
fn file_weaknesses(path: &Path, keeper: &Keeper) -> Vec<(String, String)> {
    use std::os::unix::fs::MetadataExt as _;
    // A link is judged by where it leads.
    let Ok(path) = std::fs::canonicalize(path) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let Ok(file) = std::fs::metadata(&path) else {
        return all;
    };
    let (shown, mode) = (path.display(), file.mode() & 0o777);
    if mode & 0o007 != 0 {
        all.push((
            format!("{shown} is open to every user of this machine (mode {mode:04o})"),
            format!("chmod o-rwx {shown}"),
        ));
    }
    if mode & 0o020 != 0 {
        all.push((
            format!("the group {} can write {shown} (mode {mode:04o})", file.gid()),
            format!("chmod g-w {shown}"),
        ));
    } else if mode & 0o040 != 0 && !keeper.groups.contains(&file.gid()) {
        all.push((
            format!(
                "the group {} can read {shown}, and is not the daemon's (mode {mode:04o})",
                file.gid()
            ),
            format!("chgrp lazaret {shown}, or chmod g-r {shown}"),
        ));
    }
    if !keeper.users.contains(&file.uid()) {
        all.push((
            format!(
                "{shown} belongs to user {}, who is neither root nor the daemon",
                file.uid()
            ),
            format!("chown root {shown}"),
        ));
    }
    for directory in path.ancestors().skip(1) {
        let Ok(found) = std::fs::metadata(directory) else {
            continue;
        };
        // In a sticky directory, as /tmp is, nobody replaces another's file.
        let mode = found.mode() & 0o7777;
        if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            let shown = directory.display();
            all.push((
                format!("whoever can write {shown} can put another file in its place (mode {mode:04o})"),
                format!("chmod go-w {shown}"),
            ));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn kept(bytes: &[u8], mode: u32) -> (tempfile::TempDir, SecretSource) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (directory, SecretSource::File(path))
    }

    #[test]
    fn one_newline_at_the_end_is_not_part_of_the_secret() {
        for (bytes, secret) in [
            (&b"pa ss"[..], "pa ss"),
            (b"pass\n", "pass"),
            (b"pass\r\n", "pass"),
            (b"pass\n\n", "pass\n"),
            (b" pass ", " pass "),
        ] {
            let (_directory, source) = kept(bytes, 0o600);
            assert_eq!(source.read().unwrap().expose(), secret);
        }
    }

    #[test]
    fn a_file_that_holds_no_secret_is_refused_by_name() {
        for bytes in [&b""[..], b"\n", b"\xff\xfe", &[b'a'; 70_000]] {
            let (_directory, source) = kept(bytes, 0o600);
            let error = source.read().unwrap_err().to_string();
            assert!(error.contains("password"), "{error}");
        }
        let error = SecretSource::File("/nonexistent/pw".into())
            .read()
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nonexistent/pw"), "{error}");
    }

    #[test]
    fn who_else_could_read_or_replace_a_secret_is_told() {
        let (directory, source) = kept(b"x", 0o600);
        let SecretSource::File(path) = &source else {
            unreachable!()
        };
        use std::os::unix::fs::MetadataExt as _;
        let owner = std::fs::metadata(path).unwrap();
        let keeper = Keeper {
            users: vec![owner.uid()],
            groups: vec![owner.gid()],
        };
        let words = |mode, keeper: &Keeper| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            source
                .weaknesses(keeper)
                .into_iter()
                .map(|(what, _)| what)
                .collect::<Vec<_>>()
                .join("; ")
        };
        for (mode, expected) in [
            (0o600, ""),
            (0o640, ""),
            (0o644, "open to every user"),
            (0o602, "open to every user"),
            (0o660, "can write"),
        ] {
            let found = words(mode, &keeper);
            assert!(
                found.contains(expected) && found.is_empty() == expected.is_empty(),
                "{mode:o}: {found}"
            );
        }
        let stranger = Keeper::default();
        let found = words(0o640, &stranger);
        assert!(
            found.contains("is not the daemon's") && found.contains("belongs to user"),
            "{found}"
        );
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o770)).unwrap();
        let found = words(0o600, &keeper);
        assert!(found.contains("another file in its place"), "{found}");
        let inline = SecretSource::Inline(Secret::new("x".into()));
        assert_eq!(inline.weaknesses(&keeper).len(), 1);
    }

    #[test]
    fn barbicans_secrets_are_named_by_id_address_or_name() {
        let id = "6f1d9cf0-63ce-4f0b-a9c8-2e7f4b1d1c55";
        for text in [
            id.to_owned(),
            format!("https://key-manager.example:9311/v1/secrets/{id}"),
        ] {
            assert_eq!(text.parse(), Ok(BarbicanRef::Id(id.parse().unwrap())), "{text}");
        }
        assert_eq!(
            "name:bmc cmp-1".parse(),
            Ok(BarbicanRef::Name("bmc cmp-1".into()))
        );
        let containers = format!("https://k/v1/containers/{id}");
        for wrong in [
            "",
            "bmc",
            "name:",
            "name:a\nb",
            "https://k/v1/secrets/1",
            &containers,
        ] {
            assert_eq!(wrong.parse::<BarbicanRef>(), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_taken_out_of_others_words_whole_and_in_part() {
        let secret = Secret::new("pässword-1".into());
        let hidden = |words: &str| secret.hidden_in(words);
        assert_eq!(hidden("no pässword-1, pässword-1"), "no (hidden), (hidden)");
        assert_eq!(hidden("cut after pässw"), "cut after (hidden)");
        assert_eq!(hidden("as it is pä"), "as it is pä");
    }

    #[test]
    fn no_secret_is_shown() {
        let source = SecretSource::Inline(Secret::new("hunter2".into()));
        assert!(!format!("{source:?} {source} {:?}", source.read()).contains("hunter2"));
    }
}
