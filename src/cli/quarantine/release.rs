//! `lazaret quarantine release`: how a person ends a quarantine.
//!
//! It needs a passing quote taken now, of the whole evidence. It changes nothing in the cloud: what a person still has
//! to do there is printed.

use crate::{
    cli::{
        context,
        exit::{Exit, Trouble},
        out,
    },
    ids::HostName,
    respond::journal::plan_of,
    store::AuditEntry,
    verifier::round::Rounds,
};
use lazaret_attest::verdict::Verdict;

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
