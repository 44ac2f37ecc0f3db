//! Whether this process serves; what it is.

use axum::Json;
use serde::Serialize;

/// Health.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct HealthView {
    /// `ok`.
    pub(crate) status: &'static str,
    /// Version of the console.
    pub(crate) version: &'static str,
}

/// Says that the console serves. Needs no session and asks no service.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = HealthView)))]
pub(crate) async fn healthz() -> Json<HealthView> {
    Json(HealthView {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    })
}
