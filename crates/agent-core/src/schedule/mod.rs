//! Goals that are stated again and again at given times, on behalf of the person who asked for it.
//!
//! A schedule lies in the journal's database with the moment up to which its planned times are settled. A planned time
//! is settled once, in the transaction that stores its goal or the reason why there is none, so a crash neither loses
//! nor doubles it. Of planned times that went by while nothing ran, the last one is caught up on, and no other.
//!
//! A schedule may have a *window*, which begins at each planned time. Its goal is stated somewhere in the first half, at
//! a moment that the schedule's id says, so that machines with the same words do not all come at once and each has
//! its own, always the same; and it changes nothing any more once the window is over, however late a person answers.
//!
//! Not here: what follows once a goal is stored; that is the engine's, as for every goal.

pub mod cron;
mod error;
mod runner;

pub use error::ScheduleError;
pub use runner::Schedules;
pub(crate) use runner::overlap;

use crate::error::Error;
use crate::model::cause::Cause;
use crate::model::event::{Autonomy, Event, Origin};
use aios_core::id::{GoalId, ScheduleId};
use cron::Cron;
use serde::{Deserialize, Serialize};

/// Most schedules at once.
pub const MOST: usize = 200;
/// How late a run is before its lateness is worth a word, milliseconds.
const LATE_MS: i64 = 120_000;
/// How far ahead of the clock the settled moment may be before the clock of before is taken to have been wrong,
/// milliseconds.
const CLOCK_WAS_WRONG_MS: i64 = 3_600_000;
/// Shortest and longest window, milliseconds: a minute, a week.
const WINDOWS_MS: std::ops::RangeInclusive<u64> = 60_000..=604_800_000;

/// A goal that is stated again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// When, five fields.
    pub cron: String,
    /// IANA name of the time zone that the fields are in.
    pub time_zone: String,
    /// Length of the window that begins at each planned time, milliseconds; 0 for none.
    #[serde(default)]
    pub window_ms: u64,
    /// The person's words.
    pub text: String,
    /// Autonomy of its goals.
    pub autonomy: Autonomy,
    /// Priority of its goals, 0 to 9.
    pub priority: u8,
    /// uid of the person.
    pub uid: u32,
    /// User name of the person.
    pub added_by: String,
    /// Added at, UTC milliseconds.
    pub added_ms: i64,
    /// Planned times up to here are settled, UTC milliseconds.
    #[serde(skip)]
    pub settled_ms: i64,
    /// The newest run.
    #[serde(skip)]
    pub last: Option<Run>,
}

/// What became of a planned time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Planned for, UTC milliseconds.
    pub planned_ms: i64,
    /// Settled at, UTC milliseconds.
    pub decided_ms: i64,
    /// The goal; none when it was skipped.
    pub goal: Option<GoalId>,
    /// Why it was skipped, or what is to be said of a late one; may be empty.
    pub reason: String,
}

/// A planned time that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Planned for, UTC milliseconds.
    pub planned_ms: i64,
    /// What is to be said of it; empty when it is in time.
    pub remark: String,
}

impl Schedule {
    /// The planned time to settle at `now_ms`, if any: the newest that has come.
    ///
    /// # Errors
    /// The stored expression or zone cannot be read.
    pub fn due(&self, now_ms: i64) -> Result<Option<Due>, ScheduleError> {
        let cron = self.parsed()?;
        let begun_ms = now_ms.saturating_sub(self.delay_ms());
        let Some(planned_ms) = cron.newest(self.settled_ms, begun_ms) else {
            return Ok(None);
        };
        let first = cron.next(self.settled_ms).unwrap_or(planned_ms);
        let remark = match (first < planned_ms, begun_ms - planned_ms > LATE_MS) {
            (true, _) => format!(
                "caught up once; those planned from {} on went by unserved",
                crate::model::cause::utc(first)
            ),
            (false, true) => "caught up".to_owned(),
            (false, false) => String::new(),
        };
        Ok(Some(Due { planned_ms, remark }))
    }

