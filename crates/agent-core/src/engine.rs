//! Which goals run: at most so many at once, the most important and oldest first. One task owns this;
//! [`Engine`] is the handle.

use crate::conductor;
use crate::core::Core;
use crate::error::Error;
use aios_core::id::GoalId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Messages that may wait for the engine; when full, senders wait.
const QUEUE: usize = 256;
/// How often the pause after a failure is longer than between attempts to reach a service.
const PAUSES: u32 = 4;

enum Ask {
    Start(GoalId, u8),
    Cancel(GoalId),
}

/// A handle on the engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    asks: mpsc::Sender<Ask>,
}

impl Engine {
    /// Starts the engine and every goal that has not ended.
    ///
    /// # Errors
    /// The journal fails.
    pub async fn start(core: &Arc<Core>) -> Result<Self, Error> {
        let (asks, queue) = mpsc::channel(QUEUE);
        let mut state = State::new(core);
        for id in core.journal.unfinished().await? {
            let goal = core.journal.goal(id).await?;
            tracing::info!(goal = %id, state = %goal.state, "going on with a goal");
            // Others may wait for what it holds.
            let priority = match goal.holds.is_empty() {
                true => goal.priority,
                false => u8::MAX,
            };
            state.waiting.insert((Reverse(priority), id));
        }
        core.tasks.spawn("engine", state.run(queue));
        Ok(Self { asks })
    }

    /// Carries a goal on: a new one, or one that was answered.
    ///
    /// # Errors
    /// The orchestrator ends; the goal goes on when it is back.
    pub async fn go(&self, goal: GoalId, priority: u8) -> Result<(), Error> {
        self.asks
            .send(Ask::Start(goal, priority))
            .await
            .map_err(|_| Error::ShuttingDown)
    }

    /// Stops the work of a goal whose cancellation is in the journal.
    ///
    /// # Errors
    /// As [`Engine::go`].
    pub async fn cancel(&self, goal: GoalId) -> Result<(), Error> {
        self.asks
            .send(Ask::Cancel(goal))
            .await
            .map_err(|_| Error::ShuttingDown)
    }
}

struct Running {
    cancel: CancellationToken,
    work: tokio::task::Id,
    /// Something happened to the goal meanwhile; look at it again afterwards.
    again: Option<u8>,
}

struct State {
    core: Arc<Core>,
    waiting: BTreeSet<(Reverse<u8>, GoalId)>,
    running: BTreeMap<GoalId, Running>,
    work: JoinSet<GoalId>,
}

impl State {
    fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            waiting: BTreeSet::new(),
            running: BTreeMap::new(),
            work: JoinSet::new(),
        }
    }

    async fn run(mut self, mut queue: mpsc::Receiver<Ask>) {
        let end = self.core.tasks.token();
        let mut locks = self.core.locks.changes();
        loop {
            locks.mark_unchanged();
            while self.at_work() < self.core.config.max_running_goals
                && let Some((_, goal)) = self.waiting.pop_first()
            {
                self.begin(goal);
            }
            tokio::select! {
                ask = queue.recv() => match ask {
                    Some(Ask::Start(goal, priority)) => self.wanted(goal, priority),
                    Some(Ask::Cancel(goal)) => self.cancel(goal),
                    None => return,
                },
                Some(ended) = self.work.join_next() => match ended {
                    Ok(goal) => self.ended(goal),
                    Err(error) => self.panicked(&error),
                },
                // Who waits for another goal leaves its place to somebody else meanwhile.
                Ok(()) = locks.changed() => {}
                () = end.cancelled() => return,
            }
        }
    }

    fn at_work(&self) -> usize {
        self.running.len().saturating_sub(self.core.locks.waiting())
    }

    fn wanted(&mut self, goal: GoalId, priority: u8) {
        match self.running.get_mut(&goal) {
            Some(running) => running.again = Some(priority),
            None => {
                self.waiting.insert((Reverse(priority), goal));
            }
        }
    }

    /// Ending a goal needs no place among those that run.
    fn cancel(&mut self, goal: GoalId) {
        match self.running.get_mut(&goal) {
            Some(running) => {
                running.cancel.cancel();
                running.again = Some(u8::MAX);
            }
            None => {
                self.waiting.retain(|(_, waiting)| *waiting != goal);
                self.begin(goal);
            }
        }
    }

    fn ended(&mut self, goal: GoalId) {
        if let Some(priority) = self.running.remove(&goal).and_then(|running| running.again) {
            self.waiting.insert((Reverse(priority), goal));
        }
    }

    /// A defect: the goal is held until the orchestrator starts again, and its place is free.
    fn panicked(&mut self, error: &tokio::task::JoinError) {
        let goal = self
            .running
            .iter()
            .find(|(_, running)| running.work == error.id())
            .map(|(goal, _)| *goal);
        tracing::error!(?goal, %error, "the conductor of a goal ended by a panic");
        if let Some(goal) = goal {
            self.running.remove(&goal);
        }
    }

    fn begin(&mut self, goal: GoalId) {
        let cancel = CancellationToken::new();
        let core = Arc::clone(&self.core);
        let stop = cancel.clone();
        let work = self.work.spawn(async move {
            carry(&core, goal, &stop).await;
            goal
        });
        let running = Running {
            cancel,
            work: work.id(),
            again: None,
        };
        self.running.insert(goal, running);
    }
}

/// Carries a goal on however often that takes.
async fn carry(core: &Arc<Core>, goal: GoalId, cancel: &CancellationToken) {
    let pause = Duration::from_millis(core.config.retry_ms) * PAUSES;
    loop {
        let error = match Box::pin(conductor::conduct(core, goal, cancel)).await {
            Ok(()) => return,
            Err(Error::JournalClosed | Error::ShuttingDown) => return,
            Err(error) => error,
        };
        if error.is_transient() {
            tracing::warn!(%goal, %error, "a goal is held up; trying again");
        } else {
            tracing::error!(%goal, %error, "a goal cannot be carried on");
            match conductor::fail(core, goal, &error).await {
                Ok(()) => return,
                Err(error) => tracing::error!(%goal, %error, "the failure of a goal cannot be journaled"),
            }
        }
        tokio::time::sleep(pause).await;
    }
}
