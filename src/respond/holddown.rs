//! What a quarantined host has to be, what is wrong with it, and what is done about it; pure.
//!
//! Whatever is put back is put back by the steps' own functions, in the order of a quarantine: disabled first, then in
//! the aggregate, then powered off and seen off, and only then forced down. Each drift is told once, and again when it
//! comes again. A fight with another tool is slowed down and told; it is never given up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::clock::Timestamp;
use crate::ids::{HostName, InstanceId};
use crate::store::{JournalEntry, StepState};

use super::journal::Entry;
use super::plan::Plan;
use super::saga::Step;

/// The name that the hold-down has in a case's journal.
pub const ROOM: &str = "hold-down";

/// Putting back is counted over this long.
pub const WINDOW: Duration = Duration::from_secs(3600);

/// Once a drift was put back too often, it is put back this seldom.
pub const SLOWED: Duration = Duration::from_secs(600);

/// What a quarantined host has to be, by the steps that were done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expect {
    /// Its compute service is disabled, with the case's reason.
    pub disabled: bool,
    /// It is in the quarantine aggregate.
    pub isolated: bool,
    /// Its power is off, and nobody revived it.
    pub off: bool,
    /// nova takes it for down.
    pub forced_down: bool,
    /// No instance is on it but those that were left there for a person.
    pub empty: bool,
    /// Masakari has it under maintenance, where this quarantine began that.
    pub maintained: bool,
}

impl Expect {
    /// By the recorded steps of the quarantine, and of a release that is under way: what was never done is not
    /// expected, nor what the release has begun to take back.
    pub fn of(quarantine: &[(Step, StepState)], release: &[(Step, StepState)]) -> Self {
        let done = |step| quarantine.contains(&(step, StepState::Done));
        let begun = |step| {
            release
                .iter()
                .any(|known| known.0 == step && known.1 != StepState::Pending)
        };
        Self {
            disabled: done(Step::Disable) && !begun(Step::Admit),
            isolated: done(Step::Isolate) && !begun(Step::Leave),
            off: done(Step::Fence) && !begun(Step::Boot),
            forced_down: done(Step::ForceDown) && !begun(Step::Raise),
            empty: done(Step::Confirm) && !begun(Step::Admit),
            maintained: done(Step::Confirm) && !begun(Step::Unpause),
        }
    }
}

/// The power as it is told now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PowerNow {
    /// Exactly off.
    Off,
    /// On, or on its way; with the method and its word.
    Not(String),
    /// No method can tell; with what they say.
    NotKnown(String),
}

/// What is seen of the host now. What could not be read is not in here: the look fails as a whole then, but for what a
/// quarantine can do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether its compute service is enabled.
    pub enabled: bool,
    /// With what reason it is disabled.
    pub reason: Option<String>,
    /// Whether nova takes it for down.
    pub forced_down: bool,
    /// Whether it is in the quarantine aggregate.
    pub in_aggregate: bool,
    /// Hosts that are in the quarantine aggregate without a case.
    pub strays: Vec<HostName>,
    /// Its power.
    pub power: PowerNow,
    /// Which of its BMCs no longer keep it off when mains power returns, in words. What cannot be read is not in here.
    pub let_go: Option<String>,
    /// Whether its agent answers.
    pub agent_answers: bool,
    /// Whether nova's row of its service has moved since the last look, and not by us.
    pub stirs: bool,
    /// Instances on it that were not left there.
    pub back: Vec<(InstanceId, String)>,
    /// Instances elsewhere whose resize can be reverted, which would bring them back.
    pub may_return: Vec<InstanceId>,
    /// Masakari no longer has it under the maintenance that this quarantine began. `false` where that cannot be read.
    pub unmaintained: bool,
}

/// What puts something back, in the order in which it is done: that of a quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Repair {
    /// Disable the compute service, with the case's reason.
    Disable,
    /// Have it in the quarantine aggregate.
    Isolate,
    /// Have it under Masakari's maintenance: its monitors would take the power-off for a failure.
    Maintain,
    /// Power it off, and see it off.
    Fence,
    /// Have it stay off when mains power returns.
    KeepOff,
    /// Have nova take it for down.
    ForceDown,
    /// Evacuate what came back.
    Evacuate,
    /// Take other hosts out of the quarantine aggregate.
    TakeOut,
}

/// Something that is not as it was left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// The compute service is enabled.
    Enabled,
    /// It is disabled with another reason than the case's.
    OtherReason(String),
    /// It left the quarantine aggregate.
    LeftAggregate,
    /// Its power is not off.
    PoweredOn(String),
    /// Its agent answers, though its power is said to be off.
    Alive,
    /// nova's row has moved: perhaps a heartbeat, perhaps a write of another tool. Looked into before it is told.
    Stirs,
    /// A BMC would switch it on when mains power returns.
    NotKeptOff(String),
    /// nova no longer takes it for down.
    NotForcedDown,
    /// Masakari no longer has it under maintenance.
    NotMaintained,
    /// An instance is on it again.
    InstanceBack(InstanceId, String),
    /// Another host is in the quarantine aggregate.
    Stray(HostName),
    /// Nothing tells its power.
    PowerNotKnown(String),
    /// An instance could come back by a revert of its resize.
    MayReturn(InstanceId),
}

