//! Who may speak, and how much.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Instant,
};

use lazaret_wire::{
    ATTEST_PATH, IDENTITY_PATH, MEDIA_TYPE, Problem, decode, encode, limits,
    tls::{Peer, Pin, PinnedServer, client_config},
};
use reqwest::StatusCode;
use rustls::{ClientConfig, version};

use crate::lab::{Agent, Daemon, Swtpm, client, question};

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn any_agent() -> Arc<PinnedServer> {
    Arc::new(PinnedServer::new(Peer::FirstContact(Arc::default())).unwrap())
}

/// Whether a client with this configuration gets an answer.
fn answered(agent: &Agent, config: ClientConfig) -> Result<StatusCode, String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime
        .block_on(async { client(config).get(agent.url(IDENTITY_PATH)).send().await })
        .map(|response| response.status())
        .map_err(|error| format!("{error:?}"))
}

#[test]
fn only_the_pinned_daemon_is_answered() {
    let swtpm = Swtpm::start();
    let agent = Agent::started(&swtpm);
    let pinned = client_config(&agent.daemon.identity, Peer::Pinned(agent.pin())).unwrap();
    assert_eq!(answered(&agent, pinned), Ok(StatusCode::OK));

    let stranger = Daemon::new(&agent.directory.path().join("stranger"));
    let config = client_config(&stranger.identity, Peer::Pinned(agent.pin())).unwrap();
    assert!(answered(&agent, config).is_err(), "another key was let in");
    let (theirs, ours) = (
        stranger.identity.pin().to_string(),
        agent.daemon.identity.pin().to_string(),
    );
    agent.wait_for_log(|log| log.contains(&theirs) && log.contains(&ours));

    let nobody = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(any_agent())
        .with_no_client_auth();
    let refused = answered(&agent, nobody).expect_err("no key was let in");
    assert!(refused.contains("CertificateRequired"), "{refused}");
}

#[test]
fn case_12_the_daemon_knows_an_agent_with_another_key() {
    let swtpm = Swtpm::start();
    let agent = Agent::started(&swtpm);
    let other = Pin([7; 32]);
    let refused = answered(
        &agent,
        client_config(&agent.daemon.identity, Peer::Pinned(other)).unwrap(),
    )
    .unwrap_err();
    assert!(
        refused.contains(&other.to_string()) && refused.contains(&agent.pin().to_string()),
        "{refused}"
    );
}

#[test]
fn a_connection_below_tls_1_3_is_refused() {
    let swtpm = Swtpm::start();
    let agent = Agent::started(&swtpm);
    // rustls is built without TLS 1.2 here, so openssl asks.
    let mut openssl = std::process::Command::new("openssl");
    openssl
        .args(["s_client", "-tls1_2", "-connect", &agent.address().to_string()])
        .stdin(std::process::Stdio::null());
    let output = openssl.output().unwrap();
    assert!(!output.status.success());
    let told =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(
        told.contains("protocol version"),
        "refused for another reason: {told}"
    );
}

