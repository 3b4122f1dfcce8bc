//! Power as a BMC tells it, and why it could not be told or switched.

use std::fmt;
use std::time::Duration;

use crate::config::secret::{Secret, SecretError};
use crate::permit::Denied;

/// What a BMC's word becomes that is none of the standard's: it may hold our password, and goes into journal and
/// notifications.
pub const UNKNOWN_WORD: &str = "an unknown word";

/// What a BMC's words become where they cannot be searched for our password.
const LEFT_OUT: &str = "(its words are left out: they may hold our password)";

/// The power state of a host, as one method reports it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Power {
    /// On.
    On,
    /// Exactly off.
    Off,
    /// Neither: `PoweringOff`, `PoweringOn`, `Paused`, or [`UNKNOWN_WORD`]. Never taken for off.
    Other(String),
}

impl Power {
    /// Whether it says in what state the host is: a word of `PowerState` (DSP0268, Resource.PowerState). Another one, or
    /// none, says nothing about it.
    pub fn is_known(&self) -> bool {
        match self {
            Self::On | Self::Off => true,
            Self::Other(word) => ["PoweringOn", "PoweringOff", "Paused"].contains(&word.as_str()),
        }
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("On"),
            Self::Off => f.write_str("Off"),
            Self::Other(word) => f.write_str(word),
        }
    }
}

/// Why one method could not read or switch a host's power.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The method is not set up rightly; found when it is loaded.
    #[error("{method}: {what}")]
    Setup {
        /// The method.
        method: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The password cannot be read.
    #[error("{method}: {source}")]
    Secret {
        /// The method.
        method: String,
        /// Why.
        source: SecretError,
    },
    /// Whoever acts has no leave to: its lease is lost, say. Nothing was switched.
    #[error("{method}: to {doing}: {denied}")]
    NotPermitted {
        /// The method.
        method: String,
        /// What was attempted.
        doing: &'static str,
        /// Why not.
        denied: Denied,
    },
    /// No answer: the address, the network, or TLS (another certificate than the pinned one).
    #[error("{method}: to {doing}: no answer: {reason}")]
    Unreachable {
        /// The method.
        method: String,
        /// What was attempted.
        doing: &'static str,
        /// What the network or TLS said.
        reason: String,
    },
    /// The BMC refuses our credentials: a changed password may be tampering.
    #[error(
        "{method}: to {doing}: the BMC refuses our user name or password ({status}); if nobody changed it, somebody tampered with the BMC"
    )]
    Credentials {
        /// The method.
        method: String,
        /// What was attempted.
        doing: &'static str,
        /// HTTP status.
        status: u16,
    },
    /// The BMC answered something else than what was asked.
    #[error("{method}: to {doing}: the BMC answered {status} \"{message}\"")]
    Refused {
        /// The method.
        method: String,
        /// What was attempted.
        doing: &'static str,
        /// HTTP status.
        status: u16,
        /// The BMC's words.
        message: String,
    },
    /// The answer is not what the protocol promises.
    #[error("{method}: to {doing}: cannot read the answer: {reason}")]
    Unreadable {
        /// The method.
        method: String,
        /// What was attempted.
        doing: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// The BMC belongs to another machine than the inventory says: nothing is switched.
    #[error(
        "{method}: this BMC's system has UUID {found}, the inventory says {expected}; refused, because another machine would be switched off; correct system_uuid or the BMC's address"
    )]
    OtherMachine {
        /// The method.
        method: String,
        /// The inventory's UUID.
        expected: String,
        /// The BMC's UUID.
        found: String,
    },
    /// The system cannot be told among several.
    #[error("{method}: this BMC has {found} systems; name the right one by system or system_uuid")]
    WhichSystem {
        /// The method.
        method: String,
        /// How many there are.
        found: usize,
    },
    /// The BMC does not offer what is needed.
    #[error("{method}: the BMC offers no {wanted} for this system, only {offered}")]
    NotOffered {
        /// The method.
        method: String,
        /// The reset type wanted.
        wanted: &'static str,
        /// What it offers.
        offered: String,
    },
    /// The fence agent failed.
    #[error("{method}: to {doing}: the fence agent ended with {code}: {message}")]
    Agent {
        /// The method.
        method: String,
        /// What was attempted.
        doing: &'static str,
        /// Its exit code, or that a signal ended it.
        code: String,
        /// Its last words.
        message: String,
    },
    /// It took too long; a fence agent was killed.
    #[error("{method}: to {doing}: not done within {after:?}")]
    Deadline {
        /// The method.
        method: String,
        /// What was attempted.
        doing: &'static str,
        /// The limit.
        after: Duration,
    },
    /// It was told to switch off, and did not.
    #[error("{method}: told to switch off, but still {last} after {after:?}")]
    StaysOn {
        /// The method.
        method: String,
        /// What it said last.
        last: Power,
        /// The limit.
        after: Duration,
    },
}

impl Error {
    /// Whether the other side's own words are in it.
    pub(super) fn quotes(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. }
                | Self::Unreadable { .. }
                | Self::NotOffered { .. }
                | Self::OtherMachine { .. }
                | Self::Unreachable { .. }
        )
    }

    /// The same, with this secret taken out of the other side's words.
    pub(super) fn hiding(mut self, secret: &Secret) -> Self {
        let words = match &mut self {
            Self::Refused { message, .. } => message,
            Self::Unreadable { reason, .. } => reason,
            Self::NotOffered { offered, .. } => offered,
            // The names in a certificate are the other side's as well.
            Self::Unreachable { reason, .. } => reason,
            Self::OtherMachine { found, .. } => {
                // Written in another way it is the same UUID.
                if uuid::Uuid::parse_str(secret.expose()).is_ok_and(|secret| secret.to_string() == *found) {
                    *found = "(hidden)".to_owned();
                }
                return self;
            }
            _ => return self,
        };
        *words = secret.hidden_in(words);
        self
    }

    /// The same without the other side's words, for where it is not known what has to be taken out of them.
    pub(super) fn wordless(mut self) -> Self {
        match &mut self {
            Self::Refused { message: words, .. }
            | Self::Unreadable { reason: words, .. }
            | Self::NotOffered { offered: words, .. }
            | Self::OtherMachine { found: words, .. } => LEFT_OUT.clone_into(words),
            // Whether it was a certificate counts, and is said without its names.
            Self::Unreachable { reason, .. } if reason.contains("certificate") => {
                *reason = format!("its certificate is not believed {LEFT_OUT}");
            }
            _ => {}
        }
        self
    }

    /// Whether it points at somebody's tampering with the BMC or the inventory, which deserves an alarm even
    /// when another method then worked.
    pub fn suspicious(&self) -> bool {
        match self {
            Self::Credentials { .. } | Self::OtherMachine { .. } => true,
            Self::Unreachable { reason, .. } => reason.contains("certificate"),
            Self::Setup { .. }
            | Self::NotPermitted { .. }
            | Self::Secret { .. }
            | Self::Refused { .. }
            | Self::Unreadable { .. }
            | Self::WhichSystem { .. }
            | Self::NotOffered { .. }
            | Self::Agent { .. }
            | Self::Deadline { .. }
            | Self::StaysOn { .. } => false,
        }
    }
}
