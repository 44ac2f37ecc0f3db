//! One step of a task: journaled, made with the task's token, waited for, journaled again.
//!
//! A step is named by (task, number); the same name is the same effect, however often it is sent.
//! So a step that was in flight when the process died is simply done again: first the worker's own
//! journal is asked what became of it, then it is sent again under the same name, which does what was not
//! done and records what was. Of a cancelled goal only what was done is sent again.

mod memory;
mod outcome;
mod settle;
mod tool;

use crate::core::Core;
use crate::error::Error;
use crate::model::event::{Event, StepEnd};
use crate::model::state::StepState;
use crate::model::{Goal, Step, Task};
use aios_core::failpoint;
use aios_core::id::{GoalId, TaskId};
use aios_proto::guard::v1::MintResponse;
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub use tool::namespace_of;

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
    /// What the guard said to a token that was asked for ahead of its call.
    minted: Option<Result<MintResponse, Error>>,
    /// Whether the end of a step may wait for the next event.
    holds: bool,
    /// What happened and is journaled together with the next event.
    held: Vec<Event>,
    /// The goal as of what this journaled last, when nobody else makes steps of the task.
    known: Option<Goal>,
    /// Nothing new is begun; what is sent was done already.
    settling: bool,
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
            minted: None,
            holds: false,
            held: Vec::new(),
            known: None,
            settling: false,
        }
    }

    /// The same for a caller that journals the end of the last step itself, with what follows from it:
    /// [`Steps::take_held`] gives it. `begun` is journaled with the first step.
    ///
    /// One durable write less for each; a crash before it only has the step asked about again.
    pub fn holding(self, begun: Vec<Event>) -> Self {
        Self {
            holds: true,
            held: begun,
            ..self
        }
    }

    /// What happened and is not journaled yet.
    pub fn take_held(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.held)
    }

    /// The goal as of the last event that was journaled here, when nobody else makes steps of the task.
    pub fn take_known(&mut self) -> Option<Goal> {
        self.known.take()
    }

    async fn state(&self) -> Result<(Goal, Task), Error> {
        let mut goal = match &self.known {
            Some(goal) => goal.clone(),
            None => self.core.journal.goal(self.goal).await?,
        };
        for event in &self.held {
            goal.apply(event, self.core.clock.now_ms())?;
        }
        let task = goal
            .task(self.task)
            .cloned()
            .ok_or(crate::model::ApplyError::NoTask(self.task))?;
        Ok((goal, task))
    }

    async fn append(&mut self, event: Event) -> Result<Goal, Error> {
        let mut events = self.take_held();
        events.push(event);
        let goal = self.core.journal.append(self.goal, events).await?;
        self.know(&goal);
        Ok(goal)
    }

    fn know(&mut self, goal: &Goal) {
        self.known = self.holds.then(|| goal.clone());
    }

    /// Journals what was held back.
    async fn flush(&mut self) -> Result<(), Error> {
        match self.take_held() {
            events if events.is_empty() => Ok(()),
            events => {
                let goal = self.core.journal.append(self.goal, events).await?;
                self.know(&goal);
                Ok(())
            }
        }
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
        let mut events = self.take_held();
        events.push(Event::StepStarted {
            task: self.task,
            step: number,
            step_kind: call.kind.to_owned(),
            name: call.name.clone(),
            args: call.args.clone(),
            reason: call.reason.clone(),
            dry_run,
        });
        // The token is asked for while the disk works.
        let journaled = self.core.journal.append(self.goal, events);
        let (journaled, minted) = tokio::join!(journaled, self.mint_ahead(&goal, &task, call.kind));
        self.know(&journaled?);
        self.minted = minted;
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

    async fn end(&mut self, number: u64, end: StepEnd) -> Result<Step, Error> {
        let event = Event::StepEnded {
            task: self.task,
            step: number,
            end,
        };
        let goal = if self.holds {
            self.held.push(event);
            self.state().await?.0
        } else {
            self.append(event).await?
        };
        let step = goal.task(self.task).and_then(|task| task.step(number)).cloned();
        step.ok_or(Error::Apply(crate::model::ApplyError::NoStep(number)))
    }

    /// Holds new steps back while an emergency stop is on, and says so in the goal.
    async fn until_allowed(&mut self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let Some(stop) = self.core.guard_view.stopped() else {
            return Ok(());
        };
        self.flush().await?;
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

    /// Time that a running call is given to end after its goal was cancelled.
    fn cancel_grace(&self) -> Duration {
        Duration::from_millis(self.core.config.cancel_grace_ms)
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
            "think" => Ok(outcome::failed(Error::NoModel.report())),
            _ => self.tool(goal, step, call, again).await,
        }
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
