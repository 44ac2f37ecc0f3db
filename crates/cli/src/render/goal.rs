//! Goals, events and decisions.

use aios_client::goal::{
    DecisionView, EventView, GoalDetailView, GoalStateView, GoalView, StepStateView, StepView, TaskView,
};

use serde_json::Value;

use super::table::{Table, fields};
use super::text::{count, json, one_line, short_id, shorten, size};
use crate::terminal::{Terminal, Tone};

/// The tone of a goal's state.
fn tone(state: GoalStateView) -> Tone {
    match state {
        GoalStateView::Completed => Tone::Good,
        GoalStateView::Failed => Tone::Bad,
        GoalStateView::AwaitingApproval | GoalStateView::AwaitingInput => Tone::Attention,
        _ => Tone::Quiet,
    }
}

/// The list of goals.
pub(crate) fn list(terminal: &mut Terminal, goals: &[GoalView]) {
    let mut table = Table::new(&["GOAL", "STATE", "SINCE", "TEXT"]);
    for goal in goals {
        table.row([
            short_id(&goal.goal_id),
            goal.state.word().to_owned(),
            terminal.date(goal.created_at.as_deref()),
            shorten(&goal.text, 70),
        ]);
    }
    table.print(terminal, "no goals yet; state one with `aiosctl goal run TEXT`");
}

/// One event on one line.
pub(crate) fn event(terminal: &mut Terminal, event: &EventView) {
    let time = terminal.clock(event.time.as_deref());
    let time = terminal.tone(Tone::Quiet, &time);
    let kind = format!("{:<18}", one_line(&event.kind));
    let kind = terminal.tone(tone(event.goal_state), &kind);
    terminal.line(format!("{time}  {kind} {}", one_line(&event.message)));
}

/// A goal in full.
pub(crate) fn detail(terminal: &mut Terminal, detail: &GoalDetailView) {
    if let Some(goal) = &detail.goal {
        head(terminal, goal);
    }
    for task in &detail.tasks {
        terminal.line("");
        task_lines(terminal, task);
    }
    findings(terminal, &detail.result);
    if !detail.result.is_null() {
        terminal.line("");
        let result = in_words(&detail.result).unwrap_or_else(|| json(&detail.result));
        terminal.line(format!("result  {result}"));
    }
}

/// What a diagnosis found, what shows it, and what was done.
fn findings(terminal: &mut Terminal, result: &Value) {
    let Some(findings) = result.get("findings").and_then(Value::as_array) else {
        return;
    };
    let text =
        |value: &Value, key: &str| one_line(value.get(key).and_then(Value::as_str).unwrap_or_default());
    terminal.line("");
    if findings.is_empty() {
        terminal.line("found   nothing wrong");
    }
    for finding in findings {
        let cause = terminal.tone(Tone::Strong, &text(finding, "cause"));
        terminal.line(format!("found   {cause}: {}", text(finding, "title")));
        for shown in finding
            .get("evidence")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let at = terminal.tone(Tone::Quiet, &text(shown, "at"));
            terminal.line(format!("  shown by {at}  {}", text(shown, "shows")));
        }
        let repaired = finding.get("repaired").and_then(Value::as_bool).unwrap_or(false);
        let what = match (text(finding, "action").as_str(), repaired) {
            (_, true) => "repaired",
            ("repair", false) => "repair not finished",
            ("would", _) => "in a dry run",
            ("advice", _) => "not repaired",
            _ => "left alone",
        };
        terminal.line(format!("  {what}: {}", text(finding, "says")));
    }
}

/// What a goal came to. The tasks above say the rest, and `--json` everything.
fn in_words(result: &Value) -> Option<String> {
    let number = |pointer: &str| result.pointer(pointer).and_then(Value::as_u64);
    let is = |key: &str| result.get(key).and_then(Value::as_bool).unwrap_or(false);
    let (files, bytes) = (number("/changed/files")?, number("/changed/bytes")?);
    let (steps, spent) = (number("/steps/total")?, number("/duration_ms")?);
    let refused = number("/steps/denied")?.saturating_add(number("/steps/failed")?);
    let mut words = vec![match (is("dry_run"), files) {
        (_, 0) => "nothing changed".to_owned(),
        (true, _) => format!("would change {}, {}", count(files, "file"), size(bytes)),
        (false, _) => format!("{} changed, {}", count(files, "file"), size(bytes)),
    }];
    words.push(count(steps, "step"));
    if refused > 0 {
        words.push(format!("{refused} of them refused or failed"));
    }
    words.push(format!("{}.{} s", spent / 1000, spent % 1000 / 100));
    if is("verified") {
        words.push("verified".to_owned());
    }
    Some(words.join(" · "))
}

