//! Which instances have to be evacuated one after another: members of one server group that keeps them apart, whatever
//! host and case they are of.
//!
//! Within one run that is what the run knows. Between cases, of this daemon or of another one, it is a turn: a lease of the
//! group, taken before nova is asked where the other members stand, and given back once nova has answered the request, for
//! then its migration records tell of it. Where its answer is in doubt, the turn is not given back: it runs out. Who does not
//! get it, or finds another member on its way, waits; nobody waits with a turn in hand, so no two wait for each other.
//!
//! A live migration that was cut off, by the power-off of its host say, leaves a record that is `running` for ever. One that
//! runs is written every few seconds (`save_stats` in nova's libvirt driver): it is not waited for once it has stood still for
//! long.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::ids::InstanceId;
use crate::openstack::{Error, Migration, MigrationKind, Next, Phase};
use crate::respond::journal::Entry;
use crate::respond::saga::Step;
use crate::store::{Lease, LeaseKind, StoreError};

use super::{Context, Trouble};

/// A turn that is not given back ends then: later than a request that is in doubt can take effect.
const TURN: Duration = Duration::from_secs(180);

/// A live migration whose record has not changed for this many paces of this run, whatever any clock says, is over.
const PACES_UNTIL_STALE: u32 = 600;

/// The turn to ask for one member of each of these groups.
pub(super) struct Turn {
    leases: Vec<Lease>,
}

impl Turn {
    /// The turn, where nobody else has it.
    async fn take(context: &Context<'_>, groups: &[String]) -> Result<Option<Self>, StoreError> {
        let respond = context.respond;
        let mut turn = Self { leases: Vec::new() };
        for group in groups {
            let kind = LeaseKind::Group(group.clone());
            let standing = respond.store.standing(&kind).await?;
            let now = context.now();
            let free = respond
                .leases
                .may_take(&kind, standing.as_ref(), now, Instant::now());
            let taken = match free {
                true => {
                    let (seen, owner) = (standing.as_ref(), &respond.owner);
                    respond
                        .store
                        .take_over(kind.clone(), seen, owner, now, TURN)
                        .await?
                }
                false => None,
            };
            let Some(lease) = taken else {
                turn.give_back(context).await?;
                return Ok(None);
            };
            respond.leases.taken(&kind, lease.epoch, Instant::now());
            turn.leases.push(lease);
        }
        Ok(Some(turn))
    }

    /// The request was answered, or never sent.
    pub(super) async fn give_back(self, context: &Context<'_>) -> Result<(), StoreError> {
        for lease in self.leases {
            context.respond.store.release(lease).await?;
        }
        Ok(())
    }
}

/// The groups of the instances of one run. An instance is in its groups for life: one listing tells of all, and
/// another one only of instances that came later.
#[derive(Default)]
pub(super) struct Groups {
    apart: HashMap<InstanceId, Vec<String>>,
    /// Everybody in a group; not known where each instance is read by itself.
    members: HashMap<String, Vec<InstanceId>>,
    asked: HashSet<InstanceId>,
    /// The listing is not ours to read: each instance is read by itself, and every group of it counts.
    one_by_one: bool,
    /// Live migrations that run, by their records: as they were last seen to change.
    running: HashMap<String, Running>,
}

struct Running {
    updated_at: Option<Timestamp>,
    since: Instant,
    /// It is waited for no more, and the journal says so.
    over: bool,
}

impl Groups {
    /// Finds out what it does not know of these yet.
    pub(super) async fn know(
        &mut self,
        context: &Context<'_>,
        instances: impl Iterator<Item = InstanceId>,
    ) -> Result<(), Trouble> {
        let new: HashSet<InstanceId> = instances.filter(|id| !self.asked.contains(id)).collect();
        if new.is_empty() {
            return Ok(());
        }
        if !self.one_by_one {
            match context.cloud.server_groups().await {
                Ok(groups) => {
                    self.apart.clear();
                    self.members.clear();
                    for group in groups.into_iter().filter(|group| group.keeps_apart()) {
                        for member in &group.members {
                            self.apart.entry(*member).or_default().push(group.id.clone());
                        }
                        self.members.entry(group.id).or_default().extend(group.members);
                    }
                    self.asked.extend(new);
                    return Ok(());
                }
                Err(error) if error.next() == Next::Stop => self.fall_back(context, error).await?,
                Err(error) => return Err(error.into()),
            }
        }
        for id in new {
            let server = context.cloud.server(id).await?;
            let groups = server.and_then(|server| server.server_groups).unwrap_or_default();
            self.apart.insert(id, groups);
            self.asked.insert(id);
        }
        Ok(())
    }

