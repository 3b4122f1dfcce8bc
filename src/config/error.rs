//! What can be wrong with a configuration, and where.

use std::io;
use std::path::PathBuf;

/// What is wrong with a configuration, and where.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading the configuration {}: {answer}; name another file with --config or LAZARET_CONFIG", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system answered.
        answer: io::Error,
    },
    /// The text is not TOML, or a key is unknown, missing or of another type.
    #[error("{}:{line}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, in words.
        message: String,
    },
    /// A value does not mean what its key needs.
    #[error("{}:{line}: {key}: {found}; {allowed}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key, from the top: `response.max_cases`, `host[2].fence[1].url`.
        key: String,
        /// What is wrong with what is there, in words.
        found: String,
        /// What would be right, in words.
        allowed: String,
    },
    /// A template gives no address for a host.
    #[error("agents.url_template \"{template}\" gives no address for host {host}: {reason}")]
    Template {
        /// The template.
        template: String,
        /// The host.
        host: String,
        /// Why not.
        reason: String,
    },
}
