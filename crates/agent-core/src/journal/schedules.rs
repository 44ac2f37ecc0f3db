//! The SQL of schedules and triggers, and the journal's words for it. Whether a goal is stated is decided in the
//! transaction that stores it.

use super::store::{Store, parse_goal, read, write};
use super::{Journal, Submission};
use crate::error::Error;
use crate::model::Goal;
use crate::model::event::Event;
use crate::schedule::{Due, MOST, Run, Schedule, ScheduleError, overlap};
use crate::trigger::{Answered, Occurrence};
use aios_core::id::{GoalId, ScheduleId};
use rusqlite::{OptionalExtension, Transaction, params};

/// Runs that are kept of a schedule; its goals are kept as all goals are.
const KEPT_RUNS: u32 = 50;

/// What became of a planned time or of an event.
#[derive(Debug)]
pub enum Settled {
    /// This goal was stored.
    Stated(Box<Goal>),
    /// None was, for this reason, which is stored.
    Skipped(String),
    /// It was settled before, or the schedule is gone.
    Known,
}

impl Store {
    /// Stores a schedule.
    ///
    /// # Errors
    /// There are too many; storage errors.
    pub fn add_schedule(&mut self, schedule: &Schedule) -> Result<(), Error> {
        let count: u32 = self
            .connection
            .query_row("SELECT count(*) FROM schedules", [], |row| row.get(0))?;
        if usize::try_from(count).unwrap_or(usize::MAX) >= MOST {
            return Err(ScheduleError::Full(MOST).into());
        }
        self.connection.execute(
            "INSERT INTO schedules (schedule_id, settled_ms, body) VALUES (?1, ?2, ?3)",
            params![schedule.id.to_string(), schedule.settled_ms, write(schedule)?],
        )?;
        Ok(())
    }

