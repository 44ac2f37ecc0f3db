//! The worker's journal: what each execution is, how far it came, what it answered. SQLite with a
//! write-ahead log and `synchronous=FULL`: what is written is durable when a method returns.
//!
//! States: `received` → `snapshotted` → `done` or `rolled_back`; `done` → `undone`.

use crate::error::{Result, ToolError};
use aios_core::error::Report;
use aios_core::id::ExecutionKey;
use aios_database::M;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use std::path::Path;

const SCHEMA: &str = "
CREATE TABLE execution (
    task        TEXT    NOT NULL,
    step        INTEGER NOT NULL,
    tool        TEXT    NOT NULL,
    digest      BLOB    NOT NULL,
    args        TEXT    NOT NULL,
    prepared    BLOB    NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('received','snapshotted','done','rolled_back','undone')),
    plan        TEXT,
    result      TEXT,
    error       TEXT,
    undo_task   TEXT,
    undo_step   INTEGER,
    created_ms  INTEGER NOT NULL,
    ended_ms    INTEGER,
    PRIMARY KEY (task, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX execution_open ON execution (state) WHERE state IN ('received','snapshotted');
";

const COLUMNS: &str =
    "task, step, tool, digest, args, prepared, state, plan, result, error, undo_task, undo_step";

/// How far an execution came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Known, nothing captured yet.
    Received,
    /// Everything that it changes is captured; it may have begun.
    Snapshotted,
    /// Done; the result is recorded.
    Done,
    /// Nothing of it remains.
    RolledBack,
    /// Done, and undone by a later execution.
    Undone,
}

impl State {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "received" => Self::Received,
            "snapshotted" => Self::Snapshotted,
            "done" => Self::Done,
            "rolled_back" => Self::RolledBack,
            "undone" => Self::Undone,
            _ => return None,
        })
    }
}

/// What the journal holds of one execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Its key.
    pub key: ExecutionKey,
    /// Tool.
    pub tool: String,
    /// Digest of the canonical call.
    pub digest: Vec<u8>,
    /// Canonical arguments, JSON text.
    pub args: String,
    /// The answer to its Prepare, protobuf.
    pub prepared: Vec<u8>,
    /// How far it came.
    pub state: State,
    /// Its plan, JSON text, once captured.
    pub plan: Option<String>,
    /// Its result, JSON text, once done.
    pub result: Option<String>,
    /// Why it was rolled back; `None` when a crash interrupted it.
    pub error: Option<Report>,
    /// The execution that it undoes.
    pub undo_of: Option<ExecutionKey>,
}

/// An execution and when it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// What is known of it.
    pub execution: Execution,
    /// When it began, UTC milliseconds.
    pub created_ms: i64,
}

/// What is written down when an execution begins.
#[derive(Debug, Clone, Copy)]
pub struct Beginning<'a> {
    /// Its key.
    pub key: ExecutionKey,
    /// Tool.
    pub tool: &'a str,
    /// Digest of the canonical call.
    pub digest: &'a [u8],
    /// Canonical arguments.
    pub args: &'a str,
    /// The answer to its Prepare, protobuf.
    pub prepared: &'a [u8],
    /// The execution that it undoes.
    pub undo_of: Option<ExecutionKey>,
    /// When, UTC milliseconds.
    pub now_ms: i64,
}

/// A connection to the journal. One may write ([`Journal::open`]), others read ([`Journal::reader`]).
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
}

