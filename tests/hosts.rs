//! Hosts that are decommissioned, on the command line: the daemon and the commands as they are installed, one database.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use lazaret::clock::{Clock as _, SystemClock, Timestamp};
use lazaret::ids::{CaseId, CaseKind, HostName, RoundId, Sha256Digest};
use lazaret::store::{
    CaseState, Json, LeaseKind, NewCase, NewHost, Outcome, Purpose, Recording, Round, Store,
};
use lazaret_attest::verdict::Verdict;
use lazaret_forge::softtpm::AttestationKey;

struct Place {
    directory: tempfile::TempDir,
}

fn name(text: &str) -> HostName {
    text.parse().expect("a host's name")
}

impl Place {
    fn new() -> Self {
        let place = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        let at = |name: &str| place.directory.path().join(name).display().to_string();
        let debian = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/debian.toml")).expect("a base");
        fs::write(at("debian.toml"), debian).expect("the base");
        fs::write(at("l.sha256"), format!("{}  /bin/sh\n", "11".repeat(32))).expect("the list");
        let text = "name = \"x\"\nversion = 1\nextends = \"debian.toml\"\n[ima]\nlists = [\"l.sha256\"]\n";
        fs::write(at("golden.toml"), text).expect("the golden values");
        // Nothing listens where the agents are said to be: every round is silence.
        let text = format!(
            "[store]\npath = \"{}\"\n[identity]\ndirectory = \"{}\"\n[agents]\nconnect_timeout_s = 1\n\
             [schedule]\ncron = \"* * * * * *\"\njitter_s = 0\n[appraisal]\npolicy = \"{}\"\n",
            at("lazaret.db"),
            at("identity"),
            at("golden.toml"),
        );
        fs::write(place.config(), text).expect("the configuration");
        place
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("lazaret.toml")
    }

    async fn store(&self) -> Store {
        let path = self.directory.path().join("lazaret.db");
        Store::open(&path).await.expect("the database")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        command(&self.config())
            .args(arguments)
            .output()
            .expect("the command runs")
    }

    fn serve(&self) -> Daemon {
        let log = fs::File::create(self.directory.path().join("log")).expect("a log");
        let child = command(&self.config())
            .arg("serve")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        Daemon(child)
    }
}

fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lazaret"));
    command.arg("--config").arg(config);
    command
}

/// Ended with the test, however that ends.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

async fn enrol(store: &Store, host: &str, number: u8) {
    let key = AttestationKey::p256(host);
    let host = NewHost {
        name: name(host),
        agent_url: "https://127.0.0.1:9".parse().expect("a URL"),
        policy: None,
        ak_public: key.public(),
        ak_name: key.name(),
        ek_public_digest: Sha256Digest([number; 32]),
        ek_certificate: None,
        ek_kind: "ecc-p256".into(),
        agent_key: Sha256Digest([number; 32]),
    };
    store.enrol(&host, "test", false, now()).await.expect("enrolled");
}

async fn rounds(store: &Store, host: &str) -> Vec<Round> {
    store.latest_rounds(&name(host), 999).await.expect("rounds")
}

async fn silences(store: &Store, host: &str) -> usize {
    let told = store.notifications(999).await.expect("notifications");
    told.iter()
        .filter(|(told, _)| told.payload.as_str().contains(&format!("\"{host}\"")))
        .count()
}

