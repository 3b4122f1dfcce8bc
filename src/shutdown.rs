//! An orderly end: the first signal asks everybody to stop, the second ends the process at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// What a shell reports of a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// A token that is cancelled by SIGTERM or SIGINT.
///
/// A second signal ends the process where it is. That is safe at any instruction: the journal is written ahead.
///
/// # Errors
/// The signals cannot be listened to.
pub fn on_signal() -> io::Result<CancellationToken> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        asked.cancel();
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        info!("second signal: ending at once");
        std::process::exit(INTERRUPTED);
    });
    Ok(stop)
}
