//! The proof that a host is off. It proves, for the time it was observed:
//!
//! - a method reported exactly `Off`, the agreed number of times in a row (`PoweringOff` is not off);
//! - the heartbeat of the host's nova-compute did not move for the agreed time;
//! - the host's agent did not answer, as many times in a row.
//!
//! There is one constructor. The proof is not stored: after a restart the step looks again.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::{Clock, Timestamp};
use crate::ids::HostName;

use super::power::{Error, Power};
use super::watch::{self, NotFenced, Watch};

/// A host that was seen off. Only [`Fenced::observe`] makes one.
#[derive(Debug)]
pub struct Fenced {
    host: HostName,
    method: String,
    off_seen: Vec<Timestamp>,
    last_heartbeat: Timestamp,
    heartbeat_silent_for: Duration,
    agent_silent: u32,
    at: Timestamp,
    asked: Instant,
}

impl Fenced {
    /// Watches the three signals until all agree that the host is off, or until `watch.deadline`.
    ///
    /// The error names each signal that failed, and what it said last.
    pub async fn observe(
        host: &HostName,
        power: &impl PowerSignal,
        heartbeat: &impl HeartbeatSignal,
        agent: &impl AgentSignal,
        watch: &Watch,
        clock: &dyn Clock,
    ) -> Result<Self, NotFenced> {
        let seen = watch::until_off(host, power, heartbeat, agent, watch, clock).await?;
        Ok(Self {
            host: host.clone(),
            method: power.method(),
            off_seen: seen.off,
            last_heartbeat: seen.last_heartbeat,
            heartbeat_silent_for: seen.heartbeat_silent_for,
            agent_silent: seen.agent_silent,
            at: clock.now(),
            asked: seen.asked,
        })
    }

    /// The host that is off.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// The method that reported the power.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// When the power was read as off: the readings in a row that count.
    pub fn off_seen(&self) -> &[Timestamp] {
        &self.off_seen
    }

    /// The heartbeat that stood still, by nova's clock.
    pub fn last_heartbeat(&self) -> Timestamp {
        self.last_heartbeat
    }

    /// How long it was watched standing still.
    pub fn heartbeat_silent_for(&self) -> Duration {
        self.heartbeat_silent_for
    }

    /// When the proof was complete.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// When the last reading was asked for: the host was off then, or later.
    pub(crate) fn asked(&self) -> Instant {
        self.asked
    }

    /// A proof for tests of this crate that are about something else.
    #[cfg(test)]
    pub(crate) fn for_tests(host: HostName) -> Self {
        let epoch = Timestamp::from_millis(0);
        Self {
            host,
            method: "test".to_owned(),
            off_seen: vec![epoch],
            last_heartbeat: epoch,
            heartbeat_silent_for: Duration::ZERO,
            agent_silent: 1,
            at: epoch,
            asked: Instant::now(),
        }
    }
}

/// For the journal, in one sentence.
impl fmt::Display for Fenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} seen off by {}: power Off at", self.host, self.method)?;
        for (index, at) in self.off_seen.iter().enumerate() {
            write!(f, "{} {at}", if index == 0 { "" } else { "," })?;
        }
        write!(
            f,
            "; heartbeat {} unchanged for {:.1} s; agent silent {} times",
            self.last_heartbeat,
            self.heartbeat_silent_for.as_secs_f64(),
            self.agent_silent
        )
    }
}

/// Reads the power state of one host.
pub trait PowerSignal: Sync {
    /// The method's name, for people.
    fn method(&self) -> String;

    /// The power state now, or why it cannot be told.
    fn power(&self) -> impl Future<Output = Result<Power, Error>> + Send;
}

/// Reads the heartbeat of one host's nova-compute.
pub trait HeartbeatSignal: Sync {
    /// Why it cannot be read.
    type Error: fmt::Display + Send;

    /// The last heartbeat by nova's clock; `None` when nova has none for the host, which proves nothing.
    fn last_heartbeat(
        &self,
        within: Duration,
    ) -> impl Future<Output = Result<Option<Timestamp>, Self::Error>> + Send;
}

/// Asks whether one host's agent answers.
pub trait AgentSignal: Sync {
    /// `Ok(true)`: it answered, anything at all. `Ok(false)`: silent. `Err`: cannot be told, such as when our
    /// own network fails.
    fn answers(&self) -> impl Future<Output = Result<bool, String>> + Send;
}
