//! The way of one call: check the input, verify the token, let the worker resolve it, let the guard
//! decide and record, let the worker execute, check the output, record the outcome, answer.
//!
//! It decides nothing and holds no secret: a forged answer of this process is refused by guard or
//! worker. It never waits for a person; `APPROVAL_REQUIRED` is an answer like any other.

mod audit;
mod peers;
mod service;

pub use peers::{GrpcGuard, GrpcWorkers, Guard, IMAGE_PACKAGES, Workers};
pub use service::ToolsService;

use crate::error::{Result, ToolError};
use crate::registry::{Registry, ToolSpec, namespace_of};
use aios_auth::key::PublicKey;
use aios_auth::token::{NoRevocations, VerifiedToken, Verifier};
use aios_core::clock::Clock;
use aios_core::error::Report;
use aios_core::failpoint;
use aios_core::id::ExecutionKey;
use aios_core::rpc::{self, report_of};
use aios_proto::guard::v1 as guard;
use aios_proto::guard::v1::authorize_response::Decision;
use aios_proto::tools::v1 as pb;
use aios_proto::tools::v1::call_response::Result as Answer;
use aios_proto::worker::v1 as worker;
use serde_json::json;
use std::sync::Arc;
use tonic::{Code, Status};

/// Everything that a call passes through.
pub struct Pipeline<G, W> {
    registry: Arc<Registry>,
    verifier: Verifier,
    clock: Arc<dyn Clock>,
    guard: G,
    workers: W,
}

/// A call as it came in, its key and tool understood.
struct Incoming<'a> {
    token: Vec<u8>,
    key: ExecutionKey,
    spec: &'a ToolSpec,
    args_json: String,
    timeout_ms: u64,
    dry_run: bool,
    undo_of: Option<ExecutionKey>,
    /// The token, once verified.
    verified: Option<Arc<VerifiedToken>>,
}

/// Why a call has no answer: refused with a record of it, or nobody knows how it went.
enum Stop {
    /// An answer, after all.
    Answer(Answer),
    /// The request itself is wrong, or a service does not answer.
    Status(Status),
}

impl From<ToolError> for Stop {
    fn from(error: ToolError) -> Self {
        Self::Status(aios_core::rpc::status(&error))
    }
}

impl<G: Guard, W: Workers> Pipeline<G, W> {
    /// A pipeline of these parts.
    ///
    /// # Errors
    /// A key cannot be used.
    pub fn new(
        registry: Arc<Registry>,
        mint: &PublicKey,
        clock: Arc<dyn Clock>,
        guard: G,
        workers: W,
    ) -> Result<Self> {
        let verifier = Verifier::new(mint).map_err(ToolError::auth)?;
        Ok(Self {
            registry,
            verifier,
            clock,
            guard,
            workers,
        })
    }

    /// Writes a refused caller to the log.
    ///
    /// # Errors
    /// The guard does not answer.
    pub(super) async fn record_refusal(
        &self,
        request: guard::RecordRequest,
    ) -> std::result::Result<(), Status> {
        self.guard.record(request).await.map(drop)
    }

    /// Runs one call.
    ///
    /// # Errors
    /// The request is wrong, or a service does not answer; the caller may send the same key again.
    pub async fn call(&self, request: pb::CallRequest) -> std::result::Result<Answer, Status> {
        let incoming = self
            .understand_call(request)
            .map_err(|error| aios_core::rpc::status(&error))?;
        self.run(incoming).await
    }

    /// Undoes a finished call.
    ///
    /// # Errors
    /// As [`Pipeline::call`].
    pub async fn undo(&self, request: pb::UndoRequest) -> std::result::Result<Answer, Status> {
        let incoming = self
            .understand_undo(request)
            .map_err(|error| aios_core::rpc::status(&error))?;
        self.run(incoming).await
    }

