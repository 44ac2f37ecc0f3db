//! A goal as the journal tells it: [`Goal::apply`] is the one place where an event changes anything.
//!
//! No I/O, no clock, no ids are made here: times and ids come in with the events.

pub mod cause;
pub mod event;
mod extend;
pub mod finding;
pub mod plan;
pub mod remedy;
pub mod state;

pub use extend::MAX_ROUNDS;

use crate::locks::Resource;
use aios_core::error::Report;
use aios_core::id::{GoalId, TaskId};
use cause::Cause;
use event::{Autonomy, Decision, Event, Origin, StepEnd};
use finding::Extension;
use plan::{PlanError, TaskPlan};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use state::{GoalState, StepState, TaskState, TransitionError};
use std::collections::BTreeSet;
use std::sync::Arc;

/// An event that does not fit the goal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The state machine refuses.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// The plan cannot be carried out.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The first event is not a submission, or a later one is.
    #[error("a goal begins with exactly one submission")]
    Submission,
    /// The goal has no such task.
    #[error("the goal has no task {0}")]
    NoTask(TaskId),
    /// The task has no such step.
    #[error("the task has no step {0}")]
    NoStep(u64),
    /// A step number that leaves a gap or repeats.
    #[error("step {got} of the task does not follow; step {wanted} is next")]
    StepOrder {
        /// Number given.
        got: u64,
        /// Number that is next.
        wanted: u64,
    },
    /// The event needs the goal or task to be at work.
    #[error("{0}")]
    NotNow(&'static str),
}

/// A step of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Number, from 1.
    pub step: u64,
    /// `tool`, `memory`, `think` or `undo`.
    pub kind: String,
    /// Tool or verb.
    pub name: String,
    /// Arguments.
    pub args: Value,
    /// The agent's reason.
    pub reason: String,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// State.
    pub state: StepState,
    /// The approval that was asked for last, or empty.
    pub approval_id: String,
    /// How it ended.
    pub end: Option<StepEnd>,
    /// Started, UTC milliseconds.
    pub started_ms: i64,
    /// Ended, UTC milliseconds; 0 while it runs.
    pub ended_ms: i64,
}

/// A task of a goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// What was planned.
    pub plan: TaskPlan,
    /// State.
    pub state: TaskState,
    /// Agent instance that has it, or empty.
    pub agent_id: String,
    /// Agent kind that has it, or empty.
    pub agent_kind: String,
    /// Output when completed.
    pub output: Value,
    /// One sentence.
    pub summary: String,
    /// Error when failed.
    pub error: Option<Report>,
    /// Steps in order.
    #[serde(skip)]
    pub steps: Vec<Step>,
}

/// A goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// Its id.
    pub id: GoalId,
    /// The person's words.
    pub text: String,
    /// Their last answer, which the plan is made from, or empty.
    pub reply: String,
    /// State.
    pub state: GoalState,
    /// 0 to 9.
    pub priority: u8,
    /// Autonomy.
    pub autonomy: Autonomy,
    /// Change nothing.
    pub dry_run: bool,
    /// User name.
    pub submitted_by: String,
    /// uid.
    pub uid: u32,
    /// Chosen by the client, or empty.
    pub client_id: String,
    /// Where it came from.
    pub origin: Origin,
    /// What stated it.
    #[serde(default)]
    pub cause: Cause,
    /// Stored at, UTC milliseconds.
    pub created_ms: i64,
    /// Last changed, UTC milliseconds.
    pub updated_ms: i64,
    /// What it is doing, waiting for, or how it ended.
    pub line: String,
    /// Level that planned it.
    pub level: String,
    /// Goal that has undone it.
    pub undone_by: Option<GoalId>,
    /// Who asked for the end, or empty.
    pub cancelled_by: String,
    /// Error when failed.
    pub error: Option<Report>,
    /// Result.
    pub result: Value,
    /// Tasks in plan order. Shared between copies of the goal, of which each step takes several; stored each by
    /// itself.
    #[serde(skip)]
    pub tasks: Vec<Arc<Task>>,
    /// Decisions in order, with their times.
    pub decisions: Vec<(i64, Decision)>,
    /// Extensions of the plan in order.
    #[serde(default)]
    pub extensions: Vec<Extension>,
    /// What it has for itself until it ends.
    #[serde(default)]
    pub holds: Vec<Resource>,
}

