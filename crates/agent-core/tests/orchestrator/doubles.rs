//! Doubles of the guard, the tool service and the sandbox, on real sockets. The tool service's double
//! keeps a small tree of files in memory and does each key once, as a worker does.

use aios_core::error::Class;
use aios_core::id::ExecutionKey;
use aios_core::paths::Paths;
use aios_core::{error::Report, rpc};
use aios_proto::guard::v1 as guard;
use aios_proto::guard::v1::guard_server::{Guard, GuardServer};
use aios_proto::sandbox::v1 as sandbox;
use aios_proto::sandbox::v1::sandbox_server::{Sandbox, SandboxServer};
use aios_proto::tools::v1 as tools;
use aios_proto::tools::v1::call_response::Result as Answer;
use aios_proto::tools::v1::tool_registry_server::{ToolRegistry, ToolRegistryServer};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// A mutating call that was made: its result, what it deleted (as in [`World::files`]), and whether it
/// was undone.
pub(crate) type Execution = (Value, Files, bool);
/// Files by path, with their age in milliseconds and their size.
pub(crate) type Files = BTreeMap<String, (u64, u64)>;

/// What the doubles know and were asked.
#[derive(Default)]
pub(crate) struct World {
    /// Files by path, with their age in milliseconds and their size.
    pub(crate) files: Files,
    /// Executions of mutating calls: result, and what was deleted.
    pub(crate) executions: BTreeMap<ExecutionKey, Execution>,
    /// Effects, counted from outside: how often each path was deleted.
    pub(crate) deletions: BTreeMap<String, u32>,
    /// Executions whose outcome the tool service had recorded at the guard.
    pub(crate) outcomes: BTreeSet<ExecutionKey>,
    /// Whether the tool service dies between the next deletion and the record of it.
    pub(crate) die_before_outcome: bool,
    /// Whether the guard knows of no running agent.
    pub(crate) no_agents: bool,
    /// Effects of undo.
    pub(crate) restorations: BTreeMap<String, u32>,
    /// Whether fs.delete must be approved.
    pub(crate) ask: bool,
    /// Whether fs.delete runs on and on, whoever cancels it.
    pub(crate) hangs: bool,
    /// Whether fs.delete says done and does nothing.
    pub(crate) lie: bool,
    /// Whether policy denies fs.delete.
    pub(crate) deny: bool,
    /// Enrolled persons: name by uid.
    pub(crate) persons: BTreeMap<u32, String>,
    /// Approvals by id.
    pub(crate) approvals: BTreeMap<String, guard::Approval>,
    /// Tokens asked for.
    pub(crate) minted: Vec<guard::MintRequest>,
    /// Events recorded at the guard.
    pub(crate) recorded: Vec<guard::RecordRequest>,
    /// Goals whose powers were ended.
    pub(crate) withdrawn: Vec<String>,
    /// Agent kinds that the sandbox was asked for.
    pub(crate) run: Vec<String>,
    /// State of an agent that the sandbox has, when it has one that it was not asked for.
    pub(crate) held: Option<&'static str>,
    /// Calls that arrived, mutating or not.
    pub(crate) calls: Vec<String>,
}

/// The doubles. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Doubles {
    world: Arc<Mutex<World>>,
    events: broadcast::Sender<guard::GuardEvent>,
    emergency: Arc<watch::Sender<guard::EmergencyState>>,
}

impl Doubles {
    /// Serves the doubles on the sockets of `paths`.
    pub(crate) fn start(paths: &Paths) -> Self {
        let doubles = Self {
            world: Arc::default(),
            events: broadcast::channel(64).0,
            emergency: Arc::new(watch::channel(guard::EmergencyState::default()).0),
        };
        let routes = [
            ("guard", Routes::new(GuardServer::new(doubles.clone()))),
            ("tools", Routes::new(ToolRegistryServer::new(doubles.clone()))),
            ("sandbox", Routes::new(SandboxServer::new(doubles.clone()))),
        ];
        for (name, routes) in routes {
            let listener = rpc::listen(name, &paths.socket(name), 0o660).unwrap();
            let server = rpc::serve(listener, routes, &[], CancellationToken::new());
            #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
            tokio::spawn(async move { server.await.unwrap() });
        }
        doubles
    }

