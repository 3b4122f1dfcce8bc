//! One round's whole evidence as a self-contained file, so that anybody can appraise it again, offline.
//!
//! A bundle is JSON: what was asked, what came back, the pinned key, the golden values as text, the history that
//! the quote was held against, and the result at the time. Appraising it again needs nothing else.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lazaret_attest::{
    challenge::Challenge,
    claims::Claims,
    evidence::Evidence,
    finding::Finding,
    key::AttestationKey,
    pcr::{PcrValue, Selection},
    policy::{DigestForm, Policy, PolicyError},
    result::{AttestationResult, History},
    verify::{Input, key_unusable, verify},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::policy_text::PolicyText;
use crate::{clock::Timestamp, ids::HostName};

/// What a bundle says it is.
const FORMAT: &str = "lazaret-bundle/2";

/// The first format: the policy's digest was made over all the texts.
const FIRST_FORMAT: &str = "lazaret-bundle/1";

/// The largest bundle that is read: an answer's 64 MiB and a policy's lists, in base64.
pub const LIMIT: u64 = 256 * 1024 * 1024;

/// A bundle, as written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    format: String,
    /// The host.
    pub host: HostName,
    /// When the evidence was received.
    pub received_at: Timestamp,
    challenge: ChallengeText,
    evidence: EvidenceText,
    /// TPM2B_PUBLIC of the pinned attestation key.
    attestation_key: Blob,
    /// The endorsement key's certificate that was accepted at enrolment, DER.
    endorsement_certificate: Blob,
    policy: PolicyText,
    /// Why nothing was appraised by this policy, where that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Finding>,
    history: Option<History>,
    /// What it came to at the time.
    pub result: AttestationResult,
}

/// What a bundle is made of.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The host.
    pub host: &'a HostName,
    /// When the evidence was received.
    pub received_at: Timestamp,
    /// What was asked.
    pub challenge: &'a Challenge,
    /// What came back.
    pub evidence: &'a Evidence,
    /// TPM2B_PUBLIC of the pinned attestation key.
    pub ak_public: &'a [u8],
    /// The endorsement key's certificate, DER.
    pub ek_certificate: &'a [u8],
    /// The golden values.
    pub policy: &'a PolicyText,
    /// Why nothing was appraised by them, where that is so.
    pub refused: Option<&'a Finding>,
    /// What the quote was held against.
    pub history: Option<&'a History>,
    /// The result.
    pub result: &'a AttestationResult,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChallengeText {
    #[serde(with = "hex_32")]
    nonce: [u8; 32],
    #[serde(with = "hex_32")]
    agent_key: [u8; 32],
    selection: Selection,
    ima_first: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EvidenceText {
    quote: Blob,
    signature: Blob,
    pcrs: Vec<PcrValue>,
    boot_log: Blob,
    ima_log: Blob,
    ima_first: u64,
}

/// Why a bundle cannot be read or appraised.
#[derive(Debug, Error)]
pub enum BundleError {
    /// Not JSON, or not of a bundle's form.
    #[error("this is no bundle: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A bundle of another kind.
    #[error("the bundle says it is {found:?}; this program reads {FORMAT:?}")]
    OtherFormat {
        /// What it says.
        found: String,
    },
    /// The golden values inside cannot be used.
    #[error("the golden values inside the bundle: {0}")]
    Policy(#[from] PolicyError),
}

/// A result that says why nothing was appraised.
pub fn not_appraised(refused: &Finding) -> AttestationResult {
    AttestationResult {
        verdict: refused.gravity,
        findings: vec![refused.clone()],
        claims: Claims::default(),
        history: None,
        full_list_needed: false,
    }
}

impl Bundle {
    /// The host's model, as the policy was read for.
    pub fn model(&self) -> Option<&str> {
        self.policy.model.as_deref()
    }

