//! Putting memory together, and taking it apart again.

use crate::config::Config;
use crate::error::Error;
use crate::ring::Ring;
use crate::service::Service;
use crate::working::Working;
use aios_auth::peer::{Roles, Users};
use aios_core::paths::Paths;
use aios_core::service::Failure;
use aios_core::tasks::{self, Tasks};
use aios_core::{config, ready, rpc};
use aios_proto::memory::v1::memory_server::MemoryServer;
use std::time::Duration;
use tonic::service::Routes;

/// Largest projection, bytes.
const MAX_MESSAGE: usize = 16 << 20;
/// Time that calls are given to end.
const GRACE: Duration = Duration::from_secs(3);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Configuration, database or socket are not usable.
pub async fn run(paths: Paths) -> Result<(), Failure> {
    let settings: Config = config::load(&paths, "memory")?;
    let users: Users = config::load(&paths, "users")?;
    let roles = Roles::resolve(&users)?;
    let directory = paths.state_of("memory");
    std::fs::create_dir_all(&directory).map_err(|source| Error::Io {
        what: format!("making {}", directory.display()),
        source,
    })?;
    let working = Working::open(&directory.join("working.db"))?;
    let listener = rpc::listen("memory", &paths.socket("memory"), 0o660)?;
    let service = Service::new(working, Ring::new(settings.ring_events), roles);
    let routes = Routes::new(MemoryServer::new(service).max_decoding_message_size(MAX_MESSAGE));
    let owner = Tasks::new();
    let server = rpc::serve(listener, routes, &["aios.memory.v1.Memory"], owner.token());
    tokio::pin!(server);
    ready::notify().map_err(Failure::system(
        "telling the supervisor that the service is ready",
    ))?;
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        ended = tasks::termination() => ended.map_err(Failure::system("watching for signals"))?,
    }
    if let Err(error) = ready::stopping() {
        tracing::warn!(%error, "the supervisor could not be told");
    }
    let (_, served) = tokio::join!(owner.shutdown(GRACE), tokio::time::timeout(GRACE, server));
    if served.is_err() {
        tracing::warn!("some calls did not end in time");
    }
    Ok(())
}
