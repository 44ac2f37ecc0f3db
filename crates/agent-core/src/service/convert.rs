//! From the model to the wire.

use crate::journal::Recorded;
use crate::model::event::{Autonomy, Origin};
use crate::model::state::{GoalState, StepState, TaskState};
use crate::model::{Goal, Step, Task};
use crate::router::AgentEntry;
use aios_proto::common::v1 as common;
use aios_proto::orchestrator::v1 as api;
use serde_json::Value;

pub(super) fn autonomy(autonomy: Autonomy) -> common::Autonomy {
    match autonomy {
        Autonomy::Manual => common::Autonomy::Manual,
        Autonomy::Supervised => common::Autonomy::Supervised,
        Autonomy::Full => common::Autonomy::Full,
    }
}

fn goal_state(state: GoalState) -> api::GoalState {
    match state {
        GoalState::Pending => api::GoalState::Pending,
        GoalState::Planning => api::GoalState::Planning,
        GoalState::InProgress => api::GoalState::InProgress,
        GoalState::AwaitingApproval => api::GoalState::AwaitingApproval,
        GoalState::AwaitingInput => api::GoalState::AwaitingInput,
        GoalState::Completed => api::GoalState::Completed,
        GoalState::Failed => api::GoalState::Failed,
        GoalState::Cancelled => api::GoalState::Cancelled,
    }
}

/// The state of a number on the wire.
pub(super) fn state_of(value: i32) -> Option<GoalState> {
    GoalState::ALL
        .iter()
        .copied()
        .find(|state| i32::from(goal_state(*state)) == value)
}

fn task_state(state: TaskState) -> api::TaskState {
    match state {
        TaskState::Pending => api::TaskState::Pending,
        TaskState::InProgress => api::TaskState::InProgress,
        TaskState::AwaitingApproval => api::TaskState::AwaitingApproval,
        TaskState::Completed => api::TaskState::Completed,
        TaskState::Failed => api::TaskState::Failed,
        TaskState::Cancelled => api::TaskState::Cancelled,
    }
}

fn step_state(state: StepState) -> api::StepState {
    match state {
        StepState::Started => api::StepState::Started,
        StepState::AwaitingApproval => api::StepState::AwaitingApproval,
        StepState::Done => api::StepState::Done,
        StepState::Failed => api::StepState::Failed,
        StepState::Denied => api::StepState::Denied,
    }
}

pub(super) fn goal(goal: &Goal) -> api::Goal {
    api::Goal {
        goal_id: goal.id.to_string(),
        text: goal.text.clone(),
        state: goal_state(goal.state).into(),
        priority: goal.priority.into(),
        autonomy: autonomy(goal.autonomy).into(),
        dry_run: goal.dry_run,
        submitted_by: goal.submitted_by.clone(),
        created_at_ms: goal.created_ms,
        updated_at_ms: goal.updated_ms,
        status_line: goal.line.clone(),
        level: goal.level.clone(),
        undo_of: match goal.origin {
            Origin::Undo { of } => of.to_string(),
            Origin::Text | Origin::Runbook { .. } | Origin::Call { .. } => String::new(),
        },
        undone_by: goal.undone_by.map(|by| by.to_string()).unwrap_or_default(),
        error: goal.error.clone().map(Into::into),
        undoable: goal.is_undoable(),
        cause: goal.cause.phrase(),
    }
}

pub(super) fn detail(goal: &Goal) -> api::GoalDetail {
    api::GoalDetail {
        goal: Some(self::goal(goal)),
        tasks: goal.tasks.iter().map(|it| task(it)).collect(),
        result_json: json(&goal.result),
    }
}

fn task(task: &Task) -> api::Task {
    api::Task {
        task_id: task.plan.id.to_string(),
        name: task.plan.name.clone(),
        state: task_state(task.state).into(),
        needs: task.plan.needs.clone(),
        skill: task.plan.skill.clone(),
        agent_kind: if task.agent_kind.is_empty() {
            &task.plan.agent_kind
        } else {
            &task.agent_kind
        }
        .clone(),
        agent_id: task.agent_id.clone(),
        capabilities: task.plan.capabilities.clone(),
        input_json: json(&task.plan.input),
        output_json: json(&task.output),
        summary: task.summary.clone(),
        error: task.error.clone().map(Into::into),
        steps: task.steps.iter().map(step).collect(),
    }
}

fn step(step: &Step) -> api::Step {
    let end = step.end.as_ref();
    api::Step {
        step: step.step,
        kind: step.kind.clone(),
        name: step.name.clone(),
        args_json: step.args.to_string(),
        state: step_state(step.state).into(),
        result_json: end.map(|end| json(&end.result)).unwrap_or_default(),
        error: end.and_then(|end| end.error.clone()).map(Into::into),
        approval_id: step.approval_id.clone(),
        audit_seq: end.map_or(0, |end| end.audit_seq),
        rule_id: end.map(|end| end.rule_id.clone()).unwrap_or_default(),
        started_at_ms: step.started_ms,
        ended_at_ms: step.ended_ms,
        undoable: end.is_some_and(|end| end.undoable),
        reason: step.reason.clone(),
    }
}

/// JSON text; nothing for null.
fn json(value: &Value) -> String {
    if value.is_null() {
        String::new()
    } else {
        value.to_string()
    }
}

pub(super) fn event(event: Recorded) -> api::GoalEvent {
    api::GoalEvent {
        seq: event.seq,
        time_ms: event.time_ms,
        goal_id: event.goal.to_string(),
        task_id: event.task,
        step: event.step,
        kind: event.kind,
        message: event.message,
        details_json: event.body,
        goal_state: goal_state(event.goal_state).into(),
    }
}

pub(super) fn decisions(goal: &Goal) -> Vec<api::Decision> {
    goal.decisions
        .iter()
        .map(|(time_ms, decision)| api::Decision {
            time_ms: *time_ms,
            subject: decision.subject.clone(),
            options: decision.options.clone(),
            choice: decision.choice.clone(),
            reason: decision.reason.clone(),
            level: decision.level.clone(),
            model: String::new(),
            goal_id: goal.id.to_string(),
            task_id: decision.task.map(|task| task.to_string()).unwrap_or_default(),
        })
        .collect()
}

pub(super) fn agent(agent: AgentEntry) -> api::AgentInfo {
    api::AgentInfo {
        agent_id: agent.agent.to_string(),
        kind: agent.kind,
        state: if agent.connected { "connected" } else { "gone" }.to_owned(),
        skills: agent.skills,
        active_tasks: u32::try_from(agent.active.len()).unwrap_or(u32::MAX),
        last_seen_ms: agent.last_seen_ms,
        container_id: agent.container_id,
    }
}
