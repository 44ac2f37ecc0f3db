//! What became of a call that a crash left in flight.
//!
//! The worker's journal knows whether it was done. When it was, the same call is sent once more under
//! the same name: the worker answers with its record instead of doing it again, and on the way the tool
//! service has the outcome recorded. Without that, a tool service that died between effect and record
//! together with this process would leave an intent in the audit log of which nobody ever reads the end.

use super::outcome::parse;
use super::tool::{Attempt, namespace_of};
use super::{Call, Steps};
use crate::error::Error;
use crate::model::Goal;
use crate::model::event::StepEnd;
use crate::model::state::StepState;
use aios_core::id::ExecutionKey;
use std::future::Future;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The worker's code for too many calls that wait.
const BUSY: &str = "AIOS-TOOLS-0026";

impl Steps {
    /// The end of a step that the worker has done already, with its outcome in the audit log; `None`
    /// when it was not done. A cancellation stops the questions only after a grace: what a
    /// cancelled goal has changed must be known, and recorded, too.
    ///
    /// # Errors
    /// The goal is cancelled and the services stay away, or the journal fails.
    pub(super) async fn settled(
        &self,
        goal: &Goal,
        step: u64,
        call: &Call,
    ) -> Result<Option<StepEnd>, Error> {
        // A token of its own, which nothing cancels; and a fresh capability token, because the old one
        // may have expired meanwhile.
        let mut own = Self {
            settling: true,
            ..Self::new(&self.core, self.goal, self.task, CancellationToken::new())
        };
        let known = match self.in_grace(own.known(step, call)).await {
            Some(known) => known?,
            None => return Err(Error::Cancelled),
        };
        let Some(known) = known else { return Ok(None) };
        match self.in_grace(own.replay(goal, step, call)).await {
            Some(Ok(Some(end))) => Ok(Some(StepEnd {
                undoable: end.undoable && call.kind != "undo",
                ..end
            })),
            // It is done, whatever the guard thinks of such a call by now: that is how the step ends.
            Some(Ok(None)) => Ok(Some(known)),
            Some(Err(error)) => Err(error),
            None => {
                tracing::error!(goal = %self.goal, step, tool = call.name,
                    "the outcome of a step of a cancelled goal may be missing in the audit log: the services did not answer in time");
                Ok(Some(known))
            }
        }
    }

    /// The result of `work`; `None` when it still runs that long after a cancellation.
    async fn in_grace<R>(&self, work: impl Future<Output = R>) -> Option<R> {
        let over = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(self.cancel_grace()).await;
        };
        tokio::select! {
            result = work => Some(result),
            () = over => None,
        }
    }

    /// Sends a call again that was done. `None` when it is refused by now.
    async fn replay(&mut self, goal: &Goal, step: u64, call: &Call) -> Result<Option<StepEnd>, Error> {
        let pause = Duration::from_millis(self.core.config.retry_ms);
        loop {
            match self.attempt(goal, step, call).await? {
                Attempt::Ended(end) if end.state == StepState::Done => return Ok(Some(end)),
                Attempt::Ended(end) if end.error.as_ref().is_some_and(|error| error.code == BUSY) => {
                    tokio::time::sleep(pause).await;
                }
                Attempt::Ended(end) => {
                    tracing::error!(goal = %self.goal, step, tool = call.name, error = ?end.error,
                        "a step was done, and its outcome cannot be recorded in the audit log");
                    return Ok(None);
                }
                Attempt::Ask(_) => {
                    tracing::error!(goal = %self.goal, step, tool = call.name,
                        "a step was done, and the guard asks whether it may be");
                    return Ok(None);
                }
                Attempt::Again | Attempt::Lifted => tokio::time::sleep(pause).await,
            }
        }
    }

    /// The end of a step that the worker has done already, asked by its name.
    async fn known(&self, step: u64, call: &Call) -> Result<Option<StepEnd>, Error> {
        let key = ExecutionKey {
            task: self.task,
            step,
        };
        let namespace = namespace_of(&call.name);
        let execution = loop {
            match self
                .persistent(|| self.core.clients.execution(key.into(), namespace))
                .await
            {
                // It outlived us and will end by itself.
                Ok(execution) if execution.state == "running" => {
                    let pause = Duration::from_millis(self.core.config.retry_ms);
                    self.or_cancelled(tokio::time::sleep(pause)).await?;
                }
                Ok(execution) => break execution,
                // The service that knows the namespace does not know the key: then it was not done.
                Err(Error::Peer(report)) => {
                    tracing::debug!(%key, %report, "nothing is known of a step in flight");
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
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
}
