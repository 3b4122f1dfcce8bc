//! The whole algorithm on one screen.
//!
//! Where the standard leaves a choice, two promises decide: *only proof condemns*, and *nothing is Affirming on missing
//! evidence*. So:
//!
//! - What is not signed by the pinned key in answer to this challenge condemns nobody: whoever stands in the middle can
//!   send it. Garbage, a bad signature, an old nonce and PCR values that do not match the signed digest are Indeterminate.
//! - A log that parses but does not lead to the signed PCRs condemns: software on the host hid, lost or invented
//!   measurements. For the IMA list that is only said of the whole list; of a slice it means "send all of it".
//! - An *empty* log contradicts nothing. It is missing evidence: Indeterminate, never Affirming, even where every PCR is
//!   golden. A policy may take it graver (`boot-log-missing`, `ima-list-missing`).
//! - What the quote's selection holds must be proven; what the policy lists is what it is compared with. Golden values
//!   for a PCR that was not quoted are missing evidence, not a pass.
//! - A counter that fell is signed proof of a rolled back TPM. The earlier history is kept, so the finding stays until an
//!   operator enrols the host again.
//! - What the IMA list held behind one quote must be covered by the next: the kernel extends PCR 10 with each entry it
//!   lists. A list that grows while PCR 10 stands still is one that the TPM no longer vouches for. A policy may give it
//!   some time (`lag_limit_s`), counted from when the first uncovered entry was seen.
//! - A kernel may trim the head of its list. What an earlier round of this boot covered is not needed again, so such a
//!   list goes on from the checkpoint; without one it proves nothing, and condemns nobody.
//! - The IMA checkpoint moves only over entries that were appraised without a finding, so a finding stays in every
//!   following round until the host reboots or the policy learns.

mod prove;

pub(crate) use prove::{prove_boot_log, prove_ima, prove_quote};

use crate::appraise::{self, Memory};
use crate::challenge::Challenge;
use crate::claims::{Claims, QuoteClaims};
use crate::evidence::Evidence;
use crate::finding::{Code, Finding, FindingList};
use crate::ima::ReplayedImaLog;
use crate::key::{AttestationKey, KeyError};
use crate::policy::{Policy, Standing};
use crate::quote::QuotedPcrs;
use crate::result::{AttestationResult, History, ImaCheckpoint, SeenKeys};
use crate::verdict::Verdict;

/// Everything that a verdict depends on. Nothing else does.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What the host answered.
    pub evidence: &'a Evidence,
    /// What it was asked.
    pub challenge: &'a Challenge,
    /// The attestation key that was pinned at enrolment. Where it cannot be made, the result is [`key_unusable`].
    pub key: &'a AttestationKey,
    /// What to compare with.
    pub policy: &'a Policy,
    /// What the last genuine quote of this attestation key proved.
    pub history: Option<&'a History>,
    /// When the evidence was received, Unix seconds: golden values may be valid from a day and until one.
    pub now: i64,
}

/// A stretch of the ladder. The observer hears of each that was walked, whether it ended in a proof or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Signature, nonce, selection, PCR values, counters.
    Quote,
    /// Boot log parsed and replayed.
    BootLog,
    /// IMA list parsed and replayed.
    Ima,
    /// Claims against golden values.
    Appraisal,
}

/// Evidence to result.
pub fn verify(input: &Input<'_>, done: &mut dyn FnMut(Part)) -> AttestationResult {
    let Input {
        evidence,
        challenge,
        key,
        policy,
        history,
        now,
    } = *input;
    let mut findings = FindingList::new(policy);
    let mut claims = Claims::default();

    let quoted = prove_quote(evidence, challenge, key);
    done(Part::Quote);
    let quoted = match quoted {
        Ok(quoted) => quoted,
        Err(finding) => return unproven(finding, findings),
    };
    claims.quote = Some(quote_claims(&quoted));
    let rolled_back = appraise::counters(&quoted, history, &mut findings);

    let boot_log = prove_boot_log(evidence, &quoted);
    done(Part::BootLog);
    let checkpoint = standing_checkpoint(input, &quoted);
    let ima = prove_ima(evidence, challenge, checkpoint, &quoted);
    done(Part::Ima);

    let before = checkpoint.map_or(&[][..], |checkpoint| &checkpoint.components);
    let mut standing = Standing::new(policy, now, before);
    appraise::pcrs(&quoted, policy, &mut standing, &mut findings);
    match boot_log {
        Ok(Some(log)) => {
            claims.boot_log = Some(appraise::boot_log(&log, policy, &mut standing, &mut findings))
        }
        Ok(None) => appraise::no_boot_log(policy, &mut findings),
        Err(finding) => findings.add(finding),
    }
    let mut clean_to = checkpoint.cloned();
    let mut listed = listed_before(history, &quoted);
    let mut full_list_needed = false;
    match ima {
        Ok(Some(log)) => {
            let before = findings.made();
            let mut seen = checkpoint
                .filter(|_| log.first() > 0)
                .map_or_else(SeenKeys::default, |from| from.keys.clone());
            let memory = Memory {
                standing: &mut standing,
                seen: &mut seen,
            };
            claims.ima = Some(appraise::ima(&log, &quoted, policy, now, memory, &mut findings));
            // Files may belong to a component that no valid alternative explains whole.
            standing.tell(&mut findings);
            if findings.made() == before {
                clean_to = Some(checkpoint_at(&log, &quoted, key, &standing, seen));
            }
            appraise::ima_lag(&log, listed, policy, now, &mut findings);
            listed = listed_now(listed, &log, now);
        }
        Ok(None) => {
            appraise::no_ima(policy, &mut findings);
            standing.tell(&mut findings);
        }
        Err(finding) => {
            standing.tell(&mut findings);
            full_list_needed = finding.code == Code::ImaFullListNeeded;
            // A list that contradicts the quote, or a slice that does not join, leaves nothing to go on from: the next
            // challenge asks for the whole list. One that says nothing takes nothing back.
            if full_list_needed || finding.code.gravity() == Verdict::Contraindicated {
                clean_to = None;
            }
            findings.add(finding);
        }
    }
    done(Part::Appraisal);

    let history = if rolled_back {
        history.cloned()
    } else {
        Some(history_of(&quoted, policy.digest_at(now), listed, clean_to))
    };
    let (verdict, findings) = findings.finish();
    AttestationResult {
        verdict,
        findings,
        claims,
        history,
        full_list_needed,
    }
}

