//! The lab as a test sees it, and the programs under test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The lab, taken by one test, with a daemon configuration, database and golden values of the test's own.
pub struct Lab {
    pub about: Value,
    pub dir: TempDir,
    config: toml::Table,
    _alone: MutexGuard<'static, ()>,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "exit code\n--- stdout\n{}\n--- stderr\n{}",
            self.out, self.err
        );
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error} in {}\n{}", self.out, self.err))
    }
}

impl Lab {
    /// Takes the lab and puts it back as it was when it was new.
    pub fn take() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let path = std::env::var_os("LAZARET_LAB").expect(
            "LAZARET_LAB must name lab.json of a lab that is up: run `make test`, or tests/lab/lab up",
        );
        let about: Value = serde_json::from_slice(&fs::read(&path).expect("lab.json")).expect("lab.json");
        let dir = TempDir::new().expect("a temporary folder");
        let text = fs::read_to_string(about["daemon_config"].as_str().expect("daemon_config"))
            .expect("lazaret.toml");
        let mut lab = Self {
            about,
            dir,
            config: text.parse().expect("TOML"),
            _alone: alone,
        };
        fs::create_dir(lab.path("golden")).expect("a folder");
        let store = lab.path("lazaret.db").display().to_string();
        let golden = lab.path("golden/{host}.toml").display().to_string();
        lab.set("store", "path", store);
        lab.set("appraisal", "policy", golden);
        lab.lab(&["reset"]);
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Changes one key of the daemon's configuration.
    pub fn set(&mut self, section: &str, key: &str, value: impl Into<toml::Value>) {
        let table = self
            .config
            .entry(section)
            .or_insert_with(|| toml::Table::new().into());
        table
            .as_table_mut()
            .expect("a section")
            .insert(key.to_owned(), value.into());
        self.write();
    }

    /// Changes anything of the daemon's configuration.
    pub fn edit(&mut self, change: impl FnOnce(&mut toml::Table)) {
        change(&mut self.config);
        self.write();
    }

    /// The fence methods of a host, to be changed.
    pub fn fence(&mut self, host: &str, change: impl FnOnce(&mut Vec<toml::Value>)) {
        self.edit(|config| {
            let hosts = config["host"].as_array_mut().expect("[[host]]");
            let one = hosts
                .iter_mut()
                .find(|one| one["name"].as_str() == Some(host))
                .expect("the host");
            change(one["fence"].as_array_mut().expect("[[host.fence]]"));
        });
    }

    fn write(&self) {
        fs::write(self.config_file(), self.config.to_string()).expect("the configuration");
    }

    pub fn config_file(&self) -> PathBuf {
        self.path("lazaret.toml")
    }

    pub fn host(&self, name: &str) -> &Value {
        let hosts = self.about["hosts"].as_array().expect("hosts");
        hosts
            .iter()
            .find(|host| host["name"] == name)
            .unwrap_or_else(|| panic!("no host {name}"))
    }

    /// Runs the lab's own command.
    #[track_caller]
    pub fn lab(&self, args: &[&str]) -> String {
        let command = self.about["lab"].as_str().expect("lab");
        let done = Command::new(command)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .expect("the lab's command");
        let out = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(
            done.status.success(),
            "lab {args:?}: {out}{}",
            String::from_utf8_lossy(&done.stderr)
        );
        out
    }

    /// Has a host run a program that nobody's golden values know. The reset before the next test boots it anew.
    #[track_caller]
    pub fn measure(&self, host: &str, path: &str) {
        self.lab(&["measure", host, path]);
    }

    /// Runs `lazaret` with the test's configuration.
    pub fn lazaret(&self, args: &[&str]) -> Said {
        said(self.command(args).output().expect("lazaret runs"))
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lazaret"));
        command
            .arg("--config")
            .arg(self.config_file())
            .args(args)
            .stdin(Stdio::null());
        command
    }

    /// Enrols these hosts and captures golden values of each.
    #[track_caller]
    pub fn trust(&self, hosts: &[&str]) {
        for host in hosts {
            self.lazaret(&["enroll", host]).expect(0);
            self.capture(host);
        }
    }

