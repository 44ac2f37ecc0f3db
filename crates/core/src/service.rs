//! How every service's process starts and ends.

use crate::paths::Paths;
use crate::{tasks, telemetry};
use std::fmt::Display;
use std::future::Future;
use std::process::ExitCode;

/// Work that waits for disks, for a service that has little of it: more waits its turn.
pub const FEW_BLOCKING: usize = 8;

/// The `main` of a service: logs, one thread that listens, at most `blocking` threads (at least 1) for
/// work that waits for a disk; the process fails when the service does, with the reason as its last line.
///
/// One thread, because a call costs a service less than handing it to another thread does.
///
/// # Panics
/// When `blocking` is 0.
pub fn main<S, E>(name: &'static str, blocking: usize, service: impl FnOnce(Paths) -> S) -> ExitCode
where
    S: Future<Output = Result<(), E>>,
    E: Display,
{
    telemetry::init(name);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(blocking)
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(async {
            tasks::listen_for_termination().map_err(|error| format!("no signal handlers: {error}"))?;
            tokio::select! {
                ended = service(Paths::from_env()) => ended.map_err(|error| format!("{error:#}")),
                () = tasks::asked_while_starting() => Ok(()),
            }
        }),
        Err(error) => Err(format!("the runtime could not be started: {error}")),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(service = name, error, "ended");
            ExitCode::FAILURE
        }
    }
}
