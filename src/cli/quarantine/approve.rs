//! `lazaret quarantine approve`: a held or stuck case goes on.

use super::{no_case, state};
use crate::{
    cli::{
        exit::{Exit, Trouble},
        out,
        who::who,
    },
    clock::{Clock as _, SystemClock},
    config::ResponseMode,
    ids::CaseId,
    store::Store,
};

pub(super) async fn approve(store: &Store, id: &CaseId, mode: ResponseMode) -> Result<Exit, Trouble> {
    let case = store.case(id).await?.ok_or_else(|| no_case(id))?;
    if !store.approve(id, &who(), SystemClock.now()).await? {
        let (state, _) = state(&case.state);
        return Err(Trouble::say(
            Exit::Data,
            format_args!("case {id} is {state}; only a held or stuck case waits for a person"),
        ));
    }
    out::print(&match mode {
        ResponseMode::Enforce => format!("{id}: approved; the daemon goes on with it\n"),
        ResponseMode::Observe => {
            format!("{id}: approved; it rests as long as response.mode is \"observe\"\n")
        }
    });
    Ok(Exit::Ok)
}
