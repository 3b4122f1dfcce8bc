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
    Ok(Exit::Ok)
}
