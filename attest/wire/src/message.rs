//! What is asked and answered. Versioned by path; an unknown field is refused, not skipped.

use std::fmt;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{limits, sequence};

/// A message that [`crate::encode`] and [`crate::decode`] carry.
pub trait Message: Serialize + DeserializeOwned {
    /// What it is called in an error.
    const NAME: &'static str;

    /// The largest body that is read at all.
    const LIMIT: usize;

    /// The first field that is longer than it may be, or empty where it must not be.
    fn beyond_limits(&self) -> Option<&'static str>;
}

/// Who the agent says it is. Nothing in it is proven before activation and a quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// [`crate::VERSION`] of the agent.
    pub version: u16,
    /// The host's name as nova knows it, from the agent's configuration.
    pub host: String,
    /// The endorsement keys that have a certificate. The first one is the attestation key's parent: activate with that one, because a
    /// quote's qualifiedSigner is computed from it. A TPM without any certificate in NV offers one key with an empty certificate.
    #[serde(deserialize_with = "sequence::as_they_come")]
    pub ek: Vec<EkOffer>,
    /// The attestation key: TPM2B_PUBLIC, size included.
    #[serde(with = "serde_bytes")]
    pub ak_public: Vec<u8>,
}

/// One endorsement key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EkOffer {
    /// Which template and which NV index.
    pub kind: EkKind,
    /// The key as the TPM made it: TPM2B_PUBLIC, size included.
    #[serde(with = "serde_bytes")]
    pub public: Vec<u8>,
    /// The certificate from NV: DER, padding stripped.
    #[serde(with = "serde_bytes")]
    pub certificate: Vec<u8>,
}

/// The endorsement keys of the TCG EK Credential Profile that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EkKind {
    /// Template L-1, certificate at NV 0x01c00002.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// Template L-2, certificate at NV 0x01c0000a.
    #[serde(rename = "ecc-p256")]
    EccP256,
    /// Template H-3, certificate at NV 0x01c00016.
    #[serde(rename = "ecc-p384")]
    EccP384,
}

impl EkKind {
    /// Every kind, in the order in which agents offer them.
    pub const ALL: [Self; 3] = [Self::Rsa2048, Self::EccP256, Self::EccP384];

    /// The name on the wire and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa-2048",
            Self::EccP256 => "ecc-p256",
            Self::EccP384 => "ecc-p384",
        }
    }
}

impl fmt::Display for EkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Asks the TPM to open a credential: only the TPM that has both keys can.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activate {
    /// The endorsement key that the credential was made for.
    pub ek: EkKind,
    /// TPM2B_ID_OBJECT, size included.
    #[serde(with = "serde_bytes")]
    pub credential: Vec<u8>,
    /// TPM2B_ENCRYPTED_SECRET, size included.
    #[serde(with = "serde_bytes")]
    pub secret: Vec<u8>,
}

/// The opened credential.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activated {
    /// The secret inside the credential. Compare in constant time; never print.
    #[serde(with = "serde_bytes")]
    pub secret: Vec<u8>,
}

impl fmt::Debug for Activated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Activated { secret: [hidden] }")
    }
}

/// Asks for evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attest {
    /// Fresh from the daemon, used once.
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 32],
    /// Whom the daemon believes to ask. Another host's agent refuses.
    pub host: String,
    /// The PCRs to quote.
    #[serde(deserialize_with = "sequence::as_they_come")]
    pub selection: Vec<Bank>,
    /// The first IMA entry wanted, counted from 0.
    pub ima_first: u64,
}

/// One bank of a PCR selection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bank {
    /// TCG algorithm id: 0x0004 SHA-1, 0x000b SHA-256, 0x000c SHA-384, 0x000d SHA-512.
    pub alg: u16,
    /// PCR numbers, rising.
    #[serde(with = "serde_bytes")]
    pub pcrs: Vec<u8>,
}

/// What the host shows. Nothing in it is proven but by the quote's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// TPMS_ATTEST exactly as the TPM signed it, no size in front.
    #[serde(with = "serde_bytes")]
    pub quote: Vec<u8>,
    /// TPMT_SIGNATURE.
    #[serde(with = "serde_bytes")]
    pub signature: Vec<u8>,
    /// The values of the quoted PCRs, in the order of the selection.
    #[serde(deserialize_with = "sequence::as_they_come")]
    pub pcrs: Vec<PcrValue>,
    /// binary_bios_measurements, whole.
    #[serde(with = "serde_bytes")]
    pub boot_log: Vec<u8>,
    /// The IMA list from entry `ima_first` on, text or binary as the kernel gave it; read after the quote.
    #[serde(with = "serde_bytes")]
    pub ima_log: Vec<u8>,
    /// The entry that `ima_log` begins with: the one asked for. If the list has become shorter (the host was restarted), `ima_log` is empty
    /// and the quote's reset count tells why.
    pub ima_first: u64,
}

/// One PCR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PcrValue {
    /// TCG algorithm id of the bank.
    pub alg: u16,
    /// PCR number.
    pub index: u8,
    /// Its value.
    #[serde(with = "serde_bytes")]
    pub digest: Vec<u8>,
}

/// Why a request was not answered; the body of every 4xx and 5xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// Stable kebab-case name; the known ones are constants of this type.
    pub code: String,
    /// One sentence: what was attempted, what came back, what to do. Printable characters only.
    pub message: String,
}