    fn understand_call(&self, request: pb::CallRequest) -> Result<Incoming<'_>> {
        let key = ExecutionKey::try_from(request.key.as_ref()).map_err(ToolError::auth)?;
        let spec = self.registry.get(&request.tool)?;
        let args = spec.check_input(&request.args_json)?;
        let undo_of = if spec.name.ends_with(".undo") {
            Some(undo_target(&args)?)
        } else {
            None
        };
        Ok(Incoming {
            token: request.token,
            key,
            spec,
            args_json: request.args_json,
            timeout_ms: if request.timeout_ms == 0 {
                spec.timeout_ms
            } else {
                request.timeout_ms
            },
            dry_run: request.dry_run,
            undo_of,
            verified: None,
        })
    }

    fn understand_undo(&self, request: pb::UndoRequest) -> Result<Incoming<'_>> {
        let key = ExecutionKey::try_from(request.key.as_ref()).map_err(ToolError::auth)?;
        let target = ExecutionKey::try_from(request.target.as_ref()).map_err(ToolError::auth)?;
        let spec = self.registry.get(&format!("{}.undo", request.namespace))?;
        Ok(Incoming {
            token: request.token,
            key,
            spec,
            args_json: json!({"task_id": target.task.to_string(), "step": target.step}).to_string(),
            timeout_ms: spec.timeout_ms,
            dry_run: false,
            undo_of: Some(target),
            verified: None,
        })
    }

    async fn run(&self, mut call: Incoming<'_>) -> std::result::Result<Answer, Status> {
        let answer = match self.pass(&mut call).await {
            Ok(answer) | Err(Stop::Answer(answer)) => Ok(answer),
            Err(Stop::Status(status)) => Err(status),
        };
        if call.spec.mutating {
            failpoint::hit("tools.before_answer");
        }
        answer
    }

    async fn pass(&self, call: &mut Incoming<'_>) -> std::result::Result<Answer, Stop> {
        call.verified = Some(self.check_token(call).await?);
        let prepared = self.prepare(call).await?;
        let receipt = self.authorize(call, &prepared).await?;
        // The worker verifies the receipt. Here only the guard's own note on it is passed on to the caller.
        let note = receipt.note.clone().unwrap_or_default();
        let executed = self.execute(call, &prepared, receipt).await;
        if call.spec.mutating {
            failpoint::hit("tools.after_execute");
        }
        match executed {
            Ok(executed) => self.conclude(call, &prepared, &note, executed).await,
            // Nobody knows how far it came; the worker's journal does, and the same key asks it.
            Err(status) if is_silence(&status) => Err(Stop::Status(status)),
            Err(status) => {
                let report = report_of(&status);
                let seq = self
                    .outcome(call, &prepared, &note, "failed", "", Some(&report))
                    .await?;
                Ok(failed(report, seq))
            }
        }
    }

    /// A token that is plainly wrong is refused here already; guard and worker check it for themselves.
    async fn check_token(&self, call: &Incoming<'_>) -> std::result::Result<Arc<VerifiedToken>, Stop> {
        let refusal = match self
            .verifier
            .verify(&call.token, self.clock.now_ms(), &NoRevocations)
        {
            Ok(token) if token.task == call.key.task => return Ok(token),
            Ok(token) => ToolError::OtherTask {
                token: token.task.to_string(),
                key: call.key.task.to_string(),
            }
            .report(),
            Err(error) => Report::of(&error),
        };
        self.deny(call, refusal, "token").await
    }

    async fn prepare(&self, call: &Incoming<'_>) -> std::result::Result<worker::PrepareResponse, Stop> {
        let request = worker::PrepareRequest {
            token: call.token.clone(),
            key: Some(call.key.into()),
            tool: call.spec.name.to_owned(),
            args_json: call.args_json.clone(),
            timeout_ms: call.timeout_ms,
            undo_of: call.undo_of.map(Into::into),
        };
        let status = match rpc::eagerly(self.workers.prepare(namespace_of(call.spec.name), request)).await {
            Ok(prepared) => return Ok(prepared),
            Err(status) => status,
        };
        match status.code() {
            Code::PermissionDenied | Code::Unauthenticated => {
                self.deny(call, report_of(&status), "capability").await
            }
            Code::Unavailable | Code::ResourceExhausted | Code::Unknown | Code::Cancelled => {
                Err(Stop::Status(status))
            }
            _ => {
                let report = report_of(&status);
                let seq = self.note("tool.failed", call, &report, "prepare").await?;
                Err(Stop::Answer(failed(report, seq)))
            }
        }
    }

    async fn authorize(
        &self,
        call: &Incoming<'_>,
        prepared: &worker::PrepareResponse,
    ) -> std::result::Result<guard::Receipt, Stop> {
        if call.spec.mutating {
            failpoint::hit("tools.before_authorize");
        }
        let request = guard::AuthorizeRequest {
            token: call.token.clone(),
            key: Some(call.key.into()),
            tool: call.spec.name.to_owned(),
            args_json: prepared.canonical_args_json.clone(),
            identities: prepared.identities.clone(),
            required: prepared.required.clone(),
            risk: prepared.risk,
            mutating: prepared.mutating,
            reversible: prepared.reversible,
            files: prepared.files,
            bytes: prepared.bytes,
            dry_run: call.dry_run,
            call_digest: prepared.call_digest.clone(),
            summary: prepared.summary.clone(),
        };
        let decision = rpc::eagerly(self.guard.authorize(request))
            .await
            .map_err(Stop::Status)?
            .decision;
        if call.spec.mutating {
            failpoint::hit("tools.after_authorize");
        }
        match decision {
            Some(Decision::Receipt(receipt)) => Ok(receipt),
            Some(Decision::ApprovalRequired(it)) => Err(Stop::Answer(Answer::ApprovalRequired(it))),
            Some(Decision::Denied(it)) => Err(Stop::Answer(Answer::Denied(it))),
            Some(Decision::Would(would)) => Err(Stop::Answer(Answer::DryRun(pb::DryRun {
                identities: prepared.identities.clone(),
                summary: prepared.summary.clone(),
                files: prepared.files,
                bytes: prepared.bytes,
                risk: prepared.risk,
                would: Some(would),
            }))),
            None => Err(ToolError::Defect("the guard answered without a decision".to_owned()).into()),
        }
    }

    async fn execute(
        &self,
        call: &Incoming<'_>,
        prepared: &worker::PrepareResponse,
        receipt: guard::Receipt,
    ) -> std::result::Result<worker::ExecuteResponse, Status> {
        if call.spec.name == audit::AUDIT_QUERY {
            return audit::query(&self.guard, &prepared.canonical_args_json, call.timeout_ms).await;
        }
        let request = worker::ExecuteRequest {
            token: call.token.clone(),
            key: Some(call.key.into()),
            tool: call.spec.name.to_owned(),
            args_json: prepared.canonical_args_json.clone(),
            identities: prepared.identities.clone(),
            receipt: Some(receipt),
            timeout_ms: call.timeout_ms,
            undo_of: call.undo_of.map(Into::into),
        };
        rpc::eagerly(self.workers.execute(namespace_of(call.spec.name), request)).await
    }

    async fn conclude(
        &self,
        call: &Incoming<'_>,
        prepared: &worker::PrepareResponse,
        note: &guard::ReceiptNote,
        executed: worker::ExecuteResponse,
    ) -> std::result::Result<Answer, Stop> {
        if let Some(error) = executed.error {
            let report = Report::from(error);
            let seq = self
                .outcome(call, prepared, note, "failed", "", Some(&report))
                .await?;
            return Ok(failed(report, seq));
        }
        if let Err(error) = call.spec.check_output(&executed.result_json) {
            let report = error.report();
            let seq = self
                .outcome(call, prepared, note, "failed", "", Some(&report))
                .await?;
            return Ok(failed(report, seq));
        }
        let audit_seq = self
            .outcome(call, prepared, note, "done", &executed.result_json, None)
            .await?;
        Ok(Answer::Done(pb::Done {
            result_json: executed.result_json,
            audit_seq,
            replayed: executed.replayed,
            tool_us: executed.tool_us,
            undoable: call.spec.mutating && prepared.reversible,
            rule_id: note.rule_id.clone(),
            approval_id: note.approval_id.clone(),
        }))
    }

    /// Records how a mutating call ended. A read was recorded once, when it was authorized; only its
    /// failure is worth another record.
    async fn outcome(
        &self,
        call: &Incoming<'_>,
        prepared: &worker::PrepareResponse,
        note: &guard::ReceiptNote,
        status: &str,
        result_json: &str,
        error: Option<&Report>,
    ) -> std::result::Result<u64, Stop> {
        if !call.spec.mutating {
            return match error {
                None => Ok(note.audit_seq),
                Some(report) => self.note("tool.failed", call, report, "execute").await,
            };
        }
        failpoint::hit("tools.before_outcome");
        let request = guard::RecordOutcomeRequest {
            key: Some(call.key.into()),
            call_digest: prepared.call_digest.clone(),
            status: status.to_owned(),
            result_json: result_json.to_owned(),
            error: error.cloned().map(Into::into),
            intent_seq: note.audit_seq,
        };
        let recorded = self.guard.record_outcome(request).await.map_err(Stop::Status)?;
        failpoint::hit("tools.after_outcome");
        Ok(recorded.audit_seq)
    }

    async fn deny<T>(
        &self,
        call: &Incoming<'_>,
        report: Report,
        check: &str,
    ) -> std::result::Result<T, Stop> {
        let audit_seq = self.note("tool.denied", call, &report, check).await?;
        Err(Stop::Answer(Answer::Denied(guard::Denied {
            error: Some(report.into()),
            rule_id: check.to_owned(),
            audit_seq,
        })))
    }

    /// Records what never came as far as the guard's own decision.
    async fn note(
        &self,
        kind: &str,
        call: &Incoming<'_>,
        report: &Report,
        check: &str,
    ) -> std::result::Result<u64, Stop> {
        let token = call.verified.as_ref();
        let details = json!({
            "tool": call.spec.name,
            "step": call.key.step,
            "check": check,
            "code": report.code,
            "message": report.message,
            "dry_run": call.dry_run,
            "agent_kind": token.map(|token| token.agent_kind.clone()),
            "token_id": token.map(|token| token.token_id.clone()),
        });
        let request = guard::RecordRequest {
            kind: kind.to_owned(),
            goal_id: token.map(|token| token.goal.to_string()).unwrap_or_default(),
            task_id: call.key.task.to_string(),
            agent_id: token.map(|token| token.agent.to_string()).unwrap_or_default(),
            details_json: details.to_string(),
        };
        Ok(self.guard.record(request).await.map_err(Stop::Status)?.audit_seq)
    }

    /// What is known of a key.
    ///
    /// # Errors
    /// The worker does not answer.
    pub async fn execution(
        &self,
        request: pb::GetExecutionRequest,
    ) -> std::result::Result<pb::Execution, Status> {
        let key =
            ExecutionKey::try_from(request.key.as_ref()).map_err(|error| aios_core::rpc::status(&error))?;
        let asked = worker::GetStatusRequest {
            key: Some(key.into()),
        };
        let known = self.workers.status(&request.namespace, asked).await?;
        let state = match known.state() {
            worker::ExecutionState::Unspecified => "unknown",
            worker::ExecutionState::Running => "running",
            worker::ExecutionState::Done => "done",
            worker::ExecutionState::RolledBack => "rolled_back",
            worker::ExecutionState::Undone => "undone",
        };
        Ok(pb::Execution {
            state: state.to_owned(),
            result_json: known.result_json,
            tool: known.tool,
        })
    }

    /// Cancels a running call.
    ///
    /// # Errors
    /// The worker does not answer.
    pub async fn cancel(
        &self,
        request: pb::CancelRequest,
    ) -> std::result::Result<pb::CancelResponse, Status> {
        let key =
            ExecutionKey::try_from(request.key.as_ref()).map_err(|error| aios_core::rpc::status(&error))?;
        let asked = worker::CancelRequest {
            key: Some(key.into()),
        };
        let answer = self.workers.cancel(&request.namespace, asked).await?;
        Ok(pb::CancelResponse {
            was_running: answer.was_running,
        })
    }
}

fn undo_target(args: &serde_json::Value) -> Result<ExecutionKey> {
    let key = guard::ExecutionKey {
        task_id: args
            .get("task_id")
            .and_then(|it| it.as_str())
            .unwrap_or_default()
            .to_owned(),
        step: args
            .get("step")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or_default(),
    };
    ExecutionKey::try_from(Some(&key)).map_err(ToolError::auth)
}

fn failed(report: Report, audit_seq: u64) -> Answer {
    Answer::Failed(pb::Failed {
        error: Some(report.into()),
        audit_seq,
    })
}

/// Whether a status means that the worker was not heard, or cannot act yet, rather than that it
/// refused: right after its start it has not heard of the guard.
fn is_silence(status: &Status) -> bool {
    let foreign = report_of(status).code.starts_with("AIOS-RPC-");
    foreign || matches!(status.code(), Code::Unavailable | Code::ResourceExhausted)
}