    /// What they know.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// A person decides every pending approval.
    pub(crate) fn decide(&self, approve: bool) -> usize {
        let mut decided = Vec::new();
        for approval in self.world().approvals.values_mut() {
            if approval.state() == guard::ApprovalState::Pending {
                approval.set_state(if approve {
                    guard::ApprovalState::Approved
                } else {
                    guard::ApprovalState::Declined
                });
                approval.approver = "anna".to_owned();
                decided.push(approval.clone());
            }
        }
        let count = decided.len();
        for approval in decided {
            drop(self.events.send(guard::GuardEvent {
                event: Some(guard::guard_event::Event::Approval(approval)),
            }));
        }
        count
    }

    /// The emergency stop is set or lifted.
    pub(crate) fn emergency(&self, stopped: bool) {
        let state = guard::EmergencyState {
            stopped,
            since_ms: 0,
            by: "anna".to_owned(),
            reason: "smoke".to_owned(),
        };
        self.emergency.send_replace(state.clone());
        drop(self.events.send(guard::GuardEvent {
            event: Some(guard::guard_event::Event::Emergency(state)),
        }));
    }
}

fn refused(code: &str, message: &str, class: Class) -> Status {
    let report = Report {
        code: code.to_owned(),
        message: message.to_owned(),
        next_step: "look again".to_owned(),
    };
    rpc::status_of_report(&report, class)
}

type GuardStream = Pin<Box<dyn Stream<Item = Result<guard::GuardEvent, Status>> + Send>>;
type AuditStream = Pin<Box<dyn Stream<Item = Result<guard::AuditRecord, Status>> + Send>>;

/// The rpcs that the orchestrator never uses.
macro_rules! unused {
    ($($method:ident($request:ty) -> $response:ty;)+) => {$(
        // As `async_trait` would write it; it does not look into macros.
        fn $method<'own, 'future>(
            &'own self,
            _: Request<$request>,
        ) -> Pin<Box<dyn Future<Output = Result<Response<$response>, Status>> + Send + 'future>>
        where
            'own: 'future,
            Self: 'future,
        {
            Box::pin(async { Err(Status::unimplemented("the orchestrator must not call this")) })
        }
    )+};
}

#[tonic::async_trait]
impl Guard for Doubles {
    type WatchStream = GuardStream;
    type AuditTailStream = AuditStream;

    async fn mint(
        &self,
        request: Request<guard::MintRequest>,
    ) -> Result<Response<guard::MintResponse>, Status> {
        let request = request.into_inner();
        if self.world().no_agents && request.agent_kind != "executor" {
            return Err(refused(
                "AIOS-GUARD-0022",
                "the agent is not running",
                Class::PermissionDenied,
            ));
        }
        let token = request.task_id.clone().into_bytes();
        self.world().minted.push(request);
        Ok(Response::new(guard::MintResponse {
            token,
            token_id: "t".to_owned(),
            expires_at_ms: i64::MAX,
        }))
    }

    async fn get_approval(
        &self,
        request: Request<guard::GetApprovalRequest>,
    ) -> Result<Response<guard::Approval>, Status> {
        let approval = self
            .world()
            .approvals
            .get(&request.get_ref().approval_id)
            .cloned();
        approval
            .map(Response::new)
            .ok_or_else(|| refused("AIOS-GUARD-0404", "no such approval", Class::NotFound))
    }

    async fn record(
        &self,
        request: Request<guard::RecordRequest>,
    ) -> Result<Response<guard::RecordResponse>, Status> {
        self.world().recorded.push(request.into_inner());
        Ok(Response::new(guard::RecordResponse { audit_seq: 1 }))
    }

    async fn withdraw_approvals(
        &self,
        request: Request<guard::WithdrawApprovalsRequest>,
    ) -> Result<Response<guard::WithdrawApprovalsResponse>, Status> {
        self.world().withdrawn.push(request.into_inner().goal_id);
        Ok(Response::new(guard::WithdrawApprovalsResponse { withdrawn: 0 }))
    }

    async fn revoke(
        &self,
        _: Request<guard::RevokeRequest>,
    ) -> Result<Response<guard::RevokeResponse>, Status> {
        Ok(Response::new(guard::RevokeResponse::default()))
    }

    async fn check_session(
        &self,
        request: Request<guard::CheckSessionRequest>,
    ) -> Result<Response<guard::CheckSessionResponse>, Status> {
        if request.get_ref().secret != [7; 32] {
            return Err(refused(
                "AIOS-GUARD-0403",
                "no such session",
                Class::PermissionDenied,
            ));
        }
        Ok(Response::new(guard::CheckSessionResponse {
            person: "anna".to_owned(),
            uid: 4711,
            expires_at_ms: i64::MAX,
        }))
    }

