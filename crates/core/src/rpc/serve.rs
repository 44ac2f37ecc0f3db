//! Listening, serving and connecting.

use super::corked::Corked;
use super::inherited::take_listener;
use super::peer::PeerStream;
use crate::error::{Class, Coded};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server};

/// Rest before the next connection is accepted after one could not be.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);

/// A socket could not be opened or served.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The socket could not be opened.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The server ended with an error.
    #[error("the gRPC server ended")]
    Serve(#[from] tonic::transport::Error),
    /// The reflection service could not be built.
    #[error("the gRPC reflection service could not be built")]
    Reflection(#[from] tonic_reflection::server::Error),
}

impl Coded for RpcError {
    fn code(&self) -> &'static str {
        match self {
            Self::Listen { .. } => "AIOS-CORE-0010",
            Self::Serve(_) => "AIOS-CORE-0011",
            Self::Reflection(_) => "AIOS-CORE-0012",
        }
    }
    fn next_step(&self) -> String {
        match self {
            Self::Listen { path, .. } => format!(
                "check that {} exists and is writable for this user, and that no other instance runs",
                path.parent().unwrap_or(Path::new("/")).display()
            ),
            Self::Serve(_) | Self::Reflection(_) => "report it with the service's log".to_owned(),
        }
    }
    fn class(&self) -> Class {
        Class::Internal
    }
}

/// Opens a service's socket: the inherited one called `name`, or a new one at `path` with `mode`.
/// A stale socket file is replaced; one that still answers is an error.
///
/// # Errors
/// [`RpcError::Listen`].
pub fn listen(name: &str, path: &Path, mode: u32) -> Result<UnixListener, RpcError> {
    open(name, path, mode).map_err(|source| RpcError::Listen {
        path: path.to_owned(),
        source,
    })
}

fn open(name: &str, path: &Path, mode: u32) -> io::Result<UnixListener> {
    if let Some(listener) = take_listener(name)? {
        listener.set_nonblocking(true)?;
        return UnixListener::from_std(listener);
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another process answers there",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Serves `routes` with health (grpc.health.v1) and reflection until `shutdown` is cancelled, then
/// lets running calls end. `services` are the full names whose health is reported as serving.
///
/// Each request carries its [`super::Peer`]. A peer whose credentials cannot be read is dropped.
///
/// # Errors
/// [`RpcError::Serve`], [`RpcError::Reflection`].
pub fn serve(
    listener: UnixListener,
    routes: Routes,
    services: &[&str],
    shutdown: CancellationToken,
) -> impl Future<Output = Result<(), RpcError>> + Send + use<> {
    let names: Vec<String> = services.iter().map(|name| (*name).to_owned()).collect();
    async move {
        let (health, health_service) = tonic_health::server::health_reporter();
        for name in names {
            health
                .set_service_status(name, tonic_health::ServingStatus::Serving)
                .await;
        }
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(aios_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let incoming = UnixListenerStream::new(listener)
            .then(accepted)
            .filter_map(|it| it);
        Server::builder()
            .add_routes(routes)
            .add_service(health_service)
            .add_service(reflection)
            .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
            .await?;
        Ok(())
    }
}

/// A connection, if its peer is known. Without descriptors or memory for one it stays in the queue, and the next
/// try would fail at once too: so it is rested before.
async fn accepted(stream: io::Result<UnixStream>) -> Option<io::Result<PeerStream>> {
    match stream {
        Ok(stream) => PeerStream::new(stream)
            .inspect_err(|error| tracing::warn!(%error, "dropped a connection whose peer is unknown"))
            .ok()
            .map(Ok),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_AGAIN).await;
            None
        }
    }
}

/// A channel to the service at `path`. It connects at the first call and again after a failure, so
/// it can be made before the service is there.
pub fn channel(path: &Path) -> Channel {
    let path = path.to_owned();
    // The authority is never resolved: the connector below always goes to `path`.
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(tower::service_fn(
        move |_: tonic::transport::Uri| {
            let path = path.clone();
            async move {
                let stream = UnixStream::connect(path).await?;
                Ok::<_, io::Error>(TokioIo::new(Corked::new(stream)))
            }
        },
    ))
}