    /// When its next goal is stated, UTC milliseconds: the planned time, or where it has a window its own moment of that.
    ///
    /// # Errors
    /// As [`Schedule::due`].
    pub fn next(&self, now_ms: i64) -> Result<Option<i64>, ScheduleError> {
        let delay_ms = self.delay_ms();
        let planned_ms = self
            .parsed()?
            .next(self.settled_ms.max(now_ms.saturating_sub(delay_ms)));
        Ok(planned_ms.map(|planned_ms| planned_ms.saturating_add(delay_ms)))
    }

    /// End of the window that began at a planned time, UTC milliseconds; none without a window.
    pub fn until_ms(&self, planned_ms: i64) -> Option<i64> {
        let window_ms = i64::try_from(self.window_ms).unwrap_or(i64::MAX);
        (window_ms > 0).then(|| planned_ms.saturating_add(window_ms))
    }

    /// How far into its windows it comes: somewhere in the first half, which leaves the second for the work.
    fn delay_ms(&self) -> i64 {
        // The lower half of a UUIDv7 is random, RFC 9562.
        let (_, random) = self.id.as_uuid().as_u64_pair();
        i64::try_from(random % (self.window_ms / 2 + 1)).unwrap_or_default()
    }

    /// Whether it was settled by a clock that was far ahead, and would now wait for that time to come again.
    pub fn is_ahead(&self, now_ms: i64) -> bool {
        self.settled_ms > now_ms.saturating_add(CLOCK_WAS_WRONG_MS)
    }

    fn parsed(&self) -> Result<Cron, ScheduleError> {
        Cron::parse(&self.cron, &self.time_zone)
    }

    /// The submission of the goal of a planned time.
    pub fn goal(&self, planned_ms: i64) -> Event {
        Event::Submitted {
            text: self.text.clone(),
            priority: self.priority,
            autonomy: self.autonomy,
            dry_run: false,
            submitted_by: self.added_by.clone(),
            uid: self.uid,
            client_id: client_id(self.id, planned_ms),
            origin: Origin::Text,
            cause: Cause::Schedule {
                schedule: self.id,
                planned_ms,
                until_ms: self.until_ms(planned_ms),
            },
        }
    }
}

/// The client id of the goal of one planned time: the schedule's random bits under the planned time, so that the same
/// run always has the same and another never.
fn client_id(schedule: ScheduleId, planned_ms: i64) -> String {
    let random = schedule.as_uuid().as_u128() & ((1 << 80) - 1);
    // A UUIDv7 holds 48 bits of time, enough for every year that cron knows.
    let time = u128::from(planned_ms.unsigned_abs() & ((1 << 48) - 1)) << 80;
    uuid::Uuid::from_u128(time | random).to_string()
}

/// A schedule as a person asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    /// When.
    pub cron: String,
    /// IANA name; empty means the machine's.
    pub time_zone: String,
    /// Length of the window that begins at each planned time, milliseconds; 0 for none.
    pub window_ms: u64,
    /// The person's words.
    pub text: String,
    /// Autonomy of its goals.
    pub autonomy: Autonomy,
    /// Priority of its goals, 0 to 9.
    pub priority: u8,
}

impl NewSchedule {
    /// The schedule, checked: it has a next time in a zone that this machine knows.
    ///
    /// # Errors
    /// [`ScheduleError`] names what is wrong with the expression, the zone or the window.
    pub fn accept(self, id: ScheduleId, uid: u32, added_by: String, now_ms: i64) -> Result<Schedule, Error> {
        let time_zone = if self.time_zone.is_empty() {
            cron::machine_zone()
        } else {
            self.time_zone
        };
        let parsed = Cron::parse(&self.cron, &time_zone)?;
        if self.window_ms != 0 && !WINDOWS_MS.contains(&self.window_ms) {
            return Err(ScheduleError::Window(self.window_ms).into());
        }
        if parsed.next(now_ms).is_none() {
            return Err(ScheduleError::Never { cron: self.cron }.into());
        }
        Ok(Schedule {
            id,
            cron: self.cron.split_whitespace().collect::<Vec<_>>().join(" "),
            time_zone,
            window_ms: self.window_ms,
            text: self.text,
            autonomy: self.autonomy,
            priority: self.priority,
            uid,
            added_by,
            added_ms: now_ms,
            settled_ms: now_ms,
            last: None,
        })
    }
}

#[cfg(test)]
mod tests;
