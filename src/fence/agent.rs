//! Any fence agent of ClusterLabs, driven over its standard input.
//!
//! Options and password go in as `key=value` lines, never on a command line. (Some agents hand the password on
//! to another program's command line; their `*_script` options avoid that where they exist.) Agents ignore an
//! unknown key in silence, so the options are compared with the agent's own metadata when it is loaded.

mod metadata;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::config::secret::{Secret, SecretSource};
use crate::permit::{Act, Effect, Permits};
use crate::secrets::{Doubt, Secrets};

use super::power::{Error, Power};
use metadata::Metadata;

/// Where a program is looked for that is given by name.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// How much of an agent's output is kept; the longest metadata is some 40 KB.
const OUTPUT_MAX: usize = 256 * 1024;

/// An agent's words are cut after this many characters.
const MESSAGE_MAX: usize = 300;

/// Metadata is printed at once; only the interpreter's start takes time.
const METADATA_TIMEOUT: Duration = Duration::from_secs(20);

/// Which fence agent, with which options.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The program: a name that is looked for in the system's directories, or an absolute path.
    pub program: String,
    /// Its options, by the names that its metadata lists. No password belongs here.
    pub options: BTreeMap<String, String>,
    /// Where the password is kept; read at each use and handed over on standard input.
    pub password: Option<SecretSource>,
    /// The longest that one run may take; the agent is killed then.
    pub timeout: Duration,
}

/// A fence agent whose options were compared with its metadata.
#[derive(Debug)]
pub struct FenceAgent {
    program: PathBuf,
    options: BTreeMap<String, String>,
    password: Option<(SecretSource, &'static str)>,
    timeout: Duration,
    name: String,
    secrets: Secrets,
}

/// How a run ended.
struct Run {
    code: Option<i32>,
    output: String,
    errors: String,
}

impl FenceAgent {
    /// Asks the agent for its metadata and compares the options with it: a misspelt one is refused here, with
    /// the nearest names.
    pub async fn load(spec: Spec) -> Result<Self, Error> {
        let name = name(&spec);
        let setup = |what: String| Error::Setup {
            method: name.clone(),
            what,
        };
        let program = find(&spec.program).map_err(setup)?;
        let run = run(
            &program,
            "action=metadata\n",
            METADATA_TIMEOUT,
            &name,
            "read the metadata",
        )
        .await?;
        let metadata = Metadata::parse(&run.output).map_err(|error| Error::Unreadable {
            method: name.clone(),
            doing: "read the metadata",
            reason: error,
        })?;
        for action in ["off", "status"] {
            if !metadata.has_action(action) {
                return Err(setup(format!(
                    "this agent has no action {action}, so it cannot fence and see"
                )));
            }
        }
        for (key, value) in &spec.options {
            metadata.accepts(key, value).map_err(setup)?;
        }
        let password = match spec.password {
            None => None,
            Some(source) => {
                let key = ["password", "passwd"]
                    .into_iter()
                    .find(|key| metadata.has_parameter(key));
                Some((
                    source,
                    key.ok_or_else(|| setup("this agent takes no password".to_owned()))?,
                ))
            }
        };
        Ok(Self {
            program,
            options: spec.options,
            password,
            timeout: spec.timeout,
            name,
            secrets: Secrets::default(),
        })
    }

