//! A forged host: a TPM, a boot and a list of measured files, each open to be changed before it answers.

use lazaret_attest::challenge::Challenge;
use lazaret_attest::evidence::Evidence;
use lazaret_attest::finding::Code;
use lazaret_attest::key::AttestationKey;
use lazaret_attest::pcr::{HashAlg, PcrValue, Selection};
use lazaret_attest::policy::Policy;
use lazaret_attest::reference::{Capture, Captured, capture};
use lazaret_attest::result::{AttestationResult, History};
use lazaret_attest::verdict::Verdict;
use lazaret_attest::verify::{Input, verify};
use lazaret_forge::bank::Bank;
use lazaret_forge::bootlog::{BootLog, Description, typical_server};
use lazaret_forge::ima::List;
use lazaret_forge::pcrs::Pcrs;
use lazaret_forge::softtpm::{SoftTpm, selected};

pub const SELECTION: &str = "sha1:0,1,2,3,4,5,6,7,8,9,10,14+sha256:0,1,2,3,4,5,6,7,8,9,10,14";

/// When the tests' evidence is received: 2026-06-01, Unix seconds.
pub const NOW: i64 = 1_780_272_000;

/// What is done to a host before it answers.
pub type Change = fn(&mut Host);

#[derive(Clone)]
pub struct Host {
    pub tpm: SoftTpm,
    pub boot: BootLog,
    /// The log as handed out, where it is not that of `boot`.
    pub boot_log: Option<Vec<u8>>,
    pub ima: List,
    /// The list as handed out, where it is not `ima`.
    pub ima_log: Option<Vec<u8>>,
    /// Entries that the quote covers; all by default.
    pub covered: Option<usize>,
    pub text: bool,
    /// When its answers are received, Unix seconds.
    pub now: i64,
    /// The kernel extends every bank with padded SHA-1 digests, as before 5.8.
    pub padded: bool,
    /// It does so but for the last entry.
    pub mixed: bool,
    pub selection: &'static str,
    /// PCRs put to another value than boot and list lead to.
    pub force: Vec<(Bank, u8, Vec<u8>)>,
}

impl Host {
    pub fn new() -> Self {
        let mut server = typical_server();
        server.ima.files = 12;
        Self::booting(&server)
    }

    pub fn booting(server: &Description) -> Self {
        let boot = server.boot();
        let ima = server.ima.boot(&boot.pcrs());
        Self {
            tpm: SoftTpm::p256("core tests"),
            boot,
            boot_log: None,
            ima,
            ima_log: None,
            covered: None,
            text: false,
            now: NOW,
            padded: false,
            mixed: false,
            selection: SELECTION,
            force: Vec::new(),
        }
    }

    /// Another boot, with the list that belongs to it.
    pub fn reboot(&mut self, boot: BootLog) {
        self.tpm.reset();
        let new = List::new(self.ima.template, self.ima.hash, &boot.pcrs());
        let old = std::mem::replace(&mut self.ima, new);
        self.boot = boot;
        for entry in old
            .entries
            .into_iter()
            .filter(|entry| entry.path != "boot_aggregate")
        {
            self.ima.push(entry);
        }
    }

    pub fn challenge(&self, ima_first: u64) -> Challenge {
        Challenge {
            nonce: [7; 32],
            host: "cmp-1".to_owned(),
            agent_key: [9; 32],
            selection: self.selection.parse::<Selection>().unwrap(),
            ima_first,
        }
    }

    pub fn pcrs(&self) -> Pcrs {
        let mut banks = vec![Bank::Sha1, Bank::Sha256];
        banks.extend(self.force.iter().map(|(bank, _, _)| *bank));
        let mut pcrs = Pcrs::at_startup(&banks, self.boot.startup_locality.unwrap_or(0));
        for (index, digests) in self.boot.extends() {
            pcrs.extend(index, &digests);
        }
        let covered = self.covered.unwrap_or(self.ima.entries.len());
        if self.mixed {
            self.ima.extend_padded(covered - 1, &mut pcrs);
            let last = &self.ima.entries[covered - 1];
            pcrs.extend(last.pcr, &last.extends(&[Bank::Sha1, Bank::Sha256]));
        } else if self.padded {
            self.ima.extend_padded(covered, &mut pcrs);
        } else {
            self.ima.extend_first(covered, &mut pcrs);
        }
        for (bank, index, value) in &self.force {
            pcrs.force(*bank, *index, value.clone());
        }
        pcrs
    }

