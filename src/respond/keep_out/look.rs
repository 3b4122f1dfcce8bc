//! Reads what is expected of a quarantined host.

use std::collections::BTreeSet;

use crate::ids::InstanceId;
use crate::openstack::{Error, MigrationKind, Phase};
use crate::respond::holddown::{Expect, PowerNow, Seen};
use crate::respond::plan::Plan;
use crate::respond::steps::{self, Context, Trouble};

use super::Beat;

/// Reads everything that is expected of the host.
pub(super) async fn look(
    context: &Context<'_>,
    plan: &Plan,
    expect: &Expect,
    beat: Beat,
) -> Result<Seen, Trouble> {
    let (cloud, host) = (context.cloud, &context.case.host);
    let service = context.service().await?;
    let (mut in_aggregate, mut strays) = (false, Vec::new());
    if expect.isolated
        && let Some(aggregate) = cloud.aggregate(&plan.quarantine_aggregate).await?
    {
        in_aggregate = aggregate.has(host);
        strays = steps::strays(context, plan, &aggregate).await?;
    }
    let (mut back, mut may_return) = (Vec::new(), Vec::new());
    if expect.empty {
        let (here, moves) = tokio::try_join!(cloud.servers_on(host), cloud.migrations_from(host, None))?;
        let left: BTreeSet<InstanceId> = context
            .instances()
            .await?
            .into_iter()
            .filter(|known| [steps::HELD, steps::FAILED].contains(&known.state.as_str()))
            .map(|known| known.id)
            .collect();
        back = here
            .into_iter()
            .filter(|server| !left.contains(&server.id))
            .map(|server| (server.id, server.name))
            .collect();
        let resized = |kind: &MigrationKind| matches!(kind, MigrationKind::Cold | MigrationKind::Resize);
        may_return = moves
            .into_iter()
            .filter(|known| resized(&known.kind) && known.phase() == Phase::Waiting)
            .map(|known| known.instance)
            .collect();
    }
    let (power, agent_answers, let_go) = if expect.off {
        let (power, answers) = tokio::join!(steps::power_now(context), steps::agent_answers(context));
        (power, answers?, steps::let_go(context).await)
    } else {
        (PowerNow::Off, false, None)
    };
    let unmaintained = expect.maintained && unmaintained(context).await;
    let stirs = matches!((beat, service.heartbeat), (Some(before), Some(now)) if now > before);
    Ok(Seen {
        enabled: service.enabled,
        reason: service.disabled_reason,
        forced_down: service.forced_down,
        in_aggregate,
        strays,
        power,
        let_go,
        agent_answers,
        stirs,
        back,
        may_return,
        unmaintained,
    })
}

/// Whether Masakari has ended the maintenance that this quarantine began. A Masakari that cannot be asked keeps nobody
/// from looking at the rest.
async fn unmaintained(context: &Context<'_>) -> bool {
    let (cloud, host) = (context.cloud, &context.case.host);
    if !steps::maintenance_is_ours(host, context.journal) {
        return false;
    }
    let asked = async {
        if !cloud.has_masakari().await? {
            return Ok(None);
        }
        cloud.recovery_host(host).await
    };
    let answer: Result<_, Error> = asked.await;
    match answer {
        Ok(known) => known.is_some_and(|known| !known.on_maintenance),
        Err(error) => {
            tracing::warn!(case = %context.case.id, %host, %error, "cannot look for the host in Masakari");
            false
        }
    }
}
