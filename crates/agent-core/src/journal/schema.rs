//! The journal's tables. `events` is the truth, and all that is written of a goal at work but its state in `goals`:
//! a step waits for that write. With the goal's last event the rest of `goals`, `tasks` and `steps` is written in
//! the same transaction, so that looking at a goal of the past does not read all its events. Migrations go forward
//! only and are never edited once released.

use crate::error::Error;
use aios_database::M;
use rusqlite::Connection;
use std::path::Path;

/// More than there are different statements, so that none is compiled twice.
const STATEMENTS: usize = 64;

/// Pages after which the write-ahead log is copied into the database, 16 MiB. Whoever waits for the commit that
/// does it waits for that too, so not every hundredth should.
const CHECKPOINT: u32 = 4096;

const MIGRATIONS: &[M<'_>] = &[M::up(GOALS), M::up(SCHEDULES)];

const GOALS: &str = "CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        time_ms INTEGER NOT NULL,
        goal_id TEXT NOT NULL,
        task_id TEXT NOT NULL,
        step INTEGER NOT NULL,
        kind TEXT NOT NULL,
        message TEXT NOT NULL,
        tainted INTEGER NOT NULL,
        goal_state TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX events_of_goal ON events (goal_id, seq);
    CREATE TABLE goals (
        goal_id TEXT PRIMARY KEY,
        state TEXT NOT NULL,
        uid INTEGER NOT NULL,
        client_id TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX goals_of_client ON goals (uid, client_id) WHERE client_id <> '';
    CREATE INDEX goals_in_state ON goals (state);
    CREATE TABLE tasks (
        task_id TEXT PRIMARY KEY,
        goal_id TEXT NOT NULL,
        position INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX tasks_of_goal ON tasks (goal_id, position);
    CREATE TABLE steps (
        task_id TEXT NOT NULL,
        step INTEGER NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (task_id, step)
    ) STRICT, WITHOUT ROWID;";

/// Beside the journal, and in its database so that a goal and what stated it are stored together.
const SCHEDULES: &str = "CREATE TABLE schedules (
        schedule_id TEXT PRIMARY KEY,
        settled_ms INTEGER NOT NULL,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE schedule_runs (
        schedule_id TEXT NOT NULL,
        planned_ms INTEGER NOT NULL,
        goal_id TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (schedule_id, planned_ms)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE triggered (
        trigger_name TEXT NOT NULL,
        subject TEXT NOT NULL,
        goal_id TEXT NOT NULL,
        stated_ms INTEGER NOT NULL,
        suppressed INTEGER NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (trigger_name, subject)
    ) STRICT, WITHOUT ROWID;";

/// Opens the database at `path` and brings it up to date.
pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    let connection = aios_database::open(
        path,
        MIGRATIONS,
        &[
            // A goal that was answered for must survive a power cut.
            ("synchronous", &"FULL"),
            ("wal_autocheckpoint", &CHECKPOINT),
            ("cache_size", &-512),
        ],
    )?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_of_the_first_release_is_brought_up_to_a_fresh_one() {
        let schema = |connection: &Connection| -> Vec<String> {
            let mut rows = connection
                .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
                .unwrap();
            let rows = rows.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect()
        };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.db");
        let old = aios_database::open(&path, &MIGRATIONS[..1], &[]).unwrap();
        old.execute("INSERT INTO goals VALUES ('g', 'completed', 0, '', '{}')", [])
            .unwrap();
        drop(old);
        let old = open(&path).unwrap();
        let fresh = open(&directory.path().join("fresh.db")).unwrap();
        assert_eq!(schema(&old), schema(&fresh));
        let goals: u32 = old
            .query_row("SELECT count(*) FROM goals", [], |row| row.get(0))
            .unwrap();
        assert_eq!(goals, 1);
    }
}
