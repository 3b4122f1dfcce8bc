//! The whole algorithm on one screen.

use crate::challenge::Challenge;
use crate::evidence::Evidence;
use crate::policy::Policy;
use crate::result::{AttestationResult, History};

/// Everything that a verdict depends on. Nothing else does.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What the host answered.
    pub evidence: &'a Evidence,
    /// What it was asked.
    pub challenge: &'a Challenge,
    /// TPM2B_PUBLIC of the attestation key that was pinned at enrolment.
    pub ak_public: &'a [u8],
    /// What to compare with.
    pub policy: &'a Policy,
    /// What the last genuine quote proved.
    pub history: Option<&'a History>,
}

/// A stretch of the ladder; the observer hears of each when it is done, also when it failed.
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
    let _ = (input, done);
    todo!()
}