impl Drift {
    /// Its name in the journal: the same each time that it comes.
    pub fn key(&self) -> String {
        match self {
            Self::Enabled => "enabled".to_owned(),
            Self::OtherReason(_) => "other-reason".to_owned(),
            Self::LeftAggregate => "left-aggregate".to_owned(),
            Self::PoweredOn(_) => "powered-on".to_owned(),
            Self::Alive => "alive".to_owned(),
            Self::Stirs => "stirs".to_owned(),
            Self::NotKeptOff(_) => "not-kept-off".to_owned(),
            Self::NotForcedDown => "not-forced-down".to_owned(),
            Self::NotMaintained => "not-maintained".to_owned(),
            Self::InstanceBack(id, _) => format!("instance-back {id}"),
            Self::Stray(host) => format!("stray {host}"),
            Self::PowerNotKnown(_) => "power-not-known".to_owned(),
            Self::MayReturn(id) => format!("may-return {id}"),
        }
    }

    /// What puts it back; nothing where only a person can.
    pub fn repairs(&self) -> &'static [Repair] {
        match self {
            Self::Enabled | Self::OtherReason(_) => &[Repair::Disable],
            Self::LeftAggregate => &[Repair::Isolate],
            Self::PoweredOn(_) | Self::Alive | Self::Stirs => &[Repair::Fence],
            Self::NotKeptOff(_) => &[Repair::KeepOff],
            // Whoever cleared it may run on the host itself.
            Self::NotForcedDown => &[Repair::Fence, Repair::ForceDown],
            Self::InstanceBack(..) => &[Repair::Fence, Repair::Evacuate],
            Self::Stray(_) => &[Repair::TakeOut],
            Self::NotMaintained => &[Repair::Maintain],
            Self::PowerNotKnown(_) | Self::MayReturn(_) => &[],
        }
    }

    /// Whether it is one for certain, or has to be looked into first.
    pub fn is_certain(&self) -> bool {
        !matches!(self, Self::Stirs)
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enabled => f.write_str("its compute service was found ENABLED"),
            Self::OtherReason(found) => {
                write!(f, "its compute service was found with the reason \"{found}\"")
            }
            Self::LeftAggregate => f.write_str("it was found OUT OF the quarantine aggregate"),
            Self::PoweredOn(word) => write!(f, "its power was found NOT OFF: {word}"),
            Self::Alive => f.write_str("its agent ANSWERS, though its power is said to be off"),
            Self::Stirs => f.write_str("nova has heard of its compute service again"),
            Self::NotKeptOff(word) => {
                write!(
                    f,
                    "it was found to be switched on when mains power returns: {word}"
                )
            }
            Self::NotForcedDown => f.write_str("its compute service was found NOT FORCED DOWN"),
            Self::NotMaintained => f.write_str("it was found under NO MAINTENANCE in Masakari"),
            Self::InstanceBack(id, name) => write!(f, "instance {id} ({name}) was found ON IT"),
            Self::Stray(host) => write!(f, "{host} was found in the quarantine aggregate without a case"),
            Self::PowerNotKnown(why) => write!(f, "its power cannot be read: {why}"),
            Self::MayReturn(id) => write!(
                f,
                "instance {id} was resized away from it and waits for its owner; reverted, it comes back"
            ),
        }
    }
}

/// Everything that is not as it has to be, in the order of a quarantine.
pub fn drifts(expect: &Expect, seen: &Seen, plan: &Plan) -> Vec<Drift> {
    let mut found = Vec::new();
    if expect.disabled {
        if seen.enabled {
            found.push(Drift::Enabled);
        } else if seen.reason.as_deref() != Some(plan.disabled_reason.as_str()) {
            found.push(Drift::OtherReason(seen.reason.clone().unwrap_or_default()));
        }
    }
    if expect.isolated {
        if !seen.in_aggregate {
            found.push(Drift::LeftAggregate);
        }
        found.extend(seen.strays.iter().cloned().map(Drift::Stray));
    }
    if expect.off {
        match &seen.power {
            PowerNow::Off if seen.agent_answers => found.push(Drift::Alive),
            PowerNow::Off if seen.stirs => found.push(Drift::Stirs),
            PowerNow::Off => {}
            PowerNow::Not(word) => found.push(Drift::PoweredOn(word.clone())),
            PowerNow::NotKnown(_) if seen.agent_answers => found.push(Drift::Alive),
            PowerNow::NotKnown(why) => found.push(Drift::PowerNotKnown(why.clone())),
        }
        found.extend(seen.let_go.clone().map(Drift::NotKeptOff));
    }
    if expect.forced_down && !seen.forced_down {
        found.push(Drift::NotForcedDown);
    }
    if expect.empty {
        let back = seen.back.iter().cloned();
        found.extend(back.map(|(id, name)| Drift::InstanceBack(id, name)));
        found.extend(seen.may_return.iter().copied().map(Drift::MayReturn));
    }
    if expect.maintained && seen.unmaintained {
        found.push(Drift::NotMaintained);
    }
    found
}

