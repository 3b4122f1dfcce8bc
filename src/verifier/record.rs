//! A round from lease to record: whoever judges a host holds its lease, keeps the evidence first, then writes.

use std::time::Duration;

use lazaret_attest::verdict::Verdict;

use super::{
    round::{Judged, RoundError, Rounds},
    schedule,
};
use crate::{
    config::ResponseMode,
    ids::{HostName, RoundId},
    store::{Host, Json, Lease, LeaseKind, Purpose, RecordError, Recording},
};

/// Beyond the time that a round and the wait for its confirmation may take: for the second question of a host that has booted, and for writing.
const LEASE_SLACK: Duration = Duration::from_secs(60);

/// How often a person's command looks whether the host is free.
const BUSY_POLL: Duration = Duration::from_millis(200);

/// How long a person's command waits for a host that is being attested by the daemon.
const BUSY_PATIENCE: Duration = Duration::from_secs(15);

impl Rounds {
    /// The lease on this host's rounds; `None` while somebody else holds it.
    ///
    /// # Errors
    /// The database's.
    pub async fn lease(&self, host: &HostName) -> Result<Option<Lease>, RoundError> {
        let duration = self
            .config
            .schedule
            .round_deadline
            .saturating_mul(2)
            .saturating_add(self.config.schedule.confirm_after)
            .saturating_add(LEASE_SLACK);
        Ok(self
            .store
            .lease(
                LeaseKind::Host(host.clone()),
                &self.owner,
                self.clock.now(),
                duration,
            )
            .await?)
    }

    /// Challenges, judges, and makes ready what is to be recorded. Evidence that may condemn is in the store when
    /// this returns, before any record refers to it.
    ///
    /// # Errors
    /// Trouble of this side; nothing is recorded then.
    pub async fn prepared(
        &self,
        host: &Host,
        purpose: Purpose,
        confirms: Option<RoundId>,
        whole: bool,
    ) -> Result<(Judged, Recording), RoundError> {
        let mut judged = self.attest_host(host, purpose, confirms, whole).await?;
        if let Some(bundle) = judged.bundle.as_ref().filter(|_| self.keeps(host, &judged)) {
            let bytes = bundle.to_bytes().map_err(|source| RoundError::Bundle {
                host: host.name().clone(),
                source,
            })?;
            let put = self.store.put_evidence(&bytes, self.clock.now()).await;
            let digest = put.map_err(|error| {
                let error = RoundError::from(error);
                lost(&judged, &error);
                error
            })?;
            judged.round.evidence = Some(digest);
        }
        let history = judged
            .result
            .history
            .as_ref()
            .map(Json::of)
            .transpose()
            .map_err(|source| RoundError::Record {
                host: host.name().clone(),
                what: "history",
                source,
            })?;
        let schedule = &self.config.schedule;
        let recording = Recording {
            round: judged.round.clone(),
            history,
            answered: judged.answered,
            next_due: schedule::next_due(&schedule.cron, schedule.jitter, host.name(), self.clock.now()),
            case: None,
            notifications: Vec::new(),
        };
        Ok((judged, recording))
    }

    /// One round because a person asked. It is recorded; no case is opened and nobody is told. A condemned host
    /// is made due at once, so that a running daemon challenges it again and does what its policy says.
    ///
    /// # Errors
    /// Trouble of this side.
    pub async fn manual(&self, host: &Host, whole: bool) -> Result<Judged, RoundError> {
        let lease = self.lease_soon(host.name()).await?;
        let round = async {
            // While this waited, the host may have been attested or enrolled again.
            let fresh = self.store.host(host.name()).await?;
            let host = fresh.as_ref().unwrap_or(host);
            let (judged, mut recording) = self.prepared(host, Purpose::Manual, None, whole).await?;
            if judged.result.verdict == Verdict::Contraindicated {
                recording.next_due = Some(self.clock.now());
            }
            self.store
                .record(&lease, &recording, self.clock.now())
                .await
                .map_err(RoundError::from)?;
            Ok(judged)
        }
        .await;
        self.give_back(lease).await;
        round
    }

    /// Gives the lease back. What was judged is judged, whatever becomes of this; a lease that stays ends by itself.
    async fn give_back(&self, lease: Lease) {
        let (kind, until) = (lease.kind.clone(), lease.until);
        if let Err(error) = self.store.release(lease).await {
            tracing::warn!(
                %error,
                "the lease of {kind} could not be given back: no other round of it begins before {until}"
            );
        }
    }

