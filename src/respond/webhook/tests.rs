//! Delivery to real servers over TLS: refusing, redirecting, silent, endless, gone. And the documented receiver.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::clock::{Clock, ManualClock, SystemClock};
use crate::config::secret::{Secret, SecretSource};
use crate::config::{EventPattern, FenceTimes};
use crate::openstack::scripted::{Answer, Request, Server, answer};
use crate::respond::Fencing;
use crate::respond::notify::Kind;
use crate::respond::tests::response;
use crate::store::{DeliveryState, Store};

use super::*;

const DOCUMENT: &str = include_str!("../../../docs/notifications.md");

#[test]
fn the_signature_is_hmac_sha256_over_time_and_body() {
    // printf '1795243380.{}' | openssl dgst -sha256 -hmac Jefe
    assert_eq!(
        signature(b"Jefe", "1795243380", "{}"),
        "sha256=03bb9a611f43961aef5f773f02ee47fdbec7e221e9a6ab08a604bf52ae6116ba"
    );
}

/// A response with a store of its own, and no cloud.
struct Bench {
    _directory: tempfile::TempDir,
    respond: Arc<Respond>,
    clock: Arc<ManualClock>,
}

impl Bench {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_795_243_380_000)));
        let (directory, respond) = respond(Arc::clone(&clock) as Arc<dyn Clock>).await;
        Self {
            _directory: directory,
            respond,
            clock,
        }
    }

    async fn tell(&self, kind: Kind) -> Event {
        let event = event(kind, self.clock.now());
        let queued = event.queued();
        self.respond
            .store
            .enqueue(&queued, self.clock.now())
            .await
            .unwrap();
        event
    }

    /// Hands out, and delivers what is due to one receiver.
    async fn deliver(&self, receiver: &Receiver) {
        self.respond
            .hand_out(std::slice::from_ref(receiver))
            .await
            .unwrap();
        let (mut down, stop) = (false, CancellationToken::new());
        self.respond
            .deliver_due(receiver, &mut down, &stop)
            .await
            .unwrap();
    }

    /// How the latest notification's way to this receiver stands, with its error.
    async fn way(&self, receiver: &str) -> (DeliveryState, String) {
        let (_, ways) = self.respond.store.notifications(1).await.unwrap().remove(0);
        let way = ways.into_iter().find(|way| way.receiver == receiver).unwrap();
        (way.state, way.error.unwrap_or_default())
    }
}

async fn respond(clock: Arc<dyn Clock>) -> (tempfile::TempDir, Arc<Respond>) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("lazaret.db")).await.unwrap();
    let times = FenceTimes {
        off_polls: 1,
        off_poll_interval: Duration::ZERO,
        off_deadline: Duration::ZERO,
        heartbeat_silence: Duration::ZERO,
    };
    let fencing = Fencing::new(BTreeMap::new(), &times);
    let respond = Respond::new(store, None, response(), fencing, clock, "a".into());
    (directory, Arc::new(respond))
}

fn event(kind: Kind, at: Timestamp) -> Event {
    let (case, host) = ("q-20261121-7f3a2c".parse().unwrap(), "cmp-1".parse().unwrap());
    Event::case(kind, &case, &host, "words".into(), at)
}

fn receiver(name: &str, url: &str, authority: &str) -> Receiver {
    let webhook = Webhook {
        name: name.to_owned(),
        url: url.parse().unwrap(),
        secret: Some(SecretSource::Inline(Secret::new("Jefe".into()))),
        ca_file: None,
        events: vec![EventPattern::new("*").unwrap()],
        min_severity: Severity::Info,
    };
    let mut made = Receiver::new(webhook, Some(authority.as_bytes()), Secrets::default()).unwrap();
    made.timeout = Duration::from_secs(2);
    made
}

