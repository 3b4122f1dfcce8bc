//! The steps of a plan, in words.

use serde::{Deserialize, Serialize};

use super::instance::{PlannedInstance, Way};
use super::recovery::Recovery;
use crate::ids::{CaseKind, HostName};
use crate::respond::saga::{self, Step};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Its name.
    pub step: String,
    /// What it will do, in words.
    pub does: String,
}

pub(super) fn steps(
    host: &HostName,
    quarantine: &str,
    fence: &[String],
    recovery: &Recovery,
    instances: &[PlannedInstance],
) -> Vec<PlannedStep> {
    let held = instances
        .iter()
        .filter(|instance| instance.way != Way::Evacuate)
        .count();
    let moving = instances.len().saturating_sub(held);
    saga::steps(CaseKind::Quarantine, true)
        .into_iter()
        .map(|step| PlannedStep {
            step: step.as_str().to_owned(),
            does: match step {
                Step::Plan | Step::Announce | Step::Brake | Step::Enable | Step::Close => {
                    step.meaning().to_owned()
                }
                Step::Disable => format!("disable nova-compute on {host}"),
                Step::Isolate => format!("add {host} to the host aggregate {quarantine}"),
                Step::Fence if fence.is_empty() => {
                    format!("see {host} off; no fencing method is configured for it")
                }
                Step::Fence => format!("power {host} off by {}, and see it off", fence.join(", then ")),
                Step::ForceDown => format!("tell nova that {host} is down"),
                Step::Evacuate => match recovery {
                    Recovery::Masakari { .. } => {
                        format!(
                            "have Masakari evacuate {}; what it leaves is evacuated by nova",
                            instances_of(moving)
                        )
                    }
                    Recovery::Nova { .. } => {
                        format!("evacuate {} by nova, leave {held}", instances_of(moving))
                    }
                },
                Step::Rotate
                | Step::Agree
                | Step::Boot
                | Step::Keys
                | Step::Attest
                | Step::Settle
                | Step::Raise
                | Step::Leave
                | Step::Restore
                | Step::Unpause
                | Step::Admit
                | Step::Trust => step.meaning().to_owned(),
                Step::Confirm => format!("see {} on other hosts, by nova's word", instances_of(moving)),
            },
        })
        .collect()
}

fn instances_of(count: usize) -> String {
    match count {
        1 => "1 instance".to_owned(),
        _ => format!("{count} instances"),
    }
}
