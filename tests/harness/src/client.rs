//! The calls that most tests make, each as the user who makes it in real life.

use aios_auth::person::PersonRequest;
use aios_core::clock::{Clock, SystemClock};
use aios_core::id::{AgentId, GoalId, TaskId};
use aios_core::rpc::report_of;
use aios_proto::common::v1::{Autonomy, PersonProof};
use aios_proto::guard::v1::guard_client::GuardClient;
use aios_proto::guard::v1::{self as guard, ExecutionKey};
use aios_proto::tools::v1::call_response::Result as Answer;
use aios_proto::tools::v1::tool_registry_client::ToolRegistryClient;
use aios_proto::tools::v1::{self as tools};
use aios_proto::worker::v1::worker_client::WorkerClient;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio_stream::StreamExt;
use tonic::Status;
use tonic::transport::Channel;

use crate::{Instance, PERSON_UID, Service, Who};

/// Kind of the built-in executor, for which no container is needed.
pub const EXECUTOR: &str = "executor";

/// A task with its token.
#[derive(Debug, Clone)]
pub struct Task {
    /// The token.
    pub token: Vec<u8>,
    /// Its id, hex.
    pub token_id: String,
    /// Goal.
    pub goal: GoalId,
    /// Task.
    pub task: TaskId,
    /// Agent.
    pub agent: AgentId,
}

impl Task {
    /// The key of one of its steps.
    #[must_use]
    pub fn key(&self, step: u64) -> ExecutionKey {
        ExecutionKey {
            task_id: self.task.to_string(),
            step,
        }
    }
}

/// The guard, called as `who`.
///
/// # Errors
/// The user does not exist.
pub fn guard(aios: &Instance, who: Who) -> Result<GuardClient<Channel>> {
    Ok(GuardClient::new(aios.channel(who, Service::Guard)?))
}

/// The tool service, called as `who`.
///
/// # Errors
/// The user does not exist.
pub fn tools(aios: &Instance, who: Who) -> Result<ToolRegistryClient<Channel>> {
    Ok(ToolRegistryClient::new(aios.channel(who, Service::Tools)?))
}

/// The fs worker, called as `who`.
///
/// # Errors
/// The user does not exist.
pub fn worker(aios: &Instance, who: Who) -> Result<WorkerClient<Channel>> {
    Ok(WorkerClient::new(aios.channel(who, Service::WorkerFs)?))
}

/// The code of a refused rpc, `AIOS-AUTH-0205`.
#[must_use]
pub fn code(status: &Status) -> String {
    report_of(status).code
}

/// Now, UTC milliseconds.
#[must_use]
pub fn now_ms() -> i64 {
    SystemClock.now_ms()
}

/// A request for a token of a new task of the executor: supervised, untainted, one minute.
#[must_use]
pub fn mint_request(capabilities: &[&str]) -> guard::MintRequest {
    guard::MintRequest {
        agent_id: AgentId::new().to_string(),
        agent_kind: EXECUTOR.to_owned(),
        goal_id: GoalId::new().to_string(),
        task_id: TaskId::new().to_string(),
        capabilities: capabilities.iter().map(|cap| (*cap).to_owned()).collect(),
        ttl_ms: 60_000,
        tainted: false,
        autonomy: Autonomy::Supervised.into(),
    }
}

/// Mints a token as the orchestrator.
///
/// # Errors
/// Refused.
pub async fn mint_with(aios: &Instance, request: guard::MintRequest) -> Result<Task> {
    let mut client = guard(aios, Who::Of(Service::Orchestrator))?;
    let minted = client.mint(request.clone()).await.map_err(plain)?.into_inner();
    Ok(Task {
        token: minted.token,
        token_id: minted.token_id,
        goal: GoalId::parse(&request.goal_id)?,
        task: TaskId::parse(&request.task_id)?,
        agent: AgentId::parse(&request.agent_id)?,
    })
}

/// Mints a token for a new task, as [`mint_request`] says.
///
/// # Errors
/// Refused.
pub async fn mint(aios: &Instance, capabilities: &[&str]) -> Result<Task> {
    mint_with(aios, mint_request(capabilities)).await
}

