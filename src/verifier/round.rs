//! One round: one host, one challenge, one result. Nothing here acts on the cloud.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lazaret_attest::{
    challenge::Challenge,
    claims::Claims,
    evidence::Evidence,
    finding::{Code, Finding},
    result::{AttestationResult, History},
    verdict::Verdict,
    verify::{Input, Part, key_unusable, verify},
};
use lazaret_wire::tls::{Peer, Pin, TlsIdentity};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    bundle::{Bundle, BundleError, Parts, not_appraised},
    enroll::{EnrollError, nonce},
    keys::Keys,
    policies::{Golden, Policies, PolicyFileError},
    sources::{AgentSource, Patience, SourceError},
};
use crate::{
    clock::{Clock, Timestamp},
    config::Config,
    ids::{HostName, RoundId, Sha256Digest},
    store::{
        Host, Json, NewChallenge, PolicyStanding, PolicyVersion, Purpose, Round, SpendError, Store,
        StoreError,
    },
};

/// Why there is no result at all. A host that does not answer is no such case: that is a result.
#[derive(Debug, Error)]
pub enum RoundError {
    /// The golden values cannot be used; no host is judged by half of them.
    #[error(transparent)]
    Policy(#[from] PolicyFileError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The challenge was not this process's to spend.
    #[error("round of host {host}: {source}")]
    Spend {
        /// The host.
        host: HostName,
        /// Why.
        source: SpendError,
    },
    /// Preparing the question failed on this side.
    #[error("round of host {host}: {source}")]
    Prepare {
        /// The host.
        host: HostName,
        /// Why.
        source: EnrollError,
    },
    /// This side's TLS or HTTP client.
    #[error(transparent)]
    Client(SourceError),
    /// Putting the evidence into a bundle.
    #[error("round of host {host}: {source}")]
    Bundle {
        /// The host.
        host: HostName,
        /// Why.
        source: BundleError,
    },
    /// What the database holds for this host is not what this program wrote.
    #[error("round of host {host}: reading its {what} from the database: {source}")]
    Record {
        /// The host.
        host: HostName,
        /// Which part.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// Verification was interrupted.
    #[error("round of host {host}: the verification did not end")]
    Interrupted {
        /// The host.
        host: HostName,
    },
    /// Somebody else is at it.
    #[error("host {host} is being attested by another process just now; try again in a moment")]
    Busy {
        /// The host.
        host: HostName,
    },
}

/// How long each part took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// From the challenge to the whole answer: network, TPM, logs.
    pub collect_ms: f64,
    /// Signature, nonce, selection, PCR values, counters.
    pub quote_ms: f64,
    /// Boot log parsed and replayed.
    pub boot_log_ms: f64,
    /// IMA list parsed and replayed.
    pub ima_ms: f64,
    /// Claims against golden values.
    pub appraisal_ms: f64,
    /// Everything from the offer of the challenge to the verdict.
    pub total_ms: f64,
}

impl Timings {
    /// How long the host took to answer.
    pub fn collected(&self) -> Duration {
        Duration::try_from_secs_f64(self.collect_ms / 1000.0).unwrap_or(Duration::MAX)
    }
}

/// A result that is not recorded yet.
#[derive(Debug)]
pub struct Judged {
    /// As it will be recorded.
    pub round: Round,
    /// The result.
    pub result: AttestationResult,
    /// Whether the host gave an answer that was judged.
    pub answered: bool,
    /// How long each part took.
    pub timings: Timings,
    /// The whole evidence; `None` when there was no answer, or when it is Affirming and nobody asked for it.
    pub bundle: Option<Bundle>,
}

/// What a round needs.
pub struct Rounds {
    /// The database.
    pub store: Store,
    /// The configuration.
    pub config: Arc<Config>,
    /// The verifier's own TLS key.
    pub identity: Arc<TlsIdentity>,
    /// Golden values.
    pub policies: Policies,
    /// The hosts' attestation keys.
    pub keys: Keys,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who this process is, for leases: unique for each process.
    pub owner: String,
}

/// Evidence that was collected in time, with what was asked.
struct Collected {
    challenge: Challenge,
    evidence: Evidence,
    received_at: Timestamp,
    took: Duration,
}

impl Rounds {
    /// Challenges `host` and judges its answer. With `whole`, the IMA list is asked for from its first entry, so that
    /// the evidence stands by itself.
    ///
    /// # Errors
    /// Trouble of this side only. Silence and garbage are results, `Indeterminate`.
    pub async fn attest_host(
        &self,
        host: &Host,
        purpose: Purpose,
        confirms: Option<RoundId>,
        whole: bool,
    ) -> Result<Judged, RoundError> {
        let id = RoundId::new(self.random(host.name())?);
        let started_at = self.clock.now();
        let start = Instant::now();
        let golden = self.golden(host)?;
        let refused = self.rolled_back(&golden).await?;
        let history = self.history(host)?;
        let first = match &history {
            Some(History {
                ima: Some(checkpoint),
                policy_digest,
                ..
            }) if !whole && *policy_digest == golden.policy.digest_at(started_at.unix_seconds()) => {
                checkpoint.entries
            }
            _ => 0,
        };

        let mut timings = Timings::default();
        let by = By {
            golden: &golden,
            refused: refused.as_ref(),
            history: history.as_ref(),
        };
        let mut judged = self.answer(host, id, first, by, &mut timings).await?;
        if let Answer::Judged(_, result) = &judged
            && result.full_list_needed
            && first > 0
        {
            // The host has booted since, or its list does not go on where it stopped: ask for all of it.
            judged = self.answer(host, id, 0, by, &mut timings).await?;
        }
        timings.total_ms = millis(start.elapsed());

        let (collected, result) = match judged {
            Answer::Judged(collected, result) => (Some(collected), *result),
            Answer::Silence(error) => (None, silence(&error)),
        };
        // The evidence may be 64 MiB; a copy is made only where somebody will keep it.
        let wanted = whole || result.verdict != Verdict::Affirming;
        let bundle = collected.as_ref().filter(|_| wanted).map(|collected| {
            Bundle::new(&Parts {
                host: host.name(),
                received_at: collected.received_at,
                challenge: &collected.challenge,
                evidence: &collected.evidence,
                ak_public: &host.enrolled.ak_public,
                ek_certificate: host.enrolled.ek_certificate.as_deref().unwrap_or_default(),
                policy: &golden.text,
                refused: refused.as_ref(),
                history: history.as_ref(),
                result: &result,
            })
        });
        let record = |what, source| RoundError::Record {
            host: host.name().clone(),
            what,
            source,
        };
        let round = Round {
            id,
            host: host.name().clone(),
            purpose,
            confirms,
            started_at,
            finished_at: self.clock.now(),
            verdict: result.verdict,
            findings: Json::of(&result.findings).map_err(|source| record("findings", source))?,
            claims: Json::of(&result.claims).map_err(|source| record("claims", source))?,
            timings: Json::of(&timings).map_err(|source| record("timings", source))?,
            evidence: None,
            policy: Some(Sha256Digest(golden.policy.digest())),
        };
        let answered = collected.is_some();
        Ok(Judged {
            round,
            result,
            answered,
            timings,
            bundle,
        })
    }

