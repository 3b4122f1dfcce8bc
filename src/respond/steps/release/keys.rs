//! Sees by which keys the host will be known: enrolled again since its quarantine, or pinned before.

use crate::respond::journal::Entry;

use super::{Giving, Outcome, Trouble};

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    let host = &giving.context.case.host;
    let Some(known) = giving.context.respond.store.host(host).await? else {
        return Ok(Outcome::Held(format!(
            "{host} is not enrolled any more; `lazaret enroll {host}`, then `lazaret quarantine release {host}` again"
        )));
    };
    let words = if known.enrolled_at > giving.quarantine.opened_at {
        format!("enrolled again at {} by {}", known.enrolled_at, known.enrolled_by)
    } else {
        format!(
            "the keys that were pinned at {} by {} have to answer",
            known.enrolled_at, known.enrolled_by
        )
    };
    Ok(Outcome::Done(Entry::says(words)))
}
