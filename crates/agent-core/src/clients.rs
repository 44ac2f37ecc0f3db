//! The other services, reached over their sockets. A channel connects at its first call and again
//! after a failure, so each service may come and go.

use crate::error::Error;
use aios_core::error::Report;
use aios_core::paths::Paths;
use aios_core::rpc;
use aios_proto::guard::v1 as guard;
use aios_proto::guard::v1::guard_client::GuardClient;
use aios_proto::init::v1 as init;
use aios_proto::init::v1::init_client::InitClient;
use aios_proto::memory::v1::memory_client::MemoryClient;
use aios_proto::sandbox::v1::sandbox_client::SandboxClient;
use aios_proto::tools::v1 as tools;
use aios_proto::tools::v1::tool_registry_client::ToolRegistryClient;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// Largest message taken from another service, bytes.
const MAX_MESSAGE: usize = 16 << 20;
/// Time allowed for a question that no person and no tool is behind.
const QUESTION: Duration = Duration::from_secs(10);

/// Clients of the other services. Cheap to clone.
#[derive(Clone)]
pub struct Clients {
    guard: GuardClient<Channel>,
    tools: ToolRegistryClient<Channel>,
    sandbox: SandboxClient<Channel>,
    memory: MemoryClient<Channel>,
    init: InitClient<Channel>,
    /// Tools that were asked about; their description does not change while the service runs.
    known_tools: Arc<Mutex<BTreeMap<String, tools::Tool>>>,
}

/// A request that must be answered soon.
fn soon<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(QUESTION);
    request
}

/// What a status of another service means here.
pub fn failure(service: &'static str, status: &Status) -> Error {
    let report = rpc::report_of(status);
    let foreign = report.code.starts_with("AIOS-RPC-");
    let away = matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal | Code::DeadlineExceeded
    );
    if (foreign && away) || status.code() == Code::Unavailable {
        Error::Unreachable {
            service,
            problem: report.message,
        }
    } else {
        Error::Peer(report)
    }
}

impl Clients {
    /// Clients of the services of one instance.
    pub fn new(paths: &Paths) -> Self {
        let channel = |name: &str| rpc::channel(&paths.socket(name));
        Self {
            guard: GuardClient::new(channel("guard")).max_decoding_message_size(MAX_MESSAGE),
            tools: ToolRegistryClient::new(channel("tools")).max_decoding_message_size(MAX_MESSAGE),
            sandbox: SandboxClient::new(channel("sandbox")),
            memory: MemoryClient::new(channel("memory")).max_decoding_message_size(MAX_MESSAGE),
            init: InitClient::new(channel("init")),
            known_tools: Arc::default(),
        }
    }

    /// The guard.
    pub fn guard(&self) -> GuardClient<Channel> {
        self.guard.clone()
    }

    /// The sandbox.
    pub fn sandbox(&self) -> SandboxClient<Channel> {
        self.sandbox.clone()
    }

    /// Memory.
    pub fn memory(&self) -> MemoryClient<Channel> {
        self.memory.clone()
    }

    /// Every service and its state.
    ///
    /// # Errors
    /// The supervisor is away.
    pub async fn services(&self) -> Result<Vec<init::ServiceInfo>, Error> {
        let answer = self
            .init
            .clone()
            .list_services(soon(init::ListServicesRequest {}))
            .await;
        answer
            .map(|list| list.into_inner().services)
            .map_err(|status| failure("aios-init", &status))
    }

