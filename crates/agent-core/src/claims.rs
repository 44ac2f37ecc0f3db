//! What the tasks of a goal may change, and taking hold of it before they do; see [`crate::locks`].

use crate::core::Core;
use crate::error::Error;
use crate::locks::{Busy, Resource};
use crate::model::event::Event;
use crate::model::{Goal, Task};
use aios_auth::capability::Capability;
use aios_core::id::{GoalId, TaskId};
use std::collections::BTreeSet;

/// What a goal wants to have for itself.
#[derive(Debug, Default)]
pub struct Claims {
    goal: Option<GoalId>,
    /// Tasks that may change something.
    changing: BTreeSet<TaskId>,
    wanted: Vec<Resource>,
}

impl Claims {
    /// The claims of all tasks of a goal that have not ended. A dry run claims nothing.
    ///
    /// # Errors
    /// A capability in the plan cannot be read.
    pub async fn of(core: &Core, goal: &Goal) -> Result<Self, Error> {
        let mut claims = Self {
            goal: Some(goal.id),
            ..Self::default()
        };
        let open = goal.tasks.iter().filter(|task| !task.state.is_final());
        for task in open.filter(|task| !goal.dry_run && !task.plan.looks) {
            for text in &task.plan.capabilities {
                let capability =
                    Capability::parse(text).map_err(|error| Error::Corrupt(format!("a plan: {error}")))?;
                if changes(core, &capability).await {
                    claims.changing.insert(task.plan.id);
                    let resource = Resource::of(&capability);
                    if !claims.wanted.contains(&resource) {
                        claims.wanted.push(resource);
                    }
                }
            }
        }
        Ok(claims)
    }

    /// What is to be journaled when a task begins: nothing for one that changes nothing. For the first that
    /// does, the goal takes everything that it claims.
    ///
    /// # Errors
    /// [`Busy`]: another goal has a part of it.
    pub fn take(&self, core: &Core, task: &Task) -> Result<Vec<Event>, Busy> {
        let Some(goal) = self.goal.filter(|_| self.changing.contains(&task.plan.id)) else {
            return Ok(Vec::new());
        };
        if !core.locks.take(goal, &self.wanted)? {
            return Ok(Vec::new());
        }
        Ok(vec![Event::Holds {
            resources: self.wanted.clone(),
        }])
    }
}

/// Whether what a capability allows may change something. An action is the verb of a tool; of one that is
/// not known, or cannot be asked about now, the careful answer.
async fn changes(core: &Core, capability: &Capability) -> bool {
    let Some(action) = capability.action() else {
        return true;
    };
    let tool = format!("{}.{action}", capability.namespace());
    core.clients.tool(&tool).await.map_or(true, |tool| tool.mutating)
}
