//! `aiosctl goal …`

use aios_client::Failure;
use aios_client::goal::{GoalDetailView, GoalView};
use aios_proto::common::v1::Autonomy;
use aios_proto::orchestrator::v1::{
    CancelGoalRequest, GetGoalRequest, GoalState, ListGoalsRequest, ReplyGoalRequest, SubmitGoalRequest,
    UndoGoalRequest,
};

use super::{Ended, follow};
use crate::args::{Goal, GoalRun, GoalStateArg, Level};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render;
use crate::terminal::Terminal;

/// Runs a verb.
pub(crate) async fn run(verb: Goal, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match verb {
        Goal::Run(request) => submit(request, instance, terminal).await,
        Goal::List { state, limit } => list(&state, limit, instance, terminal).await,
        Goal::Show { id } => {
            let detail = get(&id, instance).await?;
            if terminal.json() {
                terminal.document(&detail);
            } else {
                render::goal::detail(terminal, &detail);
            }
            Ok(Exit::Done)
        }
        Goal::Cancel { id } => {
            let id = full_id(&id, instance).await?;
            let request = CancelGoalRequest {
                goal_id: id,
                proof: None,
            };
            let goal = instance
                .services
                .orchestrator()
                .await?
                .cancel_goal(request)
                .await?;
            one(&goal.into_inner().into(), terminal)
        }
        Goal::Reply { id, text, follow } => {
            let id = full_id(&id, instance).await?;
            let request = ReplyGoalRequest {
                goal_id: id,
                text,
                proof: None,
            };
            let goal = instance
                .services
                .orchestrator()
                .await?
                .reply_goal(request)
                .await?;
            follow::goal(goal.into_inner().into(), follow, instance, terminal).await
        }
        Goal::Undo { id, follow } => {
            let id = full_id(&id, instance).await?;
            let request = UndoGoalRequest {
                goal_id: id,
                proof: None,
            };
            let goal = instance.services.orchestrator().await?.undo_goal(request).await?;
            follow::goal(goal.into_inner().into(), follow, instance, terminal).await
        }
        Goal::Watch { id, follow } => {
            let detail = get(&id, instance).await?;
            follow::goal(goal_of(detail)?, follow, instance, terminal).await
        }
    }
}

async fn submit(request: GoalRun, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let submit = SubmitGoalRequest {
        text: request.text,
        priority: request.priority,
        autonomy: autonomy(request.level).into(),
        dry_run: request.dry_run,
        client_id: uuid::Uuid::now_v7().to_string(),
        proof: None,
    };
    let goal = instance
        .services
        .orchestrator()
        .await?
        .submit_goal(submit)
        .await?;
    follow::goal(goal.into_inner().into(), request.follow, instance, terminal).await
}

async fn list(states: &[GoalStateArg], limit: u32, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let states = states.iter().map(|state| wire_state(*state).into()).collect();
    let request = ListGoalsRequest { limit, states };
    let goals = instance
        .services
        .orchestrator()
        .await?
        .list_goals(request)
        .await?
        .into_inner()
        .goals;
    let goals: Vec<GoalView> = goals.into_iter().map(Into::into).collect();
    if terminal.json() {
        terminal.document(&goals);
    } else {
        render::goal::list(terminal, &goals);
    }
    Ok(Exit::Done)
}

fn one(goal: &GoalView, terminal: &mut Terminal) -> Ended {
    if terminal.json() {
        terminal.document(goal);
    } else {
        render::goal::ending(terminal, goal);
    }
    Ok(Exit::Done)
}

/// A goal in full; `id` may be abbreviated.
pub(crate) async fn get(id: &str, instance: &Instance) -> Result<GoalDetailView, Failure> {
    let request = GetGoalRequest {
        goal_id: id.to_owned(),
    };
    Ok(instance
        .services
        .orchestrator()
        .await?
        .get_goal(request)
        .await?
        .into_inner()
        .into())
}

/// The whole id of a goal that may be abbreviated.
pub(crate) async fn full_id(id: &str, instance: &Instance) -> Result<String, Failure> {
    if id.len() == 36 {
        return Ok(id.to_owned());
    }
    Ok(goal_of(get(id, instance).await?)?.goal_id)
}

/// The goal of a detail.
pub(crate) fn goal_of(detail: GoalDetailView) -> Result<GoalView, Failure> {
    detail.goal.ok_or_else(|| {
        Failure::new(
            aios_client::Kind::Failed,
            "AIOS-CLI-0002",
            "the orchestrator answered without a goal",
            "the two sides may have different versions: compare `aiosctl --version` with `aiosctl status`",
        )
    })
}

/// The wire's autonomy.
pub(crate) fn autonomy(level: Option<Level>) -> Autonomy {
    match level {
        None => Autonomy::Unspecified,
        Some(Level::Manual) => Autonomy::Manual,
        Some(Level::Supervised) => Autonomy::Supervised,
        Some(Level::Full) => Autonomy::Full,
    }
}

fn wire_state(state: GoalStateArg) -> GoalState {
    match state {
        GoalStateArg::Pending => GoalState::Pending,
        GoalStateArg::Planning => GoalState::Planning,
        GoalStateArg::InProgress => GoalState::InProgress,
        GoalStateArg::AwaitingApproval => GoalState::AwaitingApproval,
        GoalStateArg::AwaitingInput => GoalState::AwaitingInput,
        GoalStateArg::Completed => GoalState::Completed,
        GoalStateArg::Failed => GoalState::Failed,
        GoalStateArg::Cancelled => GoalState::Cancelled,
    }
}
