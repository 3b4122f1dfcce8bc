//! Keeps new instances off the host: its compute service is disabled, with a reason that names the case.

use std::time::Duration;

use crate::openstack::{ComputeService, Error, Next};
use crate::respond::journal::Entry;
use crate::respond::plan::Plan;

use super::{Context, Outcome, Trouble};

pub(super) async fn ensure(context: &Context<'_>, plan: &Plan) -> Result<Outcome, Trouble> {
    let service = context.service().await?;
    if is_ours(&service, plan) {
        return Ok(done("was disabled by this case already", &service));
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
