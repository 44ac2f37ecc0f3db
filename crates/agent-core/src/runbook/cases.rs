//! Trying a runbook's cases: words, and recorded evidence, through the very planner and analyzers that
//! a goal goes through. Nothing is called and nothing is changed.

use super::Runbook;
use super::file::Case;
use crate::analyze;
use crate::intent;
use crate::model::Goal;
use crate::model::cause::Cause;
use crate::model::event::{Autonomy, Event, Origin};
use crate::model::finding::Action;
use crate::model::plan::{Operation, TaskPlan};
use crate::model::remedy::Book;
use crate::model::state::{GoalState, TaskState};
use crate::remedies;
use aios_core::id::{GoalId, TaskId};
use serde_json::{Map, Value, json};

/// How a case went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// Its words.
    pub words: String,
    /// What went wrong; empty when nothing did.
    pub problem: String,
}

impl Runbook {
    /// Tries every case.
    pub fn try_cases(&self) -> Vec<CaseResult> {
        let result = |case: &Case| CaseResult {
            words: case.words.clone(),
            problem: self.try_case(case).err().unwrap_or_default(),
        };
        self.cases.iter().map(result).collect()
    }

    fn try_case(&self, case: &Case) -> Result<(), String> {
        let patterns = self.patterns.iter().map(|pattern| ((), pattern));
        let ((), slots) = intent::understand(patterns, &case.words).map_err(|error| error.to_string())?;
        for (name, wanted) in &case.inputs {
            let value = slots
                .get(name)
                .map(intent::SlotValue::to_json)
                .or_else(|| self.defaults.get(name).cloned());
            if value.as_ref() != Some(wanted) {
                let value = value.unwrap_or_default();
                return Err(format!("input `{name}` is {value} and should be {wanted}"));
            }
        }
        let (tasks, book) = self
            .plan(&slots, &mut TaskId::new)
            .map_err(|error| error.to_string())?;
        let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        if let Some(wanted) = &case.tasks
            && names != *wanted
        {
            return Err(format!("the tasks are {names:?} and should be {wanted:?}"));
        }
        match (&case.outputs, book) {
            (None, _) if case.causes.is_none() && case.repair.is_none() => Ok(()),
            (Some(outputs), Some(book)) => evidence(case, tasks, &book, outputs),
            (None, _) => Err("it expects causes or a repair and has no recorded `outputs`".to_owned()),
            (Some(_), None) => Err("the runbook analyzes nothing, so `outputs` cannot be tried".to_owned()),
        }
    }
}

fn evidence(case: &Case, tasks: Vec<TaskPlan>, book: &Book, outputs: &str) -> Result<(), String> {
    let outputs: Value = serde_json::from_str(outputs).map_err(|error| format!("`outputs`: {error}"))?;
    let goal = replay(&case.words, tasks, book, &outputs)?;
    let mut causes: Vec<String> = goal
        .analyses()
        .into_iter()
        .flat_map(|analysis| analysis.findings)
        .filter(|finding| {
            let answer = goal.answer(&finding.cause, &finding.subject);
            answer.is_none_or(|answer| answer.action != Action::Look)
        })
        .map(|finding| finding.cause)
        .collect();
    causes.sort();
    causes.dedup();
    let mut wanted = case.causes.clone().unwrap_or_default();
    wanted.sort();
    if causes != wanted {
        return Err(format!("the causes are {causes:?} and should be {wanted:?}"));
    }
    let repair: Vec<&str> = goal
        .tasks
        .iter()
        .filter(|task| !task.plan.looks)
        .flat_map(|task| &task.plan.operations)
        .filter_map(|operation| match operation {
            Operation::Call { tool, .. } => Some(tool.as_str()),
            _ => None,
        })
        .collect();
    match &case.repair {
        Some(wanted) if repair != *wanted => {
            Err(format!("the repair calls {repair:?} and should call {wanted:?}"))
        }
        _ => Ok(()),
    }
}

/// A goal whose looking tasks gave the recorded outputs, up to the repair.
fn replay(words: &str, tasks: Vec<TaskPlan>, book: &Book, outputs: &Value) -> Result<Goal, String> {
    let mut goal = begun(words, tasks)?;
    let apply = |goal: &mut Goal, event: Event| goal.apply(&event, 0).map_err(|error| error.to_string());
    loop {
        let next = goal.ready().find(|task| task.plan.looks).cloned();
        let Some(task) = next else {
            if goal.unread().is_empty() {
                return Ok(goal);
            }
            let (_, event) = remedies::extend(&goal, book, &mut TaskId::new);
            apply(&mut goal, event)?;
            continue;
        };
        let output = output_of(&task.plan, &goal, outputs)?;
        for (state, output) in [
            (TaskState::InProgress, Value::Null),
            (TaskState::Completed, output),
        ] {
            let event = Event::Task {
                task: task.plan.id,
                state,
                line: String::new(),
                output,
                error: None,
            };
            apply(&mut goal, event)?;
        }
    }
}

fn begun(words: &str, tasks: Vec<TaskPlan>) -> Result<Goal, String> {
    let submitted = Event::Submitted {
        text: words.to_owned(),
        priority: 5,
        autonomy: Autonomy::Supervised,
        dry_run: false,
        submitted_by: "case".to_owned(),
        uid: 0,
        client_id: String::new(),
        origin: Origin::Text,
        cause: Cause::Person,
    };
    let state = |state| Event::State {
        state,
        line: String::new(),
        error: None,
    };
    let planned = Event::Planned {
        level: String::new(),
        source: String::new(),
        tasks,
        book: None,
    };
    let mut goal = Goal::begin(GoalId::new(), &submitted, 0).map_err(|error| error.to_string())?;
    for event in [state(GoalState::Planning), planned, state(GoalState::InProgress)] {
        goal.apply(&event, 0).map_err(|error| error.to_string())?;
    }
    Ok(goal)
}

/// The output of a task: its recorded results in order, its analyses made now.
fn output_of(task: &TaskPlan, goal: &Goal, recorded: &Value) -> Result<Value, String> {
    let calls = recorded
        .pointer(&format!("/{}/results", task.name))
        .and_then(Value::as_array);
    let mut calls = calls.into_iter().flatten();
    let mut outputs: Map<String, Value> = goal
        .tasks
        .iter()
        .map(|task| (task.plan.name.clone(), task.output.clone()))
        .collect();
    let mut results: Vec<Value> = Vec::new();
    for operation in &task.operations {
        let result = match operation {
            Operation::Analyze {
                analyzer,
                evidence,
                settings,
            } => {
                outputs.insert(task.name.clone(), json!({"results": results}));
                let outputs = Value::Object(outputs.clone());
                let analysis = analyze::run(analyzer, evidence, settings, &outputs);
                json!(analysis.map_err(|error| error.to_string())?)
            }
            _ => calls.next().cloned().ok_or_else(|| {
                format!(
                    "`outputs` has no result {} of task `{}`",
                    results.len(),
                    task.name
                )
            })?,
        };
        results.push(result);
    }
    Ok(json!({"results": results}))
}
