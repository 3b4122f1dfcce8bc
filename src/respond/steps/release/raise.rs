//! Has nova no longer take the host for down. It stays disabled.

use crate::openstack::Error;
use crate::respond::journal::Entry;
use crate::respond::steps::disable::unless_look;

use super::{Giving, Outcome, Trouble, attest};

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    let (context, host) = (giving.context, &giving.context.case.host);
    let service = context.service().await?;
    if !service.forced_down {
        return Ok(Outcome::Done(Entry::says(format!(
            "nova does not take {host} for down any more"
        ))));
    }
    attest::still(giving).await?;
    let after = match context
        .cloud
        .clear_forced_down(&context.leave, &service)
        .await
        .map(drop)
    {
        // Evacuations that are not completed, in nova's words.
        Err(Error::Refused(answer)) => {
            return Ok(Outcome::Again {
                after: None,
                why: format!("nova refuses: {answer}; see that nova-compute on {host} has started"),
            });
        }
        result => unless_look(result)?,
    };
    if context.service().await?.forced_down {
        return Ok(Outcome::Again {
            after,
            why: format!("nova still takes {host} for down"),
        });
    }
    Ok(Outcome::Done(Entry::says(format!(
        "nova no longer takes {host} for down; it is disabled still"
    ))))
}
