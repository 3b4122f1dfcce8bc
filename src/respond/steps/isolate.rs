//! Puts the host into the quarantine aggregate, which is made without an availability zone where it is missing.

use crate::openstack::Error;
use crate::respond::journal::Entry;
use crate::respond::plan::{Plan, Recovery};
use crate::respond::saga::Step;

use super::{Context, Outcome, Trouble};

pub(super) async fn ensure(context: &Context<'_>, plan: &Plan) -> Result<Outcome, Trouble> {
    pause_masakari(context, plan).await?;
    let host = &context.case.host;
    let name = &plan.quarantine_aggregate;
    let aggregate = context.cloud.ensure_aggregate(&context.leave, name).await?;
    if aggregate.has(host) {
        return Ok(Outcome::Done(Entry::says(format!(
            "{host} is in the host aggregate {name} already"
        ))));
    }
    match context
        .cloud
        .join_aggregate(&context.leave, &aggregate, host)
        .await
        .map(drop)
    {
        Err(Error::Conflict(answer)) => Ok(Outcome::Stuck(format!(
            "{answer}; the host aggregate {name} must have no availability zone, so that any host can join it"
        ))),
        result => {
            let after = super::disable::unless_look(result)?;
            match context.cloud.aggregate(name).await? {
                Some(aggregate) if aggregate.has(host) => Ok(Outcome::Done(Entry::says(format!(
                    "{host} joined the host aggregate {name}"
                )))),
                _ => Ok(Outcome::Again {
                    after,
                    why: format!("nova does not show {host} in {name} yet"),
                }),
            }
        }
    }
}

/// When nova evacuates, Masakari's monitors must not take the coming power-off for a failure. Should Masakari not
/// answer, the quarantine goes on: the evacuation asks again, and does not begin without it.
async fn pause_masakari(context: &Context<'_>, plan: &Plan) -> Result<(), Trouble> {
    if !matches!(
        plan.recovery,
        Recovery::Nova {
            pause_masakari: true,
            ..
        }
    ) {
        return Ok(());
    }
    let words = match super::masakari::pause(context).await {
        Ok(true) => return Ok(()),
        Ok(false) => "Masakari is at work on the host already".to_owned(),
        Err(error) => format!("Masakari could not be paused: {error}"),
    };
    context.note(Step::Isolate, &Entry::says(words)).await?;
    Ok(())
}