    /// Schedules, oldest first, each with its newest run.
    ///
    /// # Errors
    /// Storage errors.
    pub fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        let mut rows = self
            .connection
            .prepare_cached("SELECT settled_ms, body FROM schedules ORDER BY schedule_id")?;
        let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        rows.map(|row| {
            let (settled_ms, body) = row?;
            let schedule: Schedule = read(&body)?;
            Ok(Schedule {
                settled_ms,
                last: self.last_run(schedule.id)?,
                ..schedule
            })
        })
        .collect()
    }

    fn last_run(&self, id: ScheduleId) -> Result<Option<Run>, Error> {
        let body: Option<String> = self
            .connection
            .prepare_cached(
                "SELECT body FROM schedule_runs WHERE schedule_id = ?1 ORDER BY planned_ms DESC LIMIT 1",
            )?
            .query_row([id.to_string()], |row| row.get(0))
            .optional()?;
        body.map(|body| read(&body)).transpose()
    }

    /// The schedule whose id is, begins with, or ends in `part`.
    ///
    /// # Errors
    /// None or several fit; storage errors.
    pub fn find_schedule(&self, part: &str) -> Result<Schedule, Error> {
        let shown = || part.chars().take(80).collect();
        let part_fits = part.len() >= 6;
        let fits = |schedule: &Schedule| {
            let id = schedule.id.to_string();
            let part = part.to_ascii_lowercase();
            id == part || (part_fits && (id.starts_with(&part) || id.ends_with(&part)))
        };
        let mut found = self.schedules()?.into_iter().filter(fits);
        match (found.next(), found.next()) {
            (Some(schedule), None) => Ok(schedule),
            (None, _) => Err(ScheduleError::None(shown()).into()),
            _ => Err(ScheduleError::Ambiguous(shown()).into()),
        }
    }

    /// Removes a schedule and what is known of its runs.
    ///
    /// # Errors
    /// Storage errors.
    pub fn remove_schedule(&mut self, id: ScheduleId) -> Result<(), Error> {
        let transaction = self.connection.transaction()?;
        for table in ["schedules", "schedule_runs"] {
            transaction.execute(
                &format!("DELETE FROM {table} WHERE schedule_id = ?1"),
                [id.to_string()],
            )?;
        }
        Ok(transaction.commit()?)
    }

    /// Sets back the moment up to which a schedule is settled.
    ///
    /// # Errors
    /// Storage errors.
    pub fn rewind_schedule(&mut self, id: ScheduleId, settled_ms: i64) -> Result<(), Error> {
        self.connection.execute(
            "UPDATE schedules SET settled_ms = ?2 WHERE schedule_id = ?1",
            params![id.to_string(), settled_ms],
        )?;
        Ok(())
    }

    /// Settles a planned time without a goal.
    ///
    /// # Errors
    /// Storage errors.
    pub fn skip_scheduled(
        &mut self,
        id: ScheduleId,
        planned_ms: i64,
        reason: String,
    ) -> Result<Settled, Error> {
        if self.is_settled(id, planned_ms)? {
            return Ok(Settled::Known);
        }
        let run = Run {
            planned_ms,
            decided_ms: self.clock.now_ms(),
            goal: None,
            reason: reason.clone(),
        };
        let transaction = self.connection.transaction()?;
        insert_run(&transaction, id, &run)?;
        transaction.commit()?;
        Ok(Settled::Skipped(reason))
    }

    /// Settles a planned time with its goal; without one while the goal of the run before goes on.
    ///
    /// # Errors
    /// Storage errors.
    pub fn state_scheduled(
        &mut self,
        schedule: &Schedule,
        due: &Due,
        goal: GoalId,
    ) -> Result<Settled, Error> {
        if self.is_settled(schedule.id, due.planned_ms)? {
            return Ok(Settled::Known);
        }
        if let Some(before) = self.goal_of_last_run(schedule.id)?
            && !before.state.is_final()
        {
            let reason = overlap(before.id, before.state.as_str());
            return self.skip_scheduled(schedule.id, due.planned_ms, reason);
        }
        let decided_ms = self.clock.now_ms();
        let id = schedule.id;
        let (goal, _) = self.submit_with(goal, &schedule.goal(due.planned_ms), |transaction, goal| {
            let run = Run {
                planned_ms: due.planned_ms,
                decided_ms,
                goal: Some(goal.id),
                reason: due.remark.clone(),
            };
            insert_run(transaction, id, &run)
        })?;
        Ok(Settled::Stated(Box::new(goal)))
    }

    /// Whether nothing is left to be settled: it is, or the schedule was removed.
    fn is_settled(&self, id: ScheduleId, planned_ms: i64) -> Result<bool, Error> {
        Ok(self
            .connection
            .prepare_cached(
                "SELECT NOT EXISTS (SELECT 1 FROM schedules WHERE schedule_id = ?1)
                     OR EXISTS (SELECT 1 FROM schedule_runs WHERE schedule_id = ?1 AND planned_ms = ?2)",
            )?
            .query_row(params![id.to_string(), planned_ms], |row| row.get(0))?)
    }

    fn goal_of_last_run(&self, id: ScheduleId) -> Result<Option<Goal>, Error> {
        let goal: Option<String> = self
            .connection
            .prepare_cached(
                "SELECT goal_id FROM schedule_runs WHERE schedule_id = ?1 AND goal_id <> ''
                 ORDER BY planned_ms DESC LIMIT 1",
            )?
            .query_row([id.to_string()], |row| row.get(0))
            .optional()?;
        goal.map(|goal| self.goal(parse_goal(&goal)?)).transpose()
    }

    /// States the goal of an event, unless one was stated of the same not long ago, or still goes on.
    ///
    /// # Errors
    /// Storage errors.
    pub fn state_triggered(
        &mut self,
        occurrence: &Occurrence,
        goal: GoalId,
        event: &Event,
    ) -> Result<Settled, Error> {
        let now_ms = self.clock.now_ms();
        if let Some(before) = self.answered(&occurrence.trigger, &occurrence.subject)? {
            let since = now_ms.saturating_sub(before.stated_ms);
            let goal = self.goal(before.goal)?;
            let why = if (0..occurrence.window_ms).contains(&since) {
                Some(format!("goal {} was stated {since} ms before", goal.id))
            } else if !goal.state.is_final() {
                Some(format!("goal {} is still {}", goal.id, goal.state))
            } else {
                None
            };
            if let Some(why) = why {
                return self.suppress(occurrence, &why);
            }
        }
        let (goal, submission) = self.submit_with(goal, event, |transaction, goal| {
            transaction.execute(
                "INSERT INTO triggered (trigger_name, subject, goal_id, stated_ms, suppressed, reason)
                 VALUES (?1, ?2, ?3, ?4, 0, ?5)
                 ON CONFLICT (trigger_name, subject) DO UPDATE SET goal_id = excluded.goal_id,
                     stated_ms = excluded.stated_ms, suppressed = 0, reason = excluded.reason",
                params![
                    occurrence.trigger,
                    occurrence.subject,
                    goal.id.to_string(),
                    now_ms,
                    occurrence.reason
                ],
            )?;
            Ok(())
        })?;
        Ok(match submission {
            Submission::New => Settled::Stated(Box::new(goal)),
            Submission::Repeated => Settled::Known,
        })
    }

    fn suppress(&mut self, occurrence: &Occurrence, why: &str) -> Result<Settled, Error> {
        let reason = format!("{}; {why}", occurrence.reason);
        self.connection.execute(
            "UPDATE triggered SET suppressed = suppressed + 1, reason = ?3 WHERE trigger_name = ?1 AND subject = ?2",
            params![occurrence.trigger, occurrence.subject, reason],
        )?;
        Ok(Settled::Skipped(reason))
    }

    fn answered(&self, trigger: &str, subject: &str) -> Result<Option<Answered>, Error> {
        let all = self.triggered()?;
        Ok(all
            .into_iter()
            .find(|answered| answered.trigger == trigger && answered.subject == subject))
    }

    /// What triggers answered, by trigger and subject.
    ///
    /// # Errors
    /// Storage errors.
    pub fn triggered(&self) -> Result<Vec<Answered>, Error> {
        let mut rows = self.connection.prepare_cached(
            "SELECT trigger_name, subject, goal_id, stated_ms, suppressed, reason FROM triggered
             ORDER BY trigger_name, subject",
        )?;
        let mut found = Vec::new();
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            found.push(Answered {
                trigger: row.get(0)?,
                subject: row.get(1)?,
                goal: parse_goal(&row.get::<_, String>(2)?)?,
                stated_ms: row.get(3)?,
                suppressed: row.get(4)?,
                reason: row.get(5)?,
            });
        }
        Ok(found)
    }
}

