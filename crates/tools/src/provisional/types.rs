//! What callers say and see of provisional changes.

use crate::error::{Result, ToolError};
use crate::net::pending::Change;
use aios_core::id::{ExecutionKey, TaskId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyArgs {
    /// Task of the execution.
    pub task_id: String,
    /// Step of the execution.
    pub step: u64,
}

impl KeyArgs {
    /// The key.
    ///
    /// # Errors
    /// A defect: the arguments were checked when they came in.
    pub fn key(&self) -> Result<ExecutionKey> {
        let task = TaskId::parse(&self.task_id).map_err(|error| ToolError::Defect(error.to_string()))?;
        Ok(ExecutionKey {
            task,
            step: self.step,
        })
    }
}

/// A change that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Confirmed {
    /// The change.
    pub execution: String,
    /// What it did.
    pub summary: String,
}

/// A change that was undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Undone {
    /// The change.
    pub execution: String,
    /// What was done.
    pub summary: String,
    /// When this itself is taken back unless it is confirmed, UTC milliseconds; null when it stays.
    pub confirm_by_ms: Option<i64>,
}

/// A provisional change, or one that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingChange {
    /// The change.
    pub execution: String,
    /// What it does.
    pub summary: String,
    /// `provisional` or `reverted`.
    pub state: String,
    /// When it is taken back by itself, UTC milliseconds.
    pub confirm_by_ms: i64,
    /// Time left, milliseconds; 0 when it is over.
    pub left_ms: u64,
    /// Why it was taken back; empty while it waits.
    pub why: String,
    /// When it was taken back, UTC milliseconds.
    pub ended_ms: Option<i64>,
}

impl PendingChange {
    pub(super) fn of(change: &Change, left_ms: Option<u64>) -> Self {
        Self {
            execution: change.key.to_string(),
            summary: change.summary.clone(),
            state: change.state.as_str().to_owned(),
            confirm_by_ms: change.due_ms,
            left_ms: left_ms.filter(|_| change.ended_ms.is_none()).unwrap_or(0),
            why: change.why.clone(),
            ended_ms: change.ended_ms,
        }
    }
}

/// What waits to be confirmed, and what was taken back because nobody did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingList {
    /// Waiting.
    pub provisional: Vec<PendingChange>,
    /// Taken back by themselves, oldest first.
    pub reverted: Vec<PendingChange>,
}