impl Problem {
    /// The body is not the message that the path takes.
    pub const BAD_MESSAGE: &'static str = "bad-message";
    /// No such path or method.
    pub const NOT_SERVED: &'static str = "not-served";
    /// The body is larger than a request may be.
    pub const TOO_LARGE: &'static str = "request-too-large";
    /// The challenge names another host.
    pub const WRONG_HOST: &'static str = "wrong-host";
    /// The agent has more requests than its TPM can answer; ask again after `Retry-After`.
    pub const BUSY: &'static str = "busy";
    /// The TPM did not answer in time.
    pub const TPM_SLOW: &'static str = "tpm-slow";
    /// The TPM cannot be reached, or refused a command.
    pub const TPM_FAILED: &'static str = "tpm-failed";
    /// The saved attestation key does not load in this TPM: it was replaced or cleared.
    pub const IDENTITY_LOST: &'static str = "identity-lost";
    /// The TPM has no such endorsement key.
    pub const NO_SUCH_EK: &'static str = "no-such-ek";
    /// The TPM refused the credential: made for another key, or damaged.
    pub const CREDENTIAL_REFUSED: &'static str = "credential-refused";
    /// The TPM does not have a bank or PCR that was asked for.
    pub const NO_SUCH_PCR: &'static str = "no-such-pcr";
    /// PCRs moved during every attempt to quote them.
    pub const PCRS_UNSTEADY: &'static str = "pcrs-unsteady";
    /// A log cannot be read, or does not have the kernel's form.
    pub const LOG_UNREADABLE: &'static str = "log-unreadable";
    /// A log is longer than an answer may be.
    pub const LOG_TOO_LONG: &'static str = "log-too-long";

    /// A problem whose sentence is made fit to travel: control characters become spaces, and it ends at the limit.
    pub fn new(code: &str, message: impl fmt::Display) -> Self {
        let mut text = String::new();
        for letter in message.to_string().chars() {
            let letter = if letter.is_control() { ' ' } else { letter };
            if text.len() + letter.len_utf8() > limits::PROBLEM_MESSAGE {
                break;
            }
            text.push(letter);
        }
        Self {
            code: code.to_owned(),
            message: text,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl Message for Identity {
    const NAME: &'static str = "identity";
    const LIMIT: usize = limits::SMALL_RESPONSE;

    fn beyond_limits(&self) -> Option<&'static str> {
        if !host_fits(&self.host) {
            return Some("host");
        }
        if self.ek.len() > limits::EKS {
            return Some("ek");
        }
        for offer in &self.ek {
            if !fits(&offer.public, limits::PUBLIC) {
                return Some("ek.public");
            }
            if offer.certificate.len() > limits::CERTIFICATE {
                return Some("ek.certificate");
            }
        }
        (!fits(&self.ak_public, limits::PUBLIC)).then_some("ak_public")
    }
}

impl Message for Activate {
    const NAME: &'static str = "activate";
    const LIMIT: usize = limits::REQUEST;

    fn beyond_limits(&self) -> Option<&'static str> {
        if !fits(&self.credential, limits::CREDENTIAL) {
            return Some("credential");
        }
        (!fits(&self.secret, limits::ENCRYPTED_SECRET)).then_some("secret")
    }
}

impl Message for Activated {
    const NAME: &'static str = "activated";
    const LIMIT: usize = limits::SMALL_RESPONSE;

    fn beyond_limits(&self) -> Option<&'static str> {
        (!fits(&self.secret, limits::SECRET)).then_some("secret")
    }
}

impl Message for Attest {
    const NAME: &'static str = "attest";
    const LIMIT: usize = limits::REQUEST;

    fn beyond_limits(&self) -> Option<&'static str> {
        if !host_fits(&self.host) {
            return Some("host");
        }
        if self.selection.is_empty() || self.selection.len() > limits::BANKS {
            return Some("selection");
        }
        let steady = |bank: &Bank| {
            !bank.pcrs.is_empty()
                && bank.pcrs.iter().all(|pcr| *pcr < limits::PCRS)
                && bank.pcrs.is_sorted_by(|a, b| a < b)
        };
        if !self.selection.iter().all(steady) {
            return Some("selection.pcrs");
        }
        let doubled = self.selection.iter().enumerate().any(|(at, bank)| {
            self.selection
                .iter()
                .skip(at + 1)
                .any(|other| other.alg == bank.alg)
        });
        doubled.then_some("selection.alg")
    }
}

impl Message for Evidence {
    const NAME: &'static str = "evidence";
    const LIMIT: usize = limits::RESPONSE;

    fn beyond_limits(&self) -> Option<&'static str> {
        if self.quote.len() > limits::QUOTE {
            return Some("quote");
        }
        if self.signature.len() > limits::SIGNATURE {
            return Some("signature");
        }
        if self.pcrs.len() > limits::BANKS * usize::from(limits::PCRS) {
            return Some("pcrs");
        }
        if self.pcrs.iter().any(|pcr| pcr.digest.len() > limits::DIGEST) {
            return Some("pcrs.digest");
        }
        if self.boot_log.len() > limits::BOOT_LOG {
            return Some("boot_log");
        }
        (self.ima_log.len() > limits::IMA_LOG).then_some("ima_log")
    }
}

impl Message for Problem {
    const NAME: &'static str = "problem";
    const LIMIT: usize = limits::PROBLEM;

    fn beyond_limits(&self) -> Option<&'static str> {
        let letters = |c: char| c.is_ascii_lowercase() || c == '-';
        if self.code.is_empty() || self.code.len() > 64 || !self.code.chars().all(letters) {
            return Some("code");
        }
        // It is shown on terminals: no escape sequences from a host that may be hostile.
        let shown =
            self.message.len() <= limits::PROBLEM_MESSAGE && !self.message.chars().any(char::is_control);
        (!shown).then_some("message")
    }
}

fn fits(bytes: &[u8], limit: usize) -> bool {
    !bytes.is_empty() && bytes.len() <= limit
}

fn host_fits(host: &str) -> bool {
    !host.is_empty() && host.len() <= limits::HOST && !host.chars().any(char::is_control)
}
