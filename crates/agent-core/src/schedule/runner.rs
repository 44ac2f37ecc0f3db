//! The task that states the goals of schedules when their times come.
//!
//! It looks at the wall clock again at least every [`LONGEST`], so that a clock that is set, or a machine that slept, is
//! noticed.

use super::{Due, Schedule};
use crate::core::Core;
use crate::engine::Engine;
use crate::error::Error;
use crate::journal::Settled;
use crate::model::cause::utc;
use aios_core::id::GoalId;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Longest time without looking at the clock.
const LONGEST: Duration = Duration::from_secs(60);
/// Pause after a planned time could not be settled yet.
const AGAIN: Duration = Duration::from_secs(2);

/// A handle on the runner. Cheap to clone.
#[derive(Clone)]
pub struct Schedules {
    changed: Arc<Notify>,
}

impl Schedules {
    /// Starts the runner.
    pub fn start(core: &Arc<Core>, engine: &Engine) -> Self {
        let changed = Arc::new(Notify::new());
        let runner = Runner {
            core: Arc::clone(core),
            engine: engine.clone(),
            changed: Arc::clone(&changed),
        };
        core.tasks.spawn("schedules", runner.run());
        Self { changed }
    }

    /// Says that a schedule was added or removed.
    pub fn changed(&self) {
        self.changed.notify_one();
    }
}

struct Runner {
    core: Arc<Core>,
    engine: Engine,
    changed: Arc<Notify>,
}

impl Runner {
    async fn run(self) {
        let end = self.core.tasks.token();
        loop {
            let pause = match self.round().await {
                Ok(pause) => pause,
                Err(Error::JournalClosed | Error::ShuttingDown) => return,
                Err(error) => {
                    tracing::error!(%error, "schedules cannot be looked at; trying again");
                    LONGEST
                }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
                () = end.cancelled() => return,
            }
        }
    }

    /// Settles what is due, and says how long nothing will be.
    async fn round(&self) -> Result<Duration, Error> {
        let mut pause = LONGEST;
        for schedule in self.core.journal.schedules().await? {
            match self.look(schedule).await {
                Ok(next) => pause = pause.min(next),
                Err(error @ (Error::JournalClosed | Error::ShuttingDown)) => return Err(error),
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "a planned time cannot be settled yet");
                    pause = pause.min(AGAIN);
                }
                Err(error) => tracing::error!(%error, "a schedule cannot be served"),
            }
        }
        Ok(pause)
    }

    /// Settles what is due of one, and says how long nothing will be.
    async fn look(&self, mut schedule: Schedule) -> Result<Duration, Error> {
        let now_ms = self.core.clock.now_ms();
        if schedule.is_ahead(now_ms) {
            tracing::warn!(schedule = %schedule.id, "was served by a clock that was ahead; going on from now");
            self.core.journal.rewind_schedule(schedule.id, now_ms).await?;
            schedule.settled_ms = now_ms;
        }
        if let Some(due) = schedule.due(now_ms)? {
            self.settle(&schedule, due).await?;
        }
        let now_ms = self.core.clock.now_ms();
        let next = schedule.next(now_ms)?;
        Ok(next.map_or(LONGEST, |next| {
            Duration::from_millis(u64::try_from(next - now_ms).unwrap_or_default())
        }))
    }

    async fn settle(&self, schedule: &Schedule, due: Due) -> Result<(), Error> {
        let planned_ms = due.planned_ms;
        let settled = match self.objection(schedule, &due).await? {
            Some(reason) => {
                self.core
                    .journal
                    .skip_scheduled(schedule.id, planned_ms, reason)
                    .await?
            }
            None => {
                self.core
                    .journal
                    .state_scheduled(schedule.clone(), due, self.core.ids.goal())
                    .await?
            }
        };
        match settled {
            Settled::Stated(goal) => {
                tracing::info!(schedule = %schedule.id, goal = %goal.id, "a schedule stated its goal");
                self.engine.go(goal.id, goal.priority).await?;
            }
            Settled::Skipped(reason) => {
                tracing::warn!(schedule = %schedule.id, planned_ms, reason, "a run of a schedule was skipped");
            }
            Settled::Known => {}
        }
        Ok(())
    }

    /// Why the goal must not be stated now, whatever the journal says.
    async fn objection(&self, schedule: &Schedule, due: &Due) -> Result<Option<String>, Error> {
        let until_ms = schedule.until_ms(due.planned_ms);
        if let Some(until_ms) = until_ms.filter(|until_ms| *until_ms <= self.core.clock.now_ms()) {
            return Ok(Some(format!("its window ended at {}", utc(until_ms))));
        }
        if let Some(stop) = self.core.guard_view.stopped() {
            return Ok(Some(format!("an emergency stop by {} is on", stop.by)));
        }
        // Root needs no enrolment. Whoever else lost theirs lost what they had planned, too.
        if schedule.uid != 0 && self.core.clients.person(schedule.uid).await?.is_none() {
            return Ok(Some(format!(
                "{} is no longer an enrolled person",
                schedule.added_by
            )));
        }
        Ok(None)
    }
}

/// Why a run is skipped whose predecessor still goes on.
pub(crate) fn overlap(goal: GoalId, state: &str) -> String {
    format!("goal {goal} of the run before is still {state}")
}
