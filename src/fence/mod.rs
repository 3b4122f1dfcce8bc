//! Makes sure that a host is off, and sees it.
//!
//! Switching off ([`Methods::power_off`]) and proving ([`Fenced::observe`]) are two things: a BMC's "done" proves
//! nothing, and a host's root can write to its BMC. The proof needs three signals that agree: the power is
//! exactly Off several times in a row, nova's heartbeat stands still, and the agent is silent.
//!
//! Nothing here knows attestation or the store.

mod fenced;
mod watch;

mod methods;
mod power;

pub mod agent;
pub mod redfish;
mod trust;

pub use fenced::{AgentSignal, Fenced, HeartbeatSignal, PowerSignal};
pub use methods::{AllFailed, Attempt, Method, Methods, NotOn, PoweredOff};
pub use power::{Error, Power, UNKNOWN_WORD};
pub use trust::Trust;
pub use watch::{AgentPort, NotFenced, Seen, Watch};

#[cfg(test)]
mod tests;
