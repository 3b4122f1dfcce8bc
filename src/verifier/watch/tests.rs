//! The watch over a database that fails. The agent and its TPM are fakes, for a round at a given moment; what they send is
//! genuine, and the faults of the database are SQLite's own.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use lazaret_forge::host::HonestHost;
use lazaret_wire::tls::{Pin, PinnedClients, TlsIdentity, server_config};
use lazaret_wire::{Attest, Evidence, PcrValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ResponseMode};
use crate::ids::Sha256Digest;
use crate::respond::Fencing;
use crate::store::tests::broken::{breaks, mended};
use crate::store::{CaseFilter, CaseState, NewHost, Round, Store};
use crate::verifier::{keys::Keys, policies::Policies};

#[tokio::test]
async fn case_72_a_round_that_panics_gives_its_host_back() {
    let name: HostName = "cmp-1".parse().expect("a host name");
    let busy = Arc::new(Mutex::new(HashSet::from([name.clone()])));
    let held = Busy(Arc::clone(&busy), name);
    let round = tokio::spawn(async move {
        let _held = held;
        panic!("on purpose");
    });
    assert!(round.await.is_err());
    assert!(busy.lock().expect("not poisoned").is_empty());
}

/// One host whose files are in no golden values, and a daemon that would put it into quarantine.
struct Scene {
    watch: Watch,
    store: Store,
    directory: tempfile::TempDir,
}

fn name() -> HostName {
    "cmp-1".parse().unwrap()
}

/// Golden values that know one file, and a configuration.
fn configuration(directory: &Path) -> PathBuf {
    let at = |name: &str| directory.join(name).display().to_string();
    let policy = "name = \"x\"\nversion = 1\nsecure_boot = \"required\"\n[ima]\nlists = [\"l.sha256\"]\n";
    fs::write(at("golden.toml"), policy).unwrap();
    fs::write(at("l.sha256"), format!("{}  /bin/sh\n", "11".repeat(32))).unwrap();
    let text = format!(
        "[store]\npath = \"{}\"\n[identity]\ndirectory = \"{}\"\n[appraisal]\npolicy = \"{}\"\n",
        at("lazaret.db"),
        at("identity"),
        at("golden.toml"),
    );
    fs::write(at("lazaret.toml"), text).unwrap();
    directory.join("lazaret.toml")
}

impl Scene {
    async fn new() -> Self {
        let directory = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let mut config = Config::load(&configuration(directory.path())).unwrap();
        (config.response.mode, config.response.startup_grace) = (ResponseMode::Enforce, Duration::ZERO);
        let store = Store::open(&config.store.path).await.unwrap();
        let identity = TlsIdentity::load_or_make(&config.identity.directory, "lazaret").unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);

        let tpm = HonestHost::new("cmp-1");
        let key = tpm.tpm.key.clone();
        let agent = TlsIdentity::load_or_make(&directory.path().join("agent"), "cmp-1").unwrap();
        let pin = agent.pin();
        let port = answers(tpm, agent, identity.pin()).await;
        let host = NewHost {
            name: name(),
            agent_url: format!("https://127.0.0.1:{port}").parse().unwrap(),
            policy: None,
            ak_public: key.public(),
            ak_name: key.name(),
            ek_public_digest: Sha256Digest([1; 32]),
            ek_certificate: None,
            ek_kind: "ecc-p256".into(),
            agent_key: Sha256Digest(*pin.as_bytes()),
        };
        store.enrol(&host, "test", false, clock.now()).await.unwrap();

        let (response, fencing) = (
            config.response.clone(),
            Fencing::new(Default::default(), &config.fence),
        );
        let owner = "test".to_owned();
        let respond = Respond::new(
            store.clone(),
            None,
            response,
            fencing,
            Arc::clone(&clock),
            owner.clone(),
        );
        let rounds = Rounds {
            store: store.clone(),
            policies: Policies::new(None),
            identity: Arc::new(identity),
            keys: Keys::default(),
            config: Arc::new(config),
            clock,
            owner,
        };
        let scene = Self {
            watch: Watch::new(Arc::new(rounds), Arc::new(respond)),
            store,
            directory,
        };
        scene.due_now().await;
        scene
    }

    fn database(&self) -> PathBuf {
        self.directory.path().join("lazaret.db")
    }

    /// As a person's command makes it due, and as it is a minute later.
    async fn due_now(&self) {
        let now = SystemClock.now();
        self.store.set_next_due(&name(), now).await.unwrap();
    }

    /// The watch looks once who is due; until its rounds are over.
    async fn looks(&self) {
        self.watch.start_due().await.unwrap();
        self.watch.tasks.close();
        self.watch.tasks.wait().await;
        self.watch.tasks.reopen();
    }

    async fn host(&self) -> Host {
        self.store.host(&name()).await.unwrap().unwrap()
    }

    async fn rounds(&self) -> Vec<Round> {
        self.store.latest_rounds(&name(), 99).await.unwrap()
    }

    async fn kinds(&self) -> Vec<String> {
        let told = self.store.notifications(99).await.unwrap();
        told.into_iter().map(|(told, _)| told.kind).collect()
    }

    /// The next look has a case opened for it, with the evidence of both its condemnations.
    async fn is_quarantined_by_the_next_look(&self, when: &str) {
        self.looks().await;
        let verdicts: Vec<Verdict> = self.rounds().await.iter().map(|round| round.verdict).collect();
        assert_eq!(verdicts, [Verdict::Contraindicated; 2], "{when}");
        let cases = self.store.cases(&CaseFilter::default()).await.unwrap();
        assert!(
            matches!(&cases[..], [case] if case.state == CaseState::Open),
            "{when}: {cases:?}"
        );
        let kept = self.store.case_evidence(&cases[0].id).await.unwrap();
        assert_eq!(kept.len(), 2, "{when}");
        for (role, digest) in kept {
            let bytes = self.store.evidence(digest).await.unwrap();
            assert!(bytes.is_some(), "{when}: {role}");
        }
        assert_eq!(self.kinds().await, ["case-opened"], "{when}");
    }
}

