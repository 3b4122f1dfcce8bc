//! Leases: who works on a host or a case, until when, and in which epoch.

use std::time::Duration;

use super::{Store, StoreError};
use crate::clock::Timestamp;
use crate::ids::{CaseId, HostName};

/// No lease lasts longer. One that claims to was taken by a clock that was ahead, and is free.
pub const LONGEST_LEASE: Duration = Duration::from_secs(600);

/// What is leased.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LeaseKind {
    /// The rounds of a host.
    Host(HostName),
    /// The steps of a case.
    Case(CaseId),
}

/// The right to write about a host or a case. Each taking begins a new epoch, which ends all earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What is leased.
    pub kind: LeaseKind,
    /// Who holds it: unique for each process, such as host name, process id and some randomness.
    pub owner: String,
    /// Counts the takings.
    pub epoch: i64,
    /// Until when nobody else may take it.
    pub until: Timestamp,
}

impl Store {
    /// Takes a lease; `None` while somebody holds it. Of many who try at once, one gets it.
    pub async fn lease(
        &self,
        kind: LeaseKind,
        owner: &str,
        now: Timestamp,
        duration: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let _ = (kind, owner, now, duration);
        todo!()
    }

    /// Extends a lease; fails with `LeaseLost` when somebody else took it.
    pub async fn renew(
        &self,
        lease: &mut Lease,
        now: Timestamp,
        duration: Duration,
    ) -> Result<(), StoreError> {
        let _ = (lease, now, duration);
        todo!()
    }

    /// Gives a lease back. One that was lost is none to give back, and that is no error.
    pub async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        let _ = lease;
        todo!()
    }
}
