//! How every service's process starts and ends.

use crate::error::{Coded, Report};
use crate::paths::Paths;
use crate::{ready, tasks, telemetry};
use std::fmt;
use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

/// Work that waits for disks, for a service that has little of it: more waits its turn.
pub const FEW_BLOCKING: usize = 8;

/// Exit status of a service that would end the same way however often it is started: `EX_CONFIG` of `sysexits.h`(3head).
/// The supervisor leaves it down.
pub const EXIT_STAYS_DOWN: u8 = 78;
/// Code of the error about state that a newer version wrote. Every error that is made of it keeps the code.
pub const NEWER_STATE: &str = "AIOS-DATABASE-0001";
/// Time in which the supervisor reads a last word: it believes none of a process that has ended.
const HEARD: Duration = Duration::from_millis(100);

/// Why a service ended, or could not start. Every error with a code becomes one.
#[derive(Debug)]
pub struct Failure {
    why: String,
    stays_down: bool,
}

impl Failure {
    /// For `map_err`: the system did not let the service do `what`.
    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self {
            why: format!("{what}: {error}"),
            stays_down: false,
        }
    }

    fn code(&self) -> ExitCode {
        if self.stays_down {
            ExitCode::from(EXIT_STAYS_DOWN)
        } else {
            ExitCode::FAILURE
        }
    }
}

impl<E: Coded> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            why: Report::of(&error).to_string(),
            stays_down: error.code() == NEWER_STATE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// The `main` of a service: logs, one thread that listens, at most `blocking` threads (at least 1) for
/// work that waits for a disk; the process fails when the service does, with the reason as its last line and as its
/// last word to the supervisor.
///
/// One thread, because a call costs a service less than handing it to another thread does.
///
/// # Panics
/// When `blocking` is 0.
pub fn main<S, E>(name: &'static str, blocking: usize, service: impl FnOnce(Paths) -> S) -> ExitCode
where
    S: Future<Output = Result<(), E>>,
    E: Into<Failure>,
{
    telemetry::init(name);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(blocking)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(service = name, %error, "the runtime could not be started");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let ended = match tasks::listen_for_termination() {
            Ok(()) => tokio::select! {
                ended = service(Paths::from_env()) => ended.map_err(Into::into),
                () = tasks::asked_while_starting() => Ok(()),
            },
            Err(error) => Err(Failure::system("no signal handlers")(error)),
        };
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                tracing::error!(service = name, error = %failure, "ended");
                match ready::status(&failure.why) {
                    Ok(()) => tokio::time::sleep(HEARD).await,
                    Err(error) => tracing::warn!(%error, "the supervisor could not be told"),
                }
                failure.code()
            }
        }
    })
}
