//! What the tasks of a goal may change, and taking hold of it before they do; see [`crate::locks`].

use crate::core::Core;
use crate::error::Error;
use crate::locks::{Busy, Resource};
use crate::model::event::Event;
use crate::model::{Goal, Task};
use aios_auth::capability::Capability;
use aios_core::id::TaskId;
use std::collections::BTreeSet;

/// What a goal wants to have for itself.
#[derive(Debug, Default)]
pub struct Claims {
    /// Tasks that may change something.
    changing: BTreeSet<TaskId>,
    wanted: Vec<Resource>,
}

impl Claims {
    /// The claims of all tasks of a goal that have not ended. A dry run claims nothing.
    ///
    /// # Errors
    /// A capability in the plan cannot be read; the tool service is away.
    pub async fn of(core: &Core, goal: &Goal) -> Result<Self, Error> {
        let mut claims = Self::default();
        let open = goal.tasks.iter().filter(|task| !task.state.is_final());
        for task in open.filter(|task| !goal.dry_run && !task.plan.looks) {
            for text in &task.plan.capabilities {
                let capability =
                    Capability::parse(text).map_err(|error| Error::Corrupt(format!("a plan: {error}")))?;
                if changes(core, &capability).await? {
                    claims.changing.insert(task.plan.id);
                    for resource in Resource::of(&capability) {
                        if !claims.wanted.contains(&resource) {
                            claims.wanted.push(resource);
                        }
                    }
                }
            }
        }
        Ok(claims)
    }

    /// Takes everything that the goal claims before a task begins that changes something, and answers what is to
    /// be journaled before that task does: what the goal has not been said to hold.
    ///
    /// # Errors
    /// [`Busy`]: another goal has a part of it.
    pub fn take(&self, core: &Core, goal: &Goal, task: &Task) -> Result<Option<Event>, Busy> {
        if !self.changing.contains(&task.plan.id) {
            return Ok(None);
        }
        core.locks.take(goal.id, &self.wanted)?;
        let new = self.wanted.iter().filter(|it| !goal.holds.contains(it));
        let resources: Vec<Resource> = new.cloned().collect();
        Ok((!resources.is_empty()).then_some(Event::Holds { resources }))
    }
}

/// Actions that are no tool's verb and change nothing.
const LOOKING: [&str; 1] = ["net.private"];

/// Whether what a capability allows may change something. An action is the verb of a tool; of one that is
/// not known, the careful answer.
async fn changes(core: &Core, capability: &Capability) -> Result<bool, Error> {
    let Some(action) = capability.action() else {
        return Ok(true);
    };
    let tool = format!("{}.{action}", capability.namespace());
    if LOOKING.contains(&tool.as_str()) {
        return Ok(false);
    }
    match core.clients.tool(&tool).await {
        Ok(tool) => Ok(tool.mutating),
        Err(Error::Peer(_)) => Ok(true),
        Err(error) => Err(error),
    }
}
