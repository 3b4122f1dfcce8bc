//! Takes cases: those that are due, each under a lease that is renewed while `case_run` carries it out.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::ResponseMode;
use crate::ids::{CaseId, CaseKind};
use crate::openstack::Cloud;
use crate::store::{CaseFilter, CaseState, Lease, LeaseKind, StoreError};

use super::Respond;

/// How often cases of other processes, and those let go on by a person, are looked for.
const LOOK: Duration = Duration::from_secs(2);

/// Cases that are driven at once; each spends its time waiting for the cloud, whose services have bounds of their own.
/// A host whose case has to wait for its turn is not even disabled meanwhile: instances of others would land on it.
const AT_ONCE: u32 = 64;

/// After trouble with the store a case is left alone this long.
const TROUBLE_PAUSE: Duration = Duration::from_secs(5);

impl Respond {
    /// Drives every case that is due, here and of daemons that died, until `stop`. The step under way is then
    /// finished within `grace`, or cut off; whoever goes on looks again.
    pub async fn drive(self: Arc<Self>, stop: CancellationToken, grace: Duration) {
        let Some(cloud) = self.cloud.clone() else {
            stop.cancelled().await;
            return;
        };
        self.say_resting().await;
        let mut driven: JoinSet<CaseId> = JoinSet::new();
        let mut busy: HashMap<CaseId, ()> = HashMap::new();
        while !stop.is_cancelled() {
            match self.due().await {
                Ok(due) => {
                    for id in due {
                        if busy.len() >= usize::try_from(AT_ONCE).unwrap_or(usize::MAX)
                            || busy.contains_key(&id)
                        {
                            continue;
                        }
                        busy.insert(id.clone(), ());
                        let (respond, cloud, stop) = (Arc::clone(&self), Arc::clone(&cloud), stop.clone());
                        driven.spawn(async move {
                            Box::pin(respond.drive_one(&cloud, &id, &stop)).await;
                            id
                        });
                    }
                }
                Err(error) => tracing::error!(%error, "cannot look for cases to drive"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.opened.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
                Some(ended) = driven.join_next(), if !driven.is_empty() => match ended {
                    Ok(id) => drop(busy.remove(&id)),
                    Err(error) => {
                        // Its id is not told; forgetting all is harmless, for leases keep cases apart.
                        tracing::error!(%error, "driving a case ended badly");
                        busy.clear();
                    }
                },
            }
        }
        let draining = async { while driven.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, draining).await.is_err() {
            tracing::warn!("steps are cut off; whoever goes on looks again");
        }
    }

    /// The cases that may be driven now. In mode `observe` none is, whatever mode it was opened in: an operator who
    /// goes back to `observe` has every case stop before its next step.
    pub(super) async fn due(&self) -> Result<Vec<CaseId>, StoreError> {
        match self.config.mode {
            ResponseMode::Observe => Ok(Vec::new()),
            ResponseMode::Enforce => {
                let now = self.clock.now();
                self.see_numbers(now).await?;
                let due = self.store.cases_due(now).await?;
                let free = due.into_iter().filter(|due| {
                    let kind = LeaseKind::Case(due.id.clone());
                    self.leases
                        .may_take(&kind, due.lease.as_ref(), now, Instant::now())
                });
                Ok(free.map(|due| due.id).collect())
            }
        }
    }

    /// Takes the lease of a case, unless somebody alive holds it.
    pub(super) async fn take(&self, case: &CaseId) -> Result<Option<Lease>, StoreError> {
        let kind = LeaseKind::Case(case.clone());
        let standing = self.store.standing(&kind).await?;
        let now = self.clock.now();
        if !self
            .leases
            .may_take(&kind, standing.as_ref(), now, Instant::now())
        {
            return Ok(None);
        }
        let duration = self.config.lease_duration;
        let taken = self
            .store
            .take_over(kind.clone(), standing.as_ref(), &self.owner, now, duration)
            .await?;
        if let Some(lease) = &taken {
            self.leases.taken(&kind, lease.epoch, Instant::now());
        }
        Ok(taken)
    }

    /// Says which cases rest because of the mode: they look unfinished to whoever lists them.
    async fn say_resting(&self) {
        if self.config.mode == ResponseMode::Enforce {
            return;
        }
        match self
            .store
            .cases(&CaseFilter {
                host: None,
                unclosed_only: true,
            })
            .await
        {
            Ok(cases) => {
                for case in cases.iter().filter(|case| case.state == CaseState::Open) {
                    tracing::warn!(case = %case.id, host = %case.host, "mode observe: the case rests until the mode is enforce");
                }
            }
            Err(error) => tracing::error!(%error, "cannot look for cases that rest"),
        }
    }

    /// Drives one case as far as it goes, if nobody else does.
    async fn drive_one(&self, cloud: &Cloud, id: &CaseId, stop: &CancellationToken) {
        let lease = match self.take(id).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(case = %id, %error, "cannot take the case");
                return;
            }
        };
        let ended = Box::pin(self.drive_under(cloud, id, lease, stop)).await;
        match ended {
            Ok(()) => {}
            Err(error @ StoreError::LeaseLost { .. }) => {
                tracing::warn!(case = %id, %error, "left to another worker")
            }
            Err(error) => {
                tracing::error!(case = %id, %error, "the case is left alone for a while");
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(TROUBLE_PAUSE) => {}
                }
            }
        }
    }

    /// Drives a case under its lease. A release holds its quarantine's lease as well: nobody looks at the host meanwhile
    /// and puts back what the release takes back.
    async fn drive_under(
        &self,
        cloud: &Cloud,
        id: &CaseId,
        lease: Lease,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let (writing, unused) = (lease.clone(), lease.clone());
        let work = self.holding(lease, Box::pin(self.carry_on(cloud, id, &writing, stop)));
        let case = self.store.case(id).await?;
        let parent = case
            .filter(|case| case.kind == CaseKind::Release)
            .and_then(|case| case.parent);
        let Some(quarantine) = parent else {
            return work.await;
        };
        match self.take(&quarantine).await? {
            Some(other) => self.holding(other, Box::pin(work)).await,
            // Somebody looks at the host just now, or died as it did: not before the next look is it asked again.
            None => {
                let now = self.clock.now();
                self.store.postpone(&unused, now.plus(LOOK), now).await?;
                self.store.release(unused).await
            }
        }
    }

    /// Renews the lease while `work` goes on. When it is lost, the work is dropped at once: before its next
    /// effect, or in the middle of a request whose effect the next worker looks for.
    pub(super) async fn holding(
        &self,
        mut lease: Lease,
        work: impl Future<Output = Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        let duration = self.config.lease_duration;
        let renewing = async {
            loop {
                tokio::time::sleep(duration / 3).await;
                match self.store.renew(&mut lease, self.clock.now(), duration).await {
                    Ok(()) => {}
                    Err(error @ StoreError::LeaseLost { .. }) => return error,
                    // The database may come back in time; nobody else can take the lease before it ends.
                    Err(error) if self.clock.now().plus(duration / 3) < lease.until => {
                        tracing::warn!(%error, "renewing a lease");
                    }
                    Err(error) => return error,
                }
            }
        };
        let result = tokio::select! {
            biased;
            lost = renewing => Err(lost),
            result = work => result,
        };
        if !matches!(result, Err(StoreError::LeaseLost { .. })) {
            self.store.release(lease).await?;
        }
        result
    }
}
