//! The reference monitor: the only holder of the minting, receipt, approval and trust keys, the only
//! evaluator of policy, the owner of approvals, and the one writer of the audit log.
//!
//! | module | for |
//! |---|---|
//! | [`config`] | the service's configuration |
//! | [`guard`] | what everything below shares |
//! | `mint`, `authorize`, `consent`, `outcome` | the way of a call: token, decision, approval, result |
//! | `approvals`, `persons`, `trust` | people decide; revocation and emergency stop |
//! | `purge` | forgets approvals that are long over |
//! | `push` | tells the workers every second what is revoked |
//! | `refusals` | records what workers refused |
//! | `journal`, `watch`, `status` | reading the audit log, following events, the state at a glance |
//! | `store` | SQLite |
//! | `service` | the `aios.guard.v1.Guard` rpcs and who may call them |
//!
//! It has no network, no plugins, and never sees model text. What it does not do: resolve paths, run
//! tools, wait for people.
#![forbid(unsafe_code)]

mod approvals;
mod authorize;
mod ceilings;
mod config;
mod consent;
mod error;
mod guard;
mod journal;
mod keys;
mod mint;
mod outcome;
mod persons;
mod purge;
mod push;
mod refusals;
mod restored;
mod service;
mod status;
mod store;
#[cfg(test)]
mod testing;
mod trust;
mod watch;

pub use config::Config;
pub use error::GuardError;
pub use guard::Guard;

use aios_core::clock::SystemClock;
use aios_core::paths::Paths;
use aios_core::{ready, rpc, tasks};
use aios_proto::guard::v1::guard_server::{GuardServer, SERVICE_NAME};
use std::sync::Arc;
use std::time::Duration;

/// Largest request, bytes: a call that touches very many files names them all.
const LARGEST: usize = 16 << 20;

/// Runs the service until it is asked to end.
///
/// # Errors
/// It cannot start: configuration, keys, policy, audit log or socket.
pub async fn run(paths: &Paths) -> Result<(), GuardError> {
    let guard = Guard::open(paths, Arc::new(SystemClock)).await?;
    let owned = tasks::Tasks::new();
    guard.start(&owned);
    let listener = rpc::listen("guard", &paths.socket("guard"), 0o660)?;
    let routes = tonic::service::Routes::new(
        GuardServer::new(service::Service::new(guard.clone(), owned.clone()))
            .max_decoding_message_size(LARGEST),
    );
    let serving = rpc::serve(listener, routes, &[SERVICE_NAME], owned.token());
    ready::notify().map_err(GuardError::io("notify the supervisor through", "$NOTIFY_SOCKET"))?;
    tracing::info!(records = guard.log.size(), "the guard is ready");
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        asked = tasks::termination() => {
            asked.map_err(GuardError::io("wait for signals of", "this process"))?;
            owned.token().cancel();
            // Followers hold their streams open for as long as they like; they are not waited for.
            tokio::time::timeout(Duration::from_secs(2), serving).await.unwrap_or(Ok(()))
        }
    };
    owned.shutdown(Duration::from_secs(3)).await;
    guard.close().await?;
    Ok(ended?)
}
