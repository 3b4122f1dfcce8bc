//! Where each instance of a case stands, by nova's word, and what is recorded of it.

use std::collections::{HashMap, HashSet};

use crate::ids::{HostName, InstanceId};
use crate::openstack::{Cloud, Error, Migration, MigrationKind, Phase, Server};
use crate::respond::plan::{Plan, PlannedInstance, Way};
use crate::store::CaseInstance;

use super::{Context, Trouble};

/// An instance that waits for its evacuation.
pub(in crate::respond) const WAITING: &str = "waiting";
/// One whose evacuation is under way.
pub(super) const MOVING: &str = "moving";
/// One that is on another host, as it was.
pub(super) const MOVED: &str = "moved";
/// One that its owner deleted.
pub(super) const GONE: &str = "gone";
/// One that could not be evacuated.
pub(in crate::respond) const FAILED: &str = "failed";
/// One that is left for a person.
pub(in crate::respond) const HELD: &str = "held";

/// What nova says now of a host's instances and evacuations.
pub(super) struct View {
    host: HostName,
    pub(super) here: HashMap<InstanceId, Server>,
    moves: HashMap<InstanceId, Vec<Migration>>,
}

impl View {
    pub(super) async fn read(cloud: &Cloud, host: &HostName) -> Result<Self, Error> {
        let (servers, migrations) = cloud
            .servers_and_migrations(host, &MigrationKind::Evacuation)
            .await?;
        let mut moves: HashMap<InstanceId, Vec<Migration>> = HashMap::new();
        for migration in migrations {
            moves.entry(migration.instance).or_default().push(migration);
        }
        let here = servers.into_iter().map(|server| (server.id, server)).collect();
        Ok(Self {
            host: host.clone(),
            here,
            moves,
        })
    }

