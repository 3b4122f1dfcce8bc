//! Looks at nova for hosts that are ours and have no case, tells people, and adopts one for a person who asks.
//! [`super::orphans`] decides. Nothing in here changes anything but the database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use lazaret_attest::verdict::Verdict;
use serde_json::json as value;
use tokio_util::sync::CancellationToken;

use crate::ids::{CaseId, CaseKind, HostName, RoundId};
use crate::openstack::{Cloud, Error};
use crate::store::{
    Adoption, AuditEntry, CaseFilter, CaseState, Json, NewCase, Outcome, Purpose, Round, Sighting, StepState,
    StoreError,
};

use super::Respond;
use super::caution::Asking;
use super::guard::Cause;
use super::inventory::Inventory;
use super::journal::json;
use super::notify::{Event, Kind};
use super::orphans::{self, Mark, Sight};
use super::plan::{NoPlan, Plan, Planning};
use super::saga;
use super::steps::{Trouble, power_of};
use super::words::{findings, held};

/// Between two looks. A database loses a case when it fails over, and the daemon looks when it starts.
const LOOK: Duration = Duration::from_secs(3600);

/// After a look that failed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Why a host is not adopted.
#[derive(Debug, thiserror::Error)]
pub enum NotAdopted {
    /// Without a cloud there is nothing to adopt.
    #[error("no cloud is configured: fill in [openstack]")]
    NoCloud,
    /// It is not enrolled.
    #[error(
        "host {0} is not enrolled, so that it could be neither held down nor given back: boot it with its service still forced down, `lazaret enroll {0}`, then adopt it"
    )]
    NotEnrolled(HostName),
    /// The host has a case.
    #[error("host {0} has a case: `lazaret quarantine list` shows it")]
    HasCase(HostName),
    /// Nothing in nova says that it is ours.
    #[error("nova shows nothing of Lazaret's on host {0}: neither its reason nor the quarantine aggregate")]
    NoMark(HostName),
    /// It was only closed to new instances.
    #[error(
        "host {host} was closed to new instances for its silence by case {case}, which is no quarantine: look at it with `lazaret verify-host {host}`, then `openstack compute service set --enable {host} nova-compute`"
    )]
    Silence {
        /// The host.
        host: HostName,
        /// The case that its service names.
        case: CaseId,
    },
    /// It is in service, but for the aggregate.
    #[error(
        "host {0} is in the quarantine aggregate while its compute service is enabled and not forced down, as a spare host \
         of Masakari is: take it out with `openstack aggregate remove host {1} {0}`. If it was in quarantine, first \
         `openstack compute service set --disable {0} nova-compute`, then adopt it"
    )]
    InService(HostName, String),
    /// The cloud could not be read.
    #[error(transparent)]
    Cloud(#[from] Error),
    /// The database could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// nova knows no such host.
    #[error(transparent)]
    NoPlan(#[from] NoPlan),
}

/// A host that was adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// Its case.
    pub case: CaseId,
    /// Whether nothing is left to be done: it can be released at once.
    pub closed: bool,
    /// What is seen to be done, in words.
    pub done: Vec<String>,
}