    async fn lease_soon(&self, host: &HostName) -> Result<Lease, RoundError> {
        let wait = async {
            loop {
                if let Some(lease) = self.lease(host).await? {
                    return Ok(lease);
                }
                tokio::time::sleep(BUSY_POLL).await;
            }
        };
        tokio::time::timeout(BUSY_PATIENCE, wait)
            .await
            .unwrap_or_else(|_| Err(RoundError::Busy { host: host.clone() }))
    }

    /// Whether the evidence is kept. What may condemn is; what only says so again is not, or a host that is left
    /// condemned in observe mode would fill the disk.
    fn keeps(&self, host: &Host, judged: &Judged) -> bool {
        let last = host.last.as_ref().map(|last| last.verdict);
        let verdict = judged.result.verdict;
        let again = last == Some(verdict) && judged.round.purpose != Purpose::Confirmation;
        match verdict {
            Verdict::Affirming => false,
            Verdict::Contraindicated if host.quarantined_by.is_some() => !again,
            Verdict::Contraindicated => !again || self.config.response.mode == ResponseMode::Enforce,
            Verdict::Warning | Verdict::Indeterminate => !again,
        }
    }
}

/// Says a verdict that could not be recorded: nothing else has it.
pub(super) fn lost(judged: &Judged, error: &RoundError) {
    let (host, round, verdict) = (&judged.round.host, judged.round.id, judged.result.verdict);
    let findings: Vec<_> = judged
        .result
        .findings
        .iter()
        .take(5)
        .map(ToString::to_string)
        .collect();
    tracing::error!(
        %host, %round, %verdict, %error, findings = findings.join("; "),
        "judged, and it could not be recorded: it counts for nothing, and the host is challenged again"
    );
}

impl From<RecordError> for RoundError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Store(error) => Self::Store(error),
            RecordError::CaseOpen { host, .. } => Self::Busy { host },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use lazaret_forge::softtpm::AttestationKey;

    use super::*;
    use crate::{
        clock::{Clock as _, SystemClock},
        config::Config,
        ids::Sha256Digest,
        store::{NewHost, Store, tests::broken::breaks},
        verifier::{keys::Keys, policies::Policies},
    };

    /// What the round found is in the database by then; only its lease stays for a while.
    #[tokio::test]
    async fn a_recorded_verdict_is_shown_although_the_lease_of_its_round_cannot_be_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let base = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/debian.toml");
        fs::copy(base, at("debian.toml")).unwrap();
        fs::write(at("l.sha256"), format!("{}  /bin/sh\n", "11".repeat(32))).unwrap();
        let golden = "name = \"x\"\nversion = 1\nextends = \"debian.toml\"\n[ima]\nlists = [\"l.sha256\"]\n";
        fs::write(at("golden.toml"), golden).unwrap();
        let text = format!(
            "[store]\npath = \"{}\"\n[agents]\nconnect_timeout_s = 1\n[appraisal]\npolicy = \"{}\"\n",
            at("lazaret.db").display(),
            at("golden.toml").display()
        );
        let store = Store::open(&at("lazaret.db")).await.unwrap();
        let key = AttestationKey::p256("cmp-1");
        // Nothing listens there: the round is silence.
        let host = NewHost {
            name: "cmp-1".parse().unwrap(),
            agent_url: "https://127.0.0.1:9".parse().unwrap(),
            policy: None,
            ak_public: key.public(),
            ak_name: key.name(),
            ek_public_digest: Sha256Digest([1; 32]),
            ek_certificate: None,
            ek_kind: "ecc-p256".into(),
            agent_key: Sha256Digest([1; 32]),
        };
        let clock = SystemClock;
        store.enrol(&host, "test", false, clock.now()).await.unwrap();
        let identity = lazaret_wire::tls::TlsIdentity::load_or_make(&at("identity"), "verifier").unwrap();
        let rounds = Rounds {
            store: store.clone(),
            config: Arc::new(Config::parse(&text, &at("lazaret.toml")).unwrap()),
            identity: Arc::new(identity),
            policies: Policies::new(None),
            keys: Keys::default(),
            clock: Arc::new(clock),
            owner: "me".to_owned(),
        };
        let known = store.host(&host.name).await.unwrap().unwrap();
        breaks(&at("lazaret.db"), "UPDATE OF held_until", "leases").await;
        let judged = rounds.manual(&known, false).await.unwrap();
        assert_eq!(judged.result.verdict, Verdict::Indeterminate);
        let last = store.host(&host.name).await.unwrap().unwrap().last.unwrap();
        assert_eq!(last.round, judged.round.id, "it is recorded");
    }
}
