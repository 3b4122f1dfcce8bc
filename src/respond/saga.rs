//! The steps of each kind of case and how a case moves through them; pure, one function for live and for recovery.
//!
//! A case has no position in memory: after every step, and after every restart, [`next`] reads the recorded
//! steps and says what is to be done. It proves that nothing is evacuated before the host was fenced *and*
//! forced down, and that nothing is taken back before a verdict.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::ids::CaseKind;
use crate::store::StepState;

/// One step of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Make the plan; only where the cloud did not answer when the case was opened.
    Plan,
    /// Tell people that the case is open.
    Announce,
    /// Keep new instances off the host.
    Disable,
    /// Let new instances onto it again.
    Enable,
    /// Join the quarantine aggregate.
    Isolate,
    /// See whether other hosts fail alike, and ask the limits once more; the last look before the power.
    Brake,
    /// Power the host off, and see it off.
    Fence,
    /// Make nova treat it as down.
    ForceDown,
    /// Have its instances rebuilt elsewhere.
    Evacuate,
    /// See each instance elsewhere, or accounted for.
    Confirm,
    /// Release: see that people replaced what the host knew, or waived it.
    Rotate,
    /// Release: see that another person agrees, where that is asked for.
    Agree,
    /// Release: power the host on while nova still takes it for down.
    Boot,
    /// Release: see by which keys it will be known.
    Keys,
    /// Release: have it judged, whole and now.
    Attest,
    /// Release: see that its nova-compute has cleaned up after the evacuation.
    Settle,
    /// Release: have nova no longer take it for down.
    Raise,
    /// Release: leave the quarantine aggregate.
    Leave,
    /// Release: be in the aggregates that it was in.
    Restore,
    /// Release: end what keeps its recovery paused.
    Unpause,
    /// Release: let new instances onto it.
    Admit,
    /// Release: count it as any other host.
    Trust,
    /// Store the outcome, and tell people.
    Close,
}

/// The steps that give a host back, in their order.
const RELEASE: [Step; 13] = [
    Step::Rotate,
    Step::Agree,
    Step::Boot,
    Step::Keys,
    Step::Attest,
    Step::Settle,
    Step::Raise,
    Step::Leave,
    Step::Restore,
    Step::Unpause,
    Step::Admit,
    Step::Trust,
    Step::Close,
];

impl Step {
    /// All steps in their order.
    pub const ALL: [Self; 23] = [
        Self::Plan,
        Self::Announce,
        Self::Disable,
        Self::Enable,
        Self::Isolate,
        Self::Brake,
        Self::Fence,
        Self::ForceDown,
        Self::Evacuate,
        Self::Confirm,
        Self::Rotate,
        Self::Agree,
        Self::Boot,
        Self::Keys,
        Self::Attest,
        Self::Settle,
        Self::Raise,
        Self::Leave,
        Self::Restore,
        Self::Unpause,
        Self::Admit,
        Self::Trust,
        Self::Close,
    ];