impl Journal {
    /// Opens the journal for writing and brings its schema up to date.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn open(path: &Path) -> Result<Self> {
        let connection = aios_database::open(path, &[M::up(SCHEMA)], &[("synchronous", &"FULL")])?;
        Ok(Self { connection })
    }

    /// Opens it for reading beside the writer.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn reader(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        Ok(Self { connection })
    }

    /// What is known of a key.
    ///
    /// # Errors
    /// The database fails.
    pub fn find(&self, key: ExecutionKey) -> Result<Option<Execution>> {
        let sql = format!("SELECT {COLUMNS} FROM execution WHERE task = ?1 AND step = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let row = statement
            .query_row(params![key.task.to_string(), step(key)?], |row| Ok(read(row)))
            .optional()?;
        row.transpose()
    }

    /// Executions that are neither done nor rolled back, oldest first.
    ///
    /// # Errors
    /// The database fails.
    pub fn unfinished(&self) -> Result<Vec<Execution>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM execution WHERE state IN ('received','snapshotted') ORDER BY created_ms, task, step"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement.query_map([], |row| Ok(read(row)))?;
        rows.map(|row| row?).collect()
    }

    /// The newest executions, newest first, at most `limit`.
    ///
    /// # Errors
    /// The database fails.
    pub fn recent(&self, limit: u32) -> Result<Vec<Past>> {
        let sql = format!(
            "SELECT {COLUMNS}, created_ms FROM execution ORDER BY created_ms DESC, task DESC, step DESC LIMIT ?1"
        );
        let mut statement = self.connection.prepare(&sql)?;
        let rows = statement.query_map([limit], |row| Ok((read(row), row.get(12)?)))?;
        rows.map(|row| {
            let (execution, created_ms) = row?;
            Ok(Past {
                execution: execution?,
                created_ms,
            })
        })
        .collect()
    }

    /// An execution begins; one that was interrupted and rolled back begins anew. Nothing has changed
    /// yet, so this alone need not outlive a power cut: it becomes durable with the next step.
    ///
    /// # Errors
    /// The database fails.
    pub fn begin(&self, it: &Beginning<'_>) -> Result<()> {
        self.connection.pragma_update(None, "synchronous", "NORMAL")?;
        let begun = self.insert(it);
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        begun
    }

    fn insert(&self, it: &Beginning<'_>) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO execution (task, step, tool, digest, args, prepared, state, undo_task, undo_step, created_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'received', ?7, ?8, ?9)
             ON CONFLICT (task, step) DO UPDATE SET state = 'received', prepared = excluded.prepared,
                 digest = excluded.digest, plan = NULL, result = NULL, error = NULL, ended_ms = NULL
             WHERE state = 'rolled_back' AND error IS NULL",
        )?;
        let undo_step = it.undo_of.map(step).transpose()?;
        let count = statement.execute(params![
            it.key.task.to_string(),
            step(it.key)?,
            it.tool,
            it.digest,
            it.args,
            it.prepared,
            it.undo_of.map(|key| key.task.to_string()),
            undo_step,
            it.now_ms,
        ])?;
        exactly_one(count, it.key)
    }

    /// Everything that it changes is captured.
    ///
    /// # Errors
    /// The database fails.
    pub fn snapshotted(&self, key: ExecutionKey, plan: &str) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "UPDATE execution SET state = 'snapshotted', plan = ?3 WHERE task = ?1 AND step = ?2 AND state = 'received'",
        )?;
        exactly_one(
            statement.execute(params![key.task.to_string(), step(key)?, plan])?,
            key,
        )
    }

    /// It is done; an execution that it undoes is undone with it.
    ///
    /// # Errors
    /// The database fails; nothing is recorded then.
    pub fn done(&mut self, key: ExecutionKey, plan: &str, result: &str, now_ms: i64) -> Result<()> {
        let transaction = self.connection.transaction()?;
        let count = transaction
            .prepare_cached(
                "UPDATE execution SET state = 'done', plan = ?3, result = ?4, ended_ms = ?5
             WHERE task = ?1 AND step = ?2 AND state = 'snapshotted'",
            )?
            .execute(params![key.task.to_string(), step(key)?, plan, result, now_ms])?;
        exactly_one(count, key)?;
        transaction
            .prepare_cached(
                "UPDATE execution SET state = 'undone' WHERE state = 'done' AND (task, step) =
             (SELECT undo_task, undo_step FROM execution WHERE task = ?1 AND step = ?2)",
            )?
            .execute(params![key.task.to_string(), step(key)?])?;
        transaction.commit()?;
        Ok(())
    }

    /// A finished execution was taken back by its own namespace. One that is not finished, or was taken back
    /// already, stays as it is.
    ///
    /// # Errors
    /// The database fails.
    pub fn withdrawn(&self, key: ExecutionKey, now_ms: i64) -> Result<()> {
        self.connection
            .prepare_cached(
                "UPDATE execution SET state = 'undone', ended_ms = ?3 WHERE task = ?1 AND step = ?2 AND state = 'done'",
            )?
            .execute(params![key.task.to_string(), step(key)?, now_ms])?;
        Ok(())
    }

    /// Nothing of it remains. Without an error it was interrupted, and may be executed again.
    ///
    /// # Errors
    /// The database fails.
    pub fn rolled_back(&self, key: ExecutionKey, error: Option<&Report>, now_ms: i64) -> Result<()> {
        let text = error
            .map(serde_json::to_string)
            .transpose()
            .map_err(|error| ToolError::Defect(error.to_string()))?;
        let mut statement = self.connection.prepare_cached(
            "UPDATE execution SET state = 'rolled_back', error = ?3, ended_ms = ?4
             WHERE task = ?1 AND step = ?2 AND state IN ('received','snapshotted')",
        )?;
        exactly_one(
            statement.execute(params![key.task.to_string(), step(key)?, text, now_ms])?,
            key,
        )
    }
}

fn step(key: ExecutionKey) -> Result<i64> {
    i64::try_from(key.step).map_err(|_| ToolError::TooLarge {
        what: "the step number",
        actual: key.step,
        limit: i64::MAX.unsigned_abs(),
    })
}

