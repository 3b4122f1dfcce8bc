//! `lazaret quarantine evidence`: what condemned the host, as files.

use std::path::Path;

use super::no_case;
use crate::{
    cli::{
        exit::{Exit, Trouble},
        out,
    },
    ids::CaseId,
    store::Store,
};

pub(super) async fn evidence(
    store: &Store,
    id: &CaseId,
    output: &Path,
    force: bool,
) -> Result<Exit, Trouble> {
    let case = store.case(id).await?.ok_or_else(|| no_case(id))?;
    std::fs::create_dir_all(output).map_err(|error| {
        let cause = anyhow::Error::new(error).context(format!("making the directory {}", output.display()));
        Trouble::new(Exit::CannotCreate, cause)
    })?;
    for (what, digest) in store.case_evidence(id).await? {
        let bytes = store.evidence(digest).await?.ok_or_else(|| {
            Trouble::say(
                Exit::Io,
                format_args!("the evidence {digest} of case {id} is not in the database"),
            )
        })?;
        let file = output.join(format!("{}-{what}.bundle", case.host));
        out::create(&file, &bytes, force)?;
        out::print(&format!("{digest}  {}\n", file.display()));
    }
    Ok(Exit::Ok)
}
