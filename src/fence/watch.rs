//! Watching the three signals until they agree, and saying which did not.

use std::fmt;
use std::io::ErrorKind;
use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;
use url::{Host, Url};

use crate::clock::{Clock, Timestamp};
use crate::ids::HostName;
use crate::transport;

use super::fenced::{AgentSignal, HeartbeatSignal, PowerSignal};
use super::power::Power;

/// One reading of one signal may take this long, beyond what its own limits say.
const READING_MAX: Duration = Duration::from_secs(30);

/// How long and how often to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// How many readings in a row have to be exactly Off; at least 1.
    pub off_polls: u32,
    /// The time from one reading to the next.
    pub poll_interval: Duration,
    /// How long nova's heartbeat has to stand still: two or three of nova's `report_interval`.
    pub heartbeat_silence: Duration,
    /// When to give up.
    pub deadline: Duration,
}

/// What one signal said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It says off, for long enough.
    Off(String),
    /// It does not say off, or not for long enough.
    NotOff(String),
    /// It could not be read.
    Unreadable(String),
}

impl Seen {
    /// Whether this signal agrees that the host is off.
    pub fn is_off(&self) -> bool {
        matches!(self, Self::Off(_))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off(words) => write!(f, "off ({words})"),
            Self::NotOff(words) => write!(f, "NOT OFF ({words})"),
            Self::Unreadable(words) => write!(f, "NOT READABLE ({words})"),
        }
    }
}

/// The host was not proven off in time. Nothing may be evacuated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} is not proven off after {after:?}: power by {method} {power}; heartbeat {heartbeat}; agent {agent}; nothing is evacuated: look at the host, then let the case go on"
)]
pub struct NotFenced {
    /// The host.
    pub host: HostName,
    /// The method that read the power.
    pub method: String,
    /// The power.
    pub power: Seen,
    /// nova's heartbeat.
    pub heartbeat: Seen,
    /// The agent.
    pub agent: Seen,
    /// How long it was watched.
    pub after: Duration,
}

impl NotFenced {
    /// The BMC says off while the host is seen alive: a lying BMC, or another machine's. Deserves an alarm.
    pub fn contradicts(&self) -> bool {
        let alive = |seen: &Seen| matches!(seen, Seen::NotOff(_));
        self.power.is_off() && (alive(&self.heartbeat) || alive(&self.agent))
    }
}

/// What was seen when all three agreed.
pub(super) struct Proof {
    pub(super) off: Vec<Timestamp>,
    pub(super) last_heartbeat: Timestamp,
    pub(super) heartbeat_silent_for: Duration,
    pub(super) agent_silent: u32,
    /// When the last reading was asked for.
    pub(super) asked: Instant,
}

/// The heartbeat that stands still: from the answer that first had it to the question whose answer last had it.
#[derive(Clone, Copy)]
struct Still {
    heartbeat: Timestamp,
    since: Instant,
    until: Instant,
}

