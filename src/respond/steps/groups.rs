//! Which instances have to be evacuated one after another: members of one server group that keeps them apart.

use std::collections::{HashMap, HashSet};

use crate::ids::InstanceId;
use crate::openstack::{Error, Next};
use crate::respond::journal::Entry;
use crate::respond::saga::Step;

use super::{Context, Trouble};

/// The groups of the instances of one run. An instance is in its groups for life: one listing tells of all, and
/// another one only of instances that came later.
#[derive(Default)]
pub(super) struct Groups {
    apart: HashMap<InstanceId, Vec<String>>,
    asked: HashSet<InstanceId>,
    /// The listing is not ours to read: each instance is read by itself, and every group of it counts.
    one_by_one: bool,
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
                    for group in groups.into_iter().filter(|group| group.keeps_apart()) {
                        for member in group.members {
                            self.apart.entry(member).or_default().push(group.id.clone());
                        }
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
}
