//! Checking the audit log from here: every record is read and hashed in this process.

use aios_client::goal::ErrorView;
use aios_client::verify::{LiveReport, live};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use crate::Console;
use crate::error::ApiError;
use crate::session::Person;

/// Reads and checks the whole log.
#[utoipa::path(get, path = "/api/audit/verify", tag = "audit", responses(
    (status = 200, body = LiveReport), (status = 401, body = ErrorView), (status = 429, body = ErrorView), (status = 502, body = ErrorView)))]
pub(crate) async fn verify(State(console): State<Console>, _: Person) -> Result<Json<LiveReport>, ApiError> {
    let _turn = console.verifications.try_acquire().map_err(|_| {
        ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "AIOS-CONSOLE-0032",
            "the log is being verified already",
            "wait for it to end",
        )
    })?;
    Ok(Json(live(&console.services).await?))
}
