//! Has nova treat the host as down, so that it lets its instances be rebuilt elsewhere.

use crate::respond::journal::Entry;
use crate::respond::plan::Plan;

use super::disable::unless_look;
use super::fence::Asked;
use super::{Context, Outcome, Trouble};

pub(super) async fn ensure(context: &Context<'_>, plan: &Plan) -> Result<Outcome, Trouble> {
    let host = &context.case.host;
    // Seen off first, even when nova has the flag already: the steps that follow trust both.
    let fenced = super::fence::proof(context).await?;
    let service = context.service().await?;
    if service.forced_down && !service.enabled {
        return Ok(Outcome::Done(Entry::says(format!(
            "nova takes {host} for down already"
        ))));
    }
    if let Some(why) = super::fence::still_off(context, &fenced, Asked::Meanwhile).await? {
        return Ok(Outcome::Again { after: None, why });
    }
    let after = unless_look(
        context
            .cloud
            .force_down(&context.leave, &fenced, &service, &plan.disabled_reason)
            .await
            .map(drop),
    )?;
    let service = context.service().await?;
    if service.forced_down && !service.enabled {
        return Ok(Outcome::Done(Entry::says(format!("nova takes {host} for down"))));
    }
    Ok(Outcome::Again {
        after,
        why: format!("nova does not take {host} for down yet"),
    })
}