    /// A connection to the agent that was enrolled.
    ///
    /// # Errors
    /// This side's own trouble with TLS.
    pub fn source(&self, host: &Host) -> Result<AgentSource, SourceError> {
        AgentSource::new(
            host.name().clone(),
            host.enrolled.agent_url.clone(),
            &self.identity,
            Peer::Pinned(Pin(host.enrolled.agent_key.0)),
            self.patience(),
        )
    }

    /// How long agents are waited for.
    pub fn patience(&self) -> Patience {
        Patience {
            connect: self.config.agents.connect_timeout,
            answer: self.config.agents.answer_timeout,
        }
    }

    /// The golden values of this host.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn golden(&self, host: &Host) -> Result<Arc<Golden>, PolicyFileError> {
        let path = match &host.enrolled.policy {
            Some(path) => path.clone(),
            None => self.config.policy_path(host.name()),
        };
        let settings = self.config.hosts.get(host.name());
        let model = settings.and_then(|settings| settings.model.as_deref());
        self.policies.at(&path, model, self.clock.now().unix_seconds())
    }

    /// Why nothing is appraised by a signed policy: a higher version of it was in use, or the same with other content.
    async fn rolled_back(&self, golden: &Golden) -> Result<Option<Finding>, RoundError> {
        if !golden.is_signed() {
            return Ok(None);
        }
        let policy = &golden.policy;
        let offered = PolicyVersion {
            version: i64::try_from(policy.version()).unwrap_or(i64::MAX),
            digest: Sha256Digest(policy.content_digest()),
        };
        let standing = self
            .store
            .advance_policy(policy.name(), offered, self.clock.now())
            .await?;
        Ok(match standing {
            PolicyStanding::Current => None,
            PolicyStanding::RolledBack { highest, seen_at } => Some(
                Finding::new(Code::PolicyRolledBack, format!("policy \"{}\"", policy.name()))
                    .expected(format!(
                        "version {} with digest {}, in use since {seen_at}, or a higher version",
                        highest.version, highest.digest
                    ))
                    .found(format!(
                        "version {} with digest {}",
                        offered.version, offered.digest
                    )),
            ),
        })
    }

    fn history(&self, host: &Host) -> Result<Option<History>, RoundError> {
        host.history
            .as_ref()
            .map(Json::read)
            .transpose()
            .map_err(|source| RoundError::Record {
                host: host.name().clone(),
                what: "history",
                source,
            })
    }

