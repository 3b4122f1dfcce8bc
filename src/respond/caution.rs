//! Asks the [`guard`] with what is so now, and holds together what fails for one cause.
//!
//! Every limit is asked when a case is opened, again before the host is disabled, and again before it is powered off:
//! two daemons may have opened cases at once, others may have been disabled while this one rested, and other hosts may
//! have failed alike since.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::config;
use crate::ids::{CaseKind, GroupId, HostName};
use crate::store::{Case, CaseFilter, CaseState, StoreError};

use super::Respond;
use super::guard::{self, Cause, Circumstances, Hold, Limits, Zone};
use super::inventory::Inventory;
use super::journal::{json, plan_of, value};
use super::notify::Event;
use super::saga::Step;
use super::words::findings;

/// Whose limits are asked.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asking<'a> {
    /// A case about to be opened; every other one counts.
    New(Timestamp),
    /// A case that is there. Those that were written before it count: of two at once, one goes on.
    Known(&'a Case),
}

impl Respond {
    /// Every limit that this case would be over, and that no person has let it go over.
    pub(super) async fn holds(
        &self,
        asking: Asking<'_>,
        causes: BTreeSet<Cause>,
        inventory: &Inventory,
    ) -> Result<Vec<Hold>, StoreError> {
        let limits = limits(&self.config);
        let (at, approved) = match asking {
            Asking::New(now) => (now, Vec::new()),
            Asking::Known(case) => (case.opened_at, approved(case)),
        };
        let since = at.minus(limits.window);
        let cases = self.cases_lately(since).await?;
        let others = self.counted(asking, &cases).await?;
        let unclosed = self
            .store
            .cases(&CaseFilter {
                host: None,
                unclosed_only: true,
            })
            .await?;
        let all = guard::holds(
            &limits,
            &Circumstances {
                cases: Some(number(others.len())),
                in_zone: inventory.zone().map(|zone| {
                    // A host whose zone nobody knows may be in this one.
                    let here =
                        |case: &&&Case| zone_of(case, inventory).is_none_or(|other| other == zone.name);
                    number(others.iter().filter(here).count())
                }),
                in_aggregates: Some(in_aggregates(&self.config, &others, inventory)),
                room: inventory.room(&self.config.quarantine_aggregate),
                zone: inventory.zone().map(|zone| {
                    // What another case is about to disable does not stay.
                    let going = about_to_go(&goers(asking, &unclosed), inventory, &zone.name);
                    Zone {
                        others_enabled: zone.others_enabled.saturating_sub(number(going)),
                        ..zone
                    }
                }),
                causes,
                elsewhere: Some(self.elsewhere(&inventory.host, since).await?),
            },
        );
        Ok(guard::not_approved(&approved, all))
    }

    /// The cases since then, and those that were written within a window by this process's own time: a clock that is ahead
    /// makes none too old to count.
    pub(super) async fn cases_lately(&self, since: Timestamp) -> Result<Vec<Case>, StoreError> {
        let ago = self.lately.a_window_ago(self.config.window, Instant::now());
        self.store.cases_lately(since, ago).await
    }

    /// Looks at the numbers of cases, so that it is known later which were there by now.
    pub(super) async fn see_numbers(&self, now: Timestamp) -> Result<(), StoreError> {
        let (newest, window) = (self.store.newest_case().await?, self.config.window);
        if self.lately.is_blank() {
            let recent = self.store.cases_lately(now.minus(window), i64::MAX).await?;
            let recent: Vec<(Timestamp, i64)> = recent
                .iter()
                .filter(|case| case.number > 0)
                .map(|case| (case.opened_at, case.number))
                .collect();
            self.lately.begin(&recent, newest, now, Instant::now());
        }
        self.lately.seen(newest, window, Instant::now());
        Ok(())
    }

    /// Whether the limits need to know what is free on the other hosts.
    pub(super) fn asks_for_room(&self) -> bool {
        self.config.keep_free_vcpus > 0 || self.config.keep_free_memory_mb > 0
    }

