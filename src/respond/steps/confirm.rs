//! Sees every instance on another host, or accounted for; and that nobody undid or widened the quarantine.

use crate::ids::HostName;
use crate::openstack::{Aggregate, Error};
use crate::respond::journal::Entry;
use crate::respond::notify::Kind;
use crate::respond::plan::{Plan, Way};
use crate::respond::saga::Step;
use crate::store::CaseInstance;

use super::disable::{is_ours, unless_look};
use super::fence::Asked;
use super::watch::{self, HELD, View};
use super::{Context, Outcome, Trouble};

pub(super) async fn ensure(context: &Context<'_>, plan: &Plan) -> Result<Outcome, Trouble> {
    let view = View::read(context.cloud, &context.case.host).await?;
    let mut recorded = watch::with_newcomers(context, plan, &view).await?;
    // Read once more, also those that were settled: the evacuation's own word is no proof.
    let mut now: Vec<CaseInstance> = Vec::new();
    for known in &recorded {
        if known.fate == Way::Evacuate.as_str() && known.state != HELD {
            now.push(view.stand(context.cloud, known).await?);
        }
    }
    watch::record(context, &mut recorded, now).await?;
    let open: Vec<String> = recorded
        .iter()
        .filter(|known| !watch::is_settled(known) || known.state == watch::FAILED)
        .map(|known| format!("{} ({}) is {}", known.id, known.name, known.state))
        .collect();
    if !open.is_empty() {
        return Ok(Outcome::Again {
            after: None,
            why: format!("nova does not show all instances elsewhere: {}", open.join(", ")),
        });
    }
    keep_out(context, plan).await?;
    take_strays_out(context, plan).await?;
    let summary = watch::summary(&recorded);
    let words = format!("the instances of {}: {summary}", context.case.host);
    context.tell(Kind::HostEvacuated, words).await?;
    Ok(Outcome::Done(Entry::says(summary)))
}

/// Masakari overwrites the reason; another tool may have let the host in again.
async fn keep_out(context: &Context<'_>, plan: &Plan) -> Result<(), Trouble> {
    let service = context.service().await?;
    if is_ours(&service, plan) && service.forced_down {
        return Ok(());
    }
    let reason = service.disabled_reason.as_deref().unwrap_or("none");
    let words = format!(
        "nova-compute on {} was {}, {}, reason \"{reason}\"; put back",
        service.host,
        if service.enabled { "ENABLED" } else { "disabled" },
        if service.forced_down {
            "forced down"
        } else {
            "NOT FORCED DOWN"
        },
    );
    let after = if service.forced_down {
        unless_look(
            context
                .cloud
                .disable(&context.leave, &service, &plan.disabled_reason)
                .await
                .map(drop),
        )?
    } else {
        let fenced = super::fence::proof(context).await?;
        if let Some(why) = super::fence::still_off(context, &fenced, Asked::Meanwhile).await? {
            return Err(Trouble::Ended(Box::new(Outcome::Again { after: None, why })));
        }
        unless_look(
            context
                .cloud
                .force_down(&context.leave, &fenced, &service, &plan.disabled_reason)
                .await
                .map(drop),
        )?
    };
    let service = context.service().await?;
    if !is_ours(&service, plan) || !service.forced_down {
        let why = format!("{words}, and nova does not show it yet");
        return Err(Trouble::Ended(Box::new(Outcome::Again { after, why })));
    }
    context.note(Step::Confirm, &Entry::says(words)).await?;
    Ok(())
}

/// Hosts in the quarantine aggregate that have no business there. One that is disabled, forced down or not known about is
/// none: it may be quarantined by a case that the database lost, and this may be all that keeps instances off it.
pub(in crate::respond) async fn strays(
    context: &Context<'_>,
    plan: &Plan,
    aggregate: &Aggregate,
) -> Result<Vec<HostName>, Trouble> {
    let mut strays = Vec::new();
    for host in &aggregate.hosts {
        let known = *host == context.case.host || plan.quarantined_before.contains(host);
        if known || has_case(context, host).await? {
            continue;
        }
        let service = match context.cloud.compute_service(host).await {
            Err(Error::NotKnown { .. }) => None,
            read => read?,
        };
        if service.is_some_and(|service| service.enabled && !service.forced_down) {
            strays.push(host.clone());
        }
    }
    Ok(strays)
}

/// Masakari puts its spare host into every aggregate of the failed one, the quarantine included.
pub(in crate::respond) async fn take_strays_out(context: &Context<'_>, plan: &Plan) -> Result<(), Trouble> {
    let Some(aggregate) = context.cloud.aggregate(&plan.quarantine_aggregate).await? else {
        return Ok(());
    };
    for host in &strays(context, plan, &aggregate).await? {
        context
            .cloud
            .leave_aggregate(&context.leave, &aggregate, host)
            .await?;
        let words = format!(
            "{host} was found in the quarantine aggregate {} without a case, and taken out",
            aggregate.name
        );
        context.tell(Kind::StrayHost, words.clone()).await?;
        context.note(Step::Confirm, &Entry::says(words)).await?;
    }
    Ok(())
}

async fn has_case(context: &Context<'_>, host: &HostName) -> Result<bool, Trouble> {
    let store = &context.respond.store;
    let quarantined = store
        .host(host)
        .await?
        .is_some_and(|host| host.quarantined_by.is_some());
    Ok(quarantined || store.unclosed_case(host).await?.is_some())
}
