//! The last step: what came of the case, as it is stored and told.

use std::collections::BTreeMap;

use serde_json::json;

use crate::ids::CaseKind;
use crate::respond::journal::Entry;
use crate::respond::release::Attested;
use crate::store::{self, CaseInstance, Json, StoreError};

use super::{Context, Outcome, Trouble, watch};

pub(super) async fn ensure(context: &Context<'_>) -> Result<Outcome, Trouble> {
    Ok(Outcome::Done(Entry::says(match context.case.kind {
        CaseKind::Release => format!("{} is given back", context.case.host),
        _ => words(&context.instances().await?),
    })))
}

/// The outcome that the case is closed with.
pub(in crate::respond) async fn outcome(context: &Context<'_>) -> Result<store::Outcome, StoreError> {
    if context.case.kind == CaseKind::Release {
        let verdict = Attested::newest(context.journal);
        let round = verdict
            .as_ref()
            .map(|verdict| format!(", Affirming in round {}", verdict.round));
        return Ok(store::Outcome {
            reason: format!("{} is given back{}", context.case.host, round.unwrap_or_default()),
            detail: Json::from(json!({ "released": true, "verdict": verdict })),
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

fn words(instances: &[CaseInstance]) -> String {
    format!("{}; recovered, integrity unknown", watch::summary(instances))
}
