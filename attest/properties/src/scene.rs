//! One honest host, its policy and its challenge: made once, and always the same but for its signatures.

use std::sync::OnceLock;

use lazaret_attest::challenge::Challenge;
use lazaret_attest::evidence::Evidence;
use lazaret_attest::key::AttestationKey;
use lazaret_attest::pcr::{HashAlg, PcrValue};
use lazaret_attest::policy::Policy;
use lazaret_attest::reference::{Capture, Captured, capture};
use lazaret_attest::result::AttestationResult;
use lazaret_attest::verdict::Verdict;
use lazaret_attest::verify::{Input, verify};
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::{BootLog, typical_server};
use lazaret_forge::ima::List;
use lazaret_forge::pcrs::Pcrs;
use lazaret_forge::softtpm::{Attest, SoftTpm, selected};

/// When evidence is received: 2026-06-01, Unix seconds.
pub(crate) const NOW: i64 = 1_780_272_000;
pub(crate) const BANKS: [Bank; 2] = [Bank::Sha1, Bank::Sha256];
const PCRS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14];

pub(crate) struct Scene {
    pub(crate) tpm: SoftTpm,
    pub(crate) key: AttestationKey,
    pub(crate) boot: BootLog,
    pub(crate) ima: List,
    pub(crate) challenge: Challenge,
    pub(crate) captured: Captured,
    pub(crate) policy: Policy,
    pub(crate) honest: Evidence,
}

/// The scene of every target: a short boot log (loader and kernel, both banks) and a dozen measured files.
pub(crate) fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| Scene::new().unwrap_or_else(|reason| panic!("the honest host: {reason}")))
}

impl Scene {
    fn new() -> Result<Self, String> {
        let mut server = typical_server();
        server.ima.files = 12;
        let mut boot = server.boot();
        // Certificates of a kilobyte each make slow seeds; the log keeps one of every other kind of event.
        boot.events.retain(|event| event.data.len() < 400);
        let ima = server.ima.boot(&boot.pcrs());
        let tpm = SoftTpm::p256("properties");
        let key = AttestationKey::from_public(&tpm.key.public()).map_err(|error| error.to_string())?;
        let challenge = Challenge {
            nonce: [7; 32],
            host: "cmp-1".to_owned(),
            agent_key: [9; 32],
            selection: "sha1:0,1,2,3,4,5,6,7,8,9,10,14+sha256:0,1,2,3,4,5,6,7,8,9,10,14"
                .parse()
                .map_err(|error| format!("{error}"))?,
            ima_first: 0,
        };
        let honest = evidence(&tpm, &challenge, &pcrs(&boot, &ima), boot.bytes(), ima.binary());
        let captured = capture(&Capture {
            evidence: &honest,
            challenge: &challenge,
            key: &key,
            policy_name: "properties",
            list_name: "list",
        })
        .map_err(|findings| format!("{findings:?}"))?;
        let policy = Policy::parse(&captured.policy_toml, &mut |_| Ok(captured.list.clone()))
            .map_err(|error| error.to_string())?;
        let result = judge(&honest, &challenge, &key, &policy);
        if result.verdict != Verdict::Affirming {
            return Err(format!("{:?}", result.findings));
        }
        Ok(Self {
            tpm,
            key,
            boot,
            ima,
            challenge,
            captured,
            policy,
            honest,
        })
    }

    /// What the honest host's TPM holds.
    pub(crate) fn pcrs(&self) -> Pcrs {
        pcrs(&self.boot, &self.ima)
    }

    /// The structure that the honest quote signs.
    pub(crate) fn attest(&self) -> Attest {
        attest(&self.tpm, &self.challenge, &self.pcrs())
    }

    /// Evidence with these logs and a genuine quote over these PCRs.
    pub(crate) fn evidence(&self, pcrs: &Pcrs, boot_log: Vec<u8>, ima_log: Vec<u8>) -> Evidence {
        evidence(&self.tpm, &self.challenge, pcrs, boot_log, ima_log)
    }

    /// Judged by the honest host's policy.
    pub(crate) fn judge(&self, evidence: &Evidence) -> AttestationResult {
        judge(evidence, &self.challenge, &self.key, &self.policy)
    }
}

fn pcrs(boot: &BootLog, ima: &List) -> Pcrs {
    let mut pcrs = boot.pcrs();
    ima.extend(&mut pcrs);
    pcrs
}

fn attest(tpm: &SoftTpm, challenge: &Challenge, pcrs: &Pcrs) -> Attest {
    tpm.attest(
        &challenge.qualifying_data(),
        &BANKS.map(|bank| (bank, &PCRS[..])),
        pcrs,
    )
}

fn evidence(
    tpm: &SoftTpm,
    challenge: &Challenge,
    pcrs: &Pcrs,
    boot_log: Vec<u8>,
    ima_log: Vec<u8>,
) -> Evidence {
    let quote = tpm
        .sign(&attest(tpm, challenge, pcrs))
        .unwrap_or_else(|error| panic!("{error}"));
    let selection = BANKS.map(|bank| (bank, &PCRS[..]));
    let values = selected(&selection, pcrs).filter_map(|(bank, index, value)| {
        Some(PcrValue {
            bank: HashAlg::from_id(bank.id())?,
            index,
            digest: value.to_vec(),
        })
    });
    Evidence {
        quote: quote.attest,
        signature: quote.signature,
        pcrs: values.collect(),
        boot_log,
        ima_log,
        ima_first: challenge.ima_first,
    }
}

fn judge(
    evidence: &Evidence,
    challenge: &Challenge,
    key: &AttestationKey,
    policy: &Policy,
) -> AttestationResult {
    let input = Input {
        evidence,
        challenge,
        key,
        policy,
        history: None,
        now: NOW,
    };
    verify(&input, &mut |_| {})
}
