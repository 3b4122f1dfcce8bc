//! Groups of cases that are held together for one cause: listed, shown, approved, dismissed.

use serde::Serialize;

use super::{dismiss, state};
use crate::{
    cli::{
        exit::{Exit, Trouble},
        out,
        who::who,
    },
    clock::{Clock as _, SystemClock},
    config::ResponseMode,
    ids::GroupId,
    respond::{
        guard::{Cause, Hold},
        journal::json,
    },
    store::{Case, CaseFilter, CaseState, HeldGroup, Store},
};
use lazaret_attest::finding::Code;

#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    group: HeldGroup,
    add: Option<String>,
    cases: Vec<Case>,
}

/// The groups that hold some of these cases, below the table of cases.
pub(super) async fn list(store: &Store, cases: &[Case]) -> Result<(), Trouble> {
    let mut rows = Vec::new();
    for group in store.held_groups().await? {
        let held = cases.iter().filter(|case| holds(&group, case)).count();
        if held > 0 {
            rows.push([
                group.id.to_string(),
                held.to_string(),
                group.opened_at.to_string(),
                out::plain(&cause(&group)?.to_string()),
            ]);
        }
    }
    if !rows.is_empty() {
        out::print(
            "\nHeld together: one cause on many hosts is rather a missing golden value than as many break-ins.\n",
        );
        out::print(&out::table(["GROUP", "CASES", "OPENED", "CAUSE"], rows));
    }
    Ok(())
}

pub(super) async fn show(store: &Store, id: &GroupId, json: bool) -> Result<Exit, Trouble> {
    let group = known(store, id).await?;
    let cause = cause(&group)?;
    let shown = Shown {
        cases: members(store, &group).await?,
        add: addition(&group.id, &cause),
        group,
    };
    if json {
        out::json(&shown);
        return Ok(Exit::Ok);
    }
    let group = &shown.group;
    let held = shown.cases.iter().filter(|case| holds(group, case)).count();
    out::print(&format!(
        "{id}: {} cases of one cause, {held} of them held\n  cause   {}\n  opened  {}\n",
        shown.cases.len(),
        out::plain(&cause.to_string()),
        group.opened_at
    ));
    if let (Some(by), Some(at), Some(outcome)) = (&group.settled_by, group.settled_at, &group.outcome) {
        out::print(&format!(
            "  {} by {} at {at}\n",
            out::plain(outcome),
            out::plain(by)
        ));
    }
    if let Ok(code) = cause.code.parse::<Code>() {
        out::print(&format!("  means   {}\n", code.meaning()));
    }
    out::print("\n");
    out::print(&out::table(
        ["CASE", "HOST", "STATE", "OPENED"],
        shown.cases.iter().map(|case| {
            let (state, _) = state(&case.state);
            [
                case.id.to_string(),
                case.host.to_string(),
                state.to_owned(),
                case.opened_at.to_string(),
            ]
        }),
    ));
    out::print("\nIf the value is as it should be, such as after an update, add it to the golden values:\n");
    match &shown.add {
        Some(command) => out::print(&format!("    {command}\n")),
        None => out::print(&format!(
            "    by hand: {}\n",
            cause
                .code
                .parse::<Code>()
                .map_or("see docs/policies.md", Code::remedy)
        )),
    }
    out::print(&format!(
        "  and end these cases:\n    lazaret quarantine dismiss {id} --because TEXT\nIf these are break-ins, let all its cases go on:\n    lazaret quarantine approve {id}\n"
    ));
    Ok(Exit::Ok)
}

pub(super) async fn approve(store: &Store, id: &GroupId, mode: ResponseMode) -> Result<Exit, Trouble> {
    let group = known(store, id).await?;
    let shown = Hold::SharedCause {
        cause: cause(&group)?,
        hosts: members(store, &group)
            .await?
            .into_iter()
            .map(|case| case.host)
            .collect(),
    };
    let cases = store
        .approve_group(id, &json(&[shown]), &who(), SystemClock.now())
        .await?;
    if cases.is_empty() {
        return Err(Trouble::say(
            Exit::Data,
            format_args!("no case of group {id} is held any more"),
        ));
    }
    let rests = match mode {
        ResponseMode::Enforce => "the daemon goes on with them",
        ResponseMode::Observe => "they rest as long as response.mode is \"observe\"",
    };
    out::print(&format!("{id}: {} cases approved; {rests}\n", cases.len()));
    Ok(Exit::Ok)
}

pub(super) async fn dismiss(store: &Store, id: &GroupId, because: &str) -> Result<Exit, Trouble> {
    let group = known(store, id).await?;
    for case in members(store, &group).await? {
        if holds(&group, &case) {
            dismiss::one(store, &case.id, because).await?;
        }
    }
    let (who, now) = (who(), SystemClock.now());
    store.dismiss_group(id, because, &who, now).await?;
    out::print(&format!("{id}: dismissed\n"));
    Ok(Exit::Ok)
}

/// The command that adds the value to the golden values, where there is a value.
pub(super) fn addition(group: &GroupId, cause: &Cause) -> Option<String> {
    crate::cli::golden_add::place(cause)?;
    Some(format!("lazaret golden add POLICY --from-group {group}"))
}

/// What the hosts of a group have in common.
pub(in crate::cli) fn cause(group: &HeldGroup) -> Result<Cause, Trouble> {
    group.cause.read().map_err(|error| {
        Trouble::say(
            Exit::Data,
            format_args!("the cause of group {} cannot be read: {error}", group.id),
        )
    })
}

/// The group; there has to be one.
pub(in crate::cli) async fn known(store: &Store, id: &GroupId) -> Result<HeldGroup, Trouble> {
    store.held_group(id).await?.ok_or_else(|| {
        Trouble::say(
            Exit::NoInput,
            format_args!("there is no group {id}; `lazaret quarantine list` lists them"),
        )
    })
}

async fn members(store: &Store, group: &HeldGroup) -> Result<Vec<Case>, Trouble> {
    let mut cases = store.cases(&CaseFilter::default()).await?;
    cases.retain(|case| case.held_group.as_ref() == Some(&group.id));
    Ok(cases)
}

fn holds(group: &HeldGroup, case: &Case) -> bool {
    case.held_group.as_ref() == Some(&group.id) && matches!(case.state, CaseState::Held { .. })
}
