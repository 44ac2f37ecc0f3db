//! The built-in executor: does tasks that are a list of operations, in order, and checks each result.
//!
//! It decides nothing. What it may do is in the task's token, like an agent's.

use crate::EXECUTOR_KIND;
use crate::analyze;
use crate::core::Core;
use crate::error::Error;
use crate::model::event::Event;
use crate::model::plan::{Expectation, Operation, TaskPlan, When};
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
    /// What happened last, to be journaled with the end.
    pub last: Vec<Event>,
    /// The goal before that, where it is known without asking.
    pub known: Option<Box<Goal>>,
}

/// Does a task. Operations that an earlier run has done are answered from the journal. `begun` is journaled
/// with the first of them.
///
/// # Errors
/// A step fails or is denied, an expectation does not hold, the goal is cancelled, or the journal fails.
pub async fn run(
    core: &Arc<Core>,
    goal: &Goal,
    task: TaskId,
    mut begun: Vec<Event>,
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
        begun.push(routed);
    }
    let mut work = Work {
        core,
        plan: &planned.plan,
        dry_run: goal.dry_run,
        goal,
        outputs: None,
        steps: Steps::new(core, goal.id, task, cancel).holding(begun),
        results: Vec::new(),
        number: 0,
    };
    let done = work.all().await;
    let last = work.steps.take_held();
    if let Err(error) = done {
        if !last.is_empty() {
            core.journal.append(goal.id, last).await?;
        }
        return Err(error);
    }
    let results = work.results;
    let summary = if planned.plan.verifies && !goal.dry_run {
        format!("verified by {} checks", results.len())
    } else {
        seen(&planned.plan, &results).unwrap_or_else(|| format!("{} operations done", results.len()))
    };
    Ok(TaskEnd {
        output: json!({"results": results}),
        summary,
        last,
        known: work.steps.take_known().map(Box::new),
    })
}

/// What the last analysis of a task says.
fn seen(plan: &TaskPlan, results: &[Value]) -> Option<String> {
    let analyses = plan.operations.iter().zip(results).rev();
    let mut analyses = analyses.filter(|(operation, _)| matches!(operation, Operation::Analyze { .. }));
    let (_, last) = analyses.next()?;
    Some(last.get("seen")?.as_str()?.to_owned())
}

/// A task under way.
struct Work<'a> {
    core: &'a Arc<Core>,
    plan: &'a TaskPlan,
    dry_run: bool,
    goal: &'a Goal,
    /// Outputs of the goal's tasks, by name; put together when an operation first looks at them.
    outputs: Option<Value>,
    steps: Steps,
    results: Vec<Value>,
    /// Number of the last step.
    number: u64,
}

impl Work<'_> {
    async fn all(&mut self) -> Result<(), Error> {
        for operation in &self.plan.operations {
            let result = self.operation(operation).await?;
            self.results.push(result);
        }
        Ok(())
    }

    async fn operation(&mut self, operation: &Operation) -> Result<Value, Error> {
        match operation {
            Operation::Call { when, .. } if !self.hold(when) => Ok(Value::Null),
            Operation::Call {
                tool,
                args,
                expect,
                reason,
                optional,
                ..
            } => {
                self.may_call(tool).await?;
                let step = self.step(call("tool", tool, args.clone(), reason)).await?;
                if *optional && let Some(failed) = failure(&step) {
                    return Ok(failed);
                }
                let result = done(&step)?;
                if !self.dry_run && !expect.is_empty() {
                    check(expect, &result, self.outputs())?;
                }
                Ok(result)
            }
            Operation::Analyze {
                analyzer,
                evidence,
                settings,
            } => {
                let (name, own) = (self.plan.name.clone(), json!({"results": self.results}));
                if let Value::Object(outputs) = self.outputs() {
                    outputs.insert(name, own);
                }
                let analysis = analyze::run(analyzer, evidence, settings, self.outputs())?;
                serde_json::to_value(analysis).map_err(|error| Error::Corrupt(error.to_string()))
            }
            Operation::Undo {
                target,
                namespace,
                tool,
            } => {
                let name = format!("{namespace}.undo");
                let args = json!({"task": target.task, "step": target.step});
                let reason = format!("takes back step {} ({tool})", target.step);
                let step = self.step(call("undo", &name, args, &reason)).await?;
                done(&step)
            }
            Operation::CheckUndone { target, namespace } => {
                let execution = self.core.clients.execution((*target).into(), namespace).await?;
                if execution.state != "undone" {
                    return Err(Error::NotVerified(format!(
                        "step {} should be undone and is {}",
                        target.step, execution.state
                    )));
                }
                Ok(json!({"step": target.step, "state": execution.state}))
            }
        }
    }

    fn outputs(&mut self) -> &mut Value {
        self.outputs.get_or_insert_with(|| outputs(self.goal))
    }

    fn hold(&mut self, when: &[When]) -> bool {
        when.is_empty() || {
            let outputs = self.outputs();
            when.iter()
                .all(|it| it.is.holds(outputs.pointer(&it.at), outputs))
        }
    }

    async fn step(&mut self, call: Call) -> Result<Step, Error> {
        self.number += 1;
        self.steps.run(self.number, call).await
    }

    /// A task that only looks changes nothing, whatever its runbook and its token say.
    async fn may_call(&self, tool: &str) -> Result<(), Error> {
        if !self.plan.looks {
            return Ok(());
        }
        match self.core.clients.tool(tool).await {
            Ok(described) if described.mutating => Err(Error::LooksOnly {
                task: self.plan.name.clone(),
                tool: tool.to_owned(),
            }),
            // What is wrong with the name the call itself will say.
            Ok(_) | Err(Error::Peer(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// How a call failed or was refused, as evidence.
fn failure(step: &Step) -> Option<Value> {
    let end = step.end.as_ref().filter(|end| end.state != StepState::Done)?;
    let report = end.error.as_ref()?;
    Some(json!({"failed": {"code": report.code, "message": report.message}}))
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
