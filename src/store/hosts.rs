//! Hosts as enrolled, what was last seen of them, and the history of their enrolments.

use std::path::PathBuf;

use lazaret_attest::verdict::Verdict;
use serde::Serialize;
use url::Url;

use super::{EnrolError, Json, Store, StoreError};
use crate::clock::Timestamp;
use crate::ids::{CaseId, HostName, RoundId, Sha256Digest};

/// What enrolment proved about a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHost {
    /// Its name.
    pub name: HostName,
    /// Where its agent answers.
    pub agent_url: Url,
    /// Its own policy, where it differs from the configured one.
    pub policy: Option<PathBuf>,
    /// The attestation key, as TPM2B_PUBLIC.
    pub ak_public: Vec<u8>,
    /// The attestation key's Name.
    pub ak_name: Vec<u8>,
    /// SHA-256 of the endorsement key's TPM2B_PUBLIC.
    pub ek_public_digest: Sha256Digest,
    /// The endorsement key's certificate, DER.
    pub ek_certificate: Option<Vec<u8>>,
    /// Which endorsement key: `rsa-2048`, `ecc-p256`, `ecc-p384`.
    pub ek_kind: String,
    /// SHA-256 of the agent's TLS key (SubjectPublicKeyInfo).
    pub agent_key: Sha256Digest,
}

/// A host as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What enrolment proved.
    pub enrolled: NewHost,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// By whom.
    pub enrolled_by: String,
    /// When its next round is due.
    pub next_due: Option<Timestamp>,
    /// Its last result.
    pub last: Option<LastResult>,
    /// What the next round is held against (`lazaret_attest::result::History`).
    pub history: Option<Json>,
    /// Since when it has given no answer that could be judged.
    pub silent_since: Option<Timestamp>,
    /// The case that took it out of service, until it is released.
    pub quarantined_by: Option<CaseId>,
}

impl Host {
    /// Its name.
    pub fn name(&self) -> &HostName {
        &self.enrolled.name
    }
}

/// A host's last result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastResult {
    /// The verdict.
    pub verdict: Verdict,
    /// The round that gave it.
    pub round: RoundId,
    /// When.
    pub at: Timestamp,
}

/// One entry in the history of enrolments, which is never rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Enrolment {
    /// The host.
    pub host: HostName,
    /// From 1, for each host.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// `enrolled`, `re-enrolled`, `new-key-accepted` or `removed`.
    pub action: String,
    /// SHA-256 of the endorsement key's TPM2B_PUBLIC.
    pub ek_public_digest: Sha256Digest,
    /// The attestation key's Name, in hex.
    pub ak_name: String,
    /// SHA-256 of the agent's TLS key.
    pub agent_key: Sha256Digest,
}

impl Store {
    /// Enrols a host, or enrols it again. A known host keeps its keys unless `accept_new_key` is set; with a new
    /// attestation key its history is void. One TPM stands for one host.
    pub async fn enrol(
        &self,
        host: &NewHost,
        by: &str,
        accept_new_key: bool,
        now: Timestamp,
    ) -> Result<(), EnrolError> {
        let _ = (host, by, accept_new_key, now);
        todo!()
    }

    /// All hosts, by name.
    pub async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        todo!()
    }

    /// One host; `None` when it is not enrolled.
    pub async fn host(&self, name: &HostName) -> Result<Option<Host>, StoreError> {
        let _ = name;
        todo!()
    }

    /// Forgets a host. Its rounds, cases and enrolments stay; an unclosed case refuses the removal.
    pub async fn remove_host(&self, name: &HostName, by: &str, now: Timestamp) -> Result<(), StoreError> {
        let _ = (name, by, now);
        todo!()
    }

    /// Sets when the host's next round is due.
    pub async fn set_next_due(&self, name: &HostName, due: Timestamp) -> Result<(), StoreError> {
        let _ = (name, due);
        todo!()
    }

    /// Ends the quarantine of a host: a person released it.
    pub async fn end_quarantine(&self, name: &HostName) -> Result<(), StoreError> {
        let _ = name;
        todo!()
    }

    /// The history of enrolments, of one host or of all, oldest first.
    pub async fn enrolments(&self, name: Option<&HostName>) -> Result<Vec<Enrolment>, StoreError> {
        let _ = name;
        todo!()
    }
}
