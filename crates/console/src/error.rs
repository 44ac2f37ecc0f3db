//! Errors: those that end the process, and those that a browser gets as JSON.

use std::net::SocketAddr;

use aios_client::goal::ErrorView;
use aios_client::{Failure, Kind};
use aios_core::config::ConfigError;
use aios_core::error::{Class, Coded};
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Why the console does not run.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address is none.
    #[error("`listen = \"{listen}\"` in [console] is no address with a port")]
    Address {
        /// As configured.
        listen: String,
    },
    /// The address could be reached by others.
    #[error("the console may listen on a loopback address only, and {address} is none")]
    NotLoopback {
        /// As configured.
        address: SocketAddr,
    },
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server ended.
    #[error("the HTTP server ended: {0}")]
    Serve(std::io::Error),
}

impl Coded for ConsoleError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Address { .. } => "AIOS-CONSOLE-0001",
            Self::NotLoopback { .. } => "AIOS-CONSOLE-0002",
            Self::Listen { .. } => "AIOS-CONSOLE-0003",
            Self::Serve(_) => "AIOS-CONSOLE-0004",
        }
    }

    fn next_step(&self) -> String {
        match self {
            Self::Config(error) => error.next_step(),
            Self::Address { .. } => "write it like `listen = \"127.0.0.1:9090\"`".to_owned(),
            Self::NotLoopback { .. } => {
                "set `listen = \"127.0.0.1:9090\"` and reach it through `ssh -L 9090:127.0.0.1:9090`"
                    .to_owned()
            }
            Self::Listen { address, .. } => {
                format!("see what uses the port: `ss -ltnp sport = :{}`", address.port())
            }
            Self::Serve(_) => "report it with the log of aios-console".to_owned(),
        }
    }

    fn class(&self) -> Class {
        Class::Internal
    }
}

/// An error as a browser gets it: a status, and JSON with code, message and next step.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    view: ErrorView,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &str, message: &str, next_step: &str) -> Self {
        let view = ErrorView {
            code: code.to_owned(),
            message: message.to_owned(),
            next_step: next_step.to_owned(),
        };
        Self { status, view }
    }

    pub(crate) fn unsigned() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "AIOS-CONSOLE-0010",
            "nobody is signed in",
            "run `aiosctl console open` and open the link that it prints",
        )
    }

    pub(crate) fn bad(code: &str, message: &str, next_step: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message, next_step)
    }

    /// The error as data, for answers that hold several.
    pub(crate) fn into_view(self) -> ErrorView {
        self.view
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let status = match failure.kind {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Denied => StatusCode::FORBIDDEN,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::NeedsApproval | Kind::Conflict => StatusCode::CONFLICT,
            Kind::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Failed => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, &failure.code, &failure.message, &failure.next_step)
    }
}

impl From<tonic::Status> for ApiError {
    fn from(status: tonic::Status) -> Self {
        Failure::from(status).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self.view)).into_response()
    }
}

/// Answers a path that is none.
pub(crate) async fn no_such_path() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "AIOS-CONSOLE-0011",
        "there is nothing at this path",
        "see /api/openapi.json",
    )
}

/// Answers a method that the path has not.
pub(crate) async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "AIOS-CONSOLE-0012",
        "this path does not take this method",
        "see /api/openapi.json",
    )
}
