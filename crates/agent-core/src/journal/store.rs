//! The SQL of the journal. One connection, used by the journal's thread alone.

use super::schema;
use crate::error::Error;
use crate::model::event::Event;
use crate::model::remedy::Book;
use crate::model::state::GoalState;
use crate::model::{Goal, Step, Task};
use aios_core::clock::Clock;
use aios_core::failpoint;
use aios_core::id::{GoalId, TaskId};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The final states, in SQL.
macro_rules! ended {
    () => {
        "('completed', 'failed', 'cancelled')"
    };
}

/// An event as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Number, from 1, without gaps.
    pub seq: u64,
    /// UTC milliseconds.
    pub time_ms: i64,
    /// Goal.
    pub goal: GoalId,
    /// Task, or empty.
    pub task: String,
    /// Step, or 0.
    pub step: u64,
    /// Kind.
    pub kind: String,
    /// One sentence.
    pub message: String,
    /// Whether text that is not to be trusted is in it.
    pub tainted: bool,
    /// State of the goal after it.
    pub goal_state: GoalState,
    /// The event, JSON.
    pub body: String,
}

/// Whether a submission was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submission {
    /// It was stored now.
    New,
    /// The client had sent it before.
    Repeated,
}

/// The database and what is kept of it in memory.
pub struct Store {
    pub(super) connection: Connection,
    pub(super) clock: Arc<dyn Clock>,
    last_seq: u64,
    /// All goals that have not ended. Their events are all that is stored of their course.
    active: BTreeMap<GoalId, Goal>,
}