    async fn get_person(
        &self,
        request: Request<guard::GetPersonRequest>,
    ) -> Result<Response<guard::GetPersonResponse>, Status> {
        let name = self.world().persons.get(&request.get_ref().uid).cloned();
        Ok(Response::new(guard::GetPersonResponse {
            enrolled: name.is_some(),
            name: name.unwrap_or_default(),
        }))
    }

    async fn watch(&self, _: Request<guard::WatchRequest>) -> Result<Response<GuardStream>, Status> {
        let now = guard::guard_event::Event::Emergency(self.emergency.borrow().clone());
        let first = tokio_stream::once(Ok(guard::GuardEvent { event: Some(now) }));
        let later = BroadcastStream::new(self.events.subscribe()).filter_map(|event| event.ok().map(Ok));
        Ok(Response::new(Box::pin(first.chain(later))))
    }

    async fn audit_tail(&self, _: Request<guard::AuditTailRequest>) -> Result<Response<AuditStream>, Status> {
        Err(Status::unimplemented("the orchestrator must not call this"))
    }

    unused! {
        attenuate(guard::AttenuateRequest) -> guard::AttenuateResponse;
        authorize(guard::AuthorizeRequest) -> guard::AuthorizeResponse;
        record_outcome(guard::RecordOutcomeRequest) -> guard::RecordOutcomeResponse;
        explain(guard::ExplainRequest) -> guard::ExplainResponse;
        list_approvals(guard::ListApprovalsRequest) -> guard::ListApprovalsResponse;
        decide_approval(guard::DecideApprovalRequest) -> guard::Approval;
        emergency_stop(guard::EmergencyStopRequest) -> guard::EmergencyState;
        resume(guard::ResumeRequest) -> guard::EmergencyState;
        status(guard::StatusRequest) -> guard::StatusResponse;
        enrol_person(guard::EnrolPersonRequest) -> guard::EnrolPersonResponse;
        create_sign_in(guard::CreateSignInRequest) -> guard::CreateSignInResponse;
        redeem_sign_in(guard::RedeemSignInRequest) -> guard::RedeemSignInResponse;
        end_session(guard::EndSessionRequest) -> guard::EndSessionResponse;
        audit_get(guard::AuditGetRequest) -> guard::AuditRecord;
        audit_prove(guard::AuditProveRequest) -> guard::AuditProof;
        audit_head(guard::AuditHeadRequest) -> guard::AuditCheckpoint;
        audit_forget(guard::AuditForgetRequest) -> guard::AuditForgetResponse;
    }
}

fn done(result: &Value, replayed: bool, undoable: bool, approval_id: String) -> Answer {
    Answer::Done(tools::Done {
        result_json: result.to_string(),
        audit_seq: 7,
        replayed,
        tool_us: 1,
        undoable,
        rule_id: "test.rule".to_owned(),
        approval_id,
    })
}

impl World {
    fn search(&self, args: &Value) -> Value {
        let mut matching: Vec<(&String, &(u64, u64))> = self
            .files
            .iter()
            .filter(|(path, _)| path.ends_with(".log"))
            .collect();
        matching.sort_by_key(|(path, (age, _))| (std::cmp::Reverse(*age), (*path).clone()));
        let matched = matching.len();
        let keep = usize::try_from(args["keep_newest"].as_u64().unwrap_or(0))
            .unwrap()
            .min(matched);
        matching.truncate(matched - keep);
        let old = args["older_than_ms"].as_u64().unwrap_or(0);
        let files: Vec<Value> = matching
            .into_iter()
            .filter(|(_, (age, _))| *age > old)
            .map(|(path, (_, size))| json!({"path": path, "kind": "file", "size": size, "mtime_ms": 0}))
            .collect();
        json!({"root": args["root"], "files": files, "matched": matched, "kept": keep})
    }

    fn delete(&mut self, key: ExecutionKey, args: &Value) -> Value {
        let mut gone = BTreeMap::new();
        for path in args["paths"]
            .as_array()
            .unwrap()
            .iter()
            .map(|path| path.as_str().unwrap())
        {
            if self.lie {
                continue;
            }
            if let Some(file) = self.files.remove(path) {
                gone.insert(path.to_owned(), file);
                *self.deletions.entry(path.to_owned()).or_default() += 1;
            }
        }
        let bytes: u64 = gone.values().map(|(_, size)| size).sum();
        let result =
            json!({"deleted": gone.keys().collect::<Vec<_>>(), "files": gone.len(), "bytes_freed": bytes});
        self.executions.insert(key, (result.clone(), gone, false));
        result
    }