/// The same with full autonomy: what is reversible runs without a person. The instance must have been
/// started with [`Options::with_full_autonomy`](crate::Options::with_full_autonomy).
///
/// # Errors
/// Refused.
pub async fn mint_full(aios: &Instance, capabilities: &[&str]) -> Result<Task> {
    mint_with(
        aios,
        guard::MintRequest {
            autonomy: Autonomy::Full.into(),
            ..mint_request(capabilities)
        },
    )
    .await
}

/// A call's request.
#[must_use]
pub fn call_request(task: &Task, step: u64, tool: &str, args_json: &str) -> tools::CallRequest {
    tools::CallRequest {
        token: task.token.clone(),
        key: Some(task.key(step)),
        tool: tool.to_owned(),
        args_json: args_json.to_owned(),
        timeout_ms: 0,
        dry_run: false,
    }
}

/// Makes one call as the orchestrator.
///
/// # Errors
/// The rpc itself was refused; a denial by capability or policy is an answer.
pub async fn call(
    aios: &Instance,
    task: &Task,
    step: u64,
    tool: &str,
    args_json: &str,
) -> Result<Answer, Status> {
    let mut client =
        tools(aios, Who::Of(Service::Orchestrator)).map_err(|error| Status::internal(error.to_string()))?;
    let answer = client
        .call(call_request(task, step, tool, args_json))
        .await?
        .into_inner();
    answer
        .result
        .ok_or_else(|| Status::internal("an answer without a result"))
}

/// The code with which a call was refused or failed, however it was said; `None` when it was not.
#[must_use]
pub fn refusal(answer: &Result<Answer, Status>) -> Option<String> {
    let error = match answer {
        Err(status) => return Some(code(status)),
        Ok(Answer::Denied(denied)) => denied.error.as_ref(),
        Ok(Answer::Failed(failed)) => failed.error.as_ref(),
        Ok(_) => return None,
    };
    Some(error.map_or_else(String::new, |error| error.code.clone()))
}

/// Makes a call that a person must approve; answers the approval's id.
///
/// # Errors
/// Anything else was answered.
pub async fn ask(aios: &Instance, task: &Task, step: u64, tool: &str, args_json: &str) -> Result<String> {
    match call(aios, task, step, tool, args_json).await.map_err(plain)? {
        Answer::ApprovalRequired(required) => Ok(required.approval_id),
        other => bail!("an approval should have been asked for: {other:?}"),
    }
}

/// The decision that the person would send about an approval, signed.
///
/// # Errors
/// There is no such approval.
pub async fn decision(
    aios: &Instance,
    approval_id: &str,
    approve: bool,
) -> Result<guard::DecideApprovalRequest> {
    let request = guard::GetApprovalRequest {
        approval_id: approval_id.to_owned(),
    };
    let approval = guard(aios, Who::Person)?
        .get_approval(request)
        .await
        .map_err(plain)?
        .into_inner();
    let mut decision = guard::DecideApprovalRequest {
        approval_id: approval_id.to_owned(),
        approve,
        call_digest: approval.call_digest,
        remember_scope: String::new(),
        proof: None,
    };
    aios.person().prove(&mut decision, now_ms())?;
    Ok(decision)
}

/// Approves as the person.
///
/// # Errors
/// Refused.
pub async fn approve(aios: &Instance, approval_id: &str) -> Result<guard::Approval> {
    let decision = decision(aios, approval_id, true).await?;
    Ok(guard(aios, Who::Person)?
        .decide_approval(decision)
        .await
        .map_err(plain)?
        .into_inner())
}

/// Makes a call, has the person approve it, and makes it again.
///
/// # Errors
/// Refused anywhere on the way.
pub async fn call_approved(
    aios: &Instance,
    task: &Task,
    step: u64,
    tool: &str,
    args_json: &str,
) -> Result<Answer> {
    let approval = ask(aios, task, step, tool, args_json).await?;
    approve(aios, &approval).await?;
    call(aios, task, step, tool, args_json).await.map_err(plain)
}

