//! Keeps new instances off the host: its compute service is disabled, with a reason that names the case.
//!
//! The limits were asked when the case was opened. Since then it may have rested, and other hosts may have been disabled,
//! so they are asked again directly before the request. A host whose case is no longer open was disabled before: that it
//! is put back asks no limit.

use std::time::Duration;

use crate::openstack::{ComputeService, Error, Next};
use crate::respond::caution::{Asking, condemning};
use crate::respond::guard::Hold;
use crate::respond::inventory::Inventory;
use crate::respond::journal::Entry;
use crate::respond::plan::Plan;
use crate::respond::saga::Step;
use crate::store::CaseState;

use super::{Context, Outcome, Trouble, brake};

pub(super) async fn ensure(context: &Context<'_>, plan: &Plan) -> Result<Outcome, Trouble> {
    let service = context.service().await?;
    if is_ours(&service, plan) {
        return Ok(done("was disabled by this case already", &service));
    }
    let holds = match context.case.state {
        CaseState::Open => over_limits(context).await?,
        _ => Vec::new(),
    };
    if !holds.is_empty() {
        return Ok(brake::held(context, Step::Disable, &holds).await?);
    }
    // It may have taken effect whatever the answer: nova asks the host before it answers.
    let after = unless_look(
        context
            .cloud
            .disable(&context.leave, &service, &plan.disabled_reason)
            .await
            .map(drop),
    )?;
    let service = context.service().await?;
    if is_ours(&service, plan) {
        return Ok(done("disabled", &service));
    }
    Ok(Outcome::Again {
        after,
        why: "nova still shows the compute service enabled".to_owned(),
    })
}

/// The limits that the case would be over by now. Whether others share its cause the brake asks, when it has asked them:
/// until then the host is only kept free of new instances, and that can be taken back.
async fn over_limits(context: &Context<'_>) -> Result<Vec<Hold>, Trouble> {
    let (respond, case) = (context.respond, context.case);
    let causes = condemning(respond, case).await?;
    let inventory = Inventory::for_limits(context.cloud, &case.host, respond.asks_for_room()).await?;
    let mut holds = respond.holds(Asking::Known(case), causes, &inventory).await?;
    holds.retain(|hold| !matches!(hold, Hold::SharedCause { .. }));
    Ok(holds)
}

/// Whether the service is disabled with this case's own reason.
pub(super) fn is_ours(service: &ComputeService, plan: &Plan) -> bool {
    !service.enabled && service.disabled_reason.as_deref() == Some(plan.disabled_reason.as_str())
}

fn done(words: &str, service: &ComputeService) -> Outcome {
    let reason = service.disabled_reason.as_deref().unwrap_or_default();
    Outcome::Done(Entry::says(format!(
        "nova-compute on {} {words}, reason \"{reason}\"",
        service.host
    )))
}

/// An error that only says "look" is not the end of a step. Returns how long the service wants to be left alone, where
/// it said so.
pub(super) fn unless_look(result: Result<(), Error>) -> Result<Option<Duration>, Error> {
    match result {
        Err(error) if error.next() == Next::Look => {
            tracing::warn!(%error, "the call may have taken effect; looking");
            Ok(error.retry_after())
        }
        other => other.map(|()| None),
    }
}
