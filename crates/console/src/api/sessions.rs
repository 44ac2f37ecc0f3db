//! Signing in and out.

use aios_client::goal::ErrorView;
use aios_proto::guard::v1::{EndSessionRequest, RedeemSignInRequest};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse};
use serde::{Deserialize, Serialize};

use crate::Console;
use crate::error::ApiError;
use crate::extract::Body;
use crate::session::{Person, Secret};

/// A sign-in.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// The one-time code from `aiosctl console open`.
    code: String,
}

/// Who is signed in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SessionView {
    /// User name.
    person: String,
    /// When the session ends, RFC 3339.
    expires_at: Option<String>,
}

/// Exchanges a one-time code for a session, which goes into a cookie that no script can read.
#[utoipa::path(post, path = "/api/signin", tag = "session", request_body = SignIn, responses(
    (status = 200, body = SessionView), (status = 401, body = ErrorView)))]
pub(crate) async fn sign_in(
    State(console): State<Console>,
    Body(sign_in): Body<SignIn>,
) -> Result<impl IntoResponse, ApiError> {
    let request = RedeemSignInRequest { code: sign_in.code };
    let session = console
        .services
        .guard()
        .await?
        .redeem_sign_in(request)
        .await?
        .into_inner();
    let max_age_s = seconds_until(session.expires_at_ms);
    let cookie = Secret::new(session.secret)
        .cookie(max_age_s)
        .ok_or_else(ApiError::unsigned)?;
    tracing::info!(person = session.person, "signed in");
    let view = SessionView {
        person: session.person,
        expires_at: aios_client::time::rfc3339(session.expires_at_ms),
    };
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), Json(view)))
}

/// Says who is signed in.
#[utoipa::path(get, path = "/api/session", tag = "session", responses(
    (status = 200, body = SessionView), (status = 401, body = ErrorView)))]
pub(crate) async fn whoami(person: Person) -> Json<SessionView> {
    Json(SessionView {
        person: person.name,
        expires_at: aios_client::time::rfc3339(person.expires_at_ms),
    })
}

/// Ends the session.
#[utoipa::path(delete, path = "/api/session", tag = "session", responses(
    (status = 204), (status = 401, body = ErrorView)))]
pub(crate) async fn sign_out(
    State(console): State<Console>,
    person: Person,
) -> Result<impl IntoResponse, ApiError> {
    let request = EndSessionRequest {
        secret: person.secret.bytes(),
    };
    console.services.guard().await?.end_session(request).await?;
    let cookie = Secret::new(Vec::new()).cookie(0).ok_or_else(ApiError::unsigned)?;
    Ok((StatusCode::NO_CONTENT, AppendHeaders([(SET_COOKIE, cookie)])))
}

fn seconds_until(expires_at_ms: i64) -> i64 {
    use aios_core::clock::{Clock, SystemClock};
    expires_at_ms.saturating_sub(SystemClock.now_ms()).max(0) / 1000
}