fn head(terminal: &mut Terminal, goal: &GoalView) {
    let state = terminal.tone(tone(goal.state), goal.state.word());
    let undo = if goal.undoable && goal.undone_by.is_empty() {
        format!("aiosctl goal undo {}", goal.goal_id)
    } else {
        String::new()
    };
    let created = terminal.date(goal.created_at.as_deref());
    let error = goal
        .error
        .as_ref()
        .map(|error| format!("{}: {}", error.code, one_line(&error.message)));
    let next = goal.error.as_ref().map(|error| one_line(&error.next_step));
    fields(
        terminal,
        &[
            ("goal", goal.goal_id.clone()),
            ("text", one_line(&goal.text)),
            ("state", state),
            ("status", one_line(&goal.status_line)),
            ("by", format!("{}, {created}", one_line(&goal.submitted_by))),
            ("cause", one_line(&goal.cause)),
            ("level", goal.level.clone()),
            (
                "mode",
                if goal.dry_run {
                    "dry run: nothing is changed".to_owned()
                } else {
                    String::new()
                },
            ),
            ("undoes", goal.undo_of.clone()),
            ("undone by", goal.undone_by.clone()),
            ("error", error.unwrap_or_default()),
            ("next", next.unwrap_or_default()),
            ("undo", undo),
        ],
    );
}

fn task_lines(terminal: &mut Terminal, task: &TaskView) {
    let name = terminal.tone(Tone::Strong, &format!("task {}", one_line(&task.name)));
    terminal.line(format!(
        "{name}  {}  {}",
        task.state.word(),
        one_line(&task.agent_kind)
    ));
    if !task.capabilities.is_empty() {
        terminal.line(format!("  may: {}", one_line(&task.capabilities.join(" "))));
    }
    if !task.summary.is_empty() {
        terminal.line(format!("  {}", one_line(&task.summary)));
    }
    for step in &task.steps {
        step_lines(terminal, step);
    }
}

fn step_lines(terminal: &mut Terminal, step: &StepView) {
    let (mark, tone) = match step.state {
        StepStateView::Done => ("done", Tone::Good),
        StepStateView::Failed => ("failed", Tone::Bad),
        StepStateView::Denied => ("denied", Tone::Bad),
        StepStateView::AwaitingApproval => ("awaiting approval", Tone::Attention),
        StepStateView::Started | StepStateView::Unspecified => ("started", Tone::Quiet),
    };
    let mark = terminal.tone(tone, mark);
    let mut proof = Vec::new();
    if !step.rule_id.is_empty() {
        proof.push(format!("rule {}", one_line(&step.rule_id)));
    }
    if !step.approval_id.is_empty() {
        proof.push(format!("approval {}", one_line(&step.approval_id)));
    }
    if step.ended_at.is_some() {
        proof.push(format!("audit {}", step.audit_seq));
    }
    let args = shorten(&json(&step.args), 80);
    terminal.line(format!(
        "  {}. {} {args}  {mark}",
        step.step,
        one_line(&step.name)
    ));
    if !proof.is_empty() {
        let proof = terminal.tone(Tone::Quiet, &proof.join(" · "));
        terminal.line(format!("     {proof}"));
    }
    if !step.reason.is_empty() {
        terminal.line(format!("     agent says: {}", shorten(&step.reason, 100)));
    }
    if let Some(error) = &step.error {
        terminal.line(format!("     {}: {}", error.code, one_line(&error.message)));
    }
}

/// How a followed goal ended, in a line or two.
pub(crate) fn ending(terminal: &mut Terminal, goal: &GoalView) {
    let state = terminal.tone(tone(goal.state), goal.state.word());
    terminal.line(format!("{state}: {}", one_line(&goal.status_line)));
    if let Some(error) = &goal.error {
        let message = if error.message == goal.status_line {
            String::new()
        } else {
            format!(": {}", one_line(&error.message))
        };
        terminal.line(format!("error[{}]{message}", one_line(&error.code)));
        terminal.line(format!("next: {}", one_line(&error.next_step)));
    }
    if goal.undoable && goal.undone_by.is_empty() {
        terminal.line(format!("undo it with: aiosctl goal undo {}", goal.goal_id));
    }
}

/// Why things were done as they were.
pub(crate) fn decisions(terminal: &mut Terminal, decisions: &[DecisionView]) {
    for decision in decisions {
        let time = terminal.clock(decision.time.as_deref());
        terminal.line(format!(
            "{time}  {}: {}",
            one_line(&decision.subject),
            one_line(&decision.choice)
        ));
        terminal.line(format!("          because {}", one_line(&decision.reason)));
        if decision.options.len() > 1 {
            terminal.line(format!(
                "          options: {}",
                one_line(&decision.options.join(", "))
            ));
        }
    }
    if decisions.is_empty() {
        terminal.line("no decisions recorded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_result_is_said_in_words_and_an_unknown_one_is_shown_as_it_is() {
        let result = |files: u64, denied: u64, dry_run: bool, verified: bool| {
            json!({
                "changed": {"files": files, "bytes": files * 1024},
                "steps": {"total": 8, "denied": denied, "failed": 0},
                "dry_run": dry_run, "verified": verified, "duration_ms": 1243,
            })
        };
        for (result, words) in [
            (
                result(7, 0, false, true),
                "7 files changed, 7.0 KiB · 8 steps · 1.2 s · verified",
            ),
            (
                result(1, 0, true, false),
                "would change 1 file, 1.0 KiB · 8 steps · 1.2 s",
            ),
            (
                result(0, 2, false, false),
                "nothing changed · 8 steps · 2 of them refused or failed · 1.2 s",
            ),
        ] {
            assert_eq!(in_words(&result).as_deref(), Some(words));
        }
        assert_eq!(in_words(&json!({"summary": "done"})), None);
    }
}