impl Respond {
    /// Looks at once, and again every hour, until `stop`.
    pub async fn watch_orphans(self: Arc<Self>, stop: CancellationToken) {
        let Some(cloud) = self.cloud.clone() else {
            stop.cancelled().await;
            return;
        };
        while !stop.is_cancelled() {
            let pause = tokio::select! {
                () = stop.cancelled() => return,
                looked = Box::pin(self.look_for_orphans(&cloud)) => match looked {
                    Ok(()) => LOOK,
                    Err(error) => {
                        tracing::warn!("cannot look for quarantined hosts without a case: {error:#}");
                        LOOK_AGAIN
                    }
                },
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One look. nova is read first: a mark is made only after its case was written, so that the case of every mark
    /// is in the database then. A host that is released just then has its mark no more at the second look.
    pub(super) async fn look_for_orphans(&self, cloud: &Cloud) -> Result<(), Trouble> {
        let (mut found, not_known) = self.orphans_now(cloud).await?;
        if !found.is_empty() {
            let (again, _) = self.orphans_now(cloud).await?;
            found.retain(|host, mark| again.get(host) == Some(mark));
        }
        let now = self.clock.now();
        let sightings: Vec<Sighting> = found
            .iter()
            .map(|(host, mark)| {
                let summary = match mark.is_perhaps_a_stray() {
                    true => format!(
                        "{host} is in the quarantine aggregate, and no case of it is known: {mark}; it takes instances \
                         of others as any host does, and nothing is done to it"
                    ),
                    false => format!(
                    "{host} is quarantined by its looks, and no case of it is known: {mark}; was the database restored? \
                     Nobody holds it down, and nothing is done to it"
                    ),
                };
                Sighting {
                    host: host.clone(),
                    words: mark.to_string(),
                    told: Event::host(Kind::HostOrphaned, host, summary, now).queued(),
                }
            })
            .collect();
        let (new, gone) = self.store.note_orphans(&sightings, &not_known, now).await?;
        for host in new {
            tracing::error!(%host, "quarantined by its looks, and no case of it is known");
        }
        for host in gone {
            tracing::info!(%host, "has a case, or no mark of a quarantine any more");
        }
        Ok(())
    }

    /// Hosts with a mark and without a case, and those of which nova knows nothing now.
    async fn orphans_now(
        &self,
        cloud: &Cloud,
    ) -> Result<(BTreeMap<HostName, Mark>, BTreeSet<HostName>), Trouble> {
        let (services, aggregate) = tokio::try_join!(
            cloud.compute_services(),
            cloud.aggregate(&self.config.quarantine_aggregate)
        )?;
        let mut with_case = BTreeSet::new();
        let mut held_down = false;
        for host in self.store.hosts().await? {
            held_down |= host.quarantined_by.is_some();
            if host.quarantined_by.is_some() || host.unscheduled_by.is_some() {
                with_case.insert(host.name().clone());
            }
        }
        let unclosed = CaseFilter {
            host: None,
            unclosed_only: true,
        };
        with_case.extend(
            self.store
                .cases(&unclosed)
                .await?
                .into_iter()
                .map(|case| case.host),
        );
        let marks = orphans::marks(&services, aggregate.as_ref());
        let found = orphans::orphans(marks, &with_case, held_down);
        Ok((found, services.not_known.into_iter().collect()))
    }

    /// Opens a case for a host that has lost its own, because a person says so: held, with what is seen to be done as
    /// done, and closed at once where nothing is left. From then on the host is held down, and can be released.
    pub async fn adopt(&self, host: &HostName, by: &str, because: &str) -> Result<Adopted, NotAdopted> {
        let cloud = self.cloud.as_ref().ok_or(NotAdopted::NoCloud)?;
        let known = self.store.host(host).await?;
        let known = known.ok_or_else(|| NotAdopted::NotEnrolled(host.clone()))?;
        if known.quarantined_by.is_some() || self.store.unclosed_case(host).await?.is_some() {
            return Err(NotAdopted::HasCase(host.clone()));
        }
        let inventory = Box::pin(Inventory::read(cloud, host)).await?;
        let aggregate = inventory
            .aggregates
            .iter()
            .find(|aggregate| aggregate.name == self.config.quarantine_aggregate);
        let mark = orphans::marks(&inventory.services, aggregate)
            .remove(host)
            .ok_or_else(|| NotAdopted::NoMark(host.clone()))?;
        if !mark.is_a_quarantines() {
            let (case, _) = mark.named.ok_or_else(|| NotAdopted::NoMark(host.clone()))?;
            let host = host.clone();
            return Err(NotAdopted::Silence { host, case });
        }
        if mark.is_perhaps_a_stray() {
            let aggregate = self.config.quarantine_aggregate.clone();
            return Err(NotAdopted::InService(host.clone(), aggregate));
        }
        let now = self.clock.now();
        // The name that nova shows is kept where it is free: whoever looks at nova finds the case.
        let (id, reason) = match &mark.named {
            Some((id, reason))
                if orphans::kind_of(id) == CaseKind::Quarantine && self.store.case(id).await?.is_none() =>
            {
                (id.clone(), Some(reason.clone()))
            }
            _ => (CaseId::new(CaseKind::Quarantine, now, rand::random()), None),
        };
        let (round, new_round, causes) = self.round_for(host, known.last.map(|last| last.round)).await?;
        let cause = format!("{}{by}, its case was lost: {because}", orphans::ADOPTED);
        let mut plan = Plan::make(&self.order(&id, &cause, host, now), &inventory, Vec::new())?;
        if let Some(reason) = &reason {
            plan.disabled_reason.clone_from(reason);
        }
        let power = power_of(self.fencing.host(host), &BTreeSet::new()).await;
        let done = orphans::done(&Sight {
            disabled: reason.is_some(),
            isolated: mark.isolated,
            power,
            forced_down: mark.forced_down,
            instances: inventory.instances.len(),
        });
        let over = done.iter().any(|(step, _)| *step == saga::Step::Close);
        let rest = format!(
            "adopted by {by}; what is seen of its quarantine is held down. `lazaret quarantine approve {id}` carries the \
             rest out (it powers the host off where it is not, and evacuates); `lazaret quarantine dismiss {id}` leaves it \
             as it is, and then `lazaret quarantine release {host}` gives it back"
        );
        // What a person sees now and approves is not asked for again by the brake.
        let holds = match over {
            true => Vec::new(),
            false => self.holds(Asking::New(now), causes, &inventory).await?,
        };
        let rest = match held(&holds) {
            Some(over) => format!("{rest}. Limits: {over}"),
            None => rest,
        };
        let event = if over { Kind::CaseClosed } else { Kind::CaseHeld };
        let words: Vec<String> = done.iter().map(|(step, how)| format!("{step}: {how}")).collect();
        let summary = format!("{host} was adopted by {by}: {}", words.join(", "));
        let adoption = Adoption {
            case: NewCase {
                id: id.clone(),
                kind: CaseKind::Quarantine,
                parent: None,
                held_group: None,
                holds: (!holds.is_empty()).then(|| json(&holds)),
                not_before: now,
                host: host.clone(),
                state: CaseState::Held { reason: rest },
                mode: self.config.mode,
                cause,
                condemned_by: round,
                confirmed_by: round,
                plan: json(&Planning::Made(Box::new(plan.clone()))),
                steps: saga::steps(CaseKind::Quarantine, true)
                    .into_iter()
                    .map(|step| step.as_str().to_owned())
                    .collect(),
                instances: plan.instances.iter().map(|known| known.recorded(host)).collect(),
                evidence: Vec::new(),
            },
            round: new_round,
            done: done
                .iter()
                .map(|(step, how)| (step.as_str(), StepState::Done, (*how).to_owned()))
                .collect(),
            closed: over.then(|| Outcome {
                reason: format!("{host} is out of service, as it was found; adopted by {by}"),
                detail: Json::from(value!({ "adopted_by": by, "because": because })),
            }),
            asked: AuditEntry {
                who: by.to_owned(),
                what: "adopt".to_owned(),
                subject: format!("case {id}, host {host}"),
                outcome: because.to_owned(),
            },
            told: Event::case(event, &id, host, summary, now).queued(),
        };
        self.store.adopt(&adoption, now).await?;
        Ok(Adopted {
            case: id,
            closed: over,
            done: words,
        })
    }

    /// The round that the case names, with what it says: the host's last, or a new one that says that nothing is known.
    async fn round_for(
        &self,
        host: &HostName,
        last: Option<RoundId>,
    ) -> Result<(RoundId, Option<Round>, BTreeSet<Cause>), StoreError> {
        if let Some(last) = last
            && let Some(round) = self.store.round(last).await?
        {
            return Ok((last, None, Cause::of(&findings(&round))));
        }
        let (id, now) = (RoundId::new(rand::random()), self.clock.now());
        let round = Round {
            id,
            host: host.clone(),
            purpose: Purpose::Manual,
            confirms: None,
            started_at: now,
            finished_at: now,
            verdict: Verdict::Indeterminate,
            findings: Json::from(value!([])),
            claims: Json::empty(),
            timings: Json::empty(),
            evidence: None,
            policy: None,
        };
        Ok((id, Some(round), BTreeSet::new()))
    }
}
