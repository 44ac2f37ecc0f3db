//! A plan: tasks that need each other, each with the capabilities it may ask for and the way it is
//! done. Made by the planner, checked here, never changed afterwards.

use aios_core::id::{ExecutionKey, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// A task as planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskPlan {
    /// Its id.
    pub id: TaskId,
    /// Name within the plan, `clean`.
    pub name: String,
    /// Names of tasks that come first.
    pub needs: Vec<String>,
    /// Skill for an agent, or empty.
    pub skill: String,
    /// Agent kind that has the skill, or `executor`.
    pub agent_kind: String,
    /// Capabilities, `namespace:action:glob`.
    pub capabilities: Vec<String>,
    /// Inputs, a JSON object.
    pub input: Value,
    /// The built-in executor's form of the task; empty when only an agent can do it.
    pub operations: Vec<Operation>,
    /// Whether the task proves that the goal was reached.
    pub verifies: bool,
    /// Whether the task may only call tools that change nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub looks: bool,
    /// Whether what it does was shaped by text from a tool, a file, a log or the net.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tainted: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// One thing that the built-in executor does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Operation {
    /// Calls a tool, then checks the result.
    Call {
        /// Tool.
        tool: String,
        /// Arguments, a JSON object.
        args: Value,
        /// What must hold of the result.
        #[serde(default)]
        expect: Vec<Expectation>,
        /// Why, one sentence.
        #[serde(default)]
        reason: String,
        /// What must hold of the outputs of earlier tasks; else the call is left out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        when: Vec<When>,
        /// Whether a failure is evidence too: its code and message become the result.
        #[serde(default, skip_serializing_if = "is_false")]
        optional: bool,
    },
    /// Tells causes from what earlier operations brought to light.
    Analyze {
        /// Analyzer, `disk_full`.
        analyzer: String,
        /// JSON pointers into the outputs of tasks by the analyzer's names for them.
        evidence: BTreeMap<String, String>,
        /// What the analyzer lets the runbook decide.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        settings: Map<String, Value>,
    },
    /// Undoes an earlier step of another task.
    Undo {
        /// The step.
        target: ExecutionKey,
        /// Namespace of its tool, `fs`.
        namespace: String,
        /// Its tool, for people.
        tool: String,
    },
    /// Checks that an earlier step of another task is undone.
    CheckUndone {
        /// The step.
        target: ExecutionKey,
        /// Namespace of its tool, `fs`.
        namespace: String,
    },
}

impl Operation {
    /// Gives pointers into outputs another name, where `renamed` has one.
    pub(crate) fn rename(&mut self, renamed: impl Fn(&str) -> Option<String>) {
        let apply = |pointer: &mut String| {
            if let Some(new) = renamed(pointer) {
                *pointer = new;
            }
        };
        match self {
            Self::Call { expect, when, .. } => {
                when.iter_mut().for_each(|it| apply(&mut it.at));
                let conditions = when.iter_mut().map(|it| &mut it.is);
                for condition in conditions.chain(expect.iter_mut().map(|it| &mut it.is)) {
                    if let Condition::SameAs(pointer) = condition {
                        apply(pointer);
                    }
                }
            }
            Self::Analyze { evidence, .. } => evidence.values_mut().for_each(apply),
            Self::Undo { .. } | Self::CheckUndone { .. } => {}
        }
    }
}

/// What must hold of a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// JSON pointer into the result, `/matches`.
    pub at: String,
    /// What must hold there.
    #[serde(flatten)]
    pub is: Condition,
    /// What is wrong when it does not hold, one sentence.
    pub or: String,
}

/// What must hold of the outputs of earlier tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct When {
    /// JSON pointer into the outputs, `/survey/results/0/matched`.
    pub at: String,
    /// What must hold there.
    #[serde(flatten)]
    pub is: Condition,
}

/// A condition on a JSON value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// An array, object or string without content, or null.
    Empty(bool),
    /// Exactly this value.
    Equals(Value),
    /// A number that is at least this.
    AtLeast(u64),
    /// A number that is at most this.
    AtMost(u64),
    /// Something other than null stands there.
    Exists(bool),
    /// An array with an element that has at least these fields, or is this value.
    Has(Value),
    /// An array without such an element.
    Lacks(Value),
    /// The same as what stands at this JSON pointer into the outputs of earlier tasks,
    /// `/survey/results/1/kept`.
    SameAs(String),
}

impl Condition {
    /// Whether `value` meets it. `outputs` holds the outputs of earlier tasks by name.
    pub fn holds(&self, value: Option<&Value>, outputs: &Value) -> bool {
        match self {
            Self::SameAs(pointer) => value.is_some() && value == outputs.pointer(pointer),
            Self::Empty(wanted) => is_empty(value) == Some(*wanted),
            Self::Equals(wanted) => value == Some(wanted),
            Self::AtLeast(least) => number(value).is_some_and(|value| value >= *least as f64),
            Self::AtMost(most) => number(value).is_some_and(|value| value <= *most as f64),
            Self::Exists(wanted) => value.is_some_and(|value| !value.is_null()) == *wanted,
            Self::Has(part) => has(value, part) == Some(true),
            Self::Lacks(part) => has(value, part) == Some(false),
        }
    }
}

fn number(value: Option<&Value>) -> Option<f64> {
    value.and_then(Value::as_f64)
}