/// Stores what became of a planned time, and that everything up to it is settled.
fn insert_run(transaction: &Transaction<'_>, id: ScheduleId, run: &Run) -> Result<(), Error> {
    let id = id.to_string();
    let goal = run.goal.map(|goal| goal.to_string()).unwrap_or_default();
    transaction.execute(
        "INSERT INTO schedule_runs (schedule_id, planned_ms, goal_id, body) VALUES (?1, ?2, ?3, ?4)",
        params![id, run.planned_ms, goal, write(run)?],
    )?;
    transaction.execute(
        "UPDATE schedules SET settled_ms = ?2 WHERE schedule_id = ?1",
        params![id, run.planned_ms],
    )?;
    // The newest that stated a goal stays, however many were skipped since: what follows is held against it.
    transaction.execute(
        "DELETE FROM schedule_runs WHERE schedule_id = ?1
             AND planned_ms NOT IN (SELECT planned_ms FROM schedule_runs WHERE schedule_id = ?1
                                    ORDER BY planned_ms DESC LIMIT ?2)
             AND planned_ms <> coalesce((SELECT max(planned_ms) FROM schedule_runs
                                         WHERE schedule_id = ?1 AND goal_id <> ''), 0)",
        params![id, KEPT_RUNS],
    )?;
    Ok(())
}

impl Journal {
    /// See [`Store::add_schedule`].
    ///
    /// # Errors
    /// As there.
    pub async fn add_schedule(&self, schedule: Schedule) -> Result<(), Error> {
        self.ask(move |store| store.add_schedule(&schedule)).await
    }

    /// See [`Store::schedules`].
    ///
    /// # Errors
    /// As there.
    pub async fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        self.ask(|store| store.schedules()).await
    }

    /// See [`Store::find_schedule`].
    ///
    /// # Errors
    /// As there.
    pub async fn find_schedule(&self, part: String) -> Result<Schedule, Error> {
        self.ask(move |store| store.find_schedule(&part)).await
    }

    /// See [`Store::remove_schedule`].
    ///
    /// # Errors
    /// As there.
    pub async fn remove_schedule(&self, id: ScheduleId) -> Result<(), Error> {
        self.ask(move |store| store.remove_schedule(id)).await
    }

    /// See [`Store::rewind_schedule`].
    ///
    /// # Errors
    /// As there.
    pub async fn rewind_schedule(&self, id: ScheduleId, settled_ms: i64) -> Result<(), Error> {
        self.ask(move |store| store.rewind_schedule(id, settled_ms)).await
    }

    /// See [`Store::skip_scheduled`].
    ///
    /// # Errors
    /// As there.
    pub async fn skip_scheduled(
        &self,
        id: ScheduleId,
        planned_ms: i64,
        reason: String,
    ) -> Result<Settled, Error> {
        self.ask(move |store| store.skip_scheduled(id, planned_ms, reason))
            .await
    }

    /// See [`Store::state_scheduled`].
    ///
    /// # Errors
    /// As there.
    pub async fn state_scheduled(
        &self,
        schedule: Schedule,
        due: Due,
        goal: GoalId,
    ) -> Result<Settled, Error> {
        self.ask(move |store| store.state_scheduled(&schedule, &due, goal))
            .await
    }

    /// See [`Store::state_triggered`].
    ///
    /// # Errors
    /// As there.
    pub async fn state_triggered(
        &self,
        occurrence: Occurrence,
        goal: GoalId,
        event: Event,
    ) -> Result<Settled, Error> {
        self.ask(move |store| store.state_triggered(&occurrence, goal, &event))
            .await
    }

    /// See [`Store::triggered`].
    ///
    /// # Errors
    /// As there.
    pub async fn triggered(&self) -> Result<Vec<Answered>, Error> {
        self.ask(|store| store.triggered()).await
    }
}
