//! Ironic's maintenance of a host that it manages: while it is set, its power sync leaves the host as the fence left it.
//! Where Ironic cannot be told, the host is fenced all the same; the hold-down fences it again if it comes back.

use std::time::Duration;

use crate::ids::CaseId;
use crate::openstack::Error;
use crate::respond::journal::Entry;
use crate::respond::saga::Step;

use super::{Context, Trouble};

/// Ironic is waited for this long: a condemned host is on meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);

/// The reason that Ironic is given: a release ends the maintenance that carries it, and no other.
pub(super) fn reason(quarantine: &CaseId) -> String {
    format!("lazaret case {quarantine}")
}

/// Puts the host's node under maintenance before the power goes off, where it has one and is not under it already.
pub(super) async fn begin(context: &Context<'_>) -> Result<(), Trouble> {
    let (cloud, case) = (context.cloud, context.case);
    let Some(node) = context.respond.config.ironic_nodes.get(&case.host) else {
        return Ok(());
    };
    let telling = async {
        match cloud.ironic_node(*node).await? {
            None => Ok(Some(format!(
                "Ironic has no node {node}; see ironic_node of [[host]] {}",
                case.host
            ))),
            Some(known) if known.maintenance => Ok(None),
            Some(_) => {
                let reason = reason(&case.id);
                cloud
                    .begin_ironic_maintenance(&context.leave, &case.host, *node, &reason)
                    .await?;
                Ok::<_, Error>(Some(format!("node {node} is under maintenance in Ironic")))
            }
        }
    };
    let but = "the host is fenced all the same, and Ironic may switch it on again";
    let words = match tokio::time::timeout(PATIENCE, telling).await {
        Ok(Ok(None)) => return Ok(()),
        Ok(Ok(Some(words))) => words,
        Ok(Err(error)) => format!("node {node} is not under maintenance in Ironic: {error}; {but}"),
        Err(_) => format!("Ironic did not answer within {PATIENCE:?}; {but}"),
    };
    context.note(Step::Fence, &Entry::says(words)).await?;
    Ok(())
}
