//! The page: static files from the vendor directory, which the build puts there.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower::ServiceExt;
use tower_http::services::ServeDir;

use crate::Console;
use crate::error::{ApiError, no_such_path};

/// The page under its addresses, and the files that it needs.
pub(crate) fn routes() -> Router<Console> {
    Router::new()
        .route("/", get(page))
        .route("/signin", get(page))
        .route("/goals/{id}", get(page))
        .route("/assets/{*file}", get(asset))
        .route("/favicon.svg", get(asset))
        .fallback(no_such_path)
}

async fn page(State(console): State<Console>) -> Response {
    let file = console.page.join("index.html");
    match tokio::fs::read(&file).await {
        Ok(html) => {
            let kind = HeaderValue::from_static("text/html; charset=utf-8");
            let cache = HeaderValue::from_static("no-cache");
            ([(CONTENT_TYPE, kind), (CACHE_CONTROL, cache)], html).into_response()
        }
        Err(error) => {
            tracing::error!(file = %file.display(), %error, "the page cannot be read");
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "AIOS-CONSOLE-0035",
                "the page is not installed",
                "build it with `npm run build` in crates/console/web and install it as vendor/console",
            )
            .into_response()
        }
    }
}

/// Files that carry their content's hash in their name never change.
async fn asset(State(console): State<Console>, uri: Uri, request: Request<Body>) -> Response {
    let hashed = uri.path().starts_with("/assets/");
    let served = ServeDir::new(console.page.as_path())
        .append_index_html_on_directories(false)
        .oneshot(request)
        .await;
    let mut response = match served {
        Ok(response) if response.status() == StatusCode::NOT_FOUND => {
            return no_such_path().await.into_response();
        }
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    };
    if hashed && response.status().is_success() {
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().insert(CACHE_CONTROL, forever);
    }
    response
}
