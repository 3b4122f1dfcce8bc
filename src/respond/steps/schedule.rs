//! The cases that silence opens: they keep new instances off a host, or let them onto it again, and touch nothing else.

use crate::ids::CaseKind;
use crate::openstack::ComputeService;
use crate::respond::caution::{approved, limits};
use crate::respond::guard::{self, Hold};
use crate::respond::inventory::Inventory;
use crate::respond::journal::Entry;
use crate::respond::plan::disabled_reason;
use crate::respond::saga::Step;

use super::disable::unless_look;
use super::{Context, Outcome, Trouble, brake};

pub(super) async fn ensure(step: Step, context: &Context<'_>) -> Result<Outcome, Trouble> {
    match (context.case.kind, step) {
        (CaseKind::Unschedule, Step::Plan) => Box::pin(plan(context)).await,
        (CaseKind::Unschedule, Step::Announce) => Ok(Outcome::Done(Entry::says(
            "people were told when the case was opened",
        ))),
        (CaseKind::Unschedule, Step::Disable) => Box::pin(disable(context)).await,
        (CaseKind::Reschedule, Step::Enable) => Box::pin(enable(context)).await,
        (kind, step) => Ok(Outcome::Stuck(format!(
            "{step} is no step of a case to {}",
            kind.as_str()
        ))),
    }
}

/// Nothing is chosen but whether its zone can do without it.
async fn plan(context: &Context<'_>) -> Result<Outcome, Trouble> {
    let holds = holds(context).await?;
    if !holds.is_empty() {
        return Ok(brake::held(context, Step::Plan, &holds).await?);
    }
    Ok(Outcome::Done(Entry::says(
        "its zone keeps enough hosts without it",
    )))
}

/// Why its zone cannot do without it now, but for what a person approved.
async fn holds(context: &Context<'_>) -> Result<Vec<Hold>, Trouble> {
    let (respond, case) = (context.respond, context.case);
    let inventory = Inventory::for_limits(context.cloud, &case.host, false).await?;
    let keep_hosts = limits(&respond.config).keep_hosts.max(1);
    let hold = match inventory.zone() {
        None => Some(Hold::NotKnown {
            what: "which hosts of its zone are enabled".to_owned(),
        }),
        Some(zone) if zone.others_enabled < keep_hosts => Some(Hold::ZoneTooSmall {
            zone: zone.name,
            would_stay: zone.others_enabled,
            keep_hosts,
        }),
        Some(_) => None,
    };
    Ok(guard::not_approved(&approved(case), hold.into_iter().collect()))
}

/// A service that somebody else has disabled stays theirs.
async fn disable(context: &Context<'_>) -> Result<Outcome, Trouble> {
    let reason = disabled_reason(&context.case.id, &context.case.cause);
    let service = context.service().await?;
    if !service.enabled {
        return Ok(done("is disabled already", &service));
    }
    // It may have rested since it was planned, and others may have been disabled meanwhile.
    let holds = holds(context).await?;
    if !holds.is_empty() {
        return Ok(brake::held(context, Step::Disable, &holds).await?);
    }
    let after = unless_look(
        context
            .cloud
            .disable(&context.leave, &service, &reason)
            .await
            .map(drop),
    )?;
    let service = context.service().await?;
    if !service.enabled {
        return Ok(done("disabled", &service));
    }
    Ok(Outcome::Again {
        after,
        why: "nova still shows the compute service enabled".to_owned(),
    })
}

/// Only what the case that it undoes has disabled.
async fn enable(context: &Context<'_>) -> Result<Outcome, Trouble> {
    let service = context.service().await?;
    if service.enabled {
        return Ok(done("is enabled already", &service));
    }
    let ours = context
        .case
        .parent
        .as_ref()
        .map(|parent| disabled_reason(parent, ""));
    let reason = service.disabled_reason.as_deref().unwrap_or_default();
    if !ours.is_some_and(|ours| reason.starts_with(&ours)) {
        return Ok(Outcome::Skipped(format!(
            "somebody else disabled it, reason \"{reason}\"; it stays disabled"
        )));
    }
    let after = unless_look(context.cloud.enable(&context.leave, &service).await.map(drop))?;
    let service = context.service().await?;
    if service.enabled {
        return Ok(done("enabled again", &service));
    }
    Ok(Outcome::Again {
        after,
        why: "nova still shows the compute service disabled".to_owned(),
    })
}

fn done(words: &str, service: &ComputeService) -> Outcome {
    let reason = match &service.disabled_reason {
        Some(reason) => format!(", reason \"{reason}\""),
        None => String::new(),
    };
    Outcome::Done(Entry::says(format!(
        "nova-compute on {} {words}{reason}",
        service.host
    )))
}
