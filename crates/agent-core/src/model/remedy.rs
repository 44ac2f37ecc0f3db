//! What may follow a diagnosis, as the runbook said when the plan was made. It is stored with the
//! plan, so that a goal is answered by the runbook it was planned from, whatever became of the file.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A task as a runbook states it, with `{name}` in its texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskTemplate {
    /// Name within the runbook's part.
    pub name: String,
    /// Tasks of the same part that come first.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Skill for an agent, or empty.
    #[serde(default)]
    pub skill: String,
    /// Agent kind, or `executor`.
    #[serde(default = "executor")]
    pub agent_kind: String,
    /// Capabilities.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// Inputs for an agent.
    #[serde(default = "empty_object")]
    pub input: Value,
    /// Operations of the built-in executor.
    #[serde(default)]
    pub operations: Vec<Value>,
    /// Whether it proves that the goal was reached.
    #[serde(default)]
    pub verifies: bool,
}

fn executor() -> String {
    crate::EXECUTOR_KIND.to_owned()
}

fn empty_object() -> Value {
    Value::Object(Map::new())
}

/// What follows a cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// Cause, as an analyzer names it.
    pub cause: String,
    /// What is done, one sentence with `{name}`s.
    #[serde(default)]
    pub summary: String,
    /// What a person should do where no repair by itself is right.
    #[serde(default)]
    pub advice: String,
    /// Whether its tasks only look closer; the last of them analyzes again.
    #[serde(default)]
    pub looks: bool,
    /// The tasks; none when there is only advice.
    #[serde(default)]
    pub tasks: Vec<TaskTemplate>,
}

/// The part of a runbook that comes after its diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Book {
    /// The runbook.
    pub name: String,
    /// Inputs, as the words filled them.
    pub inputs: Map<String, Value>,
    /// Remedies; the first of a cause whose names can all be filled is taken.
    pub remedies: Vec<Remedy>,
    /// Tasks that prove all repairs together, after them.
    #[serde(default)]
    pub proofs: Vec<TaskTemplate>,
}
