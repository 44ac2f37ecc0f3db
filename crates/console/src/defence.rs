//! What every request must pass before a handler sees it, and what every answer carries.
//!
//! * The `Host` must be ours: a foreign name that points to this address (DNS rebinding) is refused.
//! * A request that changes something must come from our own page: its `Origin` is ours, and it has
//!   a header that a foreign page cannot set without asking first (which is never granted).
//! * Answers forbid framing, foreign content, inline scripts and sniffing.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::Console;
use crate::error::ApiError;

/// The header that our page sets on requests that change something.
pub(crate) const MARK: HeaderName = HeaderName::from_static("x-aios-console");

/// Longest time for an answer that is no stream.
const DEADLINE: Duration = Duration::from_secs(60);

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Checks a request and seals its answer.
pub(crate) async fn check(State(console): State<Console>, request: Request, next: Next) -> Response {
    let api = request.uri().path().starts_with("/api/");
    let mut response = match admit(&console, &request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    seal(response.headers_mut(), api);
    response
}

fn admit(console: &Console, request: &Request) -> Result<(), ApiError> {
    let host = header_text(request.headers(), &header::HOST).unwrap_or_default();
    if !console.settings.allows_host(name_of(host)) {
        return Err(ApiError::new(
            StatusCode::MISDIRECTED_REQUEST,
            "AIOS-CONSOLE-0013",
            "the console is not known under this host name",
            "use http://127.0.0.1, or add the name to `allowed_hosts` in [console]",
        ));
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(());
    }
    let origin = header_text(request.headers(), &header::ORIGIN);
    let ours = origin
        .and_then(|origin| origin.strip_prefix("http://"))
        .is_some_and(|origin| origin == host);
    if !ours || !request.headers().contains_key(MARK) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "AIOS-CONSOLE-0014",
            "the request does not come from the console's own page",
            "send it from the page; a program sets `Origin: http://HOST` and `X-Aios-Console: 1`",
        ));
    }
    Ok(())
}

fn header_text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The host without its port; an IPv6 literal keeps its brackets.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

fn seal(headers: &mut HeaderMap, api: bool) {
    let mut set =
        |name: HeaderName, value: &'static str| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    set(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    set(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    );
    if api {
        set(header::CACHE_CONTROL, "no-store");
    }
}

/// Ends an answer that takes too long.
pub(crate) async fn deadline(request: Request, next: Next) -> Response {
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(
            StatusCode::GATEWAY_TIMEOUT,
            "AIOS-CONSOLE-0015",
            "the services did not answer in time",
            "try again; see `aiosctl service list`",
        )
        .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_split_from_its_port() {
        for (host, name) in [
            ("localhost:9090", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:9090", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(name_of(host), name, "{host}");
        }
    }
}