    fn approval_for(
        &mut self,
        key: ExecutionKey,
        request: &tools::CallRequest,
    ) -> Result<String, guard::ApprovalRequired> {
        let id = format!("approval-{key}");
        let approval = self
            .approvals
            .entry(id.clone())
            .or_insert_with(|| guard::Approval {
                approval_id: id.clone(),
                state: guard::ApprovalState::Pending.into(),
                task_id: key.task.to_string(),
                step: key.step,
                tool: request.tool.clone(),
                ..guard::Approval::default()
            });
        if approval.state() == guard::ApprovalState::Approved {
            return Ok(id);
        }
        Err(guard::ApprovalRequired {
            approval_id: id,
            rule_id: "test.confirm".to_owned(),
            expires_at_ms: i64::MAX,
        })
    }
}

impl Doubles {
    /// Makes a call. Says too whether the tool service dies before it records the outcome.
    fn make(&self, request: &tools::CallRequest) -> Result<(Answer, bool), Status> {
        let key = ExecutionKey::try_from(request.key.as_ref()).unwrap();
        assert_eq!(
            request.token,
            key.task.to_string().into_bytes(),
            "the token of the task itself"
        );
        let args: Value = serde_json::from_str(&request.args_json).unwrap();
        let mut world = self.world();
        world.calls.push(request.tool.clone());
        let answer = match request.tool.as_str() {
            "fs.search" => done(&world.search(&args), false, false, String::new()),
            "fs.disk_usage" => done(&json!({"files": world.files.len()}), false, false, String::new()),
            "fs.stat" => done(&json!({"exists": true}), false, false, String::new()),
            "fs.delete" if request.dry_run => Answer::DryRun(tools::DryRun {
                summary: "would delete".to_owned(),
                files: args["paths"].as_array().unwrap().len() as u64,
                ..tools::DryRun::default()
            }),
            "fs.delete" if world.deny => Answer::Denied(guard::Denied {
                error: Some(
                    Report {
                        code: "AIOS-GUARD-0007".to_owned(),
                        message: "policy denies it".to_owned(),
                        next_step: "ask for less".to_owned(),
                    }
                    .into(),
                ),
                rule_id: "test.deny".to_owned(),
                audit_seq: 9,
            }),
            "fs.delete" => match world.executions.get(&key).cloned() {
                Some((result, ..)) => done(&result, true, true, String::new()),
                None if world.ask => match world.approval_for(key, request) {
                    Ok(approval) => done(&world.delete(key, &args), false, true, approval),
                    Err(question) => Answer::ApprovalRequired(question),
                },
                None => done(&world.delete(key, &args), false, true, String::new()),
            },
            _ => {
                return Err(refused(
                    "AIOS-TOOLS-0001",
                    "there is no such tool",
                    Class::NotFound,
                ));
            }
        };
        let changed = request.tool == "fs.delete" && matches!(answer, Answer::Done(_));
        let dies = changed && std::mem::take(&mut world.die_before_outcome);
        if changed && !dies {
            world.outcomes.insert(key);
        }
        Ok((answer, dies))
    }
}

#[tonic::async_trait]
impl ToolRegistry for Doubles {
    unused! {
        list(tools::ListRequest) -> tools::ListResponse;
    }

    async fn get(&self, request: Request<tools::GetRequest>) -> Result<Response<tools::Tool>, Status> {
        let name = request.into_inner().name;
        let mutating = match name.as_str() {
            "fs.search" | "fs.disk_usage" | "fs.stat" => false,
            "fs.delete" | "fs.undo" => true,
            _ => {
                return Err(refused(
                    "AIOS-TOOLS-0001",
                    "there is no such tool",
                    Class::NotFound,
                ));
            }
        };
        let capability = format!("{}:PATH", name.replace('.', ":"));
        Ok(Response::new(tools::Tool {
            name,
            mutating,
            reversible: mutating,
            capability,
            ..tools::Tool::default()
        }))
    }

