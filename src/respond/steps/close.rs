//! The last step: what came of the case, as it is stored and told.

use std::collections::BTreeMap;

use serde_json::json;

use crate::ids::CaseKind;
use crate::respond::journal::Entry;
use crate::respond::orphans::is_adopted;
use crate::respond::release::{Attested, lost_journal};
use crate::respond::saga::Step;
use crate::store::{self, CaseInstance, Json, StoreError};

use super::{Context, Outcome, Trouble, watch};

pub(super) async fn ensure(context: &Context<'_>) -> Result<Outcome, Trouble> {
    Ok(Outcome::Done(Entry::says(match context.case.kind {
        CaseKind::Release => format!("{} is given back", context.case.host),
        CaseKind::Unschedule | CaseKind::Reschedule => schedule_words(context).await?,
        CaseKind::Quarantine => words(&context.instances().await?),
    })))
}

/// The outcome that the case is closed with.
pub(in crate::respond) async fn outcome(context: &Context<'_>) -> Result<store::Outcome, StoreError> {
    if context.case.kind == CaseKind::Release {
        let verdict = Attested::newest(context.journal);
        let round = verdict
            .as_ref()
            .map(|verdict| format!(", Affirming in round {}", verdict.round));
        let quarantine = match &context.case.parent {
            Some(parent) => context.respond.store.case(parent).await?,
            None => None,
        };
        let lost = quarantine
            .filter(is_adopted)
            .map(|lost| format!(". {}", lost_journal(&lost.host)));
        return Ok(store::Outcome {
            reason: format!(
                "{} is given back{}{}",
                context.case.host,
                round.unwrap_or_default(),
                lost.unwrap_or_default()
            ),
            detail: Json::from(json!({ "released": true, "verdict": verdict })),
        });
    }
    if let CaseKind::Unschedule | CaseKind::Reschedule = context.case.kind {
        return Ok(store::Outcome {
            reason: schedule_words(context).await?,
            detail: Json::empty(),
        });
    }
    let instances = context.instances().await?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for instance in &instances {
        *counts.entry(instance.state.as_str()).or_default() += 1;
    }
    Ok(store::Outcome {
        reason: format!("{} is out of service: {}", context.case.host, words(&instances)),
        detail: Json::from(json!({ "instances": counts })),
    })
}

/// What came of a case that silence opened: of its one step that touches something.
async fn schedule_words(context: &Context<'_>) -> Result<String, StoreError> {
    let steps = context.respond.store.steps(&context.case.id).await?;
    let said = steps
        .into_iter()
        .find(|step| step.name == Step::Disable.as_str() || step.name == Step::Enable.as_str())
        .and_then(|step| step.note);
    let host = &context.case.host;
    Ok(said.unwrap_or_else(|| {
        format!("{host} answers again; enable it with `openstack compute service set --enable {host} nova-compute`")
    }))
}

fn words(instances: &[CaseInstance]) -> String {
    format!("{}; recovered, integrity unknown", watch::summary(instances))
}
