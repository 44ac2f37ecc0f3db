//! The worker's gRPC service around a [`Namespace`].
//!
//! Only the tool service may prepare, execute, ask and cancel; only the guard may push trust. What is
//! refused is told to the guard with its next push.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::registry::ToolSpec;
use crate::worker::executor::{Executed, Executor, Job};
use crate::worker::gate::{Asked as GateAsked, Gate};
use crate::worker::intake::{Asked, Raw, accesses, answer, extent, known_answer, target, understand};
use crate::worker::journal::{Journal, State};
use crate::worker::refusals::{Refusals, Refused};
use crate::worker::{Call, Namespace, Prepared, Target};
use aios_auth::capability::Access;
use aios_auth::peer::{self, Role, Roles};
use aios_auth::receipt::Extent;
use aios_auth::token::VerifiedToken;
use aios_core::failpoint;
use aios_core::id::ExecutionKey;
use aios_core::rpc;
use aios_proto::worker::v1 as pb;
use aios_proto::worker::v1::worker_server::Worker;
use prost::Message;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

/// The service.
pub struct WorkerService<N: Namespace> {
    inner: Arc<Inner<N>>,
}

struct Inner<N: Namespace> {
    namespace: Arc<N>,
    specs: Vec<ToolSpec>,
    gate: Gate,
    roles: Roles,
    executor: Executor<N>,
    reader: Mutex<Journal>,
    running: Mutex<HashMap<ExecutionKey, Budget>>,
    refusals: Refusals,
    lanes: Arc<Semaphore>,
}

impl<N: Namespace> WorkerService<N> {
    /// A service of these parts; `reader` is a second connection to the executor's journal. At most
    /// `lanes` requests work at once, so the runtime must have some more threads for that.
    pub fn new(
        namespace: Arc<N>,
        gate: Gate,
        roles: Roles,
        executor: Executor<N>,
        reader: Journal,
        lanes: usize,
    ) -> Self {
        let specs = namespace.specs();
        let (reader, running) = (Mutex::new(reader), Mutex::default());
        Self {
            inner: Arc::new(Inner {
                namespace,
                specs,
                gate,
                roles,
                executor,
                reader,
                running,
                refusals: Refusals::new(),
                lanes: Arc::new(Semaphore::new(lanes)),
            }),
        }
    }

    /// The caller's uid, when it plays one of the roles.
    fn only<T>(
        &self,
        request: &Request<T>,
        roles: &[Role],
        refused: Refused<'_>,
    ) -> std::result::Result<u32, Status> {
        let inner = &self.inner;
        inner
            .roles
            .require(request, roles)
            .map(|peer| peer.uid)
            .map_err(|error| {
                let uid = peer::peer(request).ok().map(|peer| peer.uid);
                inner
                    .refusals
                    .note_caller(Refused { uid, ..refused }, &error, inner.gate.now_ms());
                rpc::status(&error)
            })
    }
}

impl<N: Namespace> Inner<N> {
    fn understand(&self, raw: Raw<'_>) -> Result<Asked> {
        understand(raw, self.namespace.name(), &self.specs, |tool, args| {
            self.namespace.canonical(tool, args)
        })
    }

    /// Notes an error of a request when it is a refusal; the error goes on.
    fn note(&self, refused: Refused<'_>, error: ToolError) -> ToolError {
        self.refusals.note(refused, &error, self.gate.now_ms());
        error
    }

