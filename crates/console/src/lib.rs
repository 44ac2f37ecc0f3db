//! The management console: the web page, its REST interface and live events.
//!
//! It keeps no state and holds no right of its own. Whoever signs in by a one-time link gets a
//! session that the guard made; every request that needs a person carries that session to the
//! service which decides. What is done in a terminal shows here, and the other way round.
//!
//! Not for machines: programs speak gRPC to the services.
#![forbid(unsafe_code)]

mod api;
mod defence;
mod error;
mod extract;
mod openapi;
mod session;
mod settings;
mod web;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aios_client::Services;
use aios_core::paths::Paths;
use aios_core::tasks::{Tasks, termination};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub use error::ConsoleError;
pub use openapi::document as openapi_document;
pub use settings::Settings;

/// Largest request body, bytes: a goal's text is at most 4096.
const MAX_BODY: usize = 16 * 1024;
/// Most live event streams at once; each holds a connection and a watch at the orchestrator.
const MAX_STREAMS: usize = 64;
/// Verifications at once: each reads the whole log.
const MAX_VERIFICATIONS: usize = 1;
/// How long running requests may take to end at shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct Console {
    services: Services,
    settings: Arc<Settings>,
    page: Arc<PathBuf>,
    streams: Arc<Semaphore>,
    verifications: Arc<Semaphore>,
    tasks: Tasks,
}

impl Console {
    /// A console of an instance.
    pub fn new(paths: &Paths, settings: Settings) -> Self {
        Self {
            services: Services::new(&paths.run),
            settings: Arc::new(settings),
            page: Arc::new(paths.vendor.join("console")),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            verifications: Arc::new(Semaphore::new(MAX_VERIFICATIONS)),
            tasks: Tasks::new(),
        }
    }

    /// Everything it serves.
    pub fn router(&self) -> Router {
        let deadline = from_fn(defence::deadline);
        Router::new()
            .merge(api::answers().layer(deadline))
            .merge(api::streams())
            .merge(web::routes())
            .method_not_allowed_fallback(error::wrong_method)
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .layer(from_fn_with_state(self.clone(), defence::check))
            .with_state(self.clone())
    }
}

/// Runs the console until the process is asked to end.
///
/// # Errors
/// [`ConsoleError`]: the configuration is wrong, or the address cannot be used. Nothing is bound
/// before the configuration is known to be right.
pub async fn run(paths: &Paths) -> Result<(), ConsoleError> {
    let settings: Settings = aios_core::config::load(paths, "console")?;
    let address = settings.address()?;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| ConsoleError::Listen { address, source })?;
    let console = Console::new(paths, settings);
    let ready = aios_core::ready::notify();
    if let Err(error) = ready {
        tracing::warn!(%error, "the supervisor could not be told that the console is ready");
    }
    tracing::info!(%address, "the console listens");
    serve(listener, console).await
}

/// Serves on a listener until the process is asked to end.
///
/// # Errors
/// [`ConsoleError::Serve`].
pub async fn serve(listener: TcpListener, console: Console) -> Result<(), ConsoleError> {
    let tasks = console.tasks.clone();
    let ending = tasks.clone();
    let shutdown = async move {
        if let Err(error) = termination().await {
            tracing::error!(%error, "signals cannot be heard");
        }
        // Live streams never end by themselves; this tells them to.
        ending.token().cancel();
    };
    let served = axum::serve(listener, console.router())
        .with_graceful_shutdown(shutdown)
        .await;
    tasks.shutdown(GRACE).await;
    served.map_err(ConsoleError::Serve)
}