impl Goal {
    /// The goal that a submission makes.
    ///
    /// # Errors
    /// [`ApplyError::Submission`] for any other event.
    pub fn begin(id: GoalId, event: &Event, time_ms: i64) -> Result<Self, ApplyError> {
        let Event::Submitted {
            text,
            priority,
            autonomy,
            dry_run,
            submitted_by,
            uid,
            client_id,
            origin,
            cause,
        } = event
        else {
            return Err(ApplyError::Submission);
        };
        Ok(Self {
            id,
            text: text.clone(),
            reply: String::new(),
            state: GoalState::Pending,
            priority: *priority,
            autonomy: *autonomy,
            dry_run: *dry_run,
            submitted_by: submitted_by.clone(),
            uid: *uid,
            client_id: client_id.clone(),
            origin: origin.clone(),
            cause: cause.clone(),
            created_ms: time_ms,
            updated_ms: time_ms,
            line: "stored; a plan comes next".to_owned(),
            level: String::new(),
            undone_by: None,
            cancelled_by: String::new(),
            error: None,
            result: Value::Null,
            tasks: Vec::new(),
            decisions: Vec::new(),
            extensions: Vec::new(),
            holds: Vec::new(),
        })
    }

    /// Lets an event happen. On an error the goal may be half changed: apply to a copy.
    ///
    /// # Errors
    /// The event does not fit the goal as it is.
    pub fn apply(&mut self, event: &Event, time_ms: i64) -> Result<(), ApplyError> {
        if self.state.is_final() && !matches!(event, Event::UndoneBy { .. }) {
            return Err(ApplyError::NotNow("the goal has ended"));
        }
        match event {
            Event::Submitted { .. } => return Err(ApplyError::Submission),
            Event::State { state, line, error } => self.set_state(*state, line, error.as_ref())?,
            Event::Planned { level, tasks, .. } => self.set_plan(level, tasks)?,
            Event::Extended {
                analysed,
                answers,
                tasks,
            } => self.extend(analysed, answers, tasks)?,
            Event::Reply { text, .. } => {
                if self.state != GoalState::AwaitingInput {
                    return Err(ApplyError::NotNow("the goal does not wait for an answer"));
                }
                self.state = self.state.to(GoalState::Planning)?;
                self.reply.clone_from(text);
                "a plan is made from the answer".clone_into(&mut self.line);
            }
            Event::CancelRequested { by } => {
                self.cancelled_by.clone_from(by);
                self.line = format!("{by} cancels it: running work is being stopped");
            }
            Event::Holds { resources } => self.holds.extend(resources.iter().cloned()),
            Event::Result { result } => self.result = result.clone(),
            Event::UndoneBy { by } => self.set_undone(*by)?,
            Event::Decided(decision) => self.decisions.push((time_ms, decision.clone())),
            Event::Progress { task, .. } => {
                self.task_mut(*task)?;
            }
            Event::Task { task, .. }
            | Event::Routed { task, .. }
            | Event::StepStarted { task, .. }
            | Event::ApprovalRequired { task, .. }
            | Event::ApprovalDecided { task, .. }
            | Event::StepEnded { task, .. } => {
                if !matches!(self.state, GoalState::InProgress | GoalState::AwaitingApproval) {
                    return Err(ApplyError::NotNow("the goal is not at work"));
                }
                if matches!(
                    event,
                    Event::Task {
                        state: TaskState::InProgress,
                        ..
                    }
                ) && !self.may_begin(*task)
                {
                    return Err(ApplyError::NotNow("what the task needs is not completed"));
                }
                self.task_mut(*task)?.apply(event, time_ms)?;
                self.follow_tasks(event)?;
            }
        }
        self.updated_ms = time_ms;
        Ok(())
    }

    fn set_state(&mut self, state: GoalState, line: &str, error: Option<&Report>) -> Result<(), ApplyError> {
        if state != self.state && !self.may_be_told(state) {
            return Err(ApplyError::NotNow(
                "what a goal at work waits for follows from its tasks",
            ));
        }
        self.state = self.state.to(state)?;
        if state == GoalState::Completed && !self.is_proved() {
            return Err(ApplyError::NotNow(
                "a goal is complete only when its verification passed",
            ));
        }
        if state.is_final() && self.tasks.iter().any(|task| !task.state.is_final()) {
            return Err(ApplyError::NotNow("a goal cannot end while a task has not"));
        }
        line.clone_into(&mut self.line);
        self.error = error.cloned();
        Ok(())
    }

