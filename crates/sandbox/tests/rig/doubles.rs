//! Doubles of the guard and of the orchestrator: real gRPC servers on real sockets.

use aios_proto::agent::v1::agent_session_server::{AgentSession, AgentSessionServer};
use aios_proto::agent::v1::{
    AgentMessage, Hello, OrchestratorMessage, Welcome, agent_message, orchestrator_message,
};
use aios_proto::guard::v1::{
    EmergencyState, GuardEvent, RecordRequest, RecordResponse, WatchRequest, guard_event,
};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::{UnixListenerStream, WatchStream};
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

fn listen(path: &Path) -> UnixListenerStream {
    let listener = UnixListener::bind(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
    UnixListenerStream::new(listener)
}

/// A guard that writes everything down and can be told to stop everything.
pub(crate) struct Guard {
    pub(crate) records: Arc<Mutex<Vec<RecordRequest>>>,
    emergency: watch::Sender<EmergencyState>,
    _serving: JoinSet<()>,
}

impl Guard {
    pub(crate) async fn start(path: &Path) -> Self {
        let records = Arc::default();
        let (emergency, watched) = watch::channel(EmergencyState::default());
        let service = GuardService {
            records: Arc::clone(&records),
            emergency: watched,
        };
        let incoming = listen(path);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
        Self {
            records,
            emergency,
            _serving: serving,
        }
    }

    pub(crate) fn stop_everything(&self, stopped: bool) {
        let state = EmergencyState {
            stopped,
            since_ms: 1,
            by: "ann".to_owned(),
            reason: "a drill".to_owned(),
        };
        self.emergency.send(state).unwrap();
    }

    pub(crate) fn recorded(&self, kind: &str) -> Vec<RecordRequest> {
        self.records
            .lock()
            .unwrap()
            .iter()
            .filter(|it| it.kind == kind)
            .cloned()
            .collect()
    }
}

/// The two rpcs that the sandbox calls.
#[derive(Clone)]
struct GuardService {
    records: Arc<Mutex<Vec<RecordRequest>>>,
    emergency: watch::Receiver<EmergencyState>,
}

impl NamedService for GuardService {
    const NAME: &'static str = "aios.guard.v1.Guard";
}

impl tower::Service<http::Request<Body>> for GuardService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/aios.guard.v1.Guard/Record" => {
                    let codec = tonic_prost::ProstCodec::<RecordResponse, RecordRequest>::default();
                    Grpc::new(codec).unary(service, request).await
                }
                "/aios.guard.v1.Guard/Watch" => {
                    let codec = tonic_prost::ProstCodec::<GuardEvent, WatchRequest>::default();
                    Grpc::new(codec).server_streaming(service, request).await
                }
                other => Status::unimplemented(other).into_http(),
            })
        })
    }
}

impl UnaryService<RecordRequest> for GuardService {
    type Response = RecordResponse;
    type Future = BoxFuture<'static, Result<Response<RecordResponse>, Status>>;
    fn call(&mut self, request: Request<RecordRequest>) -> Self::Future {
        let mut records = self.records.lock().unwrap();
        records.push(request.into_inner());
        let audit_seq = records.len() as u64;
        Box::pin(async move { Ok(Response::new(RecordResponse { audit_seq })) })
    }
}

impl ServerStreamingService<WatchRequest> for GuardService {
    type Response = GuardEvent;
    type ResponseStream = BoxStream<'static, Result<GuardEvent, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;
    fn call(&mut self, _: Request<WatchRequest>) -> Self::Future {
        let events = WatchStream::new(self.emergency.clone()).map(|state| {
            Ok(GuardEvent {
                event: Some(guard_event::Event::Emergency(state)),
            })
        });
        Box::pin(async move { Ok(Response::new(events.boxed())) })
    }
}

/// An agent's session as the orchestrator sees it.
pub(crate) struct Session {
    pub(crate) agent_id: String,
    pub(crate) kind: String,
    pub(crate) container_id: String,
    pub(crate) hello: Hello,
    /// Tells when the agent's side has ended.
    pub(crate) ended: tokio::sync::oneshot::Receiver<()>,
}

/// An orchestrator that welcomes every agent.
pub(crate) struct Orchestrator {
    pub(crate) sessions: tokio::sync::Mutex<mpsc::Receiver<Session>>,
    _serving: JoinSet<()>,
}

impl Orchestrator {
    pub(crate) async fn start(path: &Path) -> Self {
        let (opened, sessions) = mpsc::channel(16);
        let service = AgentSessionServer::new(Sessions { opened });
        let incoming = listen(path);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming)
                .await
                .unwrap();
        });
        Self {
            sessions: sessions.into(),
            _serving: serving,
        }
    }

    /// The next session that an agent opens.
    pub(crate) async fn session(&self) -> Session {
        let mut sessions = self.sessions.lock().await;
        tokio::time::timeout(super::PATIENCE, sessions.recv())
            .await
            .expect("no session came")
            .unwrap()
    }
}

struct Sessions {
    opened: mpsc::Sender<Session>,
}

#[tonic::async_trait]
impl AgentSession for Sessions {
    type ConnectStream = BoxStream<'static, Result<OrchestratorMessage, Status>>;

    async fn connect(
        &self,
        request: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let field = |name| request.metadata().get(name).unwrap().to_str().unwrap().to_owned();
        let (agent_id, kind, container_id) = (
            field("aios-agent-id"),
            field("aios-agent-kind"),
            field("aios-container-id"),
        );
        let opened = self.opened.clone();
        let mut messages = request.into_inner();
        let (answers, stream) = mpsc::channel(16);
        let listening = async move {
            let first = messages.message().await.unwrap().unwrap();
            let Some(agent_message::Message::Hello(hello)) = first.message else {
                panic!("the first message is {first:?}");
            };
            let welcome = Welcome {
                agent_id: agent_id.clone(),
                heartbeat_ms: 1000,
            };
            let message = Some(orchestrator_message::Message::Welcome(welcome));
            answers.send(Ok(OrchestratorMessage { message })).await.unwrap();
            let (end, ended) = tokio::sync::oneshot::channel();
            opened
                .send(Session {
                    agent_id,
                    kind,
                    container_id,
                    hello,
                    ended,
                })
                .await
                .unwrap();
            while let Ok(Some(_)) = messages.message().await {}
            drop(end);
        };
        #[expect(clippy::disallowed_methods, reason = "ends with the session")]
        tokio::spawn(listening);
        Ok(Response::new(
            tokio_stream::wrappers::ReceiverStream::new(stream).boxed(),
        ))
    }
}
