//! Sees that another person agrees, where the configuration asks for one.

use crate::respond::journal::Entry;

use super::{Giving, Outcome, Trouble};

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    if !giving.asked.second_person {
        return Ok(Outcome::Skipped("release.second_person is false".to_owned()));
    }
    let case = giving.context.case;
    let settled = giving.context.respond.store.release_items(&case.id).await?;
    Ok(match giving.asked.second(&settled) {
        Some(second) => Outcome::Done(Entry::says(format!("{} agreed at {}", second.by, second.at))),
        None => Outcome::Held(format!(
            "{} asked for it, and another person has to agree: `lazaret quarantine release {} approve`",
            giving.asked.asked_by, case.host
        )),
    })
}
