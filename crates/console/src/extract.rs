//! Inputs whose mistakes are answered with a code.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let kind = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        if kind.split(';').next().unwrap_or_default().trim() != "application/json" {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "AIOS-CONSOLE-0020",
                "the body is not declared as JSON",
                "set `Content-Type: application/json`",
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            ApiError::new(
                rejection.status(),
                "AIOS-CONSOLE-0021",
                &rejection.body_text(),
                "send a smaller body",
            )
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            ApiError::bad(
                "AIOS-CONSOLE-0022",
                &format!("the body is not what this takes: {error}"),
                "see /api/openapi.json",
            )
        })
    }
}

/// An id in the path.
#[derive(Debug)]
pub(crate) struct Id(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let wrong = || {
            ApiError::bad(
                "AIOS-CONSOLE-0023",
                "the id in the path is no UUID",
                "use an id from a list",
            )
        };
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| wrong())?;
        uuid::Uuid::parse_str(&text)
            .map(|id| Self(id.to_string()))
            .map_err(|_| wrong())
    }
}

/// Parameters behind the question mark.
#[derive(Debug)]
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(value)| Self(value)).map_err(|rejection| {
            ApiError::bad(
                "AIOS-CONSOLE-0024",
                &rejection.body_text(),
                "see /api/openapi.json",
            )
        })
    }
}