    /// Those of these cases that count against whoever is asking.
    pub(super) async fn counted<'c>(
        &self,
        asking: Asking<'_>,
        cases: &'c [Case],
    ) -> Result<Vec<&'c Case>, StoreError> {
        let mut counted = Vec::new();
        for case in cases {
            if counts(asking, case, self.fence_begun(case).await?) {
                counted.push(case);
            }
        }
        Ok(counted)
    }

    /// Whether a case that is held had begun to power its host off before; of others that is not asked.
    async fn fence_begun(&self, case: &Case) -> Result<bool, StoreError> {
        if !matches!(case.state, CaseState::Held { .. }) {
            return Ok(false);
        }
        let steps = self.store.steps(&case.id).await?;
        let fence =
            |step: &crate::store::Step| step.name == Step::Fence.as_str() && step.started_at.is_some();
        Ok(steps.iter().any(fence))
    }

    /// The cause that this host shares with too many others, if there is one.
    pub(super) async fn shared(
        &self,
        host: &HostName,
        causes: &BTreeSet<Cause>,
        now: Timestamp,
    ) -> Result<Option<Hold>, StoreError> {
        let limits = limits(&self.config);
        let elsewhere = self.elsewhere(host, now.minus(limits.window)).await?;
        Ok(guard::shared_cause(&limits, causes, &elsewhere))
    }

    /// What condemned other hosts since then.
    pub(super) async fn elsewhere(
        &self,
        host: &HostName,
        since: Timestamp,
    ) -> Result<BTreeMap<HostName, BTreeSet<Cause>>, StoreError> {
        let store = &self.store;
        let mut causes = BTreeMap::new();
        for other in store.hosts().await? {
            let Some(last) = &other.last else { continue };
            if other.name() == host
                || last.verdict != lazaret_attest::verdict::Verdict::Contraindicated
                || last.at < since
            {
                continue;
            }
            if let Some(round) = store.round(last.round).await? {
                causes.insert(other.name().clone(), Cause::of(&findings(&round)));
            }
        }
        // A host that was fenced since is silent now; its case still says what condemned it.
        for case in self.cases_lately(since).await? {
            if case.kind != CaseKind::Quarantine || case.host == *host || causes.contains_key(&case.host) {
                continue;
            }
            if let Some(round) = store.round(case.confirmed_by).await? {
                causes.insert(case.host, Cause::of(&findings(&round)));
            }
        }
        Ok(causes)
    }

    /// Where a cause is shared, its group, with every case in it that is open and may still be stopped; people are told
    /// of the group. `None`: the cause is not shared. `newcomer` is a case that is not written yet.
    pub(super) async fn hold_together(
        &self,
        holds: &[Hold],
        newcomer: Option<&HostName>,
        now: Timestamp,
    ) -> Result<Option<GroupId>, StoreError> {
        let Some((cause, hosts)) = holds.iter().find_map(|hold| match hold {
            Hold::SharedCause { cause, hosts } => Some((cause, hosts)),
            _ => None,
        }) else {
            return Ok(None);
        };
        let group = self
            .store
            .group_for(&json(cause), &GroupId::new(now, rand::random()), now)
            .await?;
        let (mut members, mut open) = (BTreeSet::new(), Vec::new());
        members.extend(newcomer.cloned());
        for case in self
            .store
            .cases(&CaseFilter {
                host: None,
                unclosed_only: true,
            })
            .await?
        {
            if case.held_group.as_ref() == Some(&group) {
                members.insert(case.host);
                continue;
            }
            let let_go = approved(&case)
                .iter()
                .any(|hold| matches!(hold, Hold::SharedCause { cause: seen, .. } if seen == cause));
            if case.kind != CaseKind::Quarantine || case.state != CaseState::Open || let_go {
                continue;
            }
            let round = self.store.round(case.confirmed_by).await?;
            if round.is_some_and(|round| Cause::of(&findings(&round)).contains(cause)) {
                members.insert(case.host);
                open.push(case.id);
            }
        }
        let shared = Hold::SharedCause {
            cause: cause.clone(),
            hosts: hosts.clone(),
        };
        let summary = format!(
            "{} hosts fail for one cause, {cause}; none of them is powered off",
            members.len()
        );
        let remedy = guard::group_remedy(&group);
        let event = Event::group_held(group.as_str(), members.len(), summary, remedy, now);
        let words = (shared.to_string(), json(&[&shared]));
        self.store
            .join_group(&group, &open, (&words.0, &words.1), &[event.queued()], now)
            .await?;
        Ok(Some(group))
    }
}

