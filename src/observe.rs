//! What the daemon says about itself: lines on standard error, for people or for machines.
//!
//! No secret can be logged: secrets have a type of their own, whose `Debug` shows nothing.

use tracing_subscriber::{EnvFilter, filter::ParseError, fmt};

use crate::config::{Log, LogFormat};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[error(
    "log.filter = {filter:?} is not understood: {source}; write it like \"info\" or \"info,lazaret::respond=debug\""
)]
pub struct FilterError {
    filter: String,
    source: ParseError,
}

/// Begins to log as configured. The first call of a process counts.
///
/// # Errors
/// The filter is not understood.
pub fn start(log: &Log) -> Result<(), FilterError> {
    let filter = EnvFilter::try_new(&log.filter).map_err(|source| FilterError {
        filter: log.filter.clone(),
        source,
    })?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A process that logs already goes on as it does.
    let _ = match log.format {
        LogFormat::Text => lines
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_not_understood_is_named() {
        let log = Log {
            format: LogFormat::Text,
            filter: "info,[=".to_owned(),
        };
        let error = start(&log).unwrap_err().to_string();
        assert!(
            error.contains("info,[=") && error.contains("log.filter"),
            "{error}"
        );
    }
}