    /// Whether a state is one to be told, and not one that the tasks make: with a plan a goal begins to
    /// work, and from then on it waits for approval exactly while a task does.
    fn may_be_told(&self, state: GoalState) -> bool {
        match state {
            GoalState::AwaitingApproval => false,
            GoalState::InProgress => self.state == GoalState::Planning && !self.tasks.is_empty(),
            _ => true,
        }
    }

    /// Whether every task is completed and one of them was the proof. A dry run, and a diagnosis that
    /// only looked, prove nothing and change nothing: their tasks suffice.
    fn is_proved(&self) -> bool {
        !self.tasks.is_empty()
            && self.tasks.iter().all(|task| task.state == TaskState::Completed)
            && (self.dry_run
                || self.tasks.iter().any(|task| task.plan.verifies)
                || self.tasks.iter().all(|task| task.plan.looks))
    }

    fn set_plan(&mut self, level: &str, tasks: &[TaskPlan]) -> Result<(), ApplyError> {
        if self.state != GoalState::Planning || !self.tasks.is_empty() {
            return Err(ApplyError::NotNow("the goal is not being planned"));
        }
        plan::check(tasks)?;
        level.clone_into(&mut self.level);
        self.tasks = tasks.iter().cloned().map(Task::planned).map(Arc::new).collect();
        Ok(())
    }

    fn set_undone(&mut self, by: Option<GoalId>) -> Result<(), ApplyError> {
        if !self.state.is_final() {
            return Err(ApplyError::NotNow("only a goal that has ended can be undone"));
        }
        if by.is_some() && self.undone_by.is_some() {
            return Err(ApplyError::NotNow("the goal is undone already"));
        }
        self.undone_by = by;
        Ok(())
    }

    /// The goal waits for approval exactly while one of its tasks does.
    fn follow_tasks(&mut self, event: &Event) -> Result<(), ApplyError> {
        let waiting = self
            .tasks
            .iter()
            .any(|task| task.state == TaskState::AwaitingApproval);
        let wanted = if waiting {
            GoalState::AwaitingApproval
        } else {
            GoalState::InProgress
        };
        if self.state != wanted {
            self.state = self.state.to(wanted)?;
        }
        match event {
            Event::ApprovalRequired { .. } | Event::ApprovalDecided { .. } | Event::Task { .. } => {
                self.line = event.sentence();
            }
            _ => {}
        }
        Ok(())
    }

    /// A task of it.
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.iter().find(|task| task.plan.id == id).map(Arc::as_ref)
    }

    fn task_mut(&mut self, id: TaskId) -> Result<&mut Task, ApplyError> {
        self.tasks
            .iter_mut()
            .find(|task| task.plan.id == id)
            .map(Arc::make_mut)
            .ok_or(ApplyError::NoTask(id))
    }

    /// Tasks that may start: pending, and everything they need is completed.
    pub fn ready(&self) -> impl Iterator<Item = &Task> {
        let completed: BTreeSet<&str> = self
            .tasks
            .iter()
            .filter(|task| task.state == TaskState::Completed)
            .map(|task| task.plan.name.as_str())
            .collect();
        self.tasks.iter().map(Arc::as_ref).filter(move |task| {
            task.state == TaskState::Pending
                && task
                    .plan
                    .needs
                    .iter()
                    .all(|need| completed.contains(need.as_str()))
        })
    }

    /// Whether a task is at work already, or could be.
    fn may_begin(&self, id: TaskId) -> bool {
        let begun = self.task(id).is_some_and(|task| task.state != TaskState::Pending);
        begun || self.ready().any(|task| task.plan.id == id)
    }

    /// Steps that changed something that can be undone, newest first.
    pub fn undoable_steps(&self) -> Vec<(&Task, &Step)> {
        let mut steps: Vec<(&Task, &Step)> = self
            .tasks
            .iter()
            .flat_map(|task| task.steps.iter().map(move |step| (task.as_ref(), step)))
            .filter(|(_, step)| step.end.as_ref().is_some_and(|end| end.undoable))
            .collect();
        steps.sort_by_key(|(_, step)| std::cmp::Reverse((step.ended_ms, step.started_ms, step.step)));
        steps
    }

    /// Whether [`Goal::undoable_steps`] has any, the goal has ended and nobody has undone it.
    pub fn is_undoable(&self) -> bool {
        self.state.is_final() && self.undone_by.is_none() && !self.undoable_steps().is_empty()
    }
}

