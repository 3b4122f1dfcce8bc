//! What the agent shows: quotes that verify, PCRs that belong to them, the IMA list from the entry asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use lazaret_attest::{
    challenge::Challenge,
    key::{AttestationKey, EndorsementKey},
    pcr::{HashAlg, Selection},
    quote::{QuotedPcrs, VerifiedQuote},
};
use lazaret_wire::{Attest, Evidence, Identity, Problem, tls::Pin};
use reqwest::StatusCode;

use crate::lab::{Agent, PATIENCE, Swtpm, question};

const SHA1: u16 = 0x0004;
const SHA256: u16 = 0x000b;
const SHA384: u16 = 0x000c;

/// Verified as the daemon does: by the core, against what was asked.
fn verified(identity: &Identity, pin: Pin, asked: &Attest, evidence: Evidence) -> QuotedPcrs<'static> {
    let banks = asked
        .selection
        .iter()
        .map(|bank| (HashAlg::from_id(bank.alg).unwrap(), &bank.pcrs[..]));
    let challenge = Challenge {
        nonce: asked.nonce,
        host: asked.host.clone(),
        agent_key: *pin.as_bytes(),
        selection: Selection::new(banks).unwrap(),
        ima_first: asked.ima_first,
    };
    assert_eq!(&Attest::from(&challenge), asked);
    let key = AttestationKey::from_public(&identity.ak_public).unwrap();
    let parent = EndorsementKey::from_public(&identity.ek[0].public).unwrap();
    let evidence = lazaret_attest::evidence::Evidence::try_from(evidence).unwrap();
    VerifiedQuote::open(&evidence.quote, &evidence.signature, &key)
        .unwrap()
        .signed_as(&key.qualified_name_under(&parent))
        .unwrap()
        .answers(&challenge)
        .unwrap()
        .with_pcrs(&evidence.pcrs)
        .unwrap()
        .into_owned()
}

#[test]
fn a_quote_verifies_with_both_kinds_of_key_and_with_banks_in_the_order_asked() {
    let swtpm = Swtpm::start();
    for key in ["ecdsa-p256", "rsassa-2048"] {
        let mut agent = Agent::new(&swtpm, &format!("attestation_key = \"{key}\""));
        agent.start(&[]);
        let identity = agent.identity();
        let all: Vec<u8> = (0..24).collect();
        for banks in [
            &[(SHA256, &[0u8, 7, 10][..])][..],
            &[(SHA256, &all), (SHA1, &[10])],
            &[(SHA1, &all), (SHA256, &all)],
        ] {
            let asked = question(banks, 0);
            let evidence = agent.attest(&asked).unwrap();
            assert_eq!(evidence.boot_log, b"the boot log");
            let quoted = verified(&identity, agent.pin(), &asked, evidence);
            assert_eq!(
                quoted.values().len(),
                banks.iter().map(|(_, pcrs)| pcrs.len()).sum::<usize>()
            );
        }
    }
}

#[test]
fn pcrs_belong_to_the_quote_while_they_move() {
    let swtpm = Swtpm::start();
    let agent = Agent::started(&swtpm);
    let (identity, pin) = (agent.identity(), agent.pin());
    let all: Vec<u8> = (0..24).collect();
    let done = AtomicBool::new(false);
    let mut values = std::collections::HashSet::new();
    std::thread::scope(|scope| {
        // Fast enough that about every second quote must be taken again, slow enough that some stand still.
        for _ in 0..2 {
            scope.spawn(|| {
                let digest = format!("10:sha1={},sha256={}", "11".repeat(20), "22".repeat(32));
                while !done.load(Ordering::Relaxed) {
                    swtpm.tool("tpm2_pcrextend", &[&digest]);
                }
            });
        }
        // Set on a panic too, or the threads above would never end.
        let _done = SetAtEnd(&done);
        // At least so many quotes, and more where the machine is too busy for the race to run.
        let deadline = Instant::now() + PATIENCE;
        let mut quotes = 0;
        while quotes < 80 || values.len() <= 5 {
            assert!(
                quotes < 80 || Instant::now() < deadline,
                "PCR 10 hardly moved ({} values in {quotes} quotes): the race was not run",
                values.len()
            );
            let asked = question(&[(SHA256, &all), (SHA1, &all)], 0);
            let evidence = agent
                .attest(&asked)
                .unwrap_or_else(|(status, problem)| panic!("{status} {problem}"));
            let quoted = verified(&identity, pin, &asked, evidence);
            values.insert(quoted.value(HashAlg::Sha256, 10).unwrap().to_vec());
            quotes += 1;
        }
    });
}

struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_bank_that_the_tpm_does_not_keep_is_named() {
    let swtpm = Swtpm::start();
    let agent = Agent::started(&swtpm);
    let (status, problem) = agent
        .attest(&question(&[(SHA256, &[0]), (SHA384, &[0])], 0))
        .unwrap_err();
    assert_eq!(
        (status, problem.code.as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, Problem::NO_SUCH_PCR)
    );
    assert!(problem.message.contains("0x000c"), "{problem}");
}

#[test]
fn the_ima_list_is_sent_from_the_entry_asked_for_in_text_and_binary() {
    let swtpm = Swtpm::start();
    let agent = Agent::started(&swtpm);
    let text: Vec<Vec<u8>> = (0..4)
        .map(|n| format!("10 {n:040x} ima-ng sha256:{n:064x} /bin/tool {n}\n").into_bytes())
        .collect();
    let binary: Vec<Vec<u8>> = (0..4u8)
        .map(|n| {
            let data = vec![n; 40 + usize::from(n)];
            let length = data.len() as u32;
            [
                &10u32.to_le_bytes()[..],
                &[n; 20],
                &6u32.to_le_bytes(),
                b"ima-ng",
                &length.to_le_bytes(),
                &data,
            ]
            .concat()
        })
        .collect();
    for list in [text, binary] {
        std::fs::write(agent.directory.path().join("ima_log"), list.concat()).unwrap();
        for first in [0, 1, 3, 4, 9] {
            let evidence = agent.attest(&question(&[(SHA256, &[10])], first)).unwrap();
            assert_eq!(evidence.ima_first, first);
            assert_eq!(
                evidence.ima_log,
                list.iter()
                    .skip(first as usize)
                    .flatten()
                    .copied()
                    .collect::<Vec<u8>>()
            );
        }
    }
    std::fs::write(agent.directory.path().join("ima_log"), b"\x0a\0\0\0cut").unwrap();
    let (status, problem) = agent.attest(&question(&[(SHA256, &[10])], 1)).unwrap_err();
    assert_eq!(
        (status, problem.code.as_str()),
        (StatusCode::INTERNAL_SERVER_ERROR, Problem::LOG_UNREADABLE)
    );
    std::fs::remove_file(agent.directory.path().join("ima_log")).unwrap();
    let (_, problem) = agent.attest(&question(&[(SHA256, &[10])], 0)).unwrap_err();
    assert!(
        problem.code == Problem::LOG_UNREADABLE && problem.message.contains("ima_log"),
        "{problem}"
    );
}
