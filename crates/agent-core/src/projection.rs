//! Telling memory what happened: journal events, in order, from wherever memory stands. Memory is for later:
//! goals at work come first, and memory hears of them when they pause, or a second late. Its being away holds
//! nothing up; it catches up when it is back.

use crate::core::Core;
use crate::error::Error;
use crate::journal::Recorded;
use aios_proto::memory::v1::{GetPositionRequest, ProjectRequest, WorkingEvent};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Events sent at once: few enough that nobody notices the work.
const BATCH: u32 = 25;
/// Pause after memory could not be reached.
const PAUSE: Duration = Duration::from_secs(2);
/// Pause between two batches.
const BREATH: Duration = Duration::from_millis(2);
/// When nothing has happened for so long, memory is told.
const QUIET: Duration = Duration::from_millis(50);
/// How often [`QUIET`] is waited for at most.
const MOST_WAITS: u32 = 20;

/// Projects until the orchestrator ends.
pub fn start(core: &Arc<Core>) {
    let end = core.tasks.token();
    let core = Arc::clone(core);
    let tasks = core.tasks.clone();
    tasks.spawn("memory projection", async move {
        let project = async {
            loop {
                if let Err(error) = follow(&core).await {
                    tracing::debug!(%error, "memory is not there; it will catch up");
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = project => {}
            () = end.cancelled() => {}
        }
    });
}

async fn follow(core: &Core) -> Result<(), Error> {
    let failed = |status: tonic::Status| crate::clients::failure("aios-memory", &status);
    let mut memory = core.clients.memory();
    let mut position = memory
        .get_position(GetPositionRequest {})
        .await
        .map_err(failed)?
        .into_inner()
        .position;
    let mut newest = core.journal.last_seq();
    loop {
        let events = core.journal.events(None, position + 1, BATCH).await?;
        if events.is_empty() {
            newest
                .wait_for(|seq| *seq > position)
                .await
                .map_err(|_| Error::ShuttingDown)?;
            quiet(&newest).await;
            continue;
        }
        let request = ProjectRequest {
            events: events.into_iter().map(working).collect(),
        };
        let answer = memory.project(request).await.map_err(failed)?.into_inner();
        if answer.position <= position {
            return Err(Error::Unreachable {
                service: "aios-memory",
                problem: format!("it stays at event {position}"),
            });
        }
        position = answer.position;
        tokio::time::sleep(BREATH).await;
    }
}

async fn quiet(newest: &watch::Receiver<u64>) {
    for _ in 0..MOST_WAITS {
        let before = *newest.borrow();
        tokio::time::sleep(QUIET).await;
        if *newest.borrow() == before {
            return;
        }
    }
}

fn working(event: Recorded) -> WorkingEvent {
    WorkingEvent {
        seq: event.seq,
        time_ms: event.time_ms,
        kind: event.kind,
        goal_id: event.goal.to_string(),
        task_id: event.task,
        body_json: event.body,
        tainted: event.tainted,
    }
}