pub(super) async fn until_off(
    host: &HostName,
    power: &impl PowerSignal,
    heartbeat: &impl HeartbeatSignal,
    agent: &impl AgentSignal,
    watch: &Watch,
    clock: &dyn Clock,
) -> Result<Proof, NotFenced> {
    let begin = Instant::now();
    let wanted = watch.off_polls.max(1);
    let mut off: Vec<Timestamp> = Vec::new();
    let mut still: Option<Still> = None;
    let mut agent_silent: u32 = 0;
    let unread = || Seen::Unreadable("not read yet".to_owned());
    let mut said = NotFenced {
        host: host.clone(),
        method: power.method(),
        power: unread(),
        heartbeat: unread(),
        agent: unread(),
        after: watch.deadline,
    };
    let end = begin + watch.deadline;
    loop {
        let reading = async {
            tokio::join!(
                tokio::time::timeout(READING_MAX, power.power()),
                heartbeat.last_heartbeat(READING_MAX),
                tokio::time::timeout(READING_MAX, agent.answers()),
            )
        };
        // What is answered was so when it was asked, and perhaps no more when this process, stopped meanwhile, reads it.
        let asked = Instant::now();
        // A signal that hangs must not make us forget the deadline.
        let Ok((power_now, heartbeat_now, agent_now)) = tokio::time::timeout_at(end, reading).await else {
            return Err(said);
        };
        let now = Instant::now();

        said.power = match power_now {
            Ok(Ok(Power::Off)) => {
                off.push(clock.now());
                let keep = usize::try_from(wanted).unwrap_or(usize::MAX);
                if off.len() > keep {
                    off.remove(0);
                }
                enough(
                    off.len() >= keep,
                    format!("Off {} times in a row, {wanted} wanted", off.len()),
                )
            }
            Ok(Ok(other)) => {
                off.clear();
                Seen::NotOff(other.to_string())
            }
            Ok(Err(error)) => {
                off.clear();
                Seen::Unreadable(error.to_string())
            }
            Err(_) => {
                off.clear();
                Seen::Unreadable(format!("no answer within {READING_MAX:?}"))
            }
        };

        let moved = still.is_some();
        said.heartbeat = match heartbeat_now {
            Ok(Some(heartbeat)) => match &mut still {
                Some(still) if still.heartbeat == heartbeat => {
                    still.until = asked.max(still.since);
                    let silent = still.until - still.since;
                    enough(
                        silent >= watch.heartbeat_silence,
                        format!("{heartbeat} unchanged for {:.1} s", silent.as_secs_f64()),
                    )
                }
                _ => {
                    still = Some(Still {
                        heartbeat,
                        since: now,
                        until: now,
                    });
                    Seen::NotOff(format!(
                        "{} {heartbeat}",
                        if moved { "moved to" } else { "first read as" }
                    ))
                }
            },
            // Nothing to stand still: a service that never reported, or that was deleted.
            Ok(None) => {
                still = None;
                Seen::Unreadable("nova has no heartbeat of this host".to_owned())
            }
            // Unread now; when it is read again and equal, it stood still in between as well.
            Err(error) => Seen::Unreadable(error.to_string()),
        };

        said.agent = match agent_now {
            Ok(Ok(false)) => {
                agent_silent = agent_silent.saturating_add(1);
                enough(
                    agent_silent >= wanted,
                    format!("silent {agent_silent} times in a row, {wanted} wanted"),
                )
            }
            Ok(Ok(true)) => {
                agent_silent = 0;
                Seen::NotOff("it answers".to_owned())
            }
            Ok(Err(words)) => {
                agent_silent = 0;
                Seen::Unreadable(words)
            }
            Err(_) => {
                agent_silent = 0;
                Seen::Unreadable(format!("no outcome within {READING_MAX:?}"))
            }
        };

        if let Some(still) = still
            && said.power.is_off()
            && said.heartbeat.is_off()
            && said.agent.is_off()
        {
            return Ok(Proof {
                off,
                last_heartbeat: still.heartbeat,
                heartbeat_silent_for: still.until - still.since,
                agent_silent,
                asked,
            });
        }
        if now + watch.poll_interval >= end {
            said.after = now - begin;
            return Err(said);
        }
        tokio::time::sleep(watch.poll_interval).await;
    }
}

fn enough(enough: bool, words: String) -> Seen {
    if enough {
        Seen::Off(words)
    } else {
        Seen::NotOff(words)
    }
}

/// The agent's port: silent when nothing accepts a connection there.
#[derive(Debug, Clone)]
pub struct AgentPort {
    /// Name or address of the agent, as in its URL.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How long a connection may take.
    pub timeout: Duration,
}

impl AgentPort {
    /// The port that a URL names.
    pub fn of(url: &Url, timeout: Duration) -> Self {
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            // Without the brackets, which belong to the URL.
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        };
        Self {
            host,
            port: url.port_or_known_default().unwrap_or_default(),
            timeout,
        }
    }
}

impl AgentSignal for AgentPort {
    async fn answers(&self) -> Result<bool, String> {
        let mut connect = pin!(transport::connect(&self.host, self.port));
        // In two halves, each from when the last was seen to end. Of a process that is stopped all time is over when it
        // goes on, whether its connection was ever tried or not: the other half is the agent's to answer.
        let mut answer = tokio::time::timeout(self.timeout / 2, &mut connect).await;
        if answer.is_err() {
            answer = tokio::time::timeout(self.timeout / 2, &mut connect).await;
        }
        match answer {
            Ok(Ok(())) => Ok(true),
            Err(_) => Ok(false),
            Ok(Err(error)) => match error.kind() {
                ErrorKind::ConnectionRefused
                | ErrorKind::TimedOut
                | ErrorKind::HostUnreachable
                | ErrorKind::ConnectionReset => Ok(false),
                // A name that does not resolve, our own network down: says nothing about the host.
                _ => Err(format!("{}:{}: {error}", self.host, self.port)),
            },
        }
    }
}
