//! `lazaret quarantine plan`: what would become of a host and its instances. Nothing is done, nothing is written.

use std::sync::Arc;

use super::responder;
use crate::{
    cli::{
        exit::{Exit, Trouble},
        out,
    },
    config::{Config, ResponseMode},
    ids::HostName,
    respond::{
        NoPreview,
        plan::{Plan, PlannedInstance, Recovery},
    },
    store::Store,
};

pub(super) async fn plan(
    config: &Arc<Config>,
    store: Store,
    host: &HostName,
    json: bool,
) -> Result<Exit, Trouble> {
    let respond = responder::of(config, store, host).await?;
    let plan = Box::pin(respond.preview(host)).await.map_err(trouble)?;
    if json {
        out::json(&plan);
    } else {
        out::print(&text(&plan, config.response.mode));
    }
    Ok(Exit::Ok)
}

fn trouble(why: NoPreview) -> Trouble {
    match why {
        NoPreview::Cloud(error) => error.into(),
        NoPreview::Store(error) => error.into(),
        NoPreview::NoCloud => Trouble::new(Exit::Config, NoPreview::NoCloud),
        NoPreview::NoPlan(why) => Trouble::new(Exit::NoInput, why),
    }
}

fn text(plan: &Plan, mode: ResponseMode) -> String {
    let mut text = format!(
        "The plan for {}, if it were condemned now. Nothing was done, and nothing was written.\n\n",
        plan.host
    );
    let mut line = |what: &str, says: &str| text.push_str(&format!("  {what:<12} {}\n", out::plain(says)));
    let service = &plan.service;
    line(
        "service",
        &format!(
            "nova-compute, {}{}, zone {}",
            if service.enabled {
                "enabled"
            } else {
                "disabled already"
            },
            if service.forced_down {
                " and forced down"
            } else {
                ""
            },
            service.zone.as_deref().unwrap_or("not known")
        ),
    );
    let aggregates: Vec<&str> = plan.aggregates.iter().map(|known| known.name.as_str()).collect();
    line(
        "aggregates",
        &if aggregates.is_empty() {
            format!("none; it would join {}", plan.quarantine_aggregate)
        } else {
            format!(
                "{}; it would join {}",
                aggregates.join(", "),
                plan.quarantine_aggregate
            )
        },
    );
    line(
        "fence",
        &if plan.fence.is_empty() {
            "no method is configured".to_owned()
        } else {
            plan.fence.join(", then ")
        },
    );
    let (by, because) = match &plan.recovery {
        Recovery::Masakari { because, .. } => ("Masakari", because),
        Recovery::Nova { because, .. } => ("nova", because),
    };
    line("recovery", &format!("by {by}: {because}"));
    line("arrival", plan.on_arrival.as_str());
    line(
        "room",
        &plan.room.map_or_else(
            || "not known".to_owned(),
            |room| {
                format!(
                    "{} vCPUs and {} MB needed, {} vCPUs and {} MB free on the zone's other hosts",
                    room.need_vcpus, room.need_memory_mb, room.free_vcpus, room.free_memory_mb
                )
            },
        ),
    );
    for by in &plan.managed_by {
        line("managed by", by);
    }
    if mode == ResponseMode::Observe {
        line("mode", "response.mode is \"observe\": none of it would be done");
    }
    if plan.holds.is_empty() {
        line("held", "no: it would be carried out at once");
    }
    for hold in &plan.holds {
        line("held", &hold.to_string());
    }
    for warning in &plan.warnings {
        line("warning", warning);
    }
    text.push('\n');
    if plan.instances.is_empty() {
        text.push_str("No instance.\n");
    } else {
        text.push_str(&out::table(
            [
                "INSTANCE", "NAME", "PROJECT", "STATE", "WAY", "DATA", "ROOM", "WHY",
            ],
            plan.instances.iter().map(row),
        ));
    }
    text.push('\n');
    text.push_str(&out::table(
        ["STEP", "DOES"],
        plan.steps
            .iter()
            .map(|step| [step.step.clone(), out::plain(&step.does)]),
    ));
    text
}

fn row(instance: &PlannedInstance) -> [String; 8] {
    let mut state = instance.vm_state.clone();
    if let Some(task) = &instance.task_state {
        state.push_str(&format!(", {task}"));
    }
    if instance.locked {
        state.push_str(", locked");
    }
    let mut why = instance.because.clone();
    for note in &instance.notes {
        why.push_str(&format!("; {note}"));
    }
    for group in &instance.groups {
        why.push_str(&format!("; in {} group {}", group.policy, group.name));
    }
    [
        instance.id.to_string(),
        out::plain(&instance.name),
        out::plain(&instance.project),
        out::plain(&state),
        instance.way.as_str().to_owned(),
        instance.data.word().to_owned(),
        match instance.fits {
            Some(true) => "yes",
            Some(false) => "nowhere",
            None => "not known",
        }
        .to_owned(),
        out::plain(&why),
    ]
}
