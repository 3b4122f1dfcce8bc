//! Files read by hand: bounded, and each trouble with its exit code.

use std::{fs::File, io::Read as _, path::Path};

use crate::cli::exit::{Exit, Trouble};

/// The bytes of a file, at most `limit`.
///
/// # Errors
/// 66 if it cannot be read, 65 if it is larger than any file of its kind.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Trouble> {
    let unreadable = |error: std::io::Error| {
        let cause = anyhow::Error::new(error).context(format!("reading {}", path.display()));
        Trouble::new(Exit::NoInput, cause)
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
        return Err(Trouble::say(
            Exit::Data,
            format_args!("{}: at byte {limit}: expected its end", path.display()),
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_trouble_has_its_exit_code() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [7; 10]).unwrap();
        assert_eq!(read(&path, 10).unwrap(), [7; 10]);
        let large = read(&path, 9).unwrap_err();
        assert_eq!(large.exit, Exit::Data);
        assert!(large.cause.to_string().contains("at byte 9"), "{}", large.cause);
        assert_eq!(read(&dir.path().join("none"), 9).unwrap_err().exit, Exit::NoInput);
        assert_eq!(read(dir.path(), 9).unwrap_err().exit, Exit::NoInput);
    }
}