/// Whether an array has an element with at least the fields of `part`; `None` when it is no array.
fn has(value: Option<&Value>, part: &Value) -> Option<bool> {
    let items = value?.as_array()?;
    Some(items.iter().any(|item| match (item, part) {
        (Value::Object(item), Value::Object(part)) => {
            part.iter().all(|(key, wanted)| item.get(key) == Some(wanted))
        }
        (item, part) => item == part,
    }))
}

fn is_empty(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Null => Some(true),
        Value::Array(items) => Some(items.is_empty()),
        Value::Object(fields) => Some(fields.is_empty()),
        Value::String(text) => Some(text.is_empty()),
        // A number or a boolean is neither empty nor full: the expectation names the wrong place.
        Value::Number(_) | Value::Bool(_) => None,
    }
}

/// A plan that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No task.
    #[error("the plan has no task")]
    Empty,
    /// A name appears twice.
    #[error("two tasks of the plan are called `{0}`")]
    Twice(String),
    /// A need that is no task.
    #[error("task `{task}` needs `{need}`, which is no task of the plan")]
    UnknownNeed {
        /// The task.
        task: String,
        /// What it needs.
        need: String,
    },
    /// Tasks that wait for each other.
    #[error("the tasks {0} wait for each other")]
    Circle(String),
    /// Nobody could do it.
    #[error("task `{0}` names neither a skill nor operations")]
    Nobody(String),
}

/// Checks that names are unique, needs exist and no task waits for itself.
///
/// # Errors
/// [`PlanError`] names the task.
pub fn check(tasks: &[TaskPlan]) -> Result<(), PlanError> {
    if tasks.is_empty() {
        return Err(PlanError::Empty);
    }
    let mut names = BTreeSet::new();
    for task in tasks {
        if !names.insert(task.name.as_str()) {
            return Err(PlanError::Twice(task.name.clone()));
        }
        if task.skill.is_empty() && task.operations.is_empty() {
            return Err(PlanError::Nobody(task.name.clone()));
        }
    }
    for task in tasks {
        if let Some(need) = task.needs.iter().find(|need| !names.contains(need.as_str())) {
            return Err(PlanError::UnknownNeed {
                task: task.name.clone(),
                need: need.clone(),
            });
        }
    }
    let mut done: BTreeSet<&str> = BTreeSet::new();
    loop {
        let before = done.len();
        for task in tasks {
            if task.needs.iter().all(|need| done.contains(need.as_str())) {
                done.insert(&task.name);
            }
        }
        if done.len() == tasks.len() {
            return Ok(());
        }
        if done.len() == before {
            let stuck: Vec<&str> = tasks
                .iter()
                .map(|task| task.name.as_str())
                .filter(|name| !done.contains(name))
                .collect();
            return Err(PlanError::Circle(stuck.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn task(name: &str, needs: &[&str]) -> TaskPlan {
        TaskPlan {
            id: TaskId::new(),
            name: name.to_owned(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
            skill: "some.skill".to_owned(),
            agent_kind: "some_agent".to_owned(),
            capabilities: Vec::new(),
            input: Value::Null,
            operations: Vec::new(),
            verifies: false,
            looks: false,
            tainted: false,
        }
    }

    #[test]
    fn a_plan_with_a_circle_is_refused_and_named() {
        let plan = [task("a", &[]), task("b", &["c"]), task("c", &["b"])];
        assert_eq!(check(&plan), Err(PlanError::Circle("b, c".to_owned())));
    }

    #[test]
    fn unknown_needs_and_double_names_are_refused() {
        assert!(matches!(
            check(&[task("a", &["z"])]),
            Err(PlanError::UnknownNeed { .. })
        ));
        assert_eq!(
            check(&[task("a", &[]), task("a", &[])]),
            Err(PlanError::Twice("a".to_owned()))
        );
        assert_eq!(check(&[]), Err(PlanError::Empty));
        assert_eq!(check(&[task("a", &[]), task("b", &["a"])]), Ok(()));
    }

    #[test]
    fn an_expectation_on_a_missing_place_does_not_hold() {
        let result = json!({"matches": [], "count": 3});
        let outputs = json!({"survey": {"kept": 3}});
        let holds = |is: Condition, at: &str| is.holds(result.pointer(at), &outputs);
        assert!(holds(Condition::Empty(true), "/matches"));
        assert!(!holds(Condition::Empty(true), "/wrong"));
        assert!(!holds(Condition::Empty(true), "/count"));
        assert!(holds(Condition::AtLeast(3), "/count"));
        assert!(holds(Condition::Equals(json!(3)), "/count"));
        assert!(holds(Condition::SameAs("/survey/kept".to_owned()), "/count"));
        assert!(!holds(Condition::SameAs("/wrong".to_owned()), "/wrong"));
        assert!(holds(Condition::AtMost(3), "/count"));
        assert!(!holds(Condition::AtMost(3), "/wrong"));
        assert!(holds(Condition::Exists(false), "/wrong"));
        assert!(!holds(Condition::Lacks(json!(1)), "/wrong"));
    }

    #[test]
    fn an_element_is_found_by_a_part_of_its_fields() {
        let value = json!([{"pid": 7, "name": "x"}, {"pid": 8, "name": "y"}]);
        let holds = |is: Condition| is.holds(Some(&value), &Value::Null);
        assert!(holds(Condition::Has(json!({"pid": 8}))));
        assert!(!holds(Condition::Has(json!({"pid": 8, "name": "x"}))));
        assert!(holds(Condition::Lacks(json!({"pid": 9}))));
    }
}