    /// The same, with its password read this way: from barbican, say.
    pub fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets, ..self }
    }

    /// Fetches the password ahead where it is elsewhere.
    pub async fn fetch_ahead(&self) {
        if let Some((source, _)) = &self.password {
            self.secrets.ahead(source).await;
        }
    }

    /// Whether there is another password by now than the one that was just used.
    async fn new_password(&self) -> bool {
        match &self.password {
            Some((source, _)) => self.secrets.renewed(source, Doubt::Failed).await,
            None => false,
        }
    }

    /// Its name, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The power state now: exit code 0 is on, 2 is off, everything else is unknown.
    pub async fn power_state(&self) -> Result<Power, Error> {
        let doing = "read the power state";
        let (mut run, mut password) = self.carry_out("status", doing, None).await?;
        if !matches!(run.code, Some(0 | 2)) && self.new_password().await {
            (run, password) = self.carry_out("status", doing, None).await?;
        }
        match run.code {
            Some(0) => Ok(Power::On),
            Some(2) => Ok(Power::Off),
            _ => Err(self.failed(doing, &run, password.as_ref())),
        }
    }

    /// Switches the power off (`off`, never `reboot`). Agents wait until it is; reading tells.
    pub async fn ask_off(&self, permits: &dyn Permits) -> Result<(), Error> {
        let effect = Effect::PowerOff(self.name.clone());
        self.switch("off", "switch the power off", Act { effect, permits })
            .await
    }

    /// Switches the power on.
    pub async fn ask_on(&self, permits: &dyn Permits) -> Result<(), Error> {
        let effect = Effect::PowerOn(self.name.clone());
        self.switch("on", "switch the power on", Act { effect, permits })
            .await
    }

    async fn switch(&self, action: &str, doing: &'static str, act: Act<'_>) -> Result<(), Error> {
        let (mut run, mut password) = self.carry_out(action, doing, Some(&act)).await?;
        if run.code != Some(0) && self.new_password().await {
            (run, password) = self.carry_out(action, doing, Some(&act)).await?;
        }
        let ended = run.code.map_or_else(
            || "ended by a signal".to_owned(),
            |code| format!("ended with {code}"),
        );
        act.answered(&format!("the fence agent {ended}")).await;
        match run.code {
            Some(0) => Ok(()),
            _ => Err(self.failed(doing, &run, password.as_ref())),
        }
    }

    /// Runs it; an action that switches something needs leave, and gets it last of all.
    async fn carry_out(
        &self,
        action: &str,
        doing: &'static str,
        act: Option<&Act<'_>>,
    ) -> Result<(Run, Option<Secret>), Error> {
        let mut lines = Zeroizing::new(String::with_capacity(4096));
        for (key, value) in &self.options {
            lines.extend([key.as_str(), "=", value.as_str(), "\n"]);
        }
        let mut password = None;
        if let Some((source, key)) = &self.password {
            let secret = self.secrets.read(source).await.map_err(|source| Error::Secret {
                method: self.name.clone(),
                source,
            })?;
            if let Some(fault) = metadata::unfit(secret.expose()) {
                return Err(Error::Setup {
                    method: self.name.clone(),
                    what: format!("the password {fault}, which fence agents cannot read"),
                });
            }
            lines.extend([key, "=", secret.expose(), "\n"]);
            password = Some(secret);
        }
        // Last, because the later of two equal keys wins.
        lines.extend(["action=", action, "\n"]);
        if let Some(act) = act {
            act.begin().await.map_err(|denied| Error::NotPermitted {
                method: self.name.clone(),
                doing,
                denied,
            })?;
        }
        let run = run(&self.program, &lines, self.timeout, &self.name, doing).await?;
        Ok((run, password))
    }

    fn failed(&self, doing: &'static str, run: &Run, password: Option<&Secret>) -> Error {
        let last = [&run.errors, &run.output]
            .into_iter()
            .flat_map(|text| text.lines().rev())
            .find(|line| {
                !line.trim().is_empty() && !line.contains("Warning") && !line.contains("import pipes")
            })
            .unwrap_or("it gave no reason: see that address, user and password are right");
        // Hidden before it is cut: half a password is one too.
        let mut message: String = last.chars().filter(|c| !c.is_control()).collect();
        if let Some(password) = password {
            message = message.replace(password.expose(), "(hidden)");
        }
        let message = message.chars().take(MESSAGE_MAX).collect();
        Error::Agent {
            method: self.name.clone(),
            doing,
            code: run
                .code
                .map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}")),
            message,
        }
    }
}

/// The agent's name with what it switches.
fn name(spec: &Spec) -> String {
    let program = Path::new(&spec.program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let of = |keys: &[&str]| keys.iter().find_map(|key| spec.options.get(*key));
    let mut name = program.into_owned();
    for (before, keys) in [
        (" ", &["ip", "ipaddr"][..]),
        (":", &["ipport"]),
        (" plug ", &["plug", "port"]),
    ] {
        if let Some(value) = of(keys) {
            name.push_str(before);
            name.extend(value.chars().filter(|c| !c.is_control()));
        }
    }
    name
}

fn find(program: &str) -> Result<PathBuf, String> {
    let found = if program.starts_with('/') {
        Some(PathBuf::from(program)).filter(|path| path.is_file())
    } else if program.contains('/') {
        return Err(format!("program {program}: give a name or an absolute path"));
    } else {
        DIRECTORIES
            .iter()
            .map(|directory| Path::new(directory).join(program))
            .find(|path| path.is_file())
    };
    found.ok_or_else(|| format!("there is no {program} on this machine: install the package fence-agents"))
}

/// Runs an agent to its end, or kills it. Its environment is ours only as far as it needs to be.
async fn run(
    program: &Path,
    input: &str,
    limit: Duration,
    method: &str,
    doing: &'static str,
) -> Result<Run, Error> {
    let broken = |error: std::io::Error| Error::Setup {
        method: method.to_owned(),
        what: format!("cannot run {}: {error}", program.display()),
    };
    let mut child = Command::new(program)
        .env_clear()
        .env("PATH", DIRECTORIES.join(":"))
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(broken)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let work = async {
        if let Some(mut stdin) = stdin {
            // An agent that ends without reading closes the pipe: its exit code tells.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        let (output, errors) = tokio::join!(read(stdout), read(stderr));
        child.wait().await.map(|status| Run {
            code: status.code(),
            output,
            errors,
        })
    };
    match tokio::time::timeout(limit, work).await {
        Ok(ended) => ended.map_err(broken),
        Err(_) => {
            // Only the agent itself, by its process id.
            let _ = child.kill().await;
            Err(Error::Deadline {
                method: method.to_owned(),
                doing,
                after: limit,
            })
        }
    }
}

/// Reads to the end, keeping the beginning.
async fn read(from: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut from) = from else {
        return String::new();
    };
    let mut kept = Vec::new();
    let mut buffer = vec![0; 8192];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let room = OUTPUT_MAX.saturating_sub(kept.len());
        kept.extend(buffer.iter().take(count.min(room)));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests;
