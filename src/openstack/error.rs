//! What can go wrong between us and the cloud: one enum, each variant names the call and says what to do.

use std::fmt;
use std::time::Duration;

use crate::config::secret::SecretError;
use crate::ids::HostName;
use crate::permit::Denied;

use super::call::Service;
use super::version::{Version, VersionRange};

/// What a service answered instead of what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What was attempted, in words, with the host or instance it was for.
    pub call: String,
    /// The service that was called.
    pub service: Service,
    /// HTTP status.
    pub status: u16,
    /// The service's own words, bounded.
    pub message: String,
    /// `X-OpenStack-Request-Id`, to find the call in the service's log.
    pub request_id: Option<String>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            call,
            service,
            status,
            message,
            request_id,
        } = self;
        write!(f, "to {call}: {service} answered {status}")?;
        if !message.is_empty() {
            write!(f, " \"{message}\"")?;
        }
        match request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

/// Why a call to the cloud did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection cannot be set up as configured.
    #[error("cannot set up the connection to the cloud: {what}")]
    Setup {
        /// What is wrong, and where it is configured.
        what: String,
    },
    /// The password or the application credential's secret cannot be read.
    #[error("cannot log in to keystone: {0}")]
    Secret(#[from] SecretError),
    /// Keystone refused the login.
    #[error(
        "{0}; keystone refuses the login: see that user, domains, project and password (or application credential) are right and not expired or disabled"
    )]
    Login(Box<Answer>),
    /// The token was refused again right after a new login.
    #[error(
        "{0}; the token is refused although it is new: see that the service asks the same keystone, and that an application credential with access rules lists this call"
    )]
    Unauthorized(Box<Answer>),
    /// The credential lacks a right.
    #[error(
        "{answer}; our credential lacks the right: give its user role admin on its project (not system scope), or allow {right} in that service's policy.yaml"
    )]
    Forbidden {
        /// The refusal.
        answer: Box<Answer>,
        /// The policy rules that the call needs.
        right: &'static str,
    },
    /// There is no such thing.
    #[error("{0}")]
    NotFound(Box<Answer>),
    /// It clashes with the state it is in; the state has to be read again.
    #[error("{0}")]
    Conflict(Box<Answer>),
    /// The service refused the request as it is.
    #[error("{0}")]
    Refused(Box<Answer>),
    /// The service is overloaded or broken, and our patience is spent.
    #[error("{answer}; tried {attempts} times")]
    Unavailable {
        /// The last answer.
        answer: Box<Answer>,
        /// How often it was asked.
        attempts: u32,
        /// How long it wants to be left alone (`Retry-After`), where it said so.
        retry_after: Option<Duration>,
        /// Whether the request may have been carried out all the same.
        maybe_done: bool,
    },
    /// No answer: the address, the network or TLS.
    #[error(
        "to {call}: no answer from {service} at {url}: {reason}; see that it runs, that the address is right and that its certificate is signed by an authority we trust"
    )]
    Unreachable {
        /// What was attempted.
        call: String,
        /// The service.
        service: Service,
        /// Where it was looked for.
        url: String,
        /// What the network said.
        reason: String,
        /// Whether the request may have been carried out all the same.
        maybe_done: bool,
    },
    /// The call took longer than it may.
    #[error("to {call}: {service} did not answer within {after:?}")]
    Deadline {
        /// What was attempted.
        call: String,
        /// The service.
        service: Service,
        /// The limit.
        after: Duration,
        /// Whether the request may have been carried out all the same.
        maybe_done: bool,
    },
    /// The answer is larger than any honest one.
    #[error("to {call}: {service} sent more than {limit} bytes; nothing of it is used")]
    TooLarge {
        /// What was attempted.
        call: String,
        /// The service.
        service: Service,
        /// The limit.
        limit: usize,
    },
    /// More pages than any honest listing has.
    #[error("to {call}: {service} sent more than {limit} pages; nothing of it is used")]
    TooManyPages {
        /// What was attempted.
        call: String,
        /// The service.
        service: Service,
        /// The limit.
        limit: usize,
    },
    /// The answer is not what the API promises.
    #[error("to {call}: cannot read {service}'s answer: {reason}; is a proxy answering in its place?")]
    Unreadable {
        /// What was attempted.
        call: String,
        /// The service.
        service: Service,
        /// What does not fit.
        reason: String,
    },
    /// The catalogue has no such endpoint.
    #[error(
        "keystone's catalogue has no {interface} endpoint of {service} in {region}; it offers {offered}; set openstack.endpoints or region and interface"
    )]
    NoEndpoint {
        /// The service.
        service: Service,
        /// The interface wanted.
        interface: &'static str,
        /// The region wanted.
        region: String,
        /// What there is of that service.
        offered: String,
    },
    /// The service is too old for a call.
    #[error(
        "to {call}: {service} must offer microversion {needed}, it offers {offered}; nova from Train (2.79 and later) and Masakari 1.0 are supported"
    )]
    VersionTooLow {
        /// What was attempted.
        call: String,
        /// The service.
        service: Service,
        /// What the call needs.
        needed: Version,
        /// What there is.
        offered: VersionRange,
    },
    /// The cloud says that it does not know: a cell is down.
    #[error(
        "to {call}: nova does not know: {what}; the cell's database or message bus is down, so \"none\" cannot be told from \"not known\"; ask again when the cell is back"
    )]
    NotKnown {
        /// What was attempted.
        call: String,
        /// What is not known.
        what: String,
    },
    /// Something was asked for with the proof that another host is off.
    #[error("to {call}: that is on {found}, but the host that was seen off is {fenced}; nothing was done")]
    NotOnFencedHost {
        /// What was attempted.
        call: String,
        /// Where nova has it.
        found: String,
        /// The host of the proof.
        fenced: HostName,
    },
    /// Whoever acts has no leave to: its lease is lost, say.
    #[error("to {call}: {denied}")]
    NotPermitted {
        /// What was attempted.
        call: String,
        /// Why not.
        denied: Denied,
    },
    /// The text cannot be a reason for a disabled service.
    #[error("the reason for disabling {host} has {found} characters, nova takes 1 to {limit}")]
    Reason {
        /// The host.
        host: String,
        /// Characters given.
        found: usize,
        /// The most that nova takes.
        limit: usize,
    },
}