impl Task {
    fn planned(plan: TaskPlan) -> Self {
        Self {
            plan,
            state: TaskState::Pending,
            agent_id: String::new(),
            agent_kind: String::new(),
            output: Value::Null,
            summary: String::new(),
            error: None,
            steps: Vec::new(),
        }
    }

    fn apply(&mut self, event: &Event, time_ms: i64) -> Result<(), ApplyError> {
        match event {
            Event::Task {
                state,
                line,
                output,
                error,
                ..
            } => {
                self.check_told(*state)?;
                self.state = self.state.to(*state)?;
                self.summary.clone_from(line);
                self.output.clone_from(output);
                self.error.clone_from(error);
                Ok(())
            }
            Event::Routed {
                agent_kind, agent_id, ..
            } => {
                if self.state.is_final() {
                    return Err(ApplyError::NotNow("the task has ended"));
                }
                self.agent_kind.clone_from(agent_kind);
                self.agent_id.clone_from(agent_id);
                Ok(())
            }
            Event::StepStarted {
                step,
                step_kind,
                name,
                args,
                reason,
                dry_run,
                ..
            } => {
                self.start_step(*step)?;
                self.steps.push(Step {
                    step: *step,
                    kind: step_kind.clone(),
                    name: name.clone(),
                    args: args.clone(),
                    reason: reason.clone(),
                    dry_run: *dry_run,
                    state: StepState::Started,
                    approval_id: String::new(),
                    end: None,
                    started_ms: time_ms,
                    ended_ms: 0,
                });
                Ok(())
            }
            Event::ApprovalRequired {
                step, approval_id, ..
            } => {
                let step = self.step_mut(*step)?;
                step.state = step.state.to(StepState::AwaitingApproval)?;
                step.approval_id.clone_from(approval_id);
                self.state = self.state.to(TaskState::AwaitingApproval)?;
                Ok(())
            }
            Event::ApprovalDecided { step, .. } => {
                let step = self.step_mut(*step)?;
                step.state = step.state.to(StepState::Started)?;
                self.state = self.state.to(TaskState::InProgress)?;
                Ok(())
            }
            Event::StepEnded { step, end, .. } => {
                let step = self.step_mut(*step)?;
                if !end.state.is_final() {
                    return Err(ApplyError::NotNow("a step ends done, failed or denied"));
                }
                step.state = step.state.to(end.state)?;
                step.ended_ms = time_ms;
                if !end.approval_id.is_empty() {
                    step.approval_id.clone_from(&end.approval_id);
                }
                step.end = Some(end.clone());
                if self.state == TaskState::AwaitingApproval {
                    self.state = self.state.to(TaskState::InProgress)?;
                }
                Ok(())
            }
            _ => Err(ApplyError::NotNow("the event is not about a task")),
        }
    }

    /// A task waits for approval exactly while its step does, and ends only when its steps have.
    fn check_told(&self, next: TaskState) -> Result<(), ApplyError> {
        if next.is_final() && self.in_flight().is_some() {
            return Err(ApplyError::NotNow("a task cannot end while a step runs"));
        }
        let waits = [self.state, next].contains(&TaskState::AwaitingApproval);
        if waits && next != self.state && !next.is_final() {
            return Err(ApplyError::NotNow(
                "whether a task waits for approval follows from its step",
            ));
        }
        Ok(())
    }

    fn start_step(&self, step: u64) -> Result<(), ApplyError> {
        if self.state != TaskState::InProgress {
            return Err(ApplyError::NotNow("the task is not at work"));
        }
        if self.in_flight().is_some() {
            return Err(ApplyError::NotNow("another step of the task has not ended"));
        }
        let wanted = self.next_step();
        if step == wanted {
            Ok(())
        } else {
            Err(ApplyError::StepOrder { got: step, wanted })
        }
    }

    /// Number that the next step must have.
    pub fn next_step(&self) -> u64 {
        self.steps.len() as u64 + 1
    }

    /// The step that has started and not ended, if any; there is at most one.
    pub fn in_flight(&self) -> Option<&Step> {
        self.steps.iter().find(|step| step.end.is_none())
    }

    /// A step by its number.
    pub fn step(&self, number: u64) -> Option<&Step> {
        self.steps.iter().find(|step| step.step == number)
    }

    fn step_mut(&mut self, number: u64) -> Result<&mut Step, ApplyError> {
        self.steps
            .iter_mut()
            .find(|step| step.step == number)
            .ok_or(ApplyError::NoStep(number))
    }
}
