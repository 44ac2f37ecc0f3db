//! Schedules and triggers as a person sees them.

use aios_proto::orchestrator::v1 as api;
use serde::Serialize;

use crate::goal::autonomy_word;
use crate::time;

/// A goal that is stated again and again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScheduleView {
    /// A UUID.
    pub schedule_id: String,
    /// When, five fields.
    pub cron: String,
    /// IANA name of the time zone that `cron` is in.
    pub time_zone: String,
    /// Length of the window that begins at each planned time, milliseconds; 0 for none.
    pub window_ms: u64,
    /// What the person wants.
    pub text: String,
    /// How much its goals ask: `manual`, `supervised` or `full`.
    pub autonomy: String,
    /// Priority of its goals, 0 to 9.
    pub priority: u32,
    /// On whose behalf.
    pub added_by: String,
    /// Added at, RFC 3339.
    pub added_at: Option<String>,
    /// When its next goal is stated, RFC 3339.
    pub next_at: Option<String>,
    /// The newest run.
    pub last_run: Option<ScheduleRunView>,
}

/// What became of a planned time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScheduleRunView {
    /// Planned for, RFC 3339.
    pub planned_at: Option<String>,
    /// Decided at, RFC 3339.
    pub decided_at: Option<String>,
    /// `stated` or `skipped`.
    pub outcome: String,
    /// The goal, or empty.
    pub goal_id: String,
    /// Why it was skipped, or what is to be said of a late one.
    pub reason: String,
}

impl From<api::Schedule> for ScheduleView {
    fn from(schedule: api::Schedule) -> Self {
        Self {
            autonomy: autonomy_word(schedule.autonomy()).to_owned(),
            added_at: time::rfc3339(schedule.added_at_ms),
            next_at: time::rfc3339(schedule.next_at_ms),
            last_run: schedule.last_run.map(Into::into),
            schedule_id: schedule.schedule_id,
            cron: schedule.cron,
            time_zone: schedule.time_zone,
            window_ms: schedule.window_ms,
            text: schedule.text,
            priority: schedule.priority,
            added_by: schedule.added_by,
        }
    }
}

impl From<api::ScheduleRun> for ScheduleRunView {
    fn from(run: api::ScheduleRun) -> Self {
        Self {
            planned_at: time::rfc3339(run.planned_at_ms),
            decided_at: time::rfc3339(run.decided_at_ms),
            outcome: run.outcome,
            goal_id: run.goal_id,
            reason: run.reason,
        }
    }
}

/// A goal that is stated when something happens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TriggerView {
    /// Name.
    pub name: String,
    /// Event, `service.failed`.
    pub on: String,
    /// The goal's text.
    pub text: String,
    /// At most one goal for a subject in this time, milliseconds.
    pub window_ms: u64,
    /// How much its goals ask: `manual`, `supervised` or `full`.
    pub autonomy: String,
    /// What it has answered.
    pub subjects: Vec<TriggerSubjectView>,
}

/// What a trigger answered about one subject.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TriggerSubjectView {
    /// What it happened to.
    pub subject: String,
    /// The newest goal.
    pub goal_id: String,
    /// When that was stated, RFC 3339.
    pub stated_at: Option<String>,
    /// Events since then for which no goal was stated.
    pub suppressed: u64,
    /// The newest reason.
    pub reason: String,
}

impl From<api::Trigger> for TriggerView {
    fn from(trigger: api::Trigger) -> Self {
        let subjects = trigger.subjects.iter().map(|subject| TriggerSubjectView {
            subject: subject.subject.clone(),
            goal_id: subject.goal_id.clone(),
            stated_at: time::rfc3339(subject.stated_at_ms),
            suppressed: subject.suppressed,
            reason: subject.reason.clone(),
        });
        Self {
            autonomy: autonomy_word(trigger.autonomy()).to_owned(),
            subjects: subjects.collect(),
            name: trigger.name,
            on: trigger.on,
            text: trigger.text,
            window_ms: trigger.window_ms,
        }
    }
}

/// Both lists.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SchedulesView {
    /// Oldest first.
    pub schedules: Vec<ScheduleView>,
    /// By name.
    pub triggers: Vec<TriggerView>,
}

impl From<api::ListSchedulesResponse> for SchedulesView {
    fn from(list: api::ListSchedulesResponse) -> Self {
        Self {
            schedules: list.schedules.into_iter().map(Into::into).collect(),
            triggers: list.triggers.into_iter().map(Into::into).collect(),
        }
    }
}
