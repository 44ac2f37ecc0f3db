//! How a plan grows by what its diagnosis found.

use super::finding::{Action, Analysis, Answer, Extension};
use super::plan::{self, Operation, TaskPlan};
use super::state::{GoalState, TaskState};
use super::{ApplyError, Goal, Task};
use aios_core::id::TaskId;
use serde_json::Value;
use std::sync::Arc;

/// Most extensions of one plan: a diagnosis, two closer looks, the repair.
pub const MAX_ROUNDS: usize = 4;

impl Goal {
    /// Lets an extension happen.
    pub(super) fn extend(
        &mut self,
        analysed: &[TaskId],
        answers: &[Answer],
        tasks: &[TaskPlan],
    ) -> Result<(), ApplyError> {
        if self.state != GoalState::InProgress {
            return Err(ApplyError::NotNow("only a plan at work can be extended"));
        }
        if self.extensions.len() >= MAX_ROUNDS {
            return Err(ApplyError::NotNow("the plan was extended too often"));
        }
        let open = self.unread();
        if analysed.is_empty() || analysed.iter().any(|task| !open.contains(task)) {
            return Err(ApplyError::NotNow(
                "an extension follows analyses that none has followed",
            ));
        }
        let all: Vec<TaskPlan> = self
            .tasks
            .iter()
            .map(|task| task.plan.clone())
            .chain(tasks.iter().cloned())
            .collect();
        plan::check(&all)?;
        self.tasks
            .extend(tasks.iter().cloned().map(Task::planned).map(Arc::new));
        self.extensions.push(Extension {
            analysed: analysed.to_vec(),
            answers: answers.to_vec(),
        });
        Ok(())
    }

    /// Completed tasks with an analysis that no extension has read.
    pub fn unread(&self) -> Vec<TaskId> {
        self.tasks
            .iter()
            .filter(|task| task.state == TaskState::Completed && task.plan.analyzes())
            .map(|task| task.plan.id)
            .filter(|id| !self.extensions.iter().any(|it| it.analysed.contains(id)))
            .collect()
    }

    /// What the completed analyses say, in plan order.
    pub fn analyses(&self) -> Vec<Analysis> {
        self.tasks.iter().map(Arc::as_ref).flat_map(analyses_of).collect()
    }

    /// What follows a finding, so far.
    pub fn answer(&self, cause: &str, subject: &str) -> Option<&Answer> {
        self.extensions
            .iter()
            .flat_map(|extension| &extension.answers)
            .find(|answer| answer.cause == cause && answer.subject == subject)
    }

    /// Whether any repair was begun.
    pub fn repairs(&self) -> bool {
        let mut answers = self.extensions.iter().flat_map(|extension| &extension.answers);
        answers.any(|answer| answer.action == Action::Repair)
    }
}

impl TaskPlan {
    /// Whether the task ends in findings.
    pub fn analyzes(&self) -> bool {
        self.operations
            .iter()
            .any(|operation| matches!(operation, Operation::Analyze { .. }))
    }
}

fn analyses_of(task: &Task) -> Vec<Analysis> {
    let results = task.output.get("results").and_then(Value::as_array);
    let operations = task.plan.operations.iter();
    operations
        .zip(results.into_iter().flatten())
        .filter(|(operation, _)| matches!(operation, Operation::Analyze { .. }))
        .filter_map(|(_, result)| serde_json::from_value(result.clone()).ok())
        .collect()
}
