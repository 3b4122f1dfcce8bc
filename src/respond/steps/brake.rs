//! The last look before the power: a host's service can be enabled again, a host that was powered off has lost what it
//! ran.
//!
//! Where one missing golden value may be all that condemns it, some other hosts are attested at once and waited for:
//! the third host of a bad update would otherwise save only itself. Then every limit is asked once more, with
//! everything that is known by now.

use std::time::Duration;

use lazaret_attest::verdict::Verdict;
use serde_json::json;
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::ids::HostName;
use crate::respond::caution::{Asking, condemning};
use crate::respond::guard::{self, Hold, Peer};
use crate::respond::inventory::Inventory;
use crate::respond::journal::{Entry, json};
use crate::respond::saga::Step;
use crate::respond::words;
use crate::store::StoreError;

use super::{Context, Outcome, Trouble};

pub(super) async fn ensure(context: &Context<'_>) -> Result<Outcome, Trouble> {
    let (respond, case) = (context.respond, context.case);
    let causes = condemning(respond, case).await?;
    let asked = if guard::waits_for_others(&causes) {
        others(context).await?
    } else {
        "the evidence contradicts itself, and no golden value explains that; no other host was asked"
            .to_owned()
    };
    let inventory = Inventory::for_limits(context.cloud, &case.host, respond.asks_for_room()).await?;
    let holds = respond.holds(Asking::Known(case), causes, &inventory).await?;
    if !holds.is_empty() {
        return Ok(held(context, Step::Brake, &holds).await?);
    }
    Ok(Outcome::Done(Entry::says(format!("within the limits; {asked}"))))
}

/// Holds the case for these limits, with a group where a cause is shared.
pub(super) async fn held(context: &Context<'_>, step: Step, holds: &[Hold]) -> Result<Outcome, StoreError> {
    let (respond, now) = (context.respond, context.now());
    let reason = words::held(holds).unwrap_or_default();
    context
        .note(step, &Entry::with(reason.clone(), &json!({ "holds": holds })))
        .await?;
    let group = respond.hold_together(holds, None, now).await?;
    respond
        .store
        .note_holds(context.lease, &json(holds), group.as_ref(), now)
        .await?;
    Ok(Outcome::Held(reason))
}

/// Makes some other hosts due and waits until each was judged, or the time is over. Returns what came of it, in words.
async fn others(context: &Context<'_>) -> Result<String, Trouble> {
    let (respond, case) = (context.respond, context.case);
    let config = &respond.config;
    let asked = chosen(context).await?;
    if asked.is_empty() || config.brake_wait.is_zero() {
        return Ok("no other host was asked".to_owned());
    }
    // What was judged since the case was opened is news enough; the rest is attested now.
    let waiting = unheard(context, &asked, case.opened_at).await?;
    for host in &waiting {
        respond.store.set_next_due(host, context.now()).await?;
    }
    let since = Instant::now();
    let mut left = waiting;
    while !left.is_empty() && since.elapsed() < config.brake_wait {
        tokio::time::sleep(respond.pace.min(Duration::from_secs(1))).await;
        left = unheard(context, &left, case.opened_at).await?;
    }
    Ok(match left.len() {
        0 => format!(
            "{} other hosts were attested since, and are no reason to wait",
            asked.len()
        ),
        silent => format!(
            "{} other hosts were asked, and {silent} of them did not answer within {} s",
            asked.len(),
            config.brake_wait.as_secs()
        ),
    })
}

/// Whom to ask.
async fn chosen(context: &Context<'_>) -> Result<Vec<HostName>, StoreError> {
    let (store, case) = (&context.respond.store, context.case);
    let mine = store
        .round(case.confirmed_by)
        .await?
        .and_then(|round| round.policy);
    let mut peers = Vec::new();
    for host in store.hosts().await? {
        if *host.name() == case.host || host.quarantined_by.is_some() {
            continue;
        }
        let last = host.last.as_ref();
        let judged = match last {
            Some(last) => store.round(last.round).await?,
            None => None,
        };
        peers.push(Peer {
            host: host.name().clone(),
            same_policy: mine.is_some() && judged.is_some_and(|round| round.policy == mine),
            answers: last.is_some_and(|last| last.verdict != Verdict::Indeterminate),
        });
    }
    Ok(guard::probe(peers, context.respond.config.brake_probe))
}

/// Those of them that have no result since then.
async fn unheard(
    context: &Context<'_>,
    hosts: &[HostName],
    since: Timestamp,
) -> Result<Vec<HostName>, StoreError> {
    let mut unheard = Vec::new();
    for name in hosts {
        let host = context.respond.store.host(name).await?;
        let judged = host
            .and_then(|host| host.last)
            .is_some_and(|last| last.at > since);
        if !judged {
            unheard.push(name.clone());
        }
    }
    Ok(unheard)
}