/// The limits as configured.
pub(super) fn limits(config: &config::Response) -> Limits {
    Limits {
        max_cases: config.max_cases,
        window: config.window,
        keep_hosts: config.keep_hosts,
        max_cases_zone: config.max_cases_zone,
        max_cases_aggregate: config.max_cases_aggregate,
        keep_free_vcpus: config.keep_free_vcpus,
        keep_free_memory_mb: config.keep_free_memory_mb,
        brake_hosts: config.brake_hosts,
    }
}

/// The limits that a person saw and let the case go over.
pub(super) fn approved(case: &Case) -> Vec<Hold> {
    case.approved_holds.as_ref().and_then(value).unwrap_or_default()
}

/// Whether a case counts against whoever is asking: quarantines that act or have acted. One that is held has not,
/// unless it was held with its fence begun; nor has one that a person dismissed before it touched anything.
fn counts(asking: Asking<'_>, other: &Case, fence_begun: bool) -> bool {
    let before = match asking {
        Asking::New(_) => true,
        Asking::Known(case) => other.came_before(case),
    };
    let acts = match &other.state {
        CaseState::Held { .. } => fence_begun,
        CaseState::Open | CaseState::Stuck { .. } => true,
        CaseState::Closed { .. } => !untouched(other),
    };
    other.kind == CaseKind::Quarantine && before && acts
}

fn untouched(case: &Case) -> bool {
    let outcome: Option<serde_json::Value> = case.outcome.as_ref().and_then(value);
    outcome.is_some_and(|outcome| {
        outcome.get("dismissed_by").is_some()
            && outcome
                .get("steps_begun")
                .and_then(|steps| steps.as_array())
                .is_some_and(Vec::is_empty)
    })
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn zone_of(case: &Case, inventory: &Inventory) -> Option<String> {
    let services = &inventory.services.known;
    services
        .iter()
        .find(|service| service.host == case.host)
        .and_then(|service| service.zone.clone())
        .or_else(|| plan_of(case, &[])?.service.zone)
}

/// Those of the unclosed cases that are carried out before whoever is asking, or at the same time: those that were opened
/// before it, however long ago, and those that a person let go on, which ask no limit again that their person saw.
fn goers<'c>(asking: Asking<'_>, cases: &'c [Case]) -> Vec<&'c Case> {
    let goes = |case: &&Case| {
        counts(asking, case, false) || (case.kind == CaseKind::Quarantine && case.approved_by.is_some())
    };
    cases.iter().filter(goes).collect()
}

/// How many hosts of the zone take instances still, though a case is open that will disable them.
fn about_to_go(others: &[&Case], inventory: &Inventory, zone: &str) -> usize {
    let open = |host: &HostName| {
        others
            .iter()
            .any(|case| case.state == CaseState::Open && case.host == *host)
    };
    let services = inventory.services.known.iter();
    services
        .filter(|service| service.host != inventory.host && service.zone.as_deref() == Some(zone))
        .filter(|service| service.enabled && service.up && !service.forced_down && open(&service.host))
        .count()
}

/// The cases in each of the host's aggregates, where their hosts are in it now or were when they were planned. The
/// quarantine's own does not count: every case is in it.
fn in_aggregates(
    config: &config::Response,
    others: &[&Case],
    inventory: &Inventory,
) -> BTreeMap<String, u32> {
    let of_host = |host: &HostName| {
        inventory
            .aggregates
            .iter()
            .filter(|aggregate| aggregate.has(host))
            .map(|aggregate| aggregate.name.clone())
            .collect::<BTreeSet<_>>()
    };
    let memberships: Vec<BTreeSet<String>> = others
        .iter()
        .map(|case| {
            let planned = plan_of(case, &[]).map(|plan| plan.aggregates).unwrap_or_default();
            let mut all = of_host(&case.host);
            all.extend(planned.into_iter().map(|aggregate| aggregate.name));
            all
        })
        .collect();
    of_host(&inventory.host)
        .into_iter()
        .filter(|aggregate| *aggregate != config.quarantine_aggregate)
        .map(|aggregate| {
            let cases = memberships.iter().filter(|all| all.contains(&aggregate)).count();
            (aggregate, number(cases))
        })
        .collect()
}

/// What condemned a case's host.
pub(super) async fn condemning(respond: &Respond, case: &Case) -> Result<BTreeSet<Cause>, StoreError> {
    let round = respond.store.round(case.confirmed_by).await?;
    Ok(round.map_or_else(BTreeSet::new, |round| Cause::of(&findings(&round))))
}

#[cfg(test)]
mod tests;