#[test]
fn a_request_that_is_none_is_refused_in_words() {
    let swtpm = Swtpm::start();
    let agent = Agent::started(&swtpm);
    let ask = |path: &str, body: Option<Vec<u8>>| {
        let (status, _, body) = agent.daemon.exchange(agent.url(path), body).unwrap();
        (status, decode::<Problem>(&body).unwrap())
    };
    let good = encode(&question(&[(0x000b, &[0])], 0)).unwrap();
    assert!(
        agent
            .daemon
            .exchange(agent.url(ATTEST_PATH), Some(good.clone()))
            .is_ok_and(|(s, ..)| s == StatusCode::OK)
    );

    let cases = [
        (
            ATTEST_PATH,
            Some(vec![0; limits::REQUEST + 1]),
            StatusCode::PAYLOAD_TOO_LARGE,
            Problem::TOO_LARGE,
        ),
        (
            ATTEST_PATH,
            Some(b"garbage".to_vec()),
            StatusCode::BAD_REQUEST,
            Problem::BAD_MESSAGE,
        ),
        (
            ATTEST_PATH,
            Some([&good[..], &[0]].concat()),
            StatusCode::BAD_REQUEST,
            Problem::BAD_MESSAGE,
        ),
        (
            ATTEST_PATH,
            Some(good[..good.len() - 1].to_vec()),
            StatusCode::BAD_REQUEST,
            Problem::BAD_MESSAGE,
        ),
        (ATTEST_PATH, None, StatusCode::NOT_FOUND, Problem::NOT_SERVED),
        (
            "/v2/attest",
            Some(good),
            StatusCode::NOT_FOUND,
            Problem::NOT_SERVED,
        ),
    ];
    for (path, body, status, code) in cases {
        let (got, problem) = ask(path, body);
        assert_eq!((got, problem.code.as_str()), (status, code), "{path}: {problem}");
    }

    let mut foreign = question(&[(0x000b, &[0])], 0);
    foreign.host = "cmp-2".to_owned();
    let (status, problem) = agent.attest(&foreign).unwrap_err();
    assert_eq!(
        (status, problem.code.as_str()),
        (StatusCode::MISDIRECTED_REQUEST, Problem::WRONG_HOST)
    );
    assert!(
        problem.message.contains("cmp-1") && problem.message.contains("cmp-2"),
        "{problem}"
    );

    let typed = client(client_config(&agent.daemon.identity, Peer::FirstContact(Arc::default())).unwrap())
        .post(agent.url(ATTEST_PATH))
        .header("content-type", "application/json")
        .body("{}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(
        runtime.block_on(async { typed.send().await }).unwrap().status(),
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
}

#[test]
fn a_peer_that_is_slow_or_one_too_many_is_cut() {
    let swtpm = Swtpm::start();
    let limits = "[limits]\nconnections = 1\nhandshake_timeout_s = 1\nrequest_timeout_s = 2\n";
    let mut agent = Agent::new(&swtpm, limits);
    agent.start(&[]);
    agent.identity();

    // Says nothing: cut after the handshake's second, and meanwhile there is no room for another.
    let began = Instant::now();
    let mut silent = TcpStream::connect(agent.address()).unwrap();
    let mut second = TcpStream::connect(agent.address()).unwrap();
    assert!(
        matches!(second.read(&mut [0]), Ok(0) | Err(_)),
        "one too many was kept"
    );
    assert!(
        began.elapsed().as_millis() < 900,
        "the second was not cut at once"
    );
    assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)));
    let cut_after = began.elapsed().as_millis();
    assert!(
        (900..8_000).contains(&cut_after),
        "cut after {cut_after} ms, not one second"
    );

    // Announces a body and does not send it: answered by the request's deadline.
    assert!(spoken(&agent, 9, b"1").starts_with("HTTP/1.1 503"));
    // Sends more than a request may have, and would send more: answered without reading on.
    assert!(spoken(&agent, 1 << 30, &vec![0; limits::REQUEST + 1024]).starts_with("HTTP/1.1 413"));
}

/// What the agent says to a request whose body has been begun.
fn spoken(agent: &Agent, announced: usize, begun: &[u8]) -> String {
    let config = client_config(&agent.daemon.identity, Peer::FirstContact(Arc::default())).unwrap();
    let name = rustls::pki_types::ServerName::try_from("agent").unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(agent.address()).unwrap();
    stream.set_read_timeout(Some(crate::lab::PATIENCE)).unwrap();
    let mut tls = rustls::Stream::new(&mut session, &mut stream);
    write!(
        tls,
        "POST {ATTEST_PATH} HTTP/1.1\r\nhost: a\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {announced}\r\n\r\n"
    )
    .unwrap();
    tls.write_all(begun).unwrap();
    let mut answer = Vec::new();
    // The agent closes without reading the rest: the end may be a reset.
    let _ = tls.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}