    fn with_reader<T>(&self, ask: impl FnOnce(&Journal) -> Result<T>) -> Result<T> {
        ask(&self.reader.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn prepare_request(&self, request: &pb::PrepareRequest) -> Result<pb::PrepareResponse> {
        let asked = self.understand(Raw {
            key: request.key.as_ref(),
            tool: &request.tool,
            args_json: &request.args_json,
            undo_of: request.undo_of.as_ref(),
            timeout_ms: request.timeout_ms,
        })?;
        let token = self.gate.token(&request.token, asked.key)?;
        self.prepare(&asked, &token, &Budget::of_ms(asked.timeout_ms))
    }

    /// Resolves a call, or gives back how it was resolved when it began earlier.
    fn prepare(&self, asked: &Asked, token: &VerifiedToken, budget: &Budget) -> Result<pb::PrepareResponse> {
        let caps = &token.capabilities;
        if asked.mutating
            && let Some(known) = self.with_reader(|journal| known_answer(journal, asked, caps))?
        {
            return Ok(known);
        }
        let call = Call {
            tool: &asked.tool,
            args: &asked.args,
            caps,
            key: asked.key,
            budget,
        };
        let prepared: Prepared = match self.target(asked, token)? {
            Some(target) => self.namespace.prepare_undo(&call, &target)?,
            None => self.namespace.prepare(&call)?,
        };
        answer(asked, &prepared)
    }

    fn target(&self, asked: &Asked, token: &VerifiedToken) -> Result<Option<Target<N::Plan>>> {
        let find = |key| self.with_reader(|journal| target(journal, key, &token.capabilities));
        asked.undo_of.map(find).transpose()
    }

    fn read(
        &self,
        request: &pb::ExecuteRequest,
        asked: &Asked,
        budget: &Budget,
        about: Refused<'_>,
    ) -> Result<Executed> {
        let token = self.gate.token(&request.token, asked.key)?;
        let required = self.required_of_read(asked, request)?;
        self.admit(request, asked, &token, &required, None)?;
        let started = Instant::now();
        let call = Call {
            tool: &asked.tool,
            args: &asked.args,
            caps: &token.capabilities,
            key: asked.key,
            budget,
        };
        let outcome = match self.namespace.read(&call, &request.identities) {
            Ok(result) => Ok(result.to_string()),
            Err(error) => Err(self.note(about, error).report()),
        };
        let tool_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(Executed {
            outcome,
            replayed: false,
            tool_us,
        })
    }

    fn required_of_read(&self, asked: &Asked, request: &pb::ExecuteRequest) -> Result<Vec<Access>> {
        let action = asked.tool.split_once('.').map_or("", |(_, action)| action);
        let of = |path: &str| Access::new(self.namespace.name(), action, path).map_err(ToolError::auth);
        request
            .identities
            .iter()
            .map(|identity| of(self.namespace.resource(identity)))
            .collect()
    }

    fn admit(
        &self,
        request: &pb::ExecuteRequest,
        asked: &Asked,
        token: &VerifiedToken,
        required: &[Access],
        extent: Option<Extent>,
    ) -> Result<()> {
        let asked = GateAsked {
            key: asked.key,
            tool: &asked.tool,
            digest: asked.digest(&request.identities)?,
            mutating: asked.mutating,
            extent,
            required,
        };
        self.gate.receipt(request.receipt.as_ref(), token, &asked)
    }

    /// Everything before a mutating call is queued.
    fn job(&self, request: &pb::ExecuteRequest, asked: Asked, budget: Budget) -> Result<Job<N>> {
        let token = self.gate.token(&request.token, asked.key)?;
        self.gate.may_mutate()?;
        let digest = asked.digest(&request.identities)?;
        let prepared = self.prepare(&asked, &token, &budget)?;
        if prepared.identities != request.identities {
            return Err(changed(&prepared, request));
        }
        let (required, extent) = (accesses(&prepared)?, extent(&prepared));
        self.admit(request, &asked, &token, &required, Some(extent))?;
        let begun = self.with_reader(|journal| {
            Ok(journal
                .find(asked.key)?
                .is_some_and(|it| it.state != State::RolledBack))
        })?;
        let target = if begun { None } else { self.target(&asked, &token)? };
        Ok(Job {
            key: asked.key,
            tool: asked.tool,
            args: asked.args,
            args_text: asked.args_text,
            identities: request.identities.clone(),
            digest,
            prepared: prepared.encode_to_vec(),
            token,
            target,
            budget,
        })
    }

    /// Runs what touches the namespace in one of the lanes. Who waits for one and gives up waits no more:
    /// a file system that hangs fills the lanes, and nothing besides.
    async fn in_lane<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let lane = Arc::clone(&self.lanes).acquire_owned().await;
        let lane = lane.map_err(|error| ToolError::Defect(error.to_string()))?;
        blocking(move || {
            let _lane = lane;
            work()
        })
        .await
    }

    /// Makes a call known to Cancel for as long as the answer is held.
    fn begin(self: &Arc<Self>, key: ExecutionKey, budget: &Budget) -> Running<N> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(key, budget.clone());
        Running {
            inner: Arc::clone(self),
            key,
        }
    }
}