impl Store {
    /// Opens the journal at `path`.
    ///
    /// # Errors
    /// The file cannot be opened or brought up to date.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Self::new(schema::open(path)?, clock)
    }

    /// A journal in memory; for tests.
    ///
    /// # Errors
    /// SQLite fails.
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Self::open(Path::new(":memory:"), clock)
    }

    fn new(connection: Connection, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let last_seq: i64 =
            connection.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0))?;
        let mut store = Self {
            connection,
            clock,
            last_seq: unsigned(last_seq),
            active: BTreeMap::new(),
        };
        for id in store.unfinished()? {
            let goal = store.replay(id)?;
            let goal = goal.ok_or_else(|| Error::Corrupt(format!("goal {id} has no events")))?;
            store.active.insert(id, goal);
        }
        Ok(store)
    }

    /// Number of the newest event; 0 when there is none.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Stores a new goal. A client that sends its id again gets the goal of the first time.
    ///
    /// # Errors
    /// [`Error::ClientId`] when that goal was another one; storage errors.
    pub fn submit(&mut self, id: GoalId, event: &Event) -> Result<(Goal, Submission), Error> {
        self.submit_with(id, event, |_, _| Ok(()))
    }

    /// The same, and `also` in the same transaction: with the new goal, or with that of the first time.
    pub(super) fn submit_with(
        &mut self,
        id: GoalId,
        event: &Event,
        also: impl FnOnce(&Transaction<'_>, &Goal) -> Result<(), Error>,
    ) -> Result<(Goal, Submission), Error> {
        let goal = Goal::begin(id, event, self.clock.now_ms())?;
        if !goal.client_id.is_empty()
            && let Some(earlier) = self.of_client(goal.uid, &goal.client_id)?
        {
            let same = earlier.text == goal.text && earlier.origin == goal.origin;
            if !same {
                return Err(Error::ClientId(goal.client_id));
            }
            let transaction = self.connection.transaction()?;
            also(&transaction, &earlier)?;
            transaction.commit()?;
            return Ok((earlier, Submission::Repeated));
        }
        self.commit(&goal, &[(event, goal.state)], also)?;
        self.active.insert(id, goal.clone());
        Ok((goal, Submission::New))
    }

    /// Lets events happen to a goal: all of them, durably, or none.
    ///
    /// # Errors
    /// An event does not fit, there is no such goal, or the storage fails.
    pub fn append(&mut self, id: GoalId, events: &[Event]) -> Result<Goal, Error> {
        let mut goal = self.goal(id)?;
        let now = self.clock.now_ms();
        let mut recorded = Vec::with_capacity(events.len());
        for event in events {
            goal.apply(event, now)?;
            recorded.push((event, goal.state));
        }
        self.commit(&goal, &recorded, |_, _| Ok(()))?;
        if goal.state.is_final() {
            self.active.remove(&id);
        } else {
            self.active.insert(id, goal.clone());
        }
        Ok(goal)
    }

    fn commit(
        &mut self,
        goal: &Goal,
        events: &[(&Event, GoalState)],
        also: impl FnOnce(&Transaction<'_>, &Goal) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let transaction = self.connection.transaction()?;
        let mut seq = self.last_seq;
        for (event, state) in events {
            seq += 1;
            insert_event(&transaction, seq, goal, event, *state)?;
        }
        let known = self.active.get(&goal.id);
        if goal.state.is_final() {
            upsert_goal(&transaction, goal, &write(goal)?)?;
            if known.is_some() {
                upsert_tasks(&transaction, goal)?;
            }
        } else if known.is_none_or(|known| known.state != goal.state) {
            upsert_goal(&transaction, goal, "")?;
        }
        also(&transaction, goal)?;
        failpoint::hit("orch.before_commit");
        transaction.commit()?;
        self.last_seq = seq;
        failpoint::hit("orch.after_commit");
        Ok(())
    }

    /// A goal.
    ///
    /// # Errors
    /// [`Error::NoGoal`]; storage errors.
    pub fn goal(&self, id: GoalId) -> Result<Goal, Error> {
        match self.active.get(&id) {
            Some(goal) => Ok(goal.clone()),
            None => self.load(id)?.ok_or_else(|| Error::NoGoal(id.to_string())),
        }
    }

    /// A goal that has ended, as the state tables hold it.
    ///
    /// # Errors
    /// Storage errors.
    pub fn load(&self, id: GoalId) -> Result<Option<Goal>, Error> {
        let body: Option<String> = self
            .connection
            .prepare_cached(concat!(
                "SELECT body FROM goals WHERE goal_id = ?1 AND state IN ",
                ended!()
            ))?
            .query_row([id.to_string()], |row| row.get(0))
            .optional()?;
        let Some(body) = body else {
            return Ok(None);
        };
        let mut goal: Goal = read(&body)?;
        let mut tasks = self
            .connection
            .prepare_cached("SELECT body FROM tasks WHERE goal_id = ?1 ORDER BY position")?;
        for body in tasks.query_map([id.to_string()], |row| row.get::<_, String>(0))? {
            let mut task: Task = read(&body?)?;
            task.steps = self.steps(task.plan.id)?;
            goal.tasks.push(Arc::new(task));
        }
        Ok(Some(goal))
    }

    fn steps(&self, task: TaskId) -> Result<Vec<Step>, Error> {
        let mut rows = self
            .connection
            .prepare_cached("SELECT body FROM steps WHERE task_id = ?1 ORDER BY step")?;
        let bodies = rows.query_map([task.to_string()], |row| row.get::<_, String>(0))?;
        bodies.map(|body| read(&body?)).collect()
    }

    /// A goal as its events tell it, from nothing.
    ///
    /// # Errors
    /// Storage errors; an event that does not fit.
    pub fn replay(&self, id: GoalId) -> Result<Option<Goal>, Error> {
        let mut rows = self
            .connection
            .prepare_cached("SELECT time_ms, body FROM events WHERE goal_id = ?1 ORDER BY seq")?;
        let mut goal: Option<Goal> = None;
        for row in rows.query_map([id.to_string()], |row| {
            Ok((row.get(0)?, row.get::<_, String>(1)?))
        })? {
            let (time_ms, body): (i64, String) = row?;
            let event: Event = read(&body)?;
            match &mut goal {
                None => goal = Some(Goal::begin(id, &event, time_ms)?),
                Some(goal) => goal.apply(&event, time_ms)?,
            }
        }
        Ok(goal)
    }

    /// What may follow the diagnosis of a goal, as its newest plan says.
    ///
    /// # Errors
    /// Storage errors.
    pub fn book(&self, id: GoalId) -> Result<Option<Book>, Error> {
        let body: Option<String> = self
            .connection
            .prepare_cached(
                "SELECT body FROM events WHERE goal_id = ?1 AND kind = 'goal.planned' ORDER BY seq DESC LIMIT 1",
            )?
            .query_row([id.to_string()], |row| row.get(0))
            .optional()?;
        match body.as_deref().map(read).transpose()? {
            Some(Event::Planned { book, .. }) => Ok(book.map(|book| *book)),
            _ => Ok(None),
        }
    }

    fn of_client(&self, uid: u32, client_id: &str) -> Result<Option<Goal>, Error> {
        let id: Option<String> = self
            .connection
            .prepare_cached("SELECT goal_id FROM goals WHERE uid = ?1 AND client_id = ?2")?
            .query_row(params![uid, client_id], |row| row.get(0))
            .optional()?;
        match id {
            Some(id) => self.goal(parse_goal(&id)?).map(Some),
            None => Ok(None),
        }
    }

    /// The goal whose id is, begins with, or ends in `part`.
    ///
    /// # Errors
    /// [`Error::NoGoal`], [`Error::Ambiguous`].
    pub fn find(&self, part: &str) -> Result<GoalId, Error> {
        if let Ok(id) = GoalId::parse(part) {
            return self.goal(id).map(|goal| goal.id);
        }
        let fits = part.len() >= 6 && part.chars().all(|it| it.is_ascii_hexdigit() || it == '-');
        if !fits {
            return Err(Error::NoGoal(part.chars().take(80).collect()));
        }
        let part = part.to_ascii_lowercase();
        let mut rows = self.connection.prepare_cached(
            "SELECT goal_id FROM goals WHERE goal_id LIKE ?1 || '%' OR goal_id LIKE '%' || ?1 LIMIT 2",
        )?;
        let found: Vec<String> = rows
            .query_map([&part], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        match found.as_slice() {
            [] => Err(Error::NoGoal(part)),
            [id] => parse_goal(id),
            _ => Err(Error::Ambiguous(part)),
        }
    }

    /// Goals, newest first.
    ///
    /// # Errors
    /// Storage errors.
    pub fn list(&self, limit: u32, states: &[GoalState]) -> Result<Vec<Goal>, Error> {
        let mut rows = self
            .connection
            .prepare_cached("SELECT goal_id, state FROM goals ORDER BY goal_id DESC")?;
        let mut goals = Vec::new();
        let mut found = rows.query([])?;
        while let Some(row) = found.next()? {
            let state: String = row.get(1)?;
            if states.is_empty() || states.iter().any(|wanted| wanted.as_str() == state) {
                goals.push(self.goal(parse_goal(&row.get::<_, String>(0)?)?)?);
            }
            if goals.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                break;
            }
        }
        Ok(goals)
    }

    /// Goals that have not ended, oldest first.
    ///
    /// # Errors
    /// Storage errors.
    pub fn unfinished(&self) -> Result<Vec<GoalId>, Error> {
        let mut rows = self.connection.prepare_cached(concat!(
            "SELECT goal_id FROM goals WHERE state NOT IN ",
            ended!(),
            " ORDER BY goal_id"
        ))?;
        let ids = rows.query_map([], |row| row.get::<_, String>(0))?;
        ids.map(|id| parse_goal(&id?)).collect()
    }

    /// How many goals are in each state.
    ///
    /// # Errors
    /// Storage errors.
    pub fn counts(&self) -> Result<BTreeMap<String, u32>, Error> {
        let mut rows = self
            .connection
            .prepare_cached("SELECT state, count(*) FROM goals GROUP BY state")?;
        let counts = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        counts.map(|count| count.map_err(Error::from)).collect()
    }

    /// Events from `from` on, at most `limit`; of one goal, or of all.
    ///
    /// # Errors
    /// Storage errors.
    pub fn events(&self, goal: Option<GoalId>, from: u64, limit: u32) -> Result<Vec<Recorded>, Error> {
        const COLUMNS: &str = "SELECT seq, time_ms, goal_id, task_id, step, kind, message, tainted, goal_state, body FROM events";
        let from = signed(from)?;
        let rows: Vec<Recorded> = match goal {
            Some(goal) => self
                .connection
                .prepare_cached(&format!(
                    "{COLUMNS} WHERE goal_id = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3"
                ))?
                .query_and_then(params![goal.to_string(), from, limit], recorded)?
                .collect::<Result<_, _>>()?,
            None => self
                .connection
                .prepare_cached(&format!("{COLUMNS} WHERE seq >= ?1 ORDER BY seq LIMIT ?2"))?
                .query_and_then(params![from, limit], recorded)?
                .collect::<Result<_, _>>()?,
        };
        Ok(rows)
    }
}

fn insert_event(
    transaction: &Transaction<'_>,
    seq: u64,
    goal: &Goal,
    event: &Event,
    state: GoalState,
) -> Result<(), Error> {
    transaction
        .prepare_cached(
            "INSERT INTO events (seq, time_ms, goal_id, task_id, step, kind, message, tainted, goal_state, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            signed(seq)?,
            goal.updated_ms,
            goal.id.to_string(),
            event.task().map(|task| task.to_string()).unwrap_or_default(),
            signed(event.step())?,
            event.kind(),
            event.sentence(),
            event.tainted(),
            state.as_str(),
            write(event)?,
        ])?;
    Ok(())
}

