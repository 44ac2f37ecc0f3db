//! What can happen to a goal. The events of a goal, in order, are the goal; everything else is
//! derived from them.

use super::cause::Cause;
use super::finding::Answer;
use super::plan::TaskPlan;
use super::remedy::Book;
use super::state::{GoalState, StepState, TaskState};
use crate::locks::Resource;
use aios_core::error::Report;
use aios_core::id::{GoalId, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where a goal came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "origin", rename_all = "snake_case")]
pub enum Origin {
    /// A person's words.
    Text,
    /// One tool call by a person.
    Call {
        /// Tool, `fs.stat`.
        tool: String,
        /// Arguments, a JSON object.
        args: Value,
    },
    /// A runbook by its name: a goal of the system itself, whose text is for people only.
    Runbook {
        /// Its name.
        runbook: String,
    },
    /// The undo of another goal.
    Undo {
        /// The goal to undo.
        of: GoalId,
    },
}

/// How much the person wants to be asked. Ordered from most to least asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Autonomy {
    /// Ask for everything that changes something.
    Manual,
    /// Ask for what policy calls risky.
    Supervised,
    /// Ask only where policy insists.
    Full,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEnd {
    /// `done`, `failed` or `denied`.
    pub state: StepState,
    /// Result, JSON; null unless done.
    pub result: Value,
    /// Why not, unless done.
    pub error: Option<Report>,
    /// Audit record of the outcome; 0 when not known.
    pub audit_seq: u64,
    /// Policy rule that decided, or empty.
    pub rule_id: String,
    /// Approval that allowed it, or empty.
    pub approval_id: String,
    /// Whether it changed something that can be undone.
    pub undoable: bool,
    /// Whether text from a file, a log or the net is in the result.
    pub tainted: bool,
}

/// A choice that was made, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// `plan`, `remedy`, `route`, `retry`.
    pub subject: String,
    /// Options considered.
    pub options: Vec<String>,
    /// The choice.
    pub choice: String,
    /// Why, one sentence.
    pub reason: String,
    /// Level, `reactive`.
    pub level: String,
    /// Task it is about.
    pub task: Option<TaskId>,
}