#[tokio::test]
async fn a_notification_is_posted_signed_until_the_receiver_takes_it() {
    let bench = Bench::new().await;
    let tried = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&tried);
    let (server, authority) = Server::start_tls(move |_| {
        let first = seen.fetch_add(1, Ordering::SeqCst) == 0;
        answer(if first { 503 } else { 204 }, "")
    })
    .await;
    let pager = receiver("pager", &server.url, &authority);
    let event = bench.tell(Kind::CaseOpened).await;
    bench.tell(Kind::CaseOpened).await;
    for sent in [1, 2, 2] {
        bench.deliver(&pager).await;
        assert_eq!(
            tried.load(Ordering::SeqCst),
            sent,
            "queued twice, tried again once"
        );
        bench.clock.advance(Duration::from_secs(7200));
    }
    assert_eq!(bench.way("pager").await.0, DeliveryState::Delivered);

    let request = server.last();
    let time = request.header("x-lazaret-timestamp").unwrap();
    assert_eq!(
        request.header("x-lazaret-signature").unwrap(),
        signature(b"Jefe", time, &request.body)
    );
    assert_eq!(request.header("x-lazaret-id").unwrap(), event.id);
    assert_eq!(serde_json::from_str::<Event>(&request.body).unwrap(), event);
}

#[tokio::test]
async fn a_receiver_that_hangs_or_is_not_there_delays_no_other() {
    let bench = Bench::new().await;
    let (hangs, one) = Server::start_tls(|_| Answer::Hang).await;
    let (takes, other) = Server::start_tls(|_| answer(200, "")).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let receivers = vec![
        receiver("hangs", &hangs.url, &one),
        receiver("absent", &format!("https://localhost:{}", closed.port()), &one),
        receiver("takes", &takes.url, &other),
    ];
    for n in 0..20 {
        bench.clock.advance(Duration::from_secs(n));
        bench.tell(Kind::CaseStuck).await;
    }
    let stop = CancellationToken::new();
    let began = Instant::now();
    let running = tokio::spawn(Arc::clone(&bench.respond).deliver(receivers, stop.clone()));
    while takes.count("POST") < 20 {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{} came",
            takes.count("POST")
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(hangs.count("POST") < 20, "twenty of these take 40 s");
    stop.cancel();
    running.await.unwrap();
    assert_eq!(
        bench.way("takes").await,
        (DeliveryState::Delivered, String::new())
    );
    assert_eq!(bench.way("hangs").await.0, DeliveryState::Pending);
    assert_eq!(bench.way("absent").await.0, DeliveryState::Pending);
}

#[tokio::test]
async fn a_receiver_that_answers_again_gets_at_once_what_waited() {
    let bench = Bench::new().await;
    let up = Arc::new(AtomicUsize::new(0));
    let open = Arc::clone(&up);
    let (server, authority) = Server::start_tls(move |_| match open.load(Ordering::SeqCst) {
        0 => Answer::Close,
        _ => answer(200, ""),
    })
    .await;
    let pager = receiver("pager", &server.url, &authority);
    let (mut down, stop) = (false, CancellationToken::new());
    for _ in 0..3 {
        bench.clock.advance(Duration::from_secs(1));
        bench.tell(Kind::CaseStuck).await;
        bench
            .respond
            .hand_out(std::slice::from_ref(&pager))
            .await
            .unwrap();
        bench.respond.deliver_due(&pager, &mut down, &stop).await.unwrap();
    }
    assert!(down);
    up.store(1, Ordering::SeqCst);
    bench.tell(Kind::CaseClosed).await;
    bench
        .respond
        .hand_out(std::slice::from_ref(&pager))
        .await
        .unwrap();
    let before = server.count("POST");
    bench.respond.deliver_due(&pager, &mut down, &stop).await.unwrap();
    assert_eq!(
        (server.count("POST") - before, down),
        (4, false),
        "the new one, and the three"
    );
}

#[tokio::test]
async fn what_an_answer_means() {
    let (elsewhere, _) = Server::start_tls(|_| answer(200, "")).await;
    let address = elsewhere.url.clone();
    let (server, authority) = Server::start_tls(move |request: &Request| match request.path.as_str() {
        "/redirect" => Answer::Http(307, vec![("Location", address.clone())], String::new()),
        "/gone" => answer(410, ""),
        "/later" => Answer::Http(429, vec![("Retry-After", "90".into())], String::new()),
        "/endless-yes" => Answer::Endless(200),
        "/endless-no" => Answer::Endless(500),
        "/hang" => Answer::Hang,
        "/204" => answer(204, ""),
        path => answer(path[1..].parse().unwrap(), "<html>"),
    })
    .await;
    use DeliveryState::{Dead, Delivered, Pending};
    for (path, state, words) in [
        ("204", Delivered, ""),
        ("400", Pending, "400"),
        ("401", Pending, "see its token or signing secret"),
        ("404", Pending, "see its address"),
        ("500", Pending, "500"),
        ("gone", Dead, "wants no more"),
        ("later", Pending, "429"),
        ("redirect", Pending, "redirects are not followed"),
        ("endless-yes", Delivered, ""),
        ("endless-no", Pending, "500"),
        ("hang", Pending, "timed out"),
    ] {
        let bench = Bench::new().await;
        bench.tell(Kind::CaseOpened).await;
        let mut pager = receiver("pager", &format!("{}/{path}", server.url), &authority);
        pager.timeout = Duration::from_secs(5);
        if path == "hang" {
            pager.timeout = Duration::from_millis(300);
        }
        let began = Instant::now();
        bench.deliver(&pager).await;
        let (now, error) = bench.way("pager").await;
        assert!(now == state && error.contains(words), "{path}: {now:?} {error}");
        assert!(
            !error.contains(&server.url),
            "{path}: an address may hold a token: {error}"
        );
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "{path}: answers are not read to their end"
        );
    }
    assert_eq!(
        elsewhere.seen(),
        Vec::<String>::new(),
        "the signature is for the configured receiver"
    );
}

