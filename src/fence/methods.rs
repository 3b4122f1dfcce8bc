//! The ways to switch a host off, in the operator's order; the next is tried when one fails.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::HostName;
use crate::permit::Permits;

use super::agent::FenceAgent;
use super::fenced::PowerSignal;
use super::power::{Error, Power};
use super::redfish::Redfish;
use super::watch::Watch;

/// One way to read and switch a host's power.
#[derive(Debug)]
pub enum Method {
    /// Redfish, natively.
    Redfish(Redfish),
    /// Any fence agent of ClusterLabs.
    FenceAgent(FenceAgent),
}

impl Method {
    /// Its name, for people and the journal: no secret is in it.
    pub fn name(&self) -> &str {
        match self {
            Self::Redfish(redfish) => redfish.name(),
            Self::FenceAgent(agent) => agent.name(),
        }
    }

    /// Fetches its password ahead where that is not on this machine.
    pub async fn fetch_ahead(&self) {
        match self {
            Self::Redfish(redfish) => redfish.fetch_ahead().await,
            Self::FenceAgent(agent) => agent.fetch_ahead().await,
        }
    }

    /// The power state now.
    pub async fn power_state(&self) -> Result<Power, Error> {
        match self {
            Self::Redfish(redfish) => Box::pin(redfish.power_state()).await,
            Self::FenceAgent(agent) => Box::pin(agent.power_state()).await,
        }
    }

    /// Asks for the power to be forced off. Success means that it was asked, not that it is off.
    pub async fn ask_off(&self, permits: &dyn Permits) -> Result<(), Error> {
        match self {
            Self::Redfish(redfish) => Box::pin(redfish.ask_off(permits)).await,
            Self::FenceAgent(agent) => Box::pin(agent.ask_off(permits)).await,
        }
    }

    /// What the machine does when mains power returns; `None` where this method cannot tell and set it. No fence agent
    /// of ClusterLabs has an action for it.
    pub async fn restore_policy(&self) -> Result<Option<String>, Error> {
        match self {
            Self::Redfish(redfish) => Box::pin(redfish.restore_policy()).await,
            Self::FenceAgent(_) => Ok(None),
        }
    }

    /// Asks for another policy, and returns what is shown afterwards.
    pub async fn set_restore_policy(
        &self,
        policy: &str,
        permits: &dyn Permits,
    ) -> Result<Option<String>, Error> {
        match self {
            Self::Redfish(redfish) => Box::pin(redfish.set_restore_policy(policy, permits)).await,
            Self::FenceAgent(_) => Ok(None),
        }
    }

    /// Makes sure that the power is on: looks, asks only if needed, looks again. `true` when it had to ask.
    async fn ensure_on(&self, permits: &dyn Permits, watch: &Watch) -> Result<bool, Error> {
        let end = Instant::now() + watch.deadline;
        let late = || Error::Deadline {
            method: self.name().to_owned(),
            doing: "switch the power on",
            after: watch.deadline,
        };
        let before = tokio::time::timeout_at(end, self.power_state())
            .await
            .map_err(|_| late())??;
        if before == Power::On {
            return Ok(false);
        }
        tokio::time::timeout_at(end, self.ask_on(permits))
            .await
            .map_err(|_| late())??;
        loop {
            let now = tokio::time::timeout_at(end, self.power_state()).await;
            if matches!(now, Ok(Ok(Power::On))) {
                return Ok(true);
            }
            if Instant::now() + watch.poll_interval >= end {
                return Err(late());
            }
            tokio::time::sleep(watch.poll_interval).await;
        }
    }

    /// Powers a host on; only a release and tests do this.
    pub async fn ask_on(&self, permits: &dyn Permits) -> Result<(), Error> {
        match self {
            Self::Redfish(redfish) => Box::pin(redfish.ask_on(permits)).await,
            Self::FenceAgent(agent) => Box::pin(agent.ask_on(permits)).await,
        }
    }

    /// Makes sure that the power is off: looks, asks only if needed, looks until `off_polls` readings in a
    /// row are exactly Off. `true` when it had to ask.
    async fn ensure_off(&self, permits: &dyn Permits, watch: &Watch) -> Result<bool, Error> {
        let begin = Instant::now();
        let end = begin + watch.deadline;
        let late = |_| Error::Deadline {
            method: self.name().to_owned(),
            doing: "switch the power off",
            after: watch.deadline,
        };
        // When it cannot be read it is still asked: reading and switching may fail differently.
        let before = tokio::time::timeout_at(end, self.power_state())
            .await
            .map_err(late)?;
        let asked = !matches!(before, Ok(Power::Off));
        if asked {
            tokio::time::timeout_at(end, self.ask_off(permits))
                .await
                .map_err(late)??;
        }
        let mut in_a_row = 0;
        let mut last = before.unwrap_or_else(|error| Power::Other(error.to_string()));
        loop {
            match tokio::time::timeout_at(end, self.power_state()).await {
                Ok(Ok(Power::Off)) => {
                    in_a_row += 1;
                    last = Power::Off;
                }
                Ok(Ok(other)) => {
                    in_a_row = 0;
                    last = other;
                }
                Ok(Err(error)) => {
                    in_a_row = 0;
                    last = Power::Other(error.to_string());
                }
                Err(_) => {}
            }
            if in_a_row >= watch.off_polls.max(1) {
                return Ok(asked);
            }
            if Instant::now() + watch.poll_interval >= end {
                return Err(Error::StaysOn {
                    method: self.name().to_owned(),
                    last,
                    after: begin.elapsed(),
                });
            }
            tokio::time::sleep(watch.poll_interval).await;
        }
    }
}

