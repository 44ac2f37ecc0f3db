//! Goals, events and decisions.

use aios_client::goal::{
    DecisionView, EventView, GoalDetailView, GoalStateView, GoalView, StepStateView, StepView, TaskView,
};

use super::table::{Table, fields};
use super::text::{json, one_line, short_id, shorten};
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
    if !detail.result.is_null() {
        terminal.line("");
        terminal.line(format!("result  {}", json(&detail.result)));
    }
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
