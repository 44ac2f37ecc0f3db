//! Goals.

use aios_client::goal::{ErrorView, GoalDetailView, GoalView};
use aios_proto::common::v1 as common;
use aios_proto::orchestrator::v1::{
    CancelGoalRequest, GetGoalRequest, ListGoalsRequest, ReplyGoalRequest, SubmitGoalRequest, UndoGoalRequest,
};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use crate::Console;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::session::Person;

/// How much to ask.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Autonomy {
    /// For everything that changes something.
    Manual,
    /// For what policy calls risky.
    Supervised,
    /// Only where policy insists.
    Full,
}

impl From<Autonomy> for common::Autonomy {
    fn from(autonomy: Autonomy) -> Self {
        match autonomy {
            Autonomy::Manual => Self::Manual,
            Autonomy::Supervised => Self::Supervised,
            Autonomy::Full => Self::Full,
        }
    }
}

/// A new goal.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewGoal {
    /// What the person wants, 1 to 4096 bytes.
    text: String,
    /// 0 (lowest) to 9; 5 when missing.
    #[serde(default)]
    priority: Option<u32>,
    /// How much to ask; the configured default when missing.
    #[serde(default)]
    autonomy: Option<Autonomy>,
    /// Plan and try every call, change nothing.
    #[serde(default)]
    dry_run: bool,
    /// A UUID made by the page: sending it again returns the same goal.
    #[serde(default)]
    client_id: Option<String>,
}

/// An answer to a goal that waits for one.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reply {
    /// The person's words.
    text: String,
}

/// How many goals.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Page {
    /// At most this many, 1 to 1000; 50 when missing.
    limit: Option<u32>,
}

/// States a goal; it is stored when this answers.
#[utoipa::path(post, path = "/api/goals", tag = "goals", request_body = NewGoal, responses(
    (status = 201, body = GoalView), (status = 400, body = ErrorView), (status = 401, body = ErrorView)))]
pub(crate) async fn submit(
    State(console): State<Console>,
    person: Person,
    Body(goal): Body<NewGoal>,
) -> Result<(StatusCode, Json<GoalView>), ApiError> {
    let client_id = match goal.client_id {
        Some(id) => uuid::Uuid::parse_str(&id)
            .map(|id| id.to_string())
            .map_err(|_| wrong("client_id is no UUID"))?,
        None => uuid::Uuid::now_v7().to_string(),
    };
    if goal.priority.is_some_and(|priority| priority > 9) {
        return Err(wrong("priority is above 9"));
    }
    let text = goal.text.trim().to_owned();
    if text.is_empty() || text.len() > 4096 {
        return Err(wrong("text must have 1 to 4096 bytes"));
    }
    let request = SubmitGoalRequest {
        text,
        priority: goal.priority,
        autonomy: goal
            .autonomy
            .map_or(common::Autonomy::Unspecified, Into::into)
            .into(),
        dry_run: goal.dry_run,
        client_id,
        proof: person.proof(),
    };
    let goal = console
        .services
        .orchestrator()
        .await?
        .submit_goal(request)
        .await?
        .into_inner();
    Ok((StatusCode::CREATED, Json(goal.into())))
}

/// Goals, newest first.
#[utoipa::path(operation_id = "list_goals", get, path = "/api/goals", tag = "goals", params(Page), responses(
    (status = 200, body = Vec<GoalView>), (status = 401, body = ErrorView)))]
pub(crate) async fn list(
    State(console): State<Console>,
    _: Person,
    Params(page): Params<Page>,
) -> Result<Json<Vec<GoalView>>, ApiError> {
    let limit = page.limit.unwrap_or(50);
    if !(1..=1000).contains(&limit) {
        return Err(wrong("limit must be 1 to 1000"));
    }
    let request = ListGoalsRequest {
        limit,
        states: Vec::new(),
    };
    let goals = console
        .services
        .orchestrator()
        .await?
        .list_goals(request)
        .await?
        .into_inner()
        .goals;
    Ok(Json(goals.into_iter().map(Into::into).collect()))
}

/// One goal with its tasks, steps and result.
#[utoipa::path(get, path = "/api/goals/{id}", tag = "goals", params(("id" = String, Path, description = "Goal")), responses(
    (status = 200, body = GoalDetailView), (status = 401, body = ErrorView), (status = 404, body = ErrorView)))]
pub(crate) async fn show(
    State(console): State<Console>,
    _: Person,
    Id(goal_id): Id,
) -> Result<Json<GoalDetailView>, ApiError> {
    let detail = console
        .services
        .orchestrator()
        .await?
        .get_goal(GetGoalRequest { goal_id })
        .await?;
    Ok(Json(detail.into_inner().into()))
}

/// Cancels a goal.
#[utoipa::path(post, path = "/api/goals/{id}/cancel", tag = "goals", params(("id" = String, Path, description = "Goal")), responses(
    (status = 200, body = GoalView), (status = 401, body = ErrorView), (status = 409, body = ErrorView)))]
pub(crate) async fn cancel(
    State(console): State<Console>,
    person: Person,
    Id(goal_id): Id,
) -> Result<Json<GoalView>, ApiError> {
    let request = CancelGoalRequest {
        goal_id,
        proof: person.proof(),
    };
    let goal = console
        .services
        .orchestrator()
        .await?
        .cancel_goal(request)
        .await?;
    Ok(Json(goal.into_inner().into()))
}

/// Undoes what a goal changed; the answer is the goal that does it.
#[utoipa::path(post, path = "/api/goals/{id}/undo", tag = "goals", params(("id" = String, Path, description = "Goal")), responses(
    (status = 201, body = GoalView), (status = 401, body = ErrorView), (status = 409, body = ErrorView)))]
pub(crate) async fn undo(
    State(console): State<Console>,
    person: Person,
    Id(goal_id): Id,
) -> Result<(StatusCode, Json<GoalView>), ApiError> {
    let request = UndoGoalRequest {
        goal_id,
        proof: person.proof(),
    };
    let goal = console.services.orchestrator().await?.undo_goal(request).await?;
    Ok((StatusCode::CREATED, Json(goal.into_inner().into())))
}

/// Answers a goal that waits for more information.
#[utoipa::path(post, path = "/api/goals/{id}/reply", tag = "goals", params(("id" = String, Path, description = "Goal")),
    request_body = Reply, responses(
    (status = 200, body = GoalView), (status = 401, body = ErrorView), (status = 409, body = ErrorView)))]
pub(crate) async fn reply(
    State(console): State<Console>,
    person: Person,
    Id(goal_id): Id,
    Body(reply): Body<Reply>,
) -> Result<Json<GoalView>, ApiError> {
    let text = reply.text.trim().to_owned();
    if text.is_empty() || text.len() > 4096 {
        return Err(wrong("text must have 1 to 4096 bytes"));
    }
    let request = ReplyGoalRequest {
        goal_id,
        text,
        proof: person.proof(),
    };
    let goal = console.services.orchestrator().await?.reply_goal(request).await?;
    Ok(Json(goal.into_inner().into()))
}

fn wrong(what: &str) -> ApiError {
    ApiError::bad("AIOS-CONSOLE-0030", what, "correct it and send it again")
}
