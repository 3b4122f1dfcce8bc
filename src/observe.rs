//! What the daemon says about itself: lines on standard error, for people or for machines.
//!
//! No secret can be logged: secrets have a type of their own, whose `Debug` shows nothing.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

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
    // A process that logs already goes on as it does.
    let _ = subscriber(log, io::stderr)?.try_init();
    Ok(())
}

fn subscriber<W>(log: &Log, writer: W) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, FilterError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&log.filter).map_err(|source| FilterError {
        filter: log.filter.clone(),
        source,
    })?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    Ok(match log.format {
        LogFormat::Text => Box::new(
            builder
                .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
                .finish(),
        ),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::config::Secret;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter: &str) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = Log {
            format,
            filter: filter.to_owned(),
        };
        let subscriber = subscriber(&log, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let secret = Secret::new("hunter2".to_owned());
            tracing::info!(host = "cmp-1", password = ?secret, "a round begins");
            tracing::debug!("a detail");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_is_for_people_or_for_machines_and_has_no_secret() {
        let text = logged(LogFormat::Text, "info");
        assert!(
            text.contains("a round begins") && text.contains("cmp-1"),
            "{text}"
        );
        let json = logged(LogFormat::Json, "info");
        let value: serde_json::Value = serde_json::from_str(json.trim_end()).unwrap();
        assert_eq!(
            (value["message"].as_str(), value["host"].as_str()),
            (Some("a round begins"), Some("cmp-1"))
        );
        assert!(!text.contains("hunter2") && !json.contains("hunter2"));
    }

    #[test]
    fn the_filter_decides_what_is_let_through() {
        assert!(!logged(LogFormat::Text, "info").contains("a detail"));
        assert!(logged(LogFormat::Text, "debug").contains("a detail"));
        assert_eq!(logged(LogFormat::Text, "error"), "");
        let log = Log {
            format: LogFormat::Text,
            filter: "lazaret=loud".to_owned(),
        };
        let error = start(&log).unwrap_err().to_string();
        assert!(
            error.contains("lazaret=loud") && error.contains("log.filter"),
            "{error}"
        );
    }
}
