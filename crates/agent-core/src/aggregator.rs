//! From tasks and steps to the result of a goal: what changed, what it cost, how to undo it. Pure.

use crate::model::event::Origin;
use crate::model::finding::{Action, Answer, Finding};
use crate::model::state::{GoalState, StepState};
use crate::model::{Goal, Step, Task};
use aios_core::error::Report;
use serde_json::{Value, json};

/// The result of a goal that is about to end in `state`.
pub fn result(goal: &Goal, state: GoalState, now_ms: i64) -> Value {
    let steps: Vec<(&Task, &Step)> = goal
        .tasks
        .iter()
        .flat_map(|task| task.steps.iter().map(move |step| (task.as_ref(), step)))
        .collect();
    let changes: Vec<Value> = steps
        .iter()
        .filter(|(_, step)| changed(goal, step))
        .map(|(task, step)| change(task, step))
        .collect();
    let sum = |key: &str| {
        changes
            .iter()
            .filter_map(|change| change.get(key)?.as_u64())
            .sum::<u64>()
    };
    let count = |state: StepState| steps.iter().filter(|(_, step)| step.state == state).count();
    let undoable = steps
        .iter()
        .any(|(_, step)| step.end.as_ref().is_some_and(|end| end.undoable));
    let mut result = json!({
        "changed": {"files": sum("files"), "bytes": sum("bytes"), "calls": changes},
        "tasks": goal.tasks.iter().map(|task| json!({
            "name": task.plan.name,
            "state": task.state.as_str(),
            "summary": task.summary,
            "by": task.agent_kind,
        })).collect::<Vec<_>>(),
        "steps": {
            "total": steps.len(),
            "done": count(StepState::Done),
            "failed": count(StepState::Failed),
            "denied": count(StepState::Denied),
        },
        "verified": state == GoalState::Completed && !goal.dry_run,
        "dry_run": goal.dry_run,
        "cost_microusd": 0,
        "model_calls": 0,
        "duration_ms": (now_ms - goal.created_ms).max(0),
        "undo": undoable.then(|| format!("aiosctl goal undo {}", goal.id)),
    });
    if let Value::Object(fields) = &mut result
        && let Some((findings, seen)) = diagnosis(goal)
    {
        let repaired = state == GoalState::Completed && goal.repairs();
        fields.insert(
            "findings".to_owned(),
            findings.iter().map(|it| told(it, repaired)).collect(),
        );
        fields.insert("seen".to_owned(), json!(seen));
        fields.insert("repaired".to_owned(), json!(repaired));
    }
    result
}

/// A finding and what followed it.
type Answered<'a> = (Finding, Option<&'a Answer>);

/// What a diagnosis came to: what it found, each once, and what its analyzers saw. Traces that were
/// looked into are left out: what they led to is there.
fn diagnosis(goal: &Goal) -> Option<(Vec<Answered<'_>>, Vec<String>)> {
    let analyses = goal.analyses();
    if analyses.is_empty() {
        return None;
    }
    let mut seen = Vec::new();
    let mut findings: Vec<Answered<'_>> = Vec::new();
    for analysis in analyses {
        seen.push(analysis.seen);
        for finding in analysis.findings {
            let answer = goal.answer(&finding.cause, &finding.subject);
            let looked = answer.is_some_and(|answer| answer.action == Action::Look);
            let known = findings
                .iter()
                .any(|(it, _)| it.same(&finding.cause, &finding.subject));
            if !looked && !known {
                findings.push((finding, answer));
            }
        }
    }
    Some((findings, seen))
}

fn told((finding, answer): &Answered<'_>, repaired: bool) -> Value {
    let action = answer.map(|answer| answer.action);
    json!({
        "cause": finding.cause,
        "title": finding.title,
        "subject": finding.subject,
        "severity": finding.severity,
        "evidence": finding.evidence,
        "values": finding.values,
        "action": action,
        "says": answer.map(|answer| answer.says.as_str()),
        "tasks": answer.map(|answer| answer.tasks.as_slice()).unwrap_or_default(),
        "repaired": repaired && action == Some(Action::Repair),
    })
}

/// How a diagnosis ended, in words.
fn diagnosis_line(goal: &Goal, changes: &str) -> Option<String> {
    let (findings, seen) = diagnosis(goal)?;
    if findings.is_empty() {
        return Some(format!(
            "nothing wrong found: {}; nothing was changed",
            seen.join("; ")
        ));
    }
    let said: Vec<String> = findings
        .iter()
        .map(|(finding, answer)| match answer {
            Some(answer) if answer.action == Action::Repair => format!("{}: repaired", finding.title),
            Some(answer) => format!("{}: {}", finding.title, answer.says),
            None => finding.title.clone(),
        })
        .collect();
    let end = match (goal.repairs(), goal.dry_run) {
        (true, _) => format!("verified: {changes}"),
        (false, true) => "dry run: nothing was changed".to_owned(),
        (false, false) => "nothing was changed".to_owned(),
    };
    Some(format!("{} ({end})", said.join("; ")))
}

/// Whether a step changed something, or in a dry run would have.
fn changed(goal: &Goal, step: &Step) -> bool {
    step.state == StepState::Done
        && step
            .end
            .as_ref()
            .is_some_and(|end| end.undoable || step.kind == "undo" || (goal.dry_run && step.dry_run))
}

fn change(task: &Task, step: &Step) -> Value {
    let result = step.end.as_ref().map(|end| &end.result).unwrap_or(&Value::Null);
    let number = |keys: &[&str]| keys.iter().find_map(|key| result.get(key)?.as_u64());
    json!({
        "task": task.plan.name,
        "task_id": task.plan.id,
        "step": step.step,
        "tool": step.name,
        // A call whose result counts no files changed one thing.
        "files": number(&["files"]).unwrap_or(1),
        "bytes": number(&["bytes_freed", "bytes"]).unwrap_or(0),
        "audit_seq": step.end.as_ref().map_or(0, |end| end.audit_seq),
        "approval_id": step.approval_id,
    })
}

/// The sentence with which a goal ends.
pub fn line(goal: &Goal, state: GoalState, report: Option<&Report>, result: &Value) -> String {
    let number = |pointer: &str| result.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let (files, bytes) = (number("/changed/files"), number("/changed/bytes"));
    let changes = match files {
        0 => "nothing was changed".to_owned(),
        1 => format!("1 file, {bytes} bytes"),
        _ => format!("{files} files, {bytes} bytes"),
    };
    if state == GoalState::Completed
        && let Some(line) = diagnosis_line(goal, &changes)
    {
        return line;
    }
    match (state, report) {
        (GoalState::Completed, _) if goal.dry_run => format!("dry run: would change {changes}"),
        (GoalState::Completed, _) => match goal.origin {
            Origin::Undo { .. } => format!("undone and verified: {changes}"),
            Origin::Call { .. } => format!("done: {changes}"),
            Origin::Text | Origin::Runbook { .. } => format!("done and verified: {changes}"),
        },
        (_, Some(report)) => format!("{} ({changes})", report.message),
        _ if goal.cancelled_by.is_empty() => format!("{state} ({changes})"),
        _ => format!("cancelled by {} ({changes})", goal.cancelled_by),
    }
}