    /// Its name in plans, journals and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Announce => "announce",
            Self::Disable => "disable",
            Self::Enable => "enable",
            Self::Isolate => "isolate",
            Self::Brake => "brake",
            Self::Fence => "fence",
            Self::ForceDown => "force-down",
            Self::Evacuate => "evacuate",
            Self::Confirm => "confirm",
            Self::Rotate => "rotate",
            Self::Agree => "agree",
            Self::Boot => "boot",
            Self::Keys => "keys",
            Self::Attest => "attest",
            Self::Settle => "settle",
            Self::Raise => "raise",
            Self::Leave => "leave",
            Self::Restore => "restore",
            Self::Unpause => "unpause",
            Self::Admit => "admit",
            Self::Trust => "trust",
            Self::Close => "close",
        }
    }

    /// What it does, in words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Plan => "plan the quarantine",
            Self::Announce => "tell people that the case is open",
            Self::Disable => "keep new instances off the host",
            Self::Enable => "let new instances onto the host again",
            Self::Isolate => "put the host into the quarantine aggregate",
            Self::Brake => "see whether other hosts fail alike, and ask the limits once more",
            Self::Fence => "power the host off, and see it off",
            Self::ForceDown => "have nova treat the host as down",
            Self::Evacuate => "rebuild its instances elsewhere",
            Self::Confirm => "see every instance elsewhere, or accounted for",
            Self::Rotate => "see that what the host knew is replaced, or waived",
            Self::Agree => "see that another person agrees",
            Self::Boot => "power the host on while nova still takes it for down",
            Self::Keys => "see by which keys the host will be known",
            Self::Attest => "have the host judged, whole and now",
            Self::Settle => "see that its nova-compute has cleaned up after the evacuation",
            Self::Raise => "have nova no longer take the host for down",
            Self::Leave => "take the host out of the quarantine aggregate",
            Self::Restore => "see the host in the aggregates that it was in",
            Self::Unpause => "end Masakari's maintenance of the host",
            Self::Admit => "let new instances onto the host",
            Self::Trust => "count the host as any other",
            Self::Close => "record the outcome, and tell people",
        }
    }

    /// Steps that must be *done* before this one, not skipped.
    fn needs(self) -> &'static [Self] {
        match self {
            Self::Plan
            | Self::Announce
            | Self::Disable
            | Self::Enable
            | Self::Isolate
            | Self::Brake
            | Self::Fence
            | Self::Close => &[],
            Self::ForceDown => &[Self::Fence],
            Self::Evacuate | Self::Confirm => &[Self::Fence, Self::ForceDown],
            Self::Rotate | Self::Agree => &[],
            // Its disks as they are, and what it knew, are worth something to whoever took it.
            Self::Boot => &[Self::Rotate],
            Self::Keys => &[Self::Boot],
            Self::Attest => &[Self::Boot, Self::Keys],
            Self::Settle => &[Self::Boot],
            Self::Raise => &[Self::Rotate, Self::Boot, Self::Attest, Self::Settle],
            Self::Leave | Self::Restore | Self::Unpause => &[Self::Attest, Self::Raise],
            Self::Admit => &[Self::Attest, Self::Raise],
            Self::Trust => &[Self::Attest, Self::Raise, Self::Admit],
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is no step's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no step of a case; was the case opened by a newer lazaret?")]
pub struct UnknownStep(pub String);

impl FromStr for Step {
    type Err = UnknownStep;

    fn from_str(text: &str) -> Result<Self, UnknownStep> {
        Self::ALL
            .into_iter()
            .find(|step| step.as_str() == text)
            .ok_or_else(|| UnknownStep(text.to_owned()))
    }
}

/// The steps that a new case of a kind is opened with. Only a quarantine fences.
pub fn steps(kind: CaseKind, planned: bool) -> Vec<Step> {
    let all: &[Step] = match kind {
        CaseKind::Quarantine => &[
            Step::Plan,
            Step::Announce,
            Step::Disable,
            Step::Isolate,
            Step::Brake,
            Step::Fence,
            Step::ForceDown,
            Step::Evacuate,
            Step::Confirm,
            Step::Close,
        ],
        CaseKind::Unschedule => &[Step::Plan, Step::Announce, Step::Disable, Step::Close],
        CaseKind::Reschedule => &[Step::Enable, Step::Close],
        CaseKind::Release => &RELEASE,
    };
    all.iter()
        .copied()
        .filter(|step| !planned || *step != Step::Plan)
        .collect()
}

/// What is to be done with a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// This step.
    Do(Step),
    /// Nothing; every step is over.
    Over,
    /// The record cannot be what lazaret wrote; nothing may be done.
    Broken(String),
}

/// What is to be done next, by what is recorded. A step that was running when the daemon died is done again: a
/// step looks before it acts.
pub fn next(recorded: &[(Step, StepState)]) -> Move {
    for (place, (step, state)) in recorded.iter().enumerate() {
        if matches!(state, StepState::Done | StepState::Skipped) {
            continue;
        }
        let before = recorded.get(..place).unwrap_or_default();
        for needed in step.needs() {
            if !before.contains(&(*needed, StepState::Done)) {
                return Move::Broken(format!("step {step} comes before step {needed} is done"));
            }
        }
        return Move::Do(*step);
    }
    Move::Over
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<D> {
    /// It is seen to be done.
    Done(D),
    /// The plan or the world made it needless.
    Skipped(String),
    /// A person has to say that it may go on.
    Held(String),
    /// Only a person can move it.
    Stuck(String),
    /// Not yet; to be tried again, at the earliest after this time.
    Again {
        /// At the earliest, as a service asked for, say; the back-off counts as well.
        after: Option<Duration>,
        /// Why not yet.
        why: String,
    },
}

/// What a step's end makes of its case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled<D> {
    /// The step is over; the next one follows.
    Finished(StepState, Option<D>, String),
    /// The case rests for this long, then the step is tried again.
    Rest(Duration, String),
    /// The case is held.
    Held(String),
    /// The case is stuck.
    Stuck(String),
}

/// The first pause after a failed attempt; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What a step's end makes of its case; `attempt` counts from 1.
pub fn settle<D>(step: Step, outcome: Outcome<D>, attempt: u32, attempts: u32) -> Settled<D> {
    match outcome {
        Outcome::Done(detail) => Settled::Finished(StepState::Done, Some(detail), String::new()),
        // A proof that other steps need cannot be skipped.
        Outcome::Skipped(why) if Step::ALL.iter().any(|other| other.needs().contains(&step)) => {
            Settled::Stuck(format!("step {step} cannot be left out, and was: {why}"))
        }
        Outcome::Skipped(why) => Settled::Finished(StepState::Skipped, None, why),
        Outcome::Held(reason) => Settled::Held(reason),
        Outcome::Stuck(reason) => Settled::Stuck(format!("could not {}: {reason}", step.meaning())),
        // Planning waits for the cloud for as long as it takes: nothing has been touched yet.
        Outcome::Again { after, why } if attempt < attempts || step == Step::Plan => {
            Settled::Rest(after.unwrap_or_default().max(pause(attempt)), why)
        }
        Outcome::Again { why, .. } => Settled::Stuck(format!(
            "could not {} in {attempt} attempts; the last one: {why}",
            step.meaning()
        )),
    }
}

/// How long to wait after a failed attempt.
fn pause(attempt: u32) -> Duration {
    let doubled = 1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests;