/// Something that happened to a goal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Event {
    /// The goal was stored.
    #[serde(rename = "goal.submitted")]
    Submitted {
        /// The person's words.
        text: String,
        /// 0 to 9.
        priority: u8,
        /// Autonomy.
        autonomy: Autonomy,
        /// Change nothing.
        dry_run: bool,
        /// User name.
        submitted_by: String,
        /// uid of the person.
        uid: u32,
        /// Chosen by the client, or empty.
        client_id: String,
        /// Where it came from.
        origin: Origin,
        /// What stated it.
        #[serde(default)]
        cause: Cause,
    },
    /// The state changed, or the sentence about it.
    #[serde(rename = "goal.state")]
    State {
        /// New state.
        state: GoalState,
        /// One sentence for a person.
        line: String,
        /// Error, when failed.
        error: Option<Report>,
    },
    /// A plan was made.
    #[serde(rename = "goal.planned")]
    Planned {
        /// Level, `reactive`.
        level: String,
        /// What the plan was made from: a runbook's name, `call` or `undo`.
        source: String,
        /// Tasks in plan order.
        tasks: Vec<TaskPlan>,
        /// What may follow when they diagnose something.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        book: Option<Box<Book>>,
    },
    /// The plan was extended by what its diagnosis found.
    #[serde(rename = "goal.extended")]
    Extended {
        /// Tasks whose analyses were read.
        analysed: Vec<TaskId>,
        /// What follows which finding.
        answers: Vec<Answer>,
        /// Tasks that were added, in plan order.
        tasks: Vec<TaskPlan>,
    },
    /// A person answered a goal that was awaiting input.
    #[serde(rename = "goal.reply")]
    Reply {
        /// Their words; they take the place of the goal's text for the next plan.
        text: String,
        /// User name.
        by: String,
    },
    /// A person asked for the end.
    #[serde(rename = "goal.cancel")]
    CancelRequested {
        /// User name.
        by: String,
    },
    /// The goal has these for itself until it ends.
    #[serde(rename = "goal.holds")]
    Holds {
        /// What it holds beside what it had.
        resources: Vec<Resource>,
    },
    /// The result was put together.
    #[serde(rename = "goal.result")]
    Result {
        /// What changed, what it cost, how to undo it.
        result: Value,
    },
    /// Another goal has undone, or is undoing, this one.
    #[serde(rename = "goal.undone")]
    UndoneBy {
        /// That goal; none when its undo failed and another may try.
        by: Option<GoalId>,
    },
    /// A task's state changed.
    #[serde(rename = "task.state")]
    Task {
        /// The task.
        task: TaskId,
        /// New state.
        state: TaskState,
        /// One sentence.
        line: String,
        /// Output, JSON; null unless completed.
        output: Value,
        /// Error, when failed.
        error: Option<Report>,
    },
    /// A task was given to someone.
    #[serde(rename = "task.routed")]
    Routed {
        /// The task.
        task: TaskId,
        /// Agent kind, or `executor`.
        agent_kind: String,
        /// Agent instance.
        agent_id: String,
        /// Its container, or empty.
        container_id: String,
    },
    /// A call is about to be made.
    #[serde(rename = "step.started")]
    StepStarted {
        /// The task.
        task: TaskId,
        /// Number, from 1 without gaps.
        step: u64,
        /// `tool`, `memory`, `think` or `undo`.
        step_kind: String,
        /// Tool or verb.
        name: String,
        /// Arguments, JSON.
        args: Value,
        /// The agent's reason.
        reason: String,
        /// Change nothing.
        dry_run: bool,
    },
    /// A step waits for a person.
    #[serde(rename = "approval.required")]
    ApprovalRequired {
        /// The task.
        task: TaskId,
        /// The step.
        step: u64,
        /// The guard's id of the request.
        approval_id: String,
        /// Rule that asked.
        rule_id: String,
        /// When it lapses, UTC milliseconds.
        expires_at_ms: i64,
    },
    /// The person's decision arrived; the step is sent again.
    #[serde(rename = "approval.decided")]
    ApprovalDecided {
        /// The task.
        task: TaskId,
        /// The step.
        step: u64,
        /// The guard's id of the request.
        approval_id: String,
        /// `approved`, `declined`, `expired`, `withdrawn`.
        outcome: String,
        /// Who, or empty.
        approver: String,
    },
    /// A call ended.
    #[serde(rename = "step.ended")]
    StepEnded {
        /// The task.
        task: TaskId,
        /// The step.
        step: u64,
        /// How.
        #[serde(flatten)]
        end: StepEnd,
    },
    /// How far a task is, in the agent's words.
    #[serde(rename = "progress")]
    Progress {
        /// The task.
        task: TaskId,
        /// One sentence.
        message: String,
        /// 0 to 100.
        percent: u32,
    },
    /// A choice was made.
    #[serde(rename = "decision")]
    Decided(Decision),
}