#[tokio::test]
async fn nothing_is_sent_to_a_stranger_and_nothing_unsigned() {
    let (server, _) = Server::start_tls(|_| answer(200, "")).await;
    let (_, another) = Server::start_tls(|_| answer(200, "")).await;
    let bench = Bench::new().await;
    bench.tell(Kind::CaseOpened).await;
    bench.deliver(&receiver("pager", &server.url, &another)).await;
    let (state, error) = bench.way("pager").await;
    assert!(
        state == DeliveryState::Pending && error.contains("certificate"),
        "{error}"
    );

    let (server, authority) = Server::start_tls(|_| answer(200, "")).await;
    let bench = Bench::new().await;
    bench.tell(Kind::CaseOpened).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    let mut pager = receiver("pager", &server.url, &authority);
    pager.webhook.secret = Some(SecretSource::File(file.clone()));
    bench.deliver(&pager).await;
    let (state, error) = bench.way("pager").await;
    assert!(
        state == DeliveryState::Pending && error.contains("reading the secret"),
        "{error}"
    );
    assert_eq!(server.seen(), Vec::<String>::new());
    // Read at each attempt: written, and written anew, without a restart.
    for secret in ["one", "two"] {
        std::fs::write(&file, secret).unwrap();
        bench.clock.advance(Duration::from_secs(7200));
        bench.tell(Kind::CaseStuck).await;
        bench.deliver(&pager).await;
        let sent = server.last();
        let time = sent.header("x-lazaret-timestamp").unwrap();
        let expected = signature(secret.as_bytes(), time, &sent.body);
        assert_eq!(sent.header("x-lazaret-signature"), Some(expected.as_str()));
    }
}