/// A call that runs; it is forgotten when this is dropped, also when the caller hung up.
struct Running<N: Namespace> {
    inner: Arc<Inner<N>>,
    key: ExecutionKey,
}

impl<N: Namespace> Drop for Running<N> {
    fn drop(&mut self) {
        self.inner
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

fn changed(now: &pb::PrepareResponse, request: &pb::ExecuteRequest) -> ToolError {
    let other = now
        .identities
        .iter()
        .find(|identity| !request.identities.contains(identity));
    ToolError::Changed {
        path: other.map_or_else(String::new, |identity| identity.path.clone()),
        difference: "it is not what was prepared and authorized".to_owned(),
    }
}

/// Runs blocking work on a thread for that.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ToolError::Defect(error.to_string()))?
}

/// What is told of a refused request.
fn refused_request<'a>(
    rpc: &'static str,
    uid: Option<u32>,
    key: &'a Option<aios_proto::guard::v1::ExecutionKey>,
    tool: &'a str,
) -> Refused<'a> {
    Refused {
        rpc,
        uid,
        key: key.as_ref(),
        tool,
    }
}

fn refused(error: &ToolError) -> Status {
    rpc::status(error)
}

fn execute_response(executed: Executed) -> pb::ExecuteResponse {
    let (result_json, error) = match executed.outcome {
        Ok(result) => (result, None),
        Err(report) => (String::new(), Some(report.into())),
    };
    pb::ExecuteResponse {
        result_json,
        replayed: executed.replayed,
        tool_us: executed.tool_us,
        error,
    }
}

#[tonic::async_trait]
impl<N: Namespace> Worker for WorkerService<N> {
    async fn prepare(
        &self,
        request: Request<pb::PrepareRequest>,
    ) -> std::result::Result<Response<pb::PrepareResponse>, Status> {
        let about = request.get_ref();
        let uid = self.only(
            &request,
            &[Role::Tools],
            refused_request("Prepare", None, &about.key, &about.tool),
        )?;
        let (inner, request) = (Arc::clone(&self.inner), request.into_inner());
        let work = move || {
            inner.prepare_request(&request).map_err(|error| {
                inner.note(
                    refused_request("Prepare", Some(uid), &request.key, &request.tool),
                    error,
                )
            })
        };
        self.inner
            .in_lane(work)
            .await
            .map(Response::new)
            .map_err(|error| refused(&error))
    }

    async fn execute(
        &self,
        request: Request<pb::ExecuteRequest>,
    ) -> std::result::Result<Response<pb::ExecuteResponse>, Status> {
        let about = request.get_ref();
        let uid = self.only(
            &request,
            &[Role::Tools],
            refused_request("Execute", None, &about.key, &about.tool),
        )?;
        let (inner, request) = (Arc::clone(&self.inner), request.into_inner());
        let asked = inner
            .understand(Raw {
                key: request.key.as_ref(),
                tool: &request.tool,
                args_json: &request.args_json,
                undo_of: request.undo_of.as_ref(),
                timeout_ms: request.timeout_ms,
            })
            .map_err(|error| {
                let about = refused_request("Execute", Some(uid), &request.key, &request.tool);
                refused(&inner.note(about, error))
            })?;
        let (key, mutating) = (asked.key, asked.mutating);
        let budget = Budget::of_ms(asked.timeout_ms);
        let running = self.inner.begin(key, &budget);
        let executed = if mutating {
            let job = move || {
                inner.job(&request, asked, budget).map_err(|error| {
                    let about = refused_request("Execute", Some(uid), &request.key, &request.tool);
                    inner.note(about, error)
                })
            };
            match self.inner.in_lane(job).await {
                Ok(job) => self.inner.executor.execute(job).await,
                Err(error) => Err(error),
            }
        } else {
            let read = move || {
                let about = refused_request("Execute", Some(uid), &request.key, &request.tool);
                inner
                    .read(&request, &asked, &budget, about)
                    .map_err(|error| inner.note(about, error))
            };
            self.inner.in_lane(read).await
        };
        drop(running);
        let response = executed.map(execute_response).map_err(|error| refused(&error))?;
        if mutating {
            failpoint::hit("worker.fs.before_answer");
        }
        Ok(Response::new(response))
    }