    /// Puts the parts together.
    pub fn new(parts: &Parts<'_>) -> Self {
        let Parts {
            challenge, evidence, ..
        } = parts;
        Self {
            format: FORMAT.to_owned(),
            host: parts.host.clone(),
            received_at: parts.received_at,
            challenge: ChallengeText {
                nonce: challenge.nonce,
                agent_key: challenge.agent_key,
                selection: challenge.selection.clone(),
                ima_first: challenge.ima_first,
            },
            evidence: EvidenceText {
                quote: Blob(evidence.quote.clone()),
                signature: Blob(evidence.signature.clone()),
                pcrs: evidence.pcrs.clone(),
                boot_log: Blob(evidence.boot_log.clone()),
                ima_log: Blob(evidence.ima_log.clone()),
                ima_first: evidence.ima_first,
            },
            attestation_key: Blob(parts.ak_public.to_vec()),
            endorsement_certificate: Blob(parts.ek_certificate.to_vec()),
            policy: parts.policy.clone(),
            refused: parts.refused.cloned(),
            history: parts.history.cloned(),
            result: parts.result.clone(),
        }
    }

    /// The bundle's bytes; the same bundle always has the same.
    ///
    /// # Errors
    /// None that can be provoked from outside; the serialiser's own.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a bundle.
    ///
    /// # Errors
    /// With line and column of what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BundleError> {
        let bundle: Self = serde_json::from_slice(bytes)?;
        if ![FORMAT, FIRST_FORMAT].contains(&bundle.format.as_str()) {
            return Err(BundleError::OtherFormat { found: bundle.format });
        }
        Ok(bundle)
    }

    /// Appraises the evidence again, with the bundle's own golden values or with others.
    ///
    /// # Errors
    /// The golden values cannot be used.
    pub fn replay(&self, other: Option<&PolicyText>) -> Result<AttestationResult, BundleError> {
        if let (None, Some(refused)) = (other, &self.refused) {
            return Ok(not_appraised(refused));
        }
        let form = match self.format.as_str() {
            FIRST_FORMAT => DigestForm::Texts,
            _ => DigestForm::Files,
        };
        let policy: Policy = other.unwrap_or(&self.policy).parse(form)?;
        let challenge = Challenge {
            nonce: self.challenge.nonce,
            host: self.host.as_str().to_owned(),
            agent_key: self.challenge.agent_key,
            selection: self.challenge.selection.clone(),
            ima_first: self.challenge.ima_first,
        };
        let key = match AttestationKey::from_public(&self.attestation_key.0) {
            Ok(key) => key,
            Err(error) => return Ok(key_unusable(&error, &policy)),
        };
        let evidence = Evidence {
            quote: self.evidence.quote.0.clone(),
            signature: self.evidence.signature.0.clone(),
            pcrs: self.evidence.pcrs.clone(),
            boot_log: self.evidence.boot_log.0.clone(),
            ima_log: self.evidence.ima_log.0.clone(),
            ima_first: self.evidence.ima_first,
        };
        Ok(verify(
            &Input {
                evidence: &evidence,
                challenge: &challenge,
                key: &key,
                policy: &policy,
                history: self.history.as_ref(),
                now: self.received_at.unix_seconds(),
            },
            &mut |_| {},
        ))
    }

    /// Digests of the parts, for reports: name to SHA-256 in hex.
    pub fn digests(&self) -> BTreeMap<&'static str, String> {
        let hex = |blob: &Blob| crate::ids::Sha256Digest::of(&blob.0).to_string();
        BTreeMap::from([
            ("quote", hex(&self.evidence.quote)),
            ("signature", hex(&self.evidence.signature)),
            ("boot log", hex(&self.evidence.boot_log)),
            ("IMA list", hex(&self.evidence.ima_log)),
        ])
    }
}

/// Bytes, in base64.
#[derive(Clone)]
struct Blob(Vec<u8>);

impl std::fmt::Debug for Blob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        STANDARD
            .decode(text.as_bytes())
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

mod hex_32 {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(from)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(D::Error::custom)?;
        Ok(bytes)
    }
}
