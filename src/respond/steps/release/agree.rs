//! Sees that another person agrees, where the configuration asks for one.

use crate::respond::journal::Entry;
use crate::respond::release::NOBODY;

use super::{Giving, Outcome, Trouble};

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    // Whoever asks may have read another configuration: this daemon's own counts as well.
    if !giving.asked.second_person && !giving.context.respond.config.second_person {
        return Ok(Outcome::Skipped("release.second_person is false".to_owned()));
    }
    let case = giving.context.case;
    if giving.asked.asked_by == NOBODY {
        return Ok(Outcome::Held(format!(
            "who asked for it is not known, so that nobody is another person: `lazaret quarantine dismiss {} --because TEXT`, \
             then ask again on the controller itself, not in a user namespace",
            case.id
        )));
    }
    let settled = giving.context.respond.store.release_items(&case.id).await?;
    Ok(match giving.asked.second(&settled) {
        Some(second) => Outcome::Done(Entry::says(format!("{} agreed at {}", second.by, second.at))),
        None => Outcome::Held(format!(
            "{} asked for it, and another person has to agree: `lazaret quarantine release {} approve`",
            giving.asked.asked_by, case.host
        )),
    })
}
