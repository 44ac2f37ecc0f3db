//! Goals, tasks, steps and their events as a person sees them.

use aios_proto::common::v1::{Autonomy, Error};
use aios_proto::orchestrator::v1::{
    Decision, Goal, GoalDetail, GoalEvent, GoalState, Step, StepState, Task, TaskState,
};
use serde::Serialize;
use serde_json::Value;

use crate::{json, time};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident from $wire:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// The word for it.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl From<$wire> for $name {
            fn from(wire: $wire) -> Self {
                match wire { $($wire::$variant => Self::$variant),+ }
            }
        }
    };
}

words! {
    /// State of a goal.
    GoalStateView from GoalState {
        /// Not stated.
        Unspecified = "unspecified",
        /// Stored.
        Pending = "pending",
        /// A plan is being made.
        Planning = "planning",
        /// Tasks run.
        InProgress = "in_progress",
        /// A person must approve a step.
        AwaitingApproval = "awaiting_approval",
        /// A person must say more.
        AwaitingInput = "awaiting_input",
        /// Verified.
        Completed = "completed",
        /// Could not be done.
        Failed = "failed",
        /// A person cancelled it.
        Cancelled = "cancelled",
    }
}

impl GoalStateView {
    /// Whether nothing more happens to the goal.
    pub fn ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

words! {
    /// State of a task.
    TaskStateView from TaskState {
        /// Not stated.
        Unspecified = "unspecified",
        /// Waits for other tasks or an agent.
        Pending = "pending",
        /// Runs.
        InProgress = "in_progress",
        /// A step waits for a person.
        AwaitingApproval = "awaiting_approval",
        /// Done.
        Completed = "completed",
        /// Failed.
        Failed = "failed",
        /// Cancelled.
        Cancelled = "cancelled",
    }
}

words! {
    /// State of a step.
    StepStateView from StepState {
        /// Not stated.
        Unspecified = "unspecified",
        /// On its way.
        Started = "started",
        /// Waits for a person.
        AwaitingApproval = "awaiting_approval",
        /// Done.
        Done = "done",
        /// The tool failed.
        Failed = "failed",
        /// Refused by capability, policy or a person.
        Denied = "denied",
    }
}

/// The word for an autonomy level.
pub fn autonomy_word(autonomy: Autonomy) -> &'static str {
    match autonomy {
        Autonomy::Unspecified => "default",
        Autonomy::Manual => "manual",
        Autonomy::Supervised => "supervised",
        Autonomy::Full => "full",
    }
}

/// An error as data.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorView {
    /// Stable code.
    pub code: String,
    /// What failed, on what.
    pub message: String,
    /// What the reader can do next.
    pub next_step: String,
}

impl From<Error> for ErrorView {
    fn from(error: Error) -> Self {
        Self {
            code: error.code,
            message: error.message,
            next_step: error.next_step,
        }
    }
}

/// A goal.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GoalView {
    /// A UUID.
    pub goal_id: String,
    /// The person's words.
    pub text: String,
    /// State.
    pub state: GoalStateView,
    /// 0 (lowest) to 9.
    pub priority: u32,
    /// `manual`, `supervised`, `full` or `default`.
    pub autonomy: String,
    /// Dry run.
    pub dry_run: bool,
    /// Who asked.
    pub submitted_by: String,
    /// When, RFC 3339.
    pub created_at: Option<String>,
    /// Last change, RFC 3339.
    pub updated_at: Option<String>,
    /// One sentence: what it is doing, waiting for, or how it ended.
    pub status_line: String,
    /// Level that planned it, or empty.
    pub level: String,
    /// Goal that this one undoes, or empty.
    pub undo_of: String,
    /// Goal that undid this one, or empty.
    pub undone_by: String,
    /// Error, when failed.
    pub error: Option<ErrorView>,
    /// Whether it changed something that can be undone.
    pub undoable: bool,
    /// What stated it: a schedule, or a trigger and what happened; empty for a person.
    pub cause: String,
}

impl From<Goal> for GoalView {
    fn from(goal: Goal) -> Self {
        Self {
            state: goal.state().into(),
            autonomy: autonomy_word(goal.autonomy()).to_owned(),
            created_at: time::rfc3339(goal.created_at_ms),
            updated_at: time::rfc3339(goal.updated_at_ms),
            error: goal.error.map(Into::into),
            goal_id: goal.goal_id,
            text: goal.text,
            priority: goal.priority,
            dry_run: goal.dry_run,
            submitted_by: goal.submitted_by,
            status_line: goal.status_line,
            level: goal.level,
            undo_of: goal.undo_of,
            undone_by: goal.undone_by,
            undoable: goal.undoable,
            cause: goal.cause,
        }
    }
}

