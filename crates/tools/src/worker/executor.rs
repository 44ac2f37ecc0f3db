//! Runs what changes something: one call after the other, on one thread that owns the journal's
//! writing connection. So two calls never change the same place at once, and no lock is needed.
//!
//! Before it takes its first call it takes back, or finishes, whatever a crash interrupted.

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::worker::journal::{Beginning, Execution, Journal, State};
use crate::worker::{Call, Namespace, Target};
use aios_auth::token::VerifiedToken;
use aios_core::clock::Clock;
use aios_core::error::Report;
use aios_core::failpoint;
use aios_core::id::ExecutionKey;
use aios_proto::common::v1::Identity;
use serde_json::Value;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Calls that may wait; one more is refused.
const WAITING: usize = 256;
/// After this the namespace is asked again when it failed.
const EXPIRE_AGAIN: Duration = Duration::from_secs(2);

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Result, JSON text; or why it failed, with nothing of it left.
    pub outcome: std::result::Result<String, Report>,
    /// True when it had ended before and this is the record of it.
    pub replayed: bool,
    /// Time spent, microseconds.
    pub tool_us: u64,
}

/// A verified call that is to be executed.
pub struct Job<N: Namespace> {
    /// Its key.
    pub key: ExecutionKey,
    /// Tool.
    pub tool: String,
    /// Canonical arguments.
    pub args: Value,
    /// The same, as text.
    pub args_text: String,
    /// What it may touch.
    pub identities: Vec<Identity>,
    /// Digest of the call.
    pub digest: [u8; 32],
    /// The answer to its Prepare, protobuf.
    pub prepared: Vec<u8>,
    /// The verified token.
    pub token: Arc<VerifiedToken>,
    /// What it undoes.
    pub target: Option<Target<N::Plan>>,
    /// Time.
    pub budget: Budget,
}

type Answer = oneshot::Sender<Result<Executed>>;

/// The thread that executes.
pub struct Executor<N: Namespace> {
    jobs: SyncSender<(Job<N>, Answer)>,
    thread: JoinHandle<()>,
}

impl<N: Namespace> Executor<N> {
    /// Recovers from an earlier crash, then starts the thread.
    ///
    /// # Errors
    /// The journal cannot be read, or the thread not be started.
    pub fn start(namespace: Arc<N>, journal: Journal, clock: Arc<dyn Clock>) -> Result<Self> {
        let mut runner = Runner {
            namespace,
            journal,
            clock,
        };
        runner.recover()?;
        let (jobs, waiting) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("executor".to_owned())
            .spawn(move || runner.run(&waiting))
            .map_err(|error| ToolError::io("start", "the executor thread", error))?;
        Ok(Self { jobs, thread })
    }

    /// Executes a call, after those that wait already.
    ///
    /// # Errors
    /// [`ToolError::Busy`], or why it was refused before anything began.
    pub async fn execute(&self, job: Job<N>) -> Result<Executed> {
        let (answer, answered) = oneshot::channel();
        self.jobs.try_send((job, answer)).map_err(|error| match error {
            TrySendError::Full(_) => ToolError::Busy { waiting: WAITING },
            TrySendError::Disconnected(_) => ToolError::Defect("the executor thread has ended".to_owned()),
        })?;
        answered
            .await
            .map_err(|_| ToolError::Defect("the executor thread has ended".to_owned()))?
    }

    /// Whether the thread still runs.
    pub fn is_alive(&self) -> bool {
        !self.thread.is_finished()
    }
}

struct Runner<N: Namespace> {
    namespace: Arc<N>,
    journal: Journal,
    clock: Arc<dyn Clock>,
}

