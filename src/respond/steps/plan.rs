//! Makes the plan where the cloud did not answer when the case was opened; touches nothing.

use serde_json::json;

use crate::respond::guard::Cause;
use crate::respond::inventory::Inventory;
use crate::respond::journal::Entry;
use crate::respond::notify::Kind;
use crate::respond::on_round::{findings, held};
use crate::respond::plan::Plan;
use crate::respond::saga::Step;

use super::{Context, Outcome, Trouble};

pub(super) async fn ensure(context: &Context<'_>) -> Result<Outcome, Trouble> {
    let case = context.case;
    let respond = context.respond;
    let inventory = Inventory::read(context.cloud, &case.host).await?;
    let causes = match respond.store.round(case.confirmed_by).await? {
        Some(round) => Cause::of(&findings(&round)),
        None => Default::default(),
    };
    let now = context.now();
    let holds = respond.holds(&case.id, now, causes, &inventory).await?;
    let order = respond.order(&case.id, &case.cause, &case.host, now);
    let plan = match Plan::make(&order, &inventory, holds) {
        Ok(plan) => plan,
        Err(error) => return Ok(Outcome::Stuck(error.to_string())),
    };
    if let Some(reason) = held(&plan.holds)
        && !approved(context)
    {
        context
            .note(
                Step::Plan,
                &Entry::with(reason.clone(), &json!({ "holds": plan.holds })),
            )
            .await?;
        return Ok(Outcome::Held(reason));
    }
    let instances: Vec<_> = plan
        .instances
        .iter()
        .map(|instance| instance.recorded(&case.host))
        .collect();
    context.put(&instances).await?;
    context
        .tell(
            Kind::CaseOpened,
            format!("{} fails attestation: {}", case.host, case.cause),
        )
        .await?;
    let words = format!("{} instances; recovery planned", plan.instances.len());
    Ok(Outcome::Done(Entry::with(words, &plan)))
}

/// Whether a person has let this case go on after the limits held it. (An approval of a case that was stuck for
/// another reason is no approval of going over a limit.)
pub(super) fn approved(context: &Context<'_>) -> bool {
    context.case.approved_by.is_some()
        && [Step::Plan, Step::Announce]
            .into_iter()
            .flat_map(|step| context.remarks(step))
            .any(|entry| entry.seen.is_some_and(|seen| seen.get("holds").is_some()))
}