/// The agent; its port.
async fn answers(mut tpm: HonestHost, identity: TlsIdentity, verifier: Pin) -> u16 {
    let clients = PinnedClients::new(vec![verifier], None).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server_config(&identity, clients).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A verifier that hangs up in the middle is none of the agent's trouble.
            let _ = answer(stream, &acceptor, &mut tpm, identity.pin()).await;
        }
    });
    port
}

async fn answer(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    tpm: &mut HonestHost,
    own: Pin,
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut request = Vec::new();
    let body = loop {
        let mut some = [0; 4096];
        let n = stream.read(&mut some).await?;
        request.extend_from_slice(&some[..n]);
        let end = request.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end.filter(|_| n > 0) else {
            continue;
        };
        let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
        let length = head.split_once("content-length: ").unwrap().1;
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if request.len() >= end + 4 + length {
            break request[end + 4..].to_vec();
        }
    };
    let asked: Attest = lazaret_wire::decode(&body).unwrap();
    let given = tpm.usual_evidence(&asked.qualifying_data(&own)).unwrap();
    let pcr = |(alg, index, digest)| PcrValue { alg, index, digest };
    let evidence = lazaret_wire::encode(&Evidence {
        quote: given.quote,
        signature: given.signature,
        pcrs: given.pcrs.into_iter().map(pcr).collect(),
        boot_log: given.boot_log,
        ima_log: given.ima_binary,
        ima_first: given.ima_first,
    });
    let evidence = evidence.unwrap();
    let length = evidence.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&evidence).await?;
    stream.shutdown().await
}

/// What this test's daemon says.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Listening {
    _here: tracing::subscriber::DefaultGuard,
    _second: tracing::Dispatch,
}

impl Log {
    fn listening(&self) -> Listening {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || log.clone())
            .finish();
        Listening {
            // With one subscriber alone, a line that another test's thread meets first is switched off for all threads.
            _second: tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish()),
            _here: tracing::subscriber::set_default(subscriber),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn a_host_that_fails_twice_is_quarantined_in_one_look() {
    let scene = Scene::new().await;
    scene.is_quarantined_by_the_next_look("nothing fails").await;
}

/// Wherever the database fails: nothing counts that is not written whole, a verdict that was given is said, the host is
/// not left looking as it did, and is challenged again within a minute.
#[tokio::test]
async fn case_72_a_database_that_fails_in_a_round_of_the_watch_loses_no_verdict_and_the_next_round_counts() {
    const BEFORE: usize = 0;
    const FIRST: usize = 1;
    // What fails, how many rounds are recorded all the same, and whether a verdict was given that is not.
    for (what, table, recorded, given) in [
        ("INSERT", "leases", BEFORE, false),
        ("INSERT", "challenges", BEFORE, false),
        ("UPDATE", "challenges", BEFORE, false),
        ("INSERT", "evidence", BEFORE, true),
        ("INSERT", "rounds", BEFORE, true),
        ("UPDATE", "hosts", BEFORE, true),
        ("INSERT", "cases", FIRST, true),
        ("INSERT", "case_evidence", FIRST, true),
        ("INSERT", "outbox", FIRST, true),
    ] {
        let when = format!("{what} {table}");
        let scene = Scene::new().await;
        breaks(&scene.database(), what, table).await;
        let log = Log::default();
        let listening = log.listening();
        scene.looks().await;
        drop(listening);
        let said = log.text();
        assert_eq!(said.contains("it could not be recorded"), given, "{when}: {said}");
        let names = said.contains("cmp-1") && said.contains("disk I/O error");
        assert!(
            names && said.contains("no round: trouble on this side"),
            "{when}: {said}"
        );
        if given {
            let verdict = said.contains("verdict=contraindicated") && said.contains("ima-file-unknown");
            assert!(verdict, "{when}: {said}");
        }
        let verdicts: Vec<Verdict> = scene.rounds().await.iter().map(|round| round.verdict).collect();
        assert_eq!(verdicts, vec![Verdict::Contraindicated; recorded], "{when}");
        let host = scene.host().await;
        assert_eq!(host.last.is_some(), recorded > 0, "{when}");
        assert_eq!(
            scene.store.cases(&CaseFilter::default()).await.unwrap(),
            [],
            "{when}"
        );
        assert_eq!(scene.kinds().await, Vec::<String>::new(), "{when}");
        let in_a_minute = SystemClock.now().plus(TRY_AGAIN);
        assert!(
            host.next_due.is_some_and(|due| due <= in_a_minute),
            "{when}: {host:?}"
        );

        mended(&scene.database()).await;
        scene.due_now().await;
        scene.is_quarantined_by_the_next_look(&when).await;
    }
}