fn upsert_goal(transaction: &Transaction<'_>, goal: &Goal, body: &str) -> Result<(), Error> {
    transaction
        .prepare_cached(
            "INSERT INTO goals (goal_id, state, uid, client_id, body) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (goal_id) DO UPDATE SET state = excluded.state, body = excluded.body",
        )?
        .execute(params![
            goal.id.to_string(),
            goal.state.as_str(),
            goal.uid,
            goal.client_id,
            body
        ])?;
    Ok(())
}

fn upsert_tasks(transaction: &Transaction<'_>, goal: &Goal) -> Result<(), Error> {
    for (position, task) in goal.tasks.iter().enumerate() {
        upsert_task(transaction, goal.id, position, task)?;
        for step in &task.steps {
            upsert_step(transaction, task.plan.id, step)?;
        }
    }
    Ok(())
}

fn upsert_task(
    transaction: &Transaction<'_>,
    goal: GoalId,
    position: usize,
    task: &Task,
) -> Result<(), Error> {
    let body = write(task)?;
    let position = i64::try_from(position).map_err(|_| Error::Corrupt("a plan too long".to_owned()))?;
    transaction
        .prepare_cached(
            "INSERT INTO tasks (task_id, goal_id, position, body) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (task_id) DO UPDATE SET body = excluded.body",
        )?
        .execute(params![
            task.plan.id.to_string(),
            goal.to_string(),
            position,
            body
        ])?;
    Ok(())
}