/// What the journal says of a drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// It was found, and people were told.
    Found,
    /// It was put back, and seen to be.
    PutBack,
    /// It could not be put back.
    Failed,
    /// It is left as it is, and people were told why.
    Left,
    /// It went by itself.
    Gone,
}

impl Word {
    /// As the journal has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::PutBack => "put-back",
            Self::Failed => "failed",
            Self::Left => "left",
            Self::Gone => "gone",
        }
    }

    /// An entry of the journal. `news` is what was found and who did it, as far as that is known.
    pub fn entry(self, drift: &str, words: impl Into<String>, news: Option<(&Drift, &str)>) -> Entry {
        let (what, who) = news.map(|(what, who)| (what.to_string(), who)).unzip();
        Entry::with(
            words,
            &json!({ "drift": drift, "is": self, "what": what, "who": who }),
        )
    }
}

/// What the journal says of each drift.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    last: BTreeMap<String, Word>,
    /// When it was tried to put it back.
    tries: BTreeMap<String, Vec<Timestamp>>,
}

impl Past {
    /// Reads it.
    pub fn read(journal: &[JournalEntry]) -> Self {
        let mut past = Self::default();
        for entry in journal.iter().filter(|entry| entry.step == ROOM) {
            let Some(seen) = Entry::read(&entry.detail).seen else {
                continue;
            };
            let word = seen.get("is").cloned().map(serde_json::from_value);
            if let (Some(key), Some(Ok(word))) = (seen.get("drift").and_then(|key| key.as_str()), word) {
                past.note(key, word, entry.at);
            }
        }
        past
    }

    /// Adds what was written last.
    pub fn note(&mut self, key: &str, word: Word, at: Timestamp) {
        if matches!(word, Word::PutBack | Word::Failed) {
            self.tries.entry(key.to_owned()).or_default().push(at);
        }
        self.last.insert(key.to_owned(), word);
    }

    /// What was last said of a drift.
    pub fn last(&self, key: &str) -> Option<Word> {
        self.last.get(key).copied()
    }

    /// Drifts that people know of and that are not seen any more.
    pub fn gone<'a>(&'a self, now: &'a BTreeSet<String>) -> impl Iterator<Item = &'a str> {
        let stands = |word: &Word| matches!(word, Word::Found | Word::Failed | Word::Left);
        self.last
            .iter()
            .filter(move |(key, word)| stands(word) && !now.contains(*key))
            .map(|(key, _)| key.as_str())
    }
}

/// What is done about one drift now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// It is put back.
    PutBack {
        /// People are told first: it is new.
        tell: bool,
    },
    /// It is left as it is.
    Leave {
        /// People are told why, once.
        tell: Option<String>,
    },
}

/// What is done about one drift now. `stop` is why nothing may be touched.
pub fn turn(drift: &Drift, past: &Past, repairs: u32, now: Timestamp, stop: Option<&str>) -> Turn {
    let key = drift.key();
    let last = past.last(&key);
    let leave = |why: String| Turn::Leave {
        tell: (last != Some(Word::Left)).then_some(why),
    };
    if let Some(why) = stop {
        return leave(format!("nothing is done about it: {why}"));
    }
    if drift.repairs().is_empty() {
        return leave("nothing can be done about it from here: look at it".to_owned());
    }
    let since = now.minus(WINDOW);
    let tries: Vec<Timestamp> = past
        .tries
        .get(&key)
        .into_iter()
        .flatten()
        .copied()
        .filter(|at| *at > since)
        .collect();
    let many = tries.len() >= usize::try_from(repairs).unwrap_or(usize::MAX);
    // What a clock wrote that was ahead counts, and does not say when the last one was: a host that runs would be left
    // alone until that clock's time has come.
    let lately = tries.iter().any(|at| *at <= now && now.since(*at) < SLOWED);
    if many && lately {
        return leave(format!(
            "it was put back or tried {} times within the hour, and somebody undoes it: from now on it is put back \
             every {} minutes only; find the other tool and have it leave this host alone",
            tries.len(),
            SLOWED.as_secs() / 60
        ));
    }
    Turn::PutBack {
        tell: !matches!(last, Some(Word::Found | Word::Failed | Word::Left)),
    }
}

#[cfg(test)]
mod tests;