/// The result of a host whose pinned attestation key is none, so that nothing it sends can be proven.
pub fn key_unusable(error: &KeyError, policy: &Policy) -> AttestationResult {
    let finding = Finding::new(Code::KeyUnusable, "attestation key").found(error.to_string());
    unproven(finding, FindingList::new(policy))
}

/// Nothing is known, and nothing is remembered.
fn unproven(finding: Finding, mut findings: FindingList<'_>) -> AttestationResult {
    findings.add(finding);
    let (verdict, findings) = findings.finish();
    AttestationResult {
        verdict,
        findings,
        claims: Claims::default(),
        history: None,
        full_list_needed: false,
    }
}

/// The checkpoint of an earlier round, if it still stands: the same boot, policy (with the same alternatives valid) and
/// attestation key.
fn standing_checkpoint<'a>(input: &Input<'a>, quoted: &QuotedPcrs) -> Option<&'a ImaCheckpoint> {
    let history = input.history?;
    let checkpoint = history.ima.as_ref()?;
    let clock = quoted.clock();
    let stands = history.policy_digest == input.policy.digest_at(input.now)
        && checkpoint.reset_count == clock.reset_count
        && checkpoint.restart_count == clock.restart_count
        && checkpoint.key == input.key.digest();
    stands.then_some(checkpoint)
}

fn checkpoint_at(
    log: &ReplayedImaLog<'_>,
    quoted: &QuotedPcrs,
    key: &AttestationKey,
    standing: &Standing<'_>,
    keys: SeenKeys,
) -> ImaCheckpoint {
    let clock = quoted.clock();
    ImaCheckpoint {
        entries: log.covered(),
        pcr10: log.pcr10().to_vec(),
        reset_count: clock.reset_count,
        restart_count: clock.restart_count,
        key: key.digest(),
        components: standing.left(),
        last_entry: log.last_entry(),
        keys,
    }
}

/// How long the IMA list of this boot was seen to be in earlier rounds, and since when some of it waits to be covered.
fn listed_before(history: Option<&History>, quoted: &QuotedPcrs) -> (u64, i64) {
    let clock = quoted.clock();
    history
        .filter(|before| {
            before.reset_count == clock.reset_count && before.restart_count == clock.restart_count
        })
        .map_or((0, 0), |before| (before.ima_listed, before.ima_listed_at))
}

/// The same after this round: the time stays as long as what was seen then is not covered.
fn listed_now((before, since): (u64, i64), log: &ReplayedImaLog<'_>, now: i64) -> (u64, i64) {
    let since = if log.covered() < before { since } else { now };
    (before.max(log.listed()), since)
}

fn history_of(
    quoted: &QuotedPcrs,
    policy_digest: [u8; 32],
    (ima_listed, ima_listed_at): (u64, i64),
    ima: Option<ImaCheckpoint>,
) -> History {
    let clock = quoted.clock();
    History {
        reset_count: clock.reset_count,
        restart_count: clock.restart_count,
        clock_ms: clock.clock_ms,
        firmware_version: quoted.firmware_version(),
        policy_digest,
        ima_listed,
        ima_listed_at,
        ima,
    }
}

fn quote_claims(quoted: &QuotedPcrs) -> QuoteClaims {
    let clock = quoted.clock();
    QuoteClaims {
        pcrs: quoted.values().to_vec(),
        reset_count: clock.reset_count,
        restart_count: clock.restart_count,
        clock_ms: clock.clock_ms,
        clock_safe: clock.safe,
        firmware_version: quoted.firmware_version(),
    }
}
