//! The key that proves the tags which keep instances where they are; it lies beside the verifier's identity.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::exit::{Exit, Trouble};
use crate::respond::KeepKey;

const FILE: &str = "keep.key";

/// Bytes of the key.
const LENGTH: usize = 32;

/// The key, where there is one.
pub fn read(directory: &Path) -> Result<Option<KeepKey>, Trouble> {
    let path = directory.join(FILE);
    let file = match fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", &path, error)),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH + 1));
    file.take(1 + LENGTH as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| failed("read", &path, error))?;
    let Ok(key) = <&[u8; LENGTH]>::try_from(bytes.as_slice()) else {
        return Err(Trouble::say(
            Exit::Config,
            format_args!(
                "{} is no key of {LENGTH} bytes; remove it, and every tag lazaret-keep-.. has to be given out anew",
                path.display()
            ),
        ));
    };
    Ok(Some(KeepKey::new(key)))
}

/// The key, made now where there is none.
pub fn read_or_make(directory: &Path) -> Result<KeepKey, Trouble> {
    if let Some(key) = read(directory)? {
        return Ok(key);
    }
    let path = directory.join(FILE);
    let key = Zeroizing::new(rand::random::<[u8; LENGTH]>());
    // Whole or not at all: another command may make it at the same time, and the first one counts.
    let own = directory.join(format!("{FILE}.{:08x}", rand::random::<u32>()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&own)
        .and_then(|mut file| {
            file.write_all(key.as_slice())?;
            file.sync_all()
        })
        .and_then(|()| fs::hard_link(&own, &path));
    // It was only the way there.
    let _ = fs::remove_file(&own);
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed("make", &path, error)),
    }
    read(directory)?.ok_or_else(|| {
        Trouble::say(
            Exit::Io,
            format_args!("{} was made, and is gone again", path.display()),
        )
    })
}

fn failed(what: &str, path: &Path, error: io::Error) -> Trouble {
    let cause = anyhow::Error::new(error).context(format!(
        "to {what} {}; it belongs to the user that the daemon runs as",
        path.display()
    ));
    Trouble::new(Exit::Io, cause)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_only_ours_to_read() {
        let directory = tempfile::tempdir().unwrap();
        let instance = "b3f1e7a4-5c62-4c1e-9d1d-0a8d6c1f2e3b".parse().unwrap();
        assert!(read(directory.path()).unwrap().is_none());
        let first = read_or_make(directory.path()).unwrap().tag(instance);
        assert_eq!(read_or_make(directory.path()).unwrap().tag(instance), first);
        assert_eq!(read(directory.path()).unwrap().unwrap().tag(instance), first);
        let path = directory.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
        for bytes in [31, 33] {
            fs::write(&path, vec![0; bytes]).unwrap();
            let trouble = read(directory.path()).unwrap_err();
            assert_eq!(trouble.exit, Exit::Config);
        }
    }
}
