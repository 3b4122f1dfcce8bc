//! Giving a host back: what is asked of people, what is fresh enough a verdict, and the plan; pure.
//!
//! A release is no undo. Nothing that keeps the host out is taken back before a verdict that was made after the boot,
//! by the policy that is in force, and a short time ago.

use std::time::Duration;

use lazaret_attest::verdict::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{CaseId, HostName, RoundId, Sha256Digest};
use crate::store::{Case, JournalEntry, LastResult, ReleaseItem};

use super::journal::{Entry, value};
use super::plan::PlannedStep;
use super::saga::Step;

/// The name of the second person's approval among the items.
pub const SECOND_PERSON: &str = "second-person";

/// Whoever the kernel does not name. Nobody can be another person than that one.
pub const NOBODY: &str = "cli:unknown";

/// The item that says that copies of the host's disks are kept, or not wanted.
pub const DISK_COPIES: &str = "disk-copies";

/// The item that is asked for where instances are left on the host.
pub const INSTANCES_LEFT: &str = "instances-left";

/// The item that is asked for where the quarantine was adopted: what only its lost journal knew is given back by nobody.
pub const LOST_JOURNAL: &str = "lost-journal";

/// The version of the plan's shape.
const VERSION: u32 = 1;

/// Everything that a release will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasePlan {
    /// The version of this shape.
    pub version: u32,
    /// The quarantine that it ends.
    pub quarantine: CaseId,
    /// The host.
    pub host: HostName,
    /// Who asked for it.
    pub asked_by: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Whether another person has to agree.
    pub second_person: bool,
    /// What people have to do first, or waive.
    pub items: Vec<Item>,
    /// The steps in their order.
    pub steps: Vec<PlannedStep>,
}

/// Something that a person has to do first, or waive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name on the command line.
    pub name: String,
    /// What it is, in words.
    pub what: String,
}

impl Item {
    /// An item.
    pub fn new(name: &str, what: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            what: what.into(),
        }
    }
}

impl ReleasePlan {
    /// Makes every choice. `credentials` is what the host knew; `left` how many instances are left on it.
    pub fn make(
        quarantine: &Case,
        asked_by: &str,
        second_person: bool,
        credentials: Vec<Item>,
        left: usize,
        now: Timestamp,
    ) -> Self {
        let mut items = credentials;
        items.push(Item::new(
            DISK_COPIES,
            "Copies of the host's disks are kept as evidence: its next boot destroys what it had of its instances",
        ));
        if super::orphans::is_adopted(quarantine) {
            items.push(Item::new(LOST_JOURNAL, lost_journal(&quarantine.host)));
        }
        if left > 0 {
            items.push(Item::new(
                INSTANCES_LEFT,
                format!("{left} instances are left on the host: their disks are saved, or may be lost"),
            ));
        }
        Self {
            version: VERSION,
            quarantine: quarantine.id.clone(),
            host: quarantine.host.clone(),
            asked_by: asked_by.to_owned(),
            made_at: now,
            second_person,
            items,
            steps: super::saga::steps(crate::ids::CaseKind::Release, true)
                .into_iter()
                .map(|step| PlannedStep {
                    step: step.as_str().to_owned(),
                    does: step.meaning().to_owned(),
                })
                .collect(),
        }
    }

    /// The plan of a release.
    pub fn of(case: &Case) -> Option<Self> {
        value(&case.plan)
    }

    /// The items that nobody ticked or waived.
    pub fn missing<'a>(&'a self, settled: &[ReleaseItem]) -> Vec<&'a Item> {
        self.items
            .iter()
            .filter(|item| !settled.iter().any(|known| known.item == item.name))
            .collect()
    }

    /// The other person who agreed: anybody but the one who asked.
    pub fn second<'a>(&self, settled: &'a [ReleaseItem]) -> Option<&'a ReleaseItem> {
        settled
            .iter()
            .find(|known| known.item == SECOND_PERSON && known.by != self.asked_by)
    }
}

/// What a person has to look at on a host whose quarantine was adopted.
pub fn lost_journal(host: &HostName) -> String {
    format!(
        "The case of {host} was lost and adopted, and what only its journal knew is NOT given back. Look at it by hand: what \
         each BMC does when mains power returns (PowerRestorePolicy: a quarantine sets AlwaysOff, and what it was before is \
         not known); Masakari's maintenance (`openstack segment host list SEGMENT`, and `openstack segment host update \
         --on_maintenance False SEGMENT {host}`); Ironic's maintenance; the aggregates that it was in before"
    )
}

/// A verdict that was made for a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attested {
    /// The round.
    pub round: RoundId,
    /// Its verdict.
    pub verdict: Verdict,
    /// When the round began.
    pub at: Timestamp,
    /// The policy that judged it.
    pub policy: Option<Sha256Digest>,
    /// What was found, in words.
    pub words: String,
}

impl Attested {
    /// As the journal has it.
    pub fn entry(&self) -> Entry {
        let words = if self.words.is_empty() {
            "nothing against it"
        } else {
            &self.words
        };
        Entry::with(
            format!("round {} judged it {}: {words}", self.round, self.verdict),
            &json!({ "attested": self }),
        )
    }

    /// The newest in a journal.
    pub fn newest(journal: &[JournalEntry]) -> Option<Self> {
        journal.iter().rev().find_map(|entry| {
            let seen = Entry::read(&entry.detail).seen?;
            serde_json::from_value(seen.get("attested")?.clone()).ok()
        })
    }
}

/// What a verdict is held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The host was seen powered on then.
    pub booted_at: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// How old it may be.
    pub max_age: Duration,
    /// The policy that is in force.
    pub policy: Sha256Digest,
    /// The host's last result, from whatever round.
    pub last: Option<LastResult>,
}

/// Whether a verdict lets a host back; the error says why it does not.
pub fn lets_back(attested: Option<&Attested>, wanted: &Wanted) -> Result<(), String> {
    let Some(attested) = attested else {
        return Err("it was not attested since it was booted".to_owned());
    };
    if attested.verdict != Verdict::Affirming {
        return Err(format!("it is {}: {}", attested.verdict, attested.words));
    }
    if attested.at < wanted.booted_at {
        return Err("its verdict is from before it was booted".to_owned());
    }
    // From a clock that was ahead it is not fresh either.
    if attested.at > wanted.now || wanted.now.since(attested.at) > wanted.max_age {
        return Err(format!(
            "its verdict of {} is older than {} s",
            attested.at,
            wanted.max_age.as_secs()
        ));
    }
    if attested.policy != Some(wanted.policy) {
        return Err("its policy was changed since it was judged".to_owned());
    }
    match &wanted.last {
        Some(last)
            if last.at > attested.at
                && last.verdict != Verdict::Affirming
                && last.round != attested.round =>
        {
            Err(format!(
                "a later round, {}, judged it {}",
                last.round, last.verdict
            ))
        }
        _ => Ok(()),
    }
}

/// Whether a step takes back something that keeps the host out.
pub fn takes_back(step: Step) -> bool {
    matches!(
        step,
        Step::Raise | Step::Leave | Step::Restore | Step::Unpause | Step::Admit | Step::Trust
    )
}

#[cfg(test)]
mod tests;
