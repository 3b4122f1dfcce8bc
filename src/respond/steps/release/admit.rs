//! Lets new instances onto the host again, unless it was closed to them before the quarantine.

use crate::respond::journal::Entry;
use crate::respond::steps::disable::unless_look;

use super::{Giving, Outcome, Trouble, attest};

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    let (context, host) = (giving.context, &giving.context.case.host);
    let service = context.service().await?;
    let before = &giving.plan.service;
    if service.enabled {
        return Ok(Outcome::Done(Entry::says(format!(
            "nova-compute on {host} is enabled"
        ))));
    }
    if service.forced_down {
        return Ok(Outcome::Stuck(format!(
            "nova takes {host} for down again; forced down *and* enabled, other tools would take it for theirs. Find who \
             did that, then `lazaret quarantine release {host}` again"
        )));
    }
    attest::still(giving).await?;
    let after = if before.enabled {
        unless_look(context.cloud.enable(&context.leave, &service).await.map(drop))?
    } else {
        let reason = before
            .disabled_reason
            .as_deref()
            .filter(|reason| !reason.is_empty());
        let reason = reason.unwrap_or("disabled before a quarantine");
        if service.disabled_reason.as_deref() == Some(reason) {
            return Ok(Outcome::Done(Entry::says(left(reason))));
        }
        let disabled = context.cloud.disable(&context.leave, &service, reason).await;
        unless_look(disabled.map(drop))?;
        return Ok(Outcome::Done(Entry::says(left(reason))));
    };
    if context.service().await?.enabled {
        return Ok(Outcome::Done(Entry::says(format!(
            "nova-compute on {host} is enabled"
        ))));
    }
    Ok(Outcome::Again {
        after,
        why: format!("nova still shows nova-compute on {host} disabled"),
    })
}

fn left(reason: &str) -> String {
    format!("it was disabled before the quarantine, \"{reason}\", and is left so")
}
