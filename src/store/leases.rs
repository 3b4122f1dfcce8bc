//! Leases: who works on a host or a case, or whose turn it is in a server group; until when, and in which epoch.

use std::fmt;
use std::time::Duration;

use super::columns::Columns;
use super::connection::{Attempt, Statement, Write, statement};
use super::{Store, StoreError, sql};
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
    /// The turn to have a member of a server group evacuated.
    Group(String),
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

/// How a lease stands in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Counts the takings.
    pub epoch: i64,
    /// Counts takings and renewals: while it changes, whoever holds the lease is alive.
    pub beats: i64,
    /// Until when it is held, by the clock of whoever holds it; `None`: it was given back.
    pub until: Option<Timestamp>,
    /// For how long it was taken or renewed last.
    pub lasts: Duration,
}

impl LeaseKind {
    /// The kind and the id, as the database has them.
    pub(super) fn columns(&self) -> (&'static str, String) {
        match self {
            Self::Host(name) => ("host", name.to_string()),
            Self::Case(id) => ("case", id.to_string()),
            Self::Group(id) => ("group", id.clone()),
        }
    }
}

impl fmt::Display for LeaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, id) = self.columns();
        write!(f, "{kind} {id}")
    }
}

impl Store {
    /// How a lease stands; `None` when nobody ever took it.
    pub async fn standing(&self, kind: &LeaseKind) -> Result<Option<Standing>, StoreError> {
        let (what, id) = kind.columns();
        let query = statement(sql::LEASE).bind(what).bind(id);
        self.one(Attempt::new("reading the lease of", kind), query, standing_of)
            .await
    }

    /// Takes a lease that stands as it was seen, whoever holds it; `None` when it stands otherwise by now. Of many who
    /// try at once, one gets it. Whether it may be taken is for who has watched it to say.
    pub async fn take_over(
        &self,
        kind: LeaseKind,
        seen: Option<&Standing>,
        owner: &str,
        now: Timestamp,
        duration: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let Some(seen) = seen else {
            return self.lease(kind, owner, now, duration).await;
        };
        let (what, id) = kind.columns();
        let duration = duration.min(LONGEST_LEASE);
        let until = now.plus(duration);
        let mut write = self.write(Attempt::new("leasing", &kind)).await?;
        let take = statement(sql::LEASE_TAKE_OVER)
            .bind(owner.to_owned())
            .bind(until.as_millis())
            .bind(millis(duration))
            .bind(what)
            .bind(id)
            .bind(seen.epoch)
            .bind(seen.beats)
            // A daemon of an earlier version moves only this.
            .bind(seen.until.map_or(0, Timestamp::as_millis));
        if write.run(take).await? == 0 {
            write.give_up().await?;
            return Ok(None);
        }
        write.commit().await?;
        Ok(Some(Lease {
            kind,
            owner: owner.to_owned(),
            epoch: seen.epoch + 1,
            until,
        }))
    }

    /// Takes a lease; `None` while somebody holds it, by the clocks. Of many who try at once, one gets it.
    pub async fn lease(
        &self,
        kind: LeaseKind,
        owner: &str,
        now: Timestamp,
        duration: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let (what, id) = kind.columns();
        let until = now.plus(duration.min(LONGEST_LEASE));
        let lasts = millis(duration.min(LONGEST_LEASE));
        let mut write = self.write(Attempt::new("leasing", &kind)).await?;
        let take = statement(sql::LEASE_TAKE)
            .bind(owner.to_owned())
            .bind(until.as_millis())
            .bind(lasts)
            .bind(what)
            .bind(id.clone())
            .bind(now.as_millis())
            .bind(now.plus(LONGEST_LEASE).as_millis());
        let taken = write.run(take).await? > 0;
        let row = write
            .row(statement(sql::LEASE).bind(what).bind(id.clone()))
            .await?;
        let epoch = match row {
            Some(_) if !taken => {
                write.give_up().await?;
                return Ok(None);
            }
            Some(row) => Columns {
                row: &row,
                attempt: &write.attempt,
            }
            .int("epoch")?,
            None => {
                let insert = statement(sql::LEASE_INSERT)
                    .bind(what)
                    .bind(id)
                    .bind(owner.to_owned())
                    .bind(until.as_millis())
                    .bind(lasts);
                write.run(insert).await?;
                1
            }
        };
        write.commit().await?;
        Ok(Some(Lease {
            kind,
            owner: owner.to_owned(),
            epoch,
            until,
        }))
    }

