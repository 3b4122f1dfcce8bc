//! Sees that people replaced what the host knew, or waived it by name.

use crate::respond::journal::Entry;
use crate::store::ItemState;

use super::{Giving, Outcome, Trouble};

pub(super) async fn ensure(giving: &Giving<'_>) -> Result<Outcome, Trouble> {
    let settled = giving
        .context
        .respond
        .store
        .release_items(&giving.quarantine.id)
        .await?;
    let missing: Vec<&str> = giving
        .asked
        .missing(&settled)
        .into_iter()
        .map(|item| item.name.as_str())
        .collect();
    if !missing.is_empty() {
        let host = &giving.context.case.host;
        return Ok(Outcome::Held(format!(
            "not ticked and not waived yet: {}; `lazaret quarantine release {host} tick ITEM` for each that is done, or \
             `lazaret quarantine release {host} waive ITEM --because TEXT`",
            missing.join(", ")
        )));
    }
    let waived: Vec<String> = settled
        .iter()
        .filter(|item| item.state == ItemState::Waived)
        .map(|item| {
            let because = item.because.as_deref().unwrap_or_default();
            format!("{} waived by {}: {because}", item.item, item.by)
        })
        .collect();
    Ok(Outcome::Done(Entry::with(
        if waived.is_empty() {
            "all is ticked".to_owned()
        } else {
            format!("ticked, or {}", waived.join("; "))
        },
        &settled,
    )))
}
