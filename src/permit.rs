//! Leave to act on the world: asked for directly before each act, and good for that one act only.
//!
//! Proves that whoever acts held its lease a moment ago, and wrote down what it was about to do:
//! - a call that changes something is not sent without a [`Permit`], and uses it up (`openstack`, `fence`);
//! - a permit is not cloned, and one that was kept too long, such as over a stop of the process, is none;
//! - only [`Permits::ask`] gives one; the daemon's own asks the database (`respond::leave`).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::{HostName, InstanceId};

/// Something that is about to be done to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Disable the compute service, with a reason.
    Disable(HostName),
    /// Enable the compute service.
    Enable(HostName),
    /// Have nova treat the host as down.
    ForceDown(HostName),
    /// Have nova no longer treat the host as down.
    ClearForcedDown(HostName),
    /// Make a host aggregate.
    MakeAggregate(String),
    /// Add a host to a host aggregate.
    Join(HostName, String),
    /// Remove a host from a host aggregate.
    Leave(HostName, String),
    /// Put a host under Masakari's maintenance (`true`), or end it.
    Maintenance(HostName, bool),
    /// Put a host's node under Ironic's maintenance (`true`), or end it.
    IronicMaintenance(HostName, bool),
    /// Notify Masakari that a host has stopped.
    Notify(HostName),
    /// Have nova rebuild an instance elsewhere.
    Evacuate(InstanceId),
    /// Switch the power off by this method.
    PowerOff(String),
    /// Switch the power on by this method.
    PowerOn(String),
    /// Have a machine do this when mains power returns, by this method.
    RestorePolicy(String, String),
}

impl Effect {
    /// How long a request whose answer is not known may still take effect, counted from when it was about to be
    /// sent. Until then it is not sent again, and then only after looking. Zero where a second one does no harm:
    /// it says how things shall be, or the service drops a duplicate, as Masakari does.
    pub fn in_doubt_for(&self) -> Duration {
        match self {
            // Two evacuations at once destroy the instance; proxies give up on a request within a minute.
            Self::Evacuate(_) => Duration::from_secs(90),
            Self::Disable(_)
            | Self::Enable(_)
            | Self::ForceDown(_)
            | Self::ClearForcedDown(_)
            | Self::MakeAggregate(_)
            | Self::Join(..)
            | Self::Leave(..)
            | Self::Maintenance(..)
            | Self::IronicMaintenance(..)
            | Self::Notify(_)
            | Self::PowerOff(_)
            | Self::PowerOn(_)
            | Self::RestorePolicy(..) => Duration::ZERO,
        }
    }
}

/// The same words each time: they name the effect in the journal.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disable(host) => write!(f, "disable {host}"),
            Self::Enable(host) => write!(f, "enable {host}"),
            Self::ForceDown(host) => write!(f, "force down {host}"),
            Self::ClearForcedDown(host) => write!(f, "no longer force down {host}"),
            Self::MakeAggregate(aggregate) => write!(f, "make aggregate {aggregate}"),
            Self::Join(host, aggregate) => write!(f, "add {host} to aggregate {aggregate}"),
            Self::Leave(host, aggregate) => write!(f, "remove {host} from aggregate {aggregate}"),
            Self::Maintenance(host, true) => write!(f, "put {host} under Masakari's maintenance"),
            Self::Maintenance(host, false) => write!(f, "end Masakari's maintenance of {host}"),
            Self::IronicMaintenance(host, true) => write!(f, "put {host} under Ironic's maintenance"),
            Self::IronicMaintenance(host, false) => write!(f, "end Ironic's maintenance of {host}"),
            Self::Notify(host) => write!(f, "notify Masakari of {host}"),
            Self::Evacuate(instance) => write!(f, "evacuate {instance}"),
            Self::PowerOff(method) => write!(f, "power off by {method}"),
            Self::PowerOn(method) => write!(f, "power on by {method}"),
            Self::RestorePolicy(method, policy) => {
                write!(f, "set the power restore policy to {policy} by {method}")
            }
        }
    }
}

impl Effect {
    /// Whether it is harmless only while the host is off.
    pub fn wants_host_off(&self) -> bool {
        matches!(self, Self::ForceDown(_) | Self::Notify(_) | Self::Evacuate(_))
    }
}

/// Leave for one act. Neither cloned nor kept: who acts uses it up.
#[derive(Debug)]
#[must_use]
pub struct Permit {
    until: Instant,
}

impl Permit {
    /// Good until then, which is no later than the end of the lease that it rests on.
    pub fn until(until: Instant) -> Self {
        Self { until }
    }

    /// Uses it up, directly before the act. One that was kept too long is none: the process may have been stopped
    /// in between, and somebody else may have taken over.
    pub fn spend(self) -> Result<(), Denied> {
        if Instant::now() < self.until {
            return Ok(());
        }
        Err(Denied {
            why: "leave to act was given, and has run out meanwhile".to_owned(),
            passes: true,
        })
    }
}

/// There is no leave to act; nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no leave to act, nothing was sent: {why}")]
pub struct Denied {
    /// Why not.
    pub why: String,
    /// Whether it may be given to who looks again first.
    pub passes: bool,
}

/// An answer to come.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Gives leave to act.
pub trait Permits: Sync {
    /// Proves that we may act now, and writes down what is about to be done.
    fn ask<'a>(&'a self, effect: &'a Effect) -> Asked<'a, Result<Permit, Denied>>;

    /// Writes down what came of it. Not called when that is not known: the effect is in doubt then.
    fn answered<'a>(&'a self, effect: &'a Effect, answer: &'a str) -> Asked<'a, ()>;
}

/// One act: what it does, and who gives leave for it.
pub struct Act<'a> {
    /// What it does.
    pub effect: Effect,
    /// Who gives leave.
    pub permits: &'a dyn Permits,
}

impl Act<'_> {
    /// Leave to do it once, now.
    pub async fn permit(&self) -> Result<Permit, Denied> {
        self.permits.ask(&self.effect).await
    }

    /// Asks for leave and uses it up: awaited directly before the act.
    pub async fn begin(&self) -> Result<(), Denied> {
        self.permit().await.and_then(Permit::spend)
    }

    /// Writes down what came of it.
    pub async fn answered(&self, answer: &str) {
        self.permits.answered(&self.effect, answer).await;
    }
}

/// Always gives leave; for tests of what acts.
#[cfg(test)]
pub(crate) struct Freely;

#[cfg(test)]
impl Permits for Freely {
    fn ask<'a>(&'a self, _: &'a Effect) -> Asked<'a, Result<Permit, Denied>> {
        Box::pin(async { Ok(Permit::until(Instant::now() + Duration::from_secs(60))) })
    }

    fn answered<'a>(&'a self, _: &'a Effect, _: &'a str) -> Asked<'a, ()> {
        Box::pin(async {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_permit_that_was_kept_too_long_is_none() {
        let permit = || Permit::until(Instant::now() + Duration::from_secs(5));
        permit().spend().unwrap();
        let kept = permit();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(kept.spend().unwrap_err().to_string().contains("run out"));
    }
}