    #[track_caller]
    pub fn capture(&self, host: &str) {
        let policy = self.path(&format!("golden/{host}.toml")).display().to_string();
        self.lazaret(&["golden", "capture", host, "--policy", &policy, "--force"])
            .expect(0);
    }

    /// Starts the daemon.
    pub fn serve(&self) -> Daemon {
        self.serve_as(|_| {})
    }

    /// Starts the daemon with something of its command changed.
    pub fn serve_as(&self, change: impl FnOnce(&mut Command)) -> Daemon {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("daemon.log"))
            .expect("a log");
        let mut command = self.command(&["serve"]);
        change(&mut command);
        let child = command
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("serve");
        Daemon {
            child,
            log: self.path("daemon.log"),
        }
    }

    pub fn hosts(&self) -> Value {
        self.lazaret(&["hosts", "--json"]).expect(0).json()
    }

    /// What `lazaret hosts` shows of one host.
    pub fn row(&self, host: &str) -> Option<Value> {
        let hosts = self.hosts();
        hosts.as_array()?.iter().find(|row| row["host"] == host).cloned()
    }

    /// When a host was last attested.
    pub fn attested_at(&self, host: &str) -> Option<String> {
        self.row(host)?["at"].as_str().map(str::to_owned)
    }

    pub fn verdict(&self, host: &str) -> Option<String> {
        self.row(host)?["verdict"].as_str().map(str::to_owned)
    }

    pub fn cases(&self) -> Vec<Value> {
        self.lazaret(&["quarantine", "list", "--json"])
            .expect(0)
            .json()
            .as_array()
            .expect("a list")
            .clone()
    }

    pub fn case(&self, id: &str) -> Value {
        self.lazaret(&["quarantine", "show", id, "--json"])
            .expect(0)
            .json()
    }

    /// The lab's own record of what the BMCs switched, a line each: time, host, `on` or `off`.
    pub fn power_log(&self) -> Vec<String> {
        let log = Path::new(self.about["log_dir"].as_str().expect("log_dir")).join("power.log");
        fs::read_to_string(log)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    pub fn power(&self, host: &str) -> String {
        let state: Value = serde_json::from_str(&self.lab(&["host", "status", host])).expect("JSON");
        state["power"].as_str().expect("power").to_owned()
    }
}

/// The daemon, ended when the test ends.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("the daemon was running");
        self.child.wait().expect("it ended");
    }

    /// SIGSTOP, as when its virtual machine is paused, between two of its writes: a process that is stopped in the middle
    /// of one keeps SQLite's lock, and nobody else writes until it goes on.
    pub fn pause(&self, lab: &Lab) {
        let script = "import os, signal, sqlite3, sys\n\
                      database = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)\n\
                      database.execute('BEGIN IMMEDIATE')\n\
                      os.kill(int(sys.argv[2]), signal.SIGSTOP)\n\
                      database.execute('ROLLBACK')";
        let done = Command::new("/usr/bin/python3")
            .args(["-c", script])
            .arg(lab.path("lazaret.db"))
            .arg(self.child.id().to_string())
            .status();
        assert!(done.expect("python3").success());
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let done = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(done.expect("kill").success());
    }

    /// SIGTERM; the exit code.
    pub fn stop(self) -> i32 {
        self.signal("-TERM");
        self.ended()
    }

    /// Waits for its end; the exit code.
    pub fn ended(mut self) -> i32 {
        self.child.wait().expect("it ended").code().unwrap_or(-1)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Resident memory in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("VmRSS");
        line.split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse().ok())
            .expect("a number")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the daemon's log\n{}", self.log());
        }
    }
}

pub fn said(done: std::process::Output) -> Said {
    Said {
        code: done.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&done.stdout).into_owned(),
        err: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// Looks until there is something to see.
#[track_caller]
pub fn until<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "{what}: not seen within {seconds} s");
        std::thread::sleep(Duration::from_millis(200));
    }
}
