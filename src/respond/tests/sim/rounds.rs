//! Rounds of hosts, as the verifier would hold them; and what it says when a release asks. What evidence proves is another
//! room's: here a host simply is what the list made of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use lazaret_attest::verdict::Verdict;

use super::mutants::Mutant;
use super::rules::Proof;
use super::wire::Wire;
use super::world::Sim;
use crate::clock::{Clock as _, ManualClock, Timestamp};
use crate::ids::{HostName, RoundId, Sha256Digest};
use crate::respond::attester::{Asked, Attester};
use crate::respond::decide::Decision;
use crate::respond::journal::json;
use crate::respond::release::Attested;
use crate::respond::tests::cloud::name;
use crate::respond::tests::finding;
use crate::store::{Json, LeaseKind, Purpose, Recording, Round, Store};

/// What a host is, by its own TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    Clean,
    Rooted(u8),
    Silent,
}

/// What a round makes of a host.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    verdict: Verdict,
    /// The finding, where there is one.
    cause: String,
    /// Names the round.
    number: u64,
}

impl Sim {
    fn nature(&self, host: u8) -> Nature {
        match self.cloud.hosts[usize::from(host)].runs(self.cloud.now) {
            true => self.natures[usize::from(host)],
            false => Nature::Silent,
        }
    }

    /// Judges a host by what it is now.
    fn judged(&mut self, host: u8) -> Judged {
        let nature = self.nature(host);
        let verdict = match (nature, self.mutant) {
            (Nature::Clean, _) => Verdict::Affirming,
            (Nature::Rooted(_), _) | (Nature::Silent, Mutant::Slander) => Verdict::Contraindicated,
            (Nature::Silent, _) => Verdict::Indeterminate,
        };
        let rooted = match nature {
            Nature::Rooted(cause) => Some(cause),
            _ => None,
        };
        let number = self.rounds;
        self.rounds += 1;
        self.book.rounds.insert(round_id(number), rooted);
        Judged {
            verdict,
            cause: rooted.map_or("ff".to_owned(), |cause| format!("{cause:02x}")),
            number,
        }
    }

    /// A release asks.
    pub(super) fn attest(&mut self, host: &HostName) -> Judged {
        let host = (0..self.list.shape.hosts)
            .find(|known| name(*known) == *host)
            .unwrap();
        let clean = self.nature(host) == Nature::Clean;
        let mut judged = self.judged(host);
        if self.mutant == Mutant::Whitewash {
            judged.verdict = Verdict::Affirming;
        }
        let at = self.cloud.now;
        self.book.attested.insert(host, Proof { at, clean });
        judged
    }

    /// One round, and a second one where the first condemns.
    pub(super) fn round(&mut self, daemon: usize, host: u8) {
        if self.daemons[daemon].as_ref().is_none_or(|it| it.stalled) {
            return;
        }
        let (first, second) = (self.judged(host), self.judged(host));
        let Some(it) = &self.daemons[daemon] else { return };
        let (respond, store) = (Arc::clone(&it.respond), self.store.clone());
        let (clock, owner) = (Arc::clone(&it.clock), format!("rounds/{}", it.process));
        let host = name(host);
        it.begin(async move {
            let kind = LeaseKind::Host(host.clone());
            let taken = store
                .lease(kind, &owner, clock.now(), Duration::from_secs(60))
                .await;
            let Ok(Some(lease)) = taken else { return };
            let first = recording(&host, &first, clock.now());
            let decided = Box::pin(respond.on_round(&lease, first)).await;
            if let Ok(Decision::Confirm) = decided {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let second = recording(&host, &second, clock.now());
                let _ = Box::pin(respond.on_round(&lease, second)).await;
            }
            let _ = store.release(lease).await;
        });
    }
}

/// The verifier as a release sees it: a fake, for what it says is another room's proof.
pub(super) struct Verifier {
    pub(super) wire: Arc<Wire>,
    pub(super) store: Store,
    pub(super) clock: Arc<ManualClock>,
    /// Which policy is in force.
    pub(super) policy: Arc<AtomicU8>,
    pub(super) owner: String,
}

impl Attester for Verifier {
    fn attest<'a>(&'a self, host: &'a HostName) -> Asked<'a, Attested> {
        Box::pin(async move {
            let (at, policy) = (self.clock.now(), self.policy());
            let judged = self.wire.judge(host).await.ok_or("it ended")?;
            let kind = LeaseKind::Host(host.clone());
            let taken = self
                .store
                .lease(kind, &self.owner, at, Duration::from_secs(60))
                .await
                .map_err(|error| error.to_string())?;
            let lease = taken.ok_or("it is being attested just now")?;
            let recording = recording(host, &judged, at);
            let recorded = self.store.record(&lease, &recording, at).await;
            let _ = self.store.release(lease).await;
            recorded.map_err(|error| error.to_string())?;
            Ok(Attested {
                round: round_id(judged.number),
                verdict: judged.verdict,
                at,
                policy: Some(policy),
                words: judged.cause,
            })
        })
    }

    fn policy<'a>(&'a self, _: &'a HostName) -> Asked<'a, Sha256Digest> {
        Box::pin(async move { Ok(self.policy()) })
    }
}

impl Verifier {
    fn policy(&self) -> Sha256Digest {
        Sha256Digest([self.policy.load(Ordering::Relaxed); 32])
    }
}

fn round_id(number: u64) -> RoundId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    RoundId::new(bytes)
}

fn recording(host: &HostName, judged: &Judged, now: Timestamp) -> Recording {
    let verdict = judged.verdict;
    let findings = match verdict {
        Verdict::Contraindicated => vec![finding(&judged.cause)],
        _ => Vec::new(),
    };
    Recording {
        round: Round {
            id: round_id(judged.number),
            host: host.clone(),
            purpose: Purpose::Scheduled,
            confirms: None,
            started_at: now,
            finished_at: now,
            verdict,
            findings: json(&findings),
            claims: Json::empty(),
            timings: Json::empty(),
            evidence: None,
            policy: None,
        },
        history: None,
        answered: verdict != Verdict::Indeterminate,
        next_due: None,
        case: None,
        notifications: Vec::new(),
    }
}