    async fn call(
        &self,
        request: Request<tools::CallRequest>,
    ) -> Result<Response<tools::CallResponse>, Status> {
        let request = request.into_inner();
        if request.tool == "fs.delete" && self.world().hangs {
            std::future::pending::<()>().await;
        }
        let (answer, dies) = self.make(&request)?;
        if dies {
            // Its callers hear of its end in other ways; the orchestrator is killed itself.
            std::future::pending::<()>().await;
        }
        Ok(Response::new(tools::CallResponse { result: Some(answer) }))
    }

    async fn undo(
        &self,
        request: Request<tools::UndoRequest>,
    ) -> Result<Response<tools::CallResponse>, Status> {
        let request = request.into_inner();
        let key = ExecutionKey::try_from(request.key.as_ref()).unwrap();
        let target = ExecutionKey::try_from(request.target.as_ref()).unwrap();
        let mut world = self.world();
        if let Some((result, ..)) = world.executions.get(&key).cloned() {
            return Ok(Response::new(tools::CallResponse {
                result: Some(done(&result, true, true, String::new())),
            }));
        }
        let Some((_, gone, undone)) = world.executions.get_mut(&target) else {
            return Err(refused("AIOS-TOOLS-0050", "nothing to undo", Class::NotFound));
        };
        assert!(!*undone, "undone twice");
        *undone = true;
        let gone = gone.clone();
        for path in gone.keys() {
            *world.restorations.entry(path.clone()).or_default() += 1;
        }
        let result = json!({"restored": gone.keys().collect::<Vec<_>>(), "files": gone.len(), "bytes": 1});
        world.files.extend(gone);
        world
            .executions
            .insert(key, (result.clone(), BTreeMap::new(), false));
        Ok(Response::new(tools::CallResponse {
            result: Some(done(&result, false, true, String::new())),
        }))
    }

    async fn get_execution(
        &self,
        request: Request<tools::GetExecutionRequest>,
    ) -> Result<Response<tools::Execution>, Status> {
        let key = ExecutionKey::try_from(request.get_ref().key.as_ref()).unwrap();
        let world = self.world();
        let execution = match world.executions.get(&key) {
            Some((result, _, undone)) => tools::Execution {
                state: if *undone { "undone" } else { "done" }.to_owned(),
                result_json: result.to_string(),
                tool: String::new(),
            },
            None => tools::Execution {
                state: if world.hangs { "running" } else { "unknown" }.to_owned(),
                ..tools::Execution::default()
            },
        };
        Ok(Response::new(execution))
    }

    async fn cancel(
        &self,
        _: Request<tools::CancelRequest>,
    ) -> Result<Response<tools::CancelResponse>, Status> {
        Ok(Response::new(tools::CancelResponse { was_running: false }))
    }
}

#[tonic::async_trait]
impl Sandbox for Doubles {
    type LogsStream = Pin<Box<dyn Stream<Item = Result<sandbox::LogChunk, Status>> + Send>>;

    async fn run_agent(
        &self,
        request: Request<sandbox::RunAgentRequest>,
    ) -> Result<Response<sandbox::AgentContainer>, Status> {
        self.world().run.push(request.into_inner().kind);
        Ok(Response::new(sandbox::AgentContainer {
            name: "aios-test".to_owned(),
            ..sandbox::AgentContainer::default()
        }))
    }

    async fn list_agents(
        &self,
        _: Request<sandbox::ListAgentsRequest>,
    ) -> Result<Response<sandbox::ListAgentsResponse>, Status> {
        let world = self.world();
        let running = world.run.iter().map(|kind| (kind.as_str(), "running"));
        let held = world.held.map(|state| ("maintenance_agent", state));
        let agents = running.chain(held).map(|(kind, state)| sandbox::AgentContainer {
            agent_id: "the-agent".to_owned(),
            kind: kind.to_owned(),
            state: state.to_owned(),
            ..sandbox::AgentContainer::default()
        });
        Ok(Response::new(sandbox::ListAgentsResponse {
            agents: agents.collect(),
        }))
    }

    async fn logs(&self, _: Request<sandbox::LogsRequest>) -> Result<Response<Self::LogsStream>, Status> {
        Err(Status::unimplemented("the orchestrator must not call this"))
    }

    unused! {
        freeze_agent(sandbox::AgentRequest) -> sandbox::AgentContainer;
        thaw_agent(sandbox::AgentRequest) -> sandbox::AgentContainer;
        stop_agent(sandbox::AgentRequest) -> sandbox::AgentContainer;
        status(sandbox::StatusRequest) -> sandbox::StatusResponse;
    }
}