fn exactly_one(count: usize, key: ExecutionKey) -> Result<()> {
    if count == 1 {
        Ok(())
    } else {
        Err(ToolError::Defect(format!(
            "execution {key} is not in the expected state"
        )))
    }
}

fn read(row: &Row<'_>) -> Result<Execution> {
    let corrupt = |what: &str| ToolError::Corrupt {
        what: format!("{what} of an execution in the journal"),
    };
    let key = |task: &str, step: i64| format!("{task}/{step}").parse().map_err(|_| corrupt("key"));
    let state: String = row.get(6)?;
    let error: Option<String> = row.get(9)?;
    let undo: (Option<String>, Option<i64>) = (row.get(10)?, row.get(11)?);
    Ok(Execution {
        key: key(&row.get::<_, String>(0)?, row.get(1)?)?,
        tool: row.get(2)?,
        digest: row.get(3)?,
        args: row.get(4)?,
        prepared: row.get(5)?,
        state: State::parse(&state).ok_or_else(|| corrupt("state"))?,
        plan: row.get(7)?,
        result: row.get(8)?,
        error: error
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(|_| corrupt("error"))?,
        undo_of: match undo {
            (Some(task), Some(step)) => Some(key(&task, step)?),
            _ => None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aios_core::id::TaskId;

    fn beginning(key: ExecutionKey) -> Beginning<'static> {
        Beginning {
            key,
            tool: "fs.delete",
            digest: &[1; 32],
            args: "{}",
            prepared: &[2],
            undo_of: None,
            now_ms: 1,
        }
    }

    fn journal() -> (tempfile::TempDir, Journal) {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(&dir.path().join("journal.db")).unwrap();
        (dir, journal)
    }

    #[test]
    fn an_execution_goes_its_way_and_no_other() {
        let (_dir, mut journal) = journal();
        let key = ExecutionKey {
            task: TaskId::new(),
            step: 1,
        };
        journal.begin(&beginning(key)).unwrap();
        assert!(journal.done(key, "{}", "{}", 2).is_err());
        journal.snapshotted(key, "{\"p\":1}").unwrap();
        assert_eq!(journal.unfinished().unwrap().len(), 1);
        journal.done(key, "{\"p\":2}", "{\"r\":1}", 2).unwrap();
        assert!(journal.rolled_back(key, None, 3).is_err());
        assert!(journal.begin(&beginning(key)).is_err());
        let found = journal.find(key).unwrap().unwrap();
        assert_eq!(
            (found.state, found.result.as_deref()),
            (State::Done, Some("{\"r\":1}"))
        );
    }

    #[test]
    fn an_interrupted_execution_may_begin_anew_and_a_failed_one_may_not() {
        let (_dir, journal) = journal();
        let key = ExecutionKey {
            task: TaskId::new(),
            step: 1,
        };
        journal.begin(&beginning(key)).unwrap();
        journal.rolled_back(key, None, 2).unwrap();
        journal.begin(&beginning(key)).unwrap();
        let report = Report {
            code: "C".into(),
            message: "m".into(),
            next_step: "n".into(),
        };
        journal.rolled_back(key, Some(&report), 2).unwrap();
        assert!(journal.begin(&beginning(key)).is_err());
        assert_eq!(journal.find(key).unwrap().unwrap().error, Some(report));
    }

    #[test]
    fn what_is_done_can_be_withdrawn_and_nothing_else() {
        let (_dir, mut journal) = journal();
        let key = ExecutionKey {
            task: TaskId::new(),
            step: 1,
        };
        journal.begin(&beginning(key)).unwrap();
        journal.withdrawn(key, 2).unwrap();
        assert_eq!(journal.find(key).unwrap().unwrap().state, State::Received);
        journal.snapshotted(key, "{}").unwrap();
        journal.done(key, "{}", "{}", 2).unwrap();
        for _ in 0..2 {
            journal.withdrawn(key, 3).unwrap();
            assert_eq!(journal.find(key).unwrap().unwrap().state, State::Undone);
        }
    }

    #[test]
    fn undoing_marks_what_was_undone_in_the_same_transaction() {
        let (_dir, mut journal) = journal();
        let task = TaskId::new();
        let (first, second) = (ExecutionKey { task, step: 1 }, ExecutionKey { task, step: 2 });
        for (key, undo_of) in [(first, None), (second, Some(first))] {
            journal
                .begin(&Beginning {
                    undo_of,
                    ..beginning(key)
                })
                .unwrap();
            journal.snapshotted(key, "{}").unwrap();
            journal.done(key, "{}", "{}", 2).unwrap();
        }
        assert_eq!(journal.find(first).unwrap().unwrap().state, State::Undone);
        assert_eq!(journal.find(second).unwrap().unwrap().state, State::Done);
    }
}
