//! `lazaret quarantine dismiss`: how a person ends a case that should not go on.

use std::time::Duration;

use tokio::time::Instant;

use super::no_case;
use crate::{
    cli::{
        context,
        exit::{Exit, Trouble},
        out,
        who::who,
    },
    clock::Clock as _,
    ids::{CaseId, CaseKind},
    respond::{
        journal::{json, touched},
        orphans::is_adopted,
    },
    store::{AuditEntry, Case, CaseState, Lease, LeaseKind, Outcome, Store, StoreError},
};

/// Long enough to write one row.
const LEASE: Duration = Duration::from_secs(30);

/// How often a lease that somebody holds is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Closes a held or stuck case without doing anything more.
pub(super) async fn dismiss(store: &Store, id: &CaseId, because: &str) -> Result<Exit, Trouble> {
    one(store, id, because).await?;
    Ok(Exit::Ok)
}

pub(super) async fn one(store: &Store, id: &CaseId, because: &str) -> Result<(), Trouble> {
    let case = store.case(id).await?.ok_or_else(|| no_case(id))?;
    if !matches!(case.state, CaseState::Held { .. } | CaseState::Stuck { .. }) {
        return Err(Trouble::say(
            Exit::Data,
            format_args!(
                "case {id} is neither held nor stuck; set response.mode to \"observe\" to stop a case that runs"
            ),
        ));
    }
    let clock = crate::clock::SystemClock;
    let lease = take(store, &LeaseKind::Case(id.clone()), LOOK)
        .await?
        .ok_or_else(|| at_work(id))?;
    let who = who();
    let done = touched(&store.steps(id).await?, &store.journal_of(id).await?);
    // What an adopted host's lost case did is not known.
    let stays = !done.is_empty() || is_adopted(&case);
    let outcome = Outcome {
        reason: format!("dismissed by {who}: {because}"),
        detail: json(&serde_json::json!({ "dismissed_by": who, "because": because, "steps_begun": done })),
    };
    let closed = store.dismiss_case(&lease, &outcome, !stays, clock.now()).await;
    store.release(lease).await?;
    match closed {
        Err(StoreError::Refused { .. }) => return Err(at_work(id)),
        closed => closed?,
    }
    let entry = AuditEntry {
        who,
        what: "dismiss".to_owned(),
        subject: format!("case {id}, host {}", case.host),
        outcome: format!("done: {because}"),
    };
    store.audit(&entry, clock.now()).await?;
    out::print(&format!("{id}: dismissed\n"));
    out::print(&left(&case, &done, stays));
    Ok(())
}

/// What is left of it, and what to do.
fn left(case: &Case, done: &[String], stays: bool) -> String {
    let host = &case.host;
    let begun = match done {
        [] => String::new(),
        done => format!("Begun before, and left as they are: {}. ", done.join(", ")),
    };
    match case.kind {
        CaseKind::Quarantine if stays => {
            format!("{begun}Host {host} stays in quarantine until `lazaret quarantine release {host}`.\n")
        }
        CaseKind::Quarantine => format!(
            "Nothing was done to host {host}, and it is in no quarantine. If it fails again, another case is opened; \
             `lazaret pause {host} --until TIME --because TEXT` prevents that.\n"
        ),
        CaseKind::Release => {
            format!("{begun}Host {host} stays in quarantine until it is released.\n")
        }
        CaseKind::Unschedule | CaseKind::Reschedule => {
            format!("{begun}See whether new instances may go to host {host}: `lazaret hosts`.\n")
        }
    }
}

fn at_work(id: &CaseId) -> Trouble {
    Trouble::say(
        Exit::TryAgain,
        format_args!("case {id} is being worked on by a daemon just now"),
    )
}

/// Takes a lease that was given back, or that nobody has renewed for as long as it lasts, by this process's own clock:
/// the clocks of two machines may differ. `None`: somebody alive holds it.
async fn take(store: &Store, kind: &LeaseKind, look: Duration) -> Result<Option<Lease>, Trouble> {
    let begun = Instant::now();
    let first = store.standing(kind).await?;
    let mut standing = first;
    while let Some(held) = standing.filter(|held| held.until.is_some()) {
        // A daemon of an earlier version counts no renewals, and moves only the time.
        let as_first = |first: crate::store::Standing| (first.epoch, first.beats, first.until);
        if first.map(as_first) != Some((held.epoch, held.beats, held.until)) {
            return Ok(None);
        }
        if begun.elapsed() >= held.lasts {
            break;
        }
        tokio::time::sleep(look).await;
        standing = store.standing(kind).await?;
    }
    let now = crate::clock::SystemClock.now();
    let owner = context::owner();
    Ok(store
        .take_over(kind.clone(), standing.as_ref(), &owner, now, LEASE)
        .await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    /// By this machine's clock the lease ran out long ago.
    #[tokio::test]
    async fn a_case_is_taken_from_nobody_who_renews_and_from_whoever_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("lazaret.db")).await.unwrap();
        let kind = LeaseKind::Case("q-20261121-7f3a2c".parse().unwrap());
        let (look, behind) = (Duration::from_millis(5), Timestamp::from_millis(1_000));
        let minute = Duration::from_secs(60);
        let lease = store.lease(kind.clone(), "daemon", behind, minute).await;
        let mut lease = lease.unwrap().unwrap();
        let renewing = async {
            loop {
                tokio::time::sleep(look).await;
                store.renew(&mut lease, behind, minute).await.unwrap();
            }
        };
        let taken = tokio::select! {
            taken = take(&store, &kind, look) => taken.unwrap(),
            () = renewing => None,
        };
        assert_eq!(taken, None, "it is renewed");
        // It is given back: at once. Nobody renews it: when it has stood still for as long as it lasts.
        store.release(lease).await.unwrap();
        let mut taken = take(&store, &kind, look).await.unwrap().unwrap();
        let short = Duration::from_millis(200);
        store.renew(&mut taken, behind, short).await.unwrap();
        let begun = Instant::now();
        assert!(take(&store, &kind, look).await.unwrap().is_some());
        assert!(begun.elapsed() >= short);
    }
}
