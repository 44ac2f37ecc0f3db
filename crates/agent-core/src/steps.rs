//! One step of a task: journaled, made with the task's token, waited for, journaled again.
//!
//! A step is named by (task, number); the same name is the same effect, however often it is sent.
//! So a step that was in flight when the process died is simply done again: first the worker's own
//! journal is asked, and only what it does not know is sent again under the same name.

use crate::clients::{failure, report_of};
use crate::core::Core;
use crate::error::Error;
use crate::model::event::{Autonomy, Event, StepEnd};
use crate::model::state::StepState;
use crate::model::{Goal, Step, Task};
use aios_core::error::{Coded, Report};
use aios_core::failpoint;
use aios_core::id::{ExecutionKey, GoalId, TaskId};
use aios_proto::common::v1 as common;
use aios_proto::guard::v1::{ApprovalRequired, ApprovalState, MintRequest};
use aios_proto::memory::v1::{ObserveRequest, OperationalEvent, QueryWorkingRequest};
use aios_proto::tools::v1::{CallRequest, CallResponse, Done, UndoRequest, call_response};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A token is renewed when less than this is left, milliseconds.
const TOKEN_MARGIN_MS: i64 = 30_000;
/// Time that a running call is given to end after it was cancelled.
const CANCEL_GRACE: Duration = Duration::from_secs(30);
/// How often a step may be asked about anew because what it touches has changed meanwhile.
const MAX_APPROVALS: u32 = 8;

/// What a step is to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// `tool`, `memory`, `think` or `undo`.
    pub kind: &'static str,
    /// Tool or verb.
    pub name: String,
    /// Arguments, JSON.
    pub args: Value,
    /// Why, one sentence.
    pub reason: String,
    /// Time allowed, milliseconds; 0 for the tool's default.
    pub timeout_ms: u64,
    /// Change nothing.
    pub dry_run: bool,
}

/// Runs the steps of one task, one after another.
pub struct Steps {
    core: Arc<Core>,
    goal: GoalId,
    task: TaskId,
    cancel: CancellationToken,
    token: Option<(Vec<u8>, i64)>,
}

impl Steps {
    /// Steps of a task of a goal; `cancel` ends them.
    pub fn new(core: &Arc<Core>, goal: GoalId, task: TaskId, cancel: CancellationToken) -> Self {
        Self {
            core: Arc::clone(core),
            goal,
            task,
            cancel,
            token: None,
        }
    }

    async fn state(&self) -> Result<(Goal, Task), Error> {
        let goal = self.core.journal.goal(self.goal).await?;
        let task = goal
            .task(self.task)
            .cloned()
            .ok_or(crate::model::ApplyError::NoTask(self.task))?;
        Ok((goal, task))
    }

    async fn append(&self, event: Event) -> Result<Goal, Error> {
        self.core.journal.append(self.goal, vec![event]).await
    }

    /// Does a step, or gives the recorded end of one that was done before.
    ///
    /// # Errors
    /// The number does not follow, a recorded step was another call, the goal is cancelled, or the
    /// journal fails. A tool that fails or is denied is no error: the step says so.
    pub async fn run(&mut self, number: u64, call: Call) -> Result<Step, Error> {
        let (goal, task) = self.state().await?;
        if let Some(step) = task.step(number) {
            same_call(step, &call)?;
            return match step.end {
                Some(_) => Ok(step.clone()),
                None => self.resume(&goal, step.clone(), call.timeout_ms).await,
            };
        }
        if number != task.next_step() {
            return Err(crate::model::ApplyError::StepOrder {
                got: number,
                wanted: task.next_step(),
            }
            .into());
        }
        self.until_allowed().await?;
        failpoint::hit("orch.before_step");
        let dry_run = call.dry_run || (goal.dry_run && self.changes(&call).await?);
        self.append(Event::StepStarted {
            task: self.task,
            step: number,
            step_kind: call.kind.to_owned(),
            name: call.name.clone(),
            args: call.args.clone(),
            reason: call.reason.clone(),
            dry_run,
        })
        .await?;
        failpoint::hit("orch.after_step");
        let call = Call { dry_run, ..call };
        let end = self.perform(&goal, number, &call, false).await?;
        self.end(number, end).await
    }

