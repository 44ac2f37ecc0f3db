//! What persons ask about schedules.

use super::{Service, convert, requests};
use crate::callers::Person;
use crate::error::Error;
use crate::model::event::Autonomy;
use crate::planner;
use crate::schedule::{NewSchedule, Run, Schedule, ScheduleError};
use crate::trigger::{Answered, Trigger};
use aios_core::rpc::Refused;
use aios_proto::orchestrator::v1 as api;

impl Service {
    pub(super) async fn add_schedule(
        &self,
        request: api::AddScheduleRequest,
        person: Person,
    ) -> Result<api::Schedule, Error> {
        // Nobody is asked when a planned time comes, so full autonomy is only what a person says.
        let usual = self.core.config.autonomy.min(Autonomy::Supervised);
        let new = NewSchedule {
            cron: request.cron,
            time_zone: request.time_zone,
            window_ms: request.window_ms,
            text: requests::goal_text(request.text)?,
            autonomy: requests::autonomy(request.autonomy)?.unwrap_or(usual),
            priority: requests::priority(request.priority)?,
        };
        self.understood(&new.text)?;
        let now_ms = self.core.clock.now_ms();
        let schedule = new.accept(self.core.ids.schedule(), person.uid, person.name, now_ms)?;
        self.core.journal.add_schedule(schedule.clone()).await?;
        tracing::info!(schedule = %schedule.id, by = schedule.added_by, "a schedule was added");
        self.schedules.changed();
        self.wire(&schedule)
    }

    /// Words that fit nothing would be asked about at every planned time, when nobody is there.
    fn understood(&self, text: &str) -> Result<(), Error> {
        let mut ids = || self.core.ids.task();
        match planner::from_words(&self.core.runbooks, text, false, &mut ids) {
            Err(Error::Intent(error)) => Err(Error::field(
                "text",
                planner::question(&error, &self.core.runbooks),
            )),
            other => other.map(drop),
        }
    }

    pub(super) async fn list_schedules(&self) -> Result<api::ListSchedulesResponse, Error> {
        let schedules = self.core.journal.schedules().await?;
        let answered = self.core.journal.triggered().await?;
        Ok(api::ListSchedulesResponse {
            schedules: schedules
                .iter()
                .map(|schedule| self.wire(schedule))
                .collect::<Result<_, _>>()?,
            triggers: self
                .core
                .triggers
                .iter()
                .map(|trigger| wire_trigger(trigger, &answered))
                .collect(),
        })
    }

    pub(super) async fn remove_schedule(&self, part: &str, person: Person) -> Result<api::Schedule, Error> {
        let schedule = self.core.journal.find_schedule(part.to_owned()).await?;
        if person.uid != 0 && person.uid != schedule.uid {
            let error: Error = ScheduleError::NotYours {
                schedule: schedule.id,
                owner: schedule.added_by,
            }
            .into();
            let refused = Refused {
                uid: Some(person.uid),
                rpc: "RemoveSchedule",
                check: "owner",
                goal_id: String::new(),
                report: error.report(),
            };
            self.callers.refusal(refused).await;
            return Err(error);
        }
        self.core.journal.remove_schedule(schedule.id).await?;
        tracing::info!(schedule = %schedule.id, by = person.name, "a schedule was removed");
        self.schedules.changed();
        self.wire(&schedule)
    }

    fn wire(&self, schedule: &Schedule) -> Result<api::Schedule, Error> {
        let next = schedule.next(self.core.clock.now_ms())?;
        Ok(api::Schedule {
            schedule_id: schedule.id.to_string(),
            cron: schedule.cron.clone(),
            time_zone: schedule.time_zone.clone(),
            text: schedule.text.clone(),
            autonomy: convert::autonomy(schedule.autonomy).into(),
            priority: schedule.priority.into(),
            added_by: schedule.added_by.clone(),
            added_at_ms: schedule.added_ms,
            next_at_ms: next.unwrap_or_default(),
            last_run: schedule.last.as_ref().map(run),
            window_ms: schedule.window_ms,
        })
    }
}

fn run(run: &Run) -> api::ScheduleRun {
    api::ScheduleRun {
        planned_at_ms: run.planned_ms,
        decided_at_ms: run.decided_ms,
        outcome: if run.goal.is_some() { "stated" } else { "skipped" }.to_owned(),
        goal_id: run.goal.map(|goal| goal.to_string()).unwrap_or_default(),
        reason: run.reason.clone(),
    }
}

fn wire_trigger(trigger: &Trigger, answered: &[Answered]) -> api::Trigger {
    let subjects = answered.iter().filter(|it| it.trigger == trigger.name);
    api::Trigger {
        name: trigger.name.clone(),
        on: trigger.on.as_str().to_owned(),
        text: trigger.goal.clone(),
        window_ms: trigger.window_ms,
        autonomy: convert::autonomy(trigger.autonomy).into(),
        subjects: subjects
            .map(|it| api::TriggerSubject {
                subject: it.subject.clone(),
                goal_id: it.goal.to_string(),
                stated_at_ms: it.stated_ms,
                suppressed: it.suppressed.into(),
                reason: it.reason.clone(),
            })
            .collect(),
    }
}