    pub fn answer(&mut self, challenge: &Challenge) -> Evidence {
        let pcrs = self.pcrs();
        let banks: Vec<(Bank, Vec<u8>)> = challenge
            .selection
            .banks()
            .map(|(alg, registers)| (Bank::from_id(alg.id()).unwrap(), registers))
            .collect();
        let selection: Vec<(Bank, &[u8])> = banks
            .iter()
            .map(|(bank, registers)| (*bank, registers.as_slice()))
            .collect();
        let quote = self
            .tpm
            .quote(&challenge.qualifying_data(), &selection, &pcrs)
            .unwrap();
        let values = selected(&selection, &pcrs).map(|(bank, index, value)| PcrValue {
            bank: HashAlg::from_id(bank.id()).unwrap(),
            index,
            digest: value.to_vec(),
        });
        let first = usize::try_from(challenge.ima_first).unwrap();
        let list = if self.text {
            self.ima.text_from(first)
        } else {
            self.ima.binary_from(first)
        };
        Evidence {
            quote: quote.attest,
            signature: quote.signature,
            pcrs: values.collect(),
            boot_log: self.boot_log.clone().unwrap_or_else(|| self.boot.bytes()),
            ima_log: self.ima_log.clone().unwrap_or(list),
            ima_first: challenge.ima_first,
        }
    }

    /// The attestation key, as it was pinned.
    pub fn key(&self) -> AttestationKey {
        AttestationKey::from_public(&self.tpm.key.public()).unwrap()
    }

    pub fn captured(&mut self) -> Captured {
        let challenge = self.challenge(0);
        let evidence = self.answer(&challenge);
        let key = self.key();
        let from = Capture {
            evidence: &evidence,
            challenge: &challenge,
            key: &key,
            policy_name: "forged",
            list_name: "forged.sha256",
        };
        capture(&from).unwrap()
    }

    /// Golden values of this very host.
    pub fn policy(&mut self) -> Policy {
        read(&self.captured())
    }

    /// One round over the whole list.
    pub fn round(&mut self, policy: &Policy) -> AttestationResult {
        self.round_from(policy, None, 0)
    }

    pub fn round_from(
        &mut self,
        policy: &Policy,
        history: Option<&History>,
        ima_first: u64,
    ) -> AttestationResult {
        let challenge = self.challenge(ima_first);
        let evidence = self.answer(&challenge);
        self.judge(&evidence, &challenge, policy, history)
    }

    pub fn judge(
        &self,
        evidence: &Evidence,
        challenge: &Challenge,
        policy: &Policy,
        history: Option<&History>,
    ) -> AttestationResult {
        let key = self.key();
        verify(
            &Input {
                evidence,
                challenge,
                key: &key,
                policy,
                history,
                now: self.now,
            },
            &mut |_| {},
        )
    }
}

pub fn read(captured: &Captured) -> Policy {
    Policy::parse(&captured.policy_toml, &mut |_| Ok(captured.list.clone()))
        .unwrap_or_else(|error| panic!("{error}\n{}", captured.policy_toml))
}

/// A policy from text, with one list.
pub fn policy(toml: &str, list: &str) -> Policy {
    Policy::parse(toml, &mut |_| Ok(list.to_owned())).unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

#[track_caller]
pub fn expect(result: &AttestationResult, verdict: Verdict, codes: &[Code]) {
    let found: Vec<Code> = result.findings.iter().map(|finding| finding.code).collect();
    let shown: Vec<String> = result.findings.iter().map(ToString::to_string).collect();
    assert_eq!(result.verdict, verdict, "{shown:#?}");
    for code in codes {
        assert!(found.contains(code), "no {code} among {shown:#?}");
    }
    if codes.is_empty() {
        assert!(found.is_empty(), "{shown:#?}");
    }
}

/// A test of a host that was captured honestly, then changed, then asked.
macro_rules! cases {
    ($($name:ident: |$host:ident| $change:expr => $verdict:ident [$($code:ident),*];)*) => {
        $(#[test]
        fn $name() {
            for text in [false, true] {
                let mut $host = crate::host::Host::new();
                $host.text = text;
                let policy = $host.policy();
                let () = $change;
                let result = $host.round(&policy);
                crate::host::expect(&result, lazaret_attest::verdict::Verdict::$verdict, &[$(lazaret_attest::finding::Code::$code),*]);
            }
        })*
    };
}
pub(crate) use cases;
