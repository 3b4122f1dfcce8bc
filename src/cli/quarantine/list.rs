//! `lazaret quarantine list`: all cases.

use super::{group, state};
use crate::{
    cli::{
        exit::{Exit, Trouble},
        out,
    },
    store::{CaseFilter, Store},
};

pub(super) async fn list(store: &Store, open: bool, json: bool) -> Result<Exit, Trouble> {
    let cases = store
        .cases(&CaseFilter {
            host: None,
            unclosed_only: open,
        })
        .await?;
    if json {
        out::json(&cases);
        return Ok(Exit::Ok);
    }
    if cases.is_empty() {
        out::print("No case.\n");
        lost(store).await?;
        return Ok(Exit::Ok);
    }
    let rows = cases.iter().map(|case| {
        let (state, _) = state(&case.state);
        [
            case.id.to_string(),
            case.host.to_string(),
            state.to_owned(),
            case.opened_at.to_string(),
            out::plain(&case.cause),
        ]
    });
    out::print(&out::table(["CASE", "HOST", "STATE", "OPENED", "CAUSE"], rows));
    group::list(store, &cases).await?;
    lost(store).await?;
    Ok(Exit::Ok)
}

/// Hosts that nova shows as quarantined, without a case.
async fn lost(store: &Store) -> Result<(), Trouble> {
    let orphans = store.orphans().await?;
    if orphans.is_empty() {
        return Ok(());
    }
    out::print(
        "\nQuarantined by their looks, without a case here; `lazaret quarantine adopt HOST` takes one on:\n",
    );
    let rows = orphans.iter().map(|orphan| {
        [
            orphan.host.to_string(),
            orphan.found_at.to_string(),
            out::plain(&orphan.words),
        ]
    });
    out::print(&out::table(["HOST", "FOUND", "NOVA SHOWS"], rows));
    Ok(())
}
