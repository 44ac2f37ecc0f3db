//! Carries one goal from wherever it stands to its end.
//!
//! Everything it knows it reads from the journal, so that it can be dropped at any instant and started
//! again: after a crash, after an answer, after a service was away.

use crate::aggregator;
use crate::claims;
use crate::core::Core;
use crate::error::Error;
use crate::model::Goal;
use crate::model::event::{Event, Origin, StepEnd};
use crate::model::state::{GoalState, StepState, TaskState};
use crate::planner::{self, Plan};
use crate::remedies;
use crate::steps::Steps;
use crate::work;
use aios_core::error::Report;
use aios_core::failpoint;
use aios_core::id::{ExecutionKey, GoalId, TaskId};
use aios_proto::guard::v1::RecordRequest;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Carries the goal on until it ends, or waits for a person's words.
///
/// # Errors
/// Something that is not the goal's fault: the journal fails, a service is away where waiting in place
/// is not possible. Calling it again goes on.
pub async fn conduct(core: &Arc<Core>, id: GoalId, cancel: &CancellationToken) -> Result<(), Error> {
    loop {
        let goal = core.journal.goal(id).await?;
        if goal.state.is_final() {
            return Ok(());
        }
        if !goal.cancelled_by.is_empty() {
            return end_cancelled(core, &goal).await;
        }
        match goal.state {
            GoalState::Pending => {
                let line = "a plan is being made".to_owned();
                let event = Event::State {
                    state: GoalState::Planning,
                    line,
                    error: None,
                };
                core.journal.append(id, vec![event]).await?;
            }
            GoalState::Planning => {
                audit(core, &goal, "goal.submitted", ("text", planner::words(&goal))).await?;
                make_plan(core, &goal).await?;
            }
            GoalState::AwaitingInput => return Ok(()),
            GoalState::InProgress | GoalState::AwaitingApproval => {
                work::run(core, id, cancel).await?;
                let goal = core.journal.goal(id).await?;
                if goal.cancelled_by.is_empty() && !extend(core, &goal).await? {
                    return end(core, &goal).await;
                }
            }
            GoalState::Completed | GoalState::Failed | GoalState::Cancelled => return Ok(()),
        }
    }
}

/// Has the guard write an event about a goal into the audit log. While the guard is away the goal
/// waits: nothing that it needs could be done anyway.
async fn audit(core: &Core, goal: &Goal, kind: &str, (what, text): (&str, &str)) -> Result<(), Error> {
    let details = json!({(what): text, "by": goal.submitted_by, "uid": goal.uid});
    let record = RecordRequest {
        kind: kind.to_owned(),
        goal_id: goal.id.to_string(),
        details_json: details.to_string(),
        ..RecordRequest::default()
    };
    match core.clients.record(record).await {
        Err(error) if !error.is_transient() => {
            tracing::error!(goal = %goal.id, %error, kind, "the guard does not record an event of a goal");
            Ok(())
        }
        other => other,
    }
}

async fn make_plan(core: &Arc<Core>, goal: &Goal) -> Result<(), Error> {
    let plan = match plan_for(core, goal).await {
        Ok(plan) => plan,
        Err(Error::Intent(error)) if goal.origin == Origin::Text => {
            let line = planner::question(&error, &core.runbooks);
            let event = Event::State {
                state: GoalState::AwaitingInput,
                line,
                error: None,
            };
            return core.journal.append(goal.id, vec![event]).await.map(|_| ());
        }
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => return fail(core, goal.id, &error).await,
    };
    let line = format!("{} tasks from {}", plan.tasks.len(), plan.source);
    let events = vec![
        Event::Decided(plan.decision),
        Event::Planned {
            level: planner::LEVEL.to_owned(),
            source: plan.source,
            tasks: plan.tasks,
            book: plan.book.map(Box::new),
        },
        Event::State {
            state: GoalState::InProgress,
            line,
            error: None,
        },
    ];
    core.journal.append(goal.id, events).await.map(|_| ())
}

/// Extends the plan by what follows the analyses that have ended since the last time; says whether there
/// were any. The extension is stored with its ids before any of it runs, so a goal that is carried on
/// after a crash has the same plan.
async fn extend(core: &Arc<Core>, goal: &Goal) -> Result<bool, Error> {
    if goal.unread().is_empty() || goal.tasks.iter().any(|task| task.error.is_some()) {
        return Ok(false);
    }
    let Some(book) = core.journal.book(goal.id).await? else {
        return Err(Error::Corrupt(format!(
            "goal {} analyzes and its plan has no remedies",
            goal.id
        )));
    };
    failpoint::hit("orch.before_extend");
    let (decisions, extended) = remedies::extend(goal, &book, &mut || core.ids.task());
    let line = extended.sentence();
    let mut events: Vec<Event> = decisions.into_iter().map(Event::Decided).collect();
    events.push(extended);
    events.push(Event::State {
        state: GoalState::InProgress,
        line,
        error: None,
    });
    core.journal.append(goal.id, events).await?;
    failpoint::hit("orch.after_extend");
    Ok(true)
}

async fn plan_for(core: &Arc<Core>, goal: &Goal) -> Result<Plan, Error> {
    let mut ids = || core.ids.task();
    match &goal.origin {
        Origin::Text => planner::from_words(&core.runbooks, planner::words(goal), goal.dry_run, &mut ids),
        Origin::Runbook { runbook } => planner::from_runbook(&core.runbooks, runbook, &mut ids),
        Origin::Call { tool, args } => planner::one_call(&core.clients, tool, args, ids()).await,
        Origin::Undo { of } => {
            let target = core.journal.goal(*of).await?;
            let plan = planner::undo(&core.clients, &target, goal.id, &mut ids).await?;
            if target.undone_by.is_none() {
                core.journal
                    .append(*of, vec![Event::UndoneBy { by: Some(goal.id) }])
                    .await?;
            }
            Ok(plan)
        }
    }
}

