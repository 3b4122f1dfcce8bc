//! A case about to be opened: what is on its host, its plan, and the limits that hold it.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::config::ResponseMode;
use crate::ids::{CaseId, CaseKind, HostName};
use crate::store::{CaseState, Host, NewCase, Round, StoreError};

use super::caution::Asking;
use super::guard::{Cause, Hold};
use super::inventory::Inventory;
use super::journal::json;
use super::plan::{Order, Plan, Planning};
use super::words::{findings, held, words};
use super::{Ahead, Respond, saga};

/// The inventory is waited for this long when a case is opened; after that the driver plans. Disabling the
/// service is urgent, and it is the driver that does it.
const PLAN_WITHIN: Duration = Duration::from_secs(2);

/// An inventory that was read ahead longer ago than this is read anew: limits are kept by what is so now.
const AHEAD_FOR: Duration = Duration::from_secs(60);

impl Respond {
    /// Begins to read what is on the host while the condemnation is being confirmed.
    pub(super) async fn read_ahead(&self, round: &Round, now: Timestamp) -> Result<(), StoreError> {
        let host = &round.host;
        let Some(cloud) = self.cloud.clone() else {
            return Ok(());
        };
        if self.config.mode == ResponseMode::Observe
            || self
                .shared(host, &Cause::of(&findings(round)), now)
                .await?
                .is_some()
        {
            return Ok(());
        }
        self.fencing.fetch_ahead(host);
        let of = host.clone();
        let reading = tokio::spawn(async move { Inventory::read(&cloud, &of).await });
        let ahead = Ahead {
            since: Instant::now(),
            reading,
        };
        if let Some(older) = self.ahead.lock().await.insert(host.clone(), ahead) {
            older.reading.abort();
        }
        Ok(())
    }

    /// A quarantine, open or held. Cases of one cause are held together, and people are told of their group then.
    pub(super) async fn new_case(
        &self,
        round: &Round,
        first: &Round,
        now: Timestamp,
    ) -> Result<NewCase, StoreError> {
        let host = &round.host;
        let findings = findings(round);
        let causes = Cause::of(&findings);
        let id = CaseId::new(CaseKind::Quarantine, now, rand::random());
        let cause = words(&findings);
        // Of two hundred hosts that fail alike nothing is asked of nova: nothing is done to them.
        let (planning, holds) = match self.shared(host, &causes, now).await? {
            Some(shared) => {
                let because = "it is held with other hosts of the same cause".to_owned();
                (Planning::Later { because }, vec![shared])
            }
            None => self.planning(&id, &cause, host, causes, now).await?,
        };
        let held_group = self.hold_together(&holds, Some(host), now).await?;
        let state = match held(&holds) {
            Some(reason) => CaseState::Held { reason },
            None => CaseState::Open,
        };
        let instances = match &planning {
            Planning::Made(plan) => plan
                .instances
                .iter()
                .map(|instance| instance.recorded(host))
                .collect(),
            Planning::Later { .. } => Vec::new(),
        };
        let planned = matches!(planning, Planning::Made(_));
        let evidence = [("condemned", first), ("confirmed", round)];
        Ok(NewCase {
            id,
            kind: CaseKind::Quarantine,
            parent: None,
            held_group,
            holds: (!holds.is_empty()).then(|| json(&holds)),
            not_before: now.plus(self.grace(host).await?),
            host: host.clone(),
            state,
            mode: self.config.mode,
            cause,
            condemned_by: first.id,
            confirmed_by: round.id,
            plan: json(&planning),
            steps: saga::steps(CaseKind::Quarantine, planned)
                .into_iter()
                .map(|step| step.as_str().to_owned())
                .collect(),
            instances,
            evidence: evidence
                .into_iter()
                .filter_map(|(what, round)| Some((what.to_owned(), round.evidence?)))
                .collect(),
        })
    }

    /// The plan, if the cloud answers soon, and the limits that the case is over.
    async fn planning(
        &self,
        id: &CaseId,
        cause: &str,
        host: &HostName,
        causes: BTreeSet<Cause>,
        now: Timestamp,
    ) -> Result<(Planning, Vec<Hold>), StoreError> {
        let inventory = match self.inventory_soon(host).await {
            Ok(inventory) => inventory,
            Err(because) => return Ok((Planning::Later { because }, Vec::new())),
        };
        let holds = self.holds(Asking::New(now), causes, &inventory).await?;
        Ok(
            match Plan::make(&self.order(id, cause, host, now), &inventory, holds) {
                Ok(plan) => {
                    let holds = plan.holds.clone();
                    (Planning::Made(Box::new(plan)), holds)
                }
                Err(error) => {
                    let because = error.to_string();
                    (Planning::Later { because }, Vec::new())
                }
            },
        )
    }

    /// How long a new case still rests after the daemon's start. A daemon that has heard of every host since knows
    /// whether many fail alike, and need not wait.
    async fn grace(&self, condemned: &HostName) -> Result<Duration, StoreError> {
        let rest = self.config.startup_grace.saturating_sub(self.started.elapsed());
        if rest.is_zero() {
            return Ok(rest);
        }
        let hosts = self.store.hosts().await?;
        let heard = |host: &Host| {
            host.name() == condemned
                || host.quarantined_by.is_some()
                || host.last.as_ref().is_some_and(|last| last.at >= self.started_at)
        };
        Ok(if hosts.iter().all(heard) {
            Duration::ZERO
        } else {
            rest
        })
    }

    /// The inventory, if it can be had soon.
    pub(super) async fn inventory_soon(&self, host: &HostName) -> Result<Inventory, String> {
        let Some(cloud) = &self.cloud else {
            return Err("no cloud is configured".to_owned());
        };
        // The confirmation may have failed to come for a while: the host was silent in between.
        let ahead = self
            .ahead
            .lock()
            .await
            .remove(host)
            .filter(|ahead| ahead.since.elapsed() < AHEAD_FOR);
        let reading = Box::pin(async {
            match ahead {
                Some(ahead) => match ahead.reading.await {
                    Ok(Ok(inventory)) => Ok(inventory),
                    // What failed a moment ago may work now.
                    Ok(Err(_)) | Err(_) => Inventory::read(cloud, host).await,
                },
                None => Box::pin(Inventory::read(cloud, host)).await,
            }
        });
        match tokio::time::timeout(PLAN_WITHIN, reading).await {
            Ok(Ok(inventory)) => Ok(inventory),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("the cloud did not answer within {PLAN_WITHIN:?}")),
        }
    }

    /// What a plan is made for.
    pub(super) fn order<'a>(
        &'a self,
        case: &'a CaseId,
        cause: &'a str,
        host: &HostName,
        now: Timestamp,
    ) -> Order<'a> {
        Order {
            case,
            cause,
            response: &self.config,
            fence: self.fencing.names(host),
            keep: self.keep.as_ref(),
            now,
        }
    }
}