impl PowerSignal for Method {
    fn method(&self) -> String {
        self.name().to_owned()
    }

    async fn power(&self) -> Result<Power, Error> {
        self.power_state().await
    }
}

/// One method that was tried, for the journal.
#[derive(Debug)]
pub struct Attempt {
    /// The method's name.
    pub method: String,
    /// How long it took.
    pub took: Duration,
    /// `Ok(true)`: switched off; `Ok(false)`: was off already; else why it failed.
    pub outcome: Result<bool, Error>,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        match &self.outcome {
            Ok(true) => write!(f, "{}: switched off in {seconds:.1} s", self.method),
            Ok(false) => write!(f, "{}: off already ({seconds:.1} s)", self.method),
            Err(error) => write!(f, "{error} ({seconds:.1} s)"),
        }
    }
}

/// A method reported the host off. Not a proof yet: [`super::Fenced::observe`] is.
#[derive(Debug)]
pub struct PoweredOff<'a> {
    /// The method that did it, to be observed with.
    pub by: &'a Method,
    /// Every method tried, the last one being `by`.
    pub attempts: Vec<Attempt>,
}

/// No method could switch the host off.
#[derive(Debug, thiserror::Error)]
#[error("{host} could not be switched off by any of its {} methods: {}; switch it off by hand, then let the case go on", attempts.len(), list(attempts))]
pub struct AllFailed {
    /// The host.
    pub host: HostName,
    /// Every method tried, in order.
    pub attempts: Vec<Attempt>,
}

fn list(attempts: &[Attempt]) -> String {
    let words: Vec<String> = attempts.iter().map(ToString::to_string).collect();
    words.join("; ")
}

/// A host's methods, in order.
#[derive(Debug)]
pub struct Methods {
    host: HostName,
    methods: Vec<Method>,
}

impl Methods {
    /// The methods of a host, in the order in which they are tried.
    pub fn new(host: HostName, methods: Vec<Method>) -> Self {
        Self { host, methods }
    }

    /// The host.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// Each method, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.methods.iter()
    }

    /// Makes sure that the host is off: each method gets `watch.deadline`, the next is tried when one fails.
    /// Harmless to repeat: a host that is off is not switched again.
    ///
    /// A method in `doubted` said Off once while the host was seen alive. Its word ends the search no sooner than that of
    /// all others: it comes last.
    pub async fn power_off(
        &self,
        permits: &dyn Permits,
        watch: &Watch,
        doubted: &BTreeSet<String>,
    ) -> Result<PoweredOff<'_>, AllFailed> {
        let mut attempts = Vec::new();
        let (last, first): (Vec<&Method>, Vec<&Method>) = self
            .methods
            .iter()
            .partition(|method| doubted.contains(method.name()));
        for method in first.into_iter().chain(last) {
            let begin = Instant::now();
            let outcome = method.ensure_off(permits, watch).await;
            let done = outcome.is_ok();
            let denied = matches!(outcome, Err(Error::NotPermitted { .. }));
            if let Err(error) = &outcome {
                tracing::warn!(host = %self.host, method = method.name(), %error, "fencing method failed");
            }
            attempts.push(Attempt {
                method: method.name().to_owned(),
                took: begin.elapsed(),
                outcome,
            });
            if done {
                return Ok(PoweredOff { by: method, attempts });
            }
            if denied {
                break;
            }
        }
        Err(AllFailed {
            host: self.host.clone(),
            attempts,
        })
    }

    /// Makes sure that the host is on, by the first method that can; returns what was done, in words. A host that is on
    /// is not switched. Only a release does this.
    pub async fn power_on(
        &self,
        permits: &dyn Permits,
        watch: &Watch,
        doubted: &BTreeSet<String>,
    ) -> Result<String, NotOn> {
        let (last, first): (Vec<&Method>, Vec<&Method>) = self
            .methods
            .iter()
            .partition(|method| doubted.contains(method.name()));
        let mut failed = Vec::new();
        for method in first.into_iter().chain(last) {
            match method.ensure_on(permits, watch).await {
                Ok(true) => return Ok(format!("switched on by {}", method.name())),
                Ok(false) => return Ok(format!("it was on already, says {}", method.name())),
                Err(error) => {
                    let denied = matches!(error, Error::NotPermitted { .. });
                    failed.push(error.to_string());
                    if denied {
                        break;
                    }
                }
            }
        }
        Err(NotOn {
            host: self.host.clone(),
            why: failed.join("; "),
        })
    }
}

/// No method could switch the host on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} could not be switched on: {why}; switch it on by hand, then let the release go on")]
pub struct NotOn {
    /// The host.
    pub host: HostName,
    /// What each method said.
    pub why: String,
}
