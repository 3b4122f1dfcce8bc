//! A software TPM, an agent process, and a daemon's client.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, OnceLock, mpsc},
    time::{Duration, Instant},
};

use lazaret_wire::{
    ATTEST_PATH, Attest, Bank, Evidence, IDENTITY_PATH, Identity, MEDIA_TYPE, Message, Problem, decode,
    encode,
    tls::{Peer, Pin, TlsIdentity, client_config},
};
use reqwest::StatusCode;

/// Everything that is waited for comes within this, or the test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One TPM maker and one manufactured TPM, made once for all tests: tests work on copies.
pub struct Factory {
    directory: tempfile::TempDir,
}

impl Factory {
    pub fn shared() -> &'static Self {
        static FACTORY: OnceLock<Factory> = OnceLock::new();
        FACTORY.get_or_init(|| {
            let factory = Self { directory: tempfile::tempdir().unwrap() };
            let at = factory.directory.path();
            fs::create_dir(at.join("ca")).unwrap();
            let ca = at.join("ca");
            fs::write(
                at.join("localca.conf"),
                format!(
                    "statedir = {0}\nsigningkey = {0}/signkey.pem\nissuercert = {0}/issuercert.pem\ncertserial = {0}/certserial\n",
                    ca.display()
                ),
            )
            .unwrap();
            fs::write(
                at.join("options"),
                "--platform-manufacturer lab\n--platform-version 1\n--platform-model lab\n",
            )
            .unwrap();
            fs::write(
                at.join("setup.conf"),
                format!(
                    "create_certs_tool = swtpm_localca\ncreate_certs_tool_config = {0}/localca.conf\n\
                     create_certs_tool_options = {0}/options\nactive_pcr_banks = sha1,sha256\n",
                    at.display()
                ),
            )
            .unwrap();
            factory.manufacture("first");
            factory
        })
    }

    /// A TPM of its own, with certificates of the same maker.
    pub fn manufacture(&self, name: &str) -> PathBuf {
        let at = self.directory.path();
        let state = at.join(name);
        fs::create_dir(&state).unwrap();
        succeed(
            Command::new("swtpm_setup")
                .args([
                    "--tpm2",
                    "--create-ek-cert",
                    "--lock-nvram",
                    "--pcr-banks",
                    "sha1,sha256",
                    "--vmid",
                    name,
                ])
                .arg("--tpm-state")
                .arg(&state)
                .arg("--config")
                .arg(at.join("setup.conf")),
        );
        state
    }

    pub fn roots(&self) -> Vec<(String, Vec<u8>)> {
        ["swtpm-localca-rootca-cert.pem", "issuercert.pem"]
            .map(|name| {
                (
                    name.to_owned(),
                    fs::read(self.directory.path().join("ca").join(name)).unwrap(),
                )
            })
            .to_vec()
    }
}

/// A running swtpm.
pub struct Swtpm {
    pub state: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

impl Swtpm {
    pub fn start() -> Self {
        Self::of(&Factory::shared().directory.path().join("first"))
    }

    /// A copy of a manufactured TPM.
    pub fn of(manufactured: &Path) -> Self {
        let state = tempfile::tempdir().unwrap();
        fs::copy(
            manufactured.join("tpm2-00.permall"),
            state.path().join("tpm2-00.permall"),
        )
        .unwrap();
        let mut swtpm = Self {
            state,
            port: 0,
            process: None,
        };
        // Another process may take a port between its choice and its use: then another is chosen.
        for _ in 0..5 {
            swtpm.port = two_free_ports();
            if swtpm.try_power_on() {
                return swtpm;
            }
        }
        panic!("swtpm finds no ports");
    }

    pub fn power_on(&mut self) {
        assert!(self.try_power_on(), "swtpm does not start again");
    }

    fn try_power_on(&mut self) -> bool {
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", self.state.path().display()))
            .arg("--server")
            .arg(format!("type=tcp,port={},bindaddr=127.0.0.1", self.port))
            .arg("--ctrl")
            .arg(format!("type=tcp,port={},bindaddr=127.0.0.1", self.port + 1))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // From here on, dropping ends it.
        let process = self.process.insert(process);
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if process.try_wait().unwrap().is_some() {
                self.process = None;
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port + 1)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("swtpm does not listen");
    }

    pub fn power_off(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub fn signal(&self, name: &str) {
        signal(self.process.as_ref().unwrap().id(), name);
    }

    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// Runs one of tpm2-tools; gives what it prints.
    pub fn tool(&self, name: &str, args: &[&str]) -> String {
        let output = succeed(Command::new(name).args(args).env("TPM2TOOLS_TCTI", self.tcti()));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.power_off();
    }
}

/// An agent's directory, and its process while it runs.
pub struct Agent {
    pub directory: tempfile::TempDir,
    pub daemon: Daemon,
    tcti: String,
    settings: String,
    process: Option<Child>,
    address: Option<SocketAddr>,
    pub log: Arc<Mutex<String>>,
}

impl Agent {
    /// An agent that is not started yet. `settings` are lines of its configuration; limits last.
    pub fn new(swtpm: &Swtpm, settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("boot_log"), b"the boot log").unwrap();
        fs::write(directory.path().join("ima_log"), b"").unwrap();
        let daemon = Daemon::new(&directory.path().join("daemon"));
        let agent = Self {
            directory,
            daemon,
            tcti: swtpm.tcti(),
            settings: settings.to_owned(),
            process: None,
            address: None,
            log: Arc::default(),
        };
        agent.configure();
        agent
    }

    pub fn started(swtpm: &Swtpm) -> Self {
        let mut agent = Self::new(swtpm, "");
        agent.start(&[]);
        agent.identity();
        agent
    }

