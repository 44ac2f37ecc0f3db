//! Typed ids. Every id is a UUIDv7 (RFC 9562): it sorts by the time it was made.
//!
//! ```
//! use aios_core::id::GoalId;
//! let id = GoalId::new();
//! assert_eq!(id.to_string().parse::<GoalId>().unwrap(), id);
//! ```

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {kind} id: a UUID like 01939f2e-7c3a-7d11-8a52-0f6a3c1d9e77 is expected")]
pub struct IdError {
    /// Kind of id that was wanted, `goal`.
    pub kind: &'static str,
    /// What was given, cut at 80 characters.
    pub text: String,
}

impl crate::error::Coded for IdError {
    fn code(&self) -> &'static str {
        "AIOS-CORE-0001"
    }
    fn next_step(&self) -> String {
        format!(
            "copy the {} id from a listing; `--json` prints it whole",
            self.kind
        )
    }
}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident = $kind:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes a new id from the current time and randomness.
            #[expect(clippy::new_without_default, reason = "a default id would be a surprise")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
            /// Parses the usual text form.
            ///
            /// # Errors
            /// [`IdError`] names the kind that was wanted and what was given.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text).map(Self).map_err(|_| IdError {
                    kind: $kind,
                    text: text.chars().take(80).collect(),
                })
            }
            /// The UUID itself.
            pub fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($kind, ":{}"), self.0)
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }
    )+};
}

id! {
    /// A goal that a person stated.
    GoalId = "goal",
    /// A task of a goal's plan.
    TaskId = "task",
    /// An agent instance.
    AgentId = "agent",
    /// A request for a person's decision.
    ApprovalId = "approval",
    /// A goal that is stated again and again.
    ScheduleId = "schedule",
}

/// Names one call: the same task and step is the same effect, however often it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExecutionKey {
    /// The task.
    pub task: TaskId,
    /// Step number within the task, from 1.
    pub step: u64,
}

impl fmt::Display for ExecutionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.task, self.step)
    }
}

/// A text or message that is not an execution key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecutionKeyError {
    /// The key is missing or its step is 0.
    #[error("the execution key is missing or its step is 0")]
    Missing,
    /// The task id is wrong.
    #[error(transparent)]
    Task(#[from] IdError),
}

impl crate::error::Coded for ExecutionKeyError {
    fn code(&self) -> &'static str {
        "AIOS-CORE-0002"
    }
    fn next_step(&self) -> String {
        "send `key` with a task id and a step number from 1".to_owned()
    }
}

impl TryFrom<Option<&aios_proto::guard::v1::ExecutionKey>> for ExecutionKey {
    type Error = ExecutionKeyError;
    fn try_from(key: Option<&aios_proto::guard::v1::ExecutionKey>) -> Result<Self, ExecutionKeyError> {
        let key = key.filter(|key| key.step > 0).ok_or(ExecutionKeyError::Missing)?;
        Ok(Self {
            task: TaskId::parse(&key.task_id)?,
            step: key.step,
        })
    }
}

impl From<ExecutionKey> for aios_proto::guard::v1::ExecutionKey {
    fn from(key: ExecutionKey) -> Self {
        Self {
            task_id: key.task.to_string(),
            step: key.step,
        }
    }
}

impl FromStr for ExecutionKey {
    type Err = ExecutionKeyError;
    fn from_str(text: &str) -> Result<Self, ExecutionKeyError> {
        let (task, step) = text.split_once('/').ok_or(ExecutionKeyError::Missing)?;
        let step = step
            .parse()
            .ok()
            .filter(|step| *step > 0)
            .ok_or(ExecutionKeyError::Missing)?;
        Ok(Self {
            task: TaskId::parse(task)?,
            step,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time() {
        let first = GoalId::new();
        let second = GoalId::new();
        assert!(first < second);
    }

    #[test]
    fn a_wrong_id_names_the_kind_that_was_wanted() {
        let error = TaskId::parse("nonsense").unwrap_err();
        assert!(error.to_string().contains("`nonsense` is not a task id"));
    }

    #[test]
    fn execution_keys_round_trip_and_refuse_step_zero() {
        let key = ExecutionKey {
            task: TaskId::new(),
            step: 3,
        };
        assert_eq!(key.to_string().parse::<ExecutionKey>().unwrap(), key);
        assert_eq!(
            format!("{}/0", key.task).parse::<ExecutionKey>(),
            Err(ExecutionKeyError::Missing)
        );
    }
}
