//! The interface as an OpenAPI document, made from the handlers; the page's types are made from it.

use axum::Json;
use utoipa::OpenApi;

use crate::api;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "aiOS console",
        description = "Every error is JSON: code, message, next_step. All but /healthz, /api/openapi.json and /api/signin need the session cookie; requests that change something need `Origin` and `X-Aios-Console: 1`."
    ),
    paths(
        api::health::healthz,
        api::sessions::sign_in,
        api::sessions::whoami,
        api::sessions::sign_out,
        api::status::status,
        api::goals::submit,
        api::goals::list,
        api::goals::show,
        api::goals::cancel,
        api::goals::undo,
        api::goals::reply,
        api::events::events,
        api::approvals::list,
        api::approvals::approve,
        api::approvals::deny,
        api::audit::verify,
    )
)]
struct Document;

/// The document, as JSON text with two spaces of indent and a newline at its end.
pub fn document() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Serves it.
pub(crate) async fn serve() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
