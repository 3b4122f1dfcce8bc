//! What people are told: each event with its severity, its words and what to do, as it is queued and posted.
//!
//! The shape is documented in `docs/notifications.md`, whose example a test reads.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{CaseId, HostName, RoundId};
use crate::store::NewNotification;

use super::decide::News;
use super::guard;
use super::journal::json;

/// How soon a person should look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For the record.
    Info,
    /// In working hours.
    Warning,
    /// Now.
    Critical,
}

/// One event, as it is posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Names the event. It may arrive more than once, always with the same id.
    pub id: String,
    /// What kind of event: `case-opened`.
    pub event: Kind,
    /// When it happened.
    pub at: Timestamp,
    /// How soon a person should look.
    pub severity: Severity,
    /// The host.
    pub host: HostName,
    /// The case, where there is one.
    pub case: Option<CaseId>,
    /// What happened, in words.
    pub summary: String,
    /// What to do, in words.
    pub remedy: String,
}

/// The kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A host was condemned twice and left alone: the mode is `observe`.
    HostCondemned,
    /// Nothing can be said about a host.
    HostIndeterminate,
    /// A host has warnings.
    HostWarning,
    /// A host is as it should be again.
    HostRecovered,
    /// A case was opened.
    CaseOpened,
    /// A case waits for a person.
    CaseHeld,
    /// A case cannot go on without a person.
    CaseStuck,
    /// A case is over.
    CaseClosed,
    /// A BMC says off while the host is alive, or refuses a password that was right.
    TamperingSuspected,
    /// Another host was found in the quarantine aggregate, and taken out.
    StrayHost,
}

impl Kind {
    /// As stored and posted.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HostCondemned => "host-condemned",
            Self::HostIndeterminate => "host-indeterminate",
            Self::HostWarning => "host-warning",
            Self::HostRecovered => "host-recovered",
            Self::CaseOpened => "case-opened",
            Self::CaseHeld => "case-held",
            Self::CaseStuck => "case-stuck",
            Self::CaseClosed => "case-closed",
            Self::TamperingSuspected => "tampering-suspected",
            Self::StrayHost => "stray-host",
        }
    }

    fn severity(self) -> Severity {
        match self {
            Self::HostRecovered | Self::CaseClosed => Severity::Info,
            Self::HostIndeterminate | Self::HostWarning => Severity::Warning,
            Self::HostCondemned
            | Self::CaseOpened
            | Self::CaseHeld
            | Self::CaseStuck
            | Self::TamperingSuspected
            | Self::StrayHost => Severity::Critical,
        }
    }
}

impl Event {
    /// About a host that no case is opened for.
    pub fn news(news: News, host: &HostName, round: RoundId, words: &str, at: Timestamp) -> Self {
        let look = format!("look at it with `lazaret verify-host {host}`");
        let (event, summary, remedy) = match news {
            News::Condemned => (
                Kind::HostCondemned,
                format!(
                    "{host} is condemned by two challenges and left alone (response.mode = \"observe\"): {words}"
                ),
                format!("{look}; with response.mode = \"enforce\" it would be quarantined now"),
            ),
            News::Indeterminate => (
                Kind::HostIndeterminate,
                format!("nothing can be said about {host}: {words}"),
                format!("see that the host and its agent run, then {look}"),
            ),
            News::Warning => (Kind::HostWarning, format!("{host} has warnings: {words}"), look),
            News::Recovered => (
                Kind::HostRecovered,
                format!("{host} is as it should be again"),
                "nothing".to_owned(),
            ),
        };
        Self {
            id: format!("host {host} {} in round {round}", event.as_str()),
            event,
            at,
            severity: event.severity(),
            host: host.clone(),
            case: None,
            summary,
            remedy,
        }
    }

    /// About a case. What happens once in a case (`opened`, `closed`) is told once; the rest once for each time.
    pub fn case(event: Kind, case: &CaseId, host: &HostName, summary: String, at: Timestamp) -> Self {
        let show = format!("`lazaret quarantine show {case}`");
        let (once, remedy) = match event {
            Kind::CaseOpened => (true, format!("follow it with {show}")),
            Kind::CaseClosed => (
                true,
                format!("read `lazaret report {case}`, and rotate the credentials it names"),
            ),
            Kind::CaseHeld => (false, guard::remedy(case)),
            Kind::CaseStuck => (
                false,
                format!(
                    "see {show}, remove the cause, then let it go on with `lazaret quarantine approve {case}`"
                ),
            ),
            Kind::TamperingSuspected => (
                true,
                format!("take {host} off the network by other means and look at its BMC; see {show}"),
            ),
            Kind::StrayHost => (
                true,
                "see that Masakari's add_reserved_host_to_aggregate does not name the quarantine aggregate"
                    .to_owned(),
            ),
            Kind::HostCondemned | Kind::HostIndeterminate | Kind::HostWarning | Kind::HostRecovered => {
                (false, show)
            }
        };
        let time = if once { String::new() } else { format!(" at {at}") };
        Self {
            id: format!("case {case} {}{time}", event.as_str()),
            event,
            at,
            severity: event.severity(),
            host: host.clone(),
            case: Some(case.clone()),
            summary,
            remedy,
        }
    }

    /// As it is queued. It is said in the log at the same time, once it is stored.
    pub fn queued(&self) -> NewNotification {
        NewNotification {
            key: self.id.clone(),
            kind: self.event.as_str().to_owned(),
            payload: json(self),
        }
    }

    /// Says it in the log.
    pub fn say(&self) {
        let case = self.case.as_ref().map_or("", CaseId::as_str);
        let Self {
            host,
            summary,
            remedy,
            ..
        } = self;
        match self.severity {
            Severity::Info => tracing::info!(event = self.event.as_str(), %host, case, remedy, "{summary}"),
            Severity::Warning => {
                tracing::warn!(event = self.event.as_str(), %host, case, remedy, "{summary}")
            }
            Severity::Critical => {
                tracing::error!(event = self.event.as_str(), %host, case, remedy, "{summary}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
