//! What every part of the engine shares: the journal, the other services, the agents, the guard's
//! word, the runbooks. Made once by [`crate::app`].

use crate::clients::Clients;
use crate::config::Config;
use crate::error::Error;
use crate::guard_view::GuardView;
use crate::journal::Journal;
use crate::locks::Locks;
use crate::model::event::Event;
use crate::router::Router;
use crate::runbook::Runbook;
use crate::trigger::Trigger;
use aios_core::clock::Clock;
use aios_core::id::{GoalId, ScheduleId, TaskId};
use aios_core::rpc::Refusals;
use aios_core::tasks::Tasks;
use std::path::PathBuf;
use std::sync::Arc;

/// Where new ids come from.
pub trait Ids: Send + Sync + 'static {
    /// An id for a goal.
    fn goal(&self) -> GoalId;
    /// An id for a task.
    fn task(&self) -> TaskId;
    /// An id for a schedule.
    fn schedule(&self) -> ScheduleId;
}

/// Fresh UUIDv7s.
#[derive(Debug, Clone, Copy, Default)]
pub struct FreshIds;

impl Ids for FreshIds {
    fn goal(&self) -> GoalId {
        GoalId::new()
    }
    fn task(&self) -> TaskId {
        TaskId::new()
    }
    fn schedule(&self) -> ScheduleId {
        ScheduleId::new()
    }
}

/// The shared parts.
pub struct Core {
    /// The truth.
    pub journal: Journal,
    /// The other services.
    pub clients: Clients,
    /// What is refused, for the audit log.
    pub refusals: Refusals,
    /// The agents.
    pub router: Router,
    /// Which goal is changing what.
    pub locks: Locks,
    /// The guard's word.
    pub guard_view: GuardView,
    /// Plans that people wrote down.
    pub runbooks: Vec<Runbook>,
    /// Directory of what the vendor wrote; a runbook from elsewhere is the administrator's.
    pub vendor: PathBuf,
    /// What happenings are answered with a goal.
    pub triggers: Vec<Trigger>,
    /// Settings.
    pub config: Config,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids.
    pub ids: Arc<dyn Ids>,
    /// Owner of what is spawned.
    pub tasks: Tasks,
}

impl Core {
    /// Changes the sentence about a goal, not its state.
    ///
    /// # Errors
    /// The journal fails, or the goal has ended.
    pub async fn say(&self, goal: GoalId, line: String) -> Result<(), Error> {
        let state = self.journal.goal(goal).await?.state;
        self.journal
            .append(
                goal,
                vec![Event::State {
                    state,
                    line,
                    error: None,
                }],
            )
            .await
            .map(|_| ())
    }
}
