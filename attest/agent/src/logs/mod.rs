//! The two logs, read from the kernel and passed on as they are.

mod ima;

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use lazaret_wire::{Problem, limits};

pub use ima::tail;

use crate::config::ImaLog;

/// A log that cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file.
    #[error(
        "cannot read {path}: {source}; the path is set in the agent's configuration, and securityfs must be mounted"
    )]
    Read {
        /// Which.
        path: PathBuf,
        /// What came back.
        source: io::Error,
    },
    /// More than an answer may carry.
    #[error("{path} has more than {limit} bytes to send; ask from a later entry, or restart the host")]
    TooLong {
        /// Which.
        path: PathBuf,
        /// The most that is sent.
        limit: usize,
    },
    /// Not the form that the kernel writes.
    #[error("{path}: entry {entry} has not the kernel's form: {reason}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Counted from 0.
        entry: u64,
        /// What is wrong.
        reason: &'static str,
    },
}

impl From<&LogError> for Problem {
    fn from(error: &LogError) -> Self {
        let code = match error {
            LogError::Read { .. } | LogError::Malformed { .. } => Self::LOG_UNREADABLE,
            LogError::TooLong { .. } => Self::LOG_TOO_LONG,
        };
        Self::new(code, error)
    }
}

/// The boot log, whole.
pub fn boot(path: &Path) -> Result<Vec<u8>, LogError> {
    let fail = |source| LogError::Read {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(limits::BOOT_LOG as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(fail)?;
    if bytes.len() > limits::BOOT_LOG {
        return Err(LogError::TooLong {
            path: path.to_owned(),
            limit: limits::BOOT_LOG,
        });
    }
    Ok(bytes)
}

/// The IMA list from entry `first` on. Empty if it has no such entry: after a reboot it is shorter than before, and the quote tells.
pub fn ima(log: &ImaLog, first: u64) -> Result<Vec<u8>, LogError> {
    let ImaLog::File(path) = log else {
        return Ok(Vec::new());
    };
    let file = File::open(path).map_err(|source| LogError::Read {
        path: path.clone(),
        source,
    })?;
    tail(
        &mut BufReader::with_capacity(64 * 1024, file),
        first,
        limits::IMA_LOG,
    )
    .map_err(|error| match error {
        ima::TailError::Read(source) => LogError::Read {
            path: path.clone(),
            source,
        },
        ima::TailError::TooLong { limit } => LogError::TooLong {
            path: path.clone(),
            limit,
        },
        ima::TailError::Malformed { entry, reason } => LogError::Malformed {
            path: path.clone(),
            entry,
            reason,
        },
    })
}
