//! `lazaret-agent`: parse, load, wire, run, drain.

use std::{
    ffi::OsStr,
    io::IsTerminal,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use lazaret_agent::{
    config::Config,
    doctor,
    exit::Exit,
    server,
    tpm::{Settings, Tpm},
};
use lazaret_wire::tls::server_config;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Answers Lazaret's challenges on a compute host: TPM quotes, boot log, IMA list.
#[derive(Parser)]
#[command(version)]
struct Line {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Serve until SIGTERM.
    Run {
        #[command(flatten)]
        file: File,
        /// Replace an attestation key that this TPM cannot load. The host must then be enrolled again.
        #[arg(long)]
        new_identity: bool,
    },
    /// Print the pin of this agent's TLS key (made now if there is none).
    Pin {
        #[command(flatten)]
        file: File,
    },
    /// Look at everything the agent depends on; print PASS or FAIL with the remedy. Exit code 69 if anything fails.
    Check {
        #[command(flatten)]
        file: File,
    },
}

#[derive(Args)]
struct File {
    /// The agent's configuration.
    #[arg(long, default_value = "/etc/lazaret/agent.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    if let Some(failed) = silence_libtss2() {
        eprintln!("lazaret-agent: {failed:#}");
        return ExitCode::from(Exit::SYSTEM);
    }
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Exit::USAGE } else { 0 });
        }
    };
    let done = match line.command {
        What::Run { file, new_identity } => run(&file.config, new_identity),
        What::Pin { file } => pin(&file.config),
        What::Check { file } => check(&file.config),
    };
    match done {
        Ok(code) => code,
        Err(exit) => {
            eprintln!("lazaret-agent: {:#}", exit.error);
            exit.code()
        }
    }
}

fn run(path: &Path, new_identity: bool) -> Result<ExitCode, Exit> {
    let config = load(path)?;
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let identity = config.tls_identity().map_err(Exit::with(Exit::CONFIG))?;
    let clients = config.clients().map_err(Exit::with(Exit::CONFIG))?;
    let tls = server_config(&identity, clients).map_err(Exit::with(Exit::CONFIG))?;
    let system = Exit::with(Exit::SYSTEM);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the runtime")
        .map_err(&system)?;
    runtime.block_on(async {
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {}", config.listen))
            .map_err(Exit::with(Exit::UNAVAILABLE))?;
        let stop = stop_on_signal()
            .context("cannot wait for signals")
            .map_err(&system)?;
        let tpm = Tpm::start(settings(&config, new_identity))
            .context("cannot start a thread")
            .map_err(&system)?;
        let address = listener
            .local_addr()
            .context("cannot name the listening address")
            .map_err(&system)?;
        info!(%address, host = config.host, pin = %identity.pin(), "lazaret-agent serves");
        notify(&[sd_notify::NotifyState::Ready]);
        server::serve(listener, tls, identity.pin(), tpm.clone(), &config, stop).await;
        notify(&[sd_notify::NotifyState::Stopping]);
        tpm.stop(config.limits.drain_timeout()).await;
        Ok(())
    })?;
    // A hung TPM must not hold the process: its thread is left behind.
    runtime.shutdown_background();
    info!("stopped");
    Ok(ExitCode::SUCCESS)
}

fn pin(path: &Path) -> Result<ExitCode, Exit> {
    let identity = load(path)?.tls_identity().map_err(Exit::with(Exit::CONFIG))?;
    println!("{}", identity.pin());
    Ok(ExitCode::SUCCESS)
}

fn check(path: &Path) -> Result<ExitCode, Exit> {
    let config = load(path)?;
    println!("PASS  {:<9} {}", "config", path.display());
    let lines = doctor::examine(&config, &settings(&config, false));
    for line in &lines {
        println!("{line}");
    }
    let failed = lines.iter().any(|line| line.result.is_err());
    Ok(ExitCode::from(if failed { Exit::UNAVAILABLE } else { 0 }))
}

fn load(path: &Path) -> Result<Config, Exit> {
    Config::load(path).map_err(Exit::with(Exit::CONFIG))
}

fn settings(config: &Config, new_identity: bool) -> Settings {
    Settings {
        tcti: config.tcti.clone(),
        host: config.host.clone(),
        state_directory: config.state_directory.clone(),
        key: config.attestation_key,
        new_identity,
        queue: config.limits.tpm_queue,
        // Leaves time to read the logs and to say that the TPM is slow.
        timeout: config.limits.request_timeout().mul_f64(0.8),
    }
}

fn stop_on_signal() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM: draining"),
            _ = interrupt.recv() => info!("SIGINT: draining"),
        }
        stopped.cancel();
    });
    Ok(stop)
}

fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "cannot notify systemd");
    }
}

/// libtss2 writes its own lines to stderr unless the environment says otherwise, and a program may not change its environment safely:
/// so it starts itself once more. Whoever sets `TSS2_LOG` gets what they set. Returns only the failure to do so.
fn silence_libtss2() -> Option<anyhow::Error> {
    if std::env::var_os("TSS2_LOG").is_some() {
        return None;
    }
    let mut words = std::env::args_os();
    let name = words.next();
    let error = Command::new("/proc/self/exe")
        .arg0(name.as_deref().unwrap_or(OsStr::new("lazaret-agent")))
        .args(words)
        .env("TSS2_LOG", "all+none")
        .exec();
    Some(
        anyhow::Error::new(error)
            .context("cannot start again with TSS2_LOG set; set TSS2_LOG=all+none by hand"),
    )
}
