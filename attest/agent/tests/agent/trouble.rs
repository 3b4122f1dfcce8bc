//! TPMs that hang, restart or vanish; agents that are killed.

use std::time::{Duration, Instant};

use lazaret_attest::{key::AttestationKey, quote::VerifiedQuote};
use lazaret_wire::{ATTEST_PATH, IDENTITY_PATH, Identity, Problem, decode, encode};
use reqwest::StatusCode;

use crate::lab::{Agent, PATIENCE, Swtpm, question};

const PCR: &[(u16, &[u8])] = &[(0x000b, &[0, 10])];

#[test]
fn a_slow_tpm_is_slow_for_nobody_else() {
    // The first hangs in the TPM, the second waits in the queue, the others find it full. A second that comes before the
    // TPM has taken the first finds it full as well, which may happen; that a third is let in may not.
    for _ in 0..5 {
        match let_in_beside_a_hung_tpm() {
            1 => {}
            2 => return,
            more => panic!("{more} of 4 were let in"),
        }
    }
    panic!("the queue let nobody in");
}

/// Asks four times at once; how many were let in.
fn let_in_beside_a_hung_tpm() -> usize {
    let swtpm = Swtpm::start();
    let mut agent = Agent::new(&swtpm, "[limits]\nrequest_timeout_s = 4\ntpm_queue = 1\n");
    agent.start(&[]);
    let identity = agent.identity();
    swtpm.signal("STOP");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..4)
            .map(|_| {
                let daemon = crate::lab::Daemon::again(&agent);
                let url = agent.url(ATTEST_PATH);
                let body = encode(&question(PCR, 0)).unwrap();
                scope.spawn(move || daemon.exchange(url, Some(body)).unwrap())
            })
            .collect();
        // Meanwhile.
        let began = Instant::now();
        for _ in 0..5 {
            assert_eq!(
                agent
                    .daemon
                    .fetch::<Identity>(agent.url(IDENTITY_PATH), None)
                    .unwrap(),
                identity
            );
        }
        assert!(
            began.elapsed() < Duration::from_millis(1500),
            "identity waited for the TPM"
        );
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let mut codes = Vec::new();
    for (status, headers, body) in answers {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(headers.contains_key("retry-after"));
        codes.push(decode::<Problem>(&body).unwrap().code);
    }
    assert!(
        codes
            .iter()
            .all(|code| code == Problem::BUSY || code == Problem::TPM_SLOW),
        "{codes:?}"
    );
    swtpm.signal("CONT");
    attested_in_time(&agent);
    codes.iter().filter(|code| *code == Problem::TPM_SLOW).count()
}

#[test]
fn a_hung_tpm_does_not_hold_the_agent_at_sigterm() {
    let swtpm = Swtpm::start();
    let mut agent = Agent::new(&swtpm, "[limits]\nrequest_timeout_s = 1\ndrain_timeout_s = 1\n");
    agent.start(&[]);
    agent.identity();
    swtpm.signal("STOP");
    assert_eq!(
        agent.attest(&question(PCR, 0)).unwrap_err().1.code,
        Problem::TPM_SLOW
    );
    let began = Instant::now();
    assert_eq!(agent.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5));
    swtpm.signal("CONT");
}

#[test]
fn a_request_under_way_is_answered_after_sigterm() {
    let swtpm = Swtpm::start();
    let mut agent = Agent::new(&swtpm, "");
    agent.start_logging("lazaret_agent=debug", &[]);
    agent.identity();
    swtpm.signal("STOP");
    std::thread::scope(|scope| {
        let daemon = crate::lab::Daemon::again(&agent);
        let url = agent.url(ATTEST_PATH);
        let waiting = scope.spawn(move || {
            daemon
                .exchange(url, Some(encode(&question(PCR, 0)).unwrap()))
                .unwrap()
                .0
        });
        // It is under way when the agent says that the TPM was asked.
        agent.wait_for_log(|log| log.contains("quoting"));
        let pid = agent.pid();
        crate::lab::signal(pid, "TERM");
        agent.wait_for_log(|log| log.contains("draining"));
        swtpm.signal("CONT");
        assert_eq!(waiting.join().unwrap(), StatusCode::OK);
    });
    assert_eq!(agent.wait(), Some(0));
}

#[test]
fn a_restarted_tpm_is_found_again_with_the_same_identity() {
    let mut swtpm = Swtpm::start();
    let agent = Agent::started(&swtpm);
    let identity = agent.identity();
    let key = AttestationKey::from_public(&identity.ak_public).unwrap();
    let resets = |evidence: lazaret_wire::Evidence| {
        VerifiedQuote::open(&evidence.quote, &evidence.signature, &key)
            .unwrap()
            .clock()
            .reset_count
    };
    let before = resets(agent.attest(&question(PCR, 0)).unwrap());
    swtpm.power_off();
    let (status, problem) = agent.attest(&question(PCR, 0)).unwrap_err();
    assert_eq!(
        (status, problem.code.as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, Problem::TPM_FAILED)
    );
    assert_eq!(
        agent.identity(),
        identity,
        "the identity stays known while the TPM is away"
    );
    swtpm.power_on();
    let after = resets(agent.attest(&question(PCR, 0)).unwrap());
    assert_eq!(after, before + 1);
    assert_eq!(agent.identity(), identity);
}

#[test]
fn an_agent_that_starts_before_its_tpm_waits_for_it() {
    let mut swtpm = Swtpm::start();
    swtpm.power_off();
    let mut agent = Agent::new(&swtpm, "");
    agent.start(&[]);
    agent.wait_for_log(|log| log.contains("cannot reach the TPM"));
    let (status, problem) = agent
        .daemon
        .fetch::<Identity>(agent.url(IDENTITY_PATH), None)
        .unwrap_err();
    assert_eq!(
        (status, problem.code.as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, Problem::TPM_FAILED)
    );
    swtpm.power_on();
    agent.identity();
}

#[test]
fn killed_agents_leave_the_tpm_usable() {
    let swtpm = Swtpm::start();
    let mut agent = Agent::started(&swtpm);
    let identity = agent.identity();
    // More often than a TPM has slots.
    for _ in 0..5 {
        agent.attest(&question(PCR, 0)).unwrap();
        agent.kill();
        agent.start(&[]);
        assert_eq!(agent.identity(), identity);
    }
    assert_eq!(swtpm.tool("tpm2_getcap", &["handles-transient"]), "");
}

#[test]
fn logs_hold_no_secret_and_libtss2_is_silent() {
    let mut swtpm = Swtpm::start();
    let agent = Agent::started(&swtpm);
    let asked = question(PCR, 0);
    agent.attest(&asked).unwrap();
    swtpm.power_off();
    agent.attest(&asked).unwrap_err();
    agent.wait_for_log(|log| log.contains("attested") && log.contains("cannot reach the TPM"));
    let log = agent.log.lock().unwrap().clone();
    let key = std::fs::read_to_string(agent.directory.path().join("state/tls.pem")).unwrap();
    let body = key.lines().nth(1).unwrap();
    assert!(!log.contains(body) && !log.contains("PRIVATE"));
    for line in log.lines() {
        assert!(
            !line.starts_with("ERROR:") && !line.starts_with("WARNING:"),
            "libtss2 speaks: {line}"
        );
    }
}

fn attested_in_time(agent: &Agent) {
    let began = Instant::now();
    loop {
        match agent.attest(&question(PCR, 0)) {
            Ok(_) => return,
            Err((StatusCode::SERVICE_UNAVAILABLE, _)) if began.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err((status, problem)) => panic!("{status} {problem}"),
        }
    }
}