    /// Brings a step to its end that was in flight when an earlier run of the task stopped.
    ///
    /// # Errors
    /// As [`Steps::run`].
    pub async fn settle(&mut self) -> Result<(), Error> {
        let (goal, task) = self.state().await?;
        match task.in_flight() {
            Some(step) => self.resume(&goal, step.clone(), 0).await.map(|_| ()),
            None => Ok(()),
        }
    }

    async fn resume(&mut self, goal: &Goal, step: Step, timeout_ms: u64) -> Result<Step, Error> {
        let call = Call {
            kind: kind_of(&step.kind),
            name: step.name,
            args: step.args,
            reason: step.reason,
            timeout_ms,
            dry_run: step.dry_run,
        };
        if step.state == StepState::AwaitingApproval
            && let Some(end) = self.approval(step.step, &call, &step.approval_id).await?
        {
            return self.end(step.step, end).await;
        }
        let end = self.perform(goal, step.step, &call, true).await?;
        self.end(step.step, end).await
    }

    async fn end(&self, number: u64, end: StepEnd) -> Result<Step, Error> {
        let goal = self
            .append(Event::StepEnded {
                task: self.task,
                step: number,
                end,
            })
            .await?;
        let step = goal.task(self.task).and_then(|task| task.step(number)).cloned();
        step.ok_or(Error::Apply(crate::model::ApplyError::NoStep(number)))
    }

    /// Holds new steps back while an emergency stop is on, and says so in the goal.
    async fn until_allowed(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let Some(stop) = self.core.guard_view.stopped() else {
            return Ok(());
        };
        let why = if stop.reason.is_empty() {
            String::new()
        } else {
            format!(": {}", stop.reason)
        };
        self.say(format!("held back by the emergency stop of {}{why}", stop.by))
            .await?;
        self.or_cancelled(self.core.guard_view.until_clear()).await??;
        self.say("the emergency stop was lifted; going on".to_owned())
            .await
    }

    async fn say(&self, line: String) -> Result<(), Error> {
        self.core.say(self.goal, line).await
    }

    async fn or_cancelled<R>(&self, work: impl Future<Output = R>) -> Result<R, Error> {
        tokio::select! {
            result = work => Ok(result),
            () = self.cancel.cancelled() => Err(Error::Cancelled),
        }
    }

    /// Does `work` again and again while the service that it needs is away.
    async fn persistent<R, F>(&self, mut work: impl FnMut() -> F) -> Result<R, Error>
    where
        F: Future<Output = Result<R, Error>>,
    {
        let pause = Duration::from_millis(self.core.config.retry_ms);
        let mut told = false;
        loop {
            match work().await {
                Err(error @ Error::Unreachable { .. }) => {
                    if !told {
                        told = true;
                        tracing::warn!(goal = %self.goal, %error, "waiting for a service");
                        self.say(format!("waiting: {error}")).await?;
                    }
                    self.or_cancelled(tokio::time::sleep(pause)).await?;
                }
                other => return other,
            }
        }
    }

    async fn changes(&self, call: &Call) -> Result<bool, Error> {
        match call.kind {
            "undo" => Ok(true),
            "tool" => match self.persistent(|| self.core.clients.tool(&call.name)).await {
                Ok(tool) => Ok(tool.mutating),
                // The call itself will say what is wrong with the name; until then the careful answer.
                Err(Error::Peer(_)) => Ok(true),
                Err(error) => Err(error),
            },
            _ => Ok(false),
        }
    }

    async fn perform(&mut self, goal: &Goal, step: u64, call: &Call, again: bool) -> Result<StepEnd, Error> {
        match call.kind {
            "memory" => self.memory(call).await,
            "think" => Ok(failed(Report::of(&Error::NoModel))),
            _ => self.tool(goal, step, call, again).await,
        }
    }