/// Journals that a task failed, and that the end of its step in flight is not known.
///
/// # Errors
/// The journal fails.
pub(crate) async fn fail_task(core: &Core, goal: GoalId, task: TaskId, error: &Error) -> Result<(), Error> {
    let state = core.journal.goal(goal).await?;
    let failing = state.task(task).ok_or(crate::model::ApplyError::NoTask(task))?;
    let report = error.report();
    let mut events: Vec<Event> = failing
        .in_flight()
        .map(|step| lost_step(task, step.step))
        .into_iter()
        .collect();
    events.push(Event::Task {
        task,
        state: TaskState::Failed,
        line: format!("{} failed: {}", failing.plan.name, report.message),
        output: Value::Null,
        error: Some(report),
    });
    core.journal.append(goal, events).await.map(|_| ())
}

/// The end of a step whose effect could not be learnt.
fn lost_step(task: TaskId, step: u64) -> Event {
    let report = Report {
        code: "AIOS-ORCH-0032".to_owned(),
        message: "the task ended before the end of this step was known".to_owned(),
        next_step: "look for the step in `aiosctl audit tail` to see whether it ran".to_owned(),
    };
    Event::StepEnded {
        task,
        step,
        end: StepEnd {
            state: StepState::Failed,
            result: Value::Null,
            error: Some(report),
            audit_seq: 0,
            rule_id: String::new(),
            approval_id: String::new(),
            undoable: false,
            tainted: false,
        },
    }
}

/// Ends a goal whose tasks have run as far as they can.
async fn end(core: &Arc<Core>, goal: &Goal) -> Result<(), Error> {
    let failed = goal.tasks.iter().find_map(|task| task.error.clone());
    if let Some(report) = failed {
        return close(core, goal.id, GoalState::Failed, Some(report)).await;
    }
    if goal.tasks.iter().all(|task| task.state == TaskState::Completed) {
        return close(core, goal.id, GoalState::Completed, None).await;
    }
    Err(Error::Corrupt(format!(
        "goal {} has tasks that can neither start nor end",
        goal.id
    )))
}

/// Ends a goal for a reason that lies outside its tasks.
///
/// # Errors
/// The journal fails.
pub async fn fail(core: &Arc<Core>, id: GoalId, error: &Error) -> Result<(), Error> {
    close(core, id, GoalState::Failed, Some(error.report())).await
}

async fn end_cancelled(core: &Arc<Core>, goal: &Goal) -> Result<(), Error> {
    let cancelled = CancellationToken::new();
    cancelled.cancel();
    for task in goal.tasks.iter().filter(|task| task.in_flight().is_some()) {
        // With a cancelled token this only asks what became of the step, and has its outcome recorded.
        match Steps::new(core, goal.id, task.plan.id, cancelled.clone())
            .settle()
            .await
        {
            Ok(()) | Err(Error::Cancelled) => {}
            Err(error) => return Err(error),
        }
    }
    close(core, goal.id, GoalState::Cancelled, None).await
}

/// Brings every task to an end, puts the result together, ends the goal and its powers.
async fn close(core: &Arc<Core>, id: GoalId, state: GoalState, report: Option<Report>) -> Result<(), Error> {
    let goal = core.journal.goal(id).await?;
    if goal.state.is_final() {
        return Ok(());
    }
    let mut events = Vec::new();
    let mut lost = Vec::new();
    for task in goal.tasks.iter().filter(|task| !task.state.is_final()) {
        if let Some(step) = task.in_flight() {
            events.push(lost_step(task.plan.id, step.step));
            lost.push((
                ExecutionKey {
                    task: task.plan.id,
                    step: step.step,
                },
                step.name.clone(),
            ));
        }
        events.push(Event::Task {
            task: task.plan.id,
            state: TaskState::Cancelled,
            line: format!("{} was not finished", task.plan.name),
            output: Value::Null,
            error: None,
        });
    }
    let goal = match events.is_empty() {
        true => goal,
        false => core.journal.append(id, events).await?,
    };
    let result = aggregator::result(&goal, state, core.clock.now_ms());
    let line = aggregator::line(&goal, state, report.as_ref(), &result);
    let events = vec![
        Event::Result { result },
        Event::State {
            state,
            line,
            error: report,
        },
    ];
    let goal = core.journal.append(id, events).await?;
    claims::let_go(core, id, lost);
    if let Origin::Undo { of } = goal.origin
        && state != GoalState::Completed
    {
        release_undone(core, of, id).await?;
    }
    let told = audit(core, &goal, &format!("goal.{state}"), ("line", &goal.line)).await;
    if let Err(error) = told {
        tracing::warn!(goal = %id, %error, "the end of a goal is not in the audit log");
    }
    // What is left of its tokens and questions is of no use to anyone any more.
    if !goal.tasks.is_empty()
        && let Err(error) = core
            .clients
            .end_powers(&id.to_string(), &format!("the goal is {state}"))
            .await
    {
        tracing::warn!(goal = %id, %error, "tokens and approvals of an ended goal stay until they expire");
    }
    Ok(())
}

/// Lets another undo try after one that did not get through.
async fn release_undone(core: &Arc<Core>, target: GoalId, by: GoalId) -> Result<(), Error> {
    if core.journal.goal(target).await?.undone_by == Some(by) {
        core.journal
            .append(target, vec![Event::UndoneBy { by: None }])
            .await?;
    }
    Ok(())
}
