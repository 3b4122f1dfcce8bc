//! `lazaret quarantine dismiss`: how a person ends a case that should not go on.

use super::no_case;
use crate::{
    cli::{
        context,
        exit::{Exit, Trouble},
        out,
        who::who,
    },
    clock::Clock as _,
    ids::CaseId,
    respond::journal::json,
    store::{AuditEntry, CaseState, LeaseKind, Outcome, StepState, Store},
};

/// Long enough to write one row.
const LEASE: std::time::Duration = std::time::Duration::from_secs(30);

/// Closes a held or stuck case without doing anything more.
pub(super) async fn dismiss(store: &Store, id: &CaseId, because: &str) -> Result<Exit, Trouble> {
    one(store, id, because).await?;
    Ok(Exit::Ok)
}

pub(super) async fn one(store: &Store, id: &CaseId, because: &str) -> Result<(), Trouble> {
    let case = store.case(id).await?.ok_or_else(|| no_case(id))?;
    if !matches!(case.state, CaseState::Held { .. } | CaseState::Stuck { .. }) {
        return Err(Trouble::say(
            Exit::Data,
            format_args!(
                "case {id} is neither held nor stuck; set response.mode to \"observe\" to stop a case that runs"
            ),
        ));
    }
    let clock = crate::clock::SystemClock;
    let kind = LeaseKind::Case(id.clone());
    let lease = store
        .lease(kind, &context::owner(), clock.now(), LEASE)
        .await?
        .ok_or_else(|| {
            Trouble::say(
                Exit::TryAgain,
                format_args!("case {id} is being worked on by a daemon just now"),
            )
        })?;
    let who = who();
    let done: Vec<_> = store
        .steps(id)
        .await?
        .into_iter()
        .filter(|step| step.state != StepState::Pending && step.name != "announce" && step.name != "plan")
        .map(|step| step.name)
        .collect();
    let outcome = Outcome {
        reason: format!("dismissed by {who}: {because}"),
        detail: json(&serde_json::json!({ "dismissed_by": who, "because": because, "steps_begun": done })),
    };
    let closed = store.close_case(&lease, &outcome, &[], clock.now()).await;
    store.release(lease).await?;
    closed?;
    let entry = AuditEntry {
        who,
        what: "dismiss".to_owned(),
        subject: format!("case {id}, host {}", case.host),
        outcome: format!("done: {because}"),
    };
    store.audit(&entry, clock.now()).await?;
    out::print(&format!("{id}: dismissed\n"));
    if !done.is_empty() {
        out::print(&format!(
            "Begun before, and left as they are: {}. Host {} stays in quarantine until `lazaret quarantine release {}`.\n",
            done.join(", "),
            case.host,
            case.host
        ));
    }
    Ok(())
}
