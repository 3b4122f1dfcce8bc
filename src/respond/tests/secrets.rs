//! A whole response with every kind of secret in use, at the most talkative log level; then everything that was written is
//! searched for each of them.

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;

use super::*;
use crate::config::secret::BarbicanRef;
use crate::config::{EventPattern, Severity, Webhook};
use crate::fence::agent::{FenceAgent, Spec};
use crate::openstack::scripted::{Answer, Request, Server, answer};
use crate::report::Report;
use crate::respond::webhook::Receiver;
use crate::secrets::{Secrets, Vault};

const KEYSTONE: &str = "hunter2";
const TOKEN: &str = "gAAAA-token-of-the-daemon";
const OLD_BMC: &str = "old-Bmc-Pa55";
const BMC: &str = "new-Bmc-Pa55";
const SESSION: &str = "s3ss10n-of-the-bmc";
const IPMI: &str = "1pmi-Pa55";
const SIGNING: &str = "s1gning-Pa55";
const IN_ADDRESS: &str = "t0ken-in-the-address";

/// An agent that writes down what others could see of it, quotes the password that it was given, and fails.
const AGENT: &str = r#"#!/bin/sh
here=$(dirname "$0")
input=$(cat)
if [ "$input" = "action=metadata" ]; then
    echo '<?xml version="1.0" ?><resource-agent name="fence_test"><parameters>
    <parameter name="ip"><content type="string"/></parameter><parameter name="password"><content type="string"/></parameter>
    </parameters><actions><action name="off"/><action name="status"/></actions></resource-agent>'
    exit 0
fi
echo "$input" >>"$here/input"
{ tr '\0' ' ' </proc/$$/cmdline; echo; env; } >>"$here/seen"
echo "login failed with $(echo "$input" | grep password)" >&2
exit 1
"#;

/// barbican, whose secret is rotated after it was fetched once. Not the real one: that is in tests/cloud.
#[derive(Default)]
struct Rotated(AtomicUsize);