    /// The evacuations of an instance away from the host.
    fn moves(&self, id: InstanceId) -> &[Migration] {
        self.moves.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Evacuations that failed, of every instance.
    pub(super) fn failures(&self) -> HashSet<String> {
        let failed = |migration: &&Migration| migration.phase() == Phase::Failed;
        self.moves
            .values()
            .flatten()
            .filter(failed)
            .map(|migration| migration.uuid.clone())
            .collect()
    }

    /// Whether an evacuation of it away from the host arrived, and nothing of the host has started since. It may be on its
    /// way still for who reads late; on the host for long, it came back.
    pub(super) fn is_done(&self, id: InstanceId) -> bool {
        self.moves(id).iter().any(|migration| migration.status == "done")
    }

    /// How often the evacuation of an instance failed, those in `old` left out.
    pub(super) fn failed(&self, id: InstanceId, old: &HashSet<String>) -> usize {
        let fresh =
            |migration: &&Migration| migration.phase() == Phase::Failed && !old.contains(&migration.uuid);
        self.moves(id).iter().filter(fresh).count()
    }

    /// What is to be recorded of an instance that was planned to be evacuated.
    pub(super) async fn stand(&self, cloud: &Cloud, recorded: &CaseInstance) -> Result<CaseInstance, Error> {
        let mut now = recorded.clone();
        let latest = self
            .moves(recorded.id)
            .iter()
            .max_by_key(|migration| migration.created_at);
        if let Some(latest) = latest {
            now.migration = Some(latest.uuid.clone());
        }
        let here = self.here.get(&recorded.id);
        if let Some(server) = here {
            let open = self
                .moves(recorded.id)
                .iter()
                .find(|migration| matches!(migration.phase(), Phase::Underway | Phase::Unknown));
            if let Some(open) = open {
                MOVING.clone_into(&mut now.state);
                now.detail = Some(format!("nova's migration is {}", open.status));
                return Ok(now);
            }
            if !self.is_done(recorded.id) {
                WAITING.clone_into(&mut now.state);
                now.detail =
                    latest.map_or_else(|| recorded.detail.clone(), |ended| Some(why_here(ended, server)));
                return Ok(now);
            }
        }
        // One that was read before its record became `done` is read once more: nova tells its new host first.
        let Some(server) = cloud.server(recorded.id).await? else {
            GONE.clone_into(&mut now.state);
            now.detail = Some("it was deleted meanwhile".to_owned());
            return Ok(now);
        };
        if let (Some(latest), Some(_)) = (latest, here)
            && server.host.as_ref() == Some(&self.host)
        {
            WAITING.clone_into(&mut now.state);
            now.detail = Some(why_here(latest, &server));
            return Ok(now);
        }
        match &server.host {
            Some(elsewhere) if *elsewhere != self.host && server.task_state.is_none() => {
                now.destination = Some(elsewhere.clone());
                if server.vm_state == "error" {
                    FAILED.clone_into(&mut now.state);
                    let fault = server.fault.as_deref().unwrap_or("nova does not say why");
                    now.detail = Some(format!("it is in error on {elsewhere}: {fault}"));
                } else {
                    MOVED.clone_into(&mut now.state);
                    now.detail = Some(arrived(recorded, &server));
                }
            }
            _ => {
                MOVING.clone_into(&mut now.state);
                let task = server.task_state.as_deref().unwrap_or("between two hosts");
                now.detail = Some(format!("nova is at it: {task}"));
            }
        }
        Ok(now)
    }
}

/// How an instance arrived, and what became of its disk.
fn arrived(recorded: &CaseInstance, server: &Server) -> String {
    let Some(planned) = PlannedInstance::read(recorded) else {
        return server.status.clone();
    };
    let before = match planned.vm_state.as_str() {
        state if state == server.vm_state => String::new(),
        state => format!(" (before: {state})"),
    };
    format!("{}{before}; {}", server.status, planned.data.meaning())
}

/// Why an instance is on the host although nova has ended its newest evacuation.
fn why_here(migration: &Migration, server: &Server) -> String {
    let to = migration
        .destination
        .as_ref()
        .map_or_else(String::new, |host| format!(" to {host}"));
    if migration.phase() == Phase::Arrived {
        return format!(
            "it came back: its evacuation{to} is {}, and it is on the host again",
            migration.status
        );
    }
    let fault = server
        .fault
        .as_deref()
        .unwrap_or("nova does not say why; see the log of its scheduler and conductor");
    format!("its evacuation{to} ended in {}: {fault}", migration.status)
}

/// Whether nothing more is expected of an instance.
pub(super) fn is_settled(instance: &CaseInstance) -> bool {
    matches!(instance.state.as_str(), MOVED | GONE | HELD | FAILED)
}

/// Records instances that were not there when the plan was made, by the plan's own rules; returns all.
pub(super) async fn with_newcomers(
    context: &Context<'_>,
    plan: &Plan,
    view: &View,
) -> Result<Vec<CaseInstance>, Trouble> {
    let mut recorded = context.instances().await?;
    let rules = plan.rules(context.respond.keep.as_ref());
    let newcomers: Vec<CaseInstance> = view
        .here
        .values()
        .filter(|server| !recorded.iter().any(|known| known.id == server.id))
        .map(|server| PlannedInstance::of(server, &rules).recorded(&context.case.host))
        .collect();
    context.put(&newcomers).await?;
    recorded.extend(newcomers);
    Ok(recorded)
}

/// Records what changed.
pub(super) async fn record(
    context: &Context<'_>,
    recorded: &mut [CaseInstance],
    now: Vec<CaseInstance>,
) -> Result<(), Trouble> {
    let mut changed = Vec::new();
    for now in now {
        if let Some(known) = recorded
            .iter_mut()
            .find(|known| known.id == now.id && **known != now)
        {
            known.clone_from(&now);
            changed.push(now);
        }
    }
    context.put(&changed).await?;
    Ok(())
}

/// Looks at every instance that is to be evacuated and not settled, and records what changed.
pub(super) async fn look(
    context: &Context<'_>,
    view: &View,
    recorded: &mut [CaseInstance],
) -> Result<(), Trouble> {
    let mut now = Vec::new();
    for instance in recorded
        .iter()
        .filter(|known| known.fate == Way::Evacuate.as_str() && !is_settled(known))
    {
        now.push(view.stand(context.cloud, instance).await?);
    }
    record(context, recorded, now).await
}

/// What became of the instances, in words.
pub(super) fn summary(recorded: &[CaseInstance]) -> String {
    let count = |state: &str| recorded.iter().filter(|instance| instance.state == state).count();
    let mut words = vec![format!(
        "{} of {} instances elsewhere",
        count(MOVED),
        recorded.len()
    )];
    for (state, what) in [
        (GONE, "deleted meanwhile"),
        (HELD, "left for a person"),
        (FAILED, "failed"),
    ] {
        if count(state) > 0 {
            words.push(format!("{} {what}", count(state)));
        }
    }
    words.join(", ")
}
