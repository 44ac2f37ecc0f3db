//! The built-in executor: does tasks that are a list of operations, in order, and checks each result.
//!
//! It decides nothing. What it may do is in the task's token, like an agent's.

use crate::EXECUTOR_KIND;
use crate::core::Core;
use crate::error::Error;
use crate::model::event::Event;
use crate::model::plan::{Expectation, Operation};
use crate::model::state::StepState;
use crate::model::{Goal, Step};
use crate::steps::{Call, Steps};
use aios_core::id::TaskId;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Instance id under which the guard knows the built-in executor: the nil UUID, which no agent has.
pub const EXECUTOR_ID: &str = "00000000-0000-0000-0000-000000000000";

/// A task's output and a sentence about it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskEnd {
    /// Output, a JSON object.
    pub output: Value,
    /// One sentence.
    pub summary: String,
}

/// Does a task. Operations that an earlier run has done are answered from the journal.
///
/// # Errors
/// A step fails or is denied, an expectation does not hold, the goal is cancelled, or the journal fails.
pub async fn run(
    core: &Arc<Core>,
    goal: &Goal,
    task: TaskId,
    cancel: CancellationToken,
) -> Result<TaskEnd, Error> {
    let planned = goal.task(task).ok_or(crate::model::ApplyError::NoTask(task))?;
    if planned.agent_kind != EXECUTOR_KIND {
        let routed = Event::Routed {
            task,
            agent_kind: EXECUTOR_KIND.to_owned(),
            agent_id: EXECUTOR_ID.to_owned(),
            container_id: String::new(),
        };
        core.journal.append(goal.id, vec![routed]).await?;
    }
    let outputs = outputs(goal);
    let mut steps = Steps::new(core, goal.id, task, cancel);
    let mut results = Vec::new();
    let mut number = 0;
    for operation in &planned.plan.operations {
        match operation {
            Operation::Call {
                tool,
                args,
                expect,
                reason,
            } => {
                number += 1;
                let step = steps
                    .run(number, call("tool", tool, args.clone(), reason))
                    .await?;
                let result = done(&step)?;
                if !goal.dry_run {
                    check(expect, &result, &outputs)?;
                }
                results.push(result);
            }
            Operation::Undo {
                target,
                namespace,
                tool,
            } => {
                number += 1;
                let name = format!("{namespace}.undo");
                let args = json!({"task": target.task, "step": target.step});
                let reason = format!("takes back step {} ({tool})", target.step);
                let step = steps.run(number, call("undo", &name, args, &reason)).await?;
                results.push(done(&step)?);
            }
            Operation::CheckUndone { target, namespace } => {
                let execution = core.clients.execution((*target).into(), namespace).await?;
                if execution.state != "undone" {
                    return Err(Error::NotVerified(format!(
                        "step {} should be undone and is {}",
                        target.step, execution.state
                    )));
                }
                results.push(json!({"step": target.step, "state": execution.state}));
            }
        }
    }
    let summary = if planned.plan.verifies && !goal.dry_run {
        format!("verified by {} checks", results.len())
    } else {
        format!("{} operations done", results.len())
    };
    Ok(TaskEnd {
        output: json!({"results": results}),
        summary,
    })
}

fn call(kind: &'static str, name: &str, args: Value, reason: &str) -> Call {
    Call {
        kind,
        name: name.to_owned(),
        args,
        reason: reason.to_owned(),
        timeout_ms: 0,
        dry_run: false,
    }
}

/// Outputs of the goal's tasks, by name.
fn outputs(goal: &Goal) -> Value {
    let outputs: Map<String, Value> = goal
        .tasks
        .iter()
        .map(|task| (task.plan.name.clone(), task.output.clone()))
        .collect();
    Value::Object(outputs)
}

/// The result of a step that succeeded.
fn done(step: &Step) -> Result<Value, Error> {
    match &step.end {
        Some(end) if end.state == StepState::Done => Ok(end.result.clone()),
        Some(end) => Err(Error::StepFailed {
            step: step.step,
            tool: step.name.clone(),
            state: end.state.as_str(),
            problem: crate::clients::report_of(
                end.error.clone().map(Into::into),
                "the step ended without success and without an error",
            ),
        }),
        None => Err(Error::Corrupt(format!("step {} has not ended", step.step))),
    }
}

/// What an unmet expectation shows of the value, characters.
const SHOWN: usize = 300;

fn check(expectations: &[Expectation], result: &Value, outputs: &Value) -> Result<(), Error> {
    for expectation in expectations {
        let value = result.pointer(&expectation.at);
        if !expectation.is.holds(value, outputs) {
            let seen: String = value
                .map_or_else(|| "nothing".to_owned(), Value::to_string)
                .chars()
                .take(SHOWN)
                .collect();
            return Err(Error::NotVerified(format!(
                "{} (seen at {}: {seen})",
                expectation.or, expectation.at
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::Condition;

    #[test]
    fn an_unmet_expectation_says_what_was_seen() {
        let expect = [Expectation {
            at: "/files".to_owned(),
            is: Condition::Empty(true),
            or: "files are still there".to_owned(),
        }];
        let error = check(&expect, &json!({"files": ["/x/a.log"]}), &Value::Null).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the verification failed: files are still there (seen at /files: [\"/x/a.log\"])"
        );
        assert!(check(&expect, &json!({"files": []}), &Value::Null).is_ok());
    }
}