/// Waits until something is so; how long is bounded.
async fn until<F: Future<Output = bool>>(place: &Place, what: &str, so: impl Fn() -> F) {
    let end = Instant::now() + Duration::from_secs(60);
    while !so().await {
        if Instant::now() > end {
            let log = fs::read_to_string(place.directory.path().join("log")).unwrap_or_default();
            panic!("not within a minute: {what}; the daemon says:\n{log}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Rounds and a removal at once: the daemon attests both hosts all the time.
#[tokio::test]
async fn case_74_a_host_that_is_removed_has_no_more_rounds_and_no_news_of_its_silence() {
    let place = Place::new();
    let store = place.store().await;
    enrol(&store, "cmp-1", 1).await;
    enrol(&store, "cmp-2", 2).await;
    let _daemon = place.serve();
    until(&place, "both hosts have rounds", || async {
        rounds(&store, "cmp-1").await.len() > 1
            && rounds(&store, "cmp-2").await.len() > 1
            && silences(&store, "cmp-1").await > 0
    })
    .await;
    let refused = place.run(&["hosts", "remove", "cmp-1"]);
    assert_eq!(refused.status.code(), Some(65), "{}", said(&refused));
    assert!(said(&refused).contains("--because"), "{}", said(&refused));
    let removed = place.run(&["hosts", "remove", "cmp-1", "--because", "its board is dead"]);
    assert_eq!(removed.status.code(), Some(0), "{}", said(&removed));
    let (kept, told) = (
        rounds(&store, "cmp-1").await.len(),
        silences(&store, "cmp-1").await,
    );
    let others = rounds(&store, "cmp-2").await.len();
    until(&place, "the other host has more rounds", || async {
        rounds(&store, "cmp-2").await.len() > others + 3
    })
    .await;
    // What was kept is kept, and a round that was under way may not have been recorded any more.
    assert_eq!(rounds(&store, "cmp-1").await.len(), kept);
    assert_eq!(silences(&store, "cmp-1").await, told);
    let listed = place.run(&["hosts", "--json"]);
    let rows: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
    assert_eq!(rows[0]["host"], "cmp-2");
    let history = store.enrolments(Some(&name("cmp-1"))).await.expect("the history");
    assert_eq!(history.last().map(|last| last.action.as_str()), Some("removed"));
    let audit = store.latest_audit(9).await.expect("the audit trail");
    let entry = &audit[0].entry;
    assert!(
        entry.who.starts_with("cli:") && entry.what == "remove",
        "{entry:?}"
    );
    assert!(entry.outcome.contains("its board is dead"));
    let again = place.run(&["hosts", "remove", "cmp-1", "--because", "x"]);
    assert_eq!(again.status.code(), Some(66), "{}", said(&again));
}

/// A case that is open needs its host; one that keeps the host out does so again once it is enrolled.
#[tokio::test]
async fn case_74_a_host_with_an_open_case_stays_and_one_in_quarantine_needs_a_reason() {
    let place = Place::new();
    let store = place.store().await;
    enrol(&store, "cmp-1", 1).await;
    let case = opened(&store, "cmp-1").await;
    let remove = |because: Option<&str>| {
        let mut arguments = vec!["hosts", "remove", "cmp-1"];
        if let Some(because) = because {
            arguments.extend(["--because", because]);
        }
        place.run(&arguments)
    };
    let refused = remove(Some("scrap"));
    assert_eq!(refused.status.code(), Some(65), "{}", said(&refused));
    assert!(said(&refused).contains(case.as_str()), "{}", said(&refused));
    close(&store, &case).await;
    let refused = remove(None);
    assert_eq!(refused.status.code(), Some(65), "{}", said(&refused));
    assert!(said(&refused).contains("in quarantine"), "{}", said(&refused));
    let refused = remove(Some("  "));
    assert_eq!(refused.status.code(), Some(64), "{}", said(&refused));
    assert!(store.host(&name("cmp-1")).await.expect("read").is_some());
    let removed = remove(Some("scrap"));
    assert_eq!(removed.status.code(), Some(0), "{}", said(&removed));
    assert!(said(&removed).contains("is in it again"), "{}", said(&removed));
    // The case, its report and its evidence are there still.
    let report = place.run(&["report", case.as_str(), "--format", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).expect("JSON");
    assert_eq!(report["now"]["enrolled"], false);
    assert_eq!(report["evidence"].as_array().map(Vec::len), Some(2));
    let digest: Sha256Digest = report["evidence"][0]["sha256"]
        .as_str()
        .expect("text")
        .parse()
        .expect("a digest");
    assert!(store.evidence(digest).await.expect("read").is_some());
    enrol(&store, "cmp-1", 1).await;
    let host = store.host(&name("cmp-1")).await.expect("read").expect("enrolled");
    assert_eq!(host.quarantined_by, Some(case));
}

async fn opened(store: &Store, host: &str) -> CaseId {
    let evidence = store.put_evidence(b"evidence", now()).await.expect("kept");
    let id = CaseId::new(CaseKind::Quarantine, now(), [1, 2, 3]);
    let round = RoundId::new([9; 16]);
    let recording = Recording {
        round: Round {
            id: round,
            host: name(host),
            purpose: Purpose::Scheduled,
            confirms: None,
            started_at: now(),
            finished_at: now(),
            verdict: Verdict::Contraindicated,
            findings: Json::empty(),
            claims: Json::empty(),
            timings: Json::empty(),
            evidence: Some(evidence),
            policy: None,
        },
        history: None,
        answered: true,
        next_due: None,
        case: Some(NewCase {
            id: id.clone(),
            kind: CaseKind::Quarantine,
            parent: None,
            host: name(host),
            state: CaseState::Open,
            held_group: None,
            holds: None,
            not_before: now(),
            mode: lazaret::config::ResponseMode::Enforce,
            cause: "a finding".into(),
            condemned_by: round,
            confirmed_by: round,
            plan: Json::empty(),
            steps: vec!["disable".into()],
            instances: vec![],
            evidence: vec![],
        }),
        notifications: vec![],
    };
    let kind = LeaseKind::Host(name(host));
    let lease = store
        .lease(kind, "test", now(), Duration::from_secs(60))
        .await
        .expect("asked");
    let lease = lease.expect("a lease");
    store.record(&lease, &recording, now()).await.expect("recorded");
    store.release(lease).await.expect("given back");
    id
}

async fn close(store: &Store, case: &CaseId) {
    let kind = LeaseKind::Case(case.clone());
    let lease = store
        .lease(kind, "test", now(), Duration::from_secs(60))
        .await
        .expect("asked");
    let lease = lease.expect("a lease");
    let says = Json::empty();
    store
        .begin_step(&lease, "disable", &says, now())
        .await
        .expect("begun");
    let outcome = Outcome {
        reason: "out".into(),
        detail: Json::empty(),
    };
    store
        .close_case(&lease, &outcome, &[], now())
        .await
        .expect("closed");
    store.release(lease).await.expect("given back");
}
