//! An orderly end: the first signal asks everybody to finish, the second ends at once.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How a shell would report a program that was interrupted.
const ENDED_AT_ONCE: i32 = 130;

/// A token that is cancelled by SIGTERM or SIGINT.
///
/// A second signal ends the process where it is. That is safe at any instruction: the journal is written ahead.
///
/// # Errors
/// The signals cannot be listened to.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let first = next().await;
        tracing::info!(
            signal = first,
            "stopping: what was begun is finished; a second signal ends at once"
        );
        asked.cancel();
        let second = next().await;
        tracing::warn!(signal = second, "ending at once");
        std::process::exit(ENDED_AT_ONCE);
    });
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    const CHILD: &str = "LAZARET_TEST_SHUTDOWN";

    #[tokio::test]
    #[ignore = "does its work as the child of another test"]
    async fn in_a_child() {
        let Ok(_) = std::env::var(CHILD) else { return };
        let token = on_signal().unwrap();
        println!("\nsaid: ready");
        token.cancelled().await;
        println!("\nsaid: stopping");
        std::future::pending::<()>().await;
    }

    #[test]
    fn the_first_signal_asks_and_the_second_ends() {
        for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")] {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args([
                    "--exact",
                    "shutdown::tests::in_a_child",
                    "--include-ignored",
                    "--nocapture",
                ])
                .env(CHILD, "1")
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let pid = child.id().to_string();
            let send = |name: &str| {
                assert!(
                    Command::new("kill")
                        .args(["-s", name, &pid])
                        .status()
                        .unwrap()
                        .success()
                );
            };
            let lines = BufReader::new(child.stdout.take().unwrap())
                .lines()
                .map_while(Result::ok);
            let mut said = lines.filter(|line| line.starts_with("said: "));
            assert_eq!(said.next().as_deref(), Some("said: ready"));
            send(first);
            assert_eq!(said.next().as_deref(), Some("said: stopping"));
            send(second);
            assert_eq!(
                child.wait().unwrap().code(),
                Some(ENDED_AT_ONCE),
                "{first} then {second}"
            );
        }
    }
}
