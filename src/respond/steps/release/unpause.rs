//! Ends the host's maintenance in Masakari, where this quarantine, or the recovery that it asked for, began it; and in
//! Ironic.

use crate::openstack::Error;
use crate::respond::journal::Entry;
use crate::respond::orphans::is_adopted;
use crate::respond::steps::masakari::begun_by;

use super::{Giving, Outcome, Trouble, attest};

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    let (context, host) = (giving.context, &giving.context.case.host);
    bare_metal(giving).await?;
    if !context.cloud.has_masakari().await? {
        return Ok(Outcome::Skipped("the cloud has no Masakari".to_owned()));
    }
    let Some(known) = context.cloud.recovery_host(host).await? else {
        return Ok(Outcome::Skipped(format!("{host} is in no segment of Masakari")));
    };
    if !known.on_maintenance {
        return Ok(Outcome::Done(Entry::says("Masakari has it under no maintenance")));
    }
    if !begun_by(host, &giving.journal) && is_adopted(&giving.quarantine) {
        return Ok(Outcome::Done(Entry::says(format!(
            "Masakari has it UNDER MAINTENANCE, and the quarantine was adopted: whether its lost case began that is not known, \
             and it is left. Where nobody else did: `openstack segment host update --on_maintenance False SEGMENT {host}`"
        ))));
    }
    if !begun_by(host, &giving.journal) {
        return Ok(Outcome::Done(Entry::says(
            "Masakari has it under maintenance, which was not begun by this quarantine: left as it is",
        )));
    }
    attest::still(giving).await?;
    match context.cloud.set_maintenance(&context.leave, &known, false).await {
        Ok(()) => {}
        Err(Error::Conflict(answer)) => {
            return Ok(Outcome::Again {
                after: None,
                why: format!("Masakari is at work on the host: {answer}"),
            });
        }
        Err(error) => drop(crate::respond::steps::disable::unless_look(Err(error))?),
    }
    match context.cloud.recovery_host(host).await? {
        Some(known) if known.on_maintenance => Ok(Outcome::Again {
            after: None,
            why: "Masakari still has it under maintenance".to_owned(),
        }),
        _ => Ok(Outcome::Done(Entry::says("Masakari's maintenance is over"))),
    }
}

/// Ends the maintenance in Ironic that carries the quarantine's reason.
async fn bare_metal(giving: &Giving<'_>) -> Result<(), Trouble> {
    let (context, host) = (giving.context, &giving.context.case.host);
    let Some(node) = context.respond.config.ironic_nodes.get(host) else {
        return Ok(());
    };
    let known = context.cloud.ironic_node(*node).await?;
    let reason = crate::respond::steps::bare_metal::reason(&giving.quarantine.id);
    if known.is_some_and(|known| known.maintenance && known.maintenance_reason == Some(reason)) {
        attest::still(giving).await?;
        context
            .cloud
            .end_ironic_maintenance(&context.leave, host, *node)
            .await?;
    }
    Ok(())
}
