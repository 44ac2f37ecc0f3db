//! The stream of events. It reads the journal, always, and only wakes up by the announcement of newer
//! events: so there is no gap between what was and what is.

use super::{EventStream, convert, requests};
use crate::core::Core;
use crate::error::Error;
use aios_core::id::GoalId;
use aios_proto::orchestrator::v1 as api;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// Events read at once.
const BATCH: u32 = 100;
/// Events that may wait for a slow reader; the journal is then not read further.
const QUEUE: usize = 100;

pub(super) async fn start(core: &Arc<Core>, request: api::WatchGoalsRequest) -> Result<EventStream, Error> {
    let goal = match request.goal_id.as_str() {
        "" => None,
        id => Some(core.journal.find(requests::goal_id(id)?).await?.id),
    };
    if request.from_seq > i64::MAX.unsigned_abs() {
        return Err(Error::field("from_seq", "is too large"));
    }
    let (events, stream) = mpsc::channel(QUEUE);
    let watch = Watch {
        core: Arc::clone(core),
        goal,
        next: request.from_seq,
        follow: request.follow,
        events,
    };
    core.tasks.spawn("watch of goals", watch.run());
    Ok(Box::pin(ReceiverStream::new(stream)))
}

struct Watch {
    core: Arc<Core>,
    goal: Option<GoalId>,
    next: u64,
    follow: bool,
    events: mpsc::Sender<Result<api::GoalEvent, Status>>,
}

impl Watch {
    async fn run(mut self) {
        let end = self.core.tasks.token();
        let reader = self.events.clone();
        let result = tokio::select! {
            result = self.copy() => result,
            () = reader.closed() => return,
            () = end.cancelled() => Err(Error::ShuttingDown),
        };
        if let Err(error) = result {
            // The reader may have left at the same moment.
            drop(reader.send(Err(error.status())).await);
        }
    }

    async fn copy(&mut self) -> Result<(), Error> {
        let mut newest = self.core.journal.last_seq();
        let mut first = true;
        loop {
            let seen = *newest.borrow_and_update();
            let mut ended = false;
            let mut more = true;
            while more {
                let batch = self.core.journal.events(self.goal, self.next, BATCH).await?;
                let Some(last) = batch.last() else { break };
                self.next = last.seq + 1;
                ended = last.goal_state.is_final();
                more = batch.len() >= BATCH as usize;
                for event in batch {
                    if self.events.send(Ok(convert::event(event))).await.is_err() {
                        return Ok(());
                    }
                }
            }
            // What ends from now on says so by an event.
            let over = ended || (first && self.has_ended().await?);
            if !self.follow || (self.goal.is_some() && over) {
                return Ok(());
            }
            first = false;
            newest
                .wait_for(|seq| *seq > seen)
                .await
                .map_err(|_| Error::ShuttingDown)?;
        }
    }

    /// Whether the one goal has ended and everything about it was sent.
    async fn has_ended(&self) -> Result<bool, Error> {
        let Some(goal) = self.goal else { return Ok(false) };
        let ended = self.core.journal.goal(goal).await?.state.is_final();
        Ok(ended
            && self
                .core
                .journal
                .events(Some(goal), self.next, 1)
                .await?
                .is_empty())
    }
}
