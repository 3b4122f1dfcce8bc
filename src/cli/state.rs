//! Who else could change what the daemon remembers: owner and mode of the database and of the verifier's key.
//!
//! Whoever writes the database can open and release cases and replace pinned keys; whoever writes beside the key can put
//! another in its place. The daemon does not begin then.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::config::Config;

/// Something about the daemon's own files that should not be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong.
    pub what: String,
    /// The command that mends it.
    pub remedy: String,
    /// Whether the daemon refuses to begin.
    pub refused: bool,
}

/// The write-ahead log and its index lie beside the database.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];

/// Everything that is wrong with the database, the key, and the directories that they lie in. What is not there yet is
/// right.
pub fn faults(config: &Config) -> Vec<Fault> {
    let mut all = Vec::new();
    let database = &config.store.path;
    if let Some(directory) = database.parent() {
        all.extend(fault(directory, true));
    }
    for ending in BESIDE {
        let mut name = database.clone().into_os_string();
        name.push(ending);
        all.extend(fault(Path::new(&name), true));
    }
    let identity = &config.identity.directory;
    all.extend(fault(identity, false));
    all.extend(fault(&identity.join("tls.pem"), false));
    all
}

/// What is wrong with one of them. A group may read the database, and nobody else may; of the key's own mode its reader
/// judges.
fn fault(path: &Path, group_may_read: bool) -> Option<Fault> {
    let found = fs::metadata(path).ok()?;
    let (mode, us) = (found.mode() & 0o7777, own_uid());
    let said = |what: String, remedy: String, refused| {
        Some(Fault {
            path: path.to_owned(),
            what,
            remedy,
            refused,
        })
    };
    let shown = path.display();
    // Root may look at the state of a daemon that runs as somebody else.
    if us != 0 && found.uid() != us && found.uid() != 0 {
        let what = format!(
            "it belongs to user {}, and this program runs as user {us}",
            found.uid()
        );
        return said(
            what,
            format!("chown it to the daemon's user: chown lazaret {shown}"),
            true,
        );
    }
    if mode & 0o002 != 0 {
        let what = format!("every user of this machine can write it (mode {mode:04o})");
        return said(what, format!("chmod o-rwx {shown}"), true);
    }
    if mode & 0o020 != 0 {
        let what = format!("its group can write it (mode {mode:04o})");
        return said(what, format!("chmod g-w {shown}"), false);
    }
    if mode & 0o007 != 0 && group_may_read {
        let what = format!("every user of this machine can look into it (mode {mode:04o})");
        return said(what, format!("chmod o-rwx {shown}"), false);
    }
    None
}

/// The user that this process runs as.
pub fn own_uid() -> u32 {
    // A process's own directory belongs to its effective user.
    fs::metadata("/proc/self").map_or(0, |own| own.uid())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_others_can_write_is_refused_and_what_they_can_read_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("identity")).unwrap();
        for name in ["lazaret.db", "lazaret.db-wal", "identity/tls.pem"] {
            fs::write(at(name), "").unwrap();
        }
        let text = format!(
            "[store]\npath = \"{}\"\n[identity]\ndirectory = \"{}\"\n",
            at("lazaret.db").display(),
            at("identity").display()
        );
        let config = Config::parse(&text, Path::new("/x")).unwrap();
        let set = |name: &str, mode| {
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        let sound = || {
            set("", 0o750);
            set("identity", 0o700);
            for (name, mode) in [
                ("lazaret.db", 0o640),
                ("lazaret.db-wal", 0o640),
                ("identity/tls.pem", 0o600),
            ] {
                set(name, mode);
            }
        };
        sound();
        assert_eq!(faults(&config), []);
        for (name, mode, refused) in [
            ("", 0o757, true),
            ("", 0o770, false),
            ("", 0o755, false),
            ("lazaret.db", 0o666, true),
            ("lazaret.db", 0o660, false),
            ("lazaret.db", 0o644, false),
            ("lazaret.db-wal", 0o642, true),
            ("identity", 0o707, true),
            ("identity", 0o770, false),
            ("identity/tls.pem", 0o622, true),
        ] {
            sound();
            set(name, mode);
            let found = faults(&config);
            let seen: Vec<_> = found
                .iter()
                .map(|fault| (fault.path.clone(), fault.refused))
                .collect();
            assert_eq!(
                seen,
                [(directory.path().join(name), refused)],
                "{name} {mode:o}: {found:?}"
            );
            assert!(found[0].remedy.starts_with("chmod "), "{found:?}");
        }
    }
}