impl<N: Namespace> Runner<N> {
    fn run(mut self, jobs: &Receiver<(Job<N>, Answer)>) {
        loop {
            let next = match self.expire() {
                None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => jobs.recv_timeout(wait),
            };
            match next {
                // Nobody may be waiting any more; the journal has the result for whoever asks again.
                Ok((job, answer)) => drop(answer.send(self.execute(&job))),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Lets the namespace take back what was for a time only; answers when to do so again.
    fn expire(&self) -> Option<Duration> {
        let expired = match self.namespace.expire() {
            Ok(expired) => expired,
            Err(error) => {
                tracing::error!(error = %error.report(), "what was for a time only could not be looked through");
                return Some(EXPIRE_AGAIN);
            }
        };
        for key in expired.taken_back {
            if let Err(error) = self.journal.withdrawn(key, self.clock.now_ms()) {
                tracing::error!(%key, error = %error.report(), "the journal does not know that a call was taken back");
            }
        }
        expired.again_in
    }

    fn execute(&mut self, job: &Job<N>) -> Result<Executed> {
        let started = Instant::now();
        if let Some(known) = self.journal.find(job.key)?
            && let Some(recorded) = recorded(&known, &job.digest)?
        {
            return Ok(recorded);
        }
        job.budget.check()?;
        failpoint::hit("worker.fs.before_snapshot");
        self.journal.begin(&Beginning {
            key: job.key,
            tool: &job.tool,
            digest: &job.digest,
            args: &job.args_text,
            prepared: &job.prepared,
            undo_of: job.target.as_ref().map(|target| target.key),
            now_ms: self.clock.now_ms(),
        })?;
        let outcome = match self.capture_and_apply(job) {
            Ok(result) => Ok(result),
            Err(failure @ ToolError::HalfDone { .. }) => {
                tracing::error!(key = %job.key, error = %failure.report(), "a call is half done; a person must look");
                return Err(failure);
            }
            Err(failure) => {
                let report = failure.report();
                self.journal
                    .rolled_back(job.key, Some(&report), self.clock.now_ms())?;
                Err(report)
            }
        };
        let tool_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Ok(Executed {
            outcome,
            replayed: false,
            tool_us,
        })
    }

    fn capture_and_apply(&mut self, job: &Job<N>) -> Result<String> {
        let mut plan = self.capture(job)?;
        self.journal.snapshotted(job.key, &text_of(&plan)?)?;
        failpoint::hit("worker.fs.after_snapshot");
        failpoint::hit("worker.fs.before_effect");
        let applied = self.namespace.apply(&mut plan, &job.budget);
        failpoint::hit("worker.fs.after_effect");
        failpoint::hit("worker.fs.before_commit");
        let committed = applied.and_then(|()| self.commit(job.key, &plan));
        match committed {
            Ok(result) => {
                failpoint::hit("worker.fs.after_commit");
                Ok(result)
            }
            Err(failure) => {
                self.namespace.roll_back(&plan)?;
                Err(failure)
            }
        }
    }

    fn capture(&self, job: &Job<N>) -> Result<N::Plan> {
        let call = Call {
            tool: &job.tool,
            args: &job.args,
            caps: &job.token.capabilities,
            key: job.key,
            budget: &job.budget,
        };
        match &job.target {
            Some(target) => self.namespace.plan_undo(&call, target, &job.identities),
            None => self.namespace.plan(&call, &job.identities),
        }
    }

    fn commit(&mut self, key: ExecutionKey, plan: &N::Plan) -> Result<String> {
        let result = self.namespace.result(plan).to_string();
        self.journal
            .done(key, &text_of(plan)?, &result, self.clock.now_ms())?;
        Ok(result)
    }

    /// Takes back, or finishes, every execution that a crash interrupted.
    fn recover(&mut self) -> Result<()> {
        for execution in self.journal.unfinished()? {
            let key = execution.key;
            match self.settle(execution) {
                Ok(how) => tracing::info!(%key, how, "settled an interrupted call"),
                // The others must still be settled, and new calls on other places may run.
                Err(error) => {
                    tracing::error!(%key, error = %error.report(), "an interrupted call could not be taken back");
                }
            }
        }
        Ok(())
    }

    fn settle(&mut self, execution: Execution) -> Result<&'static str> {
        let Some(text) = &execution.plan else {
            self.journal
                .rolled_back(execution.key, None, self.clock.now_ms())?;
            return Ok("it had changed nothing");
        };
        let mut plan: N::Plan = serde_json::from_str(text).map_err(|_| ToolError::Corrupt {
            what: format!("plan of {}", execution.key),
        })?;
        if matches!(self.namespace.finish(&mut plan), Ok(true)) {
            self.commit(execution.key, &plan)?;
            return Ok("it was complete");
        }
        self.namespace.roll_back(&plan)?;
        self.journal
            .rolled_back(execution.key, None, self.clock.now_ms())?;
        Ok("it was taken back")
    }
}

/// What the journal already knows of a key; `None` when it may be executed.
fn recorded(known: &Execution, digest: &[u8; 32]) -> Result<Option<Executed>> {
    if known.digest != digest {
        // What was interrupted left nothing, so the key is free for the call as it resolves now.
        let free = known.state == State::RolledBack && known.error.is_none();
        return if free {
            Ok(None)
        } else {
            Err(ToolError::KeyReused {
                key: known.key.to_string(),
            })
        };
    }
    let outcome = match (known.state, &known.result, &known.error) {
        (State::Done | State::Undone, Some(result), _) => Ok(result.clone()),
        (State::RolledBack, _, Some(report)) => Err(report.clone()),
        (State::RolledBack, _, None) => return Ok(None),
        _ => {
            return Err(ToolError::HalfDone {
                key: known.key.to_string(),
                why: "an earlier crash left it so".to_owned(),
            });
        }
    };
    Ok(Some(Executed {
        outcome,
        replayed: true,
        tool_us: 0,
    }))
}

fn text_of(plan: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(plan).map_err(|error| ToolError::Defect(error.to_string()))
}