    async fn tool(&mut self, goal: &Goal, step: u64, call: &Call, again: bool) -> Result<StepEnd, Error> {
        if again && let Some(end) = self.known(step, call).await? {
            return Ok(end);
        }
        if self.cancel.is_cancelled() {
            return Ok(failed(Report::of(&Error::Cancelled)));
        }
        for _ in 0..MAX_APPROVALS {
            let answer = match self.send(goal, step, call).await {
                Err(Error::Peer(report)) => return Ok(failed(report)),
                other => other?,
            };
            match answer.result {
                Some(call_response::Result::ApprovalRequired(required)) => {
                    if let Some(end) = self.ask(step, call, &required).await? {
                        return Ok(end);
                    }
                }
                other => return Ok(outcome(other)),
            }
        }
        Ok(denied(Error::NotApproved {
            tool: call.name.clone(),
            outcome: format!("asked for {MAX_APPROVALS} times, because what it touches keeps changing"),
            by: String::new(),
        }))
    }

    /// The end of a step that the worker has done already, asked by its name.
    async fn known(&self, step: u64, call: &Call) -> Result<Option<StepEnd>, Error> {
        let key = ExecutionKey {
            task: self.task,
            step,
        };
        let namespace = namespace_of(&call.name);
        let known = self
            .persistent(|| self.core.clients.execution(key.into(), namespace))
            .await;
        let execution = match known {
            Ok(execution) => execution,
            // The service that knows the namespace does not know the key: then it was not done.
            Err(Error::Peer(report)) => {
                tracing::debug!(%key, %report, "nothing is known of a step in flight");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if execution.state != "done" {
            return Ok(None);
        }
        // Only mutating calls are in a worker's journal, so a known one can be undone where its tool can.
        let undoable = match call.kind {
            "undo" => false,
            _ => {
                self.persistent(|| self.core.clients.tool(&call.name))
                    .await?
                    .reversible
            }
        };
        Ok(Some(StepEnd {
            state: StepState::Done,
            result: parse(&execution.result_json),
            error: None,
            audit_seq: 0,
            rule_id: String::new(),
            approval_id: String::new(),
            undoable,
            tainted: true,
        }))
    }

    async fn send(&mut self, goal: &Goal, step: u64, call: &Call) -> Result<CallResponse, Error> {
        loop {
            let token = self.token(goal).await?;
            let key = ExecutionKey {
                task: self.task,
                step,
            };
            failpoint::hit("orch.before_call");
            let answer = self.cancellable(key, call, self.dispatch(key, call, token)).await;
            failpoint::hit("orch.after_call");
            match answer {
                Err(error @ Error::Unreachable { .. }) => {
                    if self.cancel.is_cancelled() {
                        return Err(Error::Peer(Report::of(&error)));
                    }
                    tracing::warn!(goal = %self.goal, %error, "a call is sent again");
                    let pause = Duration::from_millis(self.core.config.retry_ms);
                    // The wait itself also ends when the goal is cancelled; the loop then sees it.
                    drop(self.or_cancelled(tokio::time::sleep(pause)).await);
                }
                other => return other,
            }
        }
    }

    async fn dispatch(&self, key: ExecutionKey, call: &Call, token: Vec<u8>) -> Result<CallResponse, Error> {
        if call.kind == "undo" {
            let target: ExecutionKey = serde_json::from_value(call.args.clone())
                .map_err(|error| Error::Corrupt(format!("an undo without its target: {error}")))?;
            let request = UndoRequest {
                token,
                key: Some(key.into()),
                target: Some(target.into()),
                namespace: namespace_of(&call.name).to_owned(),
            };
            return self.core.clients.undo(request).await;
        }
        let request = CallRequest {
            token,
            key: Some(key.into()),
            tool: call.name.clone(),
            args_json: call.args.to_string(),
            timeout_ms: call.timeout_ms,
            dry_run: call.dry_run,
        };
        self.core.clients.call(request).await
    }

    /// Waits for a call. When the goal is cancelled the tool is told, and its end is still waited for,
    /// so that what it did is known.
    async fn cancellable(
        &self,
        key: ExecutionKey,
        call: &Call,
        work: impl Future<Output = Result<CallResponse, Error>>,
    ) -> Result<CallResponse, Error> {
        tokio::pin!(work);
        tokio::select! {
            answer = &mut work => return answer,
            () = self.cancel.cancelled() => {}
        }
        if let Err(error) = self
            .core
            .clients
            .cancel(key.into(), namespace_of(&call.name))
            .await
        {
            tracing::warn!(%key, %error, "a running call could not be told to stop");
        }
        match tokio::time::timeout(CANCEL_GRACE, work).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Unreachable {
                service: "aios-tools",
                problem: format!("the cancelled call {key} did not end"),
            }),
        }
    }

