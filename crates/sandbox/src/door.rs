//! An agent's front door: a Unix socket of its own on which exactly one thing is served, the agent's
//! session, and forwarded to the orchestrator with the identity that this service vouches for.
//!
//! Who calls is known by the socket, and checked again by the uid, which no other container has.
//! Everything else that is asked for is answered UNIMPLEMENTED and told to the guard.

use aios_core::rpc::{Peer, PeerStream};
use aios_proto::agent::v1::agent_session_client::AgentSessionClient;
use aios_proto::agent::v1::agent_session_server::{AgentSession, AgentSessionServer};
use aios_proto::agent::v1::{AgentMessage, OrchestratorMessage};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use serde_json::json;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

use crate::audit::Audit;
use crate::error::SandboxError;

/// The only thing that is served.
const SESSION: &str = "/aios.agent.v1.AgentSession/Connect";
/// Name of the socket inside the door's directory.
pub const SOCKET: &str = "door.sock";
/// Nobody: no peer has this uid.
const NOBODY_YET: u32 = u32::MAX;

/// Who stands behind a door.
#[derive(Debug, Clone)]
pub struct Resident {
    /// Agent instance.
    pub agent_id: String,
    /// Its kind.
    pub kind: String,
    /// Its container.
    pub container_id: String,
}

/// An open door. Closing ends its sessions at once.
#[derive(Debug)]
pub struct Door {
    closed: CancellationToken,
    directory: PathBuf,
    uid: Arc<AtomicU32>,
}

impl Door {
    /// Makes the directory that the container sees as `/run/aios`. The socket in it comes and goes.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make_directory(directory: &Path) -> Result<(), SandboxError> {
        let made = fs::create_dir_all(directory)
            // The mapped user may pass but not list; the parent keeps everybody else out.
            .and_then(|()| fs::set_permissions(directory, fs::Permissions::from_mode(0o711)));
        made.map_err(|source| SandboxError::file("make", directory, source))
    }

    /// Opens the door for `resident`. Callers are turned away until [`Door::admit`].
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn open(
        directory: &Path,
        resident: Resident,
        orchestrator: Channel,
        audit: Audit,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), SandboxError> {
        let path = directory.join(SOCKET);
        let listener = bind(&path).map_err(|source| SandboxError::file("listen on", &path, source))?;
        let closed = CancellationToken::new();
        let uid = Arc::new(AtomicU32::new(NOBODY_YET));
        let guardian = Guardian {
            resident: Arc::new(resident),
            audit,
            uid: uid.clone(),
        };
        let session = Session {
            guardian: guardian.clone(),
            orchestrator,
            closed: closed.clone(),
            taken: Arc::default(),
        };
        let serving = serve(listener, guardian, session, closed.clone());
        Ok((
            Self {
                closed,
                directory: directory.to_owned(),
                uid,
            },
            serving,
        ))
    }

    /// Lets callers of this uid (as the host sees it) in.
    pub fn admit(&self, uid: u32) {
        self.uid.store(uid, Ordering::Release);
    }

    /// Ends all sessions and takes the socket away.
    pub fn close(&self) {
        self.closed.cancel();
        let path = self.directory.join(SOCKET);
        if let Err(error) = fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!(%error, path = %path.display(), "a door's socket could not be removed");
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.close();
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    // The container's user is mapped, so no owner or group of ours fits; the directory above is 0700.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

async fn serve(listener: UnixListener, guardian: Guardian, session: Session, closed: CancellationToken) {
    let incoming = UnixListenerStream::new(listener).filter_map(|stream| async {
        match stream.and_then(PeerStream::new) {
            Ok(stream) => Some(Ok::<_, io::Error>(stream)),
            Err(error) => {
                tracing::warn!(%error, "dropped a connection whose peer is unknown");
                None
            }
        }
    });
    let layer = tower::layer::layer_fn(move |inner| Filter {
        inner,
        guardian: guardian.clone(),
    });
    let served = Server::builder()
        .layer(layer)
        .max_concurrent_streams(4)
        .add_service(AgentSessionServer::new(session))
        .serve_with_incoming_shutdown(Box::pin(incoming), closed.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "a front door ended with an error");
    }
}

/// Knows who may call, and tells the guard of everything else.
#[derive(Debug, Clone)]
struct Guardian {
    resident: Arc<Resident>,
    audit: Audit,
    uid: Arc<AtomicU32>,
}

impl Guardian {
    /// Why the call is turned away, if it is.
    fn refuse(&self, path: &str, peer: Option<&Peer>) -> Option<Status> {
        let wanted = self.uid.load(Ordering::Acquire);
        if wanted == NOBODY_YET {
            // The container has only just started; its SDK tries again.
            return Some(Status::unavailable(
                "the door opens when the container's confinement was checked",
            ));
        }
        if peer.is_none_or(|peer| peer.uid != wanted) {
            self.denied(path, "another uid");
            return Some(Status::permission_denied("this door belongs to another agent"));
        }
        if path != SESSION {
            self.denied(path, "not served at a front door");
            return Some(Status::unimplemented(
                "an agent's front door serves its session only",
            ));
        }
        None
    }

    fn denied(&self, path: &str, why: &str) {
        let path: String = path.chars().take(200).collect();
        tracing::warn!(
            agent = self.resident.agent_id,
            path,
            why,
            "denied at a front door"
        );
        let details = json!({
            "path": path,
            "why": why,
            "agent_kind": self.resident.kind,
            "container_id": self.resident.container_id,
        });
        self.audit.record("door.denied", &self.resident.agent_id, details);
    }
}

