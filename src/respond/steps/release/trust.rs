//! Counts the host as any other again: it may be quarantined anew, and nothing holds it down. The last that is taken back.

use crate::respond::journal::Entry;

use super::{Giving, Outcome, Trouble, attest};

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    let (context, host) = (giving.context, &giving.context.case.host);
    let known = context.respond.store.host(host).await?;
    let held = known.is_some_and(|known| known.quarantined_by.as_ref() == Some(&giving.quarantine.id));
    if held {
        attest::still(giving).await?;
        let (lease, now) = (context.lease, context.now());
        context
            .respond
            .store
            .give_back(lease, host, &giving.quarantine.id, now)
            .await?;
    }
    Ok(Outcome::Done(Entry::says(format!(
        "{host} is out of quarantine {}",
        giving.quarantine.id
    ))))
}