impl Vault for Rotated {
    fn fetch<'a>(
        &'a self,
        _: &'a BarbicanRef,
    ) -> Pin<Box<dyn Future<Output = Result<Secret, String>> + Send + 'a>> {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        let now = if first { OLD_BMC } else { BMC };
        Box::pin(async move { Ok(Secret::new(now.to_owned())) })
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A BMC with sessions. It quotes what it was sent, once, instead of switching.
async fn bmc(world: &World) -> Server {
    let (world, quoted) = (Arc::clone(&world.state), AtomicUsize::new(0));
    Server::start(move |request: &Request| {
        let signed = request.header("x-auth-token") == Some(SESSION);
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/redfish/v1/") => answer(
                200,
                r#"{"Systems": {"@odata.id": "/redfish/v1/Systems"}, "Links": {"Sessions": {"@odata.id": "/sessions"}}}"#,
            ),
            ("POST", "/sessions") if request.body.contains(BMC) => {
                let headers = vec![("X-Auth-Token", SESSION.into()), ("Location", "/sessions/9".into())];
                Answer::Http(201, headers, String::new())
            }
            _ if !signed => answer(401, r#"{"error": {"message": "no"}}"#),
            ("DELETE", "/sessions/9") => answer(500, format!(r#"{{"error": {{"message": "{BMC}?"}}}}"#)),
            ("GET", "/redfish/v1/Systems/1") => {
                let power = if world.lock().unwrap().off { "Off" } else { "On" };
                answer(
                    200,
                    format!(
                        r##"{{"PowerState": "{power}", "Actions": {{"#ComputerSystem.Reset": {{"target": "/go"}}}}}}"##
                    ),
                )
            }
            ("POST", "/go") if quoted.fetch_add(1, Ordering::SeqCst) == 0 => {
                answer(500, format!(r#"{{"error": {{"message": "user fence, password {BMC}: busy"}}}}"#))
            }
            ("POST", "/go") => {
                world.lock().unwrap().off = true;
                answer(204, "")
            }
            _ => answer(404, "{}"),
        }
    })
    .await
}

fn read(directory: &Path, name: &str) -> String {
    let bytes = std::fs::read(directory.join(name)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn nothing_that_the_daemon_writes_holds_a_secret() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // With one subscriber alone, a line that another test's thread meets first is switched off for all threads.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).finish());
    let _here = tracing::subscriber::set_default(subscriber);

    let mut bench = Bench::new(2, Recovery::Nova).await;
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("fence_test");
    std::fs::write(&program, AGENT).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let secrets = Secrets::from(Arc::new(Rotated::default()));
    let agent = FenceAgent::load(Spec {
        program: program.to_string_lossy().into_owned(),
        options: BTreeMap::from([("ip".to_owned(), "10.0.0.7".to_owned())]),
        password: Some(SecretSource::Inline(Secret::new(IPMI.into()))),
        timeout: Duration::from_secs(10),
    })
    .await
    .unwrap();
    let power = bmc(&bench.world).await;
    let redfish = Redfish::new(Target {
        url: power.url.parse().unwrap(),
        system: Some("1".into()),
        system_uuid: None,
        username: "fence".into(),
        password: SecretSource::Barbican("name:bmc-cmp-1".parse().unwrap()),
        trust: Trust::System,
        timeout: Duration::from_secs(5),
    })
    .unwrap()
    .with_secrets(secrets.clone());
    let fence = HostFence {
        methods: Methods::new(name(1), vec![Method::FenceAgent(agent), Method::Redfish(redfish)]),
        agent: AgentPort {
            host: "127.0.0.1".into(),
            port: 9,
            timeout: Duration::from_secs(1),
        },
    };
    let times = FenceTimes {
        off_polls: 2,
        off_poll_interval: Duration::from_millis(5),
        off_deadline: Duration::from_secs(10),
        heartbeat_silence: Duration::from_millis(10),
    };
    let respond = || {
        let mut respond = Respond::new(
            bench.store.clone(),
            Some(Arc::new(bench.world.cloud())),
            bench.config.clone(),
            Fencing::new(BTreeMap::new(), &times),
            Arc::clone(&bench.clock) as Arc<dyn Clock>,
            "a".into(),
        );
        respond.pace = Duration::from_millis(2);
        respond
    };
    let mut respond = respond();
    respond.fencing = Fencing::new(BTreeMap::from([(name(1), fence)]), &times);
    let daemon = Arc::new(respond);
    let debugged = format!("{:?}", daemon.fencing);

    bench.condemn(&daemon, &name(1), "aa").await;
    let case = bench.settle(Arc::clone(&daemon)).await;
    assert!(matches!(case.state, CaseState::Closed { .. }), "{:?}", case.state);

    let tried = AtomicUsize::new(0);
    let (receiver, authority) = Server::start_tls(move |_| {
        let first = tried.fetch_add(1, Ordering::SeqCst) == 0;
        answer(if first { 500 } else { 204 }, SIGNING)
    })
    .await;
    let webhook = Webhook {
        name: "pager".into(),
        url: format!("{}/{IN_ADDRESS}", receiver.url).parse().unwrap(),
        secret: Some(SecretSource::Inline(Secret::new(SIGNING.into()))),
        ca_file: None,
        events: vec![EventPattern::new("*").unwrap()],
        min_severity: Severity::Info,
    };
    let pager = Receiver::new(webhook, Some(authority.as_bytes()), secrets).unwrap();
    let stop = CancellationToken::new();
    let telling = tokio::spawn(Arc::clone(&daemon).deliver(vec![pager], stop.clone()));
    while receiver.count("POST") < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.cancel();
    telling.await.unwrap();

    // Each was used, or nothing is proven here.
    assert!(
        power.seen().iter().any(|line| line == "POST /go"),
        "{:?}",
        power.seen()
    );
    let agent_was_told = read(directory.path(), "input");
    assert!(agent_was_told.contains(IPMI), "{agent_was_told}");
    assert!(receiver.last().header("x-lazaret-signature").is_some());
    let log = String::from_utf8_lossy(&written.0.lock().unwrap()).into_owned();
    assert!(log.contains("case-closed") && log.contains("(hidden)"), "{log}");

    let report = Report::gather(&bench.store, &case.id).await.unwrap().unwrap();
    let journal = bench.store.journal_of(&case.id).await.unwrap();
    let place = bench._directory.path();
    let everything = [
        ("the log", log),
        ("the database", read(place, "lazaret.db")),
        ("its write-ahead log", read(place, "lazaret.db-wal")),
        ("the journal", format!("{journal:?}")),
        ("the report", report.json()),
        ("the report as Markdown", report.markdown()),
        ("the report as HTML", report.html()),
        ("argument lists and environments", read(directory.path(), "seen")),
        (
            "what Debug shows",
            format!("{debugged} {:?} {:?}", daemon.cloud, bench.config),
        ),
    ];
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("fence:{BMC}"));
    let all = [
        KEYSTONE, TOKEN, OLD_BMC, BMC, SESSION, IPMI, SIGNING, IN_ADDRESS, &basic,
    ];
    for (what, text) in &everything {
        assert!(!text.is_empty(), "{what} is empty");
        for secret in all {
            assert!(!text.contains(secret), "{secret} is in {what}");
        }
    }
}