/// Puts the person's proof into a request.
///
/// # Errors
/// No randomness.
pub fn prove<R: PersonRequest>(aios: &Instance, mut request: R) -> Result<R> {
    aios.person().prove(&mut request, now_ms())?;
    Ok(request)
}

/// The whole audit log, oldest first: each record's canonical JSON with `seq` and `kind` beside it.
/// Payloads are not in it; see [`audit_with_payloads`].
///
/// # Errors
/// The guard does not answer.
pub async fn audit(aios: &Instance) -> Result<Vec<Value>> {
    audit_from(aios, 0).await
}

/// [`audit`], only records with at least this number.
///
/// # Errors
/// As [`audit`].
pub async fn audit_from(aios: &Instance, from_seq: u64) -> Result<Vec<Value>> {
    audit_of(
        aios,
        guard::AuditTailRequest {
            from_seq,
            ..Default::default()
        },
    )
    .await
}

/// How many records the audit log holds: the number that the next one will have.
///
/// # Errors
/// As [`audit`].
pub async fn audit_size(aios: &Instance) -> Result<u64> {
    let request = guard::AuditTailRequest {
        last: 1,
        ..Default::default()
    };
    let records = audit_of(aios, request).await?;
    let last = records.last().and_then(|record| record.get("seq")?.as_u64());
    Ok(last.map_or(0, |seq| seq + 1))
}

async fn audit_of(aios: &Instance, request: guard::AuditTailRequest) -> Result<Vec<Value>> {
    let mut stream = guard(aios, Who::Person)?
        .audit_tail(request)
        .await
        .map_err(plain)?
        .into_inner();
    let mut records = Vec::new();
    while let Some(record) = stream.next().await {
        let record = record.map_err(plain)?;
        let canonical: Value = serde_json::from_slice(&record.canonical)?;
        records.push(serde_json::json!({
            "seq": record.seq,
            "kind": record.kind,
            "record": canonical,
        }));
    }
    Ok(records)
}

/// [`audit_from`] with the payloads, `input` and `output`, which cost one more rpc a record.
///
/// # Errors
/// As [`audit`].
pub async fn audit_with_payloads(aios: &Instance, from_seq: u64) -> Result<Vec<Value>> {
    let mut records = audit_from(aios, from_seq).await?;
    let mut client = guard(aios, Who::Person)?;
    for record in &mut records {
        let seq = record
            .get("seq")
            .and_then(Value::as_u64)
            .context("a record has a number")?;
        let whole = client
            .audit_get(guard::AuditGetRequest { seq })
            .await
            .map_err(plain)?
            .into_inner();
        if let Some(fields) = record.as_object_mut() {
            fields.insert("input".into(), whole.input_json.into());
            fields.insert("output".into(), whole.output_json.into());
        }
    }
    Ok(records)
}

/// Whether any audit record of `kind` mentions `text` anywhere.
///
/// # Errors
/// As [`audit`].
pub async fn audited(aios: &Instance, kind: &str, text: &str) -> Result<bool> {
    let records = audit_with_payloads(aios, 0).await?;
    Ok(records
        .iter()
        .any(|record| record.get("kind").is_some_and(|it| it == kind) && record.to_string().contains(text)))
}

/// Enrols the person, as root does on first start.
///
/// # Errors
/// Refused.
pub fn enrol(aios: &Instance) -> Result<()> {
    let request = guard::EnrolPersonRequest {
        uid: PERSON_UID,
        name: "tester".to_owned(),
        public_key: aios.person().public().to_bytes().to_vec(),
        proof: None::<PersonProof>,
    };
    // The caller may be inside a runtime of its own, which cannot wait for another.
    std::thread::scope(|scope| {
        let enrol = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let mut client = guard(aios, Who::Root)?;
                client.enrol_person(request).await.map_err(plain)
            })?;
            anyhow::Ok(())
        });
        enrol.join().ok().context("enrolling panicked")?
    })
}

/// A status as an error that shows its code.
pub fn plain(status: Status) -> anyhow::Error {
    anyhow::anyhow!("{}", report_of(&status))
}