/// A step of a task.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepView {
    /// Number, from 1.
    pub step: u64,
    /// `tool`, `memory`, `think`.
    pub kind: String,
    /// Tool or verb.
    pub name: String,
    /// Arguments.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub args: Value,
    /// State.
    pub state: StepStateView,
    /// Result.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub result: Value,
    /// Error.
    pub error: Option<ErrorView>,
    /// Approval, when one was asked.
    pub approval_id: String,
    /// Audit record of the outcome.
    pub audit_seq: u64,
    /// Policy rule that decided.
    pub rule_id: String,
    /// Started, RFC 3339.
    pub started_at: Option<String>,
    /// Ended, RFC 3339; none while it runs.
    pub ended_at: Option<String>,
    /// Whether it changed something that can be undone.
    pub undoable: bool,
    /// The agent's reason, its own words.
    pub reason: String,
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        Self {
            state: step.state().into(),
            args: json::value(&step.args_json),
            result: json::value(&step.result_json),
            started_at: time::rfc3339(step.started_at_ms),
            ended_at: time::rfc3339(step.ended_at_ms),
            error: step.error.map(Into::into),
            step: step.step,
            kind: step.kind,
            name: step.name,
            approval_id: step.approval_id,
            audit_seq: step.audit_seq,
            rule_id: step.rule_id,
            undoable: step.undoable,
            reason: step.reason,
        }
    }
}

/// A task of a plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskView {
    /// A UUID.
    pub task_id: String,
    /// Name within the plan.
    pub name: String,
    /// State.
    pub state: TaskStateView,
    /// Tasks that come first.
    pub needs: Vec<String>,
    /// Skill for an agent, or empty.
    pub skill: String,
    /// Agent kind that does it, or `executor`.
    pub agent_kind: String,
    /// Agent instance, once routed.
    pub agent_id: String,
    /// Capabilities that it was given.
    pub capabilities: Vec<String>,
    /// Inputs.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub input: Value,
    /// Output.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub output: Value,
    /// Summary in a sentence.
    pub summary: String,
    /// Error.
    pub error: Option<ErrorView>,
    /// Steps in order.
    pub steps: Vec<StepView>,
}

impl From<Task> for TaskView {
    fn from(task: Task) -> Self {
        Self {
            state: task.state().into(),
            input: json::value(&task.input_json),
            output: json::value(&task.output_json),
            error: task.error.map(Into::into),
            steps: task.steps.into_iter().map(Into::into).collect(),
            task_id: task.task_id,
            name: task.name,
            needs: task.needs,
            skill: task.skill,
            agent_kind: task.agent_kind,
            agent_id: task.agent_id,
            capabilities: task.capabilities,
            summary: task.summary,
        }
    }
}

/// A goal in full.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GoalDetailView {
    /// The goal.
    pub goal: Option<GoalView>,
    /// Its tasks in plan order.
    pub tasks: Vec<TaskView>,
    /// Result: what changed, what it cost, how to undo it.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub result: Value,
}

impl From<GoalDetail> for GoalDetailView {
    fn from(detail: GoalDetail) -> Self {
        Self {
            goal: detail.goal.map(Into::into),
            tasks: detail.tasks.into_iter().map(Into::into).collect(),
            result: json::value(&detail.result_json),
        }
    }
}

impl GoalDetailView {
    /// Whether something in it was refused.
    pub fn was_denied(&self) -> bool {
        self.tasks
            .iter()
            .flat_map(|task| &task.steps)
            .any(|step| step.state == StepStateView::Denied)
    }
}

/// Something that happened to a goal.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventView {
    /// Sequence number in the journal.
    pub seq: u64,
    /// RFC 3339.
    pub time: Option<String>,
    /// Goal.
    pub goal_id: String,
    /// Task, or empty.
    pub task_id: String,
    /// Step, or 0.
    pub step: u64,
    /// `goal.submitted`, `step.ended`, ….
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// Details.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub details: Value,
    /// State of the goal after the event.
    pub goal_state: GoalStateView,
}

impl From<GoalEvent> for EventView {
    fn from(event: GoalEvent) -> Self {
        Self {
            goal_state: event.goal_state().into(),
            time: time::rfc3339(event.time_ms),
            details: json::value(&event.details_json),
            seq: event.seq,
            goal_id: event.goal_id,
            task_id: event.task_id,
            step: event.step,
            kind: event.kind,
            message: event.message,
        }
    }
}

/// A choice that was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DecisionView {
    /// RFC 3339.
    pub time: Option<String>,
    /// `plan`, `route`, `retry`.
    pub subject: String,
    /// Options considered.
    pub options: Vec<String>,
    /// The choice.
    pub choice: String,
    /// Why.
    pub reason: String,
    /// Level.
    pub level: String,
    /// Model, or empty.
    pub model: String,
    /// Goal.
    pub goal_id: String,
    /// Task, or empty.
    pub task_id: String,
}

impl From<Decision> for DecisionView {
    fn from(decision: Decision) -> Self {
        Self {
            time: time::rfc3339(decision.time_ms),
            subject: decision.subject,
            options: decision.options,
            choice: decision.choice,
            reason: decision.reason,
            level: decision.level,
            model: decision.model,
            goal_id: decision.goal_id,
            task_id: decision.task_id,
        }
    }
}
