//! Runs the tasks of a goal's plan as they become ready, side by side where they do not need each other.
//!
//! Every event is journaled before anything follows from it that could not be done twice. The end of a task
//! has no such consequence but the beginning of the next: where one task follows alone, both are journaled in
//! one durable write. A crash before it only has the last step asked about again.

use crate::EXECUTOR_KIND;
use crate::agent_task;
use crate::claims::Claims;
use crate::conductor::fail_task;
use crate::core::Core;
use crate::error::Error;
use crate::executor::{self, TaskEnd};
use crate::locks::Busy;
use crate::model::event::Event;
use crate::model::state::TaskState;
use crate::model::{Goal, Task};
use aios_core::id::{GoalId, TaskId};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Runs tasks until none can run any more or one has failed.
///
/// # Errors
/// Something that is not the goal's fault; running it again goes on.
pub async fn run(core: &Arc<Core>, id: GoalId, cancel: &CancellationToken) -> Result<(), Error> {
    let goal = core.journal.goal(id).await?;
    let mut work = Work {
        core,
        stop: cancel.child_token(),
        claims: Claims::of(core, &goal).await?,
        goal,
        started: BTreeSet::new(),
        running: JoinSet::new(),
        alone: None,
        held: Vec::new(),
        told: None,
        interrupted: None,
    };
    let mut changes = core.locks.changes();
    loop {
        changes.mark_unchanged();
        let waits = work.begin_what_is_ready().await?;
        let joined = tokio::select! {
            Some(joined) = work.running.join_next() => joined,
            Ok(()) = changes.changed(), if waits => continue,
            () = work.stop.cancelled(), if waits => continue,
            else => break,
        };
        let (task, result) =
            joined.map_err(|error| Error::Corrupt(format!("a task ended by a panic: {error}")))?;
        work.ended(task, result).await?;
    }
    work.interrupted.map_or(Ok(()), Err)
}

type Ended = (TaskId, Result<TaskEnd, Error>);

/// A plan under way.
struct Work<'a> {
    core: &'a Arc<Core>,
    stop: CancellationToken,
    claims: Claims,
    /// The goal as of the last task that ended.
    goal: Goal,
    started: BTreeSet<TaskId>,
    running: JoinSet<Ended>,
    /// The task that began last, as long as no other has run beside it.
    alone: Option<TaskId>,
    /// The end of the last task, to be journaled with the beginning of the next; part of `goal` already.
    held: Vec<Event>,
    /// For whom the goal's line says that it waits.
    told: Option<Busy>,
    /// What keeps the goal from going on now.
    interrupted: Option<Error>,
}

impl Work<'_> {
    /// Begins what can begin; says whether something waits for another goal.
    async fn begin_what_is_ready(&mut self) -> Result<bool, Error> {
        let mut ready = self.ready();
        let follows_alone = self.running.is_empty() && ready.len() == 1;
        if !follows_alone && !self.held.is_empty() {
            self.journal_held().await?;
            ready = self.ready();
        }
        let mut busy = None;
        for task in ready {
            if self.stop.is_cancelled() {
                break;
            }
            match self.claims.take(self.core, &self.goal, &task) {
                Ok(claimed) => {
                    self.started.insert(task.plan.id);
                    if let Some(claimed) = claimed {
                        // Before any task acts on it, also one that begins beside this.
                        self.held.push(claimed);
                        self.journal_held().await?;
                    }
                    self.begin(&task).await?;
                }
                Err(Busy {
                    holder,
                    what,
                    circle: true,
                }) => {
                    self.stop.cancel();
                    self.journal_held().await?;
                    let error = Error::Circle { holder, what };
                    fail_task(self.core, self.goal.id, task.plan.id, &error).await?;
                }
                Err(other) => busy = Some(other),
            }
        }
        // Nothing followed that took it along.
        self.journal_held().await?;
        if let Some(busy) = busy.as_ref().filter(|_| self.told != busy) {
            let line = format!("waits for goal {}, which has {}", busy.holder, busy.what);
            self.core.say(self.goal.id, line).await?;
        }
        self.told = busy;
        Ok(self.told.is_some())
    }

    /// Tasks that are ready, and those that an earlier run had begun.
    fn ready(&self) -> Vec<Arc<Task>> {
        let begun = |task: &&Task| matches!(task.state, TaskState::InProgress | TaskState::AwaitingApproval);
        let all: BTreeSet<TaskId> = self
            .goal
            .ready()
            .chain(self.goal.tasks.iter().map(Arc::as_ref).filter(begun))
            .map(|task| task.plan.id)
            .filter(|id| !self.started.contains(id))
            .collect();
        let tasks = self.goal.tasks.iter();
        tasks
            .filter(|task| all.contains(&task.plan.id))
            .cloned()
            .collect()
    }

    async fn journal_held(&mut self) -> Result<(), Error> {
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.goal = self.core.journal.append(self.goal.id, held).await?;
        }
        Ok(())
    }

    async fn begin(&mut self, task: &Task) -> Result<(), Error> {
        let id = task.plan.id;
        let by_agent = !task.plan.skill.is_empty() && task.agent_kind != EXECUTOR_KIND;
        let mut begun = std::mem::take(&mut self.held);
        if task.state == TaskState::Pending {
            begun.push(Event::Task {
                task: id,
                state: TaskState::InProgress,
                line: format!("{} begins", task.plan.name),
                output: Value::Null,
                error: None,
            });
        }
        let mut goal = self.goal.clone();
        if by_agent && !begun.is_empty() {
            goal = self
                .core
                .journal
                .append(goal.id, std::mem::take(&mut begun))
                .await?;
        }
        let (core, stop) = (Arc::clone(self.core), self.stop.clone());
        self.running.spawn(async move {
            let result = if by_agent {
                Box::pin(agent_task::run(&core, &goal, id, stop)).await
            } else {
                Box::pin(executor::run(&core, &goal, id, begun, stop)).await
            };
            (id, result)
        });
        self.alone = (self.running.len() == 1).then_some(id);
        Ok(())
    }

    async fn ended(&mut self, task: TaskId, result: Result<TaskEnd, Error>) -> Result<(), Error> {
        match result {
            Ok(end) => self.completed(task, end).await?,
            Err(Error::Cancelled) => {}
            Err(error)
                if error.is_transient() || matches!(error, Error::JournalClosed | Error::ShuttingDown) =>
            {
                self.stop.cancel();
                self.interrupted = Some(error);
            }
            Err(error) => {
                self.stop.cancel();
                fail_task(self.core, self.goal.id, task, &error).await?;
            }
        }
        Ok(())
    }

    /// Lets the end of a task happen; it is journaled with what follows alone, or at once.
    async fn completed(&mut self, task: TaskId, end: TaskEnd) -> Result<(), Error> {
        // Where others ran beside it, more was journaled.
        let mut goal = match end.known.filter(|_| self.alone == Some(task)) {
            Some(goal) => *goal,
            None => self.core.journal.goal(self.goal.id).await?,
        };
        let name = goal.task(task).map_or("", |task| task.plan.name.as_str());
        let line = if end.summary.is_empty() {
            format!("{name} is done")
        } else {
            format!("{name}: {}", end.summary)
        };
        let mut events = end.last;
        events.push(Event::Task {
            task,
            state: TaskState::Completed,
            line,
            output: end.output,
            error: None,
        });
        for event in &events {
            goal.apply(event, self.core.clock.now_ms())?;
        }
        (self.goal, self.held) = (goal, events);
        Ok(())
    }
}