    /// Another TPM in the same host.
    pub fn move_to(&mut self, swtpm: &Swtpm) {
        self.tcti = swtpm.tcti();
        self.configure();
    }

    pub fn configuration(&self) -> PathBuf {
        self.directory.path().join("agent.toml")
    }

    fn configure(&self) {
        let at = self.directory.path().display();
        let text = format!(
            "host = \"cmp-1\"\nlisten = \"127.0.0.1:0\"\ntcti = \"{}\"\nverifier_pins = [\"{}\"]\n\
             state_directory = \"{at}/state\"\nboot_log = \"{at}/boot_log\"\nima_log = \"{at}/ima_log\"\n{}\n",
            self.tcti,
            self.daemon.identity.pin(),
            self.settings
        );
        fs::write(self.configuration(), text).unwrap();
    }

    pub fn start(&mut self, args: &[&str]) {
        self.start_logging("info", args);
    }

    pub fn start_logging(&mut self, level: &str, args: &[&str]) {
        let mut process = self
            .command("run")
            .args(args)
            .env("RUST_LOG", level)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        let (told, address) = mpsc::channel();
        let log = Arc::clone(&self.log);
        std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                if let Some(rest) = line.split("serves address=").nth(1) {
                    let _ = told.send(rest.split_whitespace().next().unwrap().parse().unwrap());
                }
                log.lock().unwrap().push_str(&line);
                line.clear();
            }
        });
        self.process = Some(process);
        self.address = address.recv_timeout(PATIENCE).ok();
        assert!(
            self.address.is_some(),
            "the agent does not serve: {}",
            self.log.lock().unwrap()
        );
    }

    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lazaret-agent"));
        command.arg(name).arg("--config").arg(self.configuration());
        command
    }

    /// SIGTERM; gives the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        signal(self.pid(), "TERM");
        self.wait()
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Waits for an agent that was told to stop.
    pub fn wait(&mut self) -> Option<i32> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.as_mut().unwrap().try_wait().unwrap() {
                self.process = None;
                return status.code();
            }
            assert!(
                began.elapsed() < PATIENCE,
                "the agent does not stop: {}",
                self.log.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Waits until what the agent logged is as it should be.
    pub fn wait_for_log(&self, right: impl Fn(&str) -> bool) {
        let began = Instant::now();
        while !right(&self.log.lock().unwrap()) {
            assert!(
                began.elapsed() < PATIENCE,
                "not in the log: {}",
                self.log.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address())
    }

    pub fn pin(&self) -> Pin {
        let output = succeed(&mut self.command("pin"));
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    }

    /// The identity, as soon as it is ready.
    pub fn identity(&self) -> Identity {
        let began = Instant::now();
        loop {
            match self.daemon.fetch::<Identity>(self.url(IDENTITY_PATH), None) {
                Ok(identity) => return identity,
                Err((StatusCode::SERVICE_UNAVAILABLE, _)) if began.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err((status, problem)) => panic!("{status}: {problem}\n{}", self.log.lock().unwrap()),
            }
        }
    }

    pub fn attest(&self, asked: &Attest) -> Result<Evidence, (StatusCode, Problem)> {
        self.daemon
            .fetch(self.url(ATTEST_PATH), Some(encode(asked).unwrap()))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A daemon's end.
pub struct Daemon {
    pub identity: TlsIdentity,
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
}

impl Daemon {
    pub fn new(directory: &Path) -> Self {
        let identity = TlsIdentity::load_or_make(directory, "daemon").unwrap();
        let config = client_config(&identity, Peer::FirstContact(Arc::default())).unwrap();
        Self {
            identity,
            runtime: tokio::runtime::Runtime::new().unwrap(),
            http: client(config),
        }
    }

    /// A second client of the same daemon.
    pub fn again(agent: &Agent) -> Self {
        Self::new(&agent.directory.path().join("daemon"))
    }

    /// One request; what is not 200 must be a problem.
    pub fn fetch<T: Message>(&self, url: String, body: Option<Vec<u8>>) -> Result<T, (StatusCode, Problem)> {
        let (status, _, body) = self.exchange(url, body).unwrap();
        if status == StatusCode::OK {
            Ok(decode(&body).unwrap())
        } else {
            Err((status, decode(&body).unwrap()))
        }
    }

    pub fn exchange(
        &self,
        url: String,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, reqwest::header::HeaderMap, Vec<u8>), reqwest::Error> {
        self.runtime.block_on(async {
            let request = match body {
                Some(body) => self.http.post(url).header("content-type", MEDIA_TYPE).body(body),
                None => self.http.get(url),
            };
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok((status, headers, response.bytes().await?.to_vec()))
        })
    }
}

pub fn client(config: rustls::ClientConfig) -> reqwest::Client {
    reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .timeout(PATIENCE)
        .no_proxy()
        .build()
        .unwrap()
}

/// A question that nobody asked before.
pub fn question(banks: &[(u16, &[u8])], ima_first: u64) -> Attest {
    let mut nonce = [0; 32];
    fs::File::open("/dev/urandom")
        .unwrap()
        .read_exact(&mut nonce)
        .unwrap();
    let selection = banks
        .iter()
        .map(|(alg, pcrs)| Bank {
            alg: *alg,
            pcrs: pcrs.to_vec(),
        })
        .collect();
    Attest {
        nonce,
        host: "cmp-1".to_owned(),
        selection,
        ima_first,
    }
}

pub fn signal(pid: u32, name: &str) {
    succeed(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]));
}

pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn two_free_ports() -> u16 {
    loop {
        let first = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}