    /// Extends a lease; fails with `LeaseLost` when somebody else took it.
    pub async fn renew(
        &self,
        lease: &mut Lease,
        now: Timestamp,
        duration: Duration,
    ) -> Result<(), StoreError> {
        let until = now.plus(duration.min(LONGEST_LEASE));
        let mut write = self
            .write(Attempt::new("renewing the lease of", &lease.kind))
            .await?;
        let renew = statement(sql::LEASE_RENEW)
            .bind(until.as_millis())
            .bind(millis(duration.min(LONGEST_LEASE)));
        let renew = of_lease(renew, lease);
        if write.run(renew).await? == 0 {
            return Err(write.attempt.lease_lost(lease.epoch));
        }
        write.commit().await?;
        lease.until = until;
        Ok(())
    }

    /// The epoch that a lease is in.
    #[cfg(test)]
    pub(crate) async fn epoch(&self, kind: &LeaseKind) -> Result<i64, StoreError> {
        let (what, id) = kind.columns();
        let query = statement(sql::LEASE).bind(what).bind(id);
        let epoch = self.one(Attempt::new("reading the lease of", kind), query, |row| {
            row.int("epoch")
        });
        Ok(epoch.await?.unwrap_or_default())
    }

    /// Gives a lease back. One that was lost is none to give back, and that is no error.
    pub async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        let mut write = self.write(Attempt::new("releasing", &lease.kind)).await?;
        write.run(of_lease(statement(sql::LEASE_RELEASE), &lease)).await?;
        write.commit().await
    }
}

/// Goes on only if the lease is still the one in force and has not run out; until the transaction ends nobody can take
/// it. One that ran out is none, even when nobody took it yet: whoever held it was stopped, and has to look again.
pub(super) async fn in_force(write: &mut Write, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
    let holds = of_lease(statement(sql::LEASE_HOLDS), lease).bind(now.as_millis());
    match write.run(holds).await? {
        0 => Err(write.attempt.lease_lost(lease.epoch)),
        _ => Ok(()),
    }
}

/// Renews a lease that is in force, for as long as it lasts, and says how long that is. Whoever watches it counts anew from
/// here: nobody takes it over before that is over, whatever the clocks say.
pub(super) async fn renewed_for(
    write: &mut Write,
    lease: &Lease,
    now: Timestamp,
) -> Result<Duration, StoreError> {
    let (what, id) = lease.kind.columns();
    let row = write
        .row(statement(sql::LEASE).bind(what).bind(id))
        .await?
        .ok_or_else(|| write.attempt.lease_lost(lease.epoch))?;
    let lasts = standing_of(&Columns {
        row: &row,
        attempt: &write.attempt,
    })?
    .lasts;
    let renew = statement(sql::LEASE_RENEW)
        .bind(now.plus(lasts).as_millis())
        .bind(millis(lasts));
    match write.run(of_lease(renew, lease)).await? {
        0 => Err(write.attempt.lease_lost(lease.epoch)),
        _ => Ok(lasts),
    }
}

/// How the lease stands that a row is of.
pub(super) fn standing_of(row: &Columns<'_>) -> Result<Standing, StoreError> {
    let until = Some(row.int("held_until")?).filter(|until| *until > 0);
    let lasts = u64::try_from(row.int("lasts")?).unwrap_or_default();
    Ok(Standing {
        epoch: row.int("epoch")?,
        beats: row.int("beats")?,
        until: until.map(Timestamp::from_millis),
        // From before this was written down.
        lasts: match Duration::from_millis(lasts).min(LONGEST_LEASE) {
            Duration::ZERO => LONGEST_LEASE,
            lasts => lasts,
        },
    })
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn of_lease(query: Statement, lease: &Lease) -> Statement {
    let (what, id) = lease.kind.columns();
    query
        .bind(what)
        .bind(id)
        .bind(lease.owner.clone())
        .bind(lease.epoch)
}