    async fn fall_back(&mut self, context: &Context<'_>, error: Error) -> Result<(), Trouble> {
        self.one_by_one = true;
        let words = format!(
            "{error}; each instance is read by itself instead, and members of any server group go one after another"
        );
        context.note(Step::Evacuate, &Entry::says(words)).await?;
        Ok(())
    }

    /// The groups of an instance that keep their members apart.
    pub(super) fn of(&self, id: InstanceId) -> Vec<String> {
        self.apart.get(&id).cloned().unwrap_or_default()
    }

    /// The turn of an instance among all members of its groups, of whatever host; the inner error says whom it waits for.
    pub(super) async fn turn(
        &mut self,
        context: &Context<'_>,
        id: InstanceId,
    ) -> Result<Result<Turn, String>, Trouble> {
        let mut groups = self.of(id);
        groups.sort();
        groups.dedup();
        let Some(turn) = Turn::take(context, &groups).await? else {
            let words = "it waits for its turn: nova was just asked for another one of its server group";
            return Ok(Err(words.to_owned()));
        };
        match self.on_its_way(context, id, &groups).await {
            Ok(None) => Ok(Ok(turn)),
            Ok(Some(words)) => {
                turn.give_back(context).await?;
                Ok(Err(words))
            }
            Err(error) => {
                turn.give_back(context).await?;
                Err(error)
            }
        }
    }

    /// Which other member nova has on its way, in words.
    async fn on_its_way(
        &mut self,
        context: &Context<'_>,
        id: InstanceId,
        groups: &[String],
    ) -> Result<Option<String>, Trouble> {
        let members = groups
            .iter()
            .filter_map(|group| self.members.get(group))
            .flatten();
        let others: Vec<InstanceId> = members.copied().filter(|other| *other != id).collect();
        for other in others {
            let moves = context.cloud.migrations_of(other).await?;
            let open = |known: &&Migration| matches!(known.phase(), Phase::Underway | Phase::Unknown);
            for open in moves.iter().filter(open) {
                if !self.is_over(context, open).await? {
                    return Ok(Some(format!(
                        "it waits for {other} of its server group: nova's migration {} is {}",
                        open.uuid, open.status
                    )));
                }
            }
        }
        Ok(None)
    }

    /// Whether a migration that nova shows as running stands still for so long that nobody runs it.
    async fn is_over(&mut self, context: &Context<'_>, open: &Migration) -> Result<bool, Trouble> {
        if open.kind != MigrationKind::Live || open.status != "running" {
            self.running.remove(&open.uuid);
            return Ok(false);
        }
        let now = Instant::now();
        let fresh = || Running {
            updated_at: open.updated_at,
            since: now,
            over: false,
        };
        let known = self.running.entry(open.uuid.clone()).or_insert_with(fresh);
        if known.updated_at != open.updated_at {
            *known = fresh();
        }
        let long = context.respond.pace.saturating_mul(PACES_UNTIL_STALE);
        if now.duration_since(known.since) < long {
            return Ok(false);
        }
        if !known.over {
            known.over = true;
            let words = format!(
                "nova's live migration {} of {} is running, and its record has not changed for {} s: nobody runs it, and the \
                 other members of its server group wait for it no longer; look at the instance with `openstack server show {}`",
                open.uuid,
                open.instance,
                long.as_secs(),
                open.instance
            );
            context.note(Step::Evacuate, &Entry::says(words)).await?;
        }
        Ok(true)
    }
}