    async fn token(&mut self, goal: &Goal) -> Result<Vec<u8>, Error> {
        let now = self.core.clock.now_ms();
        if let Some((token, expires)) = &self.token
            && *expires - now > TOKEN_MARGIN_MS
        {
            return Ok(token.clone());
        }
        let (_, task) = self.state().await?;
        let request = MintRequest {
            agent_id: task.agent_id.clone(),
            agent_kind: task.agent_kind.clone(),
            goal_id: self.goal.to_string(),
            task_id: self.task.to_string(),
            capabilities: task.plan.capabilities.clone(),
            ttl_ms: self.core.config.token_ttl_ms,
            tainted: false,
            autonomy: autonomy(goal.autonomy).into(),
        };
        let minted = self
            .persistent(|| self.core.clients.mint(request.clone()))
            .await?;
        self.token = Some((minted.token.clone(), minted.expires_at_ms));
        Ok(minted.token)
    }

    /// Journals that a person is asked, and waits for the answer. `None` means yes: send it again.
    async fn ask(
        &mut self,
        step: u64,
        call: &Call,
        required: &ApprovalRequired,
    ) -> Result<Option<StepEnd>, Error> {
        self.append(Event::ApprovalRequired {
            task: self.task,
            step,
            approval_id: required.approval_id.clone(),
            rule_id: required.rule_id.clone(),
            expires_at_ms: required.expires_at_ms,
        })
        .await?;
        self.approval(step, call, &required.approval_id).await
    }

    async fn approval(&mut self, step: u64, call: &Call, id: &str) -> Result<Option<StepEnd>, Error> {
        let decided = self.or_cancelled(self.core.guard_view.decided(id)).await;
        let (outcome, approver) = match decided {
            Ok(Ok(approval)) => (approval_outcome(approval.state()), approval.approver),
            // The guard does not know the request: it cannot be approved any more.
            Ok(Err(Error::Peer(report))) => return Ok(Some(ended(StepState::Denied, report))),
            Ok(Err(error)) => return Err(error),
            Err(_) => ("withdrawn", String::new()),
        };
        self.append(Event::ApprovalDecided {
            task: self.task,
            step,
            approval_id: id.to_owned(),
            outcome: outcome.to_owned(),
            approver: approver.clone(),
        })
        .await?;
        if outcome == "approved" {
            // Waiting may have outlived the token, and an emergency stop may have revoked it.
            self.token = None;
            return Ok(None);
        }
        let by = if approver.is_empty() {
            String::new()
        } else {
            format!(" by {approver}")
        };
        let error = Error::NotApproved {
            tool: call.name.clone(),
            outcome: outcome.to_owned(),
            by,
        };
        Ok(Some(StepEnd {
            approval_id: id.to_owned(),
            ..denied(error)
        }))
    }

    async fn memory(&self, call: &Call) -> Result<StepEnd, Error> {
        let text = |key: &str| {
            call.args
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let answer = match call.name.as_str() {
            "recall" => {
                let limit = call
                    .args
                    .get("limit")
                    .and_then(Value::as_u64)
                    .unwrap_or(20)
                    .min(100);
                let request = QueryWorkingRequest {
                    goal_id: self.goal.to_string(),
                    kind: text("kind"),
                    limit: u32::try_from(limit).unwrap_or(100),
                };
                self.core
                    .clients
                    .memory()
                    .query_working(request)
                    .await
                    .map(|answer| {
                        let events = answer.into_inner().events;
                        let rows = events.iter().map(|event| {
                        json!({"time_ms": event.time_ms, "kind": event.kind, "body": parse(&event.body_json)})
                    });
                        json!({"events": rows.collect::<Vec<_>>()})
                    })
            }
            "note" => {
                let event = OperationalEvent {
                    time_ms: self.core.clock.now_ms(),
                    source: "agent".to_owned(),
                    kind: "note".to_owned(),
                    message: text("message"),
                    details_json: json!({"task": self.task, "goal": self.goal}).to_string(),
                };
                let request = ObserveRequest { event: Some(event) };
                self.core
                    .clients
                    .memory()
                    .observe(request)
                    .await
                    .map(|_| json!({}))
            }
            other => {
                let error = Error::field("verb", format!("`{other}` is neither `recall` nor `note`"));
                return Ok(failed(Report::of(&error)));
            }
        };
        Ok(match answer {
            Ok(result) => StepEnd {
                state: StepState::Done,
                result,
                error: None,
                audit_seq: 0,
                rule_id: String::new(),
                approval_id: String::new(),
                undoable: false,
                tainted: true,
            },
            // Memory being away never holds a goal up: the agent goes on without it.
            Err(status) => failed(Report::of(&failure("aios-memory", &status))),
        })
    }
}

fn same_call(step: &Step, call: &Call) -> Result<(), Error> {
    if step.kind == call.kind && step.name == call.name && step.args == call.args {
        return Ok(());
    }
    let short = |name: &str, args: &Value| format!("{name} {args}").chars().take(200).collect();
    Err(Error::ReplayDiffers {
        step: step.step,
        recorded: short(&step.name, &step.args),
        asked: short(&call.name, &call.args),
    })
}

fn kind_of(kind: &str) -> &'static str {
    match kind {
        "memory" => "memory",
        "think" => "think",
        "undo" => "undo",
        _ => "tool",
    }
}