/// What a caller does after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing happened; the same call can be made again later.
    Again,
    /// It may have happened: read the state before anything else.
    Look,
    /// A person has to change something first.
    Stop,
}

impl Error {
    /// What to do next. There is no default arm: a new error has to be placed.
    pub fn next(&self) -> Next {
        match self {
            Self::NotPermitted { denied, .. } if denied.passes => Next::Again,
            Self::Setup { .. }
            | Self::Secret(_)
            | Self::Login(_)
            | Self::Unauthorized(_)
            | Self::Forbidden { .. }
            | Self::Refused(_)
            | Self::NoEndpoint { .. }
            | Self::VersionTooLow { .. }
            | Self::NotOnFencedHost { .. }
            | Self::NotPermitted { .. }
            | Self::Reason { .. } => Next::Stop,
            Self::NotFound(_) | Self::Conflict(_) => Next::Look,
            Self::TooLarge { .. } | Self::TooManyPages { .. } | Self::Unreadable { .. } => Next::Look,
            Self::NotKnown { .. } => Next::Again,
            Self::Unavailable { maybe_done, .. }
            | Self::Unreachable { maybe_done, .. }
            | Self::Deadline { maybe_done, .. } => {
                if *maybe_done {
                    Next::Look
                } else {
                    Next::Again
                }
            }
        }
    }

    /// How long the service wants to be left alone, where it said so and we did not wait within the call.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether a call that changes something may have been carried out: no answer, or none that says.
    pub(super) fn maybe_done(&self) -> bool {
        match self {
            Self::NotFound(_) | Self::Conflict(_) => false,
            _ => self.next() == Next::Look,
        }
    }

    /// The service's answer, where there was one.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Login(answer)
            | Self::Unauthorized(answer)
            | Self::NotFound(answer)
            | Self::Conflict(answer)
            | Self::Refused(answer)
            | Self::Forbidden { answer, .. }
            | Self::Unavailable { answer, .. } => Some(answer),
            Self::Setup { .. }
            | Self::Secret(_)
            | Self::Unreachable { .. }
            | Self::Deadline { .. }
            | Self::TooLarge { .. }
            | Self::TooManyPages { .. }
            | Self::Unreadable { .. }
            | Self::NoEndpoint { .. }
            | Self::VersionTooLow { .. }
            | Self::NotKnown { .. }
            | Self::NotOnFencedHost { .. }
            | Self::NotPermitted { .. }
            | Self::Reason { .. } => None,
        }
    }
}