fn upsert_step(transaction: &Transaction<'_>, task: TaskId, step: &Step) -> Result<(), Error> {
    transaction
        .prepare_cached(
            "INSERT INTO steps (task_id, step, body) VALUES (?1, ?2, ?3)
             ON CONFLICT (task_id, step) DO UPDATE SET body = excluded.body",
        )?
        .execute(params![task.to_string(), signed(step.step)?, write(step)?])?;
    Ok(())
}

fn recorded(row: &Row<'_>) -> Result<Recorded, Error> {
    let state: String = row.get(8)?;
    Ok(Recorded {
        seq: unsigned(row.get(0)?),
        time_ms: row.get(1)?,
        goal: parse_goal(&row.get::<_, String>(2)?)?,
        task: row.get(3)?,
        step: unsigned(row.get(4)?),
        kind: row.get(5)?,
        message: row.get(6)?,
        tainted: row.get(7)?,
        goal_state: GoalState::parse(&state)
            .ok_or_else(|| Error::Corrupt(format!("`{state}` is no goal state")))?,
        body: row.get(9)?,
    })
}

pub(super) fn read<T: DeserializeOwned>(body: &str) -> Result<T, Error> {
    serde_json::from_str(body).map_err(|error| Error::Corrupt(error.to_string()))
}

pub(super) fn write(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Corrupt(error.to_string()))
}

pub(super) fn parse_goal(id: &str) -> Result<GoalId, Error> {
    GoalId::parse(id).map_err(|error| Error::Corrupt(error.to_string()))
}

/// SQLite's numbers are signed; ours are never negative.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn signed(number: u64) -> Result<i64, Error> {
    i64::try_from(number).map_err(|_| Error::field("from_seq", format!("{number} is too large")))
}
