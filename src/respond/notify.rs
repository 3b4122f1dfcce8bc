//! What people are told: each event with its severity, its words and what to do, as it is queued and posted.
//!
//! The shape is documented in `docs/notifications.md`, whose example a test reads.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::config::Severity;
use crate::ids::{CaseId, HostName, RoundId, Sha256Digest};
use crate::store::{NewNotification, Quiet};

use super::decide::News;
use super::guard;
use super::journal::json;

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
    /// The host; `None` when it is about the cloud, or about several hosts.
    pub host: Option<HostName>,
    /// The case, where there is one.
    pub case: Option<CaseId>,
    /// The held group of hosts with one cause, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
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
    /// A case cannot be planned, for so long that a person should look; it goes on by itself.
    CaseWaiting,
    /// A case cannot go on without a person.
    CaseStuck,
    /// A case is over.
    CaseClosed,
    /// A BMC says off while the host is alive, or refuses a password that was right.
    TamperingSuspected,
    /// Another host was found in the quarantine aggregate, and taken out.
    StrayHost,
    /// A condemned host was seen off.
    HostFenced,
    /// The instances of a condemned host are elsewhere, or listed for a person.
    HostEvacuated,
    /// A host was given back after a passing verdict.
    CaseReleased,
    /// Somebody undid a part of a quarantine; it was put back, or could not be.
    Drift,
    /// A host is quarantined by its looks, and no case of it is known.
    HostOrphaned,
    /// A host has been silent for longer than the limit.
    HostSilent,
    /// Many hosts fail for one and the same cause, and wait for a person together.
    GroupHeld,
    /// So many hosts fell silent at once that the daemon itself is probably cut off.
    DaemonCutOff,
    /// The wall clock was set by more than a little.
    ClockJumped,
    /// The database is older than the one that the daemon worked on: the whole cloud is paused.
    DatabasePutBack,
    /// A person paused a host or the cloud.
    Paused,
    /// A pause is over.
    Resumed,
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
            Self::CaseWaiting => "case-waiting",
            Self::CaseStuck => "case-stuck",
            Self::CaseClosed => "case-closed",
            Self::TamperingSuspected => "tampering-suspected",
            Self::StrayHost => "stray-host",
            Self::HostFenced => "host-fenced",
            Self::HostEvacuated => "host-evacuated",
            Self::CaseReleased => "case-released",
            Self::Drift => "drift",
            Self::HostOrphaned => "host-orphaned",
            Self::HostSilent => "host-silent",
            Self::GroupHeld => "group-held",
            Self::DaemonCutOff => "daemon-cut-off",
            Self::ClockJumped => "clock-jumped",
            Self::DatabasePutBack => "database-put-back",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
        }
    }

    /// For how long the same is not told again, where steps and rounds that look again would tell it each time.
    fn quiet(self) -> Option<Duration> {
        let minutes = match self {
            Self::ClockJumped => 10,
            Self::TamperingSuspected | Self::StrayHost | Self::DaemonCutOff => 60,
            // Each was put back in between; the hold-down itself tells one once.
            Self::Drift
            | Self::HostCondemned
            | Self::HostIndeterminate
            | Self::HostWarning
            | Self::HostRecovered
            | Self::CaseOpened
            | Self::CaseHeld
            | Self::CaseWaiting
            | Self::CaseStuck
            | Self::CaseClosed
            | Self::HostFenced
            | Self::HostEvacuated
            | Self::CaseReleased
            | Self::HostOrphaned
            | Self::HostSilent
            | Self::GroupHeld
            | Self::DatabasePutBack
            | Self::Paused
            | Self::Resumed => return None,
        };
        Some(Duration::from_secs(60 * minutes))
    }

    pub(super) fn severity(self) -> Severity {
        match self {
            Self::HostRecovered
            | Self::CaseClosed
            | Self::HostFenced
            | Self::HostEvacuated
            | Self::CaseReleased
            | Self::Resumed => Severity::Info,
            Self::HostIndeterminate
            | Self::HostWarning
            | Self::HostSilent
            | Self::ClockJumped
            | Self::Paused => Severity::Warning,
            Self::HostCondemned
            | Self::DatabasePutBack
            | Self::CaseOpened
            | Self::CaseHeld
            | Self::CaseWaiting
            | Self::CaseStuck
            | Self::TamperingSuspected
            | Self::StrayHost
            | Self::Drift
            | Self::HostOrphaned
            | Self::GroupHeld
            | Self::DaemonCutOff => Severity::Critical,
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
            host: Some(host.clone()),
            case: None,
            group: None,
            summary,
            remedy,
        }
    }

    /// About a host outside of a case: silent, paused, resumed. Told each time that it happens.
    pub fn host(event: Kind, host: &HostName, summary: String, at: Timestamp) -> Self {
        let look = format!("look at it with `lazaret verify-host {host}`");
        let remedy = match event {
            Kind::HostSilent => {
                format!("see that the host, its agent and the network between run, then {look}")
            }
            Kind::HostOrphaned => format!(
                "look at {host} and its power; `lazaret quarantine adopt {host}` takes it on, so that it is held down and \
                 can be released; or clear it by hand, if it is another lazaret's or nobody's"
            ),
            Kind::Paused => format!("when the work is done: `lazaret resume {host}`"),
            Kind::Resumed => "nothing".to_owned(),
            _ => look,
        };
        Self {
            host: Some(host.clone()),
            ..Self::bare(
                event,
                format!("host {host} {} at {at}", event.as_str()),
                summary,
                remedy,
                at,
            )
        }
    }

    /// About the cloud, or the daemon itself: cut off, its clock set, paused, resumed. Told each time that it happens.
    pub fn cloud(event: Kind, summary: String, at: Timestamp) -> Self {
        let remedy = match event {
            Kind::DaemonCutOff => {
                "see that this machine reaches the agents' network; no host is touched for this silence"
            }
            Kind::ClockJumped => {
                "see what set this machine's clock, and that it is right now (`timedatectl`)"
            }
            Kind::Paused => "when the work is done: `lazaret resume --cloud`",
            Kind::DatabasePutBack => "when the database is the right one: `lazaret resume --cloud`",
            _ => "nothing",
        };
        let id = format!("cloud {} at {at}", event.as_str());
        Self::bare(event, id, summary, remedy.to_owned(), at)
    }

    /// Hosts with one cause are held together. Told once for each group, and again when it has ten times as many hosts.
    pub fn group_held(group: &str, hosts: usize, summary: String, remedy: String, at: Timestamp) -> Self {
        let event = Kind::GroupHeld;
        let size = 10_usize.pow(hosts.max(1).ilog10());
        let id = format!("group {group} {} from {size} hosts", event.as_str());
        Self {
            group: Some(group.to_owned()),
            ..Self::bare(event, id, summary, remedy, at)
        }
    }

    fn bare(event: Kind, id: String, summary: String, remedy: String, at: Timestamp) -> Self {
        Self {
            id,
            event,
            at,
            severity: event.severity(),
            host: None,
            case: None,
            group: None,
            summary,
            remedy,
        }
    }

    /// About a case. What happens once in a case (`opened`, `closed`) is told once; the rest once for each time, or not
    /// again for a while where it would repeat itself.
    pub fn case(event: Kind, case: &CaseId, host: &HostName, summary: String, at: Timestamp) -> Self {
        let show = format!("`lazaret quarantine show {case}`");
        let (once, remedy) = match event {
            Kind::CaseOpened => (true, format!("follow it with {show}")),
            Kind::CaseClosed => (
                true,
                format!("read `lazaret report {case}`, and rotate the credentials it names"),
            ),
            Kind::CaseHeld => (false, guard::remedy(case)),
            Kind::CaseWaiting => (
                true,
                format!(
                    "remove the cause: the case goes on by itself then. Until then keep new instances off {host} by hand; \
                     follow it with {show}"
                ),
            ),
            Kind::CaseStuck => (
                false,
                format!(
                    "see {show}, remove the cause, then let it go on with `lazaret quarantine approve {case}`"
                ),
            ),
            Kind::TamperingSuspected => (
                false,
                format!("take {host} off the network by other means and look at its BMC; see {show}"),
            ),
            Kind::StrayHost => (
                false,
                "see that Masakari's add_reserved_host_to_aggregate does not name the quarantine aggregate"
                    .to_owned(),
            ),
            Kind::HostFenced => (
                true,
                format!("nothing yet: its instances come next; follow it with {show}"),
            ),
            Kind::HostEvacuated => (
                true,
                format!(
                    "see with {show} which instances wait for a person, and read `lazaret report {case}`"
                ),
            ),
            Kind::CaseReleased => (true, "nothing: the host takes instances again".to_owned()),
            Kind::Drift => (
                false,
                format!(
                    "find out who did it: another tool has to leave {host} alone until it is released; see {show}"
                ),
            ),
            Kind::HostCondemned
            | Kind::HostIndeterminate
            | Kind::HostWarning
            | Kind::HostRecovered
            | Kind::HostOrphaned
            | Kind::HostSilent
            | Kind::GroupHeld
            | Kind::DaemonCutOff
            | Kind::ClockJumped
            | Kind::DatabasePutBack
            | Kind::Paused
            | Kind::Resumed => (false, show),
        };
        let time = if once { String::new() } else { format!(" at {at}") };
        Self {
            id: format!("case {case} {}{time}", event.as_str()),
            event,
            at,
            severity: event.severity(),
            host: Some(host.clone()),
            case: Some(case.clone()),
            group: None,
            summary,
            remedy,
        }
    }

    /// As it is queued. The daemon says it in its log as well, as the first of its receivers.
    pub fn queued(&self) -> NewNotification {
        NewNotification {
            key: self.id.clone(),
            kind: self.event.as_str().to_owned(),
            payload: json(self),
            quiet: self.event.quiet().map(|within| Quiet {
                topic: self.topic(),
                within,
            }),
        }
    }

    /// What it is about, whatever the times in its words: two of one topic tell the same.
    fn topic(&self) -> String {
        let words: String = self.summary.chars().filter(|c| !c.is_ascii_digit()).collect();
        let about = [
            self.case.as_ref().map_or("", CaseId::as_str),
            self.host.as_ref().map_or("", HostName::as_str),
            &words,
        ];
        let digest = Sha256Digest::of(about.join("\n").as_bytes());
        format!("{} {digest}", self.event.as_str())
    }

    /// A line of the daemon's log.
    pub(super) fn say(&self) {
        let case = self.case.as_ref().map_or("", CaseId::as_str);
        let host = self.host.as_ref().map_or("", HostName::as_str);
        let (id, remedy) = (&self.id, &self.remedy);
        // Names of instances and paths are in it: no line of the log is anybody else's.
        let summary = self.summary.replace(char::is_control, " ");
        match self.severity {
            Severity::Info => {
                tracing::info!(event = self.event.as_str(), id, host, case, remedy, "{summary}")
            }
            Severity::Warning => {
                tracing::warn!(event = self.event.as_str(), id, host, case, remedy, "{summary}")
            }
            Severity::Critical => {
                tracing::error!(event = self.event.as_str(), id, host, case, remedy, "{summary}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