    async fn get_status(
        &self,
        request: Request<pb::GetStatusRequest>,
    ) -> std::result::Result<Response<pb::GetStatusResponse>, Status> {
        self.only(
            &request,
            &[Role::Tools],
            Refused {
                rpc: "GetStatus",
                key: request.get_ref().key.as_ref(),
                ..Refused::default()
            },
        )?;
        let key =
            ExecutionKey::try_from(request.into_inner().key.as_ref()).map_err(|error| rpc::status(&error))?;
        let inner = Arc::clone(&self.inner);
        let found = blocking(move || inner.with_reader(|journal| journal.find(key))).await;
        let found = found.map_err(|error| refused(&error))?;
        let Some(found) = found else {
            return Ok(Response::new(pb::GetStatusResponse::default()));
        };
        let state = match found.state {
            State::Received | State::Snapshotted => pb::ExecutionState::Running,
            State::Done => pb::ExecutionState::Done,
            State::RolledBack => pb::ExecutionState::RolledBack,
            State::Undone => pb::ExecutionState::Undone,
        };
        Ok(Response::new(pb::GetStatusResponse {
            state: state.into(),
            result_json: found.result.unwrap_or_default(),
            tool: found.tool,
            call_digest: found.digest,
            error: found.error.map(Into::into),
        }))
    }

    async fn cancel(
        &self,
        request: Request<pb::CancelRequest>,
    ) -> std::result::Result<Response<pb::CancelResponse>, Status> {
        self.only(
            &request,
            &[Role::Tools],
            Refused {
                rpc: "Cancel",
                key: request.get_ref().key.as_ref(),
                ..Refused::default()
            },
        )?;
        let key =
            ExecutionKey::try_from(request.into_inner().key.as_ref()).map_err(|error| rpc::status(&error))?;
        let running = self
            .inner
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        if let Some(budget) = &running {
            budget.cancel();
        }
        Ok(Response::new(pb::CancelResponse {
            was_running: running.is_some(),
        }))
    }

    async fn push_trust(
        &self,
        request: Request<pb::PushTrustRequest>,
    ) -> std::result::Result<Response<pb::PushTrustResponse>, Status> {
        self.only(
            &request,
            &[Role::Guard],
            Refused {
                rpc: "PushTrust",
                ..Refused::default()
            },
        )?;
        let request = request.into_inner();
        let counter = self.inner.gate.push(&request).map_err(|error| refused(&error))?;
        let refusals = &self.inner.refusals;
        refusals.recorded(request.refusals_run, request.refusals_recorded);
        let told = refusals.tell();
        Ok(Response::new(pb::PushTrustResponse {
            counter,
            run: told.run,
            refusals: told.refusals,
            refusals_dropped: told.dropped,
        }))
    }

    async fn describe(
        &self,
        request: Request<pb::DescribeRequest>,
    ) -> std::result::Result<Response<pb::DescribeResponse>, Status> {
        self.only(
            &request,
            &[Role::Tools, Role::Guard, Role::Root],
            Refused {
                rpc: "Describe",
                ..Refused::default()
            },
        )?;
        let specs = self.inner.specs.iter().map(serde_json::to_string);
        let specs = specs
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(|error| refused(&ToolError::Defect(error.to_string())))?;
        let namespace = self.inner.namespace.name().to_owned();
        Ok(Response::new(pb::DescribeResponse {
            namespace,
            tool_spec_json: specs,
        }))
    }
}