    fn random(&self, host: &HostName) -> Result<[u8; 16], RoundError> {
        let prepare = |source| RoundError::Prepare {
            host: host.clone(),
            source,
        };
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = nonce().map_err(prepare)?;
        Ok([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }

    /// Offers a challenge, collects, spends the challenge, and only then judges.
    async fn answer(
        &self,
        host: &Host,
        round: RoundId,
        ima_first: u64,
        by: By<'_>,
        timings: &mut Timings,
    ) -> Result<Answer, RoundError> {
        let By {
            golden,
            refused,
            history,
        } = by;
        let collected = match self.collect(host, round, ima_first).await? {
            Ok(collected) => collected,
            Err(error) => return Ok(Answer::Silence(error)),
        };
        timings.collect_ms += millis(collected.took);
        if let Some(refused) = refused {
            return Ok(Answer::Judged(
                Box::new(collected),
                Box::new(not_appraised(refused)),
            ));
        }
        let key = match self.keys.of(host) {
            Ok(key) => key,
            Err(error) => {
                let result = key_unusable(&error, &golden.policy);
                return Ok(Answer::Judged(Box::new(collected), Box::new(result)));
            }
        };
        let (golden, history) = (Arc::clone(golden), history.cloned());
        // Hashing a long list takes a while; other hosts' rounds go on meanwhile.
        let (collected, result, took) = tokio::task::spawn_blocking(move || {
            let mut took = Timings::default();
            let mut last = Instant::now();
            let input = Input {
                evidence: &collected.evidence,
                challenge: &collected.challenge,
                key: &key,
                policy: &golden.policy,
                history: history.as_ref(),
                now: collected.received_at.unix_seconds(),
            };
            let result = verify(&input, &mut |part| {
                let now = Instant::now();
                let part_ms = match part {
                    Part::Quote => &mut took.quote_ms,
                    Part::BootLog => &mut took.boot_log_ms,
                    Part::Ima => &mut took.ima_ms,
                    Part::Appraisal => &mut took.appraisal_ms,
                };
                *part_ms += millis(now - last);
                last = now;
            });
            (collected, result, took)
        })
        .await
        .map_err(|_| RoundError::Interrupted {
            host: host.name().clone(),
        })?;
        timings.quote_ms += took.quote_ms;
        timings.boot_log_ms += took.boot_log_ms;
        timings.ima_ms += took.ima_ms;
        timings.appraisal_ms += took.appraisal_ms;
        Ok(Answer::Judged(Box::new(collected), Box::new(result)))
    }

    async fn collect(
        &self,
        host: &Host,
        round: RoundId,
        ima_first: u64,
    ) -> Result<Result<Collected, SourceError>, RoundError> {
        let name = host.name();
        let challenge = Challenge {
            nonce: nonce().map_err(|source| RoundError::Prepare {
                host: name.clone(),
                source,
            })?,
            host: name.as_str().to_owned(),
            agent_key: host.enrolled.agent_key.0,
            selection: self.config.appraisal.pcrs.clone(),
            ima_first,
        };
        let source = self.source(host).map_err(RoundError::Client)?;
        let deadline = self.config.schedule.round_deadline;
        let offered_at = self.clock.now();
        let offer = NewChallenge {
            nonce: challenge.nonce,
            host: name.clone(),
            round,
            ima_first,
            expires_at: offered_at.plus(deadline),
        };
        self.store.offer(&offer, offered_at).await?;
        let late = || SourceError::Late {
            host: name.clone(),
            url: host.enrolled.agent_url.clone(),
            seconds: deadline.as_secs(),
        };
        let start = Instant::now();
        let evidence = match tokio::time::timeout(deadline, source.attest(&challenge)).await {
            Ok(Ok(evidence)) => evidence,
            Ok(Err(error)) => return Ok(Err(error)),
            Err(_elapsed) => return Ok(Err(late())),
        };
        let took = start.elapsed();
        let received_at = self.clock.now();
        match self.store.spend(&challenge.nonce, name, received_at).await {
            Ok(_offered) => Ok(Ok(Collected {
                challenge,
                evidence,
                received_at,
                took,
            })),
            Err(SpendError::Expired { .. }) => Ok(Err(late())),
            Err(source) => Err(RoundError::Spend {
                host: name.clone(),
                source,
            }),
        }
    }
}

/// What an answer is judged by.
#[derive(Clone, Copy)]
struct By<'a> {
    golden: &'a Arc<Golden>,
    refused: Option<&'a Finding>,
    history: Option<&'a History>,
}

enum Answer {
    Judged(Box<Collected>, Box<AttestationResult>),
    Silence(SourceError),
}

/// No evidence: nothing is known, and nothing is held against the host.
fn silence(error: &SourceError) -> AttestationResult {
    let code = match error {
        SourceError::Unreachable { .. } | SourceError::Tls { .. } | SourceError::Client { .. } => {
            Code::AgentUnreachable
        }
        SourceError::Late { .. } => Code::AgentLate,
        SourceError::OtherKey { .. } => Code::AgentOtherKey,
        SourceError::NotWelcome { .. } => Code::AgentRefusesVerifier,
        SourceError::Refused { .. } => Code::AgentRefused,
        SourceError::Garbled { .. } => Code::AgentGarbled,
    };
    let finding = Finding::new(code, "agent").found(error.to_string());
    AttestationResult {
        verdict: finding.gravity,
        findings: vec![finding],
        claims: Claims::default(),
        history: None,
        full_list_needed: false,
    }
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}
