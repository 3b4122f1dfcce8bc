//! The last step: what came of the case, as it is stored and told.

use std::collections::BTreeMap;

use serde_json::json;

use crate::respond::journal::Entry;
use crate::store::{self, CaseInstance, Json, StoreError};

use super::{Context, Outcome, Trouble, watch};

pub(super) async fn ensure(context: &Context<'_>) -> Result<Outcome, Trouble> {
    Ok(Outcome::Done(Entry::says(words(&context.instances().await?))))
}

/// The outcome that the case is closed with.
pub(in crate::respond) async fn outcome(context: &Context<'_>) -> Result<store::Outcome, StoreError> {
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
