//! Structured logs on standard error, one event a line, captured by aios-init.
//!
//! `AIOS_LOG` filters (`info`, `aios_guard=debug`); `AIOS_LOG_FORMAT=text` is for people.

use std::env;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// Starts logging for a process called `service`. A second call in one process changes nothing.
pub fn init(service: &'static str) {
    let filter = EnvFilter::try_from_env("AIOS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let text = env::var("AIOS_LOG_FORMAT").map_or_else(|_| io::stderr().is_terminal(), |it| it == "text");
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // Told on standard error too, which panics when that cannot be written: a full disk would end the process.
        .log_internal_errors(false);
    let started = if text {
        builder.with_ansi(io::stderr().is_terminal()).try_init()
    } else {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .try_init()
    };
    if started.is_ok() {
        tracing::info!(service, version = env!("CARGO_PKG_VERSION"), "started");
    }
}
