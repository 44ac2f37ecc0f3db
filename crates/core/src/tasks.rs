//! Spawned tasks that have a name, an owner and an end.
//!
//! A service owns one [`Tasks`]; everything that it spawns is spawned there, hears of the end
//! through [`Tasks::token`], and is waited for by [`Tasks::shutdown`].

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of one owner. Cheap to clone; clones share the tasks.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Tasks {
    /// An owner without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the owner ends.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Spawns a task. `name` appears in the log when the task ends by a panic.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let handle = self.tracker.spawn(future);
        // The watcher ends with the task itself, so the tracker need not know it.
        #[expect(
            clippy::disallowed_methods,
            reason = "reports a panic of the task above, then ends"
        )]
        tokio::spawn(async move {
            if let Err(error) = handle.await
                && error.is_panic()
            {
                tracing::error!(task = name, %error, "a task panicked");
            }
        });
    }

    /// Cancels the token and waits for the tasks, at most `grace`. Says whether all ended.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.token.cancel();
        self.tracker.close();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}

/// Whether this process was asked to end; set up by [`listen_for_termination`]. It belongs to the process's one
/// runtime.
static ASKED_TO_END: OnceLock<CancellationToken> = OnceLock::new();
/// Whether somebody waits for that, or has waited.
static AWAITED: AtomicBool = AtomicBool::new(false);

/// From now on SIGTERM and SIGINT do not end the process but complete [`termination`], also when they come
/// before anybody waits there. To be called early, within a runtime; more calls change nothing.
///
/// # Errors
/// The signal handlers cannot be installed.
pub fn listen_for_termination() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = CancellationToken::new();
    if ASKED_TO_END.set(asked.clone()).is_err() {
        return Ok(());
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "belongs to the process: it ends with the runtime, and never panics"
    )]
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        asked.cancel();
    });
    Ok(())
}

/// Completes when the process is asked to end (SIGTERM or SIGINT).
///
/// # Errors
/// The signal handlers cannot be installed.
pub async fn termination() -> std::io::Result<()> {
    AWAITED.store(true, Ordering::SeqCst);
    listen_for_termination()?;
    if let Some(asked) = ASKED_TO_END.get() {
        asked.cancelled().await;
    }
    Ok(())
}

/// Completes when the process is asked to end before anybody waited for it in [`termination`]: what is still
/// starting may be broken off like by a crash.
pub async fn asked_while_starting() {
    if let Some(asked) = ASKED_TO_END.get() {
        asked.cancelled().await;
        if !AWAITED.load(Ordering::SeqCst) {
            return;
        }
    }
    std::future::pending().await
}