fn autonomy(autonomy: Autonomy) -> common::Autonomy {
    match autonomy {
        Autonomy::Manual => common::Autonomy::Manual,
        Autonomy::Supervised => common::Autonomy::Supervised,
        Autonomy::Full => common::Autonomy::Full,
    }
}

fn approval_outcome(state: ApprovalState) -> &'static str {
    match state {
        ApprovalState::Approved => "approved",
        ApprovalState::Declined => "declined",
        ApprovalState::Expired => "expired",
        ApprovalState::Withdrawn => "withdrawn",
        ApprovalState::Pending | ApprovalState::Unspecified => "lost",
    }
}

/// Namespace of a tool, `fs` of `fs.delete`.
pub fn namespace_of(tool: &str) -> &str {
    tool.split_once('.').map_or(tool, |(namespace, _)| namespace)
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn outcome(result: Option<call_response::Result>) -> StepEnd {
    match result {
        Some(call_response::Result::Done(done)) => success(done),
        Some(call_response::Result::Denied(refusal)) => StepEnd {
            rule_id: refusal.rule_id,
            audit_seq: refusal.audit_seq,
            ..ended(
                StepState::Denied,
                report_of(refusal.error, "the call was refused"),
            )
        },
        Some(call_response::Result::Failed(failure)) => StepEnd {
            audit_seq: failure.audit_seq,
            ..ended(StepState::Failed, report_of(failure.error, "the tool failed"))
        },
        Some(call_response::Result::DryRun(dry)) => {
            let would = dry.would.unwrap_or_default();
            let result = json!({
                "dry_run": true,
                "summary": dry.summary,
                "files": dry.files,
                "bytes": dry.bytes,
                "paths": dry.identities.iter().map(|it| it.path.as_str()).collect::<Vec<_>>(),
                "would": {"effect": would.effect, "rule_id": would.rule_id, "reason": would.reason},
            });
            StepEnd {
                undoable: false,
                ..success(Done {
                    result_json: result.to_string(),
                    rule_id: would.rule_id,
                    ..Done::default()
                })
            }
        }
        Some(call_response::Result::ApprovalRequired(_)) | None => {
            failed(report_of(None, "the tool service gave an empty answer"))
        }
    }
}

fn success(done: Done) -> StepEnd {
    StepEnd {
        state: StepState::Done,
        result: parse(&done.result_json),
        error: None,
        audit_seq: done.audit_seq,
        rule_id: done.rule_id,
        approval_id: done.approval_id,
        undoable: done.undoable,
        tainted: true,
    }
}

fn ended(state: StepState, report: Report) -> StepEnd {
    StepEnd {
        state,
        result: Value::Null,
        error: Some(report),
        audit_seq: 0,
        rule_id: String::new(),
        approval_id: String::new(),
        undoable: false,
        tainted: false,
    }
}

fn failed(report: Report) -> StepEnd {
    ended(StepState::Failed, report)
}

fn denied(error: Error) -> StepEnd {
    debug_assert_eq!(error.code(), "AIOS-ORCH-0023");
    ended(StepState::Denied, Report::of(&error))
}
