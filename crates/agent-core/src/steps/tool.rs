//! Tool calls and undos: token, call, approval.

use super::outcome::{denied, ended, failed, outcome};
use super::{Call, Steps};
use crate::EXECUTOR_KIND;
use crate::error::Error;
use crate::executor::EXECUTOR_ID;
use crate::model::event::{Autonomy, Event, StepEnd};
use crate::model::state::StepState;
use crate::model::{Goal, Task};
use aios_core::failpoint;
use aios_core::id::ExecutionKey;
use aios_core::rpc::Refused;
use aios_proto::common::v1 as common;
use aios_proto::guard::v1::{ApprovalRequired, ApprovalState, MintRequest, MintResponse};
use aios_proto::tools::v1::{CallRequest, CallResponse, UndoRequest, call_response};
use std::future::Future;
use std::time::Duration;

/// A token is renewed when less than this is left, milliseconds.
const TOKEN_MARGIN_MS: i64 = 30_000;
/// How often a step may be asked about anew because what it touches has changed meanwhile.
const MAX_APPROVALS: u32 = 8;

/// The guard's code for what an emergency stop refuses.
const EMERGENCY: &str = "AIOS-GUARD-0016";
/// The guard's code for an agent that is not known to run.
const UNKNOWN_AGENT: &str = "AIOS-GUARD-0022";
/// How often a token is asked for before an unknown agent is believed to be one.
const MINT_TRIES: u32 = 6;

/// How one sending of a call went.
pub(super) enum Attempt {
    Ended(StepEnd),
    Ask(ApprovalRequired),
    /// Nobody answered; it may have been begun.
    Again,
    /// An emergency stop refused it, and is over.
    Lifted,
}

impl Steps {
    pub(super) async fn tool(
        &mut self,
        goal: &Goal,
        step: u64,
        call: &Call,
        again: bool,
    ) -> Result<StepEnd, Error> {
        if again && let Some(end) = Box::pin(self.settled(goal, step, call)).await? {
            return Ok(end);
        }
        if self.cancel.is_cancelled() {
            return Ok(failed(Error::Cancelled.report()));
        }
        let (mut asked, mut in_doubt) = (0, false);
        while asked < MAX_APPROVALS {
            // What may have been begun is seen to its end.
            if !in_doubt && let Some(end) = self.out_of_window(goal, call).await? {
                return Ok(end);
            }
            let attempt = self.attempt(goal, step, call).await?;
            in_doubt = matches!(attempt, Attempt::Again);
            let end = match attempt {
                Attempt::Ended(end) => end,
                Attempt::Ask(required) => {
                    asked += 1;
                    match self.ask(step, call, &required).await? {
                        Some(end) => end,
                        None => continue,
                    }
                }
                Attempt::Again | Attempt::Lifted => {
                    let pause = Duration::from_millis(self.core.config.retry_ms);
                    if self.or_cancelled(tokio::time::sleep(pause)).await.is_ok() {
                        continue;
                    }
                    // The try that was lost may have done it; it is not begun any more.
                    match Box::pin(self.settled(goal, step, call)).await? {
                        Some(end) => return Ok(end),
                        None => return Ok(failed(Error::Cancelled.report())),
                    }
                }
            };
            // Taking a change back is itself no change that can be taken back.
            let undoable = end.undoable && call.kind != "undo";
            return Ok(StepEnd { undoable, ..end });
        }
        Ok(denied(Error::NotApproved {
            tool: call.name.clone(),
            outcome: format!("asked for {MAX_APPROVALS} times, because what it touches keeps changing"),
            by: String::new(),
        }))
    }

    /// Sends a call once. What an emergency stop holds back is sent again when it is lifted.
    pub(super) async fn attempt(&mut self, goal: &Goal, step: u64, call: &Call) -> Result<Attempt, Error> {
        let token = match self.token(goal).await {
            Ok(token) => token,
            Err(Error::Peer(report)) if report.code == EMERGENCY => return self.held_back().await,
            Err(Error::Peer(report)) => return Ok(Attempt::Ended(ended(StepState::Denied, report))),
            Err(error) => return Err(error),
        };
        let key = ExecutionKey {
            task: self.task,
            step,
        };
        failpoint::hit("orch.before_call");
        let answer = self.cancellable(key, call, self.dispatch(key, call, token)).await;
        failpoint::hit("orch.after_call");
        match answer {
            Ok(CallResponse {
                result: Some(call_response::Result::ApprovalRequired(required)),
            }) => Ok(Attempt::Ask(required)),
            Ok(CallResponse { result }) => {
                let end = outcome(result);
                match &end.error {
                    Some(report) if report.code == EMERGENCY => self.held_back().await,
                    _ => Ok(Attempt::Ended(end)),
                }
            }
            Err(Error::Peer(report)) => Ok(Attempt::Ended(failed(report))),
            Err(error @ Error::Unreachable { .. }) => {
                tracing::warn!(goal = %self.goal, %error, "a call is sent again");
                Ok(Attempt::Again)
            }
            Err(error) => Err(error),
        }
    }

