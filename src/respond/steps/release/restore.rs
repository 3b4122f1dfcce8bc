//! Sees the host in the aggregates that it was in. It never left them by us; another tool, or a person, may have taken it out.

use crate::openstack::Error;
use crate::respond::journal::Entry;
use crate::respond::steps::disable::unless_look;

use super::{Giving, Outcome, Trouble, attest};

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    let (context, host) = (giving.context, &giving.context.case.host);
    let mut words = Vec::new();
    for before in &giving.plan.aggregates {
        let now = context.cloud.aggregates().await?;
        let Some(aggregate) = now.into_iter().find(|known| known.id == before.id) else {
            words.push(format!("{} is gone", before.name));
            continue;
        };
        if aggregate.has(host) {
            words.push(format!("in {} still", before.name));
            continue;
        }
        attest::still(giving).await?;
        match context
            .cloud
            .join_aggregate(&context.leave, &aggregate, host)
            .await
            .map(drop)
        {
            Err(Error::Conflict(answer)) => {
                return Ok(Outcome::Stuck(format!(
                    "{host} was in aggregate {} and nova does not let it join again: {answer}; put it there by hand, or \
                     take it out of the aggregate that is in the way, then `lazaret quarantine release {host}` again",
                    before.name
                )));
            }
            result => drop(unless_look(result)?),
        }
        let now = context.cloud.aggregates().await?;
        if !now.iter().any(|known| known.id == before.id && known.has(host)) {
            return Ok(Outcome::Again {
                after: None,
                why: format!("nova does not show {host} in {} yet", before.name),
            });
        }
        words.push(format!("in {} again", before.name));
    }
    if words.is_empty() {
        words.push("it was in no other aggregate".to_owned());
    }
    Ok(Outcome::Done(Entry::says(words.join(", "))))
}