/// Stands before the gRPC router.
#[derive(Debug, Clone)]
struct Filter<S> {
    inner: S,
    guardian: Guardian,
}

impl<S> tower::Service<http::Request<Body>> for Filter<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>> + Send,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if let Some(status) = self
            .guardian
            .refuse(request.uri().path(), request.extensions().get::<Peer>())
        {
            return Box::pin(std::future::ready(Ok(status.into_http())));
        }
        Box::pin(self.inner.call(request))
    }
}

/// Forwards the one session.
#[derive(Debug)]
struct Session {
    guardian: Guardian,
    orchestrator: Channel,
    closed: CancellationToken,
    taken: Arc<AtomicBool>,
}

/// Held while a session is open; a door has one.
struct Lease(Arc<AtomicBool>);

impl Lease {
    fn take(taken: &Arc<AtomicBool>) -> Option<Self> {
        let free = taken
            .compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        free.then(|| Self(taken.clone()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Session {
    /// The agent's messages with the identity that this service vouches for.
    fn onward(&self, messages: Streaming<AgentMessage>) -> Result<Request<Outgoing>, Status> {
        let resident = &self.guardian.resident;
        let agent = resident.agent_id.clone();
        let messages = messages.take_until(self.closed.clone().cancelled_owned());
        // A broken stream ends the session; the orchestrator sees its end, not its error.
        let messages = messages.scan((), move |(), message| {
            let message =
                message.inspect_err(|status| tracing::info!(agent, %status, "an agent's stream broke"));
            std::future::ready(message.ok())
        });
        let mut request = Request::new(Outgoing(messages.boxed()));
        for (name, value) in [
            ("aios-agent-id", &resident.agent_id),
            ("aios-agent-kind", &resident.kind),
            ("aios-container-id", &resident.container_id),
        ] {
            let value = MetadataValue::try_from(value)
                .map_err(|_| Status::internal(format!("{name} cannot be sent as metadata")))?;
            request.metadata_mut().insert(name, value);
        }
        Ok(request)
    }

    /// The orchestrator's messages; the door is taken until they end or the agent goes.
    fn back(
        &self,
        answers: Streaming<OrchestratorMessage>,
        lease: Lease,
    ) -> <Self as AgentSession>::ConnectStream {
        let answers = answers.take_until(self.closed.clone().cancelled_owned());
        answers
            .map(move |answer| {
                let _held = &lease;
                answer
            })
            .boxed()
    }
}

/// The agent's messages on their way. A type of its own, because the compiler cannot prove that a
/// future that holds the bare trait object may change threads.
struct Outgoing(BoxStream<'static, AgentMessage>);

impl Stream for Outgoing {
    type Item = AgentMessage;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<AgentMessage>> {
        self.0.poll_next_unpin(context)
    }
}

/// Opens the session with the orchestrator.
fn dial(
    orchestrator: Channel,
    onward: Request<Outgoing>,
) -> BoxFuture<'static, Result<Streaming<OrchestratorMessage>, Status>> {
    Box::pin(async move {
        let mut client = AgentSessionClient::new(orchestrator);
        client.connect(onward).await.map(Response::into_inner)
    })
}

#[tonic::async_trait]
impl AgentSession for Session {
    type ConnectStream = BoxStream<'static, Result<OrchestratorMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let Some(lease) = Lease::take(&self.taken) else {
            self.guardian.denied(SESSION, "a second session");
            return Err(Status::already_exists("this agent has a session already"));
        };
        let onward = self.onward(request.into_inner())?;
        let answers = dial(self.orchestrator.clone(), onward).await?;
        Ok(Response::new(self.back(answers, lease)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guardian() -> (Guardian, crate::audit::Sending) {
        let (audit, sending) = Audit::new();
        let resident = Resident {
            agent_id: "a".to_owned(),
            kind: "k".to_owned(),
            container_id: "c".to_owned(),
        };
        (
            Guardian {
                resident: Arc::new(resident),
                audit,
                uid: Arc::new(AtomicU32::new(NOBODY_YET)),
            },
            sending,
        )
    }

    fn peer(uid: u32) -> Peer {
        Peer {
            uid,
            gid: 0,
            pid: 0,
            pidfd: None,
        }
    }

    #[test]
    fn only_the_session_of_the_resident_is_let_in() {
        let (guardian, _sending) = guardian();
        let code = |path, uid| {
            guardian
                .refuse(path, Some(&peer(uid)))
                .map(|status| status.code())
        };
        assert_eq!(
            code(SESSION, 7),
            Some(tonic::Code::Unavailable),
            "nobody is admitted yet"
        );
        guardian.uid.store(7, Ordering::Release);
        assert_eq!(code(SESSION, 7), None);
        assert_eq!(code(SESSION, 8), Some(tonic::Code::PermissionDenied));
        for path in [
            "/aios.guard.v1.Guard/Mint",
            "/grpc.health.v1.Health/Check",
            "/",
            "",
        ] {
            assert_eq!(code(path, 7), Some(tonic::Code::Unimplemented), "{path}");
        }
        assert_eq!(
            guardian.refuse(SESSION, None).map(|it| it.code()),
            Some(tonic::Code::PermissionDenied)
        );
    }

    #[test]
    fn a_door_has_one_session_at_a_time() {
        let taken = Arc::new(AtomicBool::new(false));
        let lease = Lease::take(&taken);
        assert!(lease.is_some() && Lease::take(&taken).is_none());
        drop(lease);
        assert!(Lease::take(&taken).is_some());
    }
}