    async fn held_back(&mut self) -> Result<Attempt, Error> {
        // The stop has revoked the token.
        self.token = None;
        match self.until_allowed().await {
            Ok(()) => Ok(Attempt::Lifted),
            Err(Error::Cancelled) => Ok(Attempt::Ended(failed(Error::Cancelled.report()))),
            Err(error) => Err(error),
        }
    }

    /// The end of a step that would begin to change something after the window of the goal's schedule. Taking back what
    /// was changed is never too late.
    async fn out_of_window(&self, goal: &Goal, call: &Call) -> Result<Option<StepEnd>, Error> {
        let over = |until_ms: &i64| *until_ms <= self.core.clock.now_ms();
        let Some(until_ms) = goal.cause.until_ms().filter(over) else {
            return Ok(None);
        };
        if call.kind == "undo" || call.dry_run || !self.changes(call).await? {
            return Ok(None);
        }
        let error = Error::WindowOver {
            tool: call.name.clone(),
            until_ms,
        };
        let refused = Refused {
            uid: Some(goal.uid),
            rpc: "Call",
            check: "window",
            goal_id: goal.id.to_string(),
            report: error.report(),
        };
        self.core.refusals.note(refused).await;
        Ok(Some(denied(error)))
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
        match tokio::time::timeout(self.cancel_grace(), work).await {
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
        let request = self.mint_request(goal, &self.state().await?.1);
        let minted = match self.minted.take() {
            Some(Ok(minted)) => Ok(minted),
            Some(Err(error @ Error::Peer(_))) => Err(error),
            _ => self.mint(&request).await,
        };
        let minted = match minted {
            // Its agent ended with the machine, or long ago; whoever asks, the worker only reads its
            // record of what was done.
            Err(Error::Peer(report)) if report.code == UNKNOWN_AGENT && self.settling => {
                let own = MintRequest {
                    agent_id: EXECUTOR_ID.to_owned(),
                    agent_kind: EXECUTOR_KIND.to_owned(),
                    ..request
                };
                self.mint(&own).await?
            }
            other => other?,
        };
        self.token = Some((minted.token.clone(), minted.expires_at_ms));
        Ok(minted.token)
    }

    fn mint_request(&self, goal: &Goal, task: &Task) -> MintRequest {
        MintRequest {
            agent_id: task.agent_id.clone(),
            agent_kind: task.agent_kind.clone(),
            goal_id: self.goal.to_string(),
            task_id: self.task.to_string(),
            capabilities: task.plan.capabilities.clone(),
            ttl_ms: self.core.config.token_ttl_ms,
            tainted: task.plan.tainted,
            autonomy: autonomy(goal.autonomy).into(),
        }
    }

    /// Asks for the token of the built-in executor's first call, which the guard knows without waiting. What
    /// cannot be had now is asked for again when the call needs it.
    pub(super) async fn mint_ahead(
        &self,
        goal: &Goal,
        task: &Task,
        kind: &str,
    ) -> Option<Result<MintResponse, Error>> {
        let wanted = self.token.is_none() && task.agent_id == EXECUTOR_ID && matches!(kind, "tool" | "undo");
        if !wanted {
            return None;
        }
        Some(self.core.clients.mint(self.mint_request(goal, task)).await)
    }

    /// Mints a token. The guard hears of a starting agent from the sandbox, perhaps after us.
    async fn mint(&self, request: &MintRequest) -> Result<MintResponse, Error> {
        let mut tries = 0;
        loop {
            match self.persistent(|| self.core.clients.mint(request.clone())).await {
                Err(Error::Peer(report)) if report.code == UNKNOWN_AGENT && tries < MINT_TRIES => {
                    tries += 1;
                    let pause = Duration::from_millis(self.core.config.retry_ms);
                    self.or_cancelled(tokio::time::sleep(pause)).await?;
                }
                other => return other,
            }
        }
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

    pub(super) async fn approval(
        &mut self,
        step: u64,
        call: &Call,
        id: &str,
    ) -> Result<Option<StepEnd>, Error> {
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