impl Event {
    /// Kind as streams and memory name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Submitted { .. } => "goal.submitted",
            Self::State { .. } => "goal.state",
            Self::Planned { .. } => "goal.planned",
            Self::Extended { .. } => "goal.extended",
            Self::Reply { .. } => "goal.reply",
            Self::CancelRequested { .. } => "goal.cancel",
            Self::Holds { .. } => "goal.holds",
            Self::Result { .. } => "goal.result",
            Self::UndoneBy { .. } => "goal.undone",
            Self::Task { .. } => "task.state",
            Self::Routed { .. } => "task.routed",
            Self::StepStarted { .. } => "step.started",
            Self::ApprovalRequired { .. } => "approval.required",
            Self::ApprovalDecided { .. } => "approval.decided",
            Self::StepEnded { .. } => "step.ended",
            Self::Progress { .. } => "progress",
            Self::Decided(_) => "decision",
        }
    }

    /// The task that it is about.
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Task { task, .. }
            | Self::Routed { task, .. }
            | Self::StepStarted { task, .. }
            | Self::ApprovalRequired { task, .. }
            | Self::ApprovalDecided { task, .. }
            | Self::StepEnded { task, .. }
            | Self::Progress { task, .. } => Some(*task),
            Self::Decided(decision) => decision.task,
            _ => None,
        }
    }

    /// The step that it is about, or 0.
    pub fn step(&self) -> u64 {
        match self {
            Self::StepStarted { step, .. }
            | Self::ApprovalRequired { step, .. }
            | Self::ApprovalDecided { step, .. }
            | Self::StepEnded { step, .. } => *step,
            _ => 0,
        }
    }

    /// Whether text that a tool, a file or an agent wrote is in it.
    pub fn tainted(&self) -> bool {
        match self {
            Self::StepEnded { end, .. } => end.tainted,
            Self::Progress { .. }
            | Self::StepStarted { .. }
            | Self::Task { .. }
            | Self::Extended { .. }
            | Self::Result { .. } => true,
            _ => false,
        }
    }

    /// One sentence for a person.
    pub fn sentence(&self) -> String {
        match self {
            Self::Submitted {
                text,
                submitted_by,
                cause: Cause::Person,
                ..
            } => format!("{submitted_by} asks: {text}"),
            Self::Submitted {
                text,
                submitted_by,
                cause,
                ..
            } => format!("{} asks for {submitted_by}: {text}", cause.phrase()),
            Self::State { line, .. } => line.clone(),
            Self::Planned { source, tasks, .. } => {
                let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
                format!("planned from {source}: {}", names.join(", "))
            }
            Self::Extended { answers, tasks, .. } => extended(answers, tasks),
            Self::Reply { text, by } => format!("{by} answers: {text}"),
            Self::CancelRequested { by } => format!("{by} cancels the goal"),
            Self::Holds { resources } => {
                let names: Vec<String> = resources.iter().map(Resource::to_string).collect();
                format!("has to itself until it ends: {}", names.join(", "))
            }
            Self::Result { .. } => "the result is put together".to_owned(),
            Self::UndoneBy { by: Some(by) } => format!("undone by goal {by}"),
            Self::UndoneBy { by: None } => "the undo failed; it can be asked for again".to_owned(),
            Self::Task { line, .. } => line.clone(),
            Self::Routed { agent_kind, .. } => format!("given to {agent_kind}"),
            Self::StepStarted {
                step, name, reason, ..
            } if reason.is_empty() => format!("step {step}: {name}"),
            Self::StepStarted {
                step, name, reason, ..
            } => format!("step {step}: {name}: {reason}"),
            Self::ApprovalRequired {
                step, approval_id, ..
            } => {
                format!("step {step} waits for a person's approval {approval_id}")
            }
            Self::ApprovalDecided {
                step,
                outcome,
                approver,
                ..
            } if approver.is_empty() => {
                format!("the approval of step {step} was {outcome}")
            }
            Self::ApprovalDecided {
                step,
                outcome,
                approver,
                ..
            } => {
                format!("the approval of step {step} was {outcome} by {approver}")
            }
            Self::StepEnded { step, end, .. } => match &end.error {
                Some(error) => format!("step {step} {}: {}", end.state, error.message),
                None => format!("step {step} {}", end.state),
            },
            Self::Progress { message, .. } => message.clone(),
            Self::Decided(decision) => {
                format!(
                    "{}: {} because {}",
                    decision.subject, decision.choice, decision.reason
                )
            }
        }
    }
}

fn extended(answers: &[Answer], tasks: &[TaskPlan]) -> String {
    if answers.is_empty() {
        return "the diagnosis found nothing wrong".to_owned();
    }
    let found: Vec<&str> = answers.iter().map(|answer| answer.says.as_str()).collect();
    let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
    let added = if names.is_empty() {
        String::new()
    } else {
        format!("; the plan goes on with {}", names.join(", "))
    };
    format!("{}{added}", found.join("; "))
}