    /// Asks for a token.
    ///
    /// # Errors
    /// The guard refuses or is away.
    pub async fn mint(&self, request: guard::MintRequest) -> Result<guard::MintResponse, Error> {
        let answer = self.guard().mint(soon(request)).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| failure("aios-guard", &status))
    }

    /// One approval.
    ///
    /// # Errors
    /// The guard does not know it or is away.
    pub async fn approval(&self, approval_id: &str) -> Result<guard::Approval, Error> {
        let request = guard::GetApprovalRequest {
            approval_id: approval_id.to_owned(),
        };
        let answer = self.guard().get_approval(soon(request)).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| failure("aios-guard", &status))
    }

    /// Writes an event that is no tool call into the audit log.
    ///
    /// # Errors
    /// The guard refuses or is away.
    pub async fn record(&self, request: guard::RecordRequest) -> Result<(), Error> {
        let answer = self.guard().record(soon(request)).await;
        answer
            .map(|_| ())
            .map_err(|status| failure("aios-guard", &status))
    }

    /// Withdraws the pending approvals of a goal and revokes its tokens.
    ///
    /// # Errors
    /// The guard refuses or is away.
    pub async fn end_powers(&self, goal_id: &str, reason: &str) -> Result<(), Error> {
        let failed = |status: Status| failure("aios-guard", &status);
        let withdraw = guard::WithdrawApprovalsRequest {
            goal_id: goal_id.to_owned(),
        };
        self.guard()
            .withdraw_approvals(soon(withdraw))
            .await
            .map_err(failed)?;
        let revoke = guard::RevokeRequest {
            goal_id: goal_id.to_owned(),
            reason: reason.to_owned(),
            ..guard::RevokeRequest::default()
        };
        self.guard().revoke(soon(revoke)).await.map_err(failed)?;
        Ok(())
    }

    /// Whom a console session belongs to.
    ///
    /// # Errors
    /// The session is not valid, or the guard is away.
    pub async fn session(&self, secret: Vec<u8>) -> Result<guard::CheckSessionResponse, Error> {
        let answer = self
            .guard()
            .check_session(soon(guard::CheckSessionRequest { secret }))
            .await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| failure("aios-guard", &status))
    }

    /// Name of the enrolled person with this uid, if it is one's.
    ///
    /// # Errors
    /// The guard is away.
    pub async fn person(&self, uid: u32) -> Result<Option<String>, Error> {
        let answer = self
            .guard()
            .get_person(soon(guard::GetPersonRequest { uid }))
            .await;
        let person = answer
            .map_err(|status| failure("aios-guard", &status))?
            .into_inner();
        Ok(person.enrolled.then_some(person.name))
    }

    /// Makes a tool call. The time it takes is the tool's to limit.
    ///
    /// # Errors
    /// The tool service refuses the request as such, or is away.
    pub async fn call(&self, request: tools::CallRequest) -> Result<tools::CallResponse, Error> {
        let answer = self.tools.clone().call(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| failure("aios-tools", &status))
    }

    /// Undoes a call.
    ///
    /// # Errors
    /// As [`Clients::call`].
    pub async fn undo(&self, request: tools::UndoRequest) -> Result<tools::CallResponse, Error> {
        let answer = self.tools.clone().undo(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| failure("aios-tools", &status))
    }

    /// What is known of a call.
    ///
    /// # Errors
    /// As [`Clients::call`].
    pub async fn execution(
        &self,
        key: guard::ExecutionKey,
        namespace: &str,
    ) -> Result<tools::Execution, Error> {
        let request = tools::GetExecutionRequest {
            key: Some(key),
            namespace: namespace.to_owned(),
        };
        let answer = self.tools.clone().get_execution(soon(request)).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| failure("aios-tools", &status))
    }

    /// Stops a running call.
    ///
    /// # Errors
    /// As [`Clients::call`].
    pub async fn cancel(&self, key: guard::ExecutionKey, namespace: &str) -> Result<(), Error> {
        let request = tools::CancelRequest {
            key: Some(key),
            namespace: namespace.to_owned(),
        };
        let answer = self.tools.clone().cancel(soon(request)).await;
        answer
            .map(|_| ())
            .map_err(|status| failure("aios-tools", &status))
    }

    /// What a tool is.
    ///
    /// # Errors
    /// There is no such tool, or the tool service is away.
    pub async fn tool(&self, name: &str) -> Result<tools::Tool, Error> {
        let known = self
            .known_tools
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned();
        if let Some(tool) = known {
            return Ok(tool);
        }
        let request = tools::GetRequest {
            name: name.to_owned(),
        };
        let answer = self.tools.clone().get(soon(request)).await;
        let tool = answer
            .map_err(|status| failure("aios-tools", &status))?
            .into_inner();
        self.known_tools
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), tool.clone());
        Ok(tool)
    }
}

/// An error of another service as data.
pub fn report_of(error: Option<aios_proto::common::v1::Error>, otherwise: &str) -> Report {
    error.map(Report::from).unwrap_or_else(|| Report {
        code: "AIOS-ORCH-0013".to_owned(),
        message: otherwise.to_owned(),
        next_step: "see the service's log with `aiosctl service logs`".to_owned(),
    })
}
