//! What this process remembers of silent hosts, and what follows from their silence: the [`silence`] ladder, asked with
//! what is so now.

use std::collections::HashMap;

use lazaret_attest::verdict::Verdict;
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::config::{ResponseMode, Return};
use crate::ids::{CaseId, CaseKind, HostName};
use crate::store::{CaseState, Host, NewCase, Round, StoreError};

use super::Respond;
use super::journal::json;
use super::notify::{Event, Kind};
use super::plan::Planning;
use super::saga::{self, Step};
use super::silence::{Hosts, Quiet, Rung, ladder};
use super::words::{findings, words};

/// What is remembered of silence; forgotten at a restart, which only makes the daemon more patient.
#[derive(Debug, Default)]
pub(super) struct Silences {
    /// Since when each host has been silent, by a clock that nobody can set, and whether people were told of the limit.
    hosts: HashMap<HostName, (Instant, bool)>,
    /// People were told that the daemon is cut off, and it still is.
    cut_off: bool,
}

/// What follows from a round in which nothing could be said about a host, or that ended its silence.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// What people are told beside the rest.
    pub(super) events: Vec<Event>,
    /// What is opened.
    pub(super) case: Option<NewCase>,
    /// Whether the news of this one host is left out: it is not this host's.
    pub(super) cut_off: bool,
}

impl Respond {
    /// Asks the ladder about a round that proved nothing; ends the silence of one that did.
    pub(super) async fn on_silence(
        &self,
        host: &Host,
        round: &Round,
        now: Timestamp,
    ) -> Result<Followed, StoreError> {
        let mut followed = Followed::default();
        if round.verdict != Verdict::Indeterminate {
            self.silences().hosts.remove(host.name());
            let auto = self.config.mode == ResponseMode::Enforce && round.verdict == Verdict::Affirming;
            if let Some(parent) = host.unscheduled_by.clone().filter(|_| auto) {
                followed.case = Some(self.reschedule(host.name(), parent, round, now));
            }
            return Ok(followed);
        }
        let others = self.store.hosts().await?;
        let heard_of = others.iter().filter(|other| {
            other.name() != host.name()
                && other.quarantined_by.is_none()
                && other.unscheduled_by.is_none()
                && other.last.is_some()
        });
        let mut hosts = Hosts { silent: 1, all: 1 };
        for other in heard_of {
            let silent = other
                .last
                .as_ref()
                .is_some_and(|last| last.verdict == Verdict::Indeterminate);
            hosts.all = hosts.all.saturating_add(1);
            hosts.silent = hosts.silent.saturating_add(u32::from(silent));
        }
        let (since, told) = *self
            .silences()
            .hosts
            .entry(host.name().clone())
            .or_insert((Instant::now(), false));
        let quiet = Quiet {
            rounds: host.silent_rounds.saturating_add(1),
            lasts: since.elapsed(),
            unscheduled: host.unscheduled_by.is_some(),
        };
        let rung = ladder(quiet, hosts, self.config.silence.as_ref());
        let told_before = std::mem::replace(&mut self.silences().cut_off, rung == Rung::CutOff);
        match rung {
            Rung::Nothing | Rung::Notify => {}
            Rung::CutOff => {
                followed.cut_off = true;
                if !told_before {
                    let words = format!(
                        "nothing can be said about {} of {} hosts at once",
                        hosts.silent, hosts.all
                    );
                    followed.events.push(Event::cloud(Kind::DaemonCutOff, words, now));
                }
            }
            Rung::Unschedule => {
                let name = host.name();
                let acts = self.config.mode == ResponseMode::Enforce;
                if acts || !told {
                    let words = format!(
                        "nothing could be said about {name} in {} rounds; {}",
                        quiet.rounds,
                        if acts {
                            "it gets no new instances"
                        } else {
                            "it is left alone (response.mode = \"observe\")"
                        }
                    );
                    followed
                        .events
                        .push(Event::host(Kind::HostSilent, name, words, now));
                }
                if let Some(known) = self.silences().hosts.get_mut(name) {
                    known.1 = true;
                }
                if acts {
                    followed.case = Some(self.unschedule(name, quiet.rounds, round, now));
                }
            }
        }
        Ok(followed)
    }

    fn unschedule(&self, host: &HostName, rounds: u32, round: &Round, now: Timestamp) -> NewCase {
        let cause = format!(
            "nothing could be said in {rounds} rounds: {}",
            words(&findings(round))
        );
        let steps = saga::steps(CaseKind::Unschedule, false);
        self.light_case(CaseKind::Unschedule, None, host, cause, &steps, round, now)
    }

    /// What was kept off for its silence gets new instances again; by itself or, where that is asked for, by a person.
    fn reschedule(&self, host: &HostName, parent: CaseId, round: &Round, now: Timestamp) -> NewCase {
        let steps = match self.config.unschedule_return {
            Return::Auto => saga::steps(CaseKind::Reschedule, false),
            Return::Person => vec![Step::Close],
        };
        let cause = format!("the host of case {parent} is Affirming again");
        self.light_case(
            CaseKind::Reschedule,
            Some(parent),
            host,
            cause,
            &steps,
            round,
            now,
        )
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what differs between the two cases that silence opens"
    )]
    fn light_case(
        &self,
        kind: CaseKind,
        parent: Option<CaseId>,
        host: &HostName,
        cause: String,
        steps: &[Step],
        round: &Round,
        now: Timestamp,
    ) -> NewCase {
        let because = "only its compute service is touched".to_owned();
        NewCase {
            id: CaseId::new(kind, now, rand::random()),
            kind,
            parent,
            held_group: None,
            holds: None,
            not_before: now,
            host: host.clone(),
            state: CaseState::Open,
            mode: self.config.mode,
            cause,
            condemned_by: round.id,
            confirmed_by: round.id,
            plan: json(&Planning::Later { because }),
            steps: steps.iter().map(|step| step.as_str().to_owned()).collect(),
            instances: Vec::new(),
            evidence: Vec::new(),
        }
    }

    fn silences(&self) -> std::sync::MutexGuard<'_, Silences> {
        self.silences
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
