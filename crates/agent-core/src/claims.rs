//! What the tasks of a goal may change, taking hold of it before they do, and letting it go; see [`crate::locks`].

use crate::core::Core;
use crate::error::Error;
use crate::locks::{Busy, Resource};
use crate::model::event::Event;
use crate::model::{Goal, Task};
use crate::steps::namespace_of;
use aios_auth::capability::Capability;
use aios_core::id::{ExecutionKey, GoalId, TaskId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

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

/// Lets go what an ended goal holds: at once, or when the calls that are `lost` (by key and tool) no longer run.
/// A tool that does not heed its cancellation may change its place until its own time is over.
pub fn let_go(core: &Arc<Core>, goal: GoalId, lost: Vec<(ExecutionKey, String)>) {
    if lost.is_empty() {
        core.locks.release(goal);
        return;
    }
    tracing::warn!(%goal, calls = lost.len(), "an ended goal keeps its places: calls of it may still run");
    let (own, end) = (Arc::clone(core), core.tasks.token());
    core.tasks.spawn("locks of an ended goal", async move {
        let over = async {
            for (key, tool) in &lost {
                until_over(&own, *key, tool).await;
            }
            own.locks.release(goal);
            tracing::info!(%goal, "an ended goal lets go: none of its calls runs");
        };
        tokio::select! {
            () = over => {}
            () = end.cancelled() => {}
        }
    });
}

/// Waits until a call does not run. What its worker does not know, or no longer knows, does not run.
async fn until_over(core: &Core, key: ExecutionKey, tool: &str) {
    let pause = Duration::from_millis(core.config.retry_ms);
    loop {
        match core.clients.execution(key.into(), namespace_of(tool)).await {
            Ok(execution) if execution.state != "running" => return,
            Err(Error::Peer(_)) => return,
            Ok(_) => {}
            Err(error) => tracing::debug!(%key, %error, "whether a lost call still runs is not known"),
        }
        tokio::time::sleep(pause).await;
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
