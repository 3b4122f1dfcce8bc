//! The plan that would be made for a host if it were condemned now. Nothing is done and nothing is written.

use std::collections::BTreeSet;

use lazaret_attest::verdict::Verdict;

use crate::ids::{CaseId, CaseKind, HostName};
use crate::openstack::Error;
use crate::store::StoreError;

use super::Respond;
use super::caution::Asking;
use super::guard::Cause;
use super::inventory::Inventory;
use super::plan::{NoPlan, Plan};
use super::words::findings;

/// Why there is no plan to show.
#[derive(Debug, thiserror::Error)]
pub enum NoPreview {
    /// Without a cloud there is nothing to plan.
    #[error("no cloud is configured: fill in [openstack]")]
    NoCloud,
    /// The cloud could not be read.
    #[error(transparent)]
    Cloud(#[from] Error),
    /// The database could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There can be none.
    #[error(transparent)]
    NoPlan(#[from] NoPlan),
}

impl Respond {
    /// The plan that would be made for a host now, with what would hold it. Where the host is not condemned, it is
    /// planned for as if it were, by something that no other host has.
    pub async fn preview(&self, host: &HostName) -> Result<Plan, NoPreview> {
        let cloud = self.cloud.as_ref().ok_or(NoPreview::NoCloud)?;
        let inventory = Inventory::read(cloud, host).await?;
        let condemned = match self.store.host(host).await?.and_then(|host| host.last) {
            Some(last) if last.verdict == Verdict::Contraindicated => self.store.round(last.round).await?,
            _ => None,
        };
        let mut causes = condemned
            .as_ref()
            .map_or_else(BTreeSet::new, |round| Cause::of(&findings(round)));
        if causes.is_empty() {
            causes.insert(Cause {
                code: "if".to_owned(),
                subject: format!("{host} were condemned"),
                found: None,
            });
        }
        let now = self.clock.now();
        let case = CaseId::new(CaseKind::Quarantine, now, rand::random());
        let holds = self.holds(Asking::New(now), causes, &inventory).await?;
        let order = self.order(&case, "its cause stands here", host, now);
        Ok(Plan::make(&order, &inventory, holds)?)
    }
}