#[tokio::test]
async fn each_receiver_is_told_what_it_asked_for() {
    let (server, authority) = Server::start_tls(|_| answer(200, "")).await;
    let mut pager = receiver("pager", &server.url, &authority);
    pager.webhook.min_severity = Severity::Critical;
    let mut cases = receiver("cases", &server.url, &authority);
    cases.webhook.events = vec![EventPattern::new("case-*").unwrap()];
    let bench = Bench::new().await;
    let kinds = [Kind::CaseOpened, Kind::CaseClosed, Kind::HostFenced, Kind::Drift];
    for kind in kinds {
        bench.tell(kind).await;
    }
    bench.respond.hand_out(&[pager, cases]).await.unwrap();
    let told = bench.respond.store.notifications(9).await.unwrap();
    let mut seen: Vec<String> = told
        .iter()
        .map(|(told, ways)| {
            let names: Vec<_> = ways.iter().map(|way| way.receiver.as_str()).collect();
            format!("{}: {}", told.kind, names.join(" "))
        })
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            "case-closed: cases journal",
            "case-opened: cases journal pager",
            "drift: journal pager",
            "host-fenced: journal",
        ]
    );
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap()
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_event_is_a_line_of_the_log_also_without_a_webhook_and_once() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true);
    let subscriber = subscriber.with_writer(move || writer.clone()).finish();
    // With one subscriber alone, a line that another test's thread meets first is switched off for all threads.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish());
    let _here = tracing::subscriber::set_default(subscriber);
    let bench = Bench::new().await;
    let event = bench.tell(Kind::CaseStuck).await;
    for _ in 0..2 {
        let stop = CancellationToken::new();
        // Told also when it came last of all.
        stop.cancel();
        Arc::clone(&bench.respond).deliver(Vec::new(), stop).await;
    }
    let text = String::from_utf8(lines.lock().clone()).unwrap();
    let said: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(said.len(), 1, "{text}");
    let line = &said[0];
    assert_eq!(
        [
            &line["level"],
            &line["event"],
            &line["id"],
            &line["host"],
            &line["message"],
            &line["remedy"]
        ],
        ["ERROR", "case-stuck", &event.id, "cmp-1", "words", &event.remedy]
    );
}

/// The receiver in docs/notifications.md, run as it stands there by the system's python3.
#[tokio::test]
async fn the_documented_receiver_takes_what_is_ours_once_and_nothing_else() {
    let program = DOCUMENT
        .split("```python")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(file("receiver.py"), program).unwrap();
    std::fs::write(file("certificate.pem"), own.cert.pem()).unwrap();
    std::fs::write(file("key.pem"), own.signing_key.serialize_pem()).unwrap();
    std::fs::write(file("secret"), "Jefe\n").unwrap();
    let mut python = Command::new("python3")
        .args(["receiver.py", "certificate.pem", "key.pem", "secret", "0"])
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut printed = BufReader::new(python.stdout.take().unwrap());
    let mut line = || {
        let mut line = String::new();
        printed.read_line(&mut line).unwrap();
        line
    };
    let first = line();
    let port = first.trim().rsplit(' ').next().unwrap();
    let url = format!("https://localhost:{port}");

    let (_directory, respond) = respond(Arc::new(SystemClock)).await;
    let ours = receiver("ours", &url, &own.cert.pem());
    let mut forged = receiver("forged", &url, &own.cert.pem());
    forged.webhook.secret = Some(SecretSource::Inline(Secret::new("guessed".into())));
    let now = SystemClock.now();
    let told = event(Kind::CaseOpened, now);
    respond.store.enqueue(&told.queued(), now).await.unwrap();
    respond.hand_out(&[ours.clone(), forged.clone()]).await.unwrap();
    let (mut down, stop) = (false, CancellationToken::new());
    for receiver in [&forged, &ours] {
        respond.deliver_due(receiver, &mut down, &stop).await.unwrap();
    }
    let (notification, ways) = respond.store.notifications(1).await.unwrap().remove(0);
    let stand = |name: &str| ways.iter().find(|way| way.receiver == name).unwrap();
    assert_eq!(stand("ours").state, DeliveryState::Delivered, "{ways:?}");
    let error = stand("forged").error.clone().unwrap_or_default();
    assert!(error.contains("401"), "{ways:?}");
    // Old, and twice: one is refused, the other taken and dropped.
    let old = ours
        .post(&notification, now.minus(Duration::from_secs(3600)))
        .await;
    assert!(matches!(old, Err(Missed::Refused(why)) if why.why.contains("401")));
    assert!(ours.post(&notification, now).await.is_ok());
    let last = event(Kind::CaseStuck, now);
    respond.store.enqueue(&last.queued(), now).await.unwrap();
    respond.hand_out(std::slice::from_ref(&ours)).await.unwrap();
    respond.deliver_due(&ours, &mut down, &stop).await.unwrap();
    assert_eq!(
        [line(), line()],
        [
            format!("critical {} words\n", told.id),
            format!("critical {} words\n", last.id)
        ]
    );
    python.kill().unwrap();
    python.wait().unwrap();
}
