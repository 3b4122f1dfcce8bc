//! `lazaret quarantine release` and `dismiss`: how a person ends a quarantine, or a case that should not go on.
//!
//! Releasing needs a passing quote taken now, of the whole evidence. It changes nothing in the cloud: what a person
//! still has to do there is printed.

use super::{
    context,
    exit::{Exit, Trouble},
    out,
    quarantine::no_case,
};
use crate::{
    clock::Clock as _,
    ids::{CaseId, HostName},
    respond::journal::{json, plan_of},
    store::{AuditEntry, CaseState, LeaseKind, Outcome, StepState, Store},
    verifier::round::Rounds,
};
use lazaret_attest::verdict::Verdict;

/// Long enough to write one row.
const LEASE: std::time::Duration = std::time::Duration::from_secs(30);

/// Lets a host back under the watch, after a fresh Affirming verdict.
pub(super) async fn release(rounds: &Rounds, name: &HostName) -> Result<Exit, Trouble> {
    let store = &rounds.store;
    let host = context::host(store, name).await?;
    let Some(case) = &host.quarantined_by else {
        return Err(Trouble::say(
            Exit::Data,
            format_args!("host {name} is not in quarantine"),
        ));
    };
    if let Some(case) = store.unclosed_case(name).await? {
        return Err(Trouble::say(
            Exit::Data,
            format_args!(
                "case {} of host {name} is not closed; see it through, or `lazaret quarantine dismiss {}`",
                case.id, case.id
            ),
        ));
    }
    let judged = rounds.manual(&host, true).await?;
    let verdict = judged.result.verdict;
    let audit = |outcome: String| AuditEntry {
        who: context::who(),
        what: "release".to_owned(),
        subject: format!("host {name}, case {case}"),
        outcome,
    };
    if verdict != Verdict::Affirming {
        store
            .audit(&audit(format!("refused: {verdict}")), rounds.clock.now())
            .await?;
        let findings: Vec<_> = judged.result.findings.iter().map(ToString::to_string).collect();
        out::error(&format!(
            "lazaret: host {name} stays in quarantine: it is {verdict} now ({}); `lazaret verify-host {name}` says more\n",
            out::plain(&findings.join("; "))
        ));
        return Ok(Exit::of(verdict));
    }
    store.end_quarantine(name).await?;
    store.audit(&audit("done".to_owned()), rounds.clock.now()).await?;
    let mut text = format!(
        "{name}: released from quarantine, Affirming in round {}\n\nWhat is left to do in the cloud:\n",
        judged.round.id
    );
    text.push_str(&format!(
        "  openstack compute service set --up {name} nova-compute\n"
    ));
    if let Some(known) = store.case(case).await?
        && let Some(plan) = plan_of(&known, &store.journal_of(case).await?)
    {
        text.push_str(&format!(
            "  openstack aggregate remove host {} {name}\n",
            out::plain(&plan.quarantine_aggregate)
        ));
        for aggregate in &plan.aggregates {
            text.push_str(&format!(
                "  see that {name} is in aggregate {} still, where it was before\n",
                out::plain(&aggregate.name)
            ));
        }
    }
    text.push_str(&format!(
        "  openstack compute service set --enable {name} nova-compute\n  in Masakari, if you have it: clear on_maintenance of {name}\n"
    ));
    out::print(&text);
    Ok(Exit::Ok)
}

/// Closes a held or stuck case without doing anything more.
pub(super) async fn dismiss(store: &Store, id: &CaseId, because: &str) -> Result<Exit, Trouble> {
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
    let who = context::who();
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
    Ok(Exit::Ok)
}
