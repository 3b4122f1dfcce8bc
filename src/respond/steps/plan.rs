//! Makes the plan where the cloud did not answer when the case was opened; touches nothing.

use crate::respond::caution::{Asking, condemning};
use crate::respond::inventory::Inventory;
use crate::respond::journal::Entry;
use crate::respond::notify::Kind;
use crate::respond::plan::Plan;
use crate::respond::saga::Step;

use super::{Context, Outcome, Trouble};

pub(super) async fn ensure(context: &Context<'_>) -> Result<Outcome, Trouble> {
    let case = context.case;
    let respond = context.respond;
    let inventory = Inventory::read(context.cloud, &case.host).await?;
    let causes = condemning(respond, case).await?;
    let now = context.now();
    let holds = respond.holds(Asking::Known(case), causes, &inventory).await?;
    let order = respond.order(&case.id, &case.cause, &case.host, now);
    let plan = match Plan::make(&order, &inventory, holds) {
        Ok(plan) => plan,
        Err(error) => return Ok(Outcome::Stuck(error.to_string())),
    };
    if !plan.holds.is_empty() {
        return Ok(super::brake::held(context, Step::Plan, &plan.holds).await?);
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
