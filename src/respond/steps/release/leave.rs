//! Takes the host out of the quarantine aggregate, whoever put it there.

use crate::respond::journal::Entry;
use crate::respond::steps::disable::unless_look;

use super::{Giving, Outcome, Trouble, attest};

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    let (context, host) = (giving.context, &giving.context.case.host);
    let name = &giving.plan.quarantine_aggregate;
    let Some(aggregate) = context
        .cloud
        .aggregate(name)
        .await?
        .filter(|known| known.has(host))
    else {
        return Ok(Outcome::Done(Entry::says(format!("{host} is not in {name}"))));
    };
    attest::still(giving).await?;
    let left = context
        .cloud
        .leave_aggregate(&context.leave, &aggregate, host)
        .await;
    let after = unless_look(left.map(drop))?;
    match context.cloud.aggregate(name).await? {
        Some(aggregate) if aggregate.has(host) => Ok(Outcome::Again {
            after,
            why: format!("nova still shows {host} in {name}"),
        }),
        _ => Ok(Outcome::Done(Entry::says(format!("{host} left {name}")))),
    }
}
