//! The command line, one file or folder for each command.

pub mod exit;
pub mod out;

mod cloud_start;
pub mod context;
mod keep_key;
pub mod state;
mod who;
pub mod wiring;

pub mod doctor;
pub mod enroll;
pub mod golden;
mod golden_add;
pub mod hosts;
pub mod identity;
pub mod inspect;
pub mod instance;
pub mod notifications;
pub mod pause;
pub mod policy;
mod put_back;
pub mod quarantine;
pub mod report;
pub mod serve;
pub mod verify_host;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use exit::{Exit, Trouble};

/// Attests OpenStack compute hosts by their TPM 2.0, and takes a host that is proven compromised out of service.
///
/// Exit codes: 0 Affirming or done, 10 Warning, 20 Contraindicated, 30 Indeterminate, 64 to 78 as in sysexits.h.
#[derive(Debug, Parser)]
#[command(
    name = "lazaret",
    version,
    propagate_version = true,
    subcommand_required = true
)]
pub struct CommandLine {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        env = "LAZARET_CONFIG",
        default_value = "/etc/lazaret/lazaret.toml",
        value_name = "FILE"
    )]
    pub config: PathBuf,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Attest all hosts on their schedule, and respond: the daemon.
    Serve(serve::Serve),
    /// Attest one host now and say what was found.
    ///
    /// The result is recorded. The command itself never touches the cloud: a Contraindicated host is challenged
    /// again at once by the daemon, and the daemon acts as its response policy says.
    VerifyHost(verify_host::VerifyHost),
    /// Pin the TPM and the agent of one host, or of all.
    Enroll(enroll::Enroll),
    /// Golden values: what a host is compared with.
    Golden(golden::Golden),
    /// The enrolled hosts and what was last known of each.
    Hosts(hosts::Hosts),
    /// Cases: the hosts that were taken out of service.
    Quarantine(quarantine::Quarantine),
    /// What people were told, what did not reach them, and sending it again.
    Notifications(notifications::Notifications),
    /// Single instances: keep one where it is when its host is condemned.
    Instance(instance::Instance),
    /// Leave a host, or the cloud, alone for a while: its rounds are recorded, and nothing follows from them.
    Pause(pause::PauseArgs),
    /// End the pauses of a host, or of the cloud.
    Resume(pause::ResumeArgs),
    /// What is paused, or will be.
    Pauses(pause::PausesArgs),
    /// The quarantine report of one case.
    Report(report::Report),
    /// Check everything that the daemon depends on.
    Doctor(doctor::Doctor),
    /// Read evidence by hand: boot logs, IMA lists, quotes, EK certificates. Offline.
    Inspect(inspect::Inspect),
    /// Appraisal policies: check one, explain a finding. Offline.
    Policy(policy::Policy),
    /// Print this verifier's TLS pin, for the agents' configuration. The key is made at first use.
    Identity(identity::Identity),
}

/// Parses the arguments and runs the command; the process ends with what comes back.
pub fn run() -> Exit {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let help = !error.use_stderr();
            // A closed pipe is no reason to fail.
            let _ = error.print();
            return if help { Exit::Ok } else { Exit::Usage };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return tell(&Trouble::new(
                Exit::Software,
                anyhow::Error::new(error).context("starting the runtime"),
            ));
        }
    };
    match runtime.block_on(line.command.run(&line.config)) {
        // Half a report must not look like a whole one.
        Ok(_) if out::lost() => Exit::Io,
        Ok(exit) => exit,
        Err(trouble) => tell(&trouble),
    }
}

impl Command {
    async fn run(self, config: &std::path::Path) -> Result<Exit, Trouble> {
        match self {
            Self::Serve(command) => command.run(config).await,
            Self::VerifyHost(command) => command.run(config).await,
            Self::Enroll(command) => command.run(config).await,
            Self::Golden(command) => command.run(config).await,
            Self::Hosts(command) => command.run(config).await,
            Self::Quarantine(command) => command.run(config).await,
            Self::Notifications(command) => command.run(config).await,
            Self::Instance(command) => command.run(config),
            Self::Pause(command) => command.run(config).await,
            Self::Resume(command) => command.run(config).await,
            Self::Pauses(command) => command.run(config).await,
            Self::Report(command) => command.run(config).await,
            Self::Doctor(command) => command.run(config).await,
            Self::Inspect(command) => command.run(),
            Self::Policy(command) => command.run(),
            Self::Identity(command) => command.run(config).await,
        }
    }
}

/// Prints trouble to standard error, the chain of causes in one line each.
fn tell(trouble: &Trouble) -> Exit {
    let mut text = format!("lazaret: {}\n", trouble.cause);
    let mut said = trouble.cause.to_string();
    for cause in trouble.cause.chain().skip(1) {
        let cause = cause.to_string();
        // Many error types repeat their source in their own text.
        if !said.contains(&cause) {
            text.push_str(&format!("  because: {cause}\n"));
            said.push_str(&cause);
        }
    }
    out::error(&text);
    trouble.exit
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
