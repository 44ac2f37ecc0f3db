//! The REST interface: thin translations between HTTP and the services.

pub(crate) mod approvals;
pub(crate) mod audit;
pub(crate) mod events;
pub(crate) mod goals;
pub(crate) mod health;
pub(crate) mod sessions;
pub(crate) mod status;

use axum::Router;
use axum::routing::{get, post};

use crate::Console;
use crate::error::no_such_path;
use crate::openapi;

/// Routes whose answers end soon.
pub(crate) fn answers() -> Router<Console> {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/api/openapi.json", get(openapi::serve))
        .route("/api/signin", post(sessions::sign_in))
        .route("/api/session", get(sessions::whoami).delete(sessions::sign_out))
        .route("/api/status", get(status::status))
        .route("/api/goals", get(goals::list).post(goals::submit))
        .route("/api/goals/{id}", get(goals::show))
        .route("/api/goals/{id}/cancel", post(goals::cancel))
        .route("/api/goals/{id}/undo", post(goals::undo))
        .route("/api/goals/{id}/reply", post(goals::reply))
        .route("/api/approvals", get(approvals::list))
        .route("/api/approvals/{id}/approve", post(approvals::approve))
        .route("/api/approvals/{id}/deny", post(approvals::deny))
        .route("/api/audit/verify", get(audit::verify))
        .route(
            "/api/{*rest}",
            get(no_such_path).post(no_such_path).delete(no_such_path),
        )
}

/// Routes whose answers go on.
pub(crate) fn streams() -> Router<Console> {
    Router::new().route("/api/goals/{id}/events", get(events::events))
}
