//! How long one attempt at each step may take; pure. Every step has a deadline of its own, made of what is configured.
//!
//! A step's own waiting ends before, and says more: this is for a step that hangs. What is cut off is looked at again.

use std::time::Duration;

use super::saga::Step;

/// What the deadlines are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// `response.step_deadline_s`.
    pub step: Duration,
    /// `response.brake_wait_s`.
    pub brake_wait: Duration,
    /// `response.masakari_deadline_s`.
    pub masakari: Duration,
    /// `response.evacuation_deadline_s`.
    pub evacuation: Duration,
    /// `release.boot_deadline_s`.
    pub boot: Duration,
    /// Every method of the host in turn, each until its power is off or on and once more to look.
    pub power: Duration,
    /// Until the host is seen off.
    pub seen_off: Duration,
}

impl Parts {
    /// The deadline of one attempt at a step.
    pub fn of(&self, step: Step) -> Duration {
        let fence = self.power.saturating_add(self.seen_off);
        let more = match step {
            Step::Plan
            | Step::Announce
            | Step::Disable
            | Step::Enable
            | Step::Isolate
            | Step::Rotate
            | Step::Agree
            | Step::Keys
            | Step::Close => Duration::ZERO,
            // Other hosts are waited for first.
            Step::Brake => self.brake_wait,
            // Each of the last two sees the host off anew where this process has not.
            Step::Fence | Step::ForceDown | Step::Confirm => fence,
            // By Masakari, by its own monitors' notification, and what is left by nova, with waiting for server groups.
            Step::Evacuate => fence
                .saturating_add(self.masakari.saturating_mul(2))
                .saturating_add(self.evacuation.saturating_mul(super::steps::WITH_WAITING)),
            Step::Boot => self.power,
            // Asked until it answers, and then judged whole.
            Step::Attest => self.boot.saturating_add(self.step.saturating_mul(2)),
            Step::Settle => self.boot,
            // Each may have the host judged once more, which has its own deadline.
            Step::Raise | Step::Leave | Step::Restore | Step::Unpause | Step::Admit | Step::Trust => {
                self.step.saturating_mul(2)
            }
        };
        self.step.saturating_add(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: Parts = Parts {
        step: Duration::from_secs(120),
        brake_wait: Duration::from_secs(60),
        masakari: Duration::from_secs(900),
        evacuation: Duration::from_secs(1800),
        boot: Duration::from_secs(900),
        power: Duration::from_secs(480),
        seen_off: Duration::from_secs(120),
    };

    /// The documentation's table, with the shipped defaults and two methods of fencing.
    #[test]
    fn every_step_has_a_deadline_and_it_is_documented() {
        let document = include_str!("../../docs/configuration.md");
        for step in Step::ALL {
            let deadline = PARTS.of(step);
            assert!(deadline >= PARTS.step, "{step}");
            let row = document
                .lines()
                .find(|line| line.starts_with('|') && line.contains(&format!("`{step}`")));
            let row = row.unwrap_or_else(|| panic!("no row has step {step}"));
            assert!(
                row.contains(&format!("| {} s |", deadline.as_secs())),
                "{step}: {deadline:?} in {row}"
            );
        }
    }

    #[test]
    fn what_waits_within_a_step_ends_before_the_step() {
        assert!(PARTS.of(Step::Fence) > PARTS.power + PARTS.seen_off);
        assert!(
            PARTS.of(Step::Evacuate) > PARTS.of(Step::Fence) - PARTS.step + PARTS.masakari + PARTS.evacuation
        );
        assert!(PARTS.of(Step::Boot) > PARTS.power);
        assert!(PARTS.of(Step::Attest) > PARTS.boot && PARTS.of(Step::Settle) > PARTS.boot);
    }

    #[test]
    fn an_endless_part_ends_nowhere_and_panics_nowhere() {
        let endless = Parts {
            masakari: Duration::MAX,
            boot: Duration::MAX,
            power: Duration::MAX,
            ..PARTS
        };
        for step in Step::ALL {
            assert!(endless.of(step) >= PARTS.step, "{step}");
        }
    }
}
