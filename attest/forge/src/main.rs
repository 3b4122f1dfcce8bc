//! `lazaret-forge`: boots pretended hosts of the lab on software TPMs, and measures files on them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use lazaret_forge::bootlog::Description;
use lazaret_forge::lab::{Lab, read_description};
use lazaret_forge::swtpm::Swtpm;

/// The default description, with a comment for each key.
const DEFAULT: &str = include_str!("../server.toml");

/// Boots pretended hosts of the lab on software TPMs, and measures files on them.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Power-cycle the TPM, write the logs of a boot and extend the TPM by them.
    Boot(Boot),
    /// Measure one file: an entry in both IMA lists, then PCR 10 in each bank.
    Measure(Measure),
    /// Record a violation: a file that was written while it was measured.
    Violate {
        #[command(flatten)]
        host: Host,
        /// Path of the file on the host.
        #[arg(long)]
        path: String,
    },
    /// Print the default description, with comments.
    Describe,
}

#[derive(Debug, Args)]
struct Host {
    /// Data socket of the swtpm, HOST:PORT.
    #[arg(long)]
    swtpm: String,
    /// Control socket of the swtpm, HOST:PORT or PORT; one above the data port when left out.
    #[arg(long)]
    ctrl: Option<String>,
    /// Directory of the host's log files.
    #[arg(long)]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct Boot {
    #[command(flatten)]
    host: Host,
    /// What to boot (see `describe`); the default description when left out.
    #[arg(long)]
    description: Option<PathBuf>,
    /// Boot what this host booted last, if it ever did; files measured since are forgotten.
    #[arg(long)]
    reboot: bool,
    /// Another kernel release.
    #[arg(long)]
    kernel: Option<String>,
    /// Another kernel command line.
    #[arg(long)]
    cmdline: Option<String>,
    /// Another firmware version.
    #[arg(long)]
    firmware: Option<String>,
    /// Secure Boot on or off.
    #[arg(long)]
    secure_boot: Option<Switch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Args)]
struct Measure {
    #[command(flatten)]
    host: Host,
    /// Path of the file on the host.
    #[arg(long)]
    path: String,
    /// A file with the content.
    #[arg(long, conflicts_with = "text")]
    content_file: Option<PathBuf>,
    /// The content itself; "the content of PATH" when neither is given.
    #[arg(long)]
    text: Option<String>,
}

fn main() -> ExitCode {
    match Arguments::parse().command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lazaret-forge: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Command {
    fn run(self) -> anyhow::Result<()> {
        match self {
            Command::Boot(boot) => boot.run(),
            Command::Measure(measure) => measure.run(),
            Command::Violate { host, path } => {
                host.open()?.violate(&path)?;
                println!("{path}: violation recorded");
                Ok(())
            }
            Command::Describe => {
                print!("{DEFAULT}");
                Ok(())
            }
        }
    }
}

impl Host {
    fn open(&self) -> anyhow::Result<Lab> {
        let tpm = match &self.ctrl {
            None => Swtpm::at(&self.swtpm)?,
            Some(control) if control.contains(':') => Swtpm::new(&self.swtpm, control)?,
            Some(port) => {
                let host = self.swtpm.rsplit_once(':').map_or("127.0.0.1", |(host, _)| host);
                Swtpm::new(&self.swtpm, &format!("{host}:{port}"))?
            }
        };
        Ok(Lab::new(&self.dir, tpm))
    }
}

impl Boot {
    fn run(self) -> anyhow::Result<()> {
        let lab = self.host.open()?;
        let mut description = match &self.description {
            Some(path) => read_description(path)?,
            None if self.reboot && lab.description().exists() => read_description(&lab.description())?,
            None => toml::from_str::<Description>(DEFAULT)?,
        };
        if let Some(kernel) = self.kernel {
            description.kernel = kernel;
        }
        if let Some(command_line) = self.cmdline {
            description.command_line = command_line;
        }
        if let Some(firmware) = self.firmware {
            description.firmware = firmware;
        }
        if let Some(switch) = self.secure_boot {
            description.secure_boot = switch == Switch::On;
        }
        let started = Instant::now();
        let booted = lab.boot(&description)?;
        println!(
            "booted in {} ms: {} boot events, {} IMA entries, in {}",
            started.elapsed().as_millis(),
            booted.events,
            booted.entries,
            self.host.dir.display()
        );
        Ok(())
    }
}

impl Measure {
    fn run(self) -> anyhow::Result<()> {
        let content = match (&self.content_file, self.text) {
            (Some(file), _) => {
                std::fs::read(file).with_context(|| format!("reading {} failed", file.display()))?
            }
            (None, text) => text
                .unwrap_or_else(|| format!("the content of {}", self.path))
                .into_bytes(),
        };
        let added = self.host.open()?.measure(&self.path, &content)?;
        let path = self.path;
        println!(
            "{path}: {}",
            if added {
                "measured"
            } else {
                "already in the list with this content"
            }
        );
        Ok(())
    }
}
