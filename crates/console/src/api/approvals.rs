//! Approvals.

use aios_client::approval::ApprovalView;
use aios_client::goal::ErrorView;
use aios_proto::guard::v1::{Approval, DecideApprovalRequest, ListApprovalsRequest};
use aios_proto::orchestrator::v1::GetGoalRequest;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::Console;
use crate::error::ApiError;
use crate::extract::{Body, Id, Params};
use crate::session::Person;

/// An approval, with what the agent said when it asked.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ApprovalAnswer {
    /// The approval.
    approval: ApprovalView,
    /// The agent's own words: they prove nothing. Empty when the journal holds none.
    agent_reason: String,
}

/// Which approvals.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Filter {
    /// Only this goal's.
    goal: Option<String>,
    /// Decided ones too.
    all: bool,
}

/// A decision about the call that the person saw.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Decision {
    /// Digest of the call that was shown, hex; a difference is refused.
    call_digest: String,
    /// Remember for calls within this capability.
    #[serde(default)]
    remember_scope: Option<String>,
}

/// Approvals that wait for a person, newest first.
#[utoipa::path(operation_id = "list_approvals", get, path = "/api/approvals", tag = "approvals", params(Filter), responses(
    (status = 200, body = Vec<ApprovalAnswer>), (status = 401, body = ErrorView)))]
pub(crate) async fn list(
    State(console): State<Console>,
    _: Person,
    Params(filter): Params<Filter>,
) -> Result<Json<Vec<ApprovalAnswer>>, ApiError> {
    let request = ListApprovalsRequest {
        pending_only: !filter.all,
        goal_id: filter.goal.unwrap_or_default(),
        limit: 0,
    };
    let approvals = console
        .services
        .guard()
        .await?
        .list_approvals(request)
        .await?
        .into_inner()
        .approvals;
    let mut answers = Vec::with_capacity(approvals.len());
    for approval in approvals {
        let agent_reason = reason(&console, &approval).await;
        answers.push(ApprovalAnswer {
            approval: approval.into(),
            agent_reason,
        });
    }
    Ok(Json(answers))
}

/// The reason is in the journal. A journal that cannot be asked must not keep a person from deciding.
async fn reason(console: &Console, approval: &Approval) -> String {
    let request = GetGoalRequest {
        goal_id: approval.goal_id.clone(),
    };
    let asked = async {
        Ok::<_, ApiError>(
            console
                .services
                .orchestrator()
                .await?
                .get_goal(request)
                .await?
                .into_inner(),
        )
    };
    let detail = match asked.await {
        Ok(detail) => detail,
        Err(error) => {
            let view = error.into_view();
            tracing::warn!(
                code = view.code,
                "the journal did not say why an agent asked: {}",
                view.message
            );
            return String::new();
        }
    };
    let tasks = detail
        .tasks
        .into_iter()
        .filter(|task| task.task_id == approval.task_id);
    let step = tasks
        .flat_map(|task| task.steps)
        .find(|step| step.step == approval.step);
    step.map(|step| step.reason).unwrap_or_default()
}

/// Approves.
#[utoipa::path(post, path = "/api/approvals/{id}/approve", tag = "approvals", params(("id" = String, Path, description = "Approval")),
    request_body = Decision, responses(
    (status = 200, body = ApprovalView), (status = 401, body = ErrorView), (status = 403, body = ErrorView), (status = 409, body = ErrorView)))]
pub(crate) async fn approve(
    State(console): State<Console>,
    person: Person,
    Id(id): Id,
    Body(decision): Body<Decision>,
) -> Result<Json<ApprovalView>, ApiError> {
    decide(&console, &person, id, decision, true).await
}

/// Declines.
#[utoipa::path(post, path = "/api/approvals/{id}/deny", tag = "approvals", params(("id" = String, Path, description = "Approval")),
    request_body = Decision, responses(
    (status = 200, body = ApprovalView), (status = 401, body = ErrorView), (status = 403, body = ErrorView), (status = 409, body = ErrorView)))]
pub(crate) async fn deny(
    State(console): State<Console>,
    person: Person,
    Id(id): Id,
    Body(decision): Body<Decision>,
) -> Result<Json<ApprovalView>, ApiError> {
    decide(&console, &person, id, decision, false).await
}

async fn decide(
    console: &Console,
    person: &Person,
    approval_id: String,
    decision: Decision,
    approve: bool,
) -> Result<Json<ApprovalView>, ApiError> {
    let digest = hex::decode(&decision.call_digest)
        .ok()
        .filter(|digest| digest.len() == 32);
    let call_digest = digest.ok_or_else(|| {
        ApiError::bad(
            "AIOS-CONSOLE-0031",
            "call_digest is not 64 hex digits",
            "send back the digest of the approval that was shown",
        )
    })?;
    let request = DecideApprovalRequest {
        approval_id,
        approve,
        call_digest,
        remember_scope: decision.remember_scope.unwrap_or_default(),
        proof: person.proof(),
    };
    let decided = console.services.guard().await?.decide_approval(request).await?;
    Ok(Json(decided.into_inner().into()))
}
